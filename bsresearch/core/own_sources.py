"""sha256 of the files that parts of a user's own were run from, and of the modules that these import."""

import ast
import contextlib
import hashlib
import pathlib
import sys
import types
from collections.abc import Iterator
from typing import NamedTuple

PACKAGE = __name__.partition('.')[0]  # has a hash of its own


class Digests(NamedTuple):
    """sha256 of a module's file; and of the modules that it imports, and they, by name."""

    file: str
    imported: dict[str, str]


_DIGESTS: dict[str, Digests] = {}  # of files as they were run: they may change while a launch goes on


def note(module: types.ModuleType, name: str = '') -> types.ModuleType:
    """Keeps the digests of a module that was run; `name`: its own in its package, '' of a file."""
    file = getattr(module, '__file__', None)
    if file is not None and module.__name__ not in _DIGESTS:
        digests = {found: _digest(where) for found, where in _with_imported(pathlib.Path(file), name).items()}
        _DIGESTS[module.__name__] = Digests(digests.pop(name), digests)
    return module


def of(module: types.ModuleType) -> Digests | None:
    """Those of a module that was noted; None of one without a file."""
    return _DIGESTS.get(module.__name__)


def _digest(file: pathlib.Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _with_imported(file: pathlib.Path, name: str) -> dict[str, pathlib.Path]:
    """A module and those that it imports, and they, found by reading: of its own package, else files beside it."""
    top, files, todo = name.partition('.')[0], {name: file}, [name]
    if top == PACKAGE:
        return files
    in_package = '.' in name or (name != '' and file.name == '__init__.py')
    root = file.absolute().parents[name.count('.') + (in_package and file.name == '__init__.py')]
    while todo:
        current = todo.pop()
        for module in _imports(files[current], current):
            own = module.partition('.')[0] == top if in_package else '.' not in module
            where = _file(root, module, in_package) if own and module not in files else None
            if where is not None and module not in sys.stdlib_module_names:
                files[module] = where
                todo.append(module)
    return files


def _file(root: pathlib.Path, name: str, in_package: bool) -> pathlib.Path | None:
    """Where a module lies."""
    path = root.joinpath(*name.split('.'))
    files = (path.with_name(f'{path.name}.py'), *([path / '__init__.py'] if in_package else []))
    return next((file for file in files if file.is_file()), None)


def _imports(file: pathlib.Path, name: str) -> Iterator[str]:
    """Names that the imports of a file may mean, and the packages that they and it are in."""
    package = name if file.name == '__init__.py' else name.rpartition('.')[0]
    yield from _prefixes(package)
    tree = ast.Module([], [])
    with contextlib.suppress(SyntaxError, ValueError):  # it is no text, or was not run
        tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _prefixes(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package.split('.')[: package.count('.') + 2 - node.level] if node.level else []
            base = '.'.join([*above, *filter(None, [node.module])])
            for alias in node.names:
                yield from _prefixes(f'{base}.{alias.name}')


def _prefixes(name: str) -> Iterator[str]:
    """Of a.b.c: a, a.b and a.b.c."""
    parts = [part for part in name.split('.') if part]
    yield from ('.'.join(parts[: count + 1]) for count in range(len(parts)))
