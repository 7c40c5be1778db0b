"""A run's records on disk: config, meta, metrics (JSONL, append-only) and dense arrays; and one table of all runs."""

import json
import math
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.flat import flatten
from bsresearch.store import paths

# Config columns of the table that are there even if no run differs.
SPLIT_SEEDS = ('init_seed', 'data_seed')
ALWAYS = ('batch_size', 'learning_rate', 'seed')
ESTIMATES = 'estimates.jsonl'
POSITION = ('step', 'examples', 'epoch', 'seconds', 'wall_seconds')


class Writer:
    """Appends rows to a run's metrics.jsonl and dense scalars to its arrays/.

    Rows reach the disk at `flush`. A checkpoint notes `position()`; `rewind` returns there on resume. The directory is
    made with the group, not here: one that was moved away must not come to be a second time.
    """

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.path = directory / 'metrics.jsonl'
        _drop_torn_line(self.path)
        self._file = open(self.path, 'ab')  # noqa: SIM115 (closed by close)
        self._dense: list[tuple[int, dict[str, np.ndarray]]] = []

    def rows(self, rows: list[dict[str, Any]]) -> None:
        """Appends rows; a number that is not finite becomes null."""
        for row in rows:
            self._file.write((json.dumps({k: _plain(v) for k, v in row.items()}, allow_nan=False) + '\n').encode())

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
            paths.write_npz(folder / f'updates-{start:012d}.npz', merged)
            self._dense = []
        self._file.flush()
        os.fsync(self._file.fileno())

    def position(self) -> int:
        """Bytes of metrics.jsonl written."""
        return self._file.tell()

    def rewind(self, position: int, step: int | None = None) -> None:
        """Forgets what came after a checkpoint at update `step` whose records ended at `position`.

        Without `step` only rows: those that were added to a finished run.
        """
        size = self.path.stat().st_size
        if size < position:
            made = f'its checkpoint at update {step} was made after' if step is not None else 'which it had were'
            raise ValueError(
                f'{self.path} has {size} bytes, {made} {position}: '
                'records were removed; restore the file or start the run in another workdir'
            )
        self._file.truncate(position)
        self._file.seek(position)
        if step is None:
            return
        for file in (self.directory / 'arrays').glob('updates-*.npz'):
            if int(file.stem.split('-')[1]) >= step:
                file.unlink()

    def close(self) -> None:
        """Closes the file; what was not flushed may be lost."""
        self._file.close()


def _drop_torn_line(path: pathlib.Path) -> None:
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


