"""The rows of many runs as one table: their files are parsed together, column by column."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pyarrow import BufferReader, json, types

NUMERIC = ('integer', 'floating', 'mixed-integer-float', 'empty')
PARSED = (types.is_integer, types.is_floating, types.is_boolean, types.is_null)


def parse(files: Sequence[bytes]) -> pd.DataFrame:
    """One row per line of JSON, with `run`, the place of its file.

    Raises:
      ValueError: a line is no row, has no step, or holds something else than numbers.
    """
    counts = [file.count(b'\n') for file in files]
    if not sum(counts):
        return pd.DataFrame()
    table = json.read_json(BufferReader(b''.join(files)))
    kinds = [any(test(kind) for test in PARSED) for kind in table.schema.types]
    if len(table) != sum(counts) or not all(kinds) or 'step' not in table.column_names or table['step'].null_count:
        raise ValueError('not one row of numbers with a step on each line')
    return table.to_pandas(split_blocks=True).assign(run=np.repeat(np.arange(len(files)), counts))


def merge(frames: Sequence[pd.DataFrame], position: Sequence[str]) -> pd.DataFrame:
    """One row per run and step: position, then the metrics by name; the index is `run`.

    What was evaluated at θ_t and the scalars of update t stand on lines of their own: of a value that is on several
    lines the last one counts.
    """
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame(columns=position, index=pd.Index([], dtype=int))
    lines = pd.concat(filled) if len(filled) > 1 else filled[0]
    order = np.lexsort((lines['step'], lines['run']))  # keeps the order of those of one step
    run, step = (lines[name].to_numpy()[order] for name in ('run', 'step'))
    starts = np.flatnonzero(np.concatenate([[True], (run[1:] != run[:-1]) | (step[1:] != step[:-1])]))
    metrics = sorted(set(lines.columns) - set(position) - {'run'})
    columns = {name: _last(lines[name].to_numpy()[order], starts) for name in position if name in lines}
    columns |= {name: _last(_numbers(lines[name])[order], starts) for name in metrics}
    return pd.DataFrame(columns, index=pd.Index(run[starts], name='run'), copy=False)


def _numbers(values: pd.Series) -> np.ndarray:
    """As float64 where they are numbers: nulls alone would make a column of objects."""
    numeric = values.dtype.kind in 'fiu' or pd.api.types.infer_dtype(values, skipna=True) in NUMERIC
    return values.to_numpy(float) if numeric else values.to_numpy()


def _last(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The last value that is not null of the lines from each start to the next one; null where there is none."""
    known = np.where(pd.isna(values), -1, np.arange(len(values)))
    last = np.maximum.reduceat(known, starts)
    return values[np.where(last < 0, starts, last)]
