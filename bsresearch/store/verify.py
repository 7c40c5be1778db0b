"""Whether the records of a run are what was written: from its end on meta.json tells size and sha256 of each file.

Contents, in meta.json as `records`: {'rows', 'bytes', 'sha256'} of metrics.jsonl, 'arrays': file name → {'bytes',
'sha256'}. A run of an older version has none, and one that goes on has none yet: its records are read unverified.
Sizes are compared at every reading; hashes once, which the user's cache remembers until the file changes.
"""

import functools
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

from bsresearch.store import paths
from bsresearch.store.paths import RESTORE, Damaged

KEY = 'records'
ROWS = 'metrics.jsonl'


def has_rows(directory: pathlib.Path) -> bool:
    """Whether a run has records."""
    path = directory / ROWS
    return path.exists() and path.stat().st_size > 0


def of_file(path: pathlib.Path) -> dict[str, Any]:
    """A file's bytes and sha256."""
    return {'bytes': path.stat().st_size, 'sha256': paths.file_digest(path)}


def check(directory: pathlib.Path, contents: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
    """The contents that a run or probe was sealed with, checked; None where it was not sealed.

    Rows that stand after the sealed ones are an addition that has not come to its end; they are not looked at.

    Args:
      contents: of its meta.json, where the caller has read it.

    Raises:
      Damaged: a file is missing, cut or changed.
    """
    if contents is None:
        contents = (paths.read_json(directory / 'meta.json') or {}).get(KEY)
    if contents is None:
        return None
    if 'bytes' in contents:
        _check_file(directory / ROWS, contents, longer=True)
    for name, facts in contents['arrays'].items():
        _check_file(directory / 'arrays' / name, facts)
    return contents


def _check_file(path: pathlib.Path, facts: Mapping[str, Any], longer: bool = False) -> None:
    """`longer`: the file may go on after the bytes that are checked."""
    try:
        status = path.stat()
    except FileNotFoundError as e:
        raise Damaged(f'{path} is missing; {RESTORE}') from e
    if status.st_size < facts['bytes'] or (status.st_size > facts['bytes'] and not longer):
        raise Damaged(f'{path} has {status.st_size} bytes where {facts["bytes"]} were written; {RESTORE}')
    place = (path.resolve(), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, facts['sha256'])
    key = hashlib.sha256(repr(place).encode()).hexdigest()[:32]
    if key in _remembered():
        return
    if _digest(path, facts['bytes']) != facts['sha256']:
        raise Damaged(f'{path} is damaged (its content has another sha256 than was written); {RESTORE}')
    _remember(key)


def _digest(path: pathlib.Path, size: int) -> str:
    """sha256 of the first `size` bytes."""
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read(size)).hexdigest()


def _cache() -> pathlib.Path:
    return pathlib.Path('~/.cache/bsresearch/verified').expanduser()


@functools.cache
def _remembered() -> set[str]:
    """Files found whole, by place, size and times; a line of 32 digits each."""
    try:
        return set(_cache().read_text(encoding='utf-8').split())
    except (OSError, ValueError):
        return set()


def _remember(key: str) -> None:
    _remembered().add(key)
    try:
        _cache().parent.mkdir(parents=True, exist_ok=True)
        with open(_cache(), 'ab') as file:
            file.write(f'{key}\n'.encode())  # whole, as other processes append too
    except OSError:
        return  # without a cache each process hashes anew
