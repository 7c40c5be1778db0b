"""A study's records as two Parquet files, small enough to be kept beside its findings, from which reports are made.

A folder of kept records holds
  records.parquet  one row per recorded line: run, line, what its columns were (`keys`), position and metrics,
  files.parquet    every other file of the runs and probes as it was, and study.json: path, content.
Numbers that were recorded in the digits of float32 are a column of float32, a difference of two others (GAPS) is made
anew from them; `keys` tell which columns a line had. Older folders have neither, and study.json beside.
Groups and checkpoints stay behind: a kept study can be read and drawn anew, not trained on. `unpack` makes the very
files again, byte for byte; that they are is checked when they are kept. Only the directory of a run of another workdir
is kept as seen from this one: it would tell of the machine.
"""

import functools
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.store import paths, records, verify
from bsresearch.store.paths import RESTORE, Damaged

ROWS, FILES, STUDY = 'records.parquet', 'files.parquet', 'study.json'
GAPS = {
    'generalization_gap': ('train_accuracy', 'test_accuracy'),
    'generalization_gap_loss': ('test_loss', 'train_loss'),
}
PAGE = 1 << 26  # bytes: all files on one page, since they are alike
NAMES = ('config.json', 'meta.json', 'lineage.json', 'init_from.json', 'probe.json')


def is_kept(folder: pathlib.Path) -> bool:
    """Whether a folder holds kept records."""
    return (folder / ROWS).is_file() and (folder / FILES).is_file()


def keep(workdir: pathlib.Path, study: str, out: pathlib.Path) -> list[pathlib.Path]:
    """Writes the records of a study's runs and probes; returns the files.

    Raises:
      FileNotFoundError: no such study. FileExistsError: `out` has kept records. ValueError: a run whose records cannot
        be written so that they come back byte for byte. Damaged: what is kept is not what was written.
    """
    folder = workdir / study
    runs = [d for d in records.run_dirs(workdir) if d.parent == folder]
    if not runs:
        raise FileNotFoundError(f'no runs of study {study!r} in {workdir}')
    if is_kept(out):
        raise FileExistsError(f'{out} has kept records already; remove {ROWS} and {FILES} there, or name another')
    probes = [d for d in records.described_dirs(workdir, 'probe.json') if d.parent == folder]
    narrow = _narrow(pd.concat([_lines(d) for d in runs], ignore_index=True))
    lines = _widened(narrow)
    for directory in runs:
        if b''.join(_restored(lines[lines['run'] == directory.name])) != records.lines(directory):
            raise ValueError(f'{directory / verify.ROWS} does not come back as it was; its records cannot be kept')
    files = [(f.relative_to(workdir).as_posix(), _content(f, workdir)) for d in (*runs, *probes) for f in _files(d)]
    files += [(name, (workdir / name).read_bytes()) for name in (f'{study}/{STUDY}', 'schema.json', 'estimates.jsonl')
              if (workdir / name).exists()]  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    shared = {'index': False, 'compression': 'zstd', 'compression_level': 19}
    _write(narrow, out / ROWS, shared)
    table = pd.DataFrame(files, columns=['path', 'content'])
    table.to_parquet(out / FILES, use_dictionary=False, data_page_size=PAGE, **shared)
    return [out / ROWS, out / FILES]


def _write(lines: pd.DataFrame, file: pathlib.Path, shared: Mapping[str, Any]) -> None:
    """Bytes of a column's numbers apart where these are mostly distinct: the first ones are alike."""
    numbers = lines.select_dtypes('floating')
    apart = [c for c in numbers if numbers[c].nunique() > 0.5 * numbers[c].count()]
    plain = [c for c in lines if c not in apart]
    lines.to_parquet(file, use_dictionary=plain, use_byte_stream_split=apart, **shared)


def _narrow(lines: pd.DataFrame) -> pd.DataFrame:
    """Without what `_widened` makes of it to the bit."""
    gone = [gap for gap, (a, b) in GAPS.items() if {gap, a, b} <= {*lines} and _same(lines[a] - lines[b], lines[gap])]
    lines = lines.drop(columns=gone)
    for column in lines.select_dtypes('float64'):
        with np.errstate(over='ignore'):
            narrow = lines[column].astype('float32')
        if _same(_decimal(narrow), lines[column]):
            lines[column] = narrow
    return lines


def _same(a: pd.Series, b: pd.Series) -> bool:
    """To the bit: −0 is another number than 0."""
    return a.equals(b.rename(a.name)) and bool((np.signbit(a) == np.signbit(b))[a.notna()].all())


