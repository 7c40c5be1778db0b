"""A metric in training: what every replicate of a cell had at each x, the mean, and its 95 % interval.

The interval is Student's t over replicates, with what counting adds (summary.py); it is cut to the values that the
metric can take. One replicate has none, nor have values without a spread.
"""

import numpy as np
import pandas as pd

from bsresearch.analysis import resolution, summary
from bsresearch.analysis.cells import Key
from bsresearch.analysis.of_runs import evaluations, unit_of
from bsresearch.analysis.once import once
from bsresearch.analysis.pace import calibrated
from bsresearch.analysis.study import Study
from bsresearch.core import lookup

# x axis by name: the column of the records, and the axis label.
POSITIONS = {
    'epochs': ('epoch', 'epochs'),
    'updates': ('step', 'updates'),
    'examples': ('examples', 'examples'),
    'seconds': ('seconds', 'training seconds (ungrouped)'),
}


def check_position(x: str) -> None:
    """Raises ValueError where x is no position."""
    if x not in POSITIONS:
        raise ValueError(f'x={x!r} is no position in training; {lookup.nearest(x, POSITIONS)}')


@once
def values(
    study: Study, key: Key, metric: str, x: str = 'epochs', *, since_branch: bool = False, relative: bool = False
) -> pd.DataFrame:
    """(x, replicates) of a metric; NaN where a replicate has none there.

    Args:
      x: one of POSITIONS; seconds are updates times the cell's mean seconds per update, so that replicates that were
        calibrated in different groups share a grid. since_branch: a branch begins at 0. relative: over the first value.
    """
    check_position(x)
    column, by_replicate = POSITIONS[x][0], {}
    members = _members(study, key)
    pace = _pace(study, list(members['id']))
    for run, replicate in zip(members['id'], members['replicate'], strict=True):
        rows = evaluations(study, run, metric)
        if not len(rows):
            continue
        number = rows[metric].to_numpy(float)
        place = rows['step'].to_numpy(float) * pace if x == 'seconds' else rows[column].to_numpy(float)
        start = _start(study, run, column, pace if x == 'seconds' else None) if since_branch else 0.0
        course = pd.Series(number / number[0] if relative else number, np.round(place - start, 9))
        by_replicate.setdefault(replicate, []).append(course[~course.index.duplicated(keep='last')])
    # Crossed replicates are averaged over the second first, as everywhere.
    courses = {r: pd.concat(c, axis=1).mean(axis=1, skipna=False) for r, c in by_replicate.items()}
    return pd.DataFrame(courses, columns=[r for r in study.replicates if r in courses]).sort_index()


def _members(study: Study, key: Key) -> pd.DataFrame:
    runs = study.trained
    return runs[runs['cell'] == key]


def _pace(study: Study, runs: list[str]) -> float:
    """Mean seconds per update, as calibrated."""
    paces = [of_run for run in runs if np.isfinite(of_run := calibrated(study, run))]
    return float(np.mean(paces)) if paces else float('nan')


def _start(study: Study, run: str, column: str, pace: float | None) -> float:
    """Where a branch begins: its parent's point; 0 of a run from the start."""
    facts = study.runs.loc[run]
    if not isinstance(facts.get('parent.run'), str):
        return 0.0
    if column == 'epoch':
        return float(facts['parent.epoch'])
    if pace is not None:
        return float(facts['parent.step']) * pace
    rows = study.rows[run]
    return float(facts['parent.step']) if column == 'step' else float(rows[column].iloc[0]) if len(rows) else 0.0


@once
def of(
    study: Study, key: Key, metric: str, x: str = 'epochs', *, since_branch: bool = False, relative: bool = False
) -> pd.DataFrame:
    """Mean and interval of a metric at each x.

    Returns:
      a row for each x: x, runs, n, diverged (by then), mean, low, high. Of what is left after a divergence it is the
      mean: read it together with `diverged`.
    """
    table = values(study, key, metric, x, since_branch=since_branch, relative=relative)
    members = _members(study, key)
    gone = [r for run, r in zip(members['id'], members['replicate'], strict=True) if study.status(run) == 'diverged']
    ends = np.array([table[r].last_valid_index() if r in table else -np.inf for r in gone], float)
    places = table.index.to_numpy(float)
    n, mean, std = table.count(axis=1), table.mean(axis=1), table.std(axis=1)
    rounding = 0.0 if relative else resolution.variance(metric, table.to_numpy().ravel())
    low, high = summary.interval(n.to_numpy(), mean.to_numpy(float), std.to_numpy(float), rounding)
    if not relative:
        low, high = np.maximum(low, unit_of(metric).low), np.minimum(high, unit_of(metric).high)
    diverged = (ends[None, :] < places[:, None]).sum(axis=1) if len(ends) else np.zeros(len(places), int)
    counts = {'x': places, 'runs': len(members), 'n': n.to_numpy(), 'diverged': diverged}
    return pd.DataFrame(counts | {'mean': mean.to_numpy(float), 'low': low, 'high': high})
