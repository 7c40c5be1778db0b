"""A run's records on disk: config, meta, metrics (JSONL, append-only) and dense arrays; and one table of all runs."""

import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.core import own_part
from bsresearch.core.flat import flatten
from bsresearch.store import columns, older, paths, standing, verify
from bsresearch.store.paths import RESTORE, Damaged
from bsresearch.store.writer import array_files

# Config columns of the table that are there even if no run differs.
SPLIT_SEEDS = ('init_seed', 'data_seed')
FOLLOWS = dict.fromkeys(SPLIT_SEEDS, 'seed') | {'ghost_batch_size': 'batch_size'}  # unless it is something else
ALWAYS = ('batch_size', 'learning_rate', 'seed')
OWN_METRICS = 'own_metrics'  # of meta.json: what measurements of a user's own give
SCALARS, LISTS = {str, int, float, bool, type(None)}, (list, tuple)
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
    for number, line in enumerate(lines(directory).split(b'\n')[:-1], 1):
        try:
            row = json.loads(line)
        except ValueError as e:
            raise Damaged(f'{directory / verify.ROWS}, line {number} is damaged ({e}); {RESTORE}') from e
        if not isinstance(row, dict):
            raise Damaged(f'{directory / verify.ROWS}, line {number} is damaged (it holds no row); {RESTORE}')
        yield row


def lines(directory: pathlib.Path, contents: Mapping[str, Any] | None = None) -> bytes:
    """A run's metrics.jsonl, checked; without what stands after the sealed lines, or after the last whole one.

    `contents`: of its meta.json, where the caller has read it.
    """
    path, sealed = directory / verify.ROWS, verify.check(directory, contents)
    raw = path.read_bytes()[: sealed['bytes'] if sealed else None] if path.exists() else b''
    return raw[: raw.rfind(b'\n') + 1]