def rows(directory: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The rows of a run; a last line torn by a kill is left out."""
    path = directory / 'metrics.jsonl'
    if not path.exists():
        return
    lines = path.read_bytes().split(b'\n')
    for number, line in enumerate(lines[:-1], 1):
        try:
            yield json.loads(line)
        except ValueError as e:
            raise ValueError(f'{path}, line {number} is damaged: {e}') from e


def run_dirs(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Directories of all runs in a workdir, sorted.

    Raises:
      FileNotFoundError: there are none.
    """
    found = sorted(p.parent for p in pathlib.Path(workdir).glob('*/*/config.json'))
    if not found:
        raise FileNotFoundError(f'no runs in {workdir}; a workdir is what main.py was given as --workdir')
    return found


def probes(workdir: str | pathlib.Path, name: str) -> list[dict[str, Any]]:
    """The finished probes of one name: their probe.json, `meta`, and `arrays`, what they found.

    Raises:
      FileNotFoundError: there are none.
    """
    found = []
    for file in sorted(pathlib.Path(workdir).glob('*/*/probe.json')):
        stated, meta = paths.read_json(file), paths.read_json(file.with_name('meta.json')) or {}
        if stated['probe']['name'] == name and meta.get('status') == 'done':
            arrays = dict(np.load(file.parent / meta['arrays']))
            found.append(stated | {'meta': meta, 'arrays': arrays})
    if not found:
        raise FileNotFoundError(
            f'no finished {name} probes in {workdir}; main.py with config.probe.name={name} makes them'
        )
    return found


def _merged(directory: pathlib.Path) -> list[dict[str, Any]]:
    """One row per recorded step: what was evaluated at θ_t and the scalars of update t stand on lines of their own."""
    by_step: dict[int, dict[str, Any]] = {}
    for row in rows(directory):
        by_step.setdefault(row['step'], {}).update(row)
    return [by_step[step] for step in sorted(by_step)]


def runs(workdir: str | pathlib.Path) -> pd.DataFrame:
    """One row per run: run, study, status, the meta's facts and every resolved config field, dotted."""
    table = []
    for directory in run_dirs(pathlib.Path(workdir)):
        config = paths.read_json(directory / 'config.json')
        meta = paths.read_json(directory / 'meta.json') or {}
        fields = {k: _cell(v) for k, v in flatten(config['resolved']).items()}
        row = {'run': directory.name, 'study': fields.pop('study'), 'status': meta.get('status', 'not started')}
        table.append(row | {'diverged_step': meta.get('diverged_step')} | fields)
    return pd.DataFrame(table)


def _cell(value: Any) -> Any:
    """A config value that a table can group by."""
    return str(tuple(value)) if isinstance(value, list | tuple) else value


def varying(table: pd.DataFrame) -> list[str]:
    """Config columns of `runs` that differ between runs, and those always shown."""
    facts = {'run', 'study', 'status', 'diverged_step'}
    outside = ('recording.', 'execution.', 'parent')
    # Of a branch its point and what became of the state; who its parent was follows from these and the seed.
    told = ('parent.epoch', 'parent.state.')

    def differs(column: str) -> bool:
        hidden = column.startswith(outside) and not column.startswith(told)
        if column in facts or hidden or table[column].nunique(dropna=False) == 1:
            return False
        if column.startswith('parent.state.') and set(table[column].dropna()) <= {'keep'}:
            return False  # the rule; only what was not kept is worth a word
        # A seed that only follows `seed` says nothing new.
        return not (column in SPLIT_SEEDS and (table[column] == table['seed']).all())

    return [c for c in table.columns if c in ALWAYS or differs(c)]


def load(workdir: str | pathlib.Path) -> pd.DataFrame:
    """One row per run and recorded event: run, study, status, config fields that vary, position, metrics.

    Config columns carry their config names (`batch_size`, `data.name`, …); per-update values used at step t are
    `batch_loss`, `learning_rate_used`, `momentum_used`, `weight_decay_used`.  `seconds` is training time alone
    (updates × calibrated seconds per update); `wall_seconds` is the group's.
    """
    table = runs(workdir)
    shown = ['run', 'study', 'status', *varying(table)]
    frames = []
    for directory, (_, run) in zip(run_dirs(pathlib.Path(workdir)), table.iterrows(), strict=True):
        frame = pd.DataFrame(_merged(directory))
        for place, column in enumerate(shown):
            frame.insert(place, column, run[column])
        frames.append(frame)
    frames = [f for f in frames if len(f)]
    if not frames:
        return pd.DataFrame(columns=[*shown, *POSITION])
    everything = pd.concat(frames, ignore_index=True)
    metrics = sorted(set(everything.columns) - {*shown, *POSITION})
    return everything[[*shown, *(p for p in POSITION if p in everything), *metrics]]


def lineage(directory: pathlib.Path) -> dict[str, Any] | None:
    """A branch's lineage.json, or without `changes` what its config says of a parent it has not begun from.

    None for a run that is no branch.
    """
    found = paths.read_json(directory / 'lineage.json')
    return found or (paths.read_json(directory / 'config.json') or {}).get('resolved', {}).get('parent')


def note_estimate(workdir: pathlib.Path, study: str, estimated: float, spent: float, ended: bool) -> None:
    """Writes down how long a launch was estimated to take, and took; in seconds. `ended`: it came to its end."""
    row = {'study': study, 'estimated_seconds': estimated, 'spent_seconds': spent, 'ended': ended}
    with open(workdir / ESTIMATES, 'a') as f:
        f.write(json.dumps(row) + '\n')


def estimates(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """What `note_estimate` wrote, launch by launch."""
    file = workdir / ESTIMATES
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def dense(directory: pathlib.Path) -> Mapping[str, np.ndarray]:
    """Every update's scalars of a run recorded with `record.dense`, (T,) each; empty without."""
    files = sorted((pathlib.Path(directory) / 'arrays').glob('updates-*.npz'))
    parts = [np.load(f) for f in files]
    return {k: np.concatenate([p[k] for p in parts]) for k in parts[0].files} if parts else {}


def last_row(directory: pathlib.Path) -> dict[str, Any]:
    """The value of every metric at the latest step that has it."""
    newest: dict[str, Any] = {}
    for row in _merged(directory):
        newest |= row
    return newest


def flatten_varying(resolved: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each run's config fields that differ between the runs, and those always shown."""
    flat = [{k: _cell(v) for k, v in flatten(r).items()} for r in resolved]
    shown = varying(pd.DataFrame(flat)) if flat else []
    return [{k: f.get(k) for k in shown} for f in flat]
