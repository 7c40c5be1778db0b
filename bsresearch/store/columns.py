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
    return table.to_pandas().assign(run=np.repeat(np.arange(len(files)), counts))


def merge(frames: Sequence[pd.DataFrame], position: Sequence[str]) -> pd.DataFrame:
    """One row per run and step: position, then the metrics by name; the index is `run`.

    What was evaluated at θ_t and the scalars of update t stand on lines of their own.
    """
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame(columns=position, index=pd.Index([], dtype=int))
    rows = pd.concat(filled).groupby(['run', 'step']).last().reset_index('step')
    metrics = sorted(set(rows.columns) - set(position))
    for column in metrics:
        # Nulls alone in one run would make it a column of objects, which nothing can be computed with.
        if pd.api.types.infer_dtype(rows[column], skipna=True) in NUMERIC:
            rows[column] = rows[column].astype(float)
    return rows[[*(p for p in position if p in rows), *metrics]]
