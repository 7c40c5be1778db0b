"""Workdirs of the first version: they load, their ids stay, and what was stopped in them goes on."""

import pathlib
from typing import NamedTuple

import jax
import numpy as np
import pytest
import toy
from workdirs_of_old import NAMES, unpack

from bsresearch.launching import groups
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.store import paths, records
from bsresearch.train.saving import restore


class Expected(NamedTuple):
    """What the version that wrote a workdir found in it; accuracy: the last on the test set, the mean over all runs."""

    runs: int
    done: int
    rows: int
    accuracy: float


EXPECTED = {
    'adam': Expected(2, 2, 44, 0.6708333333333334),
    'batch_norm': Expected(2, 2, 44, 0.7430555555555556),
    'branches': Expected(7, 7, 72, 0.09404761904761905),
    'brownlee': Expected(33, 33, 813, 0.6884848484848486),
    'finished': Expected(2, 2, 202, 0.6861111111111111),
    'probes': Expected(1, 1, 20, 0.09166666666666666),
    'quickstart': Expected(12, 12, 252, 0.2659722222222222),
    'shen_digits': Expected(22, 22, 328, 0.35416666666666663),
    'stopped': Expected(2, 0, 60, 0.31805555555555554),
    'stopped_adam': Expected(1, 0, 15, 0.2777777777777778),
    'sweep': Expected(4, 4, 94, 0.46458333333333335),
}


def plans_of(workdir: pathlib.Path) -> list[Plan]:
    """The plans of all groups of a workdir."""
    return [plan for file in sorted(workdir.glob('*/groups/*/group.json')) for plan in groups.load(file.parent).plans]


@pytest.mark.parametrize('name', NAMES)
def test_an_old_workdir_loads(name: str, tmp_path: pathlib.Path):
    """Golden: its runs, their states, the rows of its table and its last accuracies."""
    workdir = unpack(name, tmp_path)
    table, rows = records.runs(workdir), records.load(workdir)
    last = rows.dropna(subset=['test_accuracy']).groupby('run')['test_accuracy'].last()
    counts = Expected(len(table), int((table['status'] == 'done').sum()), len(rows), float(last.mean()))
    assert counts._replace(accuracy=0) == EXPECTED[name]._replace(accuracy=0)
    assert counts.accuracy == pytest.approx(EXPECTED[name].accuracy, rel=1e-12)


@pytest.mark.parametrize('name', NAMES)
def test_weights_of_old_checkpoints_are_read(name: str, tmp_path: pathlib.Path):
    """Each run's newest checkpoint holds a state of this version's shapes, all of it finite."""
    workdir = unpack(name, tmp_path)
    for plan in plans_of(workdir)[:3]:
        steps = [int(p.name) for p in (restore.group_directory(workdir, plan) / 'checkpoints').glob('[0-9]*')]
        state = restore.state(workdir, plan, max(steps))
        assert int(state.step) == max(steps)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.params, state.opt_state)))


@pytest.mark.parametrize('name', NAMES)
def test_ids_of_old_runs_stay(name: str, tmp_path: pathlib.Path):
    """Golden: a run's folder is its id; the declared config must resolve to it, as the stored plan must."""
    workdir = unpack(name, tmp_path)
    plans = plans_of(workdir)
    assert {p.id for p in plans} == set(records.runs(workdir)['run'])
    for plan in plans:
        declared = paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'config.json')['declared']
        assert resolve.resolve(declared, plan.parent).id == plan.id


def test_what_was_stopped_ends_as_if_it_never_had(tmp_path: pathlib.Path):
    """Resumed by this version, a run of the first one ends with the rows that the first one would have written."""
    workdir, finished = unpack('stopped', tmp_path), unpack('finished', tmp_path)
    plans = plans_of(workdir)
    toy.train(workdir, plans)
    for plan in plans:
        rows, expected = toy.rows(workdir, plan), toy.rows(finished, plan)
        assert [row['step'] for row in rows] == [row['step'] for row in expected]
        for row, old in zip(rows, expected, strict=True):
            numbers = {k: v for k, v in old.items() if v is not None}
            assert {k for k in old if row[k] is None} == old.keys() - numbers.keys()
            # Another processor rounds otherwise, and 70 updates let it grow.
            assert {k: row[k] for k in numbers} == pytest.approx(numbers, rel=2e-3, abs=1e-5)


def test_a_stopped_run_of_adam_goes_on(tmp_path: pathlib.Path):
    workdir = unpack('stopped_adam', tmp_path)
    (plan,) = plans_of(workdir)
    toy.train(workdir, [plan])
    steps = [row['step'] for row in toy.rows(workdir, plan)]
    assert steps == sorted(steps)
    assert steps[-1] == plan.length.total_steps
    assert groups.status(workdir, plan)['status'] == 'done'
