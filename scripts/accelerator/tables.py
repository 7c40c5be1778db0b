"""What was measured, as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from .work import Row

LETTERS = 240  # of a reason; all of it is in the JSON


def number(value: Any) -> str:
    """A cell: numbers of three digits, ratios with their range."""
    if isinstance(value, bool):
        return 'yes' if value else '**no**'
    if isinstance(value, Sequence) and not isinstance(value, str):
        middle, low, high = (f'{x:,.0f}' if abs(x) >= 100 else f'{x:.2f}' for x in value)
        return f'{middle} ({low} to {high})'
    if isinstance(value, float):
        return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.3g}'
    return '' if value is None else str(value).replace('|', '\\|')


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of one table: columns in the order in which they first come."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = [columns, ['---'] * len(columns)]
    cells = [[number(row.get(name)) for name in columns] for row in rows]
    return [f'| {" | ".join(line)} |' for line in (*head, *cells)]


def skipped(row: Row) -> str:
    """A line on what was not measured, and why."""
    what = ', '.join(number(value) for name, value in row.items() if name != 'skipped')
    why = row['skipped'] if len(row['skipped']) <= LETTERS else f'{row["skipped"][:LETTERS]} …'
    return f'- not measured: {what}{": " if what else ""}{why}'


def markdown(measured: Mapping[str, Any]) -> str:
    """The page; `measured`: as the door writes it to JSON."""
    lines = ['# Measured on an accelerator', '', f'`{measured["command"]}`, {measured["begun"]}.']
    if measured['toy']:
        lines += ['', 'At toy size: it shows that the parts run. Its numbers say nothing.']
    for part in measured['parts'].values():
        rows = [row for row in part['rows'] if 'skipped' not in row]
        lines += ['', f'## {part["title"]}', '', part['words']]
        # A table for the rows that begin with the same column.
        kinds: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            kinds.setdefault((next(iter(row)),), []).append(row)
        for kind in kinds.values():
            lines += ['', *table(kind)]
        left_out = [skipped(row) for row in part['rows'] if 'skipped' in row]
        lines += ['', *left_out] if left_out else []
        lines += ['', f'{part["seconds"]:.0f} s.']
    return '\n'.join(lines) + '\n'
