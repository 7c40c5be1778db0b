"""The learning rate for each batch size, from cells of (B, rate): by a smooth surface over both (surface.py).

A cell is the mean of its runs; one that did not reach its target counts with the length at which it stopped, or that of
the longest that reached it at its batch size, which is too short. The surface is fitted to the valley: the usable cells
within a depth of the best one at their batch size, or the better half of all, by what they miss of it. What lies
beyond says where the valley ends and nothing of its floor. Not usable is a rate from the smallest on at which a run
diverged, and one at which none came to the target where others did.

At each batch size the rate with the least expected regret is named, with all as good (choice.py): one tried most often
there with three times the runs of any other, or any; never outside of the usable ones there, nor further
beyond the valley than half-way to the next. Flagged is a rate that is the smallest or largest of those tried at the
neighbouring batch sizes: the best may lie beyond.
"""

import math
from typing import NamedTuple

import numpy as np

from bsresearch.advice import choice
from bsresearch.advice.estimates import Estimate
from bsresearch.advice.fits import surface
from bsresearch.advice.table import Refusal

FEWEST_CELLS, FEWEST_RATES = 6, 3
DRAWS = 1024
# Rates between which is chosen: five per doubling.
FINENESS = 2**0.2
SETTLED = 3  # times the runs of any other rate of a batch size


class Cells(NamedTuple):
    """(c,) each. value: mean of a cell's runs, best when lowest. reached: whether any came to its target."""

    batch_size: np.ndarray
    learning_rate: np.ndarray
    value: np.ndarray
    runs: np.ndarray
    reached: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """(c,) below all rates at which a run diverged; where some came to the target, only these."""
        kept = np.zeros(len(self.value), bool)
        for size in np.unique(self.batch_size):
            own = self.batch_size == size
            lost = self.learning_rate[own & np.isinf(self.value)]
            below = own & (self.learning_rate < lost.min(initial=np.inf))
            kept |= below & self.reached if (below & self.reached).any() else below
        return kept


class Rates(NamedTuple):
    """At (k,) batch sizes.

    choice, low, high: the rate, and all as good. edge: 'smallest', 'largest' or '' of each. reached: what is reached
    there with that rate. cells: what it is from. valley: (c,) which of them lie in it.
    """

    batch_size: np.ndarray
    choice: np.ndarray
    low: np.ndarray
    high: np.ndarray
    edge: list[str]
    reached: Estimate
    cells: Cells
    valley: np.ndarray

    def near(self, batch_size: np.ndarray, learning_rate: np.ndarray) -> np.ndarray:
        """(n,) which runs have, of the rates in the valley at their batch size, the one nearest to that named there."""
        kept = np.zeros(len(batch_size), bool)
        for size in np.unique(batch_size):
            tried = self.cells.learning_rate[self.valley & (self.cells.batch_size == size)]
            if len(tried):
                named = self.choice[np.searchsorted(self.batch_size, size)]
                nearest = tried[np.argmin(np.abs(np.log(tried / named)))]
                kept |= (batch_size == size) & (learning_rate == nearest)
        return kept


def cells(
    batch_size: np.ndarray, learning_rate: np.ndarray, value: np.ndarray, reached: np.ndarray | None = None
) -> Cells:
    """Of (n,) runs; those without a value are left out. A cell in which one diverged (∞) is ∞, whatever others did.

    reached: whether they came to their target; None: there is none.
    """
    known = ~np.isnan(value) & (value > -np.inf)
    pairs = np.column_stack([batch_size, learning_rate])[known]
    unique, place = np.unique(pairs, axis=0, return_inverse=True)
    count = np.bincount(place.ravel())
    mean = lambda values: np.bincount(place.ravel(), values[known]) / count
    came = mean(np.ones(len(value)) if reached is None else reached) > 0
    return Cells(unique[:, 0], unique[:, 1], mean(value), count, came)


def best_tried(found: Cells, batch_size: np.ndarray, learning_rate: np.ndarray) -> np.ndarray:
    """(n,) which runs have the best of the rates that were tried at their batch size."""
    kept, value = np.zeros(len(batch_size), bool), np.where(found.usable, found.value, np.inf)
    for size in np.unique(found.batch_size):
        own = np.flatnonzero(found.batch_size == size)
        kept |= (batch_size == size) & (learning_rate == found.learning_rate[own[np.argmin(value[own])]])
    return kept


def valley(found: Cells, depth: float) -> np.ndarray:
    """(c,) which usable cells lie within `depth` of the best of their batch size, or are of the better half of all."""
    sizes, place = np.unique(found.batch_size, return_inverse=True)
    best, usable = np.full(len(sizes), np.inf), found.usable
    np.minimum.at(best, place[usable], found.value[usable])
    above = found.value[usable] - best[place[usable]]
    kept = np.zeros(len(place), bool)
    kept[usable] = above <= max(depth, float(np.median(above)) if len(above) else depth)
    return kept


