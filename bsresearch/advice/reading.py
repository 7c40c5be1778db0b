"""Anyone's table of runs, CSV or Parquet, by the names of its columns → Runs. What is wrong is told in one line."""

import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.advice import table
from bsresearch.advice.columns import Columns, check_rates, check_repeated, check_unit, first_row, is_whole
from bsresearch.advice.table import EPOCHS, EXAMPLES, STEPS, Refusal, Runs
from bsresearch.core import lookup

FALLING = re.compile(r'loss|error|perplexity|ppl|nll|bits|mse|mae|rmse|wer|cost', re.IGNORECASE)
RISING = re.compile(r'acc|auc|f1|bleu|map|iou|r2|reward|precision|recall', re.IGNORECASE)
MISSING = ('nan', 'inf', '-inf', 'none', 'null', 'na', '')
WORDS = {'true': True, 'yes': True, '1': True, '1.0': True, 'false': False, 'no': False, '0': False, '0.0': False}
# What --seconds and --joules may be of.
PER = ('run', 'epoch', 'step', 'example')


def read(file: pathlib.Path, where: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of a file that fulfil the conditions `column=value` or `column=value,value`.

    Raises:
      FileNotFoundError: no such file. ValueError: it cannot be read; a condition that is none, or that no row fulfils.
    """
    if not file.is_file():
        there = 'a directory; a CSV or Parquet file is needed' if file.is_dir() else 'no such file'
        raise FileNotFoundError(f'--table={file}: {there}')
    try:
        rows = pd.read_parquet(file) if file.suffix in ('.parquet', '.pq') else pd.read_csv(file, skipinitialspace=True)
    except (OSError, ValueError, ArithmeticError) as error:
        raise ValueError(f'--table={file} cannot be read as CSV or Parquet: {" ".join(str(error).split())}') from error
    if any(rows.index.names):
        rows = rows.reset_index()
    rows.index = pd.RangeIndex(len(rows))
    rows.columns = [str(column).strip() for column in rows.columns]
    names = list(rows.columns)
    if len(set(names)) < len(names):
        raise ValueError(
            f'--table={file} has two columns of one name: {next(n for n in names if names.count(n) > 1)!r}'
        )
    for condition in where:
        rows = rows[fulfilled(rows, condition)]
    if not len(rows):
        raise ValueError(f'--table={file} has no rows')
    return rows


def fulfilled(rows: pd.DataFrame, condition: str) -> pd.Series:
    """(n,) whether a row fulfils `column=value` or `column=value,value`."""
    name, equals, values = condition.partition('=')
    if not equals:
        raise ValueError(f'--where={condition}: a condition is column=value or column=value,value')
    column = rows[_there(rows, 'where', name)]
    kept = column.map(_plain).isin({_plain(value.strip()) for value in values.split(',')})
    if not kept.any():
        known = sorted(column.dropna().unique().tolist(), key=lambda value: (str(type(value)), value))
        listed = ', '.join(map(str, known[:8])) + (', …' if len(known) > 8 else '')
        raise ValueError(f'--where={condition}: no row has it (with the conditions before it); {name} is {listed}')
    return kept


def _plain(value: Any) -> Any:
    """A value that equals what a person writes for it: 1e-1 and 0.1, 256 and 256.0, true and True."""
    if str(value).lower() in ('true', 'false'):
        return str(value).lower()
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def runs(rows: pd.DataFrame, columns: Columns, *, per: str = 'run', falling: bool | None = None) -> Runs:
    """What the columns say; in messages rows are counted from 1, as they lie in the file.

    Args:
      per: what seconds and joules are of, in PER. falling: whether the metric of --loss is best when lowest; None: as
        its name says.

    Raises:
      ValueError: a column that is not there, a value that cannot be. Refusal: what the advice cannot be made from.
    """
    for flag, name in columns._asdict().items():
        if name:
            _there(rows, flag, name)
    unit, name = columns.length
    size = _numbers(rows, 'batch_size', columns.batch_size, whole=True, needed=True)
    rate = _numbers(rows, 'learning_rate', columns.learning_rate, needed=True) if columns.learning_rate else None
    check_rates(rows, columns, size)
    check_repeated(rows, columns)
    length = _numbers(rows, unit, name)
    check_unit(rows, unit, name, length, size)
    reached = _reached(rows, columns.reached, length) if unit else np.zeros(len(rows), bool)
    step = 1.0 if unit == EPOCHS and is_whole(length) else table.granularity(length)
    counted = size if unit == STEPS else np.ones(len(rows))
    length, unit = length * counted, EPOCHS if unit == EPOCHS else EXAMPLES
    share = _share(per, unit, length, size)
    seconds = _numbers(rows, 'seconds', columns.seconds) * share
    joules = _numbers(rows, 'joules', columns.joules) * share
    watts = _numbers(rows, 'watts', columns.watts)
    lower = not columns.loss or _falling(columns.loss, falling)
    loss = _losses(rows, columns.loss, lower)
    held, notes = _others(rows, columns)
    if columns.loss and (unknown := int(np.isnan(loss).sum())):
        notes += (f'{unknown} of {len(loss)} runs have no {columns.loss}: left out (inf marks one that diverged)',)
    return Runs(
        size, rate, length, reached, step * counted, unit, columns.length[0], seconds,
        np.where(np.isnan(joules), watts * seconds, joules), loss, columns.loss, lower, held, notes,
    )  # fmt: skip


def _there(rows: pd.DataFrame, flag: str, name: str) -> str:
    if name not in rows:
        raise ValueError(f'--{flag}={name}: the table has no such column; {lookup.nearest(name, rows.columns)}')
    return name


def _numbers(rows: pd.DataFrame, flag: str, name: str, *, whole: bool = False, needed: bool = False) -> np.ndarray:
    """(n,) numbers of a column, all above 0 but losses; NaN for empty ones, for ∞ but of losses, without a column."""
    if not name:
        return np.full(len(rows), np.nan)
    column = rows[name]
    values = pd.to_numeric(column, errors='coerce').to_numpy(np.float64)
    empty = column.isna() | column.astype(str).str.strip().str.lower().isin(MISSING)
    words = np.isnan(values) & ~empty.to_numpy(bool)
    if words.any():
        raise ValueError(
            f'--{flag}={name}: {first_row(rows, words)} has {str(column[words].iloc[0])!r}; a number is needed'
        )
    if flag == 'loss':
        return values
    bad = values <= 0
    values = np.where(np.isposinf(values), np.nan, values)
    if whole:
        bad |= np.isfinite(values) & (values != np.round(values))
    if bad.any():
        kind = 'a whole number of at least 1' if whole else 'a number above 0'
        raise ValueError(f'--{flag}={name}: {first_row(rows, bad)} has {values[bad][0]:g}; {kind} is needed')
    if needed and np.isnan(values).any():
        raise ValueError(f'--{flag}={name}: {first_row(rows, np.isnan(values))} is empty')
    return values


def _losses(rows: pd.DataFrame, name: str, lower: bool) -> np.ndarray:
    """(n,) what is best when lowest; ∞ of a run that diverged."""
    values = _numbers(rows, 'loss', name)
    losses = values if lower else -values
    if (best := np.isneginf(losses)).any():
        raise ValueError(
            f'--loss={name}: {first_row(rows, best)} has {values[best][0]:g}, which is better than any; a number is '
            f'needed, or {-values[best][0]:g} of a run that diverged'
        )
    return losses


def _reached(rows: pd.DataFrame, name: str, length: np.ndarray) -> np.ndarray:
    if not name:
        return np.isfinite(length)
    words = rows[name].astype(str).str.strip().str.lower()
    if (unknown := ~words.isin(list(WORDS)).to_numpy()).any():
        raise ValueError(
            f'--reached={name}: {first_row(rows, unknown)} has {words[unknown].iloc[0]!r}; true or false is needed'
        )
    reached = words.map(WORDS).to_numpy(bool)
    if (nowhere := reached & np.isnan(length)).any():
        raise ValueError(f'--reached={name}: {first_row(rows, nowhere)} reached its target, but its length is empty')
    return reached


def _share(per: str, unit: str, length: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(n,) what turns seconds or joules into those per unit of length."""
    shares = {'run': 1 / length}
    shares |= {'epoch': np.ones(len(size))} if unit == EPOCHS else {'step': 1 / size, 'example': np.ones(len(size))}
    if per not in shares:
        known = lookup.nearest(per, PER) if per not in PER else f'the length is in {unit}: {" or ".join(shares)}'
        raise ValueError(f'--seconds_per={per}: {known}')
    return shares[per]


def _falling(name: str, asked: bool | None) -> bool:
    if asked is not None:
        return asked
    lower, higher = bool(FALLING.search(name)), bool(RISING.search(name))
    if lower == higher:
        raise Refusal(f'--loss={name}: is it best when lowest or when highest? Give --higher_is_better=false or true')
    return lower


def _others(rows: pd.DataFrame, columns: Columns) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of columns that were not named: `name=value` of those with one value; a note on those with several."""
    others = [name for name in rows.columns if name not in columns]
    held = tuple(f'{name}={rows[name].iloc[0]}' for name in others if rows[name].nunique(dropna=False) == 1)
    cell = [name for name in (columns.batch_size, columns.learning_rate) if name]
    varied = [name for name in others if (rows.groupby(cell)[name].nunique(dropna=False) > 1).any()
              and rows[name].nunique(dropna=False) <= len(rows) / 2]  # fmt: skip
    note = (
        f'runs are taken as repeats of one setting though they differ in {", ".join(varied)}: --where=<column>=<value> '
        'picks some; --run=<column> says that it is their seed'
    )
    return held, (note,) if varied else ()
