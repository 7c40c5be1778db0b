"""A study of a workdir, read once and handed to quantities, statements and figures: its cells and their replicates.

A cell is an arm, for a branch its arm and point too, and a value of every axis; its replicates differ in their seeds
alone. Which run is which comes from `study.json`, where the launch wrote one (store/study_file.py), and is not guessed
there. A sweep without arms has one arm, `all`; its axes are the fields that vary.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels
from bsresearch.analysis.axes import SEEDS, independent
from bsresearch.core.units import Length
from bsresearch.store import paths, probe_records, records, study_file

ALL = 'all'  # the one arm of a sweep without arms
PARTS = ('arm', 'branch', 'point')  # of a cell, before its axes
ABSENT = ''  # of a part that a cell has not got
TRAINED = ('run', 'branch')  # kinds of members that are runs; a probe is of one
FINISHED = ('done', 'diverged')


@dataclass(frozen=True)
class Study:
    """The runs of one findings.

    Attributes:
      name: of the findings, or of the study without.
      members: one row per run or probe, cell and replicate: id, kind (run, branch, probe), arm, branch ('' for none),
        point (the declared epoch of a branch or probe; '' for none), probe ('' for none), replicate, a column per axis
        ('' where the arm has not got it), and cell, the tuple of arm, branch, point and axes. A run may stand in
        several cells: an arm may be declared as another.
      axes: names of those columns. replicates: their labels, in order.
      runs: resolved fields, status, declared_learning_rate, total_epochs, total_updates, by run.
      rows: records of each run in the order of its updates, without those from its divergence on.
      declared: all arms of the config, with their changes, or the arm that one is; also those that were not launched.
      held_fixed: what the arms have in common, in the config's words. branch_arms: as `declared`.
      base: the declared config without arms and axes.
      probes: the finished ones, by id: probe.json, `meta` and `arrays` (store/probe_records.py).
      workdir: where it was read from, for dense arrays.
    """

    name: str
    members: pd.DataFrame
    axes: tuple[str, ...]
    replicates: tuple[str, ...]
    runs: pd.DataFrame
    rows: Mapping[str, pd.DataFrame]
    declared: Mapping[str, Any] = field(default_factory=dict)
    held_fixed: tuple[str, ...] = ()
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    branch_arms: Mapping[str, Any] = field(default_factory=dict)
    base: Mapping[str, Any] = field(default_factory=dict)
    workdir: pathlib.Path | None = None

    @property
    def parts(self) -> list[str]:
        """What names a cell: arm, branch, point, axes."""
        return [*PARTS, *self.axes]

    @functools.cached_property
    def recorded(self) -> set[str]:
        """The columns of the records in which any run has a value."""
        return {column for rows in self.rows.values() for column in rows if rows[column].notna().any()}

    def status(self, run: str) -> str:
        """Of meta.json; while its group goes on, a run that diverged is `diverged` already."""
        return str(self.runs.at[run, 'status'])

    @property
    def trained(self) -> pd.DataFrame:
        """The members that are runs."""
        return self.members[self.members['kind'].isin(TRAINED)]

    def probed(self, name: str) -> pd.DataFrame:
        """The members that are finished probes of a kind."""
        return self.members[(self.members['probe'] == name) & self.members['id'].isin(list(self.probes))]

    def table(self, of_run: Callable[[str], float]) -> pd.DataFrame:
        """(cells, replicates) of a number of each run."""
        runs = self.trained
        values = {run: of_run(run) for run in runs['id'].unique()}
        return self.by_cell(runs, runs['id'].map(values))

    def by_cell(self, members: pd.DataFrame, numbers: pd.Series) -> pd.DataFrame:
        """(cells, replicates) of a number of each member; NaN where a cell has no such replicate.

        Crossed replicates are averaged over the second first: an interval is over the first.
        """
        mean = lambda values: values.mean(skipna=False)  # what is missing is not averaged over
        means = numbers.astype(float).groupby([members['cell'], members['replicate']], sort=False).agg(mean)
        cells, replicates = list(members['cell'].unique()), set(members['replicate'])
        wide = means.unstack().reindex(index=cells, columns=[r for r in self.replicates if r in replicates])
        wide.index = pd.MultiIndex.from_tuples(cells, names=self.parts)
        return wide

    def dense(self, run: str) -> Mapping[str, np.ndarray]:
        """What a run recorded at every update, as arrays (`config.record.dense`); {} for none."""
        return records.dense(paths.run_dir(self.workdir, str(self.runs.at[run, 'study']), run)) if self.workdir else {}

    def runs_of(self, cell: tuple[Any, ...]) -> list[str]:
        """The runs of a cell."""
        runs = self.trained
        return list(runs.loc[runs['cell'] == cell, 'id'])


def load(
    workdir: str | pathlib.Path,
    study: str,
    stored: Mapping[str, Any] | None = None,
    name: str = '',
    read: records.Records | None = None,
) -> Study:
    """A study of a workdir.

    Args:
      study: name of its folder. stored: what study.json has under the findings `name`; None for a sweep without arms.
      read: the workdir's records, where they have been read.

    Raises:
      FileNotFoundError: no runs of the study. Damaged: records that are not what was written.
    """
    table, declared, rows = read or records.read(workdir)
    table = table.assign(declared_learning_rate=[c.get('learning_rate', float('nan')) for c in declared])
    studies = sorted(table['study'].unique())
    table = table[table['study'] == study].reset_index(drop=True)
    if not len(table):
        raise FileNotFoundError(f'no runs of study {study!r} in {workdir}; it holds: {", ".join(studies)}')
    rows = rows[rows['study'] == study]
    diverged = rows.loc[rows['diverged'].eq(True), 'run'] if 'diverged' in rows else []
    table['status'] = table['status'].mask(table['run'].isin(diverged), 'diverged')
    runs = _with_lengths(table).set_index('run')
    by_run = dict(list(rows.groupby('run', sort=False)))
    empty = rows.iloc[:0]
    of_runs = {run: _before_divergence(by_run.get(run, empty)) for run in runs.index}
    probes = {probe['meta']['id']: probe for probe in probe_records.finished(workdir)}
    declarations: dict[str, Any] = {}
    if stored is None:
        members, axes = _of_fields(table)
        probes = {i: probe for i, probe in probes.items() if probe['points'][-1]['run'] in runs.index}
        members = _with_cells(pd.concat([members, _of_probes(members, probes)], ignore_index=True), axes)
    else:
        members, axes = _of_file(stored)
        declarations = {'declared': stored['arms'], 'held_fixed': tuple(stored['held_fixed']), 'base': stored['base'],
                        'branch_arms': stored.get('branch_arms', {})}  # fmt: skip
    there = members['id'].isin(runs.index) | (members['kind'] == 'probe')
    return Study(
        name if stored and name else study, members[there].reset_index(drop=True), axes,
        _ordered(members['replicate']), runs, of_runs, probes=probes, workdir=pathlib.Path(workdir), **declarations,
    )  # fmt: skip


def launched(workdir: str | pathlib.Path, study: str) -> Study:
    """A study with its arms, where its launch wrote them down: those of the first findings.

    Raises:
      FileNotFoundError: no runs of the study. Damaged: files that are not what was written.
    """
    entries = study_file.read(pathlib.Path(workdir) / study)
    name = next(iter(entries), '')
    return load(workdir, study, entries.get(name), name)


def _ordered(replicates: pd.Series) -> tuple[str, ...]:
    return tuple(
        sorted(replicates.unique(), key=lambda label: [int(p) if p.isdigit() else p for p in label.split('/')])
    )


def _before_divergence(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.sort_values('step')
    if 'diverged' not in rows:
        return rows
    gone = rows['diverged'].eq(True).to_numpy()
    return rows[rows['step'] < rows['step'][gone].min()] if gone.any() else rows


def _with_lengths(runs: pd.DataFrame) -> pd.DataFrame:
    lengths = [_length(run) for run in runs.to_dict('records')]
    # A copy first: its columns of one type lie together, which pandas asks for above a hundred of them.
    return runs.copy().assign(
        total_epochs=[length.total_examples / length.epoch_examples for length in lengths],
        total_updates=[length.total_steps for length in lengths],
    )


def _length(run: Mapping[str, Any]) -> Length:
    # Older records have no batch schedule; where it acts on the learning rate, the batch size stays.
    changes = run.get('batch_changes')
    if not isinstance(changes, tuple) or run.get('batch_schedule.as_learning_rate') is True:
        changes = ()
    return Length(run['epoch_size'], run['batch_size'], run['total_examples'], run['epoch_boundary'], changes)


def _of_file(stored: Mapping[str, Any]) -> tuple[pd.DataFrame, tuple[str, ...]]:
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

    return _with_cells(pd.DataFrame([member(row) for row in rows]), axes), axes


def _with_cells(members: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """`cell` last: without NaN, which is unequal to itself."""
    parts = members[[*PARTS, *axes]].astype(object)
    parts = parts.where(parts.notna(), ABSENT)
    return members.assign(**parts, cell=pd.Series(list(parts.itertuples(index=False, name=None)), members.index))


def _of_probes(members: pd.DataFrame, probes: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each probe, of the last run that it looks at, at its epoch."""
    of_runs = members.set_index('id', drop=False)
    rows = []
    for name, probe in probes.items():
        last = probe['points'][-1]
        parts = {'id': name, 'kind': 'probe', 'point': float(last['epoch']), 'probe': probe['probe']['name']}
        rows.append(of_runs.loc[last['run']].to_dict() | parts)
    return pd.DataFrame(rows, columns=members.columns)


def _of_fields(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(members, axes) of a sweep without arms: every independent field that varies, but the seeds, is an axis.

    The learning rate's axis is the declared one: that which a rule scales follows from it and the batch size.
    """
    runs = table.assign(learning_rate=table['declared_learning_rate'].fillna(table['learning_rate']))
    fields = [c for c in records.varying(runs) if c not in (*SEEDS, 'declared_learning_rate')]
    axes = independent(runs, fields)
    members = pd.DataFrame({'id': runs['run'], 'kind': 'run', 'arm': ALL, 'branch': ABSENT, 'point': ABSENT})
    split = runs[[seed for seed in SEEDS if seed in runs]].astype(str)
    replicate = split['seed'].where(split.nunique(axis=1) == 1, split.agg('/'.join, axis=1))
    fields_of_runs = pd.concat([members.assign(probe=ABSENT, replicate=replicate), runs[axes]], axis=1)
    return _with_cells(fields_of_runs, axes), tuple(axes)
