"""Branches with k times the batch and their controls (studies/critical_batch_size.py) → a smoothed loss for each.

The loss is that of the whole training set (the source smooths batch losses, which are noisier), evaluated n times
evenly over the window and smoothed: s_1 = L_1, s_i = α·L_i + (1 − α)·s_{i−1}, α = 0.5 the weight of the newest, so that
of four the last counts ½ and the first ⅛. The evaluation at the branch point itself, the same for all, is left out.
"""

import pathlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import arms, summary
from bsresearch.store import paths, records

STUDY = 'critical_batch_size'
LOSS = 'train_loss'
ALPHA = 0.5


def smooth(losses: Sequence[float] | np.ndarray, alpha: float = ALPHA) -> float:
    """The exponential moving average at the end; ∞ if any loss is not finite."""
    values = np.asarray(losses, float)
    if not np.isfinite(values).all():
        return np.inf
    smoothed = values[0]
    for value in values[1:]:
        smoothed = alpha * value + (1 - alpha) * smoothed
    return float(smoothed)


def load(workdir: pathlib.Path, chosen: Collection[str] | None = None) -> tuple[pd.DataFrame, list[str]]:
    """The branches of all parents, or of those in `chosen`, and the fields of an arm.

    Returns:
      one row per branch: run (the parent), the arm's fields, seed, step, examples, epoch (the branch point's), branch,
      status, k, tried (k·B), rate, loss (smoothed; ∞ where it diverged, NaN where it is not finished), window and
      epoch_size (in examples); sorted by parent, point and k.

    Raises:
      FileNotFoundError: no runs of the study. ValueError: no branches, or branches that are no comparison.
    """
    table = records.runs(workdir)
    table = table[table['study'] == STUDY]
    if not len(table):
        raise FileNotFoundError(f'no runs of study {STUDY!r} in {workdir}; configs/{STUDY}.py makes some')
    branched = table['parent.run'].notna() if 'parent.run' in table else pd.Series(False, index=table.index)
    parents, branches = table[~branched], table[branched]
    if chosen is not None:
        parents = parents[parents['run'].isin(chosen)]
    branches = branches[branches['parent.run'].isin(parents['run'])] if len(branches) else branches
    if not len(branches):
        raise ValueError(f'the runs in {workdir} have no branches yet; give the command that made them again')
    by = arms.independent(parents, [c for c in records.varying(parents) if c not in arms.SEEDS])
    by_run = parents.set_index('run')
    rows = []
    for branch in branches.to_dict('records'):
        parent = by_run.loc[branch['parent.run']]
        k = branch['batch_size'] / parent['batch_size']
        at, loss = _evaluations(workdir, branch)
        rows.append(
            {'run': branch['parent.run'], **parent[by].to_dict(), 'seed': parent['seed']}
            | {f: branch[f'parent.{f}'] for f in ('step', 'examples', 'epoch')}
            | {'branch': branch['run'], 'status': branch['status'], 'k': k, 'tried': branch['batch_size']}
            | {'rate': branch['learning_rate'], 'loss': loss, 'evaluated': at}
            | {'window': branch['total_examples'] - branch['parent.examples'], 'epoch_size': branch['epoch_size']}
        )
    table = pd.DataFrame(rows).astype(dict.fromkeys(('step', 'examples', 'window'), int))
    _check(table)
    return table.drop(columns='evaluated').sort_values(['run', 'step', 'k'], ignore_index=True), by


def _evaluations(workdir: pathlib.Path, branch: dict[str, Any]) -> tuple[tuple[int, ...], float]:
    """Where a finished branch was evaluated, in examples, and its smoothed loss; ((), ∞) if diverged, NaN if not."""
    if branch['status'] != 'done':
        return (), np.inf if branch['status'] == 'diverged' else np.nan
    rows = list(records.rows(paths.run_dir(workdir, STUDY, branch['run'])))
    summary.check_plain(pd.DataFrame(rows).assign(run=branch['run']), LOSS)
    rows = [r for r in rows if LOSS in r]
    rows = sorted((r for r in rows if r['step'] > branch['parent.step']), key=lambda r: r['step'])
    # A loss that was not finite is recorded as null.
    losses = [np.nan if r[LOSS] is None else r[LOSS] for r in rows]
    return tuple(r['examples'] for r in rows), smooth(losses) if losses else np.nan


def _check(rows: pd.DataFrame) -> None:
    """Raises ValueError for branches of one point that are no comparison."""
    for (run, step), branches in rows.groupby(['run', 'step']):
        cure = 'use a workdir of its own for each window, rule and set of evaluations'
        twice = branches[branches.duplicated('k')]
        if len(twice):
            raise ValueError(f'run {run} has two branches with k = {twice["k"].iloc[0]:g} at update {step}; {cure}')
        places = branches.loc[branches['status'] == 'done', 'evaluated']
        if branches['window'].nunique() > 1 or places.nunique() > 1:
            raise ValueError(f'the branches of run {run} at update {step} were not evaluated at equal examples; {cure}')
        if branches['k'].min() != 1:
            raise ValueError(f'run {run} has no control (k = 1) among its branches at update {step}')