def at(found: Cells, sizes: np.ndarray, depth: float, margin: float | None = None) -> Rates:
    """The rate at (k,) rising batch sizes.

    Args:
      depth: of the valley. margin: what counts as no difference; both in the unit of the values. None: the spread of a
        single run around the surface.

    Raises:
      Refusal: too few cells or rates.
    """
    inside = valley(found, depth)
    kept = Cells(*(column[inside] for column in found))
    rates = np.unique(kept.learning_rate)
    if len(kept.value) < FEWEST_CELLS or len(rates) < FEWEST_RATES or len(np.unique(kept.batch_size)) < 2:
        raise Refusal(
            f'{len(kept.value)} cells of batch size and learning rate, {len(rates)} rates, come near the best: a rate '
            f'is told from {FEWEST_CELLS} cells with {FEWEST_RATES} rates'
        )
    fitted = surface.fit(np.log(np.column_stack([kept.batch_size, kept.learning_rate])), kept.value, kept.runs)
    least = fitted.noise if margin is None else margin
    fine = np.geomspace(rates[0], rates[-1], int(np.ceil(np.log(rates[-1] / rates[0]) / np.log(FINENESS))) + 1)
    points = np.column_stack([np.repeat(np.log(sizes), len(fine)), np.tile(np.log(fine), len(sizes))])
    drawn = fitted.draws(points, DRAWS).reshape(DRAWS, len(sizes), len(fine))
    smallest, largest = (end[:, None] for end in _ends(found, inside, sizes))
    # The nearest of the fine rates is meant where a batch size has one rate alone.
    half = math.sqrt(FINENESS)
    tried_there = (fine >= smallest / half) & (fine <= largest * half)
    best = [choice.choose(drawn[:, i], tried_there[i], least) for i in range(len(sizes))]
    settled = [_settled(found, inside, size, fine) & tried_there[i] for i, size in enumerate(sizes)]
    best = [choice.settled(b, drawn[:, i], settled[i]) if settled[i].any() else b for i, b in enumerate(best)]
    named, low, high = (fine[[getattr(b, end) for b in best]] for end in ('named', 'low', 'high'))
    reached = np.column_stack([drawn[:, i, b.named] for i, b in enumerate(best)])
    noise = fitted.noise * np.random.default_rng(1).normal(size=reached.shape)
    edge = [_edge(found, size, rate) for size, rate in zip(sizes, named, strict=True)]
    return Rates(sizes, named, low, high, edge, Estimate(reached, reached + noise), found, inside)


def _settled(found: Cells, inside: np.ndarray, size: float, fine: np.ndarray) -> np.ndarray:
    """(r,) which rates may be named at a batch size: all, or the one with SETTLED times the runs of any other there.

    Who repeats one rate has chosen it, and one run of another may have had luck.
    """
    own = np.flatnonzero(inside & (found.batch_size == size))
    order = own[np.argsort(-found.runs[own], kind='stable')]
    if not len(order) or found.runs[order[0]] < SETTLED * (found.runs[order[1]] if len(order) > 1 else 1):
        return np.ones(len(fine), bool)
    off = np.abs(np.log(fine / found.learning_rate[order[0]]))
    return off == off.min()


def _ends(found: Cells, inside: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k,), (k,) the smallest and largest rate that may be named: of the valley there, up to half-way to the usable
    cell next to it.

    Where there are none, on the line between the neighbours', in logarithms. The surface knows nothing of what lies
    outside of the valley, and would go on beyond.
    """
    known, usable, ends = np.unique(found.batch_size[inside]), found.usable, []
    for size in known:
        floor = np.log(found.learning_rate[inside & (found.batch_size == size)])
        wall = np.log(found.learning_rate[usable & (found.batch_size == size)])
        low, high = floor.min(), floor.max()
        below = max((rate for rate in wall if rate < low), default=low)
        above = min((rate for rate in wall if rate > high), default=high)
        ends.append([(low + below) / 2, (high + above) / 2])
    low, high = (np.exp(np.interp(np.log(sizes), np.log(known), np.array(ends)[:, i])) for i in (0, 1))
    return low, high


def _edge(found: Cells, size: float, rate: float) -> str:
    """Whether a rate is the smallest or largest tried at the batch sizes next to one."""
    tried = np.unique(found.batch_size)
    near = {*tried[tried <= size][-1:], *tried[tried >= size][:1]}
    rates = found.learning_rate[np.isin(found.batch_size, list(near))]
    if rate <= rates.min() * FINENESS:
        return 'smallest'
    return 'largest' if rate >= rates.max() / FINENESS else ''
