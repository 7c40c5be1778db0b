"""Runs that differ in their schedules: a name for each policy, its best peak learning rate, how two compare."""

import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bsresearch.analysis import held_fixed, resolution, summary
from bsresearch.store import records

# Epochs by which a batch may pass the end of an epoch and still count as evaluated there.
LATE = 0.11
SECTIONS = ('schedule', 'momentum_schedule', 'weight_decay_schedule', 'batch_schedule')


def names(runs: pd.DataFrame) -> pd.Series:
    """(runs,): in words, what tells each run's schedules from the others'.

    Args:
      runs: `records.runs`. Sections that are the same everywhere are left out, and so are settings that are the same
        in all runs of one shape.
    """
    parts = []
    for section in SECTIONS:
        fields = [c for c in runs if c.startswith(f'{section}.')]
        if not fields or not (runs[fields].nunique(dropna=False) > 1).any():
            continue
        text = pd.Series('', index=runs.index)
        for name, members in runs.groupby(f'{section}.name'):
            differing = [c for c in fields if not c.endswith('.name') and members[c].nunique(dropna=False) > 1]
            for i, run in members.iterrows():
                settings = ', '.join(
                    f'{c.split(".", 1)[1].replace("_", " ")} {_text(run[c])}' for c in differing if not _unset(run[c])
                )
                what = 'batch ' if section == 'batch_schedule' and name == 'constant' else ''
                text[i] = f'{what}{str(name).replace("_", " ")}{f" ({settings})" if settings else ""}'
        parts.append(text)
    if not parts:
        return runs['schedule.name'].str.replace('_', ' ')
    joined = parts[0]
    for more in parts[1:]:
        joined = joined + '; ' + more
    return joined


def _unset(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _text(value: object) -> str:
    return ('on' if value else 'off') if isinstance(value, bool | np.bool_) else held_fixed.text(value)


def load(workdir: pathlib.Path) -> pd.DataFrame:
    """`records.load` of a workdir, with columns `policy` and `grows`, whether its batch size is scheduled.

    Raises:
      ValueError: something else than schedules, peak learning rate and seeds varies.
    """
    runs, _, rows = records.read(workdir)
    runs = runs.assign(policy=names(runs))
    known = tuple(f'{s}.' for s in SECTIONS)
    expected = {'policy', 'momentum', 'batch_changes', *records.ALWAYS, *records.SPLIT_SEEDS}
    others = [c for c in records.varying(runs) if c not in expected and not c.startswith(known)]
    # A policy may set them, but one policy has one of each.
    others += [c for c in ('momentum', 'batch_size') if (runs.groupby('policy')[c].nunique(dropna=False) > 1).any()]
    if others:
        raise ValueError(
            f'the runs in {workdir} differ in {", ".join(others)} too; this figure compares schedules: '
            'use a workdir of its own for each value'
        )
    # Older records have no batch schedule.
    changes = runs['batch_changes'] if 'batch_changes' in runs else [None] * len(runs)
    runs = runs.assign(grows=[isinstance(c, tuple) and len(c) > 0 for c in changes])
    seeds = [c for c in ('seed', *records.SPLIT_SEEDS) if c in runs]
    columns = ['run', 'study', 'status', 'policy', 'grows', 'learning_rate', 'batch_size', *seeds]
    return runs[columns].merge(rows.drop(columns='study'), on='run')


def best_peaks(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The peak learning rate of each policy with the highest mean of `metric` at the end.

    Args:
      rows: of `load`. metric: an accuracy; of the validation set, if the test set is to be reported.

    Returns:
      one row per policy: policy, learning_rate, mean (high by the choice, so without an interval), n, tried (peaks),
      diverged (peaks at which a run did, which are not taken), and edge: whether it lies at the end of the rates tried,
      so that the best may lie beyond.

    Raises:
      ValueError: a peak whose runs have not all ended, so that nothing can be chosen; or all have diverged.
    """
    final = summary.final(rows, [metric], ['policy', 'learning_rate'])
    peaks = []
    for policy, tried in final.groupby('policy', sort=False):
        unfinished = int(tried['unfinished'].sum())
        if unfinished:
            raise ValueError(
                f'policy {policy!r} has {unfinished} runs that are not finished: its best peak learning rate is not '
                'known; let `bsresearch run` finish them'
            )
        usable = tried[(tried['diverged'] == 0) & tried['mean'].notna()]
        if not len(usable):
            raise ValueError(f'policy {policy!r} has no peak learning rate at which every run came to its end')
        best = usable.loc[usable['mean'].idxmax()]
        edge = len(tried) > 1 and best['learning_rate'] in (tried['learning_rate'].min(), tried['learning_rate'].max())
        counts = {'tried': len(tried), 'diverged': int((tried['diverged'] > 0).sum())}
        peaks.append({k: best[k] for k in ('policy', 'learning_rate', 'mean', 'n')} | counts | {'edge': edge})
    return pd.DataFrame(peaks)


def _at_whole_epochs(rows: pd.DataFrame) -> pd.DataFrame:
    """Each run's first row at or after every whole epoch, with that epoch as `whole`; none a tenth of an epoch late."""
    rows = rows.assign(whole=np.floor(rows['epoch'] + 1e-9))
    rows = rows[rows['epoch'] - rows['whole'] < LATE]
    return rows.sort_values('epoch').drop_duplicates(['run', 'whole'])


def differences(rows: pd.DataFrame, metric: str, arms: Sequence[str]) -> pd.DataFrame:
    """Welch's 95 % interval of each arm's mean minus the first arm's, at every epoch that both were evaluated at.

    Args:
      rows: of `load`. arms: values of `policy`; the first is the reference.

    Returns:
      one row per arm and epoch after the start, where all arms are the same: policy, epoch, n, n_reference (runs),
      difference, low, high (NaN as for `summary.interval`), covers (whether 0 may be the difference).
    """
    compared, rounding = [], resolution.variance(metric, rows[metric])
    rows = _at_whole_epochs(rows[rows[metric].notna()])
    value = {a: rows[rows['policy'] == a] for a in arms}
    for arm in arms[1:]:
        for epoch in sorted(set(value[arm]['whole']) & set(value[arms[0]]['whole']) - {0}):
            a, b = (v.loc[v['whole'] == epoch, metric].astype(float) for v in (value[arm], value[arms[0]]))
            difference, half = a.mean() - b.mean(), summary.welch(a, b, rounding)
            apart = abs(difference) > half
            compared.append((arm, epoch, len(a), len(b), difference, difference - half, difference + half, not apart))
    columns = ['policy', 'epoch', 'n', 'n_reference', 'difference', 'low', 'high', 'covers']
    return pd.DataFrame(compared, columns=columns)
