"""Prepared data sets: plain checksummed arrays on disk, memory-mapped, read without TFDS.

Layout: `<data_dir>/<name>/{train_inputs,train_labels,test_inputs,test_labels}.npy` and `manifest.json`; the folder may
be copied to another machine as it is. A name with a configuration, `emnist/letters`, is the folder `emnist-letters`.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import tempfile
from typing import Any

import numpy as np

from bsresearch.core import lookup
from bsresearch.data.splits import Split, Splits, check

ARRAYS = ('train_inputs', 'train_labels', 'test_inputs', 'test_labels')
MANIFEST = 'manifest.json'
_NAME = re.compile(r'[A-Za-z0-9_]+(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)?')


def default_dir() -> pathlib.Path:
    """`$BSRESEARCH_DATA`, or `~/.cache/bsresearch/data`."""
    return pathlib.Path(os.environ.get('BSRESEARCH_DATA') or '~/.cache/bsresearch/data').expanduser().absolute()


def folder(name: str, data_dir: pathlib.Path) -> pathlib.Path:
    """Where the set called `name` lies; ValueError if that is no name, so that none points outside `data_dir`."""
    if not _NAME.fullmatch(name):
        raise ValueError(f'bad data set name {name!r}; allowed: a name or name/configuration, such as fashion_mnist')
    return data_dir / name.replace('/', '-')


def command(name: str, data_dir: pathlib.Path) -> str:
    """The command that prepares the set called `name` in `data_dir`."""
    where = '' if data_dir == default_dir() else f' --data_dir={data_dir}'
    return f'bsresearch prepare --name={name}{where}'


def own_data(name: str, data_dir: pathlib.Path) -> str:
    """How data of a user's own come under a name."""
    return f'`{command(name, data_dir)} --npz=FILE`, or --images=FOLDER, --csv=FILE, --parquet=FILE'


def available(data_dir: pathlib.Path) -> list[str]:
    """Names of the sets prepared in `data_dir`, sorted; nothing is verified."""
    manifests = data_dir.glob(f'[!.]*/{MANIFEST}')
    return sorted(path.parent.name.replace('-', '/', 1) for path in manifests)  # The inverse of `folder`.


def write(name: str, splits: Splits, *, data_dir: pathlib.Path, source: dict[str, Any]) -> pathlib.Path:
    """Writes a data set: into a temporary folder beside, to the disk, then one rename.

    Args:
      source: where the arrays come from (TFDS version, configuration, …), kept in the manifest.

    Returns the folder.

    Raises:
      ValueError: as splits.check.
      FileExistsError: the folder exists; nothing is ever overwritten (OSError if another process just made it).
    """
    target = folder(name, data_dir)
    check(name, splits)
    if target.exists():
        raise FileExistsError(f'{target} exists and is never overwritten; remove it first to prepare {name!r} again')
    data_dir.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f'.{target.name}-', dir=data_dir))
    try:
        files = {}
        for key, array in zip(ARRAYS, (*splits.train, *splits.test), strict=True):
            path = temporary / f'{key}.npy'
            np.save(path, array, allow_pickle=False)
            files[path.name] = {'sha256': _file_hash(path), 'shape': list(array.shape), 'dtype': array.dtype.name}
        manifest = {'name': name, 'num_outputs': splits.num_outputs, 'scale': splits.scale}
        manifest |= {'checksum': splits.checksum, 'source': source, 'files': files}
        manifest |= {'own': True} if splits.own else {}
        manifest['manifest_sha256'] = _manifest_hash(manifest)
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=1) + '\n', encoding='utf-8')
        temporary.chmod(0o755)  # mkdtemp's 0700 would hide a shared folder from colleagues.
        for path in (*temporary.iterdir(), temporary):
            _sync(path)
        # Not `replace`: if another process was faster its folder is not empty, this fails, and that one stays.
        temporary.rename(target)
        _sync(data_dir)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return target


def missing(name: str, data_dir: pathlib.Path) -> FileNotFoundError:
    """The error of a set that is not prepared: what is there, and the command."""
    return FileNotFoundError(
        f'data set {name!r} is not prepared in {data_dir}; prepare it once with `{command(name, data_dir)}`, or copy '
        f'the folder {folder(name, data_dir).name} from a machine that has it. Prepared there: '
        f'{", ".join(available(data_dir)) or "none"}. Embedded, no preparation needed: '
        f'{", ".join(lookup.members("bsresearch.data", "load"))}. Your own, under another name: '
        f'{own_data("mine", data_dir)}'
    )


def read(name: str, data_dir: pathlib.Path) -> Splits:
    """The prepared set called `name`, as read-only memory maps; the sha256 of every file is verified each time.

    Raises:
      FileNotFoundError: not prepared; see `missing`.
      ValueError: a file is missing, truncated or changed; names it, both hashes and the cure.
    """
    path = folder(name, data_dir)
    if not path.is_dir():
        raise missing(name, data_dir)
    manifest = _read_manifest(path, name)
    arrays = []
    for key in ARRAYS:
        file = path / f'{key}.npy'
        expected = manifest['files'][file.name]['sha256']
        actual = _file_hash(file) if file.is_file() else 'no such file'
        if actual != expected:
            raise _damaged(file, expected, actual, name)
        arrays.append(np.load(file, mmap_mode='r', allow_pickle=False))
    train, test = Split(*arrays[:2]), Split(*arrays[2:])
    return Splits(
        train, test, manifest['num_outputs'], manifest['scale'], manifest['checksum'], manifest.get('own', False)
    )


def _read_manifest(path: pathlib.Path, name: str) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_bytes())
        expected = manifest.pop('manifest_sha256')
    except (FileNotFoundError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise _damaged(file, 'inside the manifest', f'none ({error!r})', name) from None
    if (actual := _manifest_hash(manifest)) != expected:
        raise _damaged(file, expected, actual, name)
    if manifest['name'] != name:
        raise ValueError(f'{path} holds the data set {manifest["name"]!r}, not {name!r}; rename the folder back')
    return manifest


def _damaged(file: pathlib.Path, expected: str, actual: str, name: str) -> ValueError:
    return ValueError(
        f'{file} is damaged: expected sha256 {expected}, found {actual}; remove the folder {file.parent} and prepare '
        f'again (`{command(name, file.parent.parent)}`), or copy the folder again'
    )


def _file_hash(path: pathlib.Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def _manifest_hash(manifest: dict[str, Any]) -> str:
    # The manifest protects itself too: a flipped digit in `scale` would otherwise be a silently different data set.
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _sync(path: pathlib.Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
