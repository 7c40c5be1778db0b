"""Schedules: float64 functions of the integer update, tabulated on the host and handed to the step.

A shape is a function (t, length, …) → factor of the peak, t an int64 array of updates; lengths inside a shape are
declared in epochs or fractions and resolved by `Length`, so one declaration serves every batch size.
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from bsresearch import lookup
from bsresearch.units import Length, exact

CONVENTIONS = ('zero_based', 'one_based')


def constant(t: np.ndarray, length: Length) -> np.ndarray:
    """1."""
    del length
    return np.ones(len(t))


def step(
    t: np.ndarray,
    length: Length,
    *,
    factor: float = 0.1,
    at_epochs: tuple[float, ...] = (),
    at_fractions: tuple[float, ...] = (),
) -> np.ndarray:
    """factor^(number of boundaries passed); the update at a boundary is the first with the new value.

    Args:
      factor: of each decay.
      at_epochs: boundaries in epochs.
      at_fractions: boundaries as fractions of the run's examples. Give one of the two.
    """
    if bool(at_epochs) == bool(at_fractions):
        raise ValueError(f'schedule step needs at_epochs or at_fractions; given {at_epochs} and {at_fractions}')
    if not factor > 0:
        raise ValueError(f'schedule.factor={factor}: must be positive')
    epochs = [length.examples_of(epochs=e) for e in at_epochs]
    examples = epochs + [length.examples_of(examples=exact(f) * length.total_examples) for f in at_fractions]
    late = [e for e in examples if not 0 < e < length.total_examples]
    if late or examples != sorted(set(examples)):
        raise ValueError(
            f'schedule boundaries {at_epochs or at_fractions} must rise and lie inside the run '
            f'of {length.total_examples / length.epoch_examples:g} epochs'
        )
    boundaries = np.array([length.step_at(e) for e in examples])
    return factor ** np.searchsorted(boundaries, t, side='right').astype(np.float64)


def warmup(t: np.ndarray, steps: int, start: float, convention: str) -> np.ndarray:
    """Linear ramp of the factor from `start` to 1 over the first `steps` updates, 1 after.

    Args:
      start: fraction of the schedule's value.
      convention: `zero_based` uses t/W (update 0 at `start`: with start = 0 that update moves nothing), `one_based`
        uses (t + 1)/W (update W − 1 is the first at full value).
    """
    if convention not in CONVENTIONS:
        raise ValueError(f'warmup.convention={convention!r}: allowed are {", ".join(CONVENTIONS)}')
    if steps == 0:
        return np.ones(len(t))
    progress = np.minimum(1, (t + (convention == 'one_based')) / steps)
    return start + (1 - start) * progress


def table(
    schedule: Mapping[str, Any], warm: Mapping[str, Any], peak: float, length: Length, start: int, stop: int
) -> np.ndarray:
    """The learning rates of updates start ≤ t < stop, float64; past the schedule's end its last value holds."""
    t = np.arange(start, stop, dtype=np.int64)
    kwargs = {k: v for k, v in schedule.items() if k != 'name'}
    factor = lookup.functions(sys.modules[__name__], ('t', 'length'))[schedule['name']](t, length, **kwargs)
    return peak * factor * warmup(t, length.step_at(warm['examples']), warm['start'], warm['convention'])
