"""A report as one HTML file: figures inside, nothing loaded from elsewhere, no script."""

import base64
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from bsresearch.report.blocks import (
    MARKS,
    NONE,
    Claims,
    Figure,
    Figures,
    Preformatted,
    Report,
    Section,
    Shares,
    Table,
    Text,
)
from bsresearch.report.style import CSS

FOOTER = 'Figures stand in this file; the plotted numbers, and the figures as PDF, lie beside it under the names given.'
# CSS pixels per pixel of a figure made at 300 to the inch: its true size (text of 7.5 points), the least and the most
# it is shown at where there is room, and the height that a tall one is fitted to between these.
TRUE, LEAST, MOST, HEIGHT = 96 / 300, 0.35, 0.52, 760
NUMBER = re.compile(r'[-+−]?[\d,]*\.?\d+(e[-+]?\d+)?( ?(%|s|min|h))?( ± [\d.e+-]+)?')
ID = re.compile('[0-9a-f]{12}')
BAD = ('diverged', 'failed')


def render(report: Report) -> str:
    """The whole file."""
    title = escape(report.title)
    links = ''.join(f'<a href="#{s.key}">{escape(s.title)}</a>' for s in report.sections)
    facts = ''.join(f'<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>' for k, v in report.facts)
    tally = ''.join(f'<li>{_badge(verdict, f": {count}")}</li>' for verdict, count in report.tally)
    head = f'<h1>{title}</h1>\n'
    head += f'<p class="incomplete">{escape(report.incomplete)}</p>\n' if report.incomplete else ''
    head += f'<p>{escape(report.summary)}</p>\n'
    head += f'<ul class="tally" aria-label="verdicts on the claims">{tally}</ul>\n' if tally else ''
    head += f'<dl class="facts">{facts}</dl>\n<nav>{links}</nav>\n'
    body = '\n'.join(_section(s) for s in report.sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n{head}{body}\n'
        f'<footer>{FOOTER}</footer>\n</main>\n</body>\n</html>\n'
    )


def _section(section: Section) -> str:
    blocks = '\n'.join(_block(b) for b in section.blocks)
    return f'<section id="{section.key}">\n<h2>{escape(section.title)}</h2>\n{blocks}\n</section>'


def _block(block: Any) -> str:
    match block:
        case Text(text):
            return f'<p>{escape(text)}</p>'
        case Table():
            return _table(block)
        case Shares():
            return _shares(block)
        case Preformatted(caption, text, folded):
            return _folded(caption, f'<pre>{escape(text)}</pre>', folded)
        case Claims():
            return _claims(block)
        case Figures(script, title, figures):
            shown = '\n'.join(_figure(f, title) for f in figures)
            heading = f'<h3>{escape(title)} <code class="soft">{escape(script)}</code></h3>'
            return f'{heading}\n<div class="figures">\n{shown}\n</div>'
    raise TypeError(f'no HTML for a block of type {type(block).__name__}; add it to both writers')


def _badge(verdict: str, after: str = '') -> str:
    kind = verdict.replace(' ', '-')
    return f'<span class="verdict {kind}">{MARKS[verdict]} {escape(verdict)}{after}</span>'  # pyright: ignore[reportArgumentType]


def _folded(caption: str, inside: str, folded: bool) -> str:
    if folded:
        return f'<details>\n<summary>{escape(caption)}</summary>\n{inside}\n</details>'
    return f'<div class="caption">{escape(caption)}</div>\n{inside}'


def _table(table: Table) -> str:
    columns = list(zip(*table.rows, strict=True)) if table.rows else [() for _ in table.columns]
    kinds = [_kind(column) for column in columns]
    head = ''.join(
        f'<th{_class(k if k == "number" else "")}>{escape(c)}</th>' for c, k in zip(table.columns, kinds, strict=True)
    )
    rows = '\n'.join(f'<tr>{"".join(_cell(c, k) for c, k in zip(row, kinds, strict=True))}</tr>' for row in table.rows)
    inside = f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>'
    return _folded(table.caption, inside, table.folded)


def _kind(column: Sequence[str]) -> str:
    """Of a column: numbers stand to the right, long text gets room."""
    if column and all(cell == NONE or NUMBER.fullmatch(cell) for cell in column):
        return 'number'
    return 'long' if any(len(cell) > 40 for cell in column) else ''


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ''


def _cell(cell: str, kind: str) -> str:
    own = 'bad' if cell.startswith(BAD) else 'id' if ID.fullmatch(cell) else kind
    return f'<td{_class(own)}>{escape(cell)}</td>'


def _shares(shares: Shares) -> str:
    rows = []
    for name, value, share in shares.rows:
        percent = NONE if share is None else f'{share:.1%}'
        bar = '' if not share else f'<i style="width:{max(0.0, min(share, 1.0)):.2%}"></i>'
        rows.append(
            f'<tr><td>{escape(name)}</td><td class="number">{escape(value)}</td>'
            f'<td class="number">{percent}</td><td class="bar">{bar}</td></tr>'
        )
    return _folded(
        shares.caption, f'<div class="wide"><table>\n<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table></div>', False
    )


def _claims(block: Claims) -> str:
    head = '<th>verdict</th><th class="claim">claim</th><th>measured</th>'
    rows = []
    for c in block.claims:
        remark = f'<span class="remark">{escape(c.remark)}</span>' if c.remark else ''
        rows.append(
            f'<tr><td>{_badge(c.verdict)}</td><td><b>{escape(c.key)}</b> {escape(c.statement)}'
            f'<span class="source">{escape(c.source)}</span></td><td>{escape(c.measured)}{remark}</td></tr>'
        )
    table = f'<table class="claims">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody>\n</table>'
    return f'<h3>Study {escape(block.study)}</h3>\n<div class="wide">{table}</div>'


def _figure(figure: Figure, title: str) -> str:
    """As large as there is room for, never below its true size: a wider one scrolls."""
    width = figure.width * min(MOST, max(LEAST, HEIGHT / figure.height))
    data = base64.b64encode(figure.png).decode()
    alt = escape(f'{figure.name}: {figure.caption or title}')
    numbers = (
        f' Plotted numbers: <code>{escape(figure.csv)}</code>.' if figure.csv else ' No plotted numbers were saved.'
    )
    said = f' {escape(figure.caption)}.' if figure.caption else ''
    size = f'width="{figure.width}" height="{figure.height}" style="min-width:{figure.width * TRUE:.0f}px"'
    return (
        f'<figure style="width:{width + 26:.0f}px">'
        f'<div><img src="data:image/png;base64,{data}" alt="{alt}" {size}></div>'
        f'<figcaption><b>{escape(figure.name)}</b>.{said}{numbers}</figcaption></figure>'
    )
