"""The site that `make docs` makes of these pages. Navigation: index.md; what is generated: generate.py."""

import pathlib
import sys
from typing import Any

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import generate  # noqa: E402

project = 'bsresearch'
html_title = 'bsresearch'
extensions = ['myst_parser']
source_suffix = {'.md': 'markdown', '.ipynb': 'markdown'}
exclude_patterns = ['**/.ipynb_checkpoints']
myst_heading_anchors = 3
highlight_language, smartquotes = 'text', False
html_theme = 'furo'
html_static_path = ['site.css']
html_css_files = ['site.css']
html_show_copyright = html_show_sphinx = html_copy_source = html_show_sourcelink = False


def setup(app: Any) -> None:
    """What stands in the files is Markdown that a code host shows too; the rest is added while they are read."""
    app.connect('source-read', lambda app, page, source: source.__setitem__(0, generate.page(page, source[0])))
