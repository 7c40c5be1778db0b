"""Branches with k times the batch and their controls (studies/critical_batch_size.py) → a smoothed loss for each.

The loss is that of the whole training set (the source smooths batch losses, which are noisier), evaluated n times
evenly over the window and smoothed: s_1 = L_1, s_i = α·L_i + (1 − α)·s_{i−1}, α = 0.5 the weight of the newest, so that
of four the last counts ½ and the first ⅛. The evaluation at the branch point itself, the same for all, is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import axes, summary
from bsresearch.analysis.once import once
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.store import records

STUDY = 'critical_batch_size'
LOSS = 'train_loss'
ALPHA = 0.5


def smooth(losses: Sequence[float] | np.ndarray) -> float:
    """The exponential moving average at the end; ∞ if any loss is not finite."""
    if not np.isfinite(losses).all():
        return np.inf
    return float(pd.Series(losses).ewm(alpha=ALPHA, adjust=False).mean().iloc[-1])


@once
def load(study: Study, chosen: tuple[str, ...] | None = None) -> tuple[pd.DataFrame, list[str]]:
    """The branches of all parents, or of those in `chosen`, and what names an arm.

    Returns:
      one row per branch: run (the parent), what names its arm (`batch_size` first, B), replicate, step, examples, epoch
      (the branch point's), point (as declared; else its epoch), branch, status, k, tried (k·B), rate, factor (rate over
      the parent's), by_rule (whether that is the rule's), loss (smoothed; ∞ where it diverged, NaN where it is not
      finished), window and epoch_size (in examples); sorted by parent, point, k, factor.

    Raises:
      ValueError: no branches, or branches that are no comparison.
    """
    runs = study.runs.copy()  # its columns of one type lie together then
    branched = runs['parent.run'].notna() if 'parent.run' in runs else pd.Series(False, index=runs.index)
    parents, branches = runs[~branched], runs[branched]
    parents = parents if chosen is None else parents[parents.index.isin(chosen)]
    branches = branches[branches['parent.run'].isin(parents.index)] if len(branches) else branches
    if not len(branches):
        raise ValueError(f'the runs in {study.workdir} have no branches yet; give the command that made them again')
    names, by = _arms(study, parents)
    members = study.members.drop_duplicates('id').set_index('id')
    rows = []
    for branch in branches.assign(run=branches.index).to_dict('records'):
        parent, run = parents.loc[branch['parent.run']], branch['run']
        at, loss = _evaluations(study, branch)
        declared = members.at[run, 'point'] if run in members.index else ABSENT
        rows.append(
            {'run': branch['parent.run'], **names[branch['parent.run']]}
            | {'replicate': members.at[branch['parent.run'], 'replicate']}
            | {f: branch[f'parent.{f}'] for f in ('step', 'examples', 'epoch')}
            | {'point': branch['parent.epoch'] if declared == ABSENT else declared}
            | {'branch': run, 'status': branch['status'], 'k': branch['batch_size'] / parent['batch_size']}
            | {'tried': branch['batch_size'], **_rate(branch, parent), 'loss': loss, 'evaluated': at}
            | {'window': branch['total_examples'] - branch['parent.examples'], 'epoch_size': branch['epoch_size']}
        )
    table = pd.DataFrame(rows).astype(dict.fromkeys(('step', 'examples', 'window'), int))
    _check(table)
    return table.drop(columns='evaluated').sort_values(['run', 'step', 'k', 'factor'], ignore_index=True), by


def _rate(branch: Mapping[Any, Any], parent: Mapping[Any, Any] | pd.Series) -> dict[str, Any]:
    """Its learning rate: by the rule, unless its config says otherwise; of k = 1 there is one rule."""
    rate, of_parent = float(branch['learning_rate']), float(parent['learning_rate'])
    factor = float(f'{rate / of_parent:.9g}')  # a quotient of rounded numbers: 8 and not 8.000000000000002
    rates = branch.get('recording.branch.rates')
    control = factor == 1 and branch['batch_size'] == parent['batch_size']
    return {'rate': rate, 'factor': factor, 'by_rule': control or not isinstance(rates, tuple) or rates != ('tuned',)}


def _arms(study: Study, parents: pd.DataFrame) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """(parent → what names its arm, the names): arm and axes as declared, or the fields that vary among parents."""
    members = study.members[study.members['id'].isin(parents.index) & (study.members['kind'] == 'run')]
    members = members.drop_duplicates('id').set_index('id').reindex(parents.index)
    if (study.members['kind'] == 'branch').any():
        table, varying = members, [p for p in study.parts if members[p].astype(str).nunique() > 1]
    else:
        table = parents.assign(run=parents.index)
        varying = axes.independent(table, [c for c in records.varying(table) if c not in axes.SEEDS])
    by = ['batch_size', *(p for p in varying if p != 'batch_size')]
    named = table[by[1:]].assign(batch_size=parents['batch_size'])[by]
    return {str(run): row.to_dict() for run, row in named.iterrows()}, by


def _evaluations(study: Study, branch: Mapping[Any, Any]) -> tuple[tuple[int, ...], float]:
    """Where a finished branch was evaluated, in examples, and its smoothed loss; ((), ∞) if diverged, NaN if not."""
    if branch['status'] != 'done':
        return (), np.inf if branch['status'] == 'diverged' else np.nan
    rows = study.rows[branch['run']]
    summary.check_plain(rows, LOSS)
    if LOSS not in rows:
        return (), np.nan
    rows = rows[rows['step'] > branch['parent.step']].set_index('examples')
    # A loss that was not finite is recorded as null: an evaluation that was asked for, without a loss.
    asked = branch.get('recording.evaluate.at_examples')
    at = asked if isinstance(asked, tuple) and asked else tuple(rows.index[rows[LOSS].notna()])
    losses = rows[LOSS].reindex(list(at))
    return tuple(int(place) for place in at), smooth(losses.to_numpy()) if len(losses) else np.nan


def _check(rows: pd.DataFrame) -> None:
    """Raises ValueError for branches of one point that are no comparison."""
    for (run, step), branches in rows.groupby(['run', 'step']):
        cure = 'use a workdir of its own for each window, rule and set of evaluations'
        by_rule = branches[branches['by_rule']]
        twice = pd.concat([branches[branches.duplicated(['k', 'factor'])], by_rule[by_rule.duplicated('k')]])
        if len(twice):
            raise ValueError(f'run {run} has two branches with k = {twice["k"].iloc[0]:g} at update {step}; {cure}')
        places = branches.loc[branches['status'] == 'done', 'evaluated']
        if branches['window'].nunique() > 1 or places.nunique() > 1:
            raise ValueError(f'the branches of run {run} at update {step} were not evaluated at equal examples; {cure}')
        if branches['k'].min() != 1:
            raise ValueError(f'run {run} has no control (k = 1) among its branches at update {step}')
