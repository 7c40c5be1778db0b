"""One shape after another."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from bsresearch.core import kinds, lookup
from bsresearch.core.units import Span
from bsresearch.optim.schedules.shape import Paired, boundaries


class Part(NamedTuple):
    """A shape on its own span, times a number."""

    shape: Callable[..., Any]
    settings: dict[str, Any]
    times: float
    span: Span

    def __call__(self, t: np.ndarray) -> Paired:
        """Its values at updates counted from its own start."""
        values = self.shape(t, self.span, **self.settings)
        factor, momentum = values if isinstance(values, Paired) else (values, None)
        return Paired(self.times * factor, momentum)


def _part(declared: Mapping[str, Any], span: Span) -> Part:
    """The part that a mapping declares.

    Raises:
      ValueError: it is no mapping with the name of a shape, its fields, and a positive `times`.
    """
    # Here, as the package imports this module.
    from bsresearch.optim import schedules

    if not isinstance(declared, Mapping) or not isinstance(declared.get('name'), str):
        raise ValueError(f'{declared!r} is not a mapping with the name of a schedule')
    name, times = declared['name'], declared.get('times', 1.0)
    shape = schedules.member(name)
    kinds.check('times', times, 1.0)
    if not times > 0:
        raise ValueError(f'times={times}: a positive number is needed')
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in declared.items() if k not in ('name', 'times')}
    settings = lookup.check_keywords(shape, given, f'schedule {name}')
    for field, default in lookup.keywords(shape).items():
        kinds.check(f'schedule.{field}', settings[field], default, lookup.hints(shape).get(field, Any))
    return Part(shape, settings, times, span)


def _parts(parts: tuple[Mapping[str, Any], ...], edges: list[int], span: Span) -> tuple[list[Part], bool]:
    """The parts, each tried at its first update, and whether they schedule momentum."""
    shapes, paired = [], []
    for i, declared in enumerate(parts):
        try:
            part = _part(declared, span.part(edges[i], edges[i + 1]))
            paired.append(part(np.zeros(1, np.int64)).momentum is not None)
        except ValueError as error:
            raise ValueError(f'schedule.parts[{i}]: {error}') from error
        shapes.append(part)
    if len(set(paired)) > 1:
        with_, without = ([i for i, p in enumerate(paired) if p is wanted] for wanted in (True, False))
        raise ValueError(
            f'schedule.parts {with_} schedule momentum and {without} do not, so it would be undefined there; set '
            f'cycle_momentum=False in parts {with_}, or use shapes with momentum throughout'
        )
    return shapes, paired[0]


def join(
    t: np.ndarray,
    span: Span,
    *,
    parts: tuple[Mapping[str, Any], ...] = (),
    at_epochs: tuple[float, ...] = (),
    at_fractions: tuple[float, ...] = (),
    at_examples: tuple[int, ...] = (),
) -> np.ndarray | Paired:
    """times·shape of each part over its own updates, counted from its own start.

    Unlike optax.join_schedules, whose parts do not know where they are cut, each part stretches over its own span: its
    T is its number of updates. The update at a boundary is the first of the next part.

    Args:
      parts: mappings {'name': …, 'times': 1.0, …} with the part's fields beside them.
      at_epochs, at_fractions (of the examples), at_examples: boundaries, one less than parts; give one of the three.
    """
    given = [at for at in (at_epochs, at_fractions, at_examples) if at]
    if len(parts) < 2 or len(given) != 1 or len(given[0]) != len(parts) - 1:
        raise ValueError(
            f'schedule join needs at least two parts and, in one of at_epochs, at_fractions and at_examples, a '
            f'boundary between each two; given {len(parts)} parts and {at_epochs}, {at_fractions}, {at_examples}'
        )
    edges = [0, *boundaries(span, at_epochs, at_fractions, at_examples), span.steps]
    if len(set(edges)) < len(edges):
        raise ValueError(
            f'schedule boundaries {given[0]} fall on updates {edges[1:-1]}: each part needs at least one update; move '
            'them apart or use a smaller batch_size'
        )
    joined, paired = _parts(parts, edges, span)
    factor, momentum = np.zeros(len(t)), np.zeros(len(t))
    index = np.searchsorted(edges, t, side='right') - 1
    for i in np.unique(index):
        inside = index == i
        values = joined[i](t[inside] - edges[i])
        factor[inside] = values.factor
        if values.momentum is not None:
            momentum[inside] = values.momentum
    if paired:
        return Paired(factor, momentum)
    return factor
