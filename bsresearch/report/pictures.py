"""Drawn figures as pieces of a report: the PNG inside the HTML, linked from the Markdown, with its plotted numbers."""

import base64
from html import escape
from urllib.parse import quote

from PIL import Image

from bsresearch.report import markdown, plotting
from bsresearch.report.figures.drawing import Drawn
from bsresearch.report.markdown import Block, Piece

FOLDER = 'figures'  # beside the report
# Size on a page in parts of the true one (text of 7.5 points): the least, the most where there is room, and the CSS
# pixels of height that a tall one is fitted to between these.
LEAST, MOST, HEIGHT = 1.1, 1.6, 760


def _true_size(drawn: Drawn) -> tuple[float, float]:
    """(width, height) in CSS pixels."""
    with Image.open(drawn.png) as image:
        return image.width * 96 / plotting.DPI, image.height * 96 / plotting.DPI


def image(drawn: Drawn) -> str:
    """An HTML image with the bytes inside; never shown below its true size: a wider one scrolls."""
    width, height = _true_size(drawn)
    content = base64.b64encode(drawn.png.read_bytes()).decode()
    size = f'width="{width:.0f}" height="{height:.0f}" style="min-width:{width:.0f}px"'
    return f'<img src="data:image/png;base64,{content}" alt="{escape(_alternative(drawn))}" {size}>'


def block(drawn: Drawn) -> Block:
    """A figure with its caption."""
    width, height = _true_size(drawn)
    width *= min(MOST, max(LEAST, HEIGHT / height))
    html = (
        f'<figure style="width:{width + 26:.0f}px"><div>{image(drawn)}</div>'
        f'<figcaption>{caption(drawn)}</figcaption></figure>'
    )
    return Block(as_markdown(drawn), html)


def caption(drawn: Drawn) -> str:
    """In HTML: name, what it shows, where the numbers lie."""
    numbers = f'Plotted numbers: <code>{escape(_link(drawn, "csv"))}</code>.'
    return _joined(f'<b>{escape(drawn.name)}</b>.', escape(_sentence(drawn)), numbers)


def as_markdown(drawn: Drawn) -> str:
    """A linked image, and its caption below."""
    picture = f'![{markdown.escape(_alternative(drawn))}]({quote(_link(drawn, "png"))})'
    csv = _link(drawn, 'csv')
    numbers = f'Plotted numbers: [{markdown.escape(csv)}]({quote(csv)}).'
    return f'{picture}\n\n' + _joined(f'**{markdown.escape(drawn.name)}**.', markdown.escape(_sentence(drawn)), numbers)


def _joined(*sentences: str) -> str:
    return ' '.join(filter(None, sentences))


def _alternative(drawn: Drawn) -> str:
    return ': '.join(filter(None, (drawn.name, drawn.caption.rstrip('.'))))


def _sentence(drawn: Drawn) -> str:
    return f'{drawn.caption.rstrip(".")}.' if drawn.caption else ''


def _link(drawn: Drawn, suffix: str) -> str:
    return f'{FOLDER}/{drawn.name}.{suffix}'


def reported(drawn: Drawn) -> list[Piece]:
    """What a figure reports in words, folded."""
    text = drawn.text.strip('\n')
    return [markdown.fold(f'What {drawn.name} reports', markdown.fenced(text))] if text else []
