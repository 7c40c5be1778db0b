"""The place of an optimum: all cells that may be the best, which no other cell beats."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy import special

from bsresearch.analysis import summary


def not_told_from_best(
    low: np.ndarray,
    high: np.ndarray | None = None,
    level: float = summary.LEVEL,
    rounding: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Which of k cells, paired in n replicates, cannot be told from the best: it is among them in 95 % at least.

    A cell goes where some other is above it by a one-sided paired Student's t at level 1 − 0.05/(k − 1), which holds
    for the true best against all others at once (Bonferroni). Each pair has its own spread: near the edge of stability
    replicates scatter ten times as much as elsewhere, and a residual pooled over cells with Dunnett's quantile (Hsu
    1984) then holds the best in 82 to 90 % (tests/test_choice_coverage.py). Pairs without spread or with infinite
    values go by a sign test.

    Args:
      low, high: (k, n); the number, of which the highest is best, lies between; equal where it is known.
      rounding: (k,) or one; variance that counting adds to each number.

    Returns:
      (k,) bool.
    """
    k, n = low.shape
    high = low if high is None else high
    if k == 1 or n < 2:
        return np.ones(k, bool)
    alpha = (1 - level) / (k - 1)
    with np.errstate(invalid='ignore'):
        above = low[:, None, :] - high[None, :, :]  # of the first over the second, at least
        counted = np.broadcast_to(rounding, k)
        mean, variance = above.mean(axis=2), above.var(axis=2, ddof=1) + counted[:, None] + counted[None, :]
        known = np.isfinite(mean) & summary.varies(variance, mean)
        student = mean > special.stdtrit(n - 1, 1 - alpha) * np.sqrt(variance / n)
    signs = special.bdtr(n - (above > 0).sum(axis=2), n, 0.5) <= alpha
    better = np.where(known, student, signs)
    np.fill_diagonal(better, False)
    return ~better.any(axis=0)


Range = tuple[float, float]


class Places(NamedTuple):
    """values: that cannot be told from the best, the best first. beyond: ranges outside of what was tried, likewise."""

    values: tuple[float, ...]
    beyond: tuple[Range, ...] = ()

    @property
    def ranges(self) -> list[Range]:
        """All of them."""
        return [*((v, v) for v in self.values), *self.beyond]


class Along(NamedTuple):
    """Cells along an axis, of which the place of the best is asked.

    x: (k,) values of the axis, rising. low, high: (k, n), signed so that the highest is best; -inf where it cannot be.
    rounding: (k,) variance that counting adds. open: (k,) whether a cell may be better than it is: it was chosen on an
    edge of another axis. first: whether nothing can lie before the axis (B = 1).
    """

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rounding: np.ndarray
    open: np.ndarray
    first: bool = False

    def places(self, level: float = summary.LEVEL) -> Places:
        """Beyond an end of the axis that is among them the best may lie too."""
        can = ~np.isneginf(self.high).any(axis=1)
        if not can.any():
            return Places(())
        kept = not_told_from_best(self.low[can], self.high[can], level, self.rounding[can]) | self.open[can]
        with np.errstate(invalid='ignore'):
            order = np.argsort(-(self.low[can] + self.high[can]).mean(axis=1), kind='stable')
        values = tuple(self.x[can][order][kept[order]].tolist())
        first, last = float(self.x[0]), float(self.x[-1])
        before = [(0.0 if first > 0 else -np.inf, first)] if first in values and not self.first else []
        return Places(values, (*before, *([(last, np.inf)] if last in values else [])))


class RatioOfPlaces(NamedTuple):
    """Ln of where one is best over where another is, on positive axes."""

    first: Along
    second: Along

    def places(self, level: float = summary.LEVEL) -> Places:
        """Of every pair of places; each set has half of the error, so that both hold together."""
        a, b = (along.places((1 + level) / 2) for along in self)
        every = [_ratio(x, y) for x, y in itertools.product(a.ranges, b.ranges)]
        values = tuple(low for low, high in every if low == high)
        return Places(values, tuple(r for r in every if r[0] != r[1]))


def _ratio(x: Range, y: Range) -> Range:
    with np.errstate(divide='ignore'):
        (low, high), (over_low, over_high) = np.log(x), np.log(y)
    return float(low - over_high), float(high - over_low)
