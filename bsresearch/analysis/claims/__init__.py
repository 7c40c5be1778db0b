"""Claims of a source put to the test: `<study>.py: claims(workdir) -> list[Claim]`, a file per study that has some.

A verdict follows from an interval, never from a mean alone: a claimed direction holds where the 95 % interval of the
difference, paired by seed, lies on its side of 0, does not hold where it lies on the other, and is undecided between.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from bsresearch.analysis import summary

Verdict = Literal['holds', 'does not hold', 'undecided', 'depends', 'not measured']


class Claim(NamedTuple):
    """A claim and what was found.

    Attributes:
      key: short and unique in its study, e.g. 'A1'. source: who says so, with year and place.
      statement: the claim, as a sentence. measured: numbers with interval, unit and n.
      verdict: of them. remark: what it depends on, or why it came out so; '' for nothing.
    """

    key: str
    source: str
    statement: str
    measured: str
    verdict: Verdict
    remark: str = ''


class Estimate(NamedTuple):
    """A mean over seeds with its 95 % interval (Student's t); NaN ends where n < 2."""

    mean: float
    low: float
    high: float
    n: int


def estimate(values: Sequence[float] | np.ndarray) -> Estimate:
    """Over independent values, one per seed; those that are not finite count as missing."""
    found = np.asarray(values, float)
    found = found[np.isfinite(found)]
    n = len(found)
    if not n:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean, std = found.mean(), found.std(ddof=1) if n > 1 else np.nan
    low, high = summary.interval(*(np.array([v]) for v in (n, mean, std)))
    return Estimate(float(mean), float(low[0]), float(high[0]), n)


def positive(difference: Estimate, least: float = 0.0) -> Verdict:
    """Whether a difference lies above `least`, by its interval."""
    if np.isnan(difference.low):
        return 'undecided' if difference.n else 'not measured'
    return 'holds' if difference.low > least else 'does not hold' if difference.high < least else 'undecided'


def within(difference: Estimate, margin: float) -> Verdict:
    """Whether two are equal up to ± `margin`, by the interval of their difference (two one-sided tests)."""
    if np.isnan(difference.low):
        return 'undecided' if difference.n else 'not measured'
    if -margin < difference.low and difference.high < margin:
        return 'holds'
    return 'does not hold' if difference.low > margin or difference.high < -margin else 'undecided'


def together(*verdicts: Verdict) -> Verdict:
    """Of a claim with several parts: the worst of them."""
    order: list[Verdict] = ['not measured', 'does not hold', 'undecided', 'depends', 'holds']
    return min(verdicts, key=order.index)


def text(found: Estimate, digits: int = 3, scale: float = 1.0, unit: str = '') -> str:
    """'0.0312 (0.0298 to 0.0326, n = 3)'; `scale` multiplies, e.g. 100 for per cent."""
    show = lambda v: f'{v * scale:.{digits}g}'
    if not found.n:
        return 'none'
    if np.isnan(found.low):
        return f'{show(found.mean)}{unit} (n = {found.n})'
    return f'{show(found.mean)}{unit} ({show(found.low)} to {show(found.high)}, n = {found.n})'
