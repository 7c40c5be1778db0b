"""What is said of a field of the config: its default, its unit, what it means; and of one that there is not."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from bsresearch.core import lookup


class Field(NamedTuple):
    """A field.

    default: the value where none is given; a type where there is none then (None). unit: '' where it has none.
    """

    default: Any
    unit: str
    meaning: str


class Section(NamedTuple):
    """A section: what its fields are about, and the fields; those of a section in it are of each that it names."""

    meaning: str
    fields: 'Mapping[str, Field | Section]'


def unknown_field(field: str, allowed: Iterable[str], *, of: str = '', where: str = '') -> ValueError:
    """The error of a field that there is not.

    Args:
      field: its dotted name. allowed: the names in its place. of: whose fields they are, for the message.
      where: what `bsresearch fields` is asked for them: a section, or a part of it (schedule.one_cycle).
    """
    known = tuple(allowed)
    command = ' '.join(['bsresearch fields', *([where] if where else [])])
    cure = lookup.shortened(field.rpartition('.')[2], known) if known else 'it has no fields'
    return ValueError(f'unknown config field {field}{of}; {cure}; `{command}` tells of each')


def meanings(fn: Callable[..., Any]) -> dict[str, str]:
    """What the docstring of `fn` says of its keyword-only arguments, under `Args:`; one line for several is each's."""
    keys = lookup.keywords(fn)
    if not keys:
        return {}
    name = '|'.join(map(re.escape, keys))
    head = re.compile(rf'(?:^|[;.] )((?:[^:;]*[^\w:;])?(?:{name})\b[^:;]*): ')
    entries: dict[str, str] = {}
    for entry in _entries(inspect.getdoc(fn) or ''):
        heads = list(head.finditer(entry))
        ends = [*(h.start() for h in heads[1:]), len(entry)]
        for h, end in zip(heads, ends, strict=False):  # no heads: of arguments that are no fields
            text = entry[h.end() : end].rstrip('.')
            # What stands in brackets tells one of several apart, "at_epochs, at_fractions (of the run's examples)".
            apart = dict(re.findall(r'(\w+) \(([^)]*)\)', h[1]))
            for key in re.findall(rf'\b(?:{name})\b', re.sub(r'\([^)]*\)', '', h[1])):
                entries[key] = f'{text} ({apart[key]})' if key in apart else text
    return entries


def _entries(doc: str) -> list[str]:
    """The entries under `Args:`, each on one line."""
    _, _, rest = doc.partition('Args:\n')
    entries: list[str] = []
    for line in rest.splitlines():
        if line and not line.startswith(' '):
            break
        if re.match(r'  \S', line):
            entries.append(line.strip())
        elif line.strip() and entries:
            entries[-1] += f' {line.strip()}'
    return entries
