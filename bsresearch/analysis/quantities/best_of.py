"""The best of k trials drawn without replacement from n that were made: its distribution, in closed form.

Of the scores in rising order the i-th (from 1) is the highest of k with probability C(i − 1, k − 1)/C(n, k): what
Dodge et al. 2019 (arXiv:1909.03004) have with replacement, without the bias that comes of a trial drawn twice.
"""

import math

import numpy as np


def probabilities(n: int, k: int) -> np.ndarray:
    """(n,) that the i-th of n scores in rising order is the highest of k drawn without replacement.

    Raises:
      ValueError: k is none of 1 to n.
    """
    if not 1 <= k <= n:
        raise ValueError(f'best of k={k} of {n} trials: k is one of 1 to {n}')
    return np.array([math.comb(i, k - 1) / math.comb(n, k) for i in range(n)])


def mean(scores: np.ndarray, k: int) -> float:
    """Of the highest of k; −∞ where one of the scores that it may be is."""
    weights, rising = probabilities(len(scores), k), np.sort(scores)
    return float((weights[weights > 0] * rising[weights > 0]).sum())


def quantile(scores: np.ndarray, k: int, share: float) -> float:
    """The least score that the highest of k does not exceed with at least that probability."""
    reached = np.cumsum(probabilities(len(scores), k))
    place = min(int(np.searchsorted(reached, share - 1e-12)), len(scores) - 1)
    return float(np.sort(scores)[place])
