"""Appends a run's records: rows to metrics.jsonl, every update's scalars to arrays/; knows what it has written."""

import hashlib
import json
import math
import os
import pathlib
from typing import Any

import numpy as np

from bsresearch.store import paths, verify
from bsresearch.store.paths import Damaged

RESTORE = 'restore the file or start the run in another workdir'


class Writer:
    """Appends rows to a run's metrics.jsonl and dense scalars to its arrays/.

    Rows reach the disk at `flush`. A checkpoint notes `position()` and the digest of `contents()`; `rewind` returns
    there on resume. A run's end seals it with its contents (verify.py); what was added to a sealed run, and not sealed
    anew, is dropped. The directory is made with the group, not here: one that was moved away must not come to be a
    second time.
    """

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.path, sealed = directory / verify.ROWS, verify.check(directory)
        drop_torn_line(self.path)
        self._file = open(self.path, 'ab')  # noqa: SIM115 (closed by close)
        if sealed is not None:
            self._file.truncate(sealed['bytes'])
        self._read()
        self._dense: list[tuple[int, dict[str, np.ndarray]]] = []

    def _read(self) -> None:
        """Takes in what is on disk: the digest goes on from there."""
        raw = self.path.read_bytes()
        self._digest, self._count = hashlib.sha256(raw), raw.count(b'\n')
        self._arrays = {file.name: verify.of_file(file) for file in array_files(self.directory)}

    def rows(self, rows: list[dict[str, Any]]) -> None:
        """Appends rows; a number that is not finite becomes null."""
        for row in rows:
            line = (json.dumps({k: _plain(v) for k, v in row.items()}, allow_nan=False) + '\n').encode()
            self._file.write(line)
            self._digest.update(line)
            self._count += 1

    def contents(self) -> dict[str, Any]:
        """What was written, as verify.py has it."""
        return {
            'rows': self._count,
            'bytes': self.position(),
            'sha256': self._digest.hexdigest(),
            'arrays': dict(self._arrays),
        }

    def dense(self, start: int, values: dict[str, np.ndarray]) -> None:
        """Keeps scalars of the updates from `start` on, (n,) each, for the next flush."""
        self._dense.append((start, values))

    def flush(self) -> None:
        """Makes everything given so far durable."""
        if self._dense:
            start = self._dense[0][0]
            folder = self.directory / 'arrays'
            folder.mkdir(exist_ok=True)
            merged = {k: np.concatenate([v[k] for _, v in self._dense]) for k in self._dense[0][1]}
            file = folder / f'updates-{start:012d}.npz'
            paths.write_npz(file, merged)
            self._arrays[file.name] = verify.of_file(file)
            self._dense = []
        self._file.flush()
        os.fsync(self._file.fileno())

    def position(self) -> int:
        """Bytes of metrics.jsonl written."""
        return self._file.tell()

    def rewind(self, position: int, step: int, digest: str | None = None) -> None:
        """Forgets what came after a checkpoint at update `step`.

        Args:
          position, digest: of the records when it was made; None: it was made by an older version, and has no digest.

        Raises:
          Damaged: the records up to there are not what they were.
        """
        self._check_length(position, f'its checkpoint at update {step} was made after')
        if digest is not None and digest != paths.digest(self._contents_at(position, step)):
            raise Damaged(
                f'{self.path}, or a file of arrays/ beside it, is not what was written before the checkpoint at '
                f'update {step}; {RESTORE}'
            )
        for file in array_files(self.directory):
            if _first_update(file) >= step:
                file.unlink()
        self._cut(position)

    def drop_rows(self, position: int) -> None:
        """Forgets the rows that were added to a finished run after `position`; Damaged if it had more than it has."""
        self._check_length(position, 'which it had were')
        self._cut(position)

    def _check_length(self, position: int, before: str) -> None:
        size = self.path.stat().st_size
        if size < position:
            raise Damaged(f'{self.path} has {size} bytes, {before} {position}: records were removed; {RESTORE}')

    def _cut(self, position: int) -> None:
        self._file.truncate(position)
        self._file.seek(position)
        self._read()

    def _contents_at(self, position: int, step: int) -> dict[str, Any]:
        """What the contents were at a checkpoint, by what is on disk."""
        raw = self.path.read_bytes()[:position]
        files = [file for file in array_files(self.directory) if _first_update(file) < step]
        return {
            'rows': raw.count(b'\n'),
            'bytes': position,
            'sha256': hashlib.sha256(raw).hexdigest(),
            'arrays': {file.name: verify.of_file(file) for file in files},
        }

    def close(self) -> None:
        """Closes the file; what was not flushed may be lost."""
        self._file.close()


def drop_torn_line(path: pathlib.Path) -> None:
    """Removes what a kill left of an unfinished last line, so that nothing is appended to it."""
    if path.exists():
        raw = path.read_bytes()
        if raw and not raw.endswith(b'\n'):
            os.truncate(path, raw.rfind(b'\n') + 1)


def _plain(value: Any) -> Any:
    value = value[()] if isinstance(value, np.ndarray) else value
    if isinstance(value, np.floating):
        # float32 0.1 is written as 0.1, not as 0.10000000149011612.
        value = float(str(value)) if np.isfinite(value) else None
    elif isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def array_files(directory: pathlib.Path) -> list[pathlib.Path]:
    """The files of dense scalars, sorted."""
    return sorted((directory / 'arrays').glob('updates-*.npz'))


def _first_update(file: pathlib.Path) -> int:
    """The first update whose scalars a file of dense scalars holds."""
    return int(file.stem.split('-')[1])
