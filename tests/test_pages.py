"""The documentation: no dead link, every command and every piece of code is one that works, the reference is whole."""

import ast
import importlib
import inspect
import pathlib
import re
import shutil
import sys
from typing import Any, cast

import jax
import pages
import pytest
import toy

import bsresearch as bs
from bsresearch.core import lookup, own_part
from bsresearch.core.flat import flatten
from bsresearch.launching import describe, flag_parser, listing, planner
from bsresearch.planning import schema, sweep
from bsresearch.planning.plan import Plan

WRITTEN = [file for file in pages.written() if file.name != 'CHANGELOG.md']
name_of = lambda file: str(file.relative_to(toy.ROOT))


@pytest.fixture(scope='module')
def generate():
    """docs/generate.py, which the site is made with."""
    sys.path.insert(0, str(pages.DOCS))
    yield importlib.import_module('generate')
    sys.path.remove(str(pages.DOCS))


def test_no_link_is_dead():
    """To a file, or to a heading of a page."""
    dead = {name_of(file): links for file in pages.every() if (links := pages.dead_links(file))}
    assert dead == {}


def test_a_dead_link_is_noticed(tmp_path: pathlib.Path):
    """To the mechanism itself: a file that is gone, a heading that was renamed; a second one of a name has a number."""
    (tmp_path / 'b.md').write_text('# One `two`: |G|\n\n## Same\n\n## Same\n')
    (tmp_path / 'a.md').write_text('[x](b.md#one-two-g) [y](b.md#same-1) ![z](c.png) [u](b.md#same-2) [v](https://x.y)')
    assert pages.dead_links(tmp_path / 'a.md') == ['c.png', 'b.md#same-2']


def test_the_index_leads_to_every_page(generate: Any):
    """Navigation of the site is made of it; reports hang from the index of studies."""
    listed = [
        page for group in generate.navigation((pages.DOCS / 'index.md').read_text('utf-8')).values() for page in group
    ]
    there = {
        file.relative_to(pages.DOCS).with_suffix('').as_posix()
        for file in pages.written()
        if pages.DOCS in file.parents
    }
    assert len(listed) == len(set(listed))
    assert set(listed) == there - {'index'}
    studies = generate.page('studies/index', (pages.DOCS / 'studies' / 'index.md').read_text('utf-8'))
    for file in (pages.DOCS / 'studies').glob('*/report.md'):
        assert f'{file.parent.name}/report>' in studies


# --- code


@pytest.mark.parametrize('file', WRITTEN, ids=name_of)
def test_code_of_a_page_is_python_with_names_that_are_there(file: pathlib.Path):
    """It parses; what it imports from the package is there; calls of promised names have arguments that these take."""
    for block in pages.read(file).blocks:
        if block.kind != 'python':
            continue
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('bsresearch'):
                module = importlib.import_module(node.module or '')
                for alias in node.names:
                    assert hasattr(module, alias.name) or importlib.import_module(f'{node.module}.{alias.name}')
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith('bs.'):
                function = eval(ast.unparse(node.func), {'bs': bs})
                keywords = {word.arg: None for word in node.keywords if word.arg}
                inspect.signature(function).bind(*node.args, **keywords)


def built(block: str) -> Any:
    """The config that a block makes: of its get_config, or of its lines on the defaults; None where it makes none."""
    if 'def get_config' in block:
        scope: dict[str, Any] = {}
        exec(block, scope)
        return scope['get_config']()
    if not block.startswith('c.'):
        return None
    config = schema.defaults()
    config.total_epochs = 40.0
    exec(block, {'c': config})
    return config


