"""Why a part of a statement is undecided, in a few words."""

from collections.abc import Callable

import numpy as np
from scipy import special

from bsresearch.analysis import summary
from bsresearch.analysis.verdicts import ONE_BOUND, Interval, Part

FEWEST_FOR_MEAN = 2  # replicates that an interval of a mean needs


def fewest_signs(bounds: int, level: float = summary.LEVEL) -> int:
    """From how many replicates on a sign test decides on one bound, or on two (verdicts.py)."""
    alpha = (1 - level) * (1 if bounds > 1 else ONE_BOUND) / 2
    return next(n for n in range(1, 100) if special.bdtr(0, n, 0.5) <= alpha)


def why(part: Part, interval: Interval, bounds: tuple[float, float], show: Callable[[float], str]) -> str:
    """'n = 3; a sign test needs 5'; '' where it is not known.

    Args:
      bounds: between which it would have to lie, ±inf for none; of one that differs from a number that, twice.
      show: a number as it is written.
    """
    n, needed = len(part.known.low), fewest_signs(int(np.isfinite(bounds).sum()))
    across = [b for b in dict.fromkeys(bounds) if np.isfinite(b) and interval.low <= b <= interval.high]
    if part.along is not None:
        return 'places that may be the best lie on both sides of a bound'
    if np.isnan(part.error):
        return 'too few trials for an interval'
    if part.ranked and n < needed:
        return f'n = {n}; a sign test needs {needed}'
    if np.isnan(interval.low):
        return f'n = {n}; an interval needs {FEWEST_FOR_MEAN}' if n < FEWEST_FOR_MEAN else ''
    if across:
        return f'the interval reaches across {" and ".join(map(show, across))}'
    if part.open_low or part.open_high:
        return 'it may be better beyond the edge of what was tried'
    return 'beyond a bound, but not at the level that its parts share'
