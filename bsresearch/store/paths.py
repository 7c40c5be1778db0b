"""Where things lie in a workdir, and how a file is replaced so that a kill leaves the old or the new one, whole.

A JSON file carries the sha256 of the rest of its content and is checked when it is read. Files of older versions carry
none and are read as they are.

<workdir>/schema.json
<workdir>/<study>/study.json
<workdir>/<study>/<run id>/{config.json, meta.json, metrics.jsonl, arrays/}
<workdir>/<study>/<probe id>/{probe.json, meta.json, arrays/}
<workdir>/<study>/groups/<group id>/{group.json, lease.json, initial/, checkpoints/, profile/}
"""

import contextlib
import hashlib
import json
import os
import pathlib
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from bsresearch.store.presence import Gone, Stay

# Of the layout of a workdir and the meaning of what lies in it.
SCHEMA_VERSION = 1
SEAL = 'sha256'
CANONICAL = json.JSONEncoder(sort_keys=True, check_circular=False)  # the latter for speed
# What cures damage.
RESTORE = 'restore it from a copy, or use another workdir'


class Damaged(ValueError):
    """A file whose content is not what was written there."""


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes beside, fsyncs, renames; into a directory that is there.

    Raises:
      Gone: it is not.
    """
    with replacing(path) as f:
        f.write(text.encode())


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[BinaryIO]:
    """A file to be written, which takes the place of `path` when it is whole."""
    # Of this write alone: on a shared disk two hosts may have the same process number.
    temporary = path.with_name(f'.{path.name}.{uuid.uuid4().hex[:16]}.tmp')
    try:
        with open(temporary, 'wb') as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException as e:
        _give_up(temporary, e)
        raise


def _give_up(temporary: pathlib.Path, error: BaseException) -> None:
    """Leaves nothing of a file that could not be written; Gone if that is for lack of its directory."""
    if isinstance(error, FileNotFoundError | NotADirectoryError) and not temporary.parent.is_dir():
        raise Gone(str(temporary.parent)) from error
    temporary.unlink(missing_ok=True)


def digest(value: Any) -> str:
    """sha256 of a value that is as JSON holds it: text keys, no tuples."""
    return hashlib.sha256(CANONICAL.encode(value).encode()).hexdigest()


def file_digest(path: pathlib.Path) -> str:
    """sha256 of a file's content."""
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest()


def sealed(value: Mapping[str, Any], *, sort_keys: bool = True) -> str:
    """A value as JSON, with its sha256, which the order of its keys does not enter."""
    content = json.loads(json.dumps(value, allow_nan=False))
    return json.dumps(content | {SEAL: digest(content)}, indent=1, sort_keys=sort_keys)


def write_json(path: pathlib.Path, value: Mapping[str, Any], sort_keys: bool = True) -> None:
    """As `write_text`, for a value, `sealed`."""
    write_text(path, sealed(value, sort_keys=sort_keys))


def write_npz(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """As `write_text`, for arrays."""
    with replacing(path) as f:
        np.savez(f, **arrays)  # pyright: ignore[reportArgumentType]


def read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of a file.

    Raises:
      Damaged: it is missing, cut, or not what was written there.
    """
    try:
        with open(path, 'rb') as f, np.load(f) as arrays:  # NumPy leaves open what it cannot read
            return dict(arrays)
    except FileNotFoundError as e:
        raise Damaged(f'{path} is missing; {RESTORE}') from e
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as e:
        raise Damaged(f'{path} is damaged ({e}); {RESTORE}') from e


def read_json(path: pathlib.Path, *fields: str) -> Any:
    """The file's value without its seal; None if there is no such file.

    `fields`: that it has whenever it is there.

    Raises:
      Damaged: it cannot be read, or is not what was written there.
    """
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as e:
        raise Damaged(f'{path} is damaged ({e}); {RESTORE}') from e
    if not isinstance(content, dict):
        raise Damaged(f'{path} is damaged (it holds no object); {RESTORE}')
    seal = content.pop(SEAL, None)
    if seal is not None and seal != digest(content):
        raise Damaged(f'{path} is damaged (its content has another sha256 than was written); {RESTORE}')
    if lacking := [field for field in fields if field not in content]:
        raise Damaged(f'{path} is damaged (it has no {lacking[0]!r}); {RESTORE}')
    return content


def is_sealed(path: pathlib.Path) -> bool:
    """Whether a JSON file carries a sha256: those of older versions do not."""
    return path.is_file() and SEAL in json.loads(path.read_bytes())


def within(folder: pathlib.Path, name: Any) -> pathlib.Path:
    """What lies in `folder` under a name that a record gives.

    Raises:
      ValueError: the name leads out of the folder: someone else's workdir is not to have other files read.
    """
    plain = isinstance(name, str) and name and '\0' not in name
    if not plain or pathlib.PurePath(name).is_absolute() or '..' in pathlib.PurePath(name).parts:
        raise ValueError(f'a record in {folder} names {name!r}, which is no path inside it; restore what was written')
    return folder / name


def run_dir(workdir: pathlib.Path, study: str, run_id: str) -> pathlib.Path:
    """A run's directory."""
    return within(workdir, f'{study}/{run_id}')


def group_dir(workdir: pathlib.Path, study: str, group_id: str) -> pathlib.Path:
    """A replica group's directory."""
    return within(workdir / study / 'groups', group_id)


def parent_dir(workdir: pathlib.Path, name: str) -> pathlib.Path:
    """The directory of a branch's parent: inside the workdir, or absolute, as it was named when the branch was made."""
    path = pathlib.Path(name)
    return path if path.is_absolute() else within(workdir, name)


def check_schema(workdir: pathlib.Path) -> None:
    """Raises ValueError if the workdir holds runs of another config schema, or cannot be one; writes nothing."""
    try:
        str(workdir.absolute()).encode()
    except UnicodeEncodeError:  # Python took bytes that its locale does not know; Orbax would not
        raise ValueError(
            f'--workdir={workdir}: its name cannot be read in this locale; set PYTHONUTF8=1, or name another directory'
        ) from None
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f'--workdir={workdir} is a file; name a directory')
    if (workdir / 'records.parquet').exists():
        raise ValueError(f'--workdir={workdir} holds kept records, to be read alone; name another directory')
    schema = read_json(workdir / 'schema.json')
    if schema is not None and schema.get('schema') != SCHEMA_VERSION:
        raise ValueError(
            f'--workdir={workdir} holds runs of config schema {schema.get("schema")}, this version writes schema '
            f'{SCHEMA_VERSION}; use another workdir, or the version that wrote it'
        )
    if schema is None and workdir.is_dir() and any(workdir.glob('*/*/config.json')):
        raise ValueError(f'--workdir={workdir} holds runs but no schema.json; use another workdir')


def claim_workdir(workdir: pathlib.Path, stay: Stay | None = None) -> None:
    """Makes the workdir and marks its schema; one that `stay` knows is not made a second time."""
    check_schema(workdir)
    if stay is None or not stay.knows(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
    if read_json(workdir / 'schema.json') is None:
        write_json(workdir / 'schema.json', {'schema': SCHEMA_VERSION})
    if stay is not None:
        stay.add(workdir)
