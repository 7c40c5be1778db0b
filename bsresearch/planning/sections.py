"""Sections of a config whose `name` picks a file or function: that part's signature is the section's schema."""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from bsresearch import measure, models
from bsresearch.core import kinds, lookup, own_part
from bsresearch.core.field import unknown_field
from bsresearch.models import losses
from bsresearch.optim import batch_schedules, scaling, schedules
from bsresearch.planning import schema

# Keyword arguments of a part that come from fields of their own.
FROM_ELSEWHERE = {'model': models.FROM_ELSEWHERE, 'optimizer': ('no_decay',)}
# Positional arguments of the functions of a section, where they are not a module's members.
SHAPES = ('schedule', 'momentum_schedule', 'weight_decay_schedule')
LEADING = {**dict.fromkeys(SHAPES, ('t', 'span')), 'loss': ('outputs', 'labels')}


# Where the parts of a section lie: files of a folder that define a function, or functions of a module.
FOLDERS = {
    'data': ('bsresearch.data', 'load'), 'model': ('bsresearch.models', 'build'),
    'optimizer': ('bsresearch.optim', 'build'), 'probe': ('bsresearch.measure.probes', 'build'),
}  # fmt: skip
FUNCTIONS: dict[str, Callable[[], Mapping[str, Any]]] = {
    **dict.fromkeys(SHAPES, schedules.members),
    'batch_schedule': lambda: lookup.functions(batch_schedules, ('span', 'noise')),
    'loss': lambda: lookup.functions(losses, ('outputs', 'labels')),
    'scaling': lambda: lookup.functions(scaling, ('base', 'k')),
}


def part(section: str, name: str) -> Any:
    """The function whose keyword-only arguments are the schema of `section` for this name."""
    if section in FOLDERS:
        package, function = FOLDERS[section]
        if section == 'data' and name not in lookup.members(package, function) and not own_part.is_path(name):
            return lambda: None  # a TFDS set has no fields of its own
        if (section, name) == ('probe', 'none'):
            return lambda: None
        if section == 'model':
            return models.builder(name)
        return getattr(lookup.module(package, function, name, section), function)
    if section in LEADING and own_part.is_path(name):
        return own_part.function(name, section, LEADING[section])
    members = FUNCTIONS[section]()
    if name not in members:
        raise lookup.unknown(section, name, members, own=section in LEADING)
    return members[name]


def settings(section: Mapping[str, Any]) -> dict[str, Any]:
    """What a named section hands to the part that it names."""
    return {k: v for k, v in section.items() if k != 'name'}


def built(section: str, given: Mapping[str, Any], *arguments: Any) -> Any:
    """What the part of a completed section makes of its settings."""
    return part(section, given['name'])(*arguments, **settings(given))


@functools.cache
def defaults(section: str, name: str) -> Mapping[str, Any]:
    """Defaults of a named section: the shared fields and those of the part called `name`. Only to be read."""
    shared = {k: v for k, v in schema.known()[section].items() if k != 'name'}
    own = lookup.keywords(part(section, name))
    return shared | {k: v for k, v in own.items() if k not in FROM_ELSEWHERE.get(section, ())}


@functools.cache
def hints_of(section: str, name: str) -> Mapping[str, Any]:
    """The kinds of the fields of a named section, as annotations. Only to be read."""
    shared = {key: hint for key, hint in schema.hints()[section].items() if key != 'name'}
    return {**shared, **lookup.hints(part(section, name))}


def in_whole_numbers(path: str, value: Any, declared: Mapping[str, Any]) -> Any:
    """A value from the command line with whole floats (1e3) as integers where its field takes no others.

    Args:
      path: dotted; under `sweep.` the value is a tuple of values. Of an arm it is that of the field that it sets.
      declared: the config with its overrides, dotted paths among its keys: which part a section names.
    """
    path = re.sub(r'^(branch\.)?arms\.\w+\.', '', path)
    field = path.removeprefix('sweep.').removeprefix('zip.')
    hint = _hint(field, declared)
    return kinds.in_whole_numbers(value, hint if field == path else tuple[hint, ...])


def _hint(path: str, declared: Mapping[str, Any]) -> Any:
    """The kind of a field as an annotation; Any where it is unknown."""
    *parents, field = path.split('.')
    hints: Any = schema.hints()
    for parent in parents:
        hints = hints.get(parent) if isinstance(hints, dict) else None
    if not isinstance(hints, dict) or isinstance(hints.get(field), dict):
        return Any
    if field in hints or not parents:
        return hints.get(field, Any)
    if parents[0] == 'measure':
        path = f'measure.{parents[1]}.function'
        function = declared.get(path, declared.get('measure', {}).get(parents[1], {}).get('function'))
        build, _ = measure.builder(parents[1], {} if function is None else {'function': function})
        return lookup.hints(build).get(field, Any)
    name = declared.get(f'{parents[0]}.name', declared[parents[0]].get('name'))
    try:
        return hints_of(parents[0], name).get(field, Any) if parents[0] in schema.PARTS else Any
    except ValueError:  # no such part: told when the run is planned
        return Any


def describe(section: str, given: Mapping[str, Any]) -> str:
    """A completed section in a few words: its name, and what differs from that part's defaults."""
    usual = defaults(section, given['name'])
    own = ', '.join(f'{k}={v}' for k, v in given.items() if k != 'name' and v != usual[k])
    name = own_part.unplaced(given['name'])
    return f'{name}({own})' if own else name


def complete(section: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A named section completed and checked."""
    name = given.get('name')
    if not isinstance(name, str):
        raise ValueError(f'config.{section}.name={name!r}: the name of the {section} is needed, as text')
    allowed = defaults(section, name)
    for key in given:
        if key != 'name' and key not in allowed:
            own = ('name', *allowed) if allowed else ()
            whose = f' for {section}.name={name!r}'
            where = section if own_part.is_path(name) else f'{section}.{name}'
            raise unknown_field(f'{section}.{key}', own, of=whose, where=where)
    values = {k: given.get(k, v) for k, v in allowed.items()}
    hints = hints_of(section, name)
    for key, value in values.items():
        if not kinds.alike(value, allowed[key]):
            kinds.check(f'config.{section}.{key}', value, allowed[key], hints.get(key, inspect.Parameter.empty))
    if section.endswith('schedule') and 'parts' in values:
        values['parts'] = tuple(_part(section, part) for part in values['parts'])
    return {'name': name, **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}}


def _part(section: str, part: Any) -> Any:
    """A part of a joined schedule completed; one that makes no sense is left to the shape's own checks."""
    try:
        usual = lookup.keywords(schedules.member(part['name']))
    except (ValueError, KeyError, TypeError):
        return part
    return {'name': part['name'], 'times': 1.0, **usual, **part}
