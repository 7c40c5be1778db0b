"""Branches with k times the batch (studies/critical_batch_size.py) → B* at every point, beside B_simple.

Of the k tried and the branches' smoothed losses s(k) (branch_losses.py),
  k* = the largest k with s(k) ≤ min_{j<k} s(j) + tolerance,   B* = k*·B
(Merrill et al. 2025, arXiv:2505.23971: tolerance 0.01 nats). k = 1 has none below it and always fulfils that; a k may
fail below a k* that does not (`gap`). A diverged branch has the loss ∞: it fails, and is no min for others.

B* is known between two of the k tried. At the largest of them it is a lower bound (`at least`); at 1 there is no lower
bound, as smaller batches were not tried, and the next k bounds it (`at most`). Over seeds there is no t interval: few
values, censored, on a grid of factors. The median and the range take all of that; of n independent runs the range
covers the population's median with probability 1 − 2^(1−n), 75 % for n = 3.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis.once import once
from bsresearch.analysis.quantities import branch_losses, noise_scale
from bsresearch.analysis.study import Study

TOLERANCE = 0.01  # nats
# The tolerance is a choice: B* is also given at half of it and at twice it.
FACTORS = {'half': 0.5, 'double': 2.0}
# B_simple at a point is of the measurements within this part of a window around it.
NEAR = 0.1


class Critical(NamedTuple):
    """k*, and what is known of it.

    k: NaN where no branch came to its end. bound: 'at least', 'at most', or '' for between `k` and `upper`. upper: the
    next k tried; ∞ at the largest. gap: whether a smaller k failed.
    """

    k: float
    bound: str
    upper: float
    gap: bool


class CriticalBatchSizes(NamedTuple):
    """What `find` found.

    Attributes:
      losses: `branch_losses.load` with best_smaller and within (the tolerance).
      points: a row per parent and point: run, `by`, replicate, step, examples, epoch, point (as declared), control (the
        loss at k = 1), branches, diverged, unfinished; critical (B*), bound, upper, gap, and the same of other
        tolerances as …_half, …_double; noise_scale, low, high (noise_scale.py), population, measurements.
      seeds: a row per arm and point: `by`, step, examples, epoch, runs, n (with a B*), control (mean), diverged,
        unfinished; critical, bound, upper (`median`), also …_half, …_double; lowest, highest; at_least and at_most (how
        many runs); noise_scale and population (medians, ∞ for a negative |G|²), each with …_lowest, …_highest.
      by: the fields of an arm, `batch_size` (B) first. tolerance: in nats.
    """

    losses: pd.DataFrame
    points: pd.DataFrame
    seeds: pd.DataFrame
    by: list[str]
    tolerance: float


def best_smaller(losses: np.ndarray) -> np.ndarray:
    """min_{j<k} s(j) of losses in the order of k, (n,) both; ∞ for the first, and after none but diverged ones."""
    known = np.where(np.isfinite(losses), losses, np.inf)
    return np.concatenate([[np.inf], np.minimum.accumulate(known)[:-1]])


def largest(multiples: np.ndarray, losses: np.ndarray, tolerance: float) -> Critical:
    """k* of losses s(k), (n,) both, k rising from 1; a loss that is not finite fails."""
    within = np.isfinite(losses) & (losses <= best_smaller(losses) + tolerance)
    if not within.any():
        return Critical(np.nan, '', np.nan, False)
    place = int(np.flatnonzero(within)[-1])
    last = place == len(multiples) - 1
    bound = 'at least' if last else 'at most' if place == 0 else ''
    upper = np.inf if last else float(multiples[place + 1])
    return Critical(float(multiples[place]), bound, upper, not within[:place].all())


@once
def find(study: Study, tolerance: float = TOLERANCE, runs: tuple[str, ...] | None = None) -> CriticalBatchSizes:
    """All points of all parents, or of those in `runs`.

    Raises:
      ValueError: a tolerance below 0; no branches; two branches with one k at one point.
    """
    if not (tolerance >= 0 and np.isfinite(tolerance)):
        raise ValueError(f'tolerance={tolerance}: a number of nats of at least 0 is needed')
    losses, by = branch_losses.load(study, runs)
    best = losses.groupby(['run', 'step'])['loss'].transform(lambda of_point: best_smaller(of_point.to_numpy()))
    within = np.isfinite(losses['loss']) & (losses['loss'] <= best + tolerance)
    losses = losses.assign(best_smaller=best, within=within)
    noise = _noise(study, losses)
    points = pd.DataFrame([_point(rows, by, tolerance) for _, rows in losses.groupby(['run', 'step'], sort=False)])
    points = points.merge(noise, on=['run', 'step'])
    seeds = pd.DataFrame([_over_seeds(rows, by) for _, rows in points.groupby([*by, 'step'], dropna=False)])
    return CriticalBatchSizes(losses, points, seeds, by, tolerance)


def _point(rows: pd.DataFrame, by: list[str], tolerance: float) -> dict[str, Any]:
    """One parent at one point. Where a branch is missing nothing is concluded."""
    first, size = rows.iloc[0], rows['tried'].iloc[0]
    unfinished = int(rows['loss'].isna().sum())
    nothing = Critical(np.nan, '', np.nan, False)
    at = lambda t: nothing if unfinished else largest(rows['k'].to_numpy(), rows['loss'].to_numpy(), t)
    counts = {'branches': len(rows), 'diverged': int(np.isinf(rows['loss']).sum()), 'unfinished': unfinished}
    row = {c: first[c] for c in ('run', *by, 'replicate', 'step', 'examples', 'epoch', 'point')}
    row |= {'control': first['loss'], **counts}
    for end, factor in {'': 1.0, **{f'_{name}': factor for name, factor in FACTORS.items()}}.items():
        k, bound, upper, gap = at(factor * tolerance)
        row |= {f'critical{end}': k * size, f'bound{end}': bound, f'upper{end}': upper * size, f'gap{end}': gap}
    return row


def _noise(study: Study, losses: pd.DataFrame) -> pd.DataFrame:
    """B_simple of the parents near each point, NaN where it was not measured."""
    near_points = []
    for (run, step), branches in losses.groupby(['run', 'step'], sort=False):
        rows, point = noise_scale.estimates(study.rows[str(run)]), branches.iloc[0]
        near = rows[(rows['examples'] - point['examples']).abs() <= NEAR * point['window']] if len(rows) else rows
        square, trace = near['square'].to_numpy(), near['trace'].to_numpy()
        scale = noise_scale.along_run(square, trace, point['epoch_size']) if len(near) else {}
        near_points.append({'run': run, 'step': step, 'measurements': len(near)} | scale)
    columns = ['run', 'step', 'noise_scale', 'low', 'high', 'population', 'measurements']
    return pd.DataFrame(near_points, columns=columns)


class Median(NamedTuple):
    """Over seeds, of B* with their bounds. upper: the least that all of the lower half stay below."""

    value: float
    bound: str
    upper: float


def median(values: np.ndarray, bounds: np.ndarray, uppers: np.ndarray) -> Median:
    """The median of B*, (n,) without NaN; of an even number that of the middle two on a log scale.

    bound: `at least` or `at most` where a run that is only bounded could move it that way, `unknown` where both.
    """
    if not len(values):
        return Median(np.nan, '', np.nan)
    ordered = np.sort(values)
    low, high = ordered[(len(values) - 1) // 2], ordered[len(values) // 2]
    at_least = ((bounds == 'at least') & (values <= high)).any()
    at_most = ((bounds == 'at most') & (values >= low)).any()
    bound = 'unknown' if at_least and at_most else 'at least' if at_least else 'at most' if at_most else ''
    return Median(float(np.sqrt(low * high)), bound, float(uppers[values <= high].max()))


def _over_seeds(points: pd.DataFrame, by: list[str]) -> dict[str, Any]:
    """Medians and ranges of one arm at one point."""
    known, first = points[points['critical'].notna()], points.iloc[0]
    row = {c: first[c] for c in (*by, 'step', 'examples', 'epoch')} | {'runs': len(points), 'n': len(known)}
    row |= {'control': points['control'].mean(), **{k: int(points[k].sum()) for k in ('diverged', 'unfinished')}}
    row |= {'lowest': known['critical'].min(), 'highest': known['critical'].max()}
    row |= {name.replace(' ', '_'): int((known['bound'] == name).sum()) for name in ('at least', 'at most')}
    for end in ('', *(f'_{name}' for name in FACTORS)):
        middle = median(*(known[f'{column}{end}'].to_numpy() for column in ('critical', 'bound', 'upper')))
        row |= {f'critical{end}': middle.value, f'bound{end}': middle.bound, f'upper{end}': middle.upper}
    for column in ('noise_scale', 'population'):
        size = points[column].dropna()
        row |= {column: size.median(), f'{column}_lowest': size.min(), f'{column}_highest': size.max()}
    return row


def cell(row: Any, end: str = '') -> str:
    """B* in words: ≥ where it is a lower bound, < the next one tried where there is only that."""
    value, bound, upper = (row[f'{column}{end}'] for column in ('critical', 'bound', 'upper'))
    if np.isnan(value):
        return '–'
    if bound == 'at most':
        return f'< {upper:,.0f}'
    return f'{"≥ " if bound == "at least" else "? " if bound else ""}{value:,.0f}'


def text(sizes: CriticalBatchSizes) -> str:
    """A table by arm and point, and what to know about it."""
    seeds, rows = sizes.seeds, sizes.seeds.to_dict('records')
    between = lambda row, name: '–' if np.isnan(row[name[0]]) else f'{row[name[0]]:,.0f} to {row[name[1]]:,.0f}'
    columns = seeds[[*sizes.by, 'epoch', 'examples', 'control']].rename(columns={'control': 'loss at k = 1'})
    columns['n'] = [f'{row["n"]} of {row["runs"]}' for row in rows]
    columns['B*'] = [cell(row) for row in rows]
    columns['range'] = [between(row, ('lowest', 'highest')) for row in rows]
    for name, factor in FACTORS.items():
        columns[f'B* at {factor * sizes.tolerance:g}'] = [cell(row, f'_{name}') for row in rows]
    columns['B_simple'] = seeds['noise_scale']
    columns['its range'] = [between(row, ('noise_scale_lowest', 'noise_scale_highest')) for row in rows]
    columns['B*/B_simple'] = seeds['critical'] / seeds['noise_scale']
    lines = [
        columns.to_string(index=False, float_format='{:,.4g}'.format, na_rep='–'),
        f'B*: median over seeds at a tolerance of {sizes.tolerance:g} nats, and their range; ≥: the largest '
        'batch tried passes; <: none above B does',
    ]
    return '\n'.join(lines + remarks(sizes))


def remarks(sizes: CriticalBatchSizes) -> list[str]:
    """What keeps the table from being read plainly; one sentence each."""
    points, sentences = sizes.points, []
    whats = {'unfinished': 'are not finished: their points have no B*', 'diverged': 'diverged: they fail'}
    for name, what in whats.items():
        if points[name].sum():
            sentences.append(f'{points[name].sum()} of {points["branches"].sum()} branches {what}')
    if points['gap'].any():
        sentences.append(f'at {points["gap"].sum()} of {len(points)} points of a run a batch smaller than B* fails')
    missing = points['measurements'] == 0
    if missing.any():
        sentences.append(
            f'B_simple was not measured near {missing.sum()} of {len(points)} points of a run; ask for it there: '
            'config.measure.noise_scale.at_epochs'
        )
    return sentences
