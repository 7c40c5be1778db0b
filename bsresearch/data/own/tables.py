"""A table, CSV or Parquet: one column is the target, the others are the inputs."""

import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bsresearch.core import lookup
from bsresearch.data.own import Source, finite, labels


def read(
    file: pathlib.Path,
    flag: str,
    target: str | None,
    drop: Sequence[str],
    one_hot: Sequence[str],
    standardize: bool,
    task: str | None = None,
) -> Source:
    """The rows of a table.

    Args:
      flag: that named the file. target: the column to be predicted. drop: columns that are left out. one_hot: columns
        of words or numbers that become a 0/1 column for each of their values. task: of the target; None: as it says.

    Raises:
      FileNotFoundError: no such file. ValueError: a file that cannot be read, a column that is not there; all at once
        what has to be said of its columns, holds lists or misses values.
    """
    if not file.is_file():
        raise FileNotFoundError(f'--{flag}={file}: no such file')
    try:
        table = _read_csv(file) if flag == 'csv' else pd.read_parquet(file)
    except Exception as error:  # Arrow has kinds of its own
        raise ValueError(f'--{flag}={file} cannot be read: {" ".join(str(error).split())}') from error
    columns = [str(column) for column in table.columns]
    table.columns = columns
    if len(set(columns)) < len(columns):
        raise ValueError(f'{file} has two columns of one name: {next(c for c in columns if columns.count(c) > 1)!r}')
    for name, given in (('target', [] if target is None else [target]), ('drop', drop), ('one_hot', one_hot)):
        for column in given:
            if column not in columns:
                raise ValueError(f'--{name}={column}: {file} has no such column; {lookup.nearest(column, columns)}')
    if target in (*drop, *one_hot):
        raise ValueError(f'--target={target}: it is also named by --drop or --one_hot')
    if both := [column for column in one_hot if column in drop]:
        raise ValueError(f'--drop={both[0]}: it is also named by --one_hot')
    used = table.drop(columns=list(drop))
    if len(used) and (asked := _asked(used, target, one_hot, task)):
        raise ValueError(f'{file}: {"; ".join(asked)}')
    inputs = used.drop(columns=[target])
    if not len(inputs.columns) or not len(table):
        raise ValueError(f'{file} has {len(table)} rows and {len(inputs.columns)} columns beside the target')
    notes = []
    for column in one_hot:
        notes += [f'{column}: a 0/1 column for each of {inputs[column].nunique()} values']
    inputs = pd.get_dummies(inputs, columns=[c for c in inputs.columns if c in one_hot], dtype=np.float32)
    about = {flag: file.name, 'target': target, 'columns': list(inputs.columns)}
    pair = inputs.to_numpy(np.float64), _labels(table[target])
    notes = (f'{len(inputs.columns)} input columns', *notes)
    called = ((str(file), f'{file}: column {target}'),)
    return Source(pair, None, standardize, about, notes, called, first_row=1)


def _read_csv(file: pathlib.Path) -> pd.DataFrame:
    """As pandas reads it, but for columns of one name, which it renames, and rows longer than the first, which it takes
    to begin with a name of their own.
    """
    header = pd.read_csv(file, header=None, nrows=1, dtype=str).iloc[0].dropna()
    if header.duplicated().any():
        raise ValueError(f'two columns are called {header[header.duplicated()].iloc[0]!r}; give one another name')
    table = pd.read_csv(file)
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(f'its rows have more fields than its first line has names ({len(table.columns)})')
    return table


def _labels(column: pd.Series) -> np.ndarray:
    """Numbers as numbers, all else as words."""
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind) or not pd.api.types.is_numeric_dtype(kind):
        return column.astype(str).to_numpy(str)
    if pd.api.types.is_unsigned_integer_dtype(kind):
        return column.to_numpy(np.uint64)
    return column.to_numpy(np.int64 if pd.api.types.is_integer_dtype(kind) else np.float64)


def _asked(used: pd.DataFrame, target: str | None, one_hot: Sequence[str], task: str | None) -> list[str]:
    """All that the user has to say or mend: the target and its task, words among inputs, lists, missing values, names.

    Args:
      used: the table without the columns that are left out.
    """
    nested = [c for c in used if used[c].dtype == object and used[c].map(pd.api.types.is_list_like).any()]
    lacking = used.isna().sum()
    lacking = lacking[lacking > 0]
    plain = [c for c in used if c not in (target, *one_hot, *nested)]
    words = [c for c in plain if not pd.api.types.is_numeric_dtype(used[c].dtype)]
    asked = []
    if target is None:
        asked.append(f'which column is to be predicted? Give --target=, of {", ".join(used)}')
    elif target not in (*nested, *lacking.index):
        try:
            labels.encoded([_labels(used[target])], task)
        except labels.Undecided as error:
            asked.append(f'{error}; say so by {labels.BY_FLAG}')
        except ValueError:
            pass  # told with what the set is made of
    if words:
        but = ', but for the target' if target is None else ''
        asked.append(
            f'columns that are no numbers: {", ".join(words)}; --one_hot={",".join(words)} makes a 0/1 column of each '
            f'value, --drop= leaves them out{but}'
        )
    if nested:
        asked.append(
            f'columns that hold lists or records: {", ".join(nested)}; make columns of their parts, or leave them out '
            'by --drop='
        )
    if len(lacking):
        first = {column: int(used[column].isna().to_numpy().argmax()) + 1 for column in lacking.index}
        where = ', '.join(
            f'column {c} in {n} of {len(used)} rows, the first row {first[c]}' for c, n in lacking.items()
        )
        cure = 'fill them in, remove the rows, or leave columns out by --drop='
        asked.append(f'missing values: {where} ({finite.COUNTED[1]}); {cure}')
    if nameless := [c for c in used if c.startswith('Unnamed: ')]:
        asked.append(
            f"a column without a name, the numbers of rows perhaps: --drop='{nameless[0]}' leaves it out, a name in "
            'the first line keeps it'
        )
    return asked
