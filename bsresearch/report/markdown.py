"""Pieces of a report in Markdown (GitHub's), which page.py renders as HTML: escaped text, tables, folds, pictures.

Where HTML shows a piece otherwise (intervals as drawings, curves that can be switched), it is a `Block` with both.
"""

import html
import re
from collections.abc import Sequence
from typing import NamedTuple

NONE = '–'  # a cell without a value
BAR = 20  # characters of a whole

# What Markdown would read as its own; '<', '>' and '&' are HTML there.
_SPECIAL = re.compile(r'([\\`*_\[\]|~#$])')
_LIST = re.compile(r'^(\d+(?=[.)]( |$))|(?=[-+=]( |$)))')
_NUMBER = re.compile(r'[-+−]?[\d,]*\.?\d+(e[-+]?\d+)?( ?(%|s|min|h|points|times))?( \([^()]* to [^()]*\))?')


class Block(NamedTuple):
    """A piece that HTML shows otherwise than Markdown."""

    markdown: str
    html: str


Piece = str | Block


def division(kind: str, blocks: Sequence[Block]) -> Block:
    """Blocks below one another, which HTML lays out as page.css has it for that kind."""
    inside = '\n'.join(block.html for block in blocks)
    return Block('\n\n'.join(block.markdown for block in blocks), f'<div class="{kind}">\n{inside}\n</div>')


def escape(text: str) -> str:
    """Text that shows as it is written; a line break becomes a space."""
    plain = _SPECIAL.sub(r'\\\1', html.escape(' '.join(text.split()), quote=False))
    return _LIST.sub(lambda start: f'{start[0]}\\', plain)


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, folded: bool = False) -> str:
    """Cells as text, columns of numbers to the right, none that is empty in every row.

    `folded`: shown on request, as it is long.
    """
    filled = [i for i in range(len(columns)) if not i or not rows or any(row[i] not in ('', NONE) for row in rows)]
    columns, rows = [columns[i] for i in filled], [[row[i] for i in filled] for row in rows]
    line = lambda cells: f'| {" | ".join(escape(c) for c in cells)} |'
    kinds = ' | '.join('---:' if _is_number([row[i] for row in rows]) else '---' for i in range(len(columns)))
    return fold(caption, '\n'.join([line(columns), f'| {kinds} |', *map(line, rows)]), folded)


def _is_number(cells: Sequence[str]) -> bool:
    return bool(cells) and all(cell == NONE or _NUMBER.fullmatch(cell) for cell in cells)


def bar(share: float) -> str:
    """A part of a whole as a bar of text."""
    return '█' * round(BAR * min(max(share, 0.0), 1.0))


def fenced(text: str) -> str:
    """Text whose lines and spaces count, within a fence longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall('`+', text)), default=0)
    fence = '`' * max(3, longest + 1)
    return f'{fence}text\n{text}\n{fence}'


def fold(caption: str, inside: str, folded: bool = True) -> str:
    """With its caption above, or shown on request."""
    if not folded:
        return f'{escape(caption)}\n\n{inside}'
    # The blank lines make GitHub read Markdown inside.
    return f'<details>\n<summary>{html.escape(caption, quote=False)}</summary>\n\n{inside}\n\n</details>'


def counted(number: int, noun: str, several: str = '') -> str:
    """'1 run', '1,200 runs'; `several` where an s is not enough."""
    return f'{number:,} {noun if number == 1 else several or f"{noun}s"}'
