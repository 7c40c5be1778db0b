"""The members of a study: which run or probe is which replicate of which cell (study.py has the columns)."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bsresearch.analysis import axis_labels
from bsresearch.analysis.axes import SEEDS, independent
from bsresearch.store import records

ALL = 'all'  # the one arm of a sweep without arms
PARTS = ('arm', 'branch', 'point')  # of a cell, before its axes
ABSENT = ''  # of a part that a cell has not got


def of_file(stored: Mapping[str, Any]) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(members, axes) of the rows of study.json."""
    rows = stored['rows']
    axes = tuple(dict.fromkeys(axis for row in rows for axis in row['axes']))
    declared = {axis: [row['axes'][axis] for row in rows if axis in row['axes']] for axis in axes}
    labels = {axis: axis_labels.of_values(values) for axis, values in declared.items()}
    zipped = [r if isinstance(r, list | tuple) else (r,) for r in stored['replicates']]
    first = zipped[0] if zipped else ()

    def replicate(row: Mapping[str, Any]) -> str:
        return '/'.join(str(row['replicate'][f]) for f in first if f in row['replicate'])

    def member(row: Mapping[str, Any]) -> dict[str, Any]:
        point = row.get('point')
        place = ABSENT if point is None else point if isinstance(point, str) else float(point)
        parts = {'branch': row.get('branch') or ABSENT, 'point': place}
        of_axes = {axis: labels[axis](row['axes'][axis]) if axis in row['axes'] else ABSENT for axis in axes}
        names = {'id': row['id'], 'kind': row['kind'], 'arm': row['arm'], 'probe': row.get('probe') or ''}
        return names | parts | {'replicate': replicate(row)} | of_axes

    return with_cells(pd.DataFrame([member(row) for row in rows]), axes), axes


def with_cells(members: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """`cell` last: without NaN, which is unequal to itself."""
    parts = members[[*PARTS, *axes]].astype(object)
    parts = parts.where(parts.notna(), ABSENT)
    return members.assign(**parts, cell=pd.Series(list(parts.itertuples(index=False, name=None)), members.index))


def of_probes(members: pd.DataFrame, probes: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each probe, of the last run that it looks at, at its epoch."""
    of_runs = members.set_index('id', drop=False)
    rows = []
    for name, probe in probes.items():
        last = probe['points'][-1]
        parts = {'id': name, 'kind': 'probe', 'point': float(last['epoch']), 'probe': probe['probe']['name']}
        rows.append(of_runs.loc[last['run']].to_dict() | parts)
    return pd.DataFrame(rows, columns=members.columns)


def of_fields(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(members, axes) of a sweep without arms: every independent field that varies, but the seeds, is an axis.

    The learning rate's axis is the declared one: that which a rule scales follows from it and the batch size.
    """
    runs = table.assign(learning_rate=table['declared_learning_rate'].fillna(table['learning_rate']))
    fields = [c for c in records.varying(runs) if c not in (*SEEDS, 'declared_learning_rate')]
    axes = independent(runs, fields)
    members = pd.DataFrame({'id': runs['run'], 'kind': 'run', 'arm': ALL, 'branch': ABSENT, 'point': ABSENT})
    split = runs[[seed for seed in SEEDS if seed in runs]].map(str)
    replicate = split['seed'].where(split.nunique(axis=1) == 1, split.agg('/'.join, axis=1))
    fields_of_runs = pd.concat([members.assign(probe=ABSENT, replicate=replicate), runs[axes]], axis=1)
    return with_cells(fields_of_runs, axes), tuple(axes)
