"""Runs of simulated workers: how many there were, the arms they belong to, and what more workers cost at the end.

W is the number of batch-norm groups of a batch, batch_size / ghost_batch_size: what `config.workers` resolved to. A run
whose model has no batch norm is the same for every W, so it says nothing here.
"""

import pathlib
from typing import NamedTuple

import pandas as pd

from bsresearch.analysis import arms, resolution, summary, unreached
from bsresearch.store import records

TEST, TRAIN = 'test_accuracy', 'train_loss'


class SimulatedWorkers(NamedTuple):
    """Records of simulated workers.

    Attributes:
      loaded: the runs, for what was held fixed.
      final: `summary.final` of TEST, and of TRAIN where it was evaluated, by arm and workers.
      differences: of TEST, by arm and workers, from the arm's fewest workers, with Welch's 95 % interval; over the runs
        that came to their end, at least two on both sides.
    """

    loaded: arms.Arms
    final: pd.DataFrame
    differences: pd.DataFrame


def find(workdir: pathlib.Path) -> SimulatedWorkers:
    """The runs of study `train` in a workdir.

    Raises:
      FileNotFoundError: there are none.
      ValueError: models without batch norm, or one number of workers; more than workers, scaling and seeds varies; no
        test accuracy.
    """
    loaded = arms.load(workdir)
    runs = loaded.runs
    groups = runs.get('ghost_batch_size', pd.Series(float('nan'), index=runs.index))
    if groups.isna().any():
        raise ValueError(
            f'{int(groups.isna().sum())} of the {len(runs)} runs in {workdir} have no batch norm, and are the same for '
            'any number of workers; `bsresearch fig batch_size` draws runs against their batch size'
        )
    runs = runs.assign(workers=(runs['batch_size'] // groups).astype(int))
    if runs['workers'].nunique() < 2:
        raise ValueError(f'all runs in {workdir} have {runs["workers"].iloc[0]} workers: give several in config.sweep')
    runs = runs.assign(arm=_arm(runs))
    _check_axes(runs, workdir)
    metrics = [m for m in (TEST, TRAIN) if m in loaded.rows and loaded.rows[m].notna().any()]
    if TEST not in metrics:
        raise unreached.lacking(loaded, 'evaluate', [TEST], workdir)
    rows = _with_reference(runs)[['run', 'arm', 'workers']].merge(loaded.rows, on='run')
    return SimulatedWorkers(loaded, summary.final(rows, metrics, ['arm', 'workers']), _differences(rows))


def _arm(runs: pd.DataFrame) -> pd.Series:
    """(runs,): in words, how the learning rate follows the batch."""
    start = runs.get('warmup.start', 0.0)
    warmed = (runs['warmup.examples'] > 0) & (start < 1)  # from 1 a warm-up is flat
    names = runs['scaling.name'].map(lambda rule: 'as for one worker' if rule == 'none' else f'{rule} in B')
    epochs = (runs['warmup.examples'] / runs['epoch_size']).map(lambda e: f', {e:.3g}-epoch warm-up')
    return 'learning rate ' + names + epochs.where(warmed, '')


def _at_reference(runs: pd.DataFrame) -> pd.Series:
    """(runs,): where no rule changes anything, so that the run belongs to every arm."""
    return runs['batch_size'] == runs['scaling.reference_batch_size']


def _check_axes(runs: pd.DataFrame, workdir: pathlib.Path) -> None:
    # Warm-up and learning rate at each W tell arms apart, and are told by their names.
    named = ('scaling.', 'warmup.', 'base_learning_rate')
    fields = [c for c in records.varying(runs) if c not in (*arms.SEEDS, 'arm', 'workers') and not c.startswith(named)]
    others = [c for c in fields if not arms.follows(runs, c, ['arm', 'workers'])]
    if others:
        raise ValueError(
            f'the runs in {workdir} differ in {", ".join(others)} at the same number of workers; this figure compares '
            'numbers of workers: use a workdir of its own for each value'
        )


def _with_reference(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs, those at the reference batch size once in every arm."""
    shared = _at_reference(runs)
    rest, reference = runs[~shared], runs[shared]
    if not len(reference) or not len(rest):
        return runs
    parts = [rest]
    for arm, members in rest.groupby('arm'):
        same = reference['scaling.name'] == members['scaling.name'].iloc[0]
        # A grid of rules × workers has the reference once for each rule.
        chosen = same if same.any() else reference['scaling.name'] == reference['scaling.name'].iloc[0]
        parts.append(reference[chosen].assign(arm=arm))
    return pd.concat(parts, ignore_index=True)


def _differences(rows: pd.DataFrame) -> pd.DataFrame:
    done = rows[(rows['status'] == 'done') & ~summary.diverged(rows) & rows[TEST].notna()]
    last = done.sort_values('step').drop_duplicates(['arm', 'run'], keep='last')
    differences, rounding = [], resolution.variance(TEST, rows[TEST])
    for arm, members in last.groupby('arm'):
        values = {w: of_w[TEST].astype(float) for w, of_w in members.groupby('workers')}
        first = min(values)
        for workers, value in values.items():
            if workers == first or min(len(value), len(values[first])) < 2:
                continue
            difference = value.mean() - values[first].mean()
            half = summary.welch(value, values[first], rounding)
            counts = len(value), len(values[first])
            differences.append((arm, workers, first, *counts, difference, difference - half, difference + half))
    return pd.DataFrame(differences, columns=['arm', 'workers', 'minus', 'n', 'n_minus', 'difference', 'low', 'high'])
