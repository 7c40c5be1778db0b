"""Lengths in seconds: updates by measured seconds per update, which a workdir keeps so that ids stay."""

import pathlib
from typing import Any

import pytest
import toy
from test_arms import base
from test_findings_files import GOOD

from bsresearch.launching import calibration, command, planner
from bsresearch.launching.console import Console
from bsresearch.planning import branch, edit, seconds, stages, sweep
from bsresearch.store import paths, records, study_file

PACES = {8: 0.01, 64: 0.04}  # seconds per update by batch size


def config(**changes: Any) -> dict[str, Any]:
    """Two batch sizes by two rates, half a second each."""
    c = base()
    c.findings, c.held_fixed, c.evaluate.every_epochs = 'equal_seconds', ('seconds',), 0.0
    c.arms.small, c.arms.large = dict(batch_size=8), dict(batch_size=64)
    c.sweep.learning_rate, c.sweep.seed = (0.05, 0.1), (0,)
    return edit.assign(c.to_dict(), {'total_seconds': 0.5, **changes})


@pytest.fixture
def measured(patching: pytest.MonkeyPatch) -> list[int]:
    """Batch sizes that were measured, in order: each measurement gives PACES, ten times as long every further time."""
    sizes: list[int] = []

    def measure(plan: Any) -> float:
        sizes.append(plan.batch_size)
        return PACES[plan.batch_size] * 10.0 ** (sizes.count(plan.batch_size) - 1)

    patching.setattr(calibration, 'seconds_per_update', measure)
    return sizes


def launched(workdir: pathlib.Path, **changes: Any) -> planner.Study:
    plan = lambda: planner.study(config(**changes), {}, workdir, with_findings=False)
    return calibration.planned(plan, workdir, lambda _: None)


def test_seconds_become_updates_once(workdir: pathlib.Path, measured: list[int]):
    """By hand: 0.5 s at 10 and 40 ms are 50 and 12 updates. Once a workdir; a second launch has the same ids."""
    study = launched(workdir)
    steps = {(p.batch_size, p.policy.learning_rate): p.length.total_steps for p in study.plans}
    assert steps == {(8, 0.05): 50, (8, 0.1): 50, (64, 0.05): 12, (64, 0.1): 12}
    assert measured == [8, 64]
    again = launched(workdir, devices=1, micro_batch_size=8, measure_preset='none')
    assert [p.id for p in again.plans] == [p.id for p in study.plans]
    assert measured == [8, 64]
    # Other seconds need no other measurement.
    assert {p.length.total_steps for p in launched(workdir, total_seconds=1.0).plans} == {100, 25}
    assert measured == [8, 64]
    # In another workdir the machine may be slower.
    assert {p.length.total_steps for p in launched(workdir.with_name('other')).plans} == {5, 1}


def test_the_id_is_that_of_so_many_updates(workdir: pathlib.Path, measured: list[int]):
    """Nothing of the seconds enters it: shared with a config that counts updates."""
    assert measured == []
    small, *_ = launched(workdir).plans
    counted = config() | {'total_seconds': None, 'total_steps': 50, 'batch_size': 8, 'learning_rate': 0.05}
    [plan] = sweep.expand(counted | {'arms': {}, 'sweep': {}})
    assert small.id == plan.id


def test_a_dry_run_measures_nothing(workdir: pathlib.Path, measured: list[int]):
    """It says what is not known, and writes nothing; where a launch has measured, it plans."""
    for where in (None, workdir):
        with pytest.raises(seconds.Uncalibrated) as e:
            planner.study(config(), {}, where, with_findings=False)
        assert e.value.plan.batch_size == 8
    assert (measured, workdir.exists()) == ([], False)
    ids = [p.id for p in launched(workdir).plans]
    assert [p.id for p in planner.study(config(), {}, workdir, with_findings=False).plans] == ids


def test_findings_are_read_before_anything_is_measured(
    workdir: pathlib.Path, measured: list[int], tmp_path: pathlib.Path
):
    """What they name that there is not is told at once, and else that it is not known how many updates there are."""
    for metric, told in (
        ('bach_loss', "line 8: claim 'so': no run records 'bach_loss'"),
        ('batch_loss', 'total_seconds'),
    ):
        file = tmp_path / f'{metric}.py'
        file.write_text(GOOD.replace('test_accuracy', metric))
        with pytest.raises(ValueError, match=told):
            planner.study(config() | {'findings': str(file)}, {}, workdir)
    assert measured == []


def test_what_has_no_seconds_is_refused(workdir: pathlib.Path, measured: list[int]):
    """A second length, one that is none, a batch size that changes: before anything is measured."""
    growing = {'batch_schedule': {'name': 'steps', 'at_fractions': (0.5,), 'factor': 2}}
    bad: list[dict[str, Any]] = [{'total_seconds': 0.0}, {'total_seconds': float('inf')}, growing]
    for changes in bad:
        with pytest.raises(ValueError, match='total_seconds') as e:
            launched(workdir, **changes)
        assert '\n' not in str(e.value)
    both = config() | {'total_epochs': 1.0}
    with pytest.raises(ValueError, match='exactly one length'):
        planner.study(both, {}, workdir, with_findings=False)
    assert measured == []


def test_another_batch_has_another_pace(workdir: pathlib.Path, measured: list[int]):
    """A branch measures its own; a variant, whose updates would take other seconds, is refused."""
    small, *_ = launched(workdir).plans
    assert (small.execution['seconds_per_update'], measured) == (0.01, [8, 64])
    one = branch.branch(small, '', 10, {'batch_size': 16, 'total_steps': 20})
    assert one.execution['seconds_per_update'] is None
    with pytest.raises(ValueError, match='length in seconds'):
        stages.variant(small, batch_size=16)
    assert stages.variant(small, batch_size=16, total_steps=20).plan.execution['seconds_per_update'] is None


def test_a_damaged_calibration_is_told(workdir: pathlib.Path, measured: list[int]):
    """Not measured anew: the ids would move."""
    launched(workdir)
    file = workdir / calibration.NAME
    file.write_text(file.read_text().replace('0.01', '0.02'))
    with pytest.raises(paths.Damaged, match=calibration.NAME):
        launched(workdir)
    assert measured == [8, 64]


def test_a_launch_measures_and_trains(workdir: pathlib.Path):
    """At real pace: as many updates as the seconds hold by the file; study.json has what was declared."""
    study = launched(workdir, total_seconds=0.02)
    known = calibration.read(workdir)
    assert len(known) == 2
    assert command.execute(Console(quiet=True), workdir, study) == 0
    for plan in study.plans:
        per_update = known[seconds.key(plan)]
        assert per_update > 0
        rows = [row for row in toy.rows(workdir, plan) if 'batch_loss' in row]
        assert rows[-1]['step'] + 1 == max(1, int(0.02 / per_update))
        # The records' seconds are those that were counted in, so that the arms' are equal to within an update.
        for row in records.rows(paths.run_dir(workdir, plan.study, plan.id)):
            assert row['seconds'] == pytest.approx(row['step'] * per_update)
        assert 0.02 - per_update < plan.length.total_steps * per_update <= max(0.02, per_update)
    entry = study_file.read(workdir / 'train')['equal_seconds']
    assert (entry['base']['total_seconds'], entry['held_fixed']) == (0.02, ['seconds'])
