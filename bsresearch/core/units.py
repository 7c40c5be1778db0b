"""Lengths of training: examples, updates, epochs → exact integers. Pure arithmetic; the only place that converts.

The master unit is the example. Update t (from 0) consumes one batch; θ_t is the state before it.
"""

import functools
import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from bsresearch.core import kinds

BOUNDARIES = ('through', 'partial', 'drop')


def exact(value: float | int | Fraction) -> Fraction:
    """The decimal a person wrote, not its binary neighbour: 0.1 → 1/10."""
    return value if isinstance(value, Fraction) else Fraction(str(value))


class Piece(NamedTuple):
    """Updates of one batch size from `start_step`, where `start_examples` have been seen, up to the next piece."""

    start_step: int
    start_examples: int
    batch_size: int


class Segment(NamedTuple):
    """Updates start ≤ t < stop, which share a batch size."""

    start: int
    stop: int
    batch_size: int


@dataclass(frozen=True)
class Length:
    """A run's length and how its updates cut the example stream.

    Attributes:
      epoch_size: examples in the training set.
      batch_size: examples per update, over all devices; with `changes` those of the first updates.
      total_examples: examples the run sees.
      boundary: what a batch does at the end of an epoch. `through`: takes the next epoch's first examples (only the
        run's last batch may be short); `partial`: stops there, so each epoch ends with a short batch; `drop`: the
        short batch is left out, and an epoch counts ⌊N/B⌋·B examples.
      changes: (examples, batch size) in rising order: the first update that starts with at least that many examples
        seen, and those after it, take the new batch size. The example stream stays as it is.
    """

    epoch_size: int
    batch_size: int
    total_examples: int
    boundary: str = 'through'
    changes: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.boundary not in BOUNDARIES:
            raise ValueError(f'epoch_boundary={self.boundary!r}: allowed are {", ".join(BOUNDARIES)}')
        for size in (self.batch_size, *(b for _, b in self.changes)):
            if not 1 <= size <= kinds.MOST_BATCH:
                raise ValueError(f'batch_size={size}: from 1 to {kinds.MOST_BATCH} examples per update are possible')
        if self.boundary == 'drop' and self.batch_size > self.epoch_size:
            raise ValueError(
                f'batch_size={self.batch_size} with epoch_boundary=drop leaves no batch in an epoch of '
                f'{self.epoch_size} examples, however long the run; use batch_size={self.epoch_size} or less, or '
                f'--config.epoch_boundary=through in a run of at least {self.batch_size} examples'
            )
        if self.total_examples < 1:
            raise ValueError(f'total_examples={self.total_examples}: a run sees at least 1 example')
        if self.changes and self.boundary == 'drop':
            raise ValueError(
                'epoch_boundary=drop with a batch size that changes: which examples are left out would change with '
                'it; use --config.epoch_boundary=through or partial'
            )
        points = [e for e, _ in self.changes]
        if points != sorted(set(points)) or any(not 0 < e < self.total_examples for e in points):
            raise ValueError(
                f'the batch size changes at {points} examples: these must rise and lie inside the run of '
                f'{self.total_examples}'
            )

    @property
    def epoch_examples(self) -> int:
        """Examples seen per epoch: N, or ⌊N/B⌋·B with `drop`."""
        return self.epoch_size // self.batch_size * self.batch_size if self.boundary == 'drop' else self.epoch_size

    @property
    def total_steps(self) -> int:
        """T, the number of updates."""
        return self.step_at(self.total_examples)

    @functools.cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """The run cut where the batch size changes; with `partial` also at the end of an epoch that had a change."""
        pieces = [Piece(0, 0, self.batch_size)]
        for examples, size in self.changes:
            # An update may have passed a change already when the next one comes.
            while len(pieces) > 1 and pieces[-1].start_examples >= examples:
                pieces.pop()
            step = self._step_in(pieces[-1], examples)
            seen = self._examples_in(pieces[-1], step)
            pieces.append(Piece(step, seen, size))
            if self.boundary == 'partial' and (rest := -seen % self.epoch_size):
                pieces.append(Piece(step + -(-rest // size), seen + rest, size))
        return tuple(pieces)

    @functools.cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The run cut where the batch size changes: neighbours differ."""
        segments: list[Segment] = []
        ends = [p.start_step for p in self.pieces[1:]]
        for piece, stop in zip(self.pieces, [*ends, self.total_steps], strict=True):
            stop = min(stop, self.total_steps)
            if segments and segments[-1][2] == piece.batch_size:
                segments[-1] = segments[-1]._replace(stop=stop)
            elif piece.start_step < stop:
                segments.append(Segment(piece.start_step, stop, piece.batch_size))
        return tuple(segments)

    def batch_size_at(self, step: int) -> int:
        """B of update `step`; of the last one for the final state."""
        return self.segments[max(0, bisect_right(self.segments, step, key=lambda s: s.start) - 1)].batch_size

    @property
    def largest_batch_size(self) -> int:
        """Of all updates."""
        return max(segment.batch_size for segment in self.segments)

    def _examples_in(self, piece: Piece, step: int) -> int:
        updates = step - piece.start_step
        if self.boundary == 'through':
            return piece.start_examples + updates * piece.batch_size
        if rest := -piece.start_examples % self.epoch_examples:
            return piece.start_examples + min(updates * piece.batch_size, rest)
        epoch, inside = divmod(updates, -(-self.epoch_examples // piece.batch_size))
        inside = min(inside * piece.batch_size, self.epoch_examples)
        return piece.start_examples + epoch * self.epoch_examples + inside

    def _step_in(self, piece: Piece, examples: int) -> int:
        wanted = examples - piece.start_examples
        if self.boundary == 'through' or -piece.start_examples % self.epoch_examples:
            return piece.start_step + -(-wanted // piece.batch_size)
        epoch, inside = divmod(wanted, self.epoch_examples)
        per_epoch = -(-self.epoch_examples // piece.batch_size)
        return piece.start_step + epoch * per_epoch + -(-inside // piece.batch_size)

    def _piece(self, value: int, key: Callable[[Piece], int]) -> Piece:
        return self.pieces[max(0, bisect_right(self.pieces, value, key=key) - 1)]

    def examples_at(self, step: int) -> int:
        """Examples seen before update `step`: the exact position of θ_step."""
        piece = self._piece(step, lambda p: p.start_step)
        return min(self._examples_in(piece, step), self.total_examples)

    def step_at(self, examples: int) -> int:
        """The first t whose θ_t has seen at least `examples` (capped by the run's length)."""
        examples = min(examples, self.total_examples)
        return self._step_in(self._piece(examples, lambda p: p.start_examples), examples)

    def epoch_at(self, step: int) -> float:
        """Epochs seen before update `step`, as a number to plot."""
        return self.examples_at(step) / self.epoch_examples

    def examples_of(self, *, epochs: float | Fraction | None = None, examples: float | Fraction | None = None) -> int:
        """A length given in epochs or examples as a whole number of examples (rounded up)."""
        return math.ceil(exact(epochs) * self.epoch_examples if epochs is not None else exact(examples or 0))

    def batches(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What updates start ≤ t < stop read from the stream.

        Returns:
          epochs: (stop − start,), int64, the epoch of each batch's first example.
          offsets: (stop − start,), int64, that example's place within its epoch.
          counts: (stop − start,), int32, real examples in each batch (the rest is padding).
        """
        epochs, offsets, room = self._positions(np.arange(start, stop, dtype=np.int64))
        counts = np.minimum(room, self.total_examples - epochs * self.epoch_examples - offsets)
        return epochs, offsets, counts.astype(np.int32)

    def examples_before(self, t: np.ndarray) -> np.ndarray:
        """`examples_at` of each update t, (n,), int64."""
        epochs, offsets, _ = self._positions(t)
        return np.minimum(epochs * self.epoch_examples + offsets, self.total_examples)

    def _positions(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Epoch and offset of each update's first example, and how many its batch may hold; (n,), int64."""
        at = np.searchsorted([p.start_step for p in self.pieces], t, side='right') - 1
        first, before, size = (np.array(column, np.int64)[at] for column in zip(*self.pieces, strict=True))
        updates = t - first
        if self.boundary == 'through':
            seen = before + updates * size
            return seen // self.epoch_size, seen % self.epoch_size, size
        # A piece that starts inside an epoch ends with it, before it could have made an epoch's updates.
        per_epoch = -(-self.epoch_examples // size)
        epochs = before // self.epoch_examples + updates // per_epoch
        offsets = before % self.epoch_examples + updates % per_epoch * size
        return epochs, offsets, np.minimum(size, self.epoch_examples - offsets)


@dataclass(frozen=True)
class Span:
    """Updates start ≤ t < stop of a run: what a schedule shape stretches over.

    Lengths declared in epochs or examples count `stretch` times as many: regime adaptation (Hoffer et al. 2017).
    """

    length: Length
    start: int
    stop: int
    stretch: Fraction = Fraction(1)

    def part(self, start: int, stop: int) -> 'Span':
        """Updates start ≤ t < stop of the span, counted from its own start."""
        return replace(self, start=self.start + start, stop=self.start + stop)

    @property
    def epoch_examples(self) -> Fraction:
        """Examples of a declared epoch."""
        return self.length.epoch_examples * self.stretch

    @property
    def steps(self) -> int:
        """Its number of updates."""
        return self.stop - self.start

    @property
    def examples(self) -> int:
        """Examples seen in it."""
        return self.length.examples_at(self.stop) - self.length.examples_at(self.start)

    def step_of(
        self,
        name: str,
        *,
        epochs: float | None = None,
        examples: float | None = None,
        fraction: float | Fraction | None = None,
        steps: int | None = None,
    ) -> int:
        """Updates from the span's start to the first θ that has seen so much of it; give one of the four lengths.

        Raises:
          ValueError: it lies outside the span; `name` is that of the field.
        """
        if steps is not None:
            value, wanted, room = steps, steps, self.steps
        else:
            value = epochs if epochs is not None else examples if examples is not None else fraction
            if fraction is not None:
                wanted = math.ceil(exact(fraction) * self.examples)
            else:
                declared = exact(examples or 0) if epochs is None else exact(epochs) * self.length.epoch_examples
                wanted = math.ceil(declared * self.stretch)
            room = self.examples
        if not 0 <= wanted <= room:
            longer = f' (times {float(self.stretch):g}, by regime adaptation)' if self.stretch != 1 else ''
            raise ValueError(
                f'{name}={value}{longer} lies outside the {self.steps} updates '
                f'({self.examples / self.length.epoch_examples:g} epochs) that the schedule has; shorten it, or train '
                'longer'
            )
        if steps is not None:
            return steps
        return self.length.step_at(self.length.examples_at(self.start) + wanted) - self.start


def length(
    epoch_size: int,
    batch_size: int,
    boundary: str = 'through',
    *,
    total_epochs: float | Fraction | None = None,
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
        listed = ', '.join(f'{k}={v}' for k, v in given.items()) or 'none'
        raise ValueError(f'a run needs exactly one length of {", ".join(declared)}; given: {listed}')
    ((unit, value),) = given.items()
    if not value > 0 or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f'{unit}={value}: a length must be positive and finite')
    # An unbounded run first: it knows how updates and epochs turn into examples.
    endless = Length(epoch_size, batch_size, 2**62, boundary)
    if unit == 'total_steps':
        examples = endless.examples_at(int(value))
    elif unit == 'total_epochs':
        examples = endless.examples_of(epochs=value)
    else:
        examples = int(value)
    return replace(endless, total_examples=examples)
