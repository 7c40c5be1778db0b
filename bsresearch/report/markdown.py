"""A report as Markdown (GitHub's): figures and plotted numbers linked relative to it."""

import html
import re
from typing import Any
from urllib.parse import quote

from bsresearch.report.blocks import MARKS, NONE, Claims, Figures, Preformatted, Report, Shares, Table, Text

# What Markdown would read as its own; '<', '>' and '&' are HTML there.
_SPECIAL = re.compile(r'([\\`*_\[\]|~#$])')


def render(report: Report) -> str:
    """The whole file."""
    parts = [f'# {escape(report.title)}']
    parts += [f'**{escape(report.incomplete)}**'] if report.incomplete else []
    parts.append(escape(report.summary))
    if report.tally:
        parts.append(' · '.join(f'**{MARKS[verdict]} {verdict}: {count}**' for verdict, count in report.tally))
    parts.append(' · '.join(f'{escape(name)}: **{escape(value)}**' for name, value in report.facts))
    for section in report.sections:
        parts += [f'## {escape(section.title)}', *(_block(b) for b in section.blocks)]
    return '\n\n'.join(p for p in parts if p) + '\n'


def escape(text: str) -> str:
    """Text that shows as it is written; a line break becomes a space."""
    return _SPECIAL.sub(r'\\\1', html.escape(' '.join(text.split()), quote=False))


def _block(block: Any) -> str:
    match block:
        case Text(text):
            return escape(text)
        case Table(caption, columns, rows, folded):
            return _folded(caption, _table(columns, rows), folded)
        case Shares(caption, rows):
            cells = [(n, v, NONE if share is None else f'{share:.1%}') for n, v, share in rows]
            return _folded(caption, _table(('phase', 'time', 'share'), cells), False)
        case Preformatted(caption, text, folded):
            return _folded(caption, _fenced(text), folded)
        case Claims(study, claims):
            rows = [
                (f'{MARKS[c.verdict]} {c.verdict}', c.key, c.statement, c.source, c.measured, c.remark) for c in claims
            ]
            columns = ('verdict', 'key', 'claim', 'source', 'measured', 'remark')
            return f'### Study {escape(study)}\n\n{_table(columns, rows)}'
        case Figures():
            return _figures(block)
    raise TypeError(f'no Markdown for a block of type {type(block).__name__}; add it to both writers')


def _table(columns: Any, rows: Any) -> str:
    line = lambda cells: f'| {" | ".join(escape(c) for c in cells)} |'
    return '\n'.join([line(columns), f'|{" --- |" * len(columns)}', *(line(row) for row in rows)])


def _fenced(text: str) -> str:
    """A fence longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall('`+', text)), default=0)
    fence = '`' * max(3, longest + 1)
    return f'{fence}text\n{text}\n{fence}'


def _folded(caption: str, inside: str, folded: bool) -> str:
    if folded:
        # The blank lines make GitHub read Markdown inside.
        return f'<details>\n<summary>{html.escape(caption)}</summary>\n\n{inside}\n\n</details>'
    return f'{escape(caption)}\n\n{inside}'


def _figures(block: Figures) -> str:
    parts = [f'### {escape(block.title)} ({escape(block.script)})']
    for figure in block.figures:
        said = f' {escape(figure.caption)}.' if figure.caption else ''
        numbers = (
            f' Plotted numbers: [{escape(figure.csv)}]({quote(figure.csv)}).'
            if figure.csv
            else ' No plotted numbers were saved.'
        )
        parts.append(f'![{escape(figure.name)}: {escape(figure.caption or block.title)}]({quote(figure.link)})')
        parts.append(f'**{escape(figure.name)}**.{said}{numbers}')
    return '\n\n'.join(parts)
