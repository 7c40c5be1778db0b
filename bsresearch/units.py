"""Lengths of training: examples, updates, epochs → exact integers. Pure arithmetic; the only place that converts.

The master unit is the example. Update t (from 0) consumes one batch; θ_t is the state before it.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

BOUNDARIES = ('through', 'partial', 'drop')


def exact(value: float | int | Fraction) -> Fraction:
    """The decimal a person wrote, not its binary neighbour: 0.1 → 1/10."""
    return value if isinstance(value, Fraction) else Fraction(str(value))


@dataclass(frozen=True)
class Length:
    """A run's length and how its updates cut the example stream.

    Attributes:
      epoch_size: examples in the training set.
      batch_size: examples per update, over all devices.
      total_examples: examples the run sees.
      boundary: what a batch does at the end of an epoch. `through`: takes the next epoch's first examples (only the
        run's last batch may be short); `partial`: stops there, so each epoch ends with a short batch; `drop`: the
        short batch is left out, and an epoch counts ⌊N/B⌋·B examples.
    """

    epoch_size: int
    batch_size: int
    total_examples: int
    boundary: str = 'through'

    def __post_init__(self) -> None:
        if self.boundary not in BOUNDARIES:
            raise ValueError(f'epoch_boundary={self.boundary!r}: allowed are {", ".join(BOUNDARIES)}')
        if self.batch_size < 1:
            raise ValueError(f'batch_size={self.batch_size}: at least 1 example per update is needed')
        if self.boundary == 'drop' and self.batch_size > self.epoch_size:
            raise ValueError(
                f'batch_size={self.batch_size} with epoch_boundary=drop leaves no batch in an epoch of '
                f'{self.epoch_size} examples; use epoch_boundary=through'
            )
        if self.total_examples < 1:
            raise ValueError(f'total_examples={self.total_examples}: a run sees at least 1 example')

    @property
    def epoch_examples(self) -> int:
        """Examples seen per epoch: N, or ⌊N/B⌋·B with `drop`."""
        return self.epoch_size // self.batch_size * self.batch_size if self.boundary == 'drop' else self.epoch_size

    @property
    def steps_per_epoch(self) -> int | None:
        """Updates per epoch where every epoch has the same number; None with `through`."""
        return None if self.boundary == 'through' else -(-self.epoch_examples // self.batch_size)

    @property
    def total_steps(self) -> int:
        """T, the number of updates."""
        return self.step_at(self.total_examples)

    def examples_at(self, step: int) -> int:
        """Examples seen before update `step`: the exact position of θ_step."""
        if (per_epoch := self.steps_per_epoch) is None:
            seen = step * self.batch_size
        else:
            epoch, inside = divmod(step, per_epoch)
            seen = epoch * self.epoch_examples + min(inside * self.batch_size, self.epoch_examples)
        return min(seen, self.total_examples)

    def step_at(self, examples: int) -> int:
        """The first t whose θ_t has seen at least `examples` (capped by the run's length)."""
        examples = min(examples, self.total_examples)
        if (per_epoch := self.steps_per_epoch) is None:
            return -(-examples // self.batch_size)
        epoch, inside = divmod(examples, self.epoch_examples)
        return epoch * per_epoch + -(-inside // self.batch_size)

    def epoch_at(self, step: int) -> float:
        """Epochs seen before update `step`, as a number to plot."""
        return self.examples_at(step) / self.epoch_examples

    def examples_of(self, *, epochs: float | None = None, examples: float | Fraction | None = None) -> int:
        """A length given in epochs or examples as a whole number of examples (rounded up)."""
        return math.ceil(exact(epochs) * self.epoch_examples if epochs is not None else exact(examples or 0))

    def batches(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What updates start ≤ t < stop read from the stream.

        Returns:
          epochs: (stop − start,), int64, the epoch of each batch's first example.
          offsets: (stop − start,), int64, that example's place within its epoch.
          counts: (stop − start,), int32, real examples in each batch (the rest is padding).
        """
        t = np.arange(start, stop, dtype=np.int64)
        if (per_epoch := self.steps_per_epoch) is None:
            seen = t * self.batch_size
            epochs, offsets = seen // self.epoch_size, seen % self.epoch_size
            room = np.full_like(t, self.batch_size)
        else:
            epochs, inside = t // per_epoch, t % per_epoch
            offsets = inside * self.batch_size
            seen = epochs * self.epoch_examples + offsets
            room = np.minimum(self.batch_size, self.epoch_examples - offsets)
        counts = np.minimum(room, self.total_examples - seen)
        return epochs, offsets, counts.astype(np.int32)


def length(
    epoch_size: int,
    batch_size: int,
    boundary: str = 'through',
    *,
    total_epochs: float | None = None,
    total_examples: int | None = None,
    total_steps: int | None = None,
) -> Length:
    """The length of a run, declared in exactly one unit.

    Raises:
      ValueError: none or several lengths given, or one that is not positive.
    """
    declared = {'total_epochs': total_epochs, 'total_examples': total_examples, 'total_steps': total_steps}
    given = {k: v for k, v in declared.items() if v is not None}
    if len(given) != 1:
        found = ', '.join(f'{k}={v}' for k, v in given.items()) or 'none'
        raise ValueError(f'a run needs exactly one length of {", ".join(declared)}; given: {found}')
    ((unit, value),) = given.items()
    if not value > 0 or not math.isfinite(value):
        raise ValueError(f'{unit}={value}: a length must be positive and finite')
    # An unbounded run first: it knows how updates and epochs turn into examples.
    endless = Length(epoch_size, batch_size, 2**62, boundary)
    if unit == 'total_steps':
        examples = endless.examples_at(int(value))
    elif unit == 'total_epochs':
        examples = endless.examples_of(epochs=value)
    else:
        examples = int(value)
    return Length(epoch_size, batch_size, examples, boundary)
