"""A report as one HTML file, from its Markdown: pictures, data and scripts inside, nothing loaded from elsewhere."""

import pathlib
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from bsresearch.report import web
from bsresearch.report.markdown import Piece

FOOTER = 'Figures stand in this file; the plotted numbers, and the figures as PDF, lie beside it under the names given.'
ID = re.compile('[0-9a-f]{12}')
LONG_CELL = 40  # characters
HEADING = re.compile(r'<h2>(.*?)</h2>|<header><p class="eyebrow">(.*?)</p>')
OF_QUESTION = ('Claims', 'Cells', 'Figures', 'Results')  # headings that every question has


def render(title: str, pieces: Sequence[Piece]) -> str:
    """The whole file."""
    reader = _reader()
    body = '\n'.join(reader.render(p) if isinstance(p, str) else p.html for p in pieces)
    body, links = _anchored(body)
    here = pathlib.Path(__file__).parent
    style, script = ((here / f'page.{kind}').read_text(encoding='utf-8') for kind in ('css', 'js'))
    scripts = [web.library(), script] if '<figure class="curves"' in body else []
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{escape(title)}</title>\n<style>{style}</style>\n'
        f'</head>\n<body>\n<main>\n<nav>{links}</nav>\n{body}\n<footer>{FOOTER}</footer>\n</main>\n'
        f'{"".join(f"<script>{text}</script>" for text in scripts)}\n</body>\n</html>\n'
    )


def _anchored(body: str) -> tuple[str, str]:
    """The body with an anchor at each heading, and the links to them: of several questions to each of these."""
    links: list[str] = []
    several = body.count('<header>') > 1

    def anchor(heading: re.Match[str]) -> str:
        text, place = heading[1] or heading[2], len(links)
        linked = text not in OF_QUESTION if several else bool(heading[1])
        links.append(f'<a href="#part{place}">{text}</a>' if linked else '')
        return heading[0].replace('<h2>', f'<h2 id="part{place}">').replace('<header>', f'<header id="part{place}">')

    return HEADING.sub(anchor, body), ''.join(links)


def _reader() -> MarkdownIt:
    reader = MarkdownIt('commonmark', {'html': True}).enable('table')
    reader.add_render_rule('table_open', lambda *_: '<div class="wide"><table>\n')
    reader.add_render_rule('table_close', lambda *_: '</table></div>\n')
    reader.add_render_rule('td_open', _cell)
    return reader


def _cell(self: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """Ids in a fixed width, what went wrong in red, room for long text."""
    text = tokens[at + 1].content
    kinds = {'id': ID.fullmatch(text), 'bad': text.startswith(('diverged', 'failed')), 'long': len(text) > LONG_CELL}
    kind = next((name for name, is_so in kinds.items() if is_so), '')
    if 'text-align:right' in str(tokens[at].attrs.get('style')):
        kind = 'number'
    return f'<td class="{kind}">' if kind else '<td>'
