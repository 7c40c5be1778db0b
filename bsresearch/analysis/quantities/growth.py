"""How ‖θ_t − θ_0‖ grows: a + b·ln t (Hoffer et al. 2017, arXiv:1705.08741) against c·t^p (Shen's curves), by AIC.

Both are fitted to the distance itself by least squares, so that their AIC = n ln(RSS/n) + 2·3 are comparable; neither b
nor p depends on whether t counts updates, examples or epochs. Neighbouring points of a run are not independent: the AIC
tells which curve is nearer, its difference is no evidence ratio. Intervals are over runs (summary.interval).
"""

import pathlib
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize

from bsresearch.analysis import arms, summary

PARAMETERS = 3  # two of the curve, and the residual variance
FEWEST = 6


class Fit(NamedTuple):
    """A curve's two parameters (a, b or c, p), its AIC and R²."""

    first: float
    second: float
    aic: float
    r2: float


def _fit(first: float, second: float, values: np.ndarray, predicted: np.ndarray) -> Fit:
    rss = float(((values - predicted) ** 2).sum())
    total = float(((values - values.mean()) ** 2).sum())
    aic = len(values) * float(np.log(rss / len(values))) + 2 * PARAMETERS if rss else -np.inf
    return Fit(float(first), float(second), aic, 1 - rss / total if total else np.nan)


def logarithm(t: np.ndarray, distance: np.ndarray) -> Fit:
    """Least squares of a + b·ln t; t, distance: (n,), t positive."""
    columns = np.stack([np.ones(len(t)), np.log(t)], axis=1)
    (a, b), *_ = np.linalg.lstsq(columns, distance, rcond=None)
    return _fit(a, b, distance, columns @ np.array([a, b]))


def power(t: np.ndarray, distance: np.ndarray) -> Fit:
    """Least squares of c·t^p in the distance itself, c in closed form for each p in [0, 2]."""
    # Scaled, so that no power overflows.
    s = t / t.max()

    def best(p: float) -> tuple[float, np.ndarray]:
        basis = s**p
        c = float(basis @ distance / (basis @ basis))
        return c, c * basis

    rss = lambda p: float(((distance - best(p)[1]) ** 2).sum())
    grid = np.linspace(0, 2, 81)
    start = grid[int(np.argmin([rss(p) for p in grid]))]
    minimum = optimize.minimize_scalar(rss, bounds=(max(0.0, start - 0.05), min(2.0, start + 0.05)), method='bounded')
    p = float(minimum.x)
    c, predicted = best(p)
    return _fit(c / t.max() ** p, p, distance, predicted)


def fits(workdir: pathlib.Path) -> pd.DataFrame:
    """Both fits of each run over updates t ≥ 1.

    Returns:
      one row per run with enough points: run, outcome (done, diverged or unfinished), the fields of its arm, points,
      distance (the last), log_slope, log_aic, log_r2, exponent, power_aic, power_r2, better ('log' or 'power'); of one
      with fewer the first alone.

    Raises:
      ValueError: no run has the distance at enough points.
    """
    loaded = arms.load(workdir)
    fitted = []
    rows = loaded.rows
    gone = set(rows.loc[summary.diverged(rows), 'run'])
    if 'distance' in rows:
        for run, points in rows[rows['distance'].notna() & (rows['step'] > 0)].groupby('run', sort=False):
            points = points.sort_values('step')
            outcome = 'diverged' if run in gone else 'done' if points['status'].iloc[0] == 'done' else 'unfinished'
            facts = {'run': run, 'outcome': outcome, **{c: points[c].iloc[0] for c in loaded.by}, 'points': len(points)}
            if len(points) < FEWEST:
                fitted.append(facts)
                continue
            t, distance = points['step'].to_numpy(float), points['distance'].to_numpy(float)
            log, pow_ = logarithm(t, distance), power(t, distance)
            fitted.append(
                facts
                | {'distance': distance[-1]}
                | {'log_slope': log.second, 'log_aic': log.aic, 'log_r2': log.r2}
                | {'exponent': pow_.second, 'power_aic': pow_.aic, 'power_r2': pow_.r2}
                | {'better': 'log' if log.aic < pow_.aic else 'power'}
            )
    if not any('distance' in row for row in fitted):
        raise ValueError(
            f'no run in {workdir} has its distance at {FEWEST} points or more; ask for it: '
            '--config.measure.distance.log_spaced=30'
        )
    return pd.DataFrame(fitted)


def by_arm(table: pd.DataFrame, fields: list[str]) -> pd.DataFrame:
    """Mean and 95 % interval of distance, slope and exponent, and how many runs the power law fits better.

    Over the n runs that came to their end and have enough points; the other `runs` are counted as `diverged`,
    `unfinished` or `short`.
    """
    rows = []
    for arm, members in table.groupby(fields, dropna=False):
        row = dict(zip(fields, arm if isinstance(arm, tuple) else (arm,), strict=True))
        outcome, short = members['outcome'], members['distance'].isna()
        counts = {o: int((outcome == o).sum()) for o in ('diverged', 'unfinished')}
        counts['short'] = int(((outcome == 'done') & short).sum())
        runs, members = len(members), members[(outcome == 'done') & ~short]
        row |= {'runs': runs, 'n': len(members), **counts}
        for column in ('distance', 'log_slope', 'exponent'):
            count, mean, std = (np.array([x]) for x in (len(members), members[column].mean(), members[column].std()))
            low, high = summary.interval(count, mean, std)
            row |= {column: mean[0], f'{column}_low': low[0], f'{column}_high': high[0]}
        rows.append(row | {'power_better': int((members['better'] == 'power').sum())})
    return pd.DataFrame(rows)