def run_dirs(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Directories of all runs in a workdir, sorted.

    Raises:
      FileNotFoundError: there are none.
    """
    described = described_dirs(workdir, 'config.json')
    if not described:
        raise FileNotFoundError(f'no runs in {workdir}; a workdir is what a launch was given as --workdir')
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


def merged(directory: pathlib.Path) -> list[dict[str, Any]]:
    """One row per recorded step: what was evaluated at θ_t and the scalars of update t stand on lines of their own."""
    by_step: dict[int, dict[str, Any]] = {}
    for row in rows(directory):
        if 'step' not in row:
            raise Damaged(f'{directory / verify.ROWS} is damaged (a row has no step); {RESTORE}')
        by_step.setdefault(row['step'], {}).update(row)
    return [by_step[step] for step in sorted(by_step)]


class Records(NamedTuple):
    """All runs of a workdir, read once.

    Attributes:
      runs: one row per run: run, study, status, the meta's facts and every resolved config field, dotted; lists are
        tuples. declared: of each of them the declared config.
      rows: one row per run and recorded step: run, study, position and metrics; the index is that of `runs`.
    """

    runs: pd.DataFrame
    declared: list[Mapping[str, Any]]
    rows: pd.DataFrame


class _Described(NamedTuple):
    directory: pathlib.Path
    config: dict[str, Any]
    meta: dict[str, Any]


def read(workdir: str | pathlib.Path) -> Records:
    """Raises FileNotFoundError where there are no runs, Damaged where something is not what was written."""
    described = _described(workdir)
    table, rows = _table(described), _rows(described)
    rows = pd.concat([table[['run', 'study']].take(rows.index), rows], axis=1)
    return Records(table, [run.config.get('declared', {}) for run in described], rows)


def runs(workdir: str | pathlib.Path) -> pd.DataFrame:
    """`Records.runs` alone: what was recorded is not read."""
    return _table(_described(workdir))


def _described(workdir: str | pathlib.Path) -> list[_Described]:
    directories = run_dirs(pathlib.Path(workdir))
    return [_Described(d, paths.read_json(d / 'config.json', 'resolved'), status(d)) for d in directories]


def _table(described: Sequence[_Described]) -> pd.DataFrame:
    table = []
    for directory, config, meta in described:
        fields = _fields(config['resolved'])
        row = {'run': directory.name, 'study': fields.pop('study'), 'status': standing.name(directory, meta)}
        table.append(row | {'diverged_step': meta.get('diverged_step')} | fields)
    return pd.DataFrame(table)


def _fields(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """A config's fields, dotted, as values that a table can group by; a user's own files without their folders."""
    fields = flatten(own_part.unplaced(resolved))
    return fields | {field: _hashable(value) for field, value in fields.items() if type(value) not in SCALARS}


def _hashable(value: Any) -> Any:
    if isinstance(value, LISTS):
        return tuple(map(_hashable, value))
    return value if type(value) in SCALARS else str(value)  # the parts of a joined schedule


def _rows(described: Sequence[_Described]) -> pd.DataFrame:
    older_losses = [older.has_smoothing(run.config) for run in described]
    files = [
        b'' if older_loss else lines(run.directory, run.meta.get(verify.KEY))
        for run, older_loss in zip(described, older_losses, strict=True)
    ]
    try:
        frames, left = [columns.parse(files)], [i for i, older_loss in enumerate(older_losses) if older_loss]
    except ValueError:  # row by row damage is told with its line, and what is no number can be read
        frames, left = [], range(len(described))
    frames += [pd.DataFrame(merged(described[i].directory)).assign(run=i) for i in left]
    return columns.merge(frames, POSITION)


def own_metrics(metas: Iterable[Mapping[str, Any]]) -> list[str]:
    """The metrics that measurements of a user's own gave any of the runs with these metas."""
    return list(dict.fromkeys(name for meta in metas for name in meta.get(OWN_METRICS, ())))


def varying(table: pd.DataFrame) -> list[str]:
    """Config columns of `runs` that differ between runs, and those always shown."""
    facts = {'run', 'study', 'status', 'diverged_step'}
    outside = ('recording.', 'execution.', 'parent')
    # Of a branch its point and what became of the state; who its parent was follows from these and the seed.
    shown = ('parent.epoch', 'parent.state.')

    def differs(column: str) -> bool:
        hidden = column.startswith(outside) and not column.startswith(shown)
        if column in facts or hidden or table[column].nunique(dropna=False) == 1:
            return False
        if column.startswith('parent.state.') and set(table[column].dropna()) <= {'keep'}:
            return False  # the rule; only what was not kept is worth a word
        # A seed that is `seed`, or a batch-norm group that is the batch, says nothing new.
        of_which = FOLLOWS.get(column)
        return of_which not in table or not (table[column].isna() | (table[column] == table[of_which])).all()

    return [c for c in table.columns if c in ALWAYS or differs(c)]


def load(workdir: str | pathlib.Path) -> pd.DataFrame:
    """One row per run and recorded event: run, study, status, config fields that vary, position, metrics.

    Config columns carry their config names (`batch_size`, `data.name`, …); per-update values used at step t are
    `batch_loss`, `learning_rate_used`, `momentum_used`, `weight_decay_used`, `batch_size_used` (the examples that the
    batch held).  `<split>_loss` is the plain loss, `<split>_objective` with label smoothing, `batch_loss` the training
    objective.  `seconds` is training time alone (updates × calibrated seconds per update); `wall_seconds` is the
    group's.
    """
    described = _described(workdir)
    table, rows = _table(described), _rows(described)
    fields = table[['run', 'study', 'status', *varying(table)]].take(rows.index)
    return pd.concat([fields, rows], axis=1).reset_index(drop=True)


def dense(directory: pathlib.Path) -> Mapping[str, np.ndarray]:
    """Every update's scalars of a run recorded with `record.dense`, (T,) each; empty without."""
    sealed = verify.check(directory)
    files = [f for f in array_files(directory) if sealed is None or f.name in sealed['arrays']]
    parts = [paths.read_npz(f) for f in files]
    return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]} if parts else {}


def last_row(directory: pathlib.Path) -> dict[str, Any]:
    """The value of every metric at the latest step that has it."""
    newest: dict[str, Any] = {}
    for row in merged(directory):
        newest |= row
    return newest


def flatten_varying(resolved: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each run's config fields that differ between the runs, and those always shown."""
    flat = [_fields(r) for r in resolved]
    fields = varying(pd.DataFrame(flat)) if flat else []
    return [{k: f.get(k) for k in fields} for f in flat]
