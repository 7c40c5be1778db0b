"""Parts of a user's own, named by an import path: `package.module:function` or `path/to/file.py:function`."""

import difflib
import functools
import hashlib
import importlib
import inspect
import math
import os
import pathlib
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from bsresearch.core import own_sources, user_file

FORMS = 'package.module:function or path/to/file.py:function'
# Arguments that the engine gives where a function takes them: no fields of the config.
GIVEN = ('ghost_batch_size', 'dtype', 'batch_axis', 'example_shape', 'rngs', 'no_decay')
_FILE = re.compile(r'(?:[^:]*/)?([^/:]+\.py:\w+)')


def is_path(name: str) -> bool:
    """Whether a name is an import path; those of the package's own parts have no colon."""
    return ':' in name


def located(value: Any) -> Any:
    """A config, or any value of one, with the files of import paths module_of_file absolute: good in any directory."""
    return _each(value, lambda name: os.path.abspath(os.path.expanduser(name)))


def unplaced(value: Any) -> Any:
    """With the names of files without their folders: what of an import path belongs to a run's id."""
    return _each(value, lambda name: os.path.basename(name))


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value) if _FILE.fullmatch(value) else value
    if isinstance(value, Mapping):
        return {key: _each(inner, change) for key, inner in value.items()}
    return type(value)(_each(inner, change) for inner in value) if type(value) in (list, tuple) else value


def named(value: Any) -> set[str]:
    """All import paths among the `name`s and `function`s of a config."""
    if not isinstance(value, Mapping):
        return set().union(*map(named, value)) if isinstance(value, list | tuple) else set()
    here = {v for k, v in value.items() if k in ('name', 'function') and isinstance(v, str) and is_path(v)}
    return here.union(*map(named, value.values()))


def sources(value: Any) -> dict[str, str]:
    """Import path → sha256 of the source file as it was run, of all parts of a user's own that a config names.

    And `nets.py imports blocks` → that of a module which the file imports from beside it, or from its own package.
    """
    digests: dict[str, str] = {}
    for name in sorted(named(value)):
        where = unplaced(name)
        if (of_part := own_sources.of(module(name, 'part'))) is not None:
            imports = where.partition(':')[0] + ' imports '
            digests |= {where: of_part.file} | {imports + key: digest for key, digest in of_part.imported.items()}
    return digests


def module(name: str, what: str) -> types.ModuleType:
    """The module of an import path.

    Args:
      what: a word for the part: model, loss, …

    Raises:
      ValueError: it is no import path, or cannot be imported: where Python looked, or file, line and error. One line.
    """
    where, _, function = name.partition(':')
    if not where or not function.isidentifier():
        raise ValueError(f'{what} {name!r}: no import path; allowed: {FORMS}')
    return of_file(where, what) if where.endswith('.py') else package(where, what)


_FILES: dict[pathlib.Path, types.ModuleType] = {}


def of_file(name: str, what: str) -> types.ModuleType:
    """The module of a file, run once.

    Modules beside it are found first and are its own, for another folder may have others of their names.

    Raises:
      ValueError: as `module`.
    """
    file = pathlib.Path(os.path.realpath(os.path.expanduser(name)))
    if not file.is_file():
        cure = f'; did you mean {pathlib.Path(near).name}?' if (near := user_file.near(str(file))) else ''
        raise ValueError(f'{what} {file.name}: no such file in {file.parent}{cure}')
    if file in _FILES:
        return _FILES[file]
    module_of_file = types.ModuleType(f'{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}')
    sys.modules[module_of_file.__name__] = module_of_file  # dataclasses look their module up
    before = set(sys.modules)
    try:
        with user_file.beside(str(file)):
            user_file.run(str(file), module_of_file)
    except (Exception, SystemExit) as error:
        del sys.modules[module_of_file.__name__]
        raise ValueError(f'{what}: {user_file.described(error, str(file))}') from error
    finally:
        for name in set(sys.modules) - before:
            if pathlib.Path(getattr(sys.modules[name], '__file__', None) or '/').parent == file.parent:
                del sys.modules[name]
    _importable(str(file.parent))
    _FILES[file] = own_sources.note(module_of_file)
    return module_of_file


