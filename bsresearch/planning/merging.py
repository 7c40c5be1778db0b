"""What a launch asks beside what earlier launches of the same findings asked in a workdir: one question, or refused.

More seeds, more values of an axis, more axes and more arms join what is there. An axis that one of two launches lacks
has in its rows the value of that launch's base config.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bsresearch.core.flat import flatten, nested
from bsresearch.core.kinds import brief
from bsresearch.planning import edit, schema, sections
from bsresearch.planning.arms import Arm
from bsresearch.planning.plan import canonical

Entry = dict[str, Any]
CURE = 'launch it as it began, or in another --workdir'


def merged(stored: Mapping[str, Any] | None, launched: Mapping[str, Any], where: str) -> Entry:
    """The entry of study.json after a launch; both are as JSON holds them.

    Args:
      stored: the entry of earlier launches. where: the file and the findings, for messages.

    Raises:
      ValueError: another base config, other replicates, another meaning of an arm, or another run for a cell and
        replicate.
    """
    launched = _copy(launched)
    if stored is None:
        return launched
    stored = _copy(stored)
    if stored['replicates'] != launched['replicates']:
        begun, now = stored['replicates'], launched['replicates']
        raise ValueError(f'{where} began with replicates {begun}, and this launch has {now}; {CURE}')
    axes = dict.fromkeys([*_axes(stored), *_axes(launched)])
    axes = [axis for axis in axes if not any(axis.startswith(f'{other}.') for other in axes)]
    before, after = _without(stored['base'], axes), _without(launched['base'], axes)
    usual = _usual(launched['base'])
    for field in dict.fromkeys([*before, *after]):
        was, now = (base.get(field, usual.get(field)) for base in (before, after))
        if canonical(was) != canonical(now):
            raise ValueError(f'{where} began with {field}={brief(was)}, and this launch has {brief(now)}; {CURE}')
    for entry in (stored, launched):
        _fill(entry, axes)
    return launched | {
        'base': nested(after),
        'arms': _arms(stored['arms'], launched['arms'], f'{where}: arm'),
        'branch_arms': _arms(stored['branch_arms'], launched['branch_arms'], f'{where}: branch arm'),
        'rows': _rows(stored['rows'], launched['rows'], where),
    }


def with_axes(entry: Mapping[str, Any], axes: Iterable[str]) -> Entry:
    """An entry with axes that some of its rows alone have: all have them then, with the base config's values."""
    entry, axes = _copy(entry), list(axes)
    _fill(entry, axes)
    return entry | {'base': nested(_without(entry['base'], axes))}


def _usual(base: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of all fields, those of the parts too: a version that had not got a field did as they say."""
    named = {s: base[s]['name'] for s in schema.NAMED if 'name' in base.get(s, {})}
    of_parts = {f'{s}.{field}': v for s, name in named.items() for field, v in sections.defaults(s, name).items()}
    return flatten(schema.known()) | of_parts


def _copy(entry: Mapping[str, Any]) -> Entry:
    return {**entry, 'rows': [{**row, 'axes': dict(row['axes'])} for row in entry['rows']]}


def _lies_in(field: str, path: str) -> bool:
    return field == path or field.startswith(f'{path}.')


def _axes(entry: Mapping[str, Any]) -> list[str]:
    """The axes of all arms; those of one arm alone leave the base config its value for the others."""
    fields = flatten(entry['base'])
    swept = dict.fromkeys(axis for row in entry['rows'] for axis in row['axes'])
    return [axis for axis in swept if not any(_lies_in(field, axis) for field in fields)]


def _without(base: Mapping[str, Any], axes: Iterable[str]) -> dict[str, Any]:
    """The flat base config without what axes hold."""
    return {f: v for f, v in flatten(base).items() if not any(edit.touches(f, axis) for axis in axes)}


def _fill(entry: Entry, axes: Iterable[str]) -> None:
    """Gives each row the axes that it lacks, with the values of its base config."""
    base = flatten(entry['base'])
    for row in entry['rows']:
        changes = entry['arms'].get(row['arm'], {})
        changes = entry['arms'][changes] if isinstance(changes, str) else changes
        of_row = row['axes']
        for axis in axes:
            units = edit.with_alternatives([axis])
            if units & of_row.keys() or Arm(changes, {}).keeps(axis) is not None:
                continue
            inside = {f: v for f, v in of_row.items() if _lies_in(f, axis)}
            values = {f: v for f, v in base.items() if any(_lies_in(f, unit) for unit in units)} | inside
            if axis in units & values.keys() or len(units) > 1:
                of_row |= {unit: values[unit] for unit in sorted(units) if values.get(unit) is not None}
            elif values:
                of_row[axis] = nested({f.removeprefix(f'{axis}.'): v for f, v in values.items()})
            for field in inside:
                del of_row[field]


def _arms(stored: Mapping[str, Any], launched: Mapping[str, Any], what: str) -> dict[str, Any]:
    """All arms, those of earlier launches first."""
    for name in stored.keys() & launched.keys():
        if (was := _meaning(stored[name])) != (now := _meaning(launched[name])):
            raise ValueError(f'{what} {name} began as {was}, and is {now} in this launch; {CURE}')
    return {**stored, **launched}


def _meaning(changes: Mapping[str, Any] | str) -> str:
    """What of an arm determines results."""
    if isinstance(changes, str):
        return changes
    return canonical({f: v for f, v in changes.items() if f.split('.')[0] in (*schema.DETERMINING, 'state')})


def _rows(stored: Sequence[Entry], launched: Sequence[Entry], where: str) -> list[Entry]:
    """All rows, those of earlier launches first. At one place there may be several probes, with other settings."""
    part = lambda row: canonical([row[name] for name in ('kind', 'arm', 'replicate', 'branch', 'point', 'probe')])
    known = {(part(row), row['id']) for row in stored}
    cells = {(part(row), canonical(row['axes'])): row['id'] for row in stored}
    rows = list(stored)
    for row in launched:
        if (part(row), row['id']) in known:
            continue
        other = cells.get((part(row), canonical(row['axes'])))
        if other is not None and row['kind'] != 'probe':
            values = ', '.join(f'{f}={brief(v)}' for f, v in (row['axes'] | row['replicate']).items())
            name = '/'.join(filter(None, (row['arm'], row['branch'])))
            raise ValueError(f'{where} has run {other} as {name} ({values}), and this launch run {row["id"]}; {CURE}')
        rows.append(row)
    return rows
