"""The pages of the documentation, read for tests: links and anchors, commands, code.

A block of Python that a page writes to a file stands below a paragraph that ends with its name, `file.py`, and a colon.
"""

import functools
import json
import pathlib
import re
import shlex
from typing import Any, NamedTuple
from unittest import mock

import toy
from absl import flags
from markdown_it import MarkdownIt

from bsresearch import __main__ as doors
from bsresearch.core import flag_help
from bsresearch.launching import advising, flag_parser
from bsresearch.launching.jobs import engines

DOCS = toy.ROOT / 'docs'
# Where a command has these the reader puts something else; there is nothing to plan.
PLACEHOLDERS = re.compile(r'…|<|\[|RUN|NAME|=\.\.\.')
ADDRESS = re.compile(r'[a-z]+:')


class Block(NamedTuple):
    """Code of a page. kind: what stands behind its fence. file: where the page writes it, or ''."""

    kind: str
    text: str
    file: str = ''


class Page(NamedTuple):
    """What a page holds. anchors: of its headings. spans: inline code, as written."""

    anchors: frozenset[str]
    links: tuple[str, ...]
    blocks: tuple[Block, ...]
    spans: tuple[str, ...]


def every() -> list[pathlib.Path]:
    """All pages of the site, and what stands beside docs/."""
    beside = [toy.ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md')]
    return [*beside, *sorted([*DOCS.rglob('*.md'), *DOCS.glob('*.ipynb')])]


def written() -> list[pathlib.Path]:
    """Those that somebody wrote: no report."""
    return [file for file in every() if file.name != 'report.md']


@functools.cache
def read(file: pathlib.Path) -> Page:
    """A page, or a notebook, whose code cells are blocks."""
    text, cells = file.read_text(encoding='utf-8'), []
    if file.suffix == '.ipynb':
        sources = [(cell['cell_type'], ''.join(cell['source'])) for cell in json.loads(text)['cells']]
        cells = [Block('python', source) for kind, source in sources if kind == 'code']
        text = '\n\n'.join(source for kind, source in sources if kind == 'markdown')
    anchors: list[str] = []
    links: list[str] = []
    blocks: list[Block] = []
    spans: list[str] = []
    tokens, named = MarkdownIt('commonmark').enable('table').parse(text), ''
    for before, token in zip([None, *tokens], tokens, strict=False):
        inner = token.children or []
        links += [str(child.attrs[at]) for child in inner for at in ('href', 'src') if at in child.attrs]
        spans += [child.content for child in inner if child.type == 'code_inline']
        if before is not None and before.type == 'heading_open':
            anchors.append(_anchor(''.join(child.content for child in inner), anchors))
        if token.type == 'inline':
            named = spans[-1] if token.content.endswith('.py`:') else ''
        if token.type == 'fence':
            blocks.append(Block(token.info, token.content, named))
            named = ''
    return Page(frozenset(anchors), tuple(links), (*blocks, *cells), tuple(spans))


def _anchor(heading: str, taken: list[str]) -> str:
    """As code hosts and the site make it."""
    slug = re.sub(r'[^\w\- ]', '', heading.strip().lower()).replace(' ', '-')
    count = sum(re.fullmatch(rf'{re.escape(slug)}(-\d+)?', other) is not None for other in taken)
    return f'{slug}-{count}' if count else slug


def dead_links(file: pathlib.Path) -> list[str]:
    """Links of a page to files or anchors that are not there; addresses are not looked up."""
    dead = []
    for link in read(file).links:
        path, _, anchor = link.partition('#')
        target = (file.parent / path).resolve() if path else file
        if ADDRESS.match(link):
            continue
        if not target.exists() or (anchor and anchor not in read(target).anchors):
            dead.append(link)
    return dead


# --- commands


def write_files(file: pathlib.Path, folder: pathlib.Path) -> None:
    """The files that a page tells to write."""
    for block in read(file).blocks:
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, encoding='utf-8')


def commands(file: pathlib.Path, *, running_text: bool = True) -> list[list[str]]:
    """What a reader may type, in words, in its order: of blocks and, where it is whole, of running text."""
    lines = []
    for block in read(file).blocks:
        if block.kind in ('', 'console', 'sh'):
            lines += block.text.replace('\\\n', ' ').splitlines()
    lines += [span for span in read(file).spans if ' ' in span and running_text]
    lines = [part.removeprefix('$ ').strip() for line in lines for part in line.split(' && ')]
    typed = [line for line in lines if re.match(r'(bsresearch|make|python|pip) ', line)]
    return [shlex.split(line, comments=True) for line in typed if not PLACEHOLDERS.search(line.partition(' #')[0])]


class Parsed(NamedTuple):
    """A command of the package. door: as the user calls it. values: its flags, as given."""

    door: str
    values: flags.FlagValues


def parsed(words: list[str]) -> Parsed | None:
    """Checks a command as far as its flags; None of what reads none.

    Raises:
      SystemExit, ValueError: it is none.
    """
    name, *rest = words[1:] if words[0] == 'bsresearch' else _module(words)
    if name in ('configs', 'fields') or rest in ([], ['--help']):
        return None
    if name in ('status', 'branch') and not rest[0].startswith('-'):
        rest = rest[1:]
    script = doors.COMMANDS[name].script if name != 'fig' else 'fig'
    if name == 'fig' and not rest[0].startswith('-'):
        figure, *rest = rest
        script = doors.figures()[figure].stem if doors.figures()[figure].parent.name == 'scripts' else 'fig'
    with_config = any(re.match(r'--config[=.]', word) for word in rest)
    values = _flags_of(name, script, with_config)
    with mock.patch('sys.argv', [name, *rest]):
        if with_config:
            flag_parser.parser(name, values)([name, *rest])
        else:
            flag_help.parsed([name, *rest], values)
    return Parsed(name, values)


def _module(words: list[str]) -> list[str]:
    """`python main.py …` and `python -m scripts.<name> …` as the command that they are."""
    if words[:2] == ['python', 'main.py']:
        return ['run', *words[2:]]
    if words[:3] == ['python', '-m', 'bsresearch']:
        return words[3:] or ['configs']
    assert words[1] == '-m', words
    assert (toy.ROOT / f'{words[2].replace(".", "/")}.py').is_file(), words
    script = words[2].rpartition('.')[2]
    of = {command.script: name for name, command in doors.COMMANDS.items() if not command.given}
    return [of[script], *words[3:]] if script in of else ['configs']


def _flags_of(name: str, script: str, with_config: bool) -> flags.FlagValues:
    """The flags of a door, apart from those of this process."""
    values = flags.FlagValues()
    module = __import__(f'scripts.{script}', fromlist=['enter'])
    kinds = ('string', 'bool', 'integer', 'float', 'list', 'multi_string', 'enum')
    defined: dict[str, Any] = {
        f'DEFINE_{kind}': functools.partial(getattr(flags, f'DEFINE_{kind}'), flag_values=values) for kind in kinds
    }
    with mock.patch.multiple(flags, **defined):
        if hasattr(module, 'define_flags'):
            module.define_flags()
    if with_config or name in ('run', 'branch'):
        flag_parser.define_config(values)
    if hasattr(module, 'REQUEST'):
        flag_help.define(advising.Request if script == 'advise' and with_config else module.REQUEST, values)
    if script == 'launch':
        for option, (_, _, default) in engines.flags().items():
            flag_help.DEFINE[type(default)](option, default, '', flag_values=values)
    return values
