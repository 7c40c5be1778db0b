"""Changes of a declared config: dotted path → value. Where they come from, and in which order: sweep.py."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bsresearch.core import kinds, when
from bsresearch.core.field import unknown_field
from bsresearch.planning import schema

LENGTHS = ('total_epochs', 'total_examples', 'total_steps', 'total_seconds')
# Units of one quantity, of which a config gives one: what replaces one of these fields replaces them all.
ALTERNATIVES = (
    LENGTHS,
    ('warmup.epochs', 'warmup.examples', 'warmup.steps'),
    ('ema.half_life_epochs', 'ema.half_life_examples'),
)
# With it a measurement of a user's own begins.
FUNCTION = re.compile(r'measure\.(\w+)\.function')
# Fields that every data set has, with values that belong to one: they go where its name goes.
NORMALIZATION = ('data.mean', 'data.std')


def set_field(tree: dict[str, Any], path: str, value: Any) -> None:
    """Changes the tree, and no section that it may share with another one."""
    *parents, leaf = path.split('.')
    for parent in parents:
        if not isinstance(tree.get(parent), dict):
            if parent in tree:
                raise ValueError(f'unknown config field {path}; {parent} is not a section')
            raise unknown_field(parent, tree)
        tree[parent] = tree = dict(tree[parent])
    tree[leaf] = value


def assign(declared: dict[str, Any], changes: Mapping[str, Any], anew: bool = False) -> dict[str, Any]:
    """`declared` with `changes`; sections without a change are shared with it.

    A changed `<section>.name` drops the old part's own fields, of data their normalization too, a changed length the
    others: they belong to what was replaced.

    Args:
      anew: the same name drops them too.
    """
    result, shared = dict(declared), schema.known()
    for section in schema.PARTS:
        name = changes.get(f'{section}.name', result[section].get('name'))
        another = name != result[section].get('name')
        if another or (anew and f'{section}.name' in changes):
            kept = {k: v for k, v in result[section].items() if section_of_part(f'{section}.{k}') is None}
            same = {} if another else {k: v for k, v in result[section].items() if f'{section}.{k}' in NORMALIZATION}
            result[section] = kept | same
    for units in ALTERNATIVES:
        if any(field in changes for field in units):
            for field in units:
                set_field(result, field, None)
    for path in changes:
        if (of_measurement := FUNCTION.fullmatch(path)) and of_measurement[1] not in result['measure']:
            set_field(result, f'measure.{of_measurement[1]}', dict(when.OFF))
    for path, value in changes.items():
        if isinstance(shared.get(path), dict) and not isinstance(value, Mapping):
            raise ValueError(f'config field {path}={kinds.brief(value)}: a section is needed')
        # A section given whole has its other fields by default; those of a part follow from its name.
        whole = path in shared and isinstance(value, Mapping) and path not in schema.OPEN
        set_field(result, path, shared[path] | dict(value) if whole and isinstance(shared[path], dict) else value)
    return result


def with_alternatives(paths: Iterable[str]) -> set[str]:
    """The fields, and those that give the same quantity in other units."""
    fields = set(paths)
    return fields.union(*(units for units in ALTERNATIVES if fields.intersection(units)))


def touches(path: str, other: str) -> bool:
    """Whether two fields are one, one lies in the other, or they give one quantity in two units."""
    pairs = ((a, b) for a in with_alternatives([path]) for b in with_alternatives([other]))
    return any(a == b or a.startswith(f'{b}.') or b.startswith(f'{a}.') for a, b in pairs)


def section_of_part(path: str) -> str | None:
    """The section of a field that its part brings, and that another `name` takes away; None for all other fields."""
    if path in NORMALIZATION:
        return 'data'
    section, _, field = path.partition('.')
    of_part = section in schema.PARTS and field and field.partition('.')[0] not in schema.known()[section]
    return section if of_part else None
