"""Imports point one way, figures need no JAX, one module draws; the pages name what is there."""

import ast
import pathlib
import re
import tomllib

import pytest
from importlinter.cli import lint_imports

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / 'bsresearch'
PAGES = ('docs/architecture.md', 'docs/own_parts.md')
FLOORS = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['importlinter']['contracts'][0]['layers']


def test_imports_point_one_way(monkeypatch):
    """Import-linter's verdict on every contract; a forbidden import anywhere fails it."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    assert lint_imports(config_filename=str(ROOT / 'pyproject.toml'), no_cache=True) == 0


def floor(room: str) -> int:
    """0 is the top."""
    (number,) = [i for i, layer in enumerate(FLOORS) if room in re.split(r' [|:] ', layer)]
    return number


def test_what_is_imported_by_name_lies_below():
    """Strings that begin with `bsresearch.` are packages in which members are looked up, or import paths."""
    for file in PACKAGE.rglob('*.py'):
        room = file.relative_to(PACKAGE).parts[0]
        if room == '__init__.py':
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named = re.fullmatch(r'bsresearch\.(\w+)[\w.]*(:\w+)?', node.value)
                if named and named[1] != room:
                    assert floor(named[1]) > floor(room), f'{file}: {node.value}'


def names_of(file: pathlib.Path) -> set[str]:
    """Functions, classes, their methods and module constants."""
    tree = ast.parse(file.read_text())
    names = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for cls in (n for n in tree.body if isinstance(n, ast.ClassDef)):
        names |= {f'{cls.name}.{n.name}' for n in cls.body if isinstance(n, ast.FunctionDef)}
    return names


@pytest.mark.parametrize('page', PAGES)
def test_a_page_names_what_is_there(page: str):
    """Of `path/file.py:name` the file and the name, of `folder/` the folder."""
    seen = 0
    for path, name in re.findall(r'`([\w/]+(?:\.py|/))(?::([\w.]+))?`', (ROOT / page).read_text()):
        where = [base / path for base in (ROOT, PACKAGE) if (base / path).exists()]
        assert where, path
        assert not name or name in names_of(where[0]), f'{path}:{name}'
        seen += 1
    assert seen
