"""What `bsresearch fields` prints: every field with default, unit and meaning; the parts of a section with theirs.

What is said of a field of the config stands in planning/fields.py, of a part's in its docstring under `Args:`.
"""

import importlib
import inspect
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from bsresearch.core import lookup, own_part
from bsresearch.core.field import Field, Section, meanings, unknown_field
from bsresearch.planning import sections
from bsresearch.planning.fields import FIELDS

# Columns of the name, the default and the unit at most; a longer one moves the rest of its line.
WIDTHS = (36, 22, 9)
HINT = '`bsresearch fields <section>` lists its parts, `bsresearch fields <section>.<part>` the fields of one.'
Row = tuple[str, Field]
# What a function of a user's own may be, and its positional arguments, whose names are free.
KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(('data', 'optimizer', 'measure', 'probe'), ()), **lookup.LEADING,
    'loss': sections.LEADING['loss'], 'schedule': sections.LEADING['schedule'],
}  # fmt: skip


def members(section: str) -> dict[str, Callable[..., Any]]:
    """The parts that a section may name, and the measurements: name → the function whose keywords are its fields."""
    folders = {
        **sections.FOLDERS, 'measure': ('bsresearch.measure', 'build'), 'study': ('bsresearch.studies', 'stages')
    }  # fmt: skip
    if section in sections.FUNCTIONS:
        return dict(sorted(sections.FUNCTIONS[section]().items()))
    if section not in folders:
        return {}
    package, function = folders[section]
    load = lambda name: getattr(importlib.import_module(f'{package}.{name}'), function)
    return {name: load(name) for name in lookup.members(package, function)}


def own_fields(section: str, part: Callable[..., Any]) -> dict[str, Field]:
    """The fields that a part brings, as its signature and its docstring have them."""
    said, elsewhere = meanings(part), sections.FROM_ELSEWHERE.get(section, ())
    own = {k: v for k, v in lookup.keywords(part).items() if k not in elsewhere}
    return {name: Field(default, '', said.get(name, '')) for name, default in own.items()}


def summary(part: Callable[..., Any]) -> str:
    """A part in a line: of a file that is one its first line, of a function its own."""
    of_file = part.__name__ in ('build', 'load', 'stages')
    return (inspect.getdoc(inspect.getmodule(part) if of_file else part) or '').partition('\n')[0]


def text(asked: str = '') -> str:
    """Of all fields, of a section, of a part of one (`schedule.one_cycle`), or of a field.

    Raises:
      ValueError: there is no such thing; names the nearest.
    """
    if not asked:
        return _everything()
    section, _, name = asked.removeprefix('config.').partition('.')
    if own_part.is_path(asked) and (section not in FIELDS or name.startswith('py:')):
        return _own(asked)
    if section not in FIELDS:
        raise unknown_field(section, FIELDS)
    field, parts = FIELDS[section], members(section)
    if not name:
        return _section(section, field, parts)
    shared = field.fields if isinstance(field, Section) else {}
    if own_part.is_path(name) and section in (*sections.FOLDERS, *sections.FUNCTIONS):
        return _part(section, name, sections.part(section, name))
    if own_part.is_path(name) and section == 'measure':
        return _own(name)
    if name in parts:
        return _part(section, name, parts[name])
    if name in shared:
        return _table(dotted(section, {name: shared[name]}))
    rows = [
        (f'{section}.{name}', own[name]._replace(meaning=f'of {part}: {own[name].meaning}'))
        for part, own in ((part, own_fields(section, fn)) for part, fn in parts.items())
        if name in own
    ]
    if not rows:
        raise unknown_field(f'{section}.{name}', (*shared, *parts), where=section)
    return _table(rows)


def _own(path: str) -> str:
    """Of a function of a user's own: what it may be, by its positional arguments, and its fields."""
    arguments = own_part.positional(path)
    fitting = [kind for kind, leading in KINDS.items() if len(leading) == len(arguments)]
    fitting = [kind for kind in fitting if arguments and arguments == KINDS[kind]] or fitting
    if not fitting:
        raise ValueError(f'{path} takes {", ".join(arguments)}; no part takes {len(arguments)} positional arguments')
    part = own_part.function(path, 'part', KINDS[fitting[0]])
    if len(fitting) == 1 and fitting[0] in FIELDS and fitting[0] != 'study':
        return _part(fitting[0], path, sections.part(fitting[0], path))
    names = {'measure': f'--config.measure.<your name>.function={path}', 'study': f'--config.study={path}',
             'engine': f'--engine={path}'}  # fmt: skip
    heads = [names.get(kind, f'--config.{kind}.name={path}') for kind in fitting]
    rows = [(name, field) for name, field in own_fields('', part).items() if name not in own_part.GIVEN]
    table = [_table(rows)] if rows else []
    return '\n\n'.join([' or\n'.join(heads), own_part.paragraph(part), *table])


