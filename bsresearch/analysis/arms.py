"""The runs of a workdir as arms: runs that differ in their seeds alone. What figures start from."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from bsresearch.core import units
from bsresearch.store import records

SEEDS = ('seed', *records.SPLIT_SEEDS)
# x axis by name: the column of the records, and the axis label.
POSITIONS = {
    'epoch': ('epoch', 'epochs'),
    'updates': ('step', 'updates'),
    'examples': ('examples', 'examples'),
    'seconds': ('seconds', 'training seconds (ungrouped)'),
}
# Where several fields tell the same arms apart, the earlier one names them.
_TELLING = ('base_learning_rate', 'learning_rate', 'total_epochs', 'total_updates')


class Arms(NamedTuple):
    """Records of one study.

    Attributes:
      runs: `records.runs` with total_epochs and total_updates, and where a rule scales the learning rate
        base_learning_rate, the declared one.
      rows: `records.load` with the seeds and the columns of `by`. A run without records has one row without a
        position. `seconds` is step × the arm's mean seconds per update, so that seeds calibrated in different groups
        share a grid.
      by: columns whose values name an arm.
      panels: those of `by` that do not follow from the batch size: a figure gives them panels of their own.
    """

    runs: pd.DataFrame
    rows: pd.DataFrame
    by: list[str]
    panels: list[str]


def load(workdir: pathlib.Path, study: str = 'train') -> Arms:
    """All runs of a study.

    Raises:
      FileNotFoundError: there are none.
    """
    runs, declared, rows = records.read(workdir)
    runs = runs.assign(base_learning_rate=[config['learning_rate'] for config in declared])
    studies = sorted(runs['study'].unique())
    runs = runs[runs['study'] == study].reset_index(drop=True)
    if not len(runs):
        raise FileNotFoundError(f'no runs of study {study!r} in {workdir}; it holds: {", ".join(studies)}')
    if (runs['base_learning_rate'] == runs['learning_rate']).all():
        runs = runs.drop(columns='base_learning_rate')
    runs = _with_lengths(runs)
    fields = independent(runs, [c for c in records.varying(runs) if c not in SEEDS])
    by = [*fields, *({'learning_rate'} - set(fields))]
    rows = rows[rows['study'] == study].drop(columns='study')
    rows = runs[['run', 'study', 'status', *(s for s in SEEDS if s in runs), *by]].merge(rows, on='run', how='left')
    return Arms(runs, _align_seconds(rows, by), by, fields[1:])


def follows(runs: pd.DataFrame, column: str, fields: Sequence[str]) -> bool:
    """Whether the values of `fields` fix the column's."""
    if not fields:
        return runs[column].nunique(dropna=False) <= 1
    return bool((runs.groupby(list(fields), dropna=False)[column].nunique(dropna=False) <= 1).all())


def independent(runs: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """batch_size, then those columns that do not follow from the ones before: the axes of the grid.

    A checksum follows from the data set, a scaled learning rate from the batch size and the declared one.
    """

    def order(column: str) -> tuple[int, bool, int, str]:
        telling = _TELLING.index(column) if column in _TELLING else len(_TELLING)
        return runs[column].nunique(dropna=False), not column.endswith('.name'), telling, column

    kept = ['batch_size']
    for column in sorted(columns, key=order):
        if not follows(runs, column, kept):
            kept.append(column)
    return kept


def _with_lengths(runs: pd.DataFrame) -> pd.DataFrame:
    lengths = [_length(run) for run in runs.to_dict('records')]
    # A copy first: its columns of one type lie together, which pandas asks for above a hundred of them.
    return runs.copy().assign(
        total_epochs=[length.total_examples / length.epoch_examples for length in lengths],
        total_updates=[length.total_steps for length in lengths],
    )


def _length(run: Mapping[str, Any]) -> units.Length:
    # Older records have no batch schedule; where it acts on the learning rate, the batch size stays.
    changes = run.get('batch_changes')
    if not isinstance(changes, tuple) or run.get('batch_schedule.as_learning_rate') is True:
        changes = ()
    return units.Length(run['epoch_size'], run['batch_size'], run['total_examples'], run['epoch_boundary'], changes)


def _align_seconds(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    of_run = rows.groupby('run')[['seconds', 'step']].transform('max')
    per_update = of_run['seconds'] / of_run['step'].where(of_run['step'] > 0)
    arms = rows[by].assign(run=rows['run'], per_update=per_update).drop_duplicates('run')
    mean = arms.groupby(by, dropna=False)['per_update'].transform('mean')
    of_arm = rows['run'].map(dict(zip(arms['run'], mean, strict=True)))
    # A run whose batch size changes has several paces: its own course, stretched to the arm's mean.
    stretch = (of_arm / per_update).where(per_update > 0, 1.0)
    return rows.assign(seconds=(rows['seconds'] * stretch).where(rows['step'].notna()))
