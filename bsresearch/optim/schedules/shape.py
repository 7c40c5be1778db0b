"""What the shapes share: the paired result, positions along a span, and checks whose message carries the cure."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from bsresearch.core import lookup
from bsresearch.core.units import Span


class Paired(NamedTuple):
    """Learning rate and momentum, scheduled together.

    Attributes:
      factor: (len(t),), float64, of the peak learning rate.
      momentum: (len(t),), float64, the momentum itself (β₁ in Adam); None where the schedule leaves it alone.
    """

    factor: np.ndarray
    momentum: np.ndarray | None


def wrong(field: str, value: object, cure: str) -> ValueError:
    """The error of a field's value: names both, says what is allowed."""
    return ValueError(f'schedule.{field}={value}: {cure}')


def check_range(field: str, value: float, interval: str, why: str = '') -> None:
    """Raises ValueError unless `value` lies in `interval`, as in '(0, 1]'; NaN lies in none."""
    low, high = (float(bound) for bound in interval[1:-1].split(','))
    above = value >= low if interval[0] == '[' else value > low
    below = value <= high if interval[-1] == ']' else value < high
    if not (above and below):
        raise wrong(field, value, f'must lie in {interval}' + (f': {why}' if why else ''))


def check_choice(field: str, value: str, allowed: Iterable[str]) -> None:
    """Raises ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise wrong(field, repr(value), lookup.nearest(value, allowed))


def check_number(field: str, value: object) -> None:
    """Raises ValueError unless `value` is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong(field, repr(value), 'a finite number is needed')


def check_momenta(**momenta: float) -> None:
    """Raises ValueError unless each lies in [0, 1)."""
    for field, value in momenta.items():
        check_range(field, value, '[0, 1)', 'at 1 the velocity never forgets')


def check_final(final: float) -> None:
    """Raises ValueError unless the end of a decay lies between 0 and the peak."""
    check_range('final', final, '[0, 1]', 'a fraction of the peak, which is learning_rate')


def check_updates(span: Span, shape: str, needed: int, cure: str = 'train longer or use a smaller batch_size') -> None:
    """Raises ValueError unless the span has `needed` updates."""
    if span.steps < needed:
        raise ValueError(f'schedule.name={shape} needs at least {needed} updates and has {span.steps}; {cure}')


def to_last(t: np.ndarray, span: Span, shape: str) -> np.ndarray:
    """Position p = t/(T − 1): 0 at the first update, 1 at the last."""
    check_updates(span, shape, 2)
    return t / (span.steps - 1)


def position(t: np.ndarray, span: Span, shape: str, ends: str) -> np.ndarray:
    """Position p = t/(T − 1), whose end is the last update (`last`), or t/T, whose end is one past it (`past`)."""
    check_choice('ends', ends, ('last', 'past'))
    if ends == 'past':
        return t / span.steps
    check_updates(span, shape, 2, 'train longer, or set schedule.ends=past, where update 0 is at the peak')
    return t / (span.steps - 1)


def between(a: float, b: float, p: np.ndarray) -> np.ndarray:
    """a(1 − p) + bp: exactly a at p = 0 and exactly b at p = 1."""
    return a * (1 - p) + b * p


def seen(span: Span, t: np.ndarray) -> np.ndarray:
    """(len(t),), int64: examples seen between the span's start and each update."""
    return span.length.examples_before(span.start + t) - span.length.examples_at(span.start)


def length_of(span: Span, field: str, epochs: float | None, steps: int | None) -> int | None:
    """Updates of a length given as `<field>_epochs` or `<field>_steps`; None where neither is.

    Raises:
      ValueError: both are given, it is less than one update, or it lies outside the span.
    """
    if epochs is not None and steps is not None:
        raise wrong(f'{field}_epochs', epochs, f'schedule.{field}_steps={steps} says it too; give one of the two')
    if epochs is None and steps is None:
        return None
    name, value = (f'{field}_epochs', epochs) if steps is None else (f'{field}_steps', steps)
    check_number(name, value)
    if steps is not None and type(steps) is not int:
        raise wrong(name, steps, 'a whole number of updates is needed')
    length = span.step_of(f'schedule.{name}', epochs=epochs, steps=steps)
    if length < 1:
        raise wrong(name, value, 'at least one update is needed')
    return length


def needed_length(span: Span, field: str, epochs: float | None, steps: int | None) -> int:
    """`length_of` where one of the two must be given."""
    length = length_of(span, field, epochs, steps)
    if length is None:
        raise ValueError(f'schedule.{field}_epochs or schedule.{field}_steps is needed: give one of the two')
    return length


def boundaries(
    span: Span, at_epochs: tuple[float, ...], at_fractions: tuple[float, ...], at_examples: tuple[int, ...]
) -> list[int]:
    """Updates, counted from the span's start, that are the first beyond each boundary; lengths from its start too.

    Boundaries within one batch fall on one update.

    Raises:
      ValueError: they do not rise, or lie outside the span.
    """
    for field, points in (('at_epochs', at_epochs), ('at_fractions', at_fractions), ('at_examples', at_examples)):
        for point in points:
            check_number(field, point)
    updates = [span.step_of('schedule.at_epochs', epochs=e) for e in at_epochs]
    updates += [span.step_of('schedule.at_fractions', fraction=f) for f in at_fractions]
    updates += [span.step_of('schedule.at_examples', examples=e) for e in at_examples]
    declared = at_epochs or at_fractions or at_examples
    if list(declared) != sorted(set(declared)) or any(not 0 < b < span.steps for b in updates):
        raise ValueError(
            f'schedule boundaries {declared} must rise and lie inside the run of '
            f'{span.examples / span.length.epoch_examples:g} epochs; of its {span.steps} updates they fall on {updates}'
        )
    return updates
