"""Where things lie in a workdir, and how a file is replaced so that a kill leaves the old or the new one, whole.

<workdir>/schema.json
<workdir>/<study>/<run id>/{config.json, meta.json, metrics.jsonl, arrays/}
<workdir>/<study>/<probe id>/{probe.json, meta.json, arrays/}
<workdir>/<study>/groups/<group id>/{group.json, lease.json, initial/, checkpoints/, profile/}
"""

import json
import os
import pathlib
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from bsresearch.schema import SCHEMA_VERSION
from bsresearch.store.presence import Gone, Stay


def _own() -> str:
    """Of this write alone: on a shared disk two hosts may have the same process number."""
    return uuid.uuid4().hex[:16]


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes beside, fsyncs, renames; into a directory that is there.

    Raises:
      Gone: it is not.
    """
    temporary = path.with_name(f'{path.name}.{_own()}.tmp')
    try:
        with open(temporary, 'w', encoding='utf-8', newline='\n') as f:
            f.write(text)
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


def write_json(path: pathlib.Path, value: Any) -> None:
    """As `write_text`, for a value."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False))


def write_npz(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """As `write_text`, for arrays."""
    temporary = path.with_name(f'.{path.name}.{_own()}.tmp')
    try:
        with open(temporary, 'wb') as f:
            np.savez(f, **arrays)  # pyright: ignore[reportArgumentType]
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except BaseException as e:
        _give_up(temporary, e)
        raise


def read_json(path: pathlib.Path) -> Any:
    """The file's value; None if there is no such file."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as e:
        raise ValueError(f'{path} is not what was written there: {e}; restore it or use another workdir') from e


def run_dir(workdir: pathlib.Path, study: str, run_id: str) -> pathlib.Path:
    """A run's directory."""
    return workdir / study / run_id


def group_dir(workdir: pathlib.Path, study: str, group_id: str) -> pathlib.Path:
    """A replica group's directory."""
    return workdir / study / 'groups' / group_id


def check_schema(workdir: pathlib.Path) -> None:
    """Raises ValueError if the workdir holds runs of another config schema, or is a file; writes nothing."""
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f'--workdir={workdir} is a file; name a directory')
    found = read_json(workdir / 'schema.json')
    if found is not None and not isinstance(found, dict):
        raise ValueError(f'{workdir}/schema.json is not what was written there; use another workdir')
    if found is not None and found.get('schema') != SCHEMA_VERSION:
        raise ValueError(
            f'--workdir={workdir} holds runs of config schema {found.get("schema")}, this version writes schema '
            f'{SCHEMA_VERSION}; use another workdir, or the version that wrote it'
        )
    if found is None and workdir.is_dir() and any(workdir.glob('*/*/config.json')):
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
