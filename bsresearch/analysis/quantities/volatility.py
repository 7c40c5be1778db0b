"""How unsteady training stays, and how soon it arrives: of each run, then over seeds.

Volatility: the sample standard deviation √(Σ(a − ā)²/(n − 1)) of a metric over the n evaluations in the last k epochs,
T − k < epoch ≤ T. A trend counts as volatility; without it, √(Σr²/(n − 2)) of the residuals r of the least-squares line
in the epoch. Both in the metric's unit.

Epochs to a threshold: those at the first evaluation at or above it, so late by up to one interval between evaluations.
A run that ended without is censored: ∞, that is later than its length, and not missing (NaN: it has not ended yet).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import resolution, summary, unreached
from bsresearch.analysis.arms import SEEDS, Arms

QUANTITIES = ('final', 'level', 'volatility', 'volatility_detrended', 'epochs_to')


def deviation(epochs: np.ndarray, values: np.ndarray, *, detrend: bool = False) -> float:
    """Standard deviation of `values` (n,), about their line in `epochs` (n,) with `detrend`; NaN where n is too small.

    The smallest n is 2, or 3 with `detrend`.
    """
    parameters = 2 if detrend else 1
    if len(values) <= parameters:
        return float('nan')
    rest = values - values.mean()
    if detrend:
        t = epochs - epochs.mean()
        rest = rest - t * (t @ rest) / (t @ t)
    return float(np.sqrt(rest @ rest / (len(values) - parameters)))


def first_at(epochs: np.ndarray, values: np.ndarray, threshold: float) -> float:
    """The first of the rising `epochs` (n,) at which `values` (n,) are at least the threshold; ∞ if they never are."""
    there = np.flatnonzero(values >= threshold)
    return float(epochs[there[0]]) if len(there) else float('inf')


def window(total_epochs: float, last: float | None) -> float:
    """k, the last epochs of a run that count: `last`, or a quarter of the run.

    Raises:
      ValueError: `last` is not positive, or longer than the run.
    """
    if last is None:
        return total_epochs / 4
    if not 0 < last <= total_epochs:
        raise ValueError(
            f'volatility over the last {last:g} epochs of a run of {total_epochs:g}: allowed are more than 0 and at '
            f'most {total_epochs:g}; give fewer'
        )
    return last


def of_runs(loaded: Arms, metric: str, threshold: float, last: float | None = None) -> pd.DataFrame:
    """What each run came to.

    Args:
      loaded: of `arms.load`. metric: a column of its rows. threshold: of `epochs_to`, in the metric's unit.
      last: epochs of `level` and the volatilities; None: a quarter of the run.

    Returns:
      one row per run: the seeds, `loaded.by`, run, outcome (done, diverged or unfinished), until (its whole length in
      epochs), `QUANTITIES`: final, the last value; level, the mean over the window; volatility, volatility_detrended;
      epochs_to (all but this are NaN unless the run is done); and `rounding_final`, `rounding_level`, the variance
      that counting adds to these.

    Raises:
      ValueError: no run has the metric, or as `window`.
    """
    if metric not in loaded.rows or not loaded.rows[metric].notna().any():
        raise unreached.lacking(loaded, 'evaluate', [metric])
    fields = list(dict.fromkeys([*(s for s in SEEDS if s in loaded.runs), *loaded.by]))
    rows_of = dict(list(loaded.rows.groupby('run', sort=False)))
    by_run = []
    for run in loaded.runs.to_dict('records'):
        k = window(run['total_epochs'], last)
        by_run.append(
            {c: run[c] for c in fields} | {'run': run['run']} | _run(run, rows_of[run['run']], metric, k, threshold)
        )
    table, rounding = pd.DataFrame(by_run), resolution.variance(metric, loaded.rows[metric])
    of_level = rounding / table['evaluations'].astype(float)
    return table.drop(columns='evaluations').assign(rounding_final=rounding, rounding_level=of_level)


def _run(run: dict[str, Any], rows: pd.DataFrame, metric: str, k: float, threshold: float) -> dict[str, Any]:
    """`of_runs` of one run, without its names."""
    lost = rows['diverged'].eq(True) if 'diverged' in rows else pd.Series(False, index=rows.index)
    gone = run['status'] == 'diverged' or bool(lost.any())
    outcome = 'diverged' if gone else 'done' if run['status'] == 'done' else 'unfinished'
    points = rows[rows[metric].notna() & ~lost].sort_values('epoch')
    epochs, values = (points[c].to_numpy(float) for c in ('epoch', metric))
    reached = first_at(epochs, values, threshold)
    facts = {'outcome': outcome, 'until': run['total_epochs']}
    facts |= dict.fromkeys((*QUANTITIES, 'evaluations'), np.nan)
    facts['epochs_to'] = np.nan if outcome == 'unfinished' and np.isinf(reached) else reached
    late = epochs > run['total_epochs'] - k
    if outcome == 'done' and late.any():
        e, v = epochs[late], values[late]
        facts |= {'final': v[-1], 'level': v.mean(), 'volatility': deviation(e, v), 'evaluations': len(v)}
        facts['volatility_detrended'] = deviation(e, v, detrend=True)
    return facts


def over_seeds(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean and 95 % interval of every quantity over the runs of an arm, and the median.

    A mean over those that reached a threshold says nothing of the others: with censored runs there is none (NaN). The
    median counts ∞ as later than all.

    Args:
      table: of `of_runs`. by: its columns that name an arm.

    Returns:
      one row per arm and quantity: by, quantity, runs, n, diverged, unfinished, censored, mean, std, low, high, median.
    """
    estimates = []
    for arm, rows in table.groupby(list(by), dropna=False, sort=True):
        counts = {'runs': len(rows)} | {o: int((rows['outcome'] == o).sum()) for o in ('diverged', 'unfinished')}
        for quantity in QUANTITIES:
            values = rows[quantity].dropna().to_numpy(float)
            censored = int(np.isinf(values).sum())
            known = np.full(len(values), np.nan) if censored else values
            moments = {'mean': known.mean() if len(known) else np.nan}
            moments['std'] = known.std(ddof=1) if len(known) > 1 else np.nan
            rounding = rows[f'rounding_{quantity}'].mean() if quantity in ('final', 'level') else 0.0
            estimate = (
                {'quantity': quantity, 'rounding': rounding, 'n': len(values) - censored, 'censored': censored}
                | counts
                | moments
            )
            estimate['median'] = float(np.median(values)) if len(values) else np.nan
            estimates.append(dict(zip(by, arm, strict=True)) | estimate)
    result = pd.DataFrame(estimates)
    low, high = summary.interval(*(result[c].to_numpy(float) for c in ('n', 'mean', 'std', 'rounding')))
    counts = ['runs', 'n', 'diverged', 'unfinished', 'censored']
    return result.assign(low=low, high=high)[[*by, 'quantity', *counts, *summary.VALUES, 'median']]