@functools.cache
def package(where: str, what: str) -> types.ModuleType:
    """A module by its dotted name, found as by Python or from the current directory.

    Raises:
      ValueError: it cannot be imported; which module, which error, where Python looked.
    """
    _importable(os.getcwd())
    try:
        return own_sources.note(importlib.import_module(where), where)
    except ModuleNotFoundError as error:
        if not f'{where}.'.startswith(f'{error.name}.'):
            raise ValueError(f'{what} {where}: it cannot be imported: {" ".join(str(error).split())}') from error
        looked = ', '.join(folder or '.' for folder in sys.path if not folder.endswith('.zip'))
        raise ValueError(
            f'{what} {where}: no module {error.name}; Python looked in {looked}; add its folder to PYTHONPATH, or give '
            'the file: path/to/file.py:function'
        ) from error
    except (Exception, SystemExit) as error:
        described = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise ValueError(f'{what} {where}: it cannot be imported: {described}') from error


def _importable(folder: str) -> None:
    """Modules in a folder can be imported from now on, after all others."""
    if folder not in sys.path:
        sys.path.append(folder)


@functools.cache
def function(name: str, what: str, leading: tuple[str, ...] = ()) -> Callable[..., Any]:
    """The function of an import path.

    Args:
      leading: what its positional arguments are, in order; their names are free. All others must be keyword-only with
        a default: they are the fields of the config.

    Returns:
      the function, whose own errors are ValueErrors of one line: file, line and cause.

    Raises:
      ValueError: as `module`; no such function, or one that takes other arguments. One line.
    """
    there = module(name, what)
    attribute = name.partition(':')[2]
    part = getattr(there, attribute, None)
    if not callable(part):
        public = [key for key, value in vars(there).items() if callable(value) and not key.startswith('_')]
        near = difflib.get_close_matches(attribute, public, n=1)
        cure = f'did you mean {near[0]!r}?' if near else f'it has {", ".join(public) or "no function"}'
        raise ValueError(f'{what} {name}: there is no function {attribute!r}; {cure}')
    form = f'{attribute}({", ".join([*leading, "*, setting=default, …"])})'
    if inspect.isclass(part):
        raise ValueError(f'{what} {name} is a class; give a function {form} that returns what it makes')
    try:
        signature = inspect.signature(part)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} {name} tells no arguments; a function {form} of Python's own is needed") from error
    parameters = list(signature.parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    others = [p for p in parameters if p not in positional]
    if len(positional) != len(leading) or any(p.kind is not p.KEYWORD_ONLY for p in others):
        raise ValueError(f'{what} {name} is {attribute}{signature}; a function {form} is needed')
    for setting in (p for p in others if p.name not in GIVEN):
        if not _is_plain(setting.default):
            raise ValueError(
                f'{what} {name}: {setting.name} needs a default that is a finite number, a word, True, False, None or '
                'a tuple of these: it is a field of the config'
            )
    try:
        typing.get_type_hints(part)
    except Exception as error:
        raise failure(error, name, what) from error

    @functools.wraps(part)
    def in_one_line(*args: Any, **kwargs: Any) -> Any:
        try:
            return part(*args, **kwargs)
        except (Exception, SystemExit) as error:
            raise failure(error, name, what) from error

    return in_one_line


def positional(name: str) -> tuple[str, ...]:
    """The names of the positional arguments of an import path's function: by their number parts are told apart.

    Raises:
      ValueError: as `function`, of what would be one but for its arguments.
    """
    part = getattr(module(name, 'part'), name.partition(':')[2], None)
    if not inspect.isfunction(part):
        function(name, 'part')  # says what is wrong with it
        return ()
    parameters = inspect.signature(part).parameters.values()
    return tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


def paragraph(part: Callable[..., Any]) -> str:
    """The first paragraph of a function's docstring, on one line; without one that of its file."""
    said = inspect.getdoc(part) or inspect.getdoc(inspect.getmodule(inspect.unwrap(part))) or 'It has no docstring.'
    return ' '.join(said.partition('\n\n')[0].split())


def failure(error: BaseException, name: str, what: str) -> ValueError:
    """What went wrong in a part of a user's own, in one line: file, line and cause."""
    begins = [f'{what} {shown}{mark}' for shown in (name, unplaced(name)) for mark in (':', ' ')]
    if isinstance(error, ValueError) and str(error).startswith(tuple(begins)):
        return error
    file = getattr(module(name, what), '__file__', None) or name
    return ValueError(f'{what} {unplaced(name)}: {user_file.described(error, file)}')


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def view(name: str, what: str, contract: str, leading: tuple[str, ...] = ()) -> types.ModuleType:
    """The module of an import path, with the function under the name that a folder's contract has for it."""
    there = module(name, what)
    seen = types.ModuleType(there.__name__)
    vars(seen).update(vars(there))
    setattr(seen, contract, function(name, what, leading))
    return seen
