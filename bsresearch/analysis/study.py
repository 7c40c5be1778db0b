"""A study of a workdir, read once and handed to quantities, statements and figures: its cells and their replicates.

A cell is an arm, for a branch its arm and point too, and a value of every axis; its replicates differ in their seeds
alone. Which run is which comes from `study.json`, where the launch wrote one (store/study_file.py), and is not guessed
there. A sweep without arms has one arm, `all`; its axes are the fields that vary.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis.members import ABSENT, ALL, PARTS, of_fields, of_file, of_probes, with_cells
from bsresearch.core import own_part
from bsresearch.core.units import Length
from bsresearch.store import paths, probe_records, records, study_file
from bsresearch.store.standing import FINISHED

__all__ = ['ABSENT', 'ALL', 'FINISHED', 'PARTS', 'TRAINED', 'Study', 'launched', 'load']

TRAINED = ('run', 'branch')  # kinds of members that are runs; a probe is of one


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

    @functools.cached_property
    def results(self) -> dict[Any, Any]:
        """What was made of it, by function and arguments (once.py)."""
        return {}

    @functools.cached_property
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
        groups = numbers.astype(float).groupby([members['cell'], members['replicate']], sort=False)
        means = groups.mean().where(groups.count() == groups.size())  # what is missing is not averaged over
        cells, replicates = list(members['cell'].unique()), set(members['replicate'])
        wide = means.unstack().reindex(index=cells, columns=[r for r in self.replicates if r in replicates])
        wide.index = pd.MultiIndex.from_tuples(cells, names=self.parts)
        return wide

    def dense(self, run: str) -> Mapping[str, np.ndarray]:
        """What a run recorded at every update, as arrays (`config.record.dense`); {} for none."""
        return records.dense(paths.run_dir(self.workdir, str(self.runs.at[run, 'study']), run)) if self.workdir else {}

    def runs_of(self, cell: tuple[Any, ...]) -> list[str]:
        """The runs of a cell."""
        return list(self._of_cells.get(cell, ()))

    @functools.cached_property
    def _of_cells(self) -> dict[tuple[Any, ...], list[str]]:
        """Cell → its runs."""
        of_cells: dict[tuple[Any, ...], list[str]] = {}
        for cell, run in zip(self.trained['cell'], self.trained['id'], strict=True):
            of_cells.setdefault(cell, []).append(run)
        return of_cells


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
        members, axes = of_fields(table)
        probes = {i: probe for i, probe in probes.items() if probe['points'][-1]['run'] in runs.index}
        members = with_cells(pd.concat([members, of_probes(members, probes)], ignore_index=True), axes)
    else:
        entry: Mapping[str, Any] = own_part.unplaced(stored)
        members, axes = of_file(entry)
        declarations = {'declared': entry['arms'], 'held_fixed': tuple(entry['held_fixed']), 'base': entry['base'],
                        'branch_arms': entry.get('branch_arms', {})}  # fmt: skip
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
