"""Decays at boundaries of the example stream: the update at a boundary is the first with the new value."""

from fractions import Fraction

import numpy as np

from bsresearch.core.units import Span, exact
from bsresearch.optim.schedules.shape import boundaries, check_range, seen, wrong


def _period(span: Span, every_epochs: float) -> Fraction:
    """Examples per decay, exact.

    Raises:
      ValueError: no boundary lies inside the span.
    """
    check_range('every_epochs', every_epochs, '(0, inf)')
    period = exact(every_epochs) * span.epoch_examples
    if span.step_of('schedule.every_epochs', epochs=every_epochs) >= span.steps:
        epochs = span.examples / span.length.epoch_examples
        raise wrong('every_epochs', every_epochs, f'the schedule has {epochs:g} epochs and would never decay')
    return period


def _passed(t: np.ndarray, span: Span, period: Fraction) -> np.ndarray:
    """⌊examples/period⌋ as float64, in Python's integers: a product may not fit in 64 bits."""
    return (seen(span, t).astype(object) * period.denominator // period.numerator).astype(np.float64)


def step(
    t: np.ndarray,
    span: Span,
    *,
    factor: float = 0.1,
    at_epochs: tuple[float, ...] = (),
    at_fractions: tuple[float, ...] = (),
    at_examples: tuple[int, ...] = (),
    every_epochs: float = 0.0,
) -> np.ndarray:
    """factor^(number of boundaries passed).

    Equals torch's MultiStepLR (at_epochs) and StepLR (every_epochs) stepped each epoch, and
    optax.piecewise_constant_schedule with boundaries in updates. Boundaries within one batch decay together. Give
    exactly one of the four.

    Args:
      factor: of each decay.
      at_epochs, at_examples: boundaries, from the schedule's start.
      at_fractions: boundaries as fractions of the schedule's examples.
      every_epochs: epochs between boundaries; 0: not used.
    """
    check_range('factor', factor, '(0, inf)', 'must be positive')
    if sum(map(bool, (at_epochs, at_fractions, at_examples, every_epochs))) != 1:
        raise ValueError(
            f'schedule step needs at_epochs or at_fractions or at_examples or every_epochs, exactly one; given '
            f'{at_epochs}, {at_fractions}, {at_examples} and {every_epochs}'
        )
    if every_epochs:
        return np.float_power(factor, _passed(t, span, _period(span, every_epochs)))
    points = np.array(boundaries(span, at_epochs, at_fractions, at_examples))
    return np.float_power(factor, np.searchsorted(points, t, side='right'))


def exponential_rate(
    t: np.ndarray, span: Span, *, factor: float = 0.95, every_epochs: float = 1.0, staircase: bool = False
) -> np.ndarray:
    """factor^(epochs seen/every_epochs), epochs counted in examples from the schedule's start.

    With `staircase` the exponent is rounded down: torch's ExponentialLR(gamma=factor) stepped each epoch, and
    optax.exponential_decay(…, staircase=True), which counts updates.

    Args:
      factor: of each `every_epochs`.
      every_epochs: epochs.
      staircase: decay at boundaries alone.
    """
    check_range('factor', factor, '(0, 1]')
    if staircase:
        return np.float_power(factor, _passed(t, span, _period(span, every_epochs)))
    check_range('every_epochs', every_epochs, '(0, inf)')
    return np.float_power(factor, seen(span, t) / float(exact(every_epochs) * span.epoch_examples))
