"""Verdicts: from the values of replicates to an interval, and from intervals and bounds to a verdict.

A verdict follows from 95 % intervals, never from a mean alone: a number lies inside its bounds where its interval does
(`holds`), outside where its interval does (`does not hold`), and is undecided between. Each interval is over
replicates on one test set, its counting included; another test set is not in it.

- Student's t, of the mean, by default.
- The median with the interval of the sign test where values are infinite or censored (a run that has not come to its
  target: its number is known to lie above what it was followed to), where they can take few values, or all are alike.
  Its ends are order statistics, which cover exactly whatever the distribution (Conover 1999, section 3.2); censored
  values keep their place in the order, so that nothing is dropped. It decides on one bound from 5 replicates (3.5 %
  at each end, so that the interval covers 93 %), on two from 6 (2.5 %).
- A set of places (an optimum's) that cannot be told from the best: best_sets.py.
- Of what was chosen the union of two intervals (over.py): chosen on all replicates, and on the other half of them.

A statement of several parts holds where all of them do; it does not hold where one fails with the level shared out
among the parts (Bonferroni), so that many parts do not refute it by chance. Every rule is simulated:
tests/test_coverage.py, tests/test_choice_coverage.py.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import optimize, special

from bsresearch.analysis import summary
from bsresearch.analysis.best_sets import Along, RatioOfPlaces

Verdict = Literal['holds', 'does not hold', 'undecided', 'depends', 'not measured']
POWER = 0.8
FAR = 1e300  # a bound that nothing lies beyond
ONE_BOUND = 1.4  # times the error of two, of a sign test on one: 3.5 % at each end instead of 2.5 %


class Interval(NamedTuple):
    """A centre with its 95 % interval; NaN ends where there is none, infinite ones where a side has no end.

    method: 'mean' (Student's t), 'median' (sign test) or 'set' (places). n: replicates.
    """

    centre: float
    low: float
    high: float
    n: int
    method: str = 'mean'


NOTHING = Interval(np.nan, np.nan, np.nan, 0)


class Part(NamedTuple):
    """What one interval is made of: a value for each replicate, and the standard error of what all of them share.

    Attributes:
      low, high: (n,) each: the value lies between; they differ where it is censored. NaN is not measured.
      few: the quantity can take few values, as a rank correlation can.
      rounding: variance that counting adds to each value (resolution.py). error: standard error that all replicates
        share, which leaving draws out tells (jackknife.py), with `freedom` degrees of freedom; NaN where it is not
        known.
      along: the place of the best is asked, instead of a value.
      open_low, open_high: it may lie lower or higher than its interval: a cell was chosen on the edge of what was
        tried, and may be better beyond. halves: the same of numbers chosen on the other half of the replicates.
    """

    label: str
    low: np.ndarray
    high: np.ndarray
    few: bool = False
    rounding: float = 0.0
    error: float = 0.0
    freedom: float = np.inf
    along: Along | RatioOfPlaces | None = None
    open_low: bool = False
    open_high: bool = False
    halves: 'Part | None' = None

    @property
    def places(self) -> tuple[float, ...]:
        """Of the best along an axis those that cannot be told from it, the best first; else ()."""
        return () if self.along is None else self.along.places().values

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


def interval(part: Part, level: float = summary.LEVEL, bounds: int = 2) -> Interval:
    """Of the mean, or of the median where only the order counts.

    The half width of the mean's is √(t²·(s² + rounding)/n + (t'·error)²), t' with the freedom of the error; of one
    value t'·error alone, if there is one. With both parts it covers more than it need (96 to 99 %).

    Args:
      bounds: 1 where it is held against one number alone, which leaves a sign test 3.5 % at each end.
    """
    whole = _interval(part, level, bounds)
    if part.halves is None:
        return whole
    halves = _interval(part.halves, level, bounds)
    return whole._replace(low=float(np.minimum(whole.low, halves.low)), high=float(np.maximum(whole.high, halves.high)))


def _interval(part: Part, level: float, bounds: int) -> Interval:
    if part.along is not None:
        values = part.along.places(level).values
        return Interval(values[0], min(values), max(values), len(part.low), 'set') if values else NOTHING
    n = len(part.known.low)
    if not n:
        return NOTHING
    low, high = _ends(part, level, bounds)
    if not part.ranked:
        return Interval(float(part.known.low.mean()), low, high, n)
    known = part.known
    low_middle, high_middle = _median(np.sort(known.low)), _median(np.sort(known.high))
    centre = (low_middle + high_middle) / 2 if np.isfinite(high_middle) else low_middle
    if known.low.min() == known.high.max():  # of width 0: the signs may decide, but it shows nothing
        low = high = np.nan
    return Interval(centre, low, high, n, 'median')


def _ends(part: Part, level: float, bounds: int) -> tuple[float, float]:
    """Of the interval of a mean or median; NaN where there is none."""
    known, ranked = part.known, part.ranked
    n = len(known.low)
    if ranked and not np.isnan(part.error):
        alpha = (1 - level) * (1 if bounds > 1 else ONE_BOUND) / 2
        k = max((k for k in range(n) if special.bdtr(k, n, 0.5) <= alpha), default=-1)
        return (np.nan, np.nan) if k < 0 else (float(np.sort(known.low)[k]), float(np.sort(known.high)[n - 1 - k]))
    mean = float(known.low.mean())
    error = part.error if np.isnan(part.error) or summary.varies(part.error**2, mean) else 0.0
    shared = summary.half_width(error, part.freedom, level)
    spread = np.sqrt((known.low.var(ddof=1) + part.rounding) / n) if n > 1 and _varies(known) else 0.0
    half = float(np.hypot(summary.half_width(spread, n - 1, level) if spread else 0.0, shared)) or np.nan
    return mean - half, mean + half


def _median(values: np.ndarray) -> float:
    with np.errstate(invalid='ignore'):
        middle = values[(len(values) - 1) // 2], values[len(values) // 2]
        return float(middle[0] if middle[0] == middle[1] else sum(middle) / 2)


def of_part(part: Part, low: float, high: float, level: float = summary.LEVEL) -> Verdict:
    """Whether a part lies between its bounds, ±inf for none; of what was chosen, however it was."""
    if part.halves is not None:
        both: list[Verdict] = [of_part(p, low, high, level) for p in (part._replace(halves=None), part.halves)]
        if both[0] == both[1]:
            return both[0]
        return 'not measured' if 'not measured' in both else 'undecided'
    if part.along is not None:
        ranges = part.along.places(level).ranges
        if not ranges:
            return 'not measured'
        if all(low <= first and last <= high for first, last in ranges):
            return 'holds'
        return 'undecided' if any(low <= last and first <= high for first, last in ranges) else 'does not hold'
    if not len(part.known.low):
        return 'not measured'
    least, most = _ends(part, level, int(np.isfinite([low, high]).sum()))
    if np.isnan(least):
        return 'undecided'
    return inside(-np.inf if part.open_low else least, np.inf if part.open_high else most, low, high)


def inside(least: float, most: float, low: float, high: float) -> Verdict:
    """Whether what lies between `least` and `most` lies between `low` and `high` (±inf for no bound)."""
    if (low < least or low == -np.inf) and (most < high or high == np.inf):
        return 'holds'
    return 'does not hold' if least > high or most < low else 'undecided'


def differing(part: Part, value: float, level: float = summary.LEVEL) -> Verdict:
    """Whether a part lies on one side of a number, two-sided: it `holds`, or is undecided; nothing shows equality."""
    if part.along is not None:
        ranges = part.along.places(level).ranges
        apart = bool(ranges) and not any(first <= value <= last for first, last in ranges)
        return 'holds' if apart else 'undecided' if ranges else 'not measured'
    if not len(part.known.low):
        return 'not measured'
    # With both bounds given a sign test has 2.5 % at each end.
    sides = [of_part(part, low, high, level) for low, high in ((value, FAR), (-FAR, value))]
    return 'holds' if 'holds' in sides else 'undecided'


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

    NaN where there is no spread to tell it from: one replicate, ranks, a set. Noncentral t, two-sided at 5 %. Of what
    was chosen, what the choice adds to the interval comes to it.
    """
    known = part.known
    n = len(known.low)
    if n < 2 or part.ranked or part.along is not None or not _varies(known):
        return float('nan')
    spread = float(np.hypot(np.sqrt(known.low.var(ddof=1) + part.rounding), np.sqrt(n) * np.nan_to_num(part.error)))
    plain, whole = interval(part._replace(halves=None)), interval(part)
    wider = max(plain.low - whole.low, whole.high - plain.high, 0.0)
    return float(_seen_in_spreads(n) * spread + wider)


@functools.cache
def _seen_in_spreads(n: int) -> float:
    """The distance in standard deviations that the interval of n values excludes with 80 % power."""
    t = special.stdtrit(n - 1, (1 + summary.LEVEL) / 2)
    # SciPy's noncentral t gives NaN far out, where the power is 1.
    power = lambda d: np.nan_to_num(1 - special.nctdtr(n - 1, d * np.sqrt(n), t), nan=1.0) - POWER
    return float(optimize.brentq(power, 1e-6, 100.0))
