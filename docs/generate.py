"""What the site has beside the pages as they stand, as Markdown: navigation, the reference, the notebook.

The reference is made of docstrings, signatures and the schema each time the site is built, and is not kept.
"""

import inspect
import json
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

HERE = pathlib.Path(__file__).parent
# A paragraph that stands where the site has what is made for it.
MARK = re.compile(r'^\*Made when the site is built[^*]+\*$', re.MULTILINE)
# Pages of the site that lie beside docs/.
ROOT_PAGES = {'contributing': 'CONTRIBUTING.md', 'changelog': 'CHANGELOG.md'}
SECTIONS = ('Args', 'Returns', 'Raises', 'Reference')


def page(name: str, text: str) -> str:
    """The source of a page of the site: `name` without its suffix, the text as it stands in the file."""
    if name in ROOT_PAGES:
        return _linked((HERE.parent / ROOT_PAGES[name]).read_text(encoding='utf-8').replace('](docs/', ']('), '', '')
    text = notebook(json.loads(text)) if text.startswith('{') else text
    up = '../' * name.count('/')
    text = _linked(text, f'../{up}', up)
    if name in MADE:
        return MARK.sub(lambda _: MADE[name](), text)
    if name == 'index':
        return text + ''.join(_toctree(caption, pages) for caption, pages in navigation(text).items())
    if name == 'studies/index':
        reports = sorted(file.parent.name for file in (HERE / 'studies').glob('*/report.md'))
        return text + _toctree('', [f'{study} <{study}/report>' for study in reports])
    return text


def _linked(text: str, before: str, after: str) -> str:
    """With links to files that lie beside docs/, as CONTRIBUTING.md, led to their pages on the site."""
    for page, file in ROOT_PAGES.items():
        text = text.replace(f']({before}{file}', f']({after}{page}.md')
    return text


def navigation(index: str) -> dict[str, list[str]]:
    """Heading of the index → the pages that its list links, without suffix, each once."""
    groups: dict[str, list[str]] = {}
    seen: set[str] = set()
    for heading, body in re.findall(r'^## (.+)\n((?:(?!^## ).*\n?)*)', index, re.MULTILINE):
        pages = dict.fromkeys(re.findall(r'^- \[[^]]+\]\(([\w/]+)\.(?:md|ipynb)\)', body, re.MULTILINE))
        groups[heading] = [page for page in pages if page not in seen]
        seen |= pages.keys()
    return groups


def _toctree(caption: str, pages: list[str]) -> str:
    entries, named = '\n'.join(pages), f':caption: {caption}\n' if caption else ''
    return f'\n```{{toctree}}\n:hidden:\n{named}:maxdepth: 1\n\n{entries}\n```\n'


def notebook(content: Mapping[str, Any]) -> str:
    """A notebook's cells: text as it is, code and what it printed in blocks, pictures."""
    return '\n\n'.join(part for cell in content['cells'] for part in _cell(cell)) + '\n'


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    text = ''.join(cell['source'])
    yield f'```python\n{text}\n```' if cell['cell_type'] == 'code' else text
    for output in cell.get('outputs', ()):
        data = output.get('data', {'text/plain': output.get('text', '')})
        if 'image/png' in data:
            yield f'![{_alt(cell)}](data:image/png;base64,{"".join(data["image/png"]).strip()})'
        else:
            yield f'```text\n{"".join(data["text/plain"]).rstrip()}\n```'


def _alt(cell: Mapping[str, Any]) -> str:
    """What a picture shows: the comment that its cell begins with."""
    return ''.join(cell['source']).partition('\n')[0].lstrip('# ')


# --- reference


def configs() -> str:
    """Every config that comes with the package: its docstring, then what it varies and how many runs it is."""
    from bsresearch.launching import flag_parser, listing

    parts = []
    for name in flag_parser.names_of_configs():
        _, _, after_name = listing.text(name).partition('\n\n')
        words, _, grid = after_name.rpartition('\n\n')
        parts.append(f'## {name}\n\n{escaped(words)}\n\n```text\n{grid}\n```')
    return '\n\n'.join(parts)


def fields() -> str:
    """Every field of a config, and those of every part that a section may name."""
    from bsresearch.core.field import Section
    from bsresearch.launching import describe
    from bsresearch.planning.fields import FIELDS

    single = {name: field for name, field in FIELDS.items() if not isinstance(field, Section)}
    parts = [f'## Fields without a section\n\n{_table(single)}']
    for name, section in FIELDS.items():
        if not isinstance(section, Section):
            continue
        shared = describe.point_fields() if name == 'measure' else section.fields
        prefix = 'measure.<name>' if name == 'measure' else name
        parts.append(f'## {name}\n\n{escaped(section.meaning)}.\n\n{_table(dict(describe.dotted(prefix, shared)))}')
        for part, function in describe.members(name).items():
            part_fields = describe.own_fields(name, function)
            path = f'{name}.{part}' if name == 'measure' else name
            table = _table({f'{path}.{field}': of_field for field, of_field in part_fields.items()})
            parts.append(f'### {name}: {part}\n\n{escaped(describe.summary(function))}\n\n{table}')
    return '\n\n'.join(parts)


