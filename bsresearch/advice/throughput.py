"""How much of the training set passes in a second, against the batch size: the largest, and the knee.

The knee is the smallest batch size tried with at least 90 % of the largest throughput tried, in each draw. Nothing is
extrapolated; throughput need not rise with B.
"""

from typing import NamedTuple

import numpy as np

from bsresearch.advice.estimates import Estimates

NEARLY = 0.9
LEVEL = 0.95


class Throughput(NamedTuple):
    """fastest: batch size of the largest throughput. knee, low, high: where 90 % of it is reached. speedup: of the
    fastest over the smallest batch size.
    """

    fastest: float
    knee: float
    low: float
    high: float
    speedup: float


def of(found: Estimates) -> Throughput | None:
    """At the batch sizes whose pace was measured; None where that is one, or none."""
    if 'seconds' not in found.quantities:
        return None
    known = found.tried & found.within['seconds']
    size = found.batch_size[known]
    if len(size) < 2:
        return None
    speed = (found.quantities['length'].mean / found.quantities['seconds'].mean)[:, known]  # (d, k)
    mean = np.exp(np.log(speed).mean(axis=0))
    knees = size[(speed >= NEARLY * speed.max(axis=1, keepdims=True)).argmax(axis=1)]
    ends = np.quantile(knees, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2], method='inverted_cdf')
    low, middle, high = map(float, ends)
    return Throughput(float(size[mean.argmax()]), middle, low, high, float(mean.max() / mean[0]))
