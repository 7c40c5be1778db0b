"""Batch-size schedules: where along the example stream the batch size changes, and to what.

A schedule is a function (span, noise, …) → ((examples, batch size), …), in rising order, for `units.Length`; the
example stream stays as it is. `noise` gives g(t)/g(0) at every update of the run at its first batch size, without the
warm-up: what the learning-rate and momentum schedules do to the noise temperature.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from bsresearch.core.kinds import check_points
from bsresearch.core.units import Length, Span, exact

Changes = tuple[tuple[int, int], ...]
Noise = Callable[[], np.ndarray]


def constant(span: Span, noise: Noise) -> Changes:
    """No change."""
    del span, noise
    return ()


def steps(
    span: Span,
    noise: Noise,
    *,
    batch_sizes: tuple[int | float, ...] = (),
    at_epochs: tuple[float, ...] = (),
    at_fractions: tuple[float, ...] = (),
    at_examples: tuple[int, ...] = (),
) -> Changes:
    """Any list: from each point on, the next batch size.

    Args:
      batch_sizes: after the first, which is config.batch_size.
      at_epochs, at_fractions (of the run's examples), at_examples: the points, as many; give one of the three.
    """
    del noise
    if any(type(b) is not int for b in batch_sizes):
        raise ValueError(f'batch_schedule.batch_sizes={batch_sizes}: whole numbers of examples are needed')
    points = _points(span, at_epochs, at_fractions, at_examples)
    if len(points) != len(batch_sizes):
        raise ValueError(
            f'batch_schedule.batch_sizes={batch_sizes}: one for each of the {len(points)} points is needed '
            '(the first batch size is config.batch_size)'
        )
    return tuple((e, int(b)) for e, b in zip(points, batch_sizes, strict=True))


def growth(
    span: Span,
    noise: Noise,
    *,
    factor: float = 2.0,
    every_epochs: float = 0.0,
    at_epochs: tuple[float, ...] = (),
    at_fractions: tuple[float, ...] = (),
    at_examples: tuple[int, ...] = (),
    max_batch_size: int | None = None,
    max_fraction: float = 1.0,
) -> Changes:
    """B times `factor` at each point, up to a cap. The learning rate stays as it is scheduled.

    Args:
      factor: of the batch size at each point.
      every_epochs, at_epochs, at_fractions, at_examples: the points; give one of the four.
      max_batch_size: the cap in examples; max_fraction: as a fraction of the training set. The lower one holds.
    """
    del noise
    if not factor > 1:
        raise ValueError(f'batch_schedule.factor={factor}: must exceed 1')
    if every_epochs:
        if at_epochs or at_fractions or at_examples:
            raise ValueError(
                f'batch_schedule.every_epochs={every_epochs} is given beside other points; give one of them'
            )
        points = _every(span, every_epochs)
    else:
        points = _points(span, at_epochs, at_fractions, at_examples)
    cap = _cap(span.length, max_batch_size, max_fraction)
    sizes, exact_size = [], float(span.length.batch_size)
    for _ in points:
        exact_size = min(float(cap), exact_size * factor)
        sizes.append(round(exact_size))
    return _drop_unchanged(span.length.batch_size, points, sizes)


def instead_of_decay(
    span: Span,
    noise: Noise,
    *,
    min_factor: float = 2.0,
    max_growths: int | None = None,
    max_batch_size: int | None = None,
    max_fraction: float = 1.0,
) -> Changes:
    """B grows where the scheduled noise temperature falls; what B does not take, the learning rate does.

    Smith et al. 2018 (arXiv:1711.00489). With the policy's table (policy.py) the noise temperature at every example is
    that of the schedule at the first batch size, exactly, whatever the cap, the steps and rounding to whole examples.

    Args:
      min_factor: B changes when it could grow by this factor at least; a continuous decay is followed in such steps.
      max_growths: after so many growths the learning rate decays alone (hybrid arms); None: no limit.
      max_batch_size, max_fraction: as for `growth`; then the learning rate decays.
    """
    if not min_factor > 1:
        raise ValueError(f'batch_schedule.min_factor={min_factor}: must exceed 1')
    length = span.length
    cap, size = _cap(length, max_batch_size, max_fraction), length.batch_size
    # Down: rounded up, B would take the learning rate above its peak. 10/0.2 is 50 all the same.
    wanted = np.minimum(cap, np.floor(length.batch_size / noise() * (1 + 1e-9)))
    # Every update before the first that wants so much wants less: the largest so far is searched.
    largest = np.maximum.accumulate(wanted)
    growths: list[tuple[int, int]] = []
    while size < cap and (max_growths is None or len(growths) < max_growths):
        # The last step may be a short one, up to the cap.
        least = size * min_factor if largest[-1] >= size * min_factor else cap
        update = int(np.searchsorted(largest, least))
        if update == len(largest):
            break
        size = int(wanted[update])
        growths.append((length.examples_at(update), size))
    if not growths and max_growths != 0:
        raise ValueError(
            'batch_schedule.name=instead_of_decay: the schedule lets the noise temperature fall by less than '
            f'min_factor={min_factor:g}, or batch_size={length.batch_size} is at its cap of {cap} already; nothing '
            'would grow'
        )
    return tuple(growths)


def _every(span: Span, epochs: float) -> list[int]:
    """Multiples of so many epochs inside the run, in examples."""
    stride = exact(epochs) * span.epoch_examples
    count = math.ceil(span.examples / stride) if stride > 0 else 0
    check_points('batch_schedule.every_epochs', epochs, count)
    points = [math.ceil(stride * (i + 1)) for i in range(count)]
    points = [e for e in points if e < span.examples]
    if not points:
        raise ValueError(f'batch_schedule.every_epochs={epochs}: must be positive and shorter than the run')
    return points


def _points(
    span: Span, at_epochs: Sequence[float], at_fractions: Sequence[float], at_examples: Sequence[int]
) -> list[int]:
    """The points in examples."""
    if sum(bool(x) for x in (at_epochs, at_fractions, at_examples)) != 1:
        raise ValueError(
            'a batch schedule needs its points in one of at_epochs, at_fractions, at_examples; '
            f'given {at_epochs}, {at_fractions}, {at_examples}'
        )
    name = 'batch_schedule.at_'
    # For their errors: a point outside the run.
    for e in at_epochs:
        span.step_of(f'{name}epochs', epochs=e)
    for f in at_fractions:
        span.step_of(f'{name}fractions', fraction=f)
    for e in at_examples:
        span.step_of(f'{name}examples', examples=e)
    boundaries = [math.ceil(exact(e) * span.epoch_examples) for e in at_epochs]
    boundaries += [math.ceil(exact(e) * span.stretch) for e in at_examples]
    return boundaries + [math.ceil(exact(f) * span.examples) for f in at_fractions]


def _cap(length: Length, max_batch_size: int | None, max_fraction: float) -> int:
    if not 0 < max_fraction <= 1:
        raise ValueError(f'batch_schedule.max_fraction={max_fraction}: a fraction of the training set in (0, 1]')
    cap = min(
        int(exact(max_fraction) * length.epoch_size), length.epoch_size if max_batch_size is None else max_batch_size
    )
    if cap < length.batch_size:
        raise ValueError(
            f'batch_schedule: the cap of {cap} examples lies below batch_size={length.batch_size}; raise '
            'max_batch_size or max_fraction'
        )
    return cap


def _drop_unchanged(size: int, points: Sequence[int], sizes: Sequence[int]) -> Changes:
    """Without the points at which nothing changes any more."""
    before = [size, *sizes]
    return tuple((e, b) for e, b, old in zip(points, sizes, before, strict=False) if b != old)