def _table(of: Mapping[str, Any]) -> str:
    if not of:
        return ''
    default = lambda value: '' if value is None or isinstance(value, type) else f'`{value!r}`'
    rows = [
        f'| `{name}` | {escaped(field.meaning)} | {default(field.default)} | {field.unit} |'
        for name, field in of.items()
    ]
    return '\n'.join(['| field | meaning | default | unit |', '|---|---|---|---|', *rows])


def api() -> str:
    """Every name that `import bsresearch as bs` promises."""
    import bsresearch as bs

    return '\n\n'.join(_promised(name, getattr(bs, name)) for name in bs.__all__)


def _promised(name: str, value: Any) -> str:
    if isinstance(value, ModuleType):
        return f'## bs.{name}\n\n{docstring(value)}' + ('' if name == 'schema' else f'\n\n{_shapes(value)}')
    if not inspect.isclass(value):
        return f'## bs.{name}\n\n{signature(f"bs.{name}", value)}\n\n{docstring(value)}'
    sections = [f'## bs.{name}', signature(f'bs.{name}', value), docstring(value)]
    for method, function in vars(value).items():
        if inspect.isfunction(function) and (method == '__call__' or not method.startswith('_')):
            call = 'monitor' if method == '__call__' else f'monitor.{method}'
            sections += [f'### {call.removeprefix("monitor.")}', signature(call, function), docstring(function)]
    return '\n\n'.join(sections)


def _shapes(module: ModuleType) -> str:
    """The schedules, each with the fields of its own."""
    names = [name for name in dir(module) if name[0].islower() and callable(getattr(module, name))]
    return '\n\n'.join(f'### bs.schedules.{name}\n\n{docstring(getattr(module, name))}' for name in names)


def signature(name: str, function: Callable[..., Any]) -> str:
    """As it would be written, an argument a line where one line is too short."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != 'self']
    arguments = [_parameter(p) for p in parameters]
    first_keyword = next((i for i, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY), None)
    if first_keyword is not None:
        arguments.insert(first_keyword, '*')
    line = f'{name}({", ".join(arguments)})'
    text = line if len(line) <= 90 else f'{name}(\n' + ''.join(f'    {part},\n' for part in arguments) + ')'
    return f'```python\n{text}\n```'


def _parameter(parameter: inspect.Parameter) -> str:
    default = '' if parameter.default is parameter.empty else f'={parameter.default!r}'
    return f'{"**" if parameter.kind is parameter.VAR_KEYWORD else ""}{parameter.name}{default}'


def docstring(of: Any) -> str:
    """A docstring of Google's style as Markdown: its sections are lists, of an argument each."""
    text, sections = inspect.getdoc(of) or '', []
    names = () if isinstance(of, ModuleType) else tuple(_names(of))
    for block in re.split(rf'\n\n(?=(?:{"|".join(SECTIONS)}):)', text):
        head, _, body = block.partition(':')
        if head not in SECTIONS:
            sections.append(escaped(block))
            continue
        words = ' '.join(inspect.cleandoc(body).split())
        entries = _entries(words, names) if head == 'Args' else []
        items = ''.join(f'\n- `{name}`: {escaped(meaning)}' for name, meaning in entries)
        sections.append(f'**{head}**\n{items}' if items else f'**{head}**: {escaped(words)}')
    return '\n\n'.join(sections)


def _names(of: Any) -> Iterator[str]:
    yield from inspect.signature(of).parameters


def _entries(words: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Arguments with what is said of each; one that goes with another, `low, high`, goes with it here too."""
    one = '|'.join(map(re.escape, names)) or '(?!)'
    parts = re.split(rf'(?:^|(?<=[.;] ))((?:{one})(?:, (?:{one}))*): ', words)
    return list(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def escaped(text: str) -> str:
    """Plain text as Markdown: what stands outside of `code` and indented blocks means nothing there."""
    lines = text.splitlines()
    return '\n'.join(line if line.startswith('    ') else _escaped(line) for line in lines)


def _escaped(line: str) -> str:
    parts = re.split(r'(`[^`]*`)', line)
    return ''.join(part if i % 2 else re.sub(r'([<*|\[\]])', r'\\\1', part) for i, part in enumerate(parts))


MADE: dict[str, Callable[[], str]] = {
    'reference/api': api,
    'reference/configs': configs,
    'reference/fields': fields,
}
