"""What is held fixed where arms are compared, as `config.held_fixed` names it."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bsresearch.core import lookup
from bsresearch.core.flat import flatten
from bsresearch.planning import schema, sections

LENGTHS = ('epochs', 'updates', 'examples', 'seconds', 'examples after the branch')
DERIVED = ('noise_temperature',)
TARGET = 'target'  # which may stand for a length: runs are followed up to it
# How a number is read or chosen; beside a length.
READINGS = (TARGET, 'tuned')


class HeldFixed(NamedTuple):
    """kind: length | field | derived | reading. fields: those of the config that it names."""

    name: str
    kind: str
    fields: tuple[str, ...] = ()


def fields(config: Mapping[str, Any], parts: Iterable[tuple[str, str]] = ()) -> list[str]:
    """The fields that determine a run's result, dotted; sections as a whole too.

    Args:
      config: whose parts bring fields of their own. parts: others that do, (section, name).
    """
    known = {name: schema.known()[name] for name in schema.DETERMINING}
    named = dict.fromkeys([*((section, config[section]['name']) for section in schema.NAMED), *parts])
    of_parts = (f'{section}.{field}' for section, name in named for field in sections.defaults(section, name))
    return list(dict.fromkeys([*known, *flatten(known), *of_parts]))


def parse(names: Sequence[str], allowed: Collection[str]) -> list[HeldFixed]:
    """The names of `config.held_fixed`.

    Args:
      names: lengths, fields, `noise_temperature`, quotients and products of fields (batch_size/workers), or a reading
        beside a length; `target` may be that. allowed: the fields.

    Raises:
      ValueError: an unknown one, one twice, or a reading alone.
    """
    held = [_parsed(name, allowed) for name in names]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'config.held_fixed={names}: {name!r} stands there twice; once is enough')
    if any(h.kind == 'reading' for h in held) and not any(h.kind == 'length' or h.name == TARGET for h in held):
        allowed_lengths = ', '.join((*LENGTHS, TARGET))
        raise ValueError(f'config.held_fixed={names}: a length is needed beside it, one of: {allowed_lengths}')
    return held


def _parsed(name: str, allowed: Collection[str]) -> HeldFixed:
    for kind, members in {'length': LENGTHS, 'reading': READINGS, 'derived': DERIVED}.items():
        if name in members:
            return HeldFixed(name, kind)
    of_fields = tuple(re.split(r'[/*]', name))
    for field in of_fields:
        if field not in allowed:
            cure = lookup.nearest(field, [*LENGTHS, *READINGS, *DERIVED, *allowed], 'bsresearch fields')
            raise ValueError(f'config.held_fixed={name!r}: {field!r} is no length, field or derived quantity; {cure}')
    return HeldFixed(name, 'field' if len(of_fields) == 1 else 'derived', of_fields)
