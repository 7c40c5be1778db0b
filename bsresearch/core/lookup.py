"""The name in the config is the file in the folder; the signature is the schema. The only dispatch.

A folder's members are the modules that define its contract's function (`build`, `load`, …) at top level;
other modules in the folder (types, shared layers) are not members.
"""

import difflib
import functools
import importlib
import importlib.util
import inspect
import pathlib
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from bsresearch.core import own_part

# A list of names is told up to so many; of a longer one so many near names.
MOST_LISTED, MOST_NEAR = 12, 4
# Positional arguments of the functions that contracts ask for, by a word for the part; none where it is not here.
LEADING = {'model': ('num_outputs',), 'study': ('plans',), 'engine': ('jobs', 'at_once', 'should_stop'),
           'logger': ('run', 'folder', 'mode')}  # fmt: skip


def nearest(name: str, allowed: Iterable[str], lists: str = '') -> str:
    """The cure for a mistyped name: the nearest allowed one and, unless it is long, the whole list.

    Args:
      lists: the command that lists all of them; without it even a long list is told.
    """
    allowed = sorted(allowed)
    whole = nearest_of(name, allowed, allowed)
    short = shortened(name, allowed) if lists else whole
    return whole if short == whole else f'{short}; `{lists}` lists them'


def shortened(name: str, allowed: Iterable[str]) -> str:
    """As `nearest`, where the caller says what lists all: of a long list none but the near names, if there are any."""
    allowed = sorted(allowed)
    close = _near(name, allowed, MOST_NEAR)
    if not close or len(allowed) <= MOST_LISTED:
        return nearest_of(name, allowed, allowed)
    others = f'Near it, of {len(allowed)}: {", ".join(close[1:])}' if close[1:] else f'It is one of {len(allowed)}'
    return f'did you mean {close[0]!r}? {others}'


def nearest_of(name: str, allowed: Iterable[str], told: Iterable[str]) -> str:
    """As `nearest`, where there are too many allowed ones to list: only `told` are."""
    close = _near(name, list(allowed), 1)
    listed = ', '.join(told)
    return f'did you mean {close[0]!r}? Allowed: {listed}' if close else f'allowed: {listed}'


def _near(name: str, allowed: list[str], most: int) -> list[str]:
    """Names of which it is a word, or the initials (lr), the shortest first; then those that are spelt alike."""
    parts = {other: other.split('_') for other in allowed}
    meant = [other for other, words in parts.items() if name in (*words, ''.join(word[:1] for word in words))]
    alike = difflib.get_close_matches(name, allowed, n=most, cutoff=0.6)
    return list(dict.fromkeys([*sorted(meant, key=len), *alike]))[:most]


@functools.cache
def members(package: str, function: str) -> tuple[str, ...]:
    """Names of the modules of `package` that define `function` at top level; neither is imported."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, package
    files = [file for folder in spec.submodule_search_locations or () for file in pathlib.Path(folder).glob('*.py')]
    pattern = re.compile(rf'^def {function}\(', re.MULTILINE)
    return tuple(sorted(p.stem for p in files if pattern.search(p.read_text(encoding='utf-8'))))


def module(package: str, function: str, name: str, what: str) -> ModuleType:
    """The member module called `name`; of an import path its module, with the function called as the contract has it.

    Raises:
      ValueError: no such member; names the valid ones. Or as own_part.function.
    """
    if own_part.is_path(name):
        return own_part.view(name, what, function, LEADING.get(what, ()))
    if name not in members(package, function):
        raise unknown(what, name, members(package, function))
    return importlib.import_module(f'{package}.{name}')


def unknown(what: str, name: str, allowed: Iterable[str], *, own: bool = True) -> ValueError:
    """The error of a name that no part has: the nearest ones and, where there may be one, how to name one's own."""
    cure = f'; or your own: {own_part.FORMS}' if own else ''
    section = {'measurement': 'measure'}.get(what, what)
    return ValueError(f'unknown {what} {name!r}; {nearest(name, allowed, f"bsresearch fields {section}")}{cure}')


def functions(source: ModuleType, leading: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    """The public functions of a module whose positional arguments are `leading`: its members, by name."""
    return dict(_functions(source.__name__, leading))


@functools.cache
def _functions(source_name: str, leading: tuple[str, ...]) -> Mapping[str, Callable[..., Any]]:
    source, public = importlib.import_module(source_name), {}
    for name, fn in inspect.getmembers(source, inspect.isfunction):
        parameters = inspect.signature(fn).parameters.values()
        positional = tuple(p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY)
        if positional == leading and not name.startswith('_') and fn.__module__ == source.__name__:
            public[name] = fn
    return public


def keywords(fn: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only arguments of `fn` with their defaults: its schema."""
    return dict(_keywords(fn))


@functools.cache
def _keywords(fn: Callable[..., Any]) -> tuple[tuple[str, Any], ...]:
    parameters = inspect.signature(fn).parameters.values()
    return tuple((p.name, p.default) for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)


@functools.cache
def hints(fn: Callable[..., Any]) -> Mapping[str, Any]:
    """The annotations of the keyword-only arguments of `fn` that have one: the kinds of `keywords`."""
    known = typing.get_type_hints(fn)
    return {name: known[name] for name in keywords(fn) if name in known}


def check_keywords(
    fn: Callable[..., Any], given: Mapping[str, Any], what: str, beside: tuple[str, ...] = ()
) -> dict[str, Any]:
    """`given` completed by the defaults of `fn`'s keyword-only arguments.

    Args:
      beside: fields that are allowed too, for the message.

    Raises:
      ValueError: a key that `fn` does not take; names the valid ones.
    """
    schema = keywords(fn)
    for key in given:
        if key not in schema:
            allowed = {*schema, *beside}
            raise ValueError(f'{what} has no field {key!r}; {nearest(key, allowed) if allowed else "it has no fields"}')
    return {**schema, **given}
