"""Verdicts: from the values of replicates to an interval, and from intervals and bounds to a verdict.

A verdict follows from 95 % intervals, never from a mean alone: a number lies inside its bounds where its interval does
(`holds`), outside where its interval does (`does not hold`), and is undecided between. Each interval is over
replicates on one test set, its counting included; another test set is not in it.

- Student's t, of the mean, by default.
- The median with the interval of the sign test where values are infinite or censored (a run that has not come to its
  target: its number is known to lie above what it was followed to), where they can take few values, or all are alike.
  Its ends are order statistics, which cover exactly whatever the distribution (Conover 1999, section 3.2); censored
  values keep their place in the order, so that nothing is dropped. It decides from 5 replicates on one side, from 6 on
  two.
- A set of places (an optimum's) that cannot be told from the best: over.py.

A statement of several parts holds where all of them do; it does not hold where one fails with the level shared out
among the parts (Bonferroni), so that many parts do not refute it by chance.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import optimize, special, stats

from bsresearch.analysis import summary

Verdict = Literal['holds', 'does not hold', 'undecided', 'depends', 'not measured']
POWER = 0.8


class Interval(NamedTuple):
    """A centre with its 95 % interval; NaN ends where there is none, infinite ones where a side has no end.

    method: 'mean' (Student's t), 'median' (sign test) or 'set' (places). n: replicates.
    """

    centre: float
    low: float
    high: float
    n: int
    method: str = 'mean'


class Part(NamedTuple):
    """What one interval is made of: a value for each replicate, and the standard error of what all of them share.

    Attributes:
      low, high: (n,) each: the value lies between; they differ where it is censored. NaN is not measured.
      few: the quantity can take few values, as a rank correlation can.
      rounding: variance that counting adds to each value (resolution.py). error: standard error that all replicates
        share, which leaving draws out tells (jackknife.py), with `freedom` degrees of freedom; NaN where it is not
        known.
      places: of a set instead of values: what cannot be told from the best, the best first. open_low, open_high: the
        set touches that end of what was tried, so that the best may lie beyond.
    """

    label: str
    low: np.ndarray
    high: np.ndarray
    few: bool = False
    rounding: float = 0.0
    error: float = 0.0
    freedom: float = np.inf
    places: tuple[float, ...] = ()
    open_low: bool = False
    open_high: bool = False

    @property
    def known(self) -> 'Part':
        """Without the replicates that were not measured."""
        there = ~(np.isnan(self.low) | np.isnan(self.high))
        return self._replace(low=self.low[there], high=self.high[there])

    @property
    def ranked(self) -> bool:
        """Whether the values' order alone may be used: few, infinite or censored ones, or no spread."""
        part = self.known
        if self.few or not len(part.low):
            return self.few
        exact = np.isfinite(part.low).all() and np.array_equal(part.low, part.high)
        return not exact or (len(part.low) > 1 and not self.error and not _varies(part))


def of(label: str, values: Any, **facts: Any) -> Part:
    """A part of values that are known exactly."""
    values = np.asarray(values, float)
    return Part(label, values, values, **facts)


def _varies(part: Part) -> bool:
    return bool(summary.varies(part.low.var(ddof=1) + part.rounding, part.low.mean()))


def interval(part: Part, level: float = summary.LEVEL) -> Interval:
    """Of the mean, or of the median where only the order counts.

    The half width of the mean's is √(t²·(s² + rounding)/n + (t'·error)²), t' with the freedom of the error; of one
    value t'·error alone, if there is one. With both parts it covers more than it need (96 to 99 %).
    """
    if part.places:
        return Interval(part.places[0], min(part.places), max(part.places), len(part.low), 'set')
    part, ranked = part.known, part.ranked
    n = len(part.low)
    if not n:
        return Interval(np.nan, np.nan, np.nan, 0)
    if ranked:
        return _of_median(part, level)
    mean = float(part.low.mean())
    within = (
        special.ndtri((1 + level) / 2) if np.isinf(part.freedom) else special.stdtrit(part.freedom, (1 + level) / 2)
    )
    shared = float(within) * (part.error if np.isnan(part.error) or summary.varies(part.error**2, mean) else 0.0)
    spread = np.sqrt((part.low.var(ddof=1) + part.rounding) / n) if n > 1 and _varies(part) else 0.0
    half = float(np.hypot(summary.half_width(spread, n - 1, level) if spread else 0.0, shared)) or np.nan
    return Interval(mean, mean - half, mean + half, n)


def _of_median(part: Part, level: float) -> Interval:
    """The median between two order statistics: each end is exceeded with (1 − level)/2 at most."""
    n, low, high = len(part.low), np.sort(part.low), np.sort(part.high)
    centre = float((_median(low) + _median(high)) / 2) if np.isfinite(_median(high)) else _median(low)
    k = max((k for k in range(n) if special.bdtr(k, n, 0.5) <= (1 - level) / 2), default=-1)
    if k < 0 or low[0] == high[-1]:  # an interval of width 0 would decide on nothing
        return Interval(centre, np.nan, np.nan, n, 'median')
    return Interval(centre, float(low[k]), float(high[n - 1 - k]), n, 'median')


def _median(values: np.ndarray) -> float:
    with np.errstate(invalid='ignore'):
        middle = values[(len(values) - 1) // 2], values[len(values) // 2]
        return float(middle[0] if middle[0] == middle[1] else sum(middle) / 2)


def inside(found: Interval, low: float, high: float) -> Verdict:
    """Whether a number lies between `low` and `high` (±inf for no bound), by its interval."""
    if np.isnan(found.low):
        return 'undecided' if found.n else 'not measured'
    if low < found.low and found.high < high:
        return 'holds'
    return 'does not hold' if found.low > high or found.high < low else 'undecided'


def of_part(part: Part, low: float, high: float, level: float = summary.LEVEL) -> Verdict:
    """Whether a part lies between its bounds."""
    if part.places:
        lies = [low <= place <= high for place in part.places]
        # Beyond an end that the set touches it may go on.
        reaches = (part.open_low and low > -np.inf) or (part.open_high and high < np.inf)
        comes_in = (part.open_low and max(part.places) > high) or (part.open_high and min(part.places) < low)
        if all(lies):
            return 'undecided' if reaches else 'holds'
        return 'undecided' if any(lies) or comes_in else 'does not hold'
    if not part.ranked or np.isnan(part.error):
        return inside(interval(part, level), low, high)
    bounds = [(sign, end) for end, sign in ((low, 1), (high, -1)) if np.isfinite(end)]
    # Two bounds share the level; one has it for itself.
    alone = level if len(bounds) > 1 else 2 * level - 1
    known = part.known
    ends = {1: (known.low, known.high), -1: (-known.high, -known.low)}
    sides: list[Verdict] = [_signs(ends[s][0] - s * end, ends[s][1] - s * end, alone) for s, end in bounds]
    return together(*sides)


def _signs(low: np.ndarray, high: np.ndarray, level: float) -> Verdict:
    """Whether values between `low` and `high` lie above 0: a sign test; what lies on both sides counts for neither."""
    if not len(low):
        return 'not measured'
    above, below = int((low > 0).sum()), int((high < 0).sum())
    # One whose side is not known may have either: it is given to the one that would lose.
    unknown = int(((low <= 0) & (high >= 0) & (low != high)).sum())

    def decided(more: int, less: int) -> bool:
        n = more + less + unknown
        return bool(n) and special.bdtr(less + unknown, n, 0.5) <= (1 - level) / 2

    return 'holds' if decided(above, below) else 'does not hold' if decided(below, above) else 'undecided'


def together(*verdicts: Verdict) -> Verdict:
    """Of a statement with several parts: the worst. What fails in one part fails, measured or not elsewhere."""
    order: list[Verdict] = ['does not hold', 'not measured', 'undecided', 'depends', 'holds']
    for verdict in order:
        if verdict in verdicts:
            return verdict
    return 'not measured'


def across(*verdicts: Verdict) -> Verdict:
    """Of one statement under several conditions: 'depends' where it holds under some and not under others."""
    return 'depends' if {'holds', 'does not hold'} <= set(verdicts) else together(*verdicts)


def each(parts: Sequence[Part], low: float, high: float) -> list[Verdict]:
    """Of each part: it holds by its 95 % interval, and does not hold only by that of level 1 − 0.05/parts."""
    stricter = 1 - (1 - summary.LEVEL) / max(len(parts), 1)
    verdicts: list[Verdict] = []
    for part in parts:
        plain = of_part(part, low, high)
        undone = plain == 'does not hold' and of_part(part, low, high, stricter) != plain
        verdicts.append('undecided' if undone else plain)
    return verdicts


def smallest_effect(part: Part) -> float:
    """The smallest distance from a bound that the interval would show, with 80 % power, at this n and spread.

    NaN where there is no spread to tell it from: one replicate, ranks, a set. Noncentral t, two-sided at 5 %.
    """
    known = part.known
    n = len(known.low)
    if n < 2 or part.ranked or part.places or not _varies(known):
        return float('nan')
    spread = float(np.hypot(np.sqrt(known.low.var(ddof=1) + part.rounding), np.sqrt(n) * np.nan_to_num(part.error)))
    t = special.stdtrit(n - 1, (1 + summary.LEVEL) / 2)
    # SciPy's noncentral t gives NaN far out, where the power is 1.
    power = lambda d: np.nan_to_num(1 - stats.nct.cdf(t, n - 1, d * np.sqrt(n)), nan=1.0) - POWER
    return float(optimize.brentq(power, 1e-6, 100.0) * spread)
