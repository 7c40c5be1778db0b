"""Drawn figures as pieces of a report: the PNG inside the HTML, linked from the Markdown, with its plotted numbers."""

import base64
import pathlib
import struct
from collections.abc import Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from bsresearch.report import markdown
from bsresearch.report.figures import Drawn
from bsresearch.report.markdown import Block, Piece

# CSS pixels per pixel of a figure made at 300 to the inch: its true size (text of 7.5 points), the least and the most
# it is shown at where there is room, and the height that a tall one is fitted to between these.
TRUE, LEAST, MOST, HEIGHT = 96 / 300, 0.35, 0.52, 760
_PNG = b'\x89PNG\r\n\x1a\n'


class Picture(NamedTuple):
    """A drawn figure.

    file: its PNG. csv: of its plotted numbers, None for none. caption: what it shows, '' for nothing.
    """

    file: pathlib.Path
    csv: pathlib.Path | None
    caption: str

    @property
    def name(self) -> str:
        """Of its files."""
        return self.file.stem


def of_figure(drawn: Drawn) -> list[Picture]:
    """Its pictures, in order."""
    numbers = {file.with_suffix('') for file in drawn.files if file.suffix == '.csv'}
    csv = lambda png: png.with_suffix('.csv') if png.with_suffix('') in numbers else None
    return [Picture(file, csv(file), drawn.title.rstrip('.')) for file in drawn.files if file.suffix == '.png']


def png_size(png: bytes, name: str) -> tuple[int, int]:
    """(width, height) in pixels, from the header.

    Raises:
      ValueError: not a PNG.
    """
    if png[:8] != _PNG or len(png) < 24:
        raise ValueError(f'{name} is not a PNG; draw it again')
    return struct.unpack('>II', png[16:24])


def image(picture: Picture) -> str:
    """An HTML image with the bytes inside; never shown below its true size: a wider one scrolls."""
    png = picture.file.read_bytes()
    width, height = png_size(png, str(picture.file))
    size = f'width="{width}" height="{height}" style="min-width:{width * TRUE:.0f}px"'
    alt = escape(_alternative(picture))
    return f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{alt}" {size}>'


def _alternative(picture: Picture) -> str:
    return f'{picture.name}: {picture.caption}' if picture.caption else picture.name


def shown_width(picture: Picture) -> int:
    """CSS pixels where there is room."""
    width, height = png_size(picture.file.read_bytes(), str(picture.file))
    return round(width * min(MOST, max(LEAST, HEIGHT / height)))


def block(picture: Picture, out: pathlib.Path) -> Block:
    """A figure with its caption.

    Args:
      out: directory of the report, at or above the figure's.
    """
    html = (
        f'<figure style="width:{shown_width(picture) + 26}px"><div>{image(picture)}</div>'
        f'<figcaption>{caption(picture, out)}</figcaption></figure>'
    )
    return Block(as_markdown(picture, out), html)


def caption(picture: Picture, out: pathlib.Path) -> str:
    """In HTML: name, what it shows, where the numbers lie."""
    where = f' Plotted numbers: <code>{escape(_link(picture.csv, out))}</code>.' if picture.csv else ''
    return f'<b>{escape(picture.name)}</b>.{f" {escape(picture.caption)}." if picture.caption else ""}{where}'


def as_markdown(picture: Picture, out: pathlib.Path) -> str:
    """A linked image, and its caption below."""
    said = f' {markdown.escape(picture.caption)}.' if picture.caption else ''
    link = _link(picture.csv, out) if picture.csv else ''
    numbers = f' Plotted numbers: [{markdown.escape(link)}]({quote(link)}).' if link else ''
    image = f'![{markdown.escape(_alternative(picture))}]({quote(_link(picture.file, out))})'
    return f'{image}\n\n**{markdown.escape(picture.name)}**.{said}{numbers}'


def _link(file: pathlib.Path, out: pathlib.Path) -> str:
    return file.relative_to(out).as_posix()


def side_by_side(blocks: Sequence[Block]) -> Block:
    """Figures in rows as wide as the page."""
    inside = '\n'.join(block.html for block in blocks)
    return Block('\n\n'.join(block.markdown for block in blocks), f'<div class="figures">\n{inside}\n</div>')


def reported(drawn: Drawn) -> list[Piece]:
    """What a figure reports in words, folded."""
    text = drawn.text.strip('\n')
    return [markdown.fold(f'What {drawn.name} reports', markdown.fenced(text))] if text else []