def _everything() -> str:
    blocks, rows = [], []
    for name, field in FIELDS.items():
        if isinstance(field, Field):
            rows.append((name, field))
            continue
        blocks += [_table(rows)] if rows else []
        rows = []
        parts = members(name)
        known = [f'  parts: {", ".join(parts)}'] if parts else []
        points = {f'<name>.{point}': of_point for point, of_point in point_fields().items()}
        inner = points if name == 'measure' else field.fields
        table = [_table(dotted(name, inner))] if inner else []
        blocks.append('\n'.join([f'{name}: {field.meaning}', *known, *table]))
    blocks += [_table(rows)] if rows else []
    return '\n\n'.join([*blocks, HINT])


def point_fields() -> Mapping[str, Field | Section]:
    """The fields that say when: of each measurement, and of `keep`."""
    keep = FIELDS['keep']
    assert isinstance(keep, Section)
    return keep.fields


def dotted(section: str, fields: Mapping[str, Field | Section]) -> list[Row]:
    """The fields of a section and of its own sections, by their whole names."""
    rows: list[Row] = []
    for name, field in fields.items():
        path = f'{section}.{name}'
        rows += [(path, field)] if isinstance(field, Field) else dotted(f'{path}.<name>', field.fields)
    return rows


def _section(section: str, field: Field | Section, parts: Mapping[str, Callable[..., Any]]) -> str:
    if isinstance(field, Field):
        blocks = [_table([(section, field)])]
    else:
        blocks = [f'{section}: {field.meaning}', *([_table(dotted(section, field.fields))] if field.fields else [])]
    width = max(map(len, parts), default=0) + 2
    blocks += ['\n'.join(_wrapped(f'  {part:<{width}}', summary(fn)) for part, fn in parts.items())] if parts else []
    fields = any(own_fields(section, fn) for fn in parts.values()) and section != 'study'
    return '\n\n'.join(
        [*blocks, *([f'`bsresearch fields {section}.<part>` lists the fields of one.'] if fields else [])]
    )


def _part(section: str, name: str, part: Callable[..., Any]) -> str:
    field = FIELDS[section]
    if section == 'measure':
        shared: Mapping[str, Field | Section] = point_fields()
    else:
        shared = {k: v for k, v in field.fields.items() if k != 'name'} if isinstance(field, Section) else {}
    prefix = f'measure.{name}' if section == 'measure' else section
    chosen = {'measure': f'measure.{name}.every_epochs=1', 'study': f'study={name}'}.get(
        section, f'{section}.name={name}'
    )
    rows = _table([*dotted(prefix, own_fields(section, part)), *dotted(prefix, shared)])
    said = own_part.paragraph(part) if own_part.is_path(name) else summary(part)
    return '\n\n'.join([f'--config.{chosen}\n{said}', *([rows] if rows else [])])


def _table(rows: list[Row]) -> str:
    """A line per field: name, default, unit, meaning; in a terminal as wide as it is."""
    rows_of_cells = [(name, _default(field.default), field.unit, field.meaning) for name, field in rows]
    widths = [min(most, max((len(row[i]) for row in rows_of_cells), default=0)) for i, most in enumerate(WIDTHS)]
    lines = []
    for *columns, meaning in rows_of_cells:
        cells = ''.join(f'{cell:<{width}}  ' for cell, width in zip(columns, widths, strict=True) if width)
        lines.append(_wrapped(f'  {cells}', meaning))
    return '\n'.join(lines)


def _default(value: Any) -> str:
    return 'None' if isinstance(value, type) else repr(value)


def _wrapped(head: str, text: str) -> str:
    """On one line; in a terminal on as many as it takes, beside the head or, where that is long, below it."""
    if not sys.stdout.isatty():
        return f'{head}{text}'.rstrip()
    width, indent = shutil.get_terminal_size().columns, len(head)
    if width - indent < 30:
        return f'{head.rstrip()}\n' + textwrap.fill(text, width, initial_indent=' ' * 8, subsequent_indent=' ' * 8)
    return textwrap.fill(text, width, initial_indent=head, subsequent_indent=' ' * indent)