def _decimal(numbers: pd.Series) -> pd.Series:
    """The shortest decimal of each float32, which is what its JSON was."""
    return pd.Series(numbers.to_numpy().astype(str).astype(float), numbers.index, name=numbers.name)


def _widened(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines as they were recorded."""
    narrow = {column: _decimal(lines[column]) for column in lines.select_dtypes('float32')}
    lines = lines.assign(**narrow)
    gaps = {gap: pair for gap, pair in GAPS.items() if gap not in lines and {*pair} <= {*lines}}
    return lines.assign(**{gap: lines[a] - lines[b] for gap, (a, b) in gaps.items()})


def _content(file: pathlib.Path, workdir: pathlib.Path) -> bytes:
    """What a file holds; the directories of runs elsewhere as seen from the workdir, sealed anew."""
    raw = file.read_bytes()
    if b'"directory": ' not in raw:
        return raw
    here = workdir.resolve()

    def near(fields: dict[str, Any]) -> dict[str, Any]:
        place = fields.get('directory', '')
        return fields | {'directory': os.path.relpath(place, here)} if os.path.isabs(place) else fields

    written = paths.read_json(file) or {}
    content = json.loads(json.dumps(written), object_hook=near)
    return raw if content == written else paths.sealed(content).encode()


def _files(directory: pathlib.Path) -> Iterator[pathlib.Path]:
    yield from (directory / name for name in NAMES if (directory / name).exists())
    yield from sorted((directory / 'arrays').glob('*.npz'))


def _lines(directory: pathlib.Path) -> pd.DataFrame:
    """A run's lines as a table; a number that no metric has is NaN, and `keys` tell which a line had."""
    rows = [json.loads(line) for line in records.lines(directory).splitlines()]
    table = pd.DataFrame([{k: v for k, v in row.items() if v is not None} for row in rows])
    # Which numbers were whole: JSON tells 1 from 1.0.
    keys = [json.dumps([[k, type(v).__name__] for k, v in row.items()]) for row in rows]
    return pd.concat([pd.DataFrame({'run': directory.name, 'line': range(len(rows)), 'keys': keys}), table], axis=1)


def _restored(lines: pd.DataFrame) -> Iterator[bytes]:
    """The lines of one run, as the writer wrote them."""
    for row in lines.sort_values('line').to_dict('records'):
        values = {key: _value(row.get(key), kind) for key, kind in _kinds(row['keys'])}
        yield (json.dumps(values, allow_nan=False) + '\n').encode()


_kinds = functools.cache(json.loads)  # a run's lines have few sets of columns


def _value(value: Any, kind: str) -> Any:
    if kind == 'NoneType':
        return None
    if kind in ('list', 'dict'):
        return value.tolist() if isinstance(value, np.ndarray) else value
    return {'int': int, 'float': float, 'bool': bool, 'str': str}[kind](value)


def unpack(folder: pathlib.Path, workdir: pathlib.Path) -> None:
    """Makes the files of kept records in a workdir, to be read.

    Raises:
      Damaged: a file of the folder cannot be read, or what comes back is not what was kept.
    """
    tables = []
    for name in (ROWS, FILES):
        try:
            tables.append(pd.read_parquet(folder / name))
        except (OSError, ValueError) as e:
            raise Damaged(f'{folder / name} cannot be read ({" ".join(str(e).split())}); {RESTORE}') from e
    lines, files = _widened(tables[0]), tables[1]
    for name, content in zip(files['path'], files['content'], strict=True):
        file = paths.within(workdir, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    by_run = dict(list(lines.groupby('run', sort=False)))
    for config in sorted(workdir.glob('*/*/config.json')):
        of_run = by_run.pop(config.parent.name, lines.iloc[:0])
        (config.parent / verify.ROWS).write_bytes(b''.join(_restored(of_run)))
        verify.check(config.parent)
    if by_run:
        raise Damaged(f'{folder}: run {next(iter(by_run))} has records and no config; {RESTORE}')


_held: list[tempfile.TemporaryDirectory] = []


def readable(folder: pathlib.Path) -> pathlib.Path:
    """A workdir to read from: the folder itself, or of kept records what they unpack to, until the process ends."""
    if not is_kept(folder):
        return folder
    held = tempfile.TemporaryDirectory(prefix='bsresearch-kept-')
    _held.append(held)
    workdir = pathlib.Path(held.name) / folder.resolve().name
    workdir.mkdir()
    unpack(folder, workdir)
    return workdir
