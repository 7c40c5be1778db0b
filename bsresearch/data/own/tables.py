"""A table, CSV or Parquet: one column is the target, the others are the inputs."""

import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bsresearch.core import lookup
from bsresearch.data.own import Source


def read(
    file: pathlib.Path, flag: str, target: str | None, drop: Sequence[str], one_hot: Sequence[str], standardize: bool
) -> Source:
    """The rows of a table.

    Args:
      flag: that named the file. target: the column to be predicted. drop: columns that are left out. one_hot: columns
        of words or numbers that become a 0/1 column for each of their values.

    Raises:
      FileNotFoundError: no such file. ValueError: a file that cannot be read, a column that is not there, has no name
        or holds lists, missing values, words among the inputs.
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
    if target is None:
        raise ValueError(f'which column is to be predicted? Give --target=, of {", ".join(columns)}')
    for name, given in (('target', [target]), ('drop', drop), ('one_hot', one_hot)):
        for column in given:
            if column not in columns:
                raise ValueError(f'--{name}={column}: {file} has no such column; {lookup.nearest(column, columns)}')
    if target in (*drop, *one_hot):
        raise ValueError(f'--target={target}: it is also named by --drop or --one_hot')
    if both := [column for column in one_hot if column in drop]:
        raise ValueError(f'--drop={both[0]}: it is also named by --one_hot')
    inputs = table.drop(columns=[target, *drop])
    if not len(inputs.columns) or not len(table):
        raise ValueError(f'{file} has {len(table)} rows and {len(inputs.columns)} columns beside the target')
    _check(file, table[[target, *inputs.columns]], [c for c in inputs.columns if c not in one_hot])
    notes = []
    for column in one_hot:
        notes += [f'{column}: a 0/1 column for each of {inputs[column].nunique()} values']
    inputs = pd.get_dummies(inputs, columns=[c for c in inputs.columns if c in one_hot], dtype=np.float32)
    about = {flag: file.name, 'target': target, 'columns': list(inputs.columns)}
    pair = inputs.to_numpy(np.float64), _labels(table[target])
    return Source(pair, None, standardize, about, (f'{len(inputs.columns)} input columns', *notes))


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


def _check(file: pathlib.Path, used: pd.DataFrame, numeric: Sequence[str]) -> None:
    """Raises ValueError for lists, missing values, words where numbers are needed, and columns without a name."""
    nested = [c for c in used if used[c].dtype == object and used[c].map(pd.api.types.is_list_like).any()]
    if nested:
        raise ValueError(
            f'{file}: columns that hold lists or records: {", ".join(nested)}; make columns of their parts, or leave '
            'them out by --drop='
        )
    lacking = used.isna().sum()
    lacking = lacking[lacking > 0]
    if len(lacking):
        where = ', '.join(f'{column} in {n} rows' for column, n in lacking.items())
        raise ValueError(
            f'{file} has missing values: {where}; fill them, remove the rows, or leave columns out by --drop='
        )
    words = [c for c in numeric if not pd.api.types.is_numeric_dtype(used[c].dtype)]
    if words:
        raise ValueError(
            f'{file}: columns that are no numbers: {", ".join(words)}; --one_hot={",".join(words)} makes a 0/1 column '
            'of each value, --drop= leaves them out'
        )
    if nameless := [c for c in used if c.startswith('Unnamed: ')]:
        raise ValueError(
            f"{file}: a column without a name, the numbers of rows perhaps: --drop='{nameless[0]}' leaves it out, "
            'a name in the first line keeps it'
        )
