"""When something happens in a run: any union of every, at and log-spaced, as exact update numbers."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from bsresearch.core.field import Field
from bsresearch.core.kinds import check_points
from bsresearch.core.units import Length, exact

# The fields of a section of points, each at the value that turns it off; what is given is united.
POINTS = {
    'every_steps': Field(0, 'updates', 'from one point to the next; 0: none of these'),
    'every_examples': Field(0, 'examples', 'from one point to the next; 0: none of these'),
    'every_epochs': Field(0.0, 'epochs', 'from one point to the next, fractions allowed; 0: none of these'),
    'at_steps': Field((), 'updates', 'the points, as numbers of updates made'),
    'at_examples': Field((), 'examples', 'the points, as examples seen'),
    'at_epochs': Field((), 'epochs', 'the points, as epochs seen'),
    'log_spaced': Field(0, 'points', 'how many from the first to the last update, spaced evenly in log'),
}
OFF: dict[str, Any] = {name: field.default for name, field in POINTS.items()}
FIELDS, NEVER = tuple(OFF), tuple(OFF.values())
WHOLE = ('every_steps', 'at_steps', 'log_spaced')


def check(spec: Mapping[str, Any], field: str) -> None:
    """Raises ValueError where a number makes no sense."""
    for name in FIELDS:
        values = spec[name] if name.startswith('at_') else (spec[name],)
        if any(isinstance(v, bool) or not isinstance(v, int | float) or v < 0 for v in values):
            raise ValueError(f'{field}.{name}={spec[name]}: numbers of at least 0 are needed')
        if name in WHOLE and any(v != int(v) for v in values):
            raise ValueError(f'{field}.{name}={spec[name]}: whole numbers are needed')


def _check_counts(spec: Mapping[str, Any], length: Length, field: str) -> None:
    """Raises ValueError where more points are asked for than can be listed."""
    spans = {'every_steps': length.total_steps, 'every_examples': length.total_examples,
             'every_epochs': exact(length.total_examples) / length.epoch_examples}  # fmt: skip
    for name, whole in spans.items():
        if spec[name]:
            check_points(f'{field}.{name}', spec[name], int(whole // exact(spec[name])) + 1)
    check_points(f'{field}.log_spaced', spec['log_spaced'], int(spec['log_spaced']))


def _marks(every: Any, total: int, per: int) -> list[int]:
    """Multiples of `every` (in units of `per` examples) up to `total` examples."""
    stride = exact(every) * per
    return [-(-k * stride.numerator // stride.denominator) for k in range(int(total // stride) + 1)]


def points(spec: Mapping[str, Any], length: Length, field: str = 'when') -> list[int]:
    """The updates t, sorted, at whose θ_t it happens; 0 ≤ t ≤ T, T being the final state.

    A point in examples or epochs is the first θ_t that has seen at least as many.

    Raises:
      ValueError: a point past the end of the run.
    """
    values = tuple(tuple(v) if isinstance(v := spec[name], list) else v for name in FIELDS)
    return list(_points(values, length, field)) if values != NEVER else []


@functools.lru_cache(4096)  # runs of a grid ask for the same ones
def _points(values: tuple[Any, ...], length: Length, field: str) -> tuple[int, ...]:
    spec = dict(zip(FIELDS, values, strict=True))
    check(spec, field)
    total, steps = length.total_examples, length.total_steps
    _check_counts(spec, length, field)
    updates: set[int] = set()
    if spec['every_steps']:
        updates |= set(range(0, steps + 1, int(spec['every_steps'])))
    if spec['every_examples']:
        updates |= {length.step_at(e) for e in _marks(spec['every_examples'], total, 1)}
    if spec['every_epochs']:
        updates |= {length.step_at(e) for e in _marks(spec['every_epochs'], total, length.epoch_examples)}
    if spec['log_spaced']:
        updates |= {round(t) for t in np.geomspace(1, max(steps, 1), int(spec['log_spaced']))} | {0}
    at: list[tuple[str, float, int, float]] = [('at_steps', s, s, steps) for s in spec['at_steps']]
    at += [('at_examples', e, length.step_at(e), total) for e in spec['at_examples']]
    for e in spec['at_epochs']:
        examples = length.examples_of(epochs=e)
        at.append(('at_epochs', e, length.step_at(examples), total / length.epoch_examples))
    for name, value, step, limit in at:
        if value > limit:
            raise ValueError(f'{field}.{name} has the point {value}, past the end of the run ({limit:g})')
        updates.add(step)
    return tuple(sorted(updates))


def rest(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a measurement's section holds beside its points: the keywords of its `build`."""
    return {k: v for k, v in spec.items() if k not in FIELDS}
