"""Names of an axis's values: a section's name, and its fields in which those of that name differ."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

FEW = 3  # names that are all told


def of_values(values: Sequence[Any]) -> Callable[[Any], Any]:
    """Value → its name among the values of its axis: numbers and words as they are, lists as tuples, sections named.

    {'name': 'one_cycle', 'cycle_momentum': True} is `one_cycle cycle_momentum=True` where another one-cycle is there.
    """
    sections = [v for v in values if isinstance(v, Mapping)]

    def label(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return tuple(value) if isinstance(value, list) else value
        alike = [s for s in sections if s.get('name') == value.get('name')]
        fields = sorted({f for s in alike for f in s if f != 'name'})
        differing = [f for f in fields if len({json.dumps(s.get(f), sort_keys=True) for s in alike}) > 1]
        return ' '.join([str(value.get('name')), *(f'{f}={value.get(f, "default")}' for f in differing)])

    return label


def words(name: str) -> str:
    """A field, metric or arm for a reader: 'batch size'."""
    return re.sub(r'\bauc\b', 'AUC', name.replace('_', ' '))


def listed(names: Sequence[str]) -> str:
    """'small, large'; 'none 4, 16, 64' of those that a number tells apart; of many the first and the last."""
    numbers: dict[str, list[str]] = {}
    for name in names:
        stem, _, number = name.rpartition(' ')
        numbered = stem and number.isdigit()
        numbers.setdefault(stem if numbered else name, []).extend([number] if numbered else [])
    parts = [' '.join(filter(None, (stem, ', '.join(of_stem)))) for stem, of_stem in numbers.items()]
    return ', '.join(parts) if len(parts) <= FEW else f'{names[0]} to {names[-1]}'


def rank(value: Any) -> tuple[Any, ...]:
    """The order of values: what is absent, numbers by size, words by alphabet."""
    if isinstance(value, Real):
        return (1, float(value), '')
    return (0 if value == '' else 2, 0.0, str(value))


def text(value: Any) -> str:
    """A value of an axis for a reader: 1,024; 0.1; one_cycle."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    number = float(value)
    return f'{number:,.0f}' if number.is_integer() and abs(number) < 1e15 else f'{number:.6g}'


def of_field(field: str) -> str:
    """A field of the config for a reader: 'batch size', 'optimizer', 'schedule step epochs'."""
    return words(field.removesuffix('.name').replace('.', ' '))
