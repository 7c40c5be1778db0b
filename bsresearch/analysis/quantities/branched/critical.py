"""Branches with k times the batch (studies/critical_batch_size.py) → B* at every point, beside B_simple.

Of the k tried and the branches' smoothed losses s(k) (losses.py), each with its learning rate (rates.py),
  k* = the largest k with s(k) ≤ min_{j<k} s(j) + tolerance,   B* = k*·B
(Merrill et al. 2025, arXiv:2505.23971: tolerance 0.01 nats; it is raised to what scatter alone makes of free batches,
tolerance.py). k = 1 has none below it and always fulfils that; a k may fail below a k* that does not (`gap`). A
diverged branch has the loss ∞: it fails, and is no min for others.

B* is known between two of the k tried. At the largest of them it is a lower bound (`at least`); at 1 there is no lower
bound, as smaller batches were not tried, and the next k bounds it (`at most`). Where the best rate tried at a k was the
smallest or largest, s(k) could be lower: such a k may pass, and larger ones may fail by it (`lower`, `upper`).

Over seeds there is no t interval: few values, censored, on a grid of factors. The median and the range take all of
that; of n independent runs the range covers the population's median with probability 1 − 2^(1−n), 75 % for n = 3.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis.once import once
from bsresearch.analysis.quantities.branched import losses as branch_losses
from bsresearch.analysis.quantities.branched import noise, rates
from bsresearch.analysis.quantities.branched import tolerance as tolerances
from bsresearch.analysis.study import Study

TOLERANCE = 0.01  # nats
# The tolerance is a choice: B* is also given at half of it and at twice it.
FACTORS = {'half': 0.5, 'double': 2.0}


class Critical(NamedTuple):
    """k*, and what is known of it.

    k: NaN where no branch came to its end. bound: 'at least', 'at most', or '' for between `k` and `upper`. upper: the
    next k tried; ∞ at the largest. gap: whether a smaller k failed. lower: the largest k that is sure to pass. `lower`
    and `upper` are further apart than k and the next one where a best rate lies on the edge of those tried.
    """

    k: float
    bound: str
    upper: float
    gap: bool
    lower: float


NOTHING = Critical(np.nan, '', np.nan, False, np.nan)


class CriticalBatchSizes(NamedTuple):
    """What `find` found.

    Attributes:
      losses: those of rates.of_rate with tolerance, best_smaller and within (the tolerance).
      points: a row per parent and point: run, `by`, replicate, step, examples, epoch, point (as declared), control (the
        loss at k = 1), branches, diverged, unfinished, edges (k whose best rate is on the edge of those tried), alone,
        tolerance (in force), scatter (σ̂, tolerance.py); critical (B*), bound, lower, upper, gap, and the same of other
        tolerances as …_half, …_double, …_asked (not raised); the columns of noise.near_points.
      seeds: a row per arm and point: `by`, step, examples, epoch, runs, n (with a B*), control (mean), diverged,
        unfinished, edges, tolerance, scatter; critical, bound, upper (`median`), also …_half, …_double, …_asked;
        lowest, highest; least, most (ends of what is known of any run, in examples, 0 and ∞ for none); at_least and
        at_most (how many runs); noise_scale, curvature_noise_scale and population (medians, ∞ for a denominator below
        0), each with …_lowest, …_highest.
      by: the fields of an arm, `batch_size` (B) first. tolerance: asked for, in nats. rate: one of rates.RATES.
    """

    losses: pd.DataFrame
    points: pd.DataFrame
    seeds: pd.DataFrame
    by: list[str]
    tolerance: float
    rate: str


def best_smaller(losses: np.ndarray) -> np.ndarray:
    """min_{j<k} s(j) of losses in the order of k, (n,) both; ∞ for the first, and after none but diverged ones."""
    known = np.where(np.isfinite(losses), losses, np.inf)
    return np.concatenate([[np.inf], np.minimum.accumulate(known)[:-1]])


def largest(multiples: np.ndarray, losses: np.ndarray, tolerance: float, edges: np.ndarray | None = None) -> Critical:
    """k* of losses s(k), (n,) both, k rising from 1; a loss that is not finite fails. edges: (n,) s(k) may be lower."""
    within = np.isfinite(losses) & (losses <= best_smaller(losses) + tolerance)
    if not within.any():
        return NOTHING
    edges = np.zeros(len(losses), bool) if edges is None else edges
    place = int(np.flatnonzero(within)[-1])
    bound = 'at least' if place == len(multiples) - 1 else 'at most' if place == 0 else ''
    sure = within & (np.cumsum(edges) - edges == 0)  # no smaller one could be lower
    possible = int(np.flatnonzero(within | edges)[-1])
    upper = np.inf if possible == len(multiples) - 1 else float(multiples[possible + 1])
    lower = float(multiples[sure][-1]) if sure.any() else float(multiples[0])
    return Critical(float(multiples[place]), bound, upper, not within[:place].all(), lower)


@once
def find(
    study: Study,
    tolerance: float = TOLERANCE,
    runs: tuple[str, ...] | None = None,
    rate: str = rates.RULE,
    raised: bool = True,
) -> CriticalBatchSizes:
    """All points of all parents, or of those in `runs`.

    Args:
      tolerance: nats by which a loss may exceed the lowest of smaller batches. rate: one of rates.RATES. raised: to the
        scatter of the losses, where that is more.

    Raises:
      ValueError: a tolerance below 0; no branches; two branches with one k and rate at one point. LookupError: no
        branches with this rate.
    """
    if not (tolerance >= 0 and np.isfinite(tolerance)):
        raise ValueError(f'tolerance={tolerance}: a number of nats of at least 0 is needed')
    every, by = branch_losses.load(study, runs)
    losses = rates.of_rate(every, rate, by)
    losses = losses.merge(_tolerances(losses, by, tolerance, raised), on=['run', 'step'])
    best = losses.groupby(['run', 'step'])['loss'].transform(lambda of_point: best_smaller(of_point.to_numpy()))
    within = np.isfinite(losses['loss']) & (losses['loss'] <= best + losses['tolerance'])
    losses = losses.assign(best_smaller=best, within=within)
    points = pd.DataFrame([_point(rows, by, tolerance) for _, rows in losses.groupby(['run', 'step'], sort=False)])
    points = points.merge(noise.near_points(study, losses), on=['run', 'step'])
    seeds = pd.DataFrame([_over_seeds(rows, by) for _, rows in points.groupby([*by, 'step'], dropna=False)])
    return CriticalBatchSizes(losses, points, seeds, by, tolerance, rate)


def of_rates(
    study: Study,
    tolerance: float = TOLERANCE,
    runs: tuple[str, ...] | None = None,
    asked: tuple[str, ...] = rates.RATES,
    raised: bool = True,
) -> list[CriticalBatchSizes]:
    """Of each of the rates that was tried; arguments and errors as of `find`."""
    sizes, missing = [], ''
    for rate in asked:
        try:
            sizes.append(find(study, tolerance, runs, rate, raised))
        except LookupError as error:
            missing = str(error)
    if not sizes:
        raise ValueError(f'{study.workdir}: {missing}')
    return sizes


def _tolerances(losses: pd.DataFrame, by: list[str], asked: float, raised: bool) -> pd.DataFrame:
    """run, step, tolerance, scatter: alike for all replicates of an arm at a point."""
    tables = []
    for _, rows in losses.groupby([*by, 'step'], dropna=False):
        wide = rows.pivot(index='run', columns='k', values='loss')
        in_force, sigma = tolerances.in_force(asked, wide.to_numpy())
        points = rows[['run', 'step']].drop_duplicates()
        tables.append(points.assign(tolerance=in_force if raised else asked, scatter=sigma))
    return pd.concat(tables)


def _point(rows: pd.DataFrame, by: list[str], asked: float) -> dict[str, Any]:
    """One parent at one point. Where a branch is missing nothing is concluded."""
    first, size = rows.iloc[0], rows['tried'].iloc[0]
    unfinished = int(rows['loss'].isna().sum())
    k, loss, edges = rows['k'].to_numpy(), rows['loss'].to_numpy(), rows['edge'].to_numpy(bool)
    at = lambda t: NOTHING if unfinished else largest(k, loss, t, edges)
    counts = {'branches': len(rows), 'diverged': int(np.isinf(rows['loss']).sum()), 'unfinished': unfinished}
    counts |= {'edges': int(rows['edge'].sum()), 'alone': bool(rows['alone'].any())}
    row = {c: first[c] for c in ('run', *by, 'replicate', 'step', 'examples', 'epoch', 'point')}
    row |= {'control': first['loss'], **counts, 'tolerance': first['tolerance'], 'scatter': first['scatter']}
    others = {f'_{name}': factor * first['tolerance'] for name, factor in FACTORS.items()}
    for end, tolerance in {'': first['tolerance'], **others, '_asked': asked}.items():
        largest_passing = at(tolerance)
        sizes = {'critical': largest_passing.k, 'lower': largest_passing.lower, 'upper': largest_passing.upper}
        row |= {f'{name}{end}': k * size for name, k in sizes.items()}
        row |= {f'bound{end}': largest_passing.bound, f'gap{end}': largest_passing.gap}
    return row


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
    row |= {'control': points['control'].mean(), 'tolerance': first['tolerance'], 'scatter': first['scatter']}
    row |= {k: int(points[k].sum()) for k in ('diverged', 'unfinished', 'edges')}
    row |= {'lowest': known['critical'].min(), 'highest': known['critical'].max()}
    row |= {'least': ends_of(known)[0].min(), 'most': ends_of(known)[1].max()}
    row |= {name.replace(' ', '_'): int((known['bound'] == name).sum()) for name in ('at least', 'at most')}
    for end in ('', *(f'_{name}' for name in (*FACTORS, 'asked'))):
        middle = median(*(known[f'{column}{end}'].to_numpy() for column in ('critical', 'bound', 'upper')))
        row |= {f'critical{end}': middle.value, f'bound{end}': middle.bound, f'upper{end}': middle.upper}
    for column in (*noise.SCALES, 'population'):
        size = points[column].dropna()
        row |= {column: size.median(), f'{column}_lowest': size.min(), f'{column}_highest': size.max()}
    return row


def ends_of(points: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Between what B* lies at each of `points`, in examples: from 0 where no smaller batch was tried, to below ∞."""
    return points['lower'].mask(points['lower'] <= points['batch_size'], 0.0), points['upper']
