"""What a report is made of. Collected once; both writers (html.py, markdown.py) render every block."""

import struct
from typing import Any, NamedTuple

from bsresearch.analysis.claims import Claim, Verdict

# In the order of a tally, with the mark that stands beside the word: no verdict is told by its colour alone.
MARKS: dict[Verdict, str] = {
    'holds': '✓',
    'does not hold': '✗',
    'undecided': '?',
    'depends': '↔',
    'not measured': '–',
}
NONE = '–'  # a cell without a value
_PNG = b'\x89PNG\r\n\x1a\n'


class Text(NamedTuple):
    """A paragraph."""

    text: str


class Table(NamedTuple):
    """Cells as text. `folded`: shown on request, as it is long."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False


class Shares(NamedTuple):
    """Parts of a whole: (name, value, fraction of the whole or None) per row."""

    caption: str
    rows: tuple[tuple[str, str, float | None], ...]


class Preformatted(NamedTuple):
    """Text whose lines and spaces count."""

    caption: str
    text: str
    folded: bool = False


class Claims(NamedTuple):
    """Claims put to the test in one study."""

    study: str
    claims: tuple[Claim, ...]


class Figure(NamedTuple):
    """A drawn figure.

    png: its bytes. link, csv: of the file and of the plotted numbers, relative to the report; csv '' for none.
    width, height: pixels, 300 to the inch.
    """

    name: str
    caption: str
    png: bytes
    link: str
    csv: str
    width: int
    height: int


class Figures(NamedTuple):
    """What one script drew; `title` is what it shows."""

    script: str
    title: str
    figures: tuple[Figure, ...]


class Section(NamedTuple):
    """A heading and what stands below it. key: its anchor."""

    key: str
    title: str
    blocks: tuple[Any, ...]


class Report(NamedTuple):
    """incomplete: what is not finished or failed, '' for nothing. summary: one paragraph.

    tally: verdicts and how many. facts: short (name, value) pairs, shown at the top.
    """

    title: str
    incomplete: str
    summary: str
    tally: tuple[tuple[Verdict, int], ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]


def png_size(png: bytes, name: str) -> tuple[int, int]:
    """(width, height) in pixels, from the header.

    Raises:
      ValueError: not a PNG.
    """
    if png[:8] != _PNG or len(png) < 24:
        raise ValueError(f'{name} is not a PNG; draw it again')
    return struct.unpack('>II', png[16:24])


def counted(number: int, noun: str, several: str = '') -> str:
    """'1 run', '1,200 runs'; `several` where an s is not enough."""
    return f'{number:,} {noun if number == 1 else several or f"{noun}s"}'
