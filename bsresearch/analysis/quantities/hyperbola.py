"""The law of examples E to a target against batch size, ln E = ln E_min + ln(1 + B/B_crit), by least squares.

McCandlish, Kaplan et al. 2018 (arXiv:1812.06162), equation 2.11, with B_crit = E_min/S_min. For each B_crit the best
E_min is a mean; B_crit is searched on a grid by 1 % from 1/REACH of the smallest to REACH times the largest batch size,
and lies beyond its end where the sum of squares is least there.
"""

import numpy as np

FEWEST = 3  # batch sizes, for a law of two numbers
REACH = 32.0
STEP = 0.01
ENDLESS = 1e300  # examples that are not known to end


def critical(batch_size: np.ndarray, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """B_crit between two ends: equal but where the grid ends; 0 and ∞ are the outermost.

    Args:
      batch_size: (k,) rising. examples: (k, n), above 0 and finite.

    Returns:
      (n,) twice; NaN with fewer than FEWEST batch sizes or where one of the examples is not finite.
    """
    n = examples.shape[1]
    if len(batch_size) < FEWEST:
        return np.full(n, np.nan), np.full(n, np.nan)
    first, last = batch_size[0] / REACH, batch_size[-1] * REACH
    grid = np.exp(np.arange(np.log(first), np.log(last) + STEP, STEP))
    law = np.log1p(batch_size[:, None] / grid)  # (k, g)
    with np.errstate(invalid='ignore', divide='ignore'):
        off = np.log(examples)[:, :, None] - law[:, None, :]
        squares = ((off - off.mean(axis=0)) ** 2).sum(axis=0)  # (n, g)
    known = np.isfinite(squares).all(axis=1)
    place = np.where(known, squares.argmin(axis=1), 0)
    low, high = (np.where(known, grid[place], np.nan) for _ in range(2))
    return np.where(known & (place == 0), 0.0, low), np.where(known & (place == len(grid) - 1), np.inf, high)


def critical_ends(batch_size: np.ndarray, low: np.ndarray, high: np.ndarray, end: int) -> np.ndarray:
    """(n,) the least (end = −1) or largest (1) B_crit of (k, n) examples between low and high.

    It rises with the examples of small batches and falls with those of large ones: its derivative has the sign of
    B/(B + B_crit) less the mean of that. Which are the large ones follows from B_crit, so that every cut is tried; one
    whose examples are not known to end is a large or small one by the middle in logarithms.
    """
    beyond_middle = (np.log(batch_size) > np.log(batch_size).mean())[:, None]
    high = np.where(np.isposinf(high) & (beyond_middle != (end < 0)), low, high)
    ends = np.full((max(len(batch_size) - 1, 1), low.shape[1]), np.nan)
    for i in range(len(ends)):
        large = (np.arange(len(batch_size)) > i)[:, None]
        examples = np.where(large == (end < 0), high, low)
        ends[i] = critical(batch_size, np.where(np.isposinf(examples), ENDLESS, examples))[(end + 1) // 2]
    least_or_largest = ends.min(axis=0) if end < 0 else ends.max(axis=0)
    return np.where(np.isposinf(low).any(axis=0), 0.0 if end < 0 else np.inf, least_or_largest)


def residual_ends(batch_size: np.ndarray, low: np.ndarray, high: np.ndarray, end: int) -> np.ndarray:
    """(k, n) ln of the examples over the law through them; NaN where some are not known."""
    del end
    known = np.where((low == high) & np.isfinite(low), low, np.nan)
    at = np.stack(critical(batch_size, known)).max(axis=0)
    off = np.log(known) - np.log1p(batch_size[:, None] / at)
    return off - off.mean(axis=0)
