"""The range of an axis in which runs train."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bsresearch.analysis.axis_labels import words
from bsresearch.analysis.over import reduce_axis, without_diverged
from bsresearch.analysis.quantity import PLAIN, Array, Quantity, combine
from bsresearch.analysis.study import Study


def stable_range(axis: str, quantity: Quantity, above: float) -> Quantity:
    """How wide the range of an axis is in which runs train: log₂(largest/smallest value with a quantity above a floor).

    One number per replicate; a run that diverged or ends at or below the floor has not trained. ∞ is not known beyond
    the axis: where an end of the range is an end of the axis the number is censored from below.
    """
    return _stable(axis, quantity, f'stable range of {words(axis)}', lambda x, v, end: _width(x, v, above, end))


def largest_stable(axis: str, quantity: Quantity, above: float) -> Quantity:
    """log₂ of the largest value of an axis at which runs train, as in `stable_range`.

    Where that is the largest tried, the number lies above it; where there is none, below the smallest.
    """
    name = f'log₂ of the largest {words(axis)} that trains'
    return _stable(axis, quantity, name, lambda x, v, end: _largest(x, v, above, end))


def _stable(
    axis: str, quantity: Quantity, name: str, of_rows: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
) -> Quantity:
    """`of_rows`: values of the axis (k,), those of the runs (k, n), which end is asked → (n,) octaves."""

    def of(study: Study) -> Array:
        marked = combine(lambda a: a._replace(low=without_diverged(study, a.low)), quantity.of(study))
        return reduce_axis(axis, marked, lambda x, low, _, end: of_rows(x, low, end))

    return replace(quantity, of=of, name=name, unit=PLAIN._replace(level=' octaves', difference=' octaves'),
                   higher_is_better=True, diverged=True, reduces=(*quantity.reduces, axis))  # fmt: skip


def _width(x: np.ndarray, values: np.ndarray, above: float, end: int) -> np.ndarray:
    """(n,) octaves of x (k,), rising, between the first and last of (k, n) values above a floor; 0 where none is."""
    trained = values > above
    first, last = trained.argmax(axis=0), len(x) - 1 - trained[::-1].argmax(axis=0)
    width = np.log2(x[last] / x[first])
    if end > 0:
        width = np.where(trained[0] | trained[-1], np.inf, width)
    return np.where(np.isnan(values).any(axis=0), np.nan, np.where(trained.any(axis=0), width, 0.0))


def _largest(x: np.ndarray, values: np.ndarray, above: float, end: int) -> np.ndarray:
    """(n,) log₂ of the last of x (k,), rising, with (k, n) values above a floor: its least or largest value."""
    trained = values > above
    last = np.log2(x[len(x) - 1 - trained[::-1].argmax(axis=0)])
    if end > 0:
        last = np.where(trained[-1], np.inf, last)
    none = np.log2(x[0]) if end > 0 else -np.inf
    return np.where(np.isnan(values).any(axis=0), np.nan, np.where(trained.any(axis=0), last, none))
