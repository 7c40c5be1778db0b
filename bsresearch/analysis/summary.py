"""Tables of records → mean and 95 % interval over the runs of an arm, which differ in their seeds alone.

Mean m and sample standard deviation s of n runs give Student's interval m ± t_{0.975, n−1}·√((s² + r)/n), with r the
variance that rounding adds to a value that was counted (resolution.py), 0 for others.  It is the interval of the mean
over independent, roughly normal runs, which differ in their seeds, on this one test set: another test set is not in it.
One run has none (NaN, not width 0), nor have values without any spread.  In every row
`runs` = `n` + `diverged` + runs without a finite value there (they stopped earlier, or have not come so far).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from bsresearch.analysis import resolution
from bsresearch.store import older

LEVEL = 0.95
ROUNDING = 1e-12  # relative


def varies(variance: np.ndarray | float, mean: np.ndarray | float) -> Any:
    """Whether there is a spread beyond float64's own rounding; without it an interval would decide on nothing."""
    return variance > (ROUNDING * np.abs(mean)) ** 2


def half_width(error: Any, freedom: Any, level: float = LEVEL) -> Any:
    """Half of Student's interval, t_{(1 + level)/2, freedom}·error, of an estimate with a standard error."""
    return special.stdtrit(freedom, (1 + level) / 2) * error


def interval(
    n: np.ndarray, mean: np.ndarray, std: np.ndarray, rounding: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the mean, of n values with sample standard deviation `std`; NaN where n < 2 or nothing varies.

    All (k,). rounding: variance that it adds to each value.
    """
    variance = np.where(n > 1, std**2 + rounding, 0.0)
    known = varies(variance, mean)
    width = np.full(len(n), np.nan)
    width[known] = half_width(np.sqrt(variance[known] / n[known]), n[known] - 1)
    return mean - width, mean + width


def final(table: pd.DataFrame, metrics: Sequence[str], by: Sequence[str]) -> pd.DataFrame:
    """Mean and interval of each metric at the last point at which an arm's finished runs were evaluated.

    Only runs that are done have a final value; the others are counted as `diverged` or `unfinished`.  The point is
    the last `step` at which a finished run has any of the metrics, so an older value never stands in for a last one
    that is not finite.

    Args:
      table: rows of `records.load`: run, status, step, the metrics and the columns of `by`, whose values name an arm:
        all config columns that vary, but the seeds. metrics: columns that are recorded at the same points.

    Returns:
      one row per arm and metric, also where n = 0: by, metric, runs, n, diverged, unfinished, mean, std, low, high.

    Raises:
      ValueError: runs of an arm are no repetitions (of one seed, or of different lengths), or older rows hold another
        loss (`check_plain`).
    """
    table = table.assign(gone=_diverged(table))
    estimates = []
    for arm, rows in table.groupby(list(by), dropna=False, sort=True):
        names, of_run = dict(zip(by, arm, strict=True)), rows.groupby('run')
        runs, gone = of_run.ngroups, int(of_run['gone'].any().sum())
        done = rows[(rows['status'] == 'done') & ~rows['gone']]
        _check_seeds(rows, names)
        _check_ends(done, names)
        evaluated = done[done[list(metrics)].notna().any(axis=1)]
        last = evaluated[evaluated['step'] == evaluated['step'].max()]
        counts = {'runs': runs, 'diverged': gone, 'unfinished': runs - gone - done['run'].nunique()}
        for metric in metrics:
            check_plain(_newest(done, metric), metric)
            values, rounding = last[metric].dropna().astype(float), resolution.variance(metric, rows[metric])
            moments = {'n': len(values), 'mean': values.mean(), 'std': values.std(), 'rounding': rounding}
            estimates.append(names | {'metric': metric} | counts | moments)
    result = pd.DataFrame(estimates)
    low, high = interval(*(result[c].to_numpy() for c in ('n', 'mean', 'std', 'rounding')))
    return result.assign(low=low, high=high).drop(columns='rounding')


def objective_only(table: pd.DataFrame, metric: str) -> list[str]:
    """The runs of which some row has no plain loss `metric`, but the training objective: an older version wrote it."""
    objective = older.objective_of(metric)
    if objective not in table:
        return []
    missing = table[metric].isna() if metric in table else True
    return sorted(table.loc[table[objective].notna() & missing, 'run'].unique())


def check_plain(table: pd.DataFrame, metric: str) -> None:
    """Raises ValueError where a loss would be compared with one that holds label smoothing, or left out for it."""
    runs = objective_only(table, metric)
    if runs:
        raise ValueError(
            f'{metric} is not known for all of run{"s" * (len(runs) > 1)} {", ".join(runs)}: an older version recorded '
            f'the loss with label smoothing, which is {older.objective_of(metric)} now; run them anew in another '
            'workdir, or move them out of this one'
        )


def _newest(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Each run's last row with the metric, or with the objective in its place."""
    known = [c for c in (metric, older.objective_of(metric)) if c in table]
    return table.dropna(subset=known, how='all').sort_values('step').drop_duplicates('run', keep='last')


def _check_seeds(rows: pd.DataFrame, names: Mapping[str, Any]) -> None:
    """Raises ValueError where two runs of an arm have one seed: something else sets them apart, and was pooled."""
    seeds = [c for c in ('seed', 'init_seed', 'data_seed') if c in rows]
    if 'seed' not in seeds:
        return
    runs = rows.drop_duplicates('run')
    same = runs[runs.duplicated(seeds, keep=False)]
    if len(same):
        first = same[(same[seeds] == same[seeds].iloc[0]).all(axis=1)]['run'].tolist()[:2]
        raise ValueError(
            f'runs {first[0]} and {first[1]} of {_named(names)} have one seed: something else sets them apart, and is '
            'not to be averaged over; use a workdir of its own for each value of it'
        )


def _check_ends(done: pd.DataFrame, names: Mapping[str, Any]) -> None:
    """Raises ValueError where finished runs of an arm end at different updates: the shorter ones would be left out."""
    ends = done.groupby('run')['step'].max()
    if ends.nunique() > 1:
        raise ValueError(
            f'finished runs of {_named(names)} end at different updates, {ends.min():g} to {ends.max():g}: they are no '
            'repetitions of one run; use a workdir of its own for each length or batch size'
        )


def _named(names: Mapping[str, Any]) -> str:
    return ', '.join(f'{k} = {v}' for k, v in names.items())


def _diverged(table: pd.DataFrame) -> pd.Series:
    """(rows,): whether the row's run diverged; while its group goes on, only its last row says so."""
    gone = table['status'] == 'diverged'
    if 'diverged' in table:
        gone |= table['diverged'].eq(True).fillna(False).astype(bool).groupby(table['run']).transform('any')
    return gone
