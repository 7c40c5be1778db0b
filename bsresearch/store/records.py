"""A run's records on disk: config, meta, metrics (JSONL, append-only) and dense arrays; and one table of all runs."""

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.core.flat import flatten
from bsresearch.store import older, paths, verify
from bsresearch.store.paths import RESTORE, Damaged
from bsresearch.store.writer import array_files, drop_torn_line

# Config columns of the table that are there even if no run differs.
SPLIT_SEEDS = ('init_seed', 'data_seed')
ALWAYS = ('batch_size', 'learning_rate', 'seed')
ESTIMATES = 'estimates.jsonl'
NUMERIC = ('integer', 'floating', 'mixed-integer-float', 'empty')
POSITION = ('step', 'examples', 'epoch', 'seconds', 'wall_seconds')


def rows(directory: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The rows of a run, under today's names (store/older.py); a last line torn by a kill is left out.

    Raises:
      Damaged: of a sealed run any record is not what was written; of another one a line cannot be read.
    """
    objectives = older.smoothed(directory)
    for row in _stored(directory):
        yield older.renamed(row, objectives)


def holds_older_losses(directory: pathlib.Path) -> bool:
    """Whether a run with label smoothing has rows whose losses an older version wrote (store/older.py)."""
    return older.smoothed(directory) and any(map(older.misnamed, _stored(directory)))


def _stored(directory: pathlib.Path) -> Iterator[dict[str, Any]]:
    path, sealed = directory / verify.ROWS, verify.check(directory)
    if not path.exists():
        return
    raw = path.read_bytes()
    lines = raw[: sealed['bytes'] if sealed else len(raw)].split(b'\n')
    for number, line in enumerate(lines[:-1], 1):
        try:
            row = json.loads(line)
        except ValueError as e:
            raise Damaged(f'{path}, line {number} is damaged ({e}); {RESTORE}') from e
        if not isinstance(row, dict):
            raise Damaged(f'{path}, line {number} is damaged (it holds no row); {RESTORE}')
        yield row


def run_dirs(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Directories of all runs in a workdir, sorted.

    Raises:
      FileNotFoundError: there are none.
    """
    described = described_dirs(workdir, 'config.json')
    if not described:
        raise FileNotFoundError(f'no runs in {workdir}; a workdir is what main.py was given as --workdir')
    return described


def described_dirs(workdir: pathlib.Path, name: str) -> list[pathlib.Path]:
    """Directories of all runs (`name` 'config.json') or probes ('probe.json') in a workdir, sorted.

    Raises:
      Damaged: of one with records or a meta, which come later, the description is lost.
    """
    root = pathlib.Path(workdir)
    for file in sorted(root.glob(f'*/*/{verify.ROWS}')):
        if verify.has_rows(file.parent) and not (file.parent / 'config.json').exists():
            raise Damaged(f'{file.parent}/config.json is missing, though the run has records; {RESTORE}')
    for file in sorted(root.glob('*/*/meta.json')):
        if not any((file.parent / known).exists() for known in ('config.json', 'probe.json')):
            lost = 'probe.json' if 'identity' in paths.read_json(file) else 'config.json'
            raise Damaged(f'{file.parent}/{lost} is missing, though there is a meta.json beside it; {RESTORE}')
    return sorted(p.parent for p in root.glob(f'*/*/{name}'))


def status(directory: pathlib.Path) -> dict[str, Any]:
    """A run's meta; empty if it was never started.

    Raises:
      Damaged: there is none, though the run has records.
    """
    meta = paths.read_json(directory / 'meta.json')
    if not meta and verify.has_rows(directory):
        raise Damaged(f'{directory}/meta.json is missing or empty, though the run has records; {RESTORE}')
    return meta or {}


def probe_status(directory: pathlib.Path) -> dict[str, Any]:
    """A probe's meta; empty if it was not begun.

    Raises:
      Damaged: there is none, though something was measured, or that is not what it was.
    """
    meta = paths.read_json(directory / 'meta.json')
    if not meta and any((directory / 'arrays').glob('*.npz')):
        raise Damaged(f'{directory}/meta.json is missing or empty, though the probe has arrays; {RESTORE}')
    if meta:
        verify.check(directory, meta.get(verify.KEY))
    return meta or {}


def probes(workdir: str | pathlib.Path, name: str) -> list[dict[str, Any]]:
    """The finished probes of one name: their probe.json, `meta`, and `arrays`, what they found.

    Raises:
      FileNotFoundError: there are none.
    """
    found = []
    for directory in described_dirs(pathlib.Path(workdir), 'probe.json'):
        stated, meta = paths.read_json(directory / 'probe.json', 'probe', 'points'), probe_status(directory)
        if stated['probe'].get('name') == name and meta.get('status') == 'done':
            runs = [paths.run_dir(pathlib.Path(workdir), p['study'], p['run']) for p in stated['points']]
            stored = paths.read_npz(paths.within(directory, meta.get('arrays')))
            arrays = older.renamed(stored, any(map(older.smoothed, runs)))
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
        if 'step' not in row:
            raise Damaged(f'{directory / verify.ROWS} is damaged (a row has no step); {RESTORE}')
        by_step.setdefault(row['step'], {}).update(row)
    return [by_step[step] for step in sorted(by_step)]


def runs(workdir: str | pathlib.Path) -> pd.DataFrame:
    """One row per run: run, study, status, the meta's facts and every resolved config field, dotted."""
    table = []
    for directory in run_dirs(pathlib.Path(workdir)):
        config = paths.read_json(directory / 'config.json', 'resolved')
        meta = status(directory)
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
    `batch_loss`, `learning_rate_used`, `momentum_used`, `weight_decay_used`, `batch_size_used` (the examples that the
    batch held).  `<split>_loss` is the plain loss, `<split>_objective` with label smoothing, `batch_loss` the training
    objective.  `seconds` is training time alone (updates × calibrated seconds per update); `wall_seconds` is the
    group's.
    """
    table = runs(workdir)
    shown = ['run', 'study', 'status', *varying(table)]
    frames = []
    for _, run in table.iterrows():
        frame = pd.DataFrame(_merged(paths.run_dir(pathlib.Path(workdir), run['study'], run['run'])))
        for place, column in enumerate(shown):
            frame.insert(place, column, run[column])
        frames.append(frame)
    frames = [f for f in frames if len(f)]
    if not frames:
        return pd.DataFrame(columns=[*shown, *POSITION])
    everything = pd.concat(frames, ignore_index=True)
    metrics = sorted(set(everything.columns) - {*shown, *POSITION})
    for column in metrics:
        # Nulls alone in one run would make it a column of objects, which nothing can be computed with.
        if pd.api.types.infer_dtype(everything[column], skipna=True) in NUMERIC:
            everything[column] = everything[column].astype(float)
    return everything[[*shown, *(p for p in POSITION if p in everything), *metrics]]


def lineage(directory: pathlib.Path) -> dict[str, Any] | None:
    """A branch's lineage.json, or without `changes` what its config says of a parent it has not begun from.

    None for a run that is no branch.

    Raises:
      Damaged: it is missing, though the branch has records.
    """
    begun = paths.read_json(directory / 'lineage.json', 'run', 'step', 'epoch', 'state', 'changes')
    parent = (paths.read_json(directory / 'config.json') or {}).get('resolved', {}).get('parent')
    if begun is None and parent is not None and verify.has_rows(directory):
        raise Damaged(f'{directory}/lineage.json is missing, though the branch has records; {RESTORE}')
    # Its own `changes` are of the parent's batch size.
    return begun or (parent and {k: v for k, v in parent.items() if k != 'changes'})


def note_estimate(workdir: pathlib.Path, study: str, estimated: float, spent: float, ended: bool) -> None:
    """Writes down how long a launch was estimated to take, and took; in seconds. `ended`: it came to its end."""
    row = {'study': study, 'estimated_seconds': estimated, 'spent_seconds': spent, 'ended': ended}
    drop_torn_line(workdir / ESTIMATES)
    with open(workdir / ESTIMATES, 'a') as f:
        f.write(json.dumps(row) + '\n')


def estimates(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """What `note_estimate` wrote, launch by launch; a last line torn by a kill is left out.

    Raises:
      Damaged: a line is not what was written.
    """
    file, found = workdir / ESTIMATES, []
    for number, line in enumerate(file.read_bytes().split(b'\n')[:-1] if file.exists() else [], 1):
        try:
            row = json.loads(line)
            seconds = {name: float(row[name]) for name in ('estimated_seconds', 'spent_seconds')}
            found.append({'study': str(row['study']), 'ended': bool(row['ended'])} | seconds)
        except (KeyError, TypeError, ValueError) as e:
            raise Damaged(f'{file}, line {number} is damaged ({type(e).__name__}: {e}); remove that line') from e
    return found


def dense(directory: pathlib.Path) -> Mapping[str, np.ndarray]:
    """Every update's scalars of a run recorded with `record.dense`, (T,) each; empty without."""
    sealed = verify.check(directory)
    files = [f for f in array_files(directory) if sealed is None or f.name in sealed['arrays']]
    parts = [paths.read_npz(f) for f in files]
    return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]} if parts else {}


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
