"""What a run takes at each batch size, tried or not: length, seconds, joules, loss, as draws of a posterior."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from bsresearch.advice.fits import curve, levels
from bsresearch.advice.fits.levels import Sample
from bsresearch.advice.table import STEPS, Runs

# Standard deviations where the runs themselves do not tell them: of ln length between seeds; of ln time and energy per
# example of one program on one machine; of losses between seeds, as a part of how much they differ between batch sizes.
LENGTH_SPREAD, PACE_SPREAD, LOSS_SPREAD = 0.1, 0.02, 0.1
# Nothing is told beyond that factor outside of what was tried.
BEYOND = 2.0
# A mean over runs is that over the middles of equally likely parts of their distribution, in standard deviations.
PARTS = special.ndtri((np.arange(9) + 0.5) / 9)


class Estimate(NamedTuple):
    """mean: (d, k) of runs at each batch size. run: (d, k) of a single new one."""

    mean: np.ndarray
    run: np.ndarray


class Estimates(NamedTuple):
    """At k batch sizes.

    Attributes:
      batch_size: (k,), rising. tried: (k,) whether there are runs. candidate: (k,) whether it may be named.
      reached: (k,) whether any run reached its target there; of one that was not tried, at both neighbours.
      quantities: by name, `length` (in the unit of the runs), seconds, joules, loss.
      within: by the same names, (k,) whether it was measured there or on both sides.
      growth: (d, k) draws of ln length, without its being counted.
    """

    batch_size: np.ndarray
    tried: np.ndarray
    candidate: np.ndarray
    reached: np.ndarray
    quantities: Mapping[str, Estimate]
    within: Mapping[str, np.ndarray]
    growth: np.ndarray


def candidates(sizes: np.ndarray) -> np.ndarray:
    """Batch sizes that may be named: those tried, and powers of two between neighbours more than a factor 2 apart."""
    between = [
        2.0**power
        for low, high in itertools.pairwise(sizes)
        if high > 2 * low
        for power in range(int(np.floor(np.log2(low))), int(np.ceil(np.log2(high))) + 1)
        if low < 2.0**power < high
    ]
    return np.union1d(sizes, between)


def of_runs(runs: Runs, sizes: np.ndarray) -> Estimates:
    """From runs that are alike but for the batch size, at (k,) rising ones that include all tried."""
    place = np.searchsorted(sizes, runs.batch_size)
    quantities: dict[str, Estimate] = {}
    within: dict[str, np.ndarray] = {}
    growth = np.empty((0, len(sizes)))
    if runs.timed:
        quantities['length'], growth = _length(runs, place, sizes)
        within['length'] = _between(sizes, runs.sizes)
        for seed, name in ((1, 'seconds'), (2, 'joules')):
            per = getattr(runs, name)
            if np.isfinite(per).any():
                pace, known = _pace(np.log(per), place, sizes, seed)
                quantities[name] = Estimate(*(n * each for n, each in zip(quantities['length'], pace, strict=True)))
                within[name] = _between(sizes, known) & within['length']
    if np.isfinite(runs.loss).any():
        known, lost = (np.unique(runs.batch_size[which]) for which in (np.isfinite(runs.loss), np.isinf(runs.loss)))
        quantities['loss'] = possible(_loss(runs.loss, place, sizes), runs)
        within['loss'] = _between(sizes, known) & ~np.isin(sizes, lost)  # where some diverged, the rest would flatter
    tried = np.isin(sizes, runs.sizes)
    candidate = np.isin(sizes, candidates(runs.sizes))
    return Estimates(sizes, tried, candidate, _reached(runs, sizes), quantities, within, growth)


def _reached(runs: Runs, sizes: np.ndarray) -> np.ndarray:
    """(k,) whether any run reached its target at the batch size, or at both tried ones next to it."""
    tried = runs.sizes
    reached = np.isin(tried, runs.batch_size[runs.reached])
    below = np.clip(np.searchsorted(tried, sizes, side='right') - 1, 0, len(tried) - 1)
    above = np.clip(np.searchsorted(tried, sizes), 0, len(tried) - 1)
    return reached[below] & reached[above]


def _between(sizes: np.ndarray, known: np.ndarray) -> np.ndarray:
    return (sizes >= known[0]) & (sizes <= known[-1])


def _length(runs: Runs, place: np.ndarray, sizes: np.ndarray) -> tuple[Estimate, np.ndarray]:
    """Of a run to its target, as it is counted; and (d, k) draws of ln length, without that."""
    sample = Sample(place, runs.low, runs.high)
    draws = levels.draw(curve.smooth(sizes, float(sample.middle.mean())), sample, LENGTH_SPREAD)
    each = runs.granularity / (runs.batch_size if runs.told == STEPS else 1.0)
    step = np.median(each[runs.reached]) * (sizes if runs.told == STEPS else np.ones(len(sizes)))
    counted = lambda z: rounded_up(np.exp(draws.level + draws.spread * z), step)
    return _estimate(counted, draws.level.shape, seed=3), draws.level


def _estimate(value: Callable[[Any], np.ndarray], shape: tuple[int, ...], seed: int) -> Estimate:
    """Of what a run takes that lies so many standard deviations, a number or (d, k), off its level."""
    new = np.random.default_rng(seed).normal(size=shape)
    return Estimate(np.mean([value(z) for z in PARTS], axis=0), value(new))


def rounded_up(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    """To multiples of `step`; as they are where that is 0."""
    safe = np.where(step > 0, step, 1.0)
    return np.where(step > 0, np.ceil(values / safe) * step, values)


def _pace(per: np.ndarray, place: np.ndarray, sizes: np.ndarray, seed: int) -> tuple[Estimate, np.ndarray]:
    """What a unit of length costs a run, from the ln of it in each; and where it was measured."""
    known = np.isfinite(per)
    sample = Sample(place[known], per[known], per[known])
    draws = levels.draw(curve.smooth(sizes, float(per[known].mean())), sample, PACE_SPREAD, seed)
    each = lambda z: np.exp(draws.level + draws.spread * z)
    return _estimate(each, draws.level.shape, seed + 5), sizes[np.unique(place[known])]


def possible(loss: Estimate, runs: Runs) -> Estimate:
    """Cut to the losses that there can be."""
    return Estimate(*(np.clip(part, *runs.possible) for part in loss))


def _loss(loss: np.ndarray, place: np.ndarray, sizes: np.ndarray) -> Estimate:
    """In units of how much the means of batch sizes differ, in which the curve has the scale that it expects."""
    known = np.isfinite(loss)
    means = np.array([loss[known & (place == p)].mean() for p in np.unique(place[known])])
    centre, unit = float(means.mean()), float(np.ptp(means)) or float(np.ptp(loss[known])) or 1.0
    scaled = (loss[known] - centre) / unit
    draws = levels.draw(curve.smooth(sizes, 0.0), Sample(place[known], scaled, scaled), LOSS_SPREAD, seed=4)
    new = np.random.default_rng(5).normal(size=draws.level.shape)
    return Estimate(centre + unit * draws.level, centre + unit * (draws.level + draws.spread * new))