def planned(config: dict[str, Any], overrides: dict[str, Any], *, whole: bool) -> list[Plan]:
    """The runs, with embedded data in place of what has to be prepared first, and one seed.

    `whole`: its findings and later stages too, as of a config that a page shows; those of the package have their tests.
    """
    name = overrides.get('data.name', config['data']['name'])
    changes = {'sweep.seed': (0,), **overrides}
    if name not in lookup.members('bsresearch.data', 'load') and ':' not in name:
        targets = overrides.get('loss.name') == 'squared_error'
        changes |= {'data.name': 'linear_regression' if targets else 'digits', 'data.fraction': 1.0}
        changes |= {'data.mean': (0.0,), 'data.std': (1.0,)}
    for logger in changes.pop('loggers', ()):  # those of the package need not be installed here
        assert own_part.is_path(logger) or logger in lookup.members('bsresearch.loggers', 'open_log')
    with jax.numpy_rank_promotion('allow'):  # a user's network
        return planner.study(config, changes, None).plans if whole else sweep.grid(config, changes).plans


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where a reader types: the files that pages tell to write, and those that they take to be there."""
    folder = tmp_path_factory.mktemp('reader')
    for place in ('examples', 'docs', 'Makefile'):
        (folder / place).symlink_to(toy.ROOT / place)
    shutil.copy(toy.ROOT / 'examples' / 'own_network.py', folder / 'nets.py')
    for file in WRITTEN:
        pages.write_files(file, folder)
    return folder


@pytest.mark.parametrize('file', WRITTEN, ids=name_of)
def test_configs_of_a_page_can_be_planned(file: pathlib.Path, folder: pathlib.Path, patching: pytest.MonkeyPatch):
    """Where it shows findings they are checked against what the config records."""
    patching.chdir(folder)
    for block in pages.read(file).blocks:
        config = built(block.text) if block.kind == 'python' else None
        whole = 'def get_config' in block.text
        assert config is None or planned(config.to_dict(), {}, whole=whole)


# --- commands


@pytest.mark.parametrize('file', WRITTEN, ids=name_of)
def test_commands_of_a_page_are_what_the_doors_take(
    file: pathlib.Path, folder: pathlib.Path, patching: pytest.MonkeyPatch
):
    """Flags are known and their values can be read; configs are planned; what only prints is printed."""
    patching.chdir(folder)
    for words in pages.commands(file):
        if words[0] == 'make':
            check_make(words[1:])
        elif words[:2] == ['pip', 'install']:
            assert all((toy.ROOT / word).exists() for word in words[2:] if not word.startswith('-')), words
        elif words[0] == 'python' and words[1].endswith('.py') and words[1] != 'main.py':
            assert (folder / words[1]).is_file(), words
        elif words[1] in ('fields', 'configs'):
            text = describe.text if words[1] == 'fields' else listing.text
            assert all(text(word) for word in words[2:]), words
        elif not any('batchsize' in word for word in words):  # the mistake that command.md shows
            check_flags(words)


def check_make(words: list[str]) -> None:
    """Targets and variables of the Makefile."""
    text = (toy.ROOT / 'Makefile').read_text('utf-8')
    for word in words:
        name, assigned, _ = word.partition('=')
        kind = r'\s*\??=' if assigned else ':'
        assert re.search(rf'^{re.escape(name)}{kind}', text, re.MULTILINE), word


def check_flags(words: list[str]) -> None:
    """The command's flags, and its runs where it has a config."""
    try:
        parsed = pages.parsed(words)
    except SystemExit as error:
        pytest.fail(f'{" ".join(words)}: {error.code}')
    if parsed is None or 'config' not in parsed.values or parsed.values['config'].value is None:
        return
    config, overrides = flag_parser.declared(parsed.values['config'])
    package = toy.ROOT / 'configs' in cast(Any, parsed.values['config'].parser).file.parents
    assert planned(config, overrides, whole=not package), words


# --- reference


def test_the_reference_has_every_promised_name(generate: Any):
    """With its signature, and every argument that its docstring should tell of."""
    text = generate.api()
    for name in bs.__all__:
        assert re.search(rf'^## bs\.{name}$', text, re.MULTILINE), name
    for schedule in set(dir(bs.schedules)) - {'Schedule'}:
        assert f'### bs.schedules.{schedule}\n' in text
    for name in ('noise_scale', 'gradient_norm_vs_batch_size', 'plan', 'run'):
        part = text.partition(f'## bs.{name}\n')[2].partition('\n## ')[0]
        for argument in inspect.signature(getattr(bs, name)).parameters:
            assert re.search(rf'^- `(\w+, )*{argument}(, \w+)*`: ', part, re.MULTILINE), (name, argument)


def test_the_reference_has_every_config_and_every_field(generate: Any):
    """Those of the schema, and those of each part of each section."""
    configs, fields = generate.configs(), generate.fields()
    assert set(re.findall(r'^## (\w+)$', configs, re.MULTILINE)) == set(flag_parser.names_of_configs())
    named = set(re.findall(r'^\| `([^`]+)` \|', fields, re.MULTILINE))
    known = {name for name in flatten(schema.known()) if not name.startswith(('measure.', 'sweep.'))}
    sections = [(name, part) for name in ('model', 'optimizer', 'schedule') for part in describe.members(name).values()]
    parts = {f'{name}.{field}' for name, part in sections for field in describe.own_fields(name, part)}
    assert known | parts <= named
    assert 'measure.noise_scale.small_batch_size' in named


def test_text_of_docstrings_means_nothing_in_markdown(generate: Any):
    """Closed form: what would be markup is escaped, code is not; an argument list is told apart."""

    def example(a, b, *, low=0, high=1):
        """One <name> of |G|² is `<a|b>`.

            code * of its own

        Args:
          a: the first; b is not told here. b: any
            pytree.
          low, high: ends.

        Returns:
          nothing.
        """

    assert generate.docstring(example) == (
        'One \\<name> of \\|G\\|² is `<a|b>`.\n\n    code * of its own\n\n'
        '**Args**\n\n- `a`: the first; b is not told here.\n- `b`: any pytree.\n- `low, high`: ends.\n\n'
        '**Returns**: nothing.'
    )
    assert generate.signature('f', example) == '```python\nf(a, b, *, low=0, high=1)\n```'


def test_a_notebook_is_a_page(generate: Any):
    """Its text, its code, what it printed and its pictures, named by the comment that their cell begins with."""
    picture = {'source': ['# A curve\n', 'plot()'], 'cell_type': 'code', 'outputs': [{'data': {'image/png': 'QUJD'}}]}
    printed = {'source': ['1 + 1'], 'cell_type': 'code', 'outputs': [{'data': {'text/plain': ['2']}}]}
    cells = [{'source': ['# Title\n', 'text'], 'cell_type': 'markdown'}, printed, picture]
    assert generate.notebook({'cells': cells}) == (
        '# Title\ntext\n\n```python\n1 + 1\n```\n\n```text\n2\n```\n\n```python\n# A curve\nplot()\n```\n\n'
        '![A curve](data:image/png;base64,QUJD)\n'
    )
