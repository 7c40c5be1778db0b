"""Quantities with an axis reduced by a law through its values: an exponent, a critical batch size, one value's own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bsresearch.analysis.axis_labels import text, words
from bsresearch.analysis.over import mapped_along, reduce_axis
from bsresearch.analysis.quantities import hyperbola as law
from bsresearch.analysis.quantity import EXAMPLES, PLAIN, TIMES, Quantity

BATCH_SIZE = 'batch_size'


def exponent(axis: str, quantity: Quantity) -> Quantity:
    """The p of quantity ∝ axis^p, by least squares in logarithms; one per replicate, NaN with fewer than two values."""
    name = f'exponent of {quantity.name} in {words(axis)}'
    return _reduced(axis, quantity, _slopes, name)


def at_value(axis: str, value: Any, quantity: Quantity) -> Quantity:
    """Of the cells of an axis that at one value; NaN where there is none."""

    def of(x: np.ndarray, low: np.ndarray, high: np.ndarray, end: int) -> np.ndarray:
        place = np.flatnonzero(x == value)
        return (low if end < 0 else high)[place[0]] if len(place) else np.full(low.shape[1], np.nan)

    name = f'{quantity.name} at {words(axis)} {text(value)}'
    return replace(_reduced(axis, quantity, of, name), unit=quantity.unit, higher_is_better=quantity.higher_is_better)


def knee(axis: str, quantity: Quantity, within: float) -> Quantity:
    """The value of an axis at which a quantity comes to within a margin of its highest along the axis, and stays there.

    Linear in the logarithm between the values tried; one per replicate. Below the smallest where all are within.
    """
    of = lambda x, low, high, end: _knee(x, low if end < 0 else high, within, end)
    return _reduced(axis, quantity, of, f'{words(axis)} at the knee of {quantity.name}')


def threshold(axis: str, quantity: Quantity, within: float) -> Quantity:
    """The value of an axis up to which a quantity stays within a margin of its highest along the axis.

    A knee from above, read as `knee`; beyond the largest value where all are within.
    """

    def of(x: np.ndarray, low: np.ndarray, high: np.ndarray, end: int) -> np.ndarray:
        with np.errstate(divide='ignore'):
            return 1 / _knee(1 / x[::-1], (high if end < 0 else low)[::-1], within, -end)

    return _reduced(axis, quantity, of, f'{words(axis)} at the threshold of {quantity.name}')


def _knee(x: np.ndarray, values: np.ndarray, within: float, end: int) -> np.ndarray:
    """(n,) of x (k,), rising, and (k, n) values."""
    floor = values.max(axis=0) - within
    knees = np.full(values.shape[1], np.nan)
    for i, column in enumerate(values.T):
        if np.isnan(column).any():
            continue
        below = np.flatnonzero(column < floor[i])
        if not len(below):
            knees[i] = 0.0 if end < 0 else x[0]
            continue
        last = below[-1]
        if last == len(x) - 1:
            knees[i] = x[-1] if end < 0 else np.inf
            continue
        share = (floor[i] - column[last]) / (column[last + 1] - column[last])
        knees[i] = np.exp(np.log(x[last]) + share * (np.log(x[last + 1]) - np.log(x[last])))
    return knees


def hyperbola(examples: Quantity) -> Quantity:
    """B_crit = E_min/S_min of (S/S_min − 1)(E/E_min − 1) = 1 through examples to a target at each batch size.

    McCandlish, Kaplan et al. 2018 (arXiv:1812.06162), equation 2.11; one per replicate, by least squares in logarithms
    (quantities/hyperbola.py). Examples that are censored make it so; NaN with fewer than three batch sizes.
    """
    return replace(
        _reduced(BATCH_SIZE, examples, law.critical_ends, f'B_crit of {examples.name}'), unit=EXAMPLES, few=False
    )


def off_hyperbola(examples: Quantity) -> Quantity:
    """Ln of the examples to a target at each batch size over what the law through all of them says."""
    of = lambda study: mapped_along(BATCH_SIZE, examples.of(study), law.residual_ends)
    return replace(
        examples, of=of, name=f'{examples.name} over the hyperbola', unit=TIMES, higher_is_better=None, diverged=False
    )


def _reduced(
    axis: str, quantity: Quantity, of: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray], name: str
) -> Quantity:
    """As of `reduce_axis`."""
    whole = lambda study: reduce_axis(axis, quantity.of(study), of)
    reduces = (*quantity.reduces, axis)
    return replace(quantity, of=whole, name=name, unit=PLAIN, higher_is_better=None, reduces=reduces)


def _slopes(x: np.ndarray, low: np.ndarray, high: np.ndarray, end: int) -> np.ndarray:
    """(n,) Σ w·ln y, w = ξ/Σξ² with ξ = ln x centred: its least (end = −1) or largest (1) value, y in [low, high]."""
    if len(x) < 2:
        return np.full(low.shape[1], np.nan)
    centred = np.log(x) - np.log(x).mean()
    weights = (centred / (centred**2).sum())[:, None]
    with np.errstate(divide='ignore', invalid='ignore'):
        y = np.log(np.where(weights * end > 0, high, low))
        return np.where((weights == 0) & ~np.isnan(y), 0.0, weights * y).sum(axis=0)
