"""Schedules, one row per update, and whether they keep the same noise temperature g = εN/(B(1 − m)) over the examples.

ε learning rate, m momentum, B batch size, N training examples.  Arms with the same g at the same number of examples
seen should learn alike in epochs while their updates differ.  g holds from the examples seen before an update to those
before the next, and from the last update for one more batch.

Reference: Smith, Kindermans, Ying, Le, arXiv:1711.00489, section 2; Smith & Le, arXiv:1710.06451.
"""

import pathlib
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

VALUES = ('batch_size', 'lr', 'momentum', 'weight_decay', 'effective_lr', 'noise_temperature')
COLUMNS = ('run', 'step', 'examples', 'epoch', *VALUES)
AGREE = 1e-5  # a float32 momentum of 0.98 alone moves 1/(1 − m) by 1e-6


class Schedule(NamedTuple):
    """One schedule: the runs that have it, and its updates in order (COLUMNS but the run)."""

    runs: tuple[str, ...]
    rows: pd.DataFrame

    @property
    def end(self) -> int:
        """Examples seen after the last update, if its batch was whole."""
        return int(self.rows['examples'].iloc[-1] + self.rows['batch_size'].iloc[-1])

    @property
    def name(self) -> str:
        """The first run, and how many more have the schedule."""
        return self.runs[0] + (f' (+{len(self.runs) - 1})' if len(self.runs) > 1 else '')


def read(path: pathlib.Path) -> pd.DataFrame:
    """The table that a run writes with --schedule_csv.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not such a table, or an empty one.
    """
    cure = 'write it with bsresearch run --config=… --dry_run --schedule_csv=<file>'
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; {cure}')
    try:
        table = pd.read_csv(path, dtype={'run': str}, low_memory=False)
    except ValueError as e:
        raise ValueError(f'{path} is no table: {e}; {cure}') from e
    if missing := [c for c in COLUMNS if c not in table]:
        raise ValueError(f'{path} has no column {", ".join(missing)}; {cure}')
    if not len(table):
        raise ValueError(f'{path} has no rows; {cure}')
    numbers = list(COLUMNS[1:])
    if words := [c for c in numbers if not pd.api.types.is_numeric_dtype(table[c]) and table[c].notna().any()]:
        raise ValueError(f'{path}: column {words[0]} holds something other than numbers; {cure}')
    if table[['run', 'step', 'examples', 'batch_size']].isna().any(axis=None):
        raise ValueError(f'{path} has rows without run, step, examples or batch_size; {cure}')
    return table[list(COLUMNS)].astype(dict.fromkeys(numbers, float))


def schedules(table: pd.DataFrame) -> list[Schedule]:
    """The distinct schedules, in the order of their first runs; runs that differ in their seed alone share one.

    Raises:
      ValueError: a run's examples do not rise from update to update.
    """
    distinct: dict[bytes, tuple[list[str], pd.DataFrame]] = {}
    for run, rows in table.groupby('run', sort=False):
        rows = rows.drop(columns='run').sort_values('step', ignore_index=True)
        still = np.flatnonzero(np.diff(rows['examples']) <= 0)
        if len(still):
            steps = rows['step'].iloc[[still[0], still[0] + 1]].astype(int).tolist()
            raise ValueError(f'run {run}: its examples do not rise from update {steps[0]} to {steps[1]}')
        distinct.setdefault(rows.to_numpy(float).tobytes(), ([], rows))[0].append(str(run))
    return [Schedule(tuple(runs), rows) for runs, rows in distinct.values()]


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """How far each pair of schedules agrees in noise temperature over the examples that both cover.

    The relative difference |g_a − g_b|/max(|g_a|, |g_b|) is constant between the updates of either; maximum, median
    (by examples) and share are of that step function, without sampling.

    Returns:
      one row per pair, none for a single schedule: a, b (`Schedule.name`), examples (both cover), largest, median,
      agree (share of the examples where the difference is at most AGREE), updates_a, updates_b, updates_ratio (a/b).
      An undefined g makes largest and median undefined, and agrees nowhere.
    """
    columns = ['a', 'b', 'examples', 'largest', 'median', 'agree', 'updates_a', 'updates_b', 'updates_ratio']
    pairs = combinations(schedules(table), 2)
    return pd.DataFrame([_pair(a, b) for a, b in pairs], columns=columns)


def _pair(a: Schedule, b: Schedule) -> dict[str, object]:
    differences, lengths = _difference(a, b)
    covered = lengths.sum()
    known = {}
    if covered:
        order = differences.argsort()
        middle = order[np.searchsorted(lengths[order].cumsum(), covered / 2)]
        known = {
            'largest': differences.max(),
            'median': np.nan if np.isnan(differences).any() else differences[middle],
            'agree': lengths[differences <= AGREE].sum() / covered,
        }
    counts = {'updates_a': len(a.rows), 'updates_b': len(b.rows), 'updates_ratio': len(a.rows) / len(b.rows)}
    return {'a': a.name, 'b': b.name, 'examples': int(covered)} | known | counts


def _difference(a: Schedule, b: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """The relative difference on each stretch where both temperatures are constant, and the stretch's examples."""
    starts = [s.rows['examples'].to_numpy() for s in (a, b)]
    low, high = max(s[0] for s in starts), min(a.end, b.end)
    points = np.union1d(*starts)
    points = points[(points >= low) & (points < high)]
    g = [s.rows['noise_temperature'].to_numpy()[np.searchsorted(start, points, 'right') - 1]
         for s, start in zip((a, b), starts, strict=True)]  # fmt: skip
    size = np.maximum(*np.abs(g))
    gap = np.abs(g[0] - g[1])
    return np.divide(gap, size, out=np.where(np.isnan(size), np.nan, 0.0), where=size > 0), np.diff(
        np.append(points, high)
    )
