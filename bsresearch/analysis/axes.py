"""Which fields of a table of runs are the axes of its grid."""

from collections.abc import Sequence

import pandas as pd

from bsresearch.store import records

SEEDS = ('seed', *records.SPLIT_SEEDS)
# Where several fields tell the same arms apart, the earlier one names them.
NAMING = ('learning_rate', 'total_epochs', 'total_updates')


def _follows(runs: pd.DataFrame, column: str, fields: Sequence[str]) -> bool:
    """Whether the values of `fields` fix the column's."""
    return bool((runs.groupby(list(fields), dropna=False)[column].nunique(dropna=False) <= 1).all())


def independent(runs: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """batch_size, then those columns that do not follow from the ones before: the axes of the grid.

    A checksum follows from the data set, a scaled learning rate from the batch size and the declared one.
    """

    def order(column: str) -> tuple[int, bool, int, str]:
        naming = NAMING.index(column) if column in NAMING else len(NAMING)
        return runs[column].nunique(dropna=False), not column.endswith('.name'), naming, column

    kept = ['batch_size']
    for column in sorted(columns, key=order):
        if not _follows(runs, column, kept):
            kept.append(column)
    return kept
