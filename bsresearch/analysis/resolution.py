"""The rounding of what is counted: an accuracy on N examples is a multiple of 1/N.

Values of a finer quantity rounded to multiples of 1/N carry an error of variance 1/(12N²) each, which the spread of a
few of them may not show: two seeds with equal accuracies have none. N is read off the values: the smallest count of
which all are multiples. It is never above the true one, so that the variance is never too small; it is near it as soon
as there are several values. These must be of one set: give those of one arm, as another arm may have other data (of
values that are counted on 718 and on 1,437 examples it would be the common multiple, a million).
"""

from collections.abc import Iterable

import numpy as np

MOST = 2**20
COUNTED = '_accuracy'  # metrics that are counted end so
# Accuracies are recorded in float32.
ROUNDING = 2.0**-23


def count(values: Iterable[float]) -> int | None:
    """N, of values in [0, 1]; None where they are no multiples of any 1/N up to 2²⁰, or there are none."""
    known = np.unique(np.asarray(list(values), float))
    known = known[np.isfinite(known)]
    if not len(known) or known[0] < 0 or known[-1] > 1:
        return None
    for start in 4 ** np.arange(10):  # most test sets are small
        candidates = np.arange(start, min(4 * start, MOST + 1))
        for value in known:
            counts = candidates * value
            candidates = candidates[np.abs(counts - np.round(counts)) <= candidates * ROUNDING]
            if not len(candidates):
                break
        if len(candidates):
            return int(candidates[0])
    return None


def variance(metric: str, values: Iterable[float]) -> float:
    """1/(12N²) of a value of a metric, N read off all `values` of it on one set; 0 of what is not counted."""
    examples = count(values) if metric.endswith(COUNTED) else None
    return 1 / (12 * examples**2) if examples else 0.0
