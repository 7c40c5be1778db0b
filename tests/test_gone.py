"""A workdir that is moved away while runs are made in it: told in one line, made nowhere anew, and its runs go on."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import toy

from bsresearch.launching import command, environment, groups, planner, probing, runner
from bsresearch.launching.jobs import jobs, worker
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.store import paths, presence, records
from bsresearch.store.checkpoints import Checkpoints
from bsresearch.store.writer import Writer
from bsresearch.studies import gradient_norm
from bsresearch.train import loop

# Of a failed save Orbax leaves coroutines that nobody awaits; each test collects its own.
pytestmark = [
    pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning'),
    pytest.mark.usefixtures('late_errors'),
]
ROOT = pathlib.Path(__file__).parent.parent
CHANGES: dict[str, Any] = {'sweep__batch_size': (8, 16), 'checkpoint__every_steps': 10, 'record__dense': True}
# When it is moved: at a call of the console, or when one of the program's functions is about to be called.
MOMENTS = {
    'before the group begins': ('start_group', 1),
    'between updates': ('progress', 1),
    'after the last update': ('progress', 'last'),
    'when a group has ended': ('end_group', 1),
    'when all have ended': ('end_group', 2),
    'before its meta is begun': (environment, 'begin'),
    'in the last seconds': (runner, '_end'),
    'while a checkpoint is saved': (loop.Session, 'save'),
    'before the groups are formed': (groups, 'form'),
}


class Moving(toy.Quiet):
    """Moves the workdir at the n-th call of one of its methods."""

    def __init__(self, workdir: pathlib.Path, moment: tuple[Any, Any]):
        super().__init__()
        self._workdir, self._moment, self._calls = workdir, moment, 0

    def _at(self, name: str, last: bool = False) -> None:
        if self._moment[0] == name and self._workdir.exists():
            self._calls += 1
            if last if self._moment[1] == 'last' else self._calls == self._moment[1]:
                self._workdir.rename(self._workdir.with_name('moved'))

    def start_group(self, *_: Any) -> None:
        self._at('start_group')

    def progress(self, step: int, *_: Any, **__: Any) -> None:
        self._at('progress', step == 40)

    def end_group(self, *_: Any) -> None:
        self._at('end_group')


def study_of(plans: list[Plan], *stages: Any) -> planner.Study:
    def procedure(_: Any) -> Any:
        yield from (stage for stage in stages)  # a tuple is sent nothing

    return toy.study(SimpleNamespace(stages=procedure), plans)


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The runs as they are without disturbance."""
    workdir = tmp_path_factory.mktemp('whole') / 'runs'
    toy.train(workdir, toy.plans(**CHANGES))
    return workdir


@pytest.mark.parametrize('moment', MOMENTS)
def test_a_workdir_that_is_moved_away_is_told_and_not_made_anew(
    moment: str, workdir: pathlib.Path, whole: pathlib.Path, patching: pytest.MonkeyPatch, capsys: Any
):
    """At all times: exit code 1 and one line; nothing at the old place; at the new one the runs are finished."""
    plans, (owner, name) = toy.plans(**CHANGES), MOMENTS[moment]
    console = Moving(workdir, MOMENTS[moment])
    if not isinstance(owner, str):
        real = getattr(owner, name)

        def moving(*args: Any, **kwargs: Any) -> Any:
            if workdir.exists():  # not while the launch is measured elsewhere
                patching.undo()
                workdir.rename(workdir.with_name('moved'))
            return real(*args, **kwargs)

        patching.setattr(owner, name, moving)
        if owner is groups:  # there is something to move
            paths.claim_workdir(workdir)
    assert command.execute(console, workdir, study_of(plans, plans)) == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert ' is gone: ' in errors[0]
    assert str(workdir) in errors[0]
    assert not workdir.exists()
    moved = workdir.with_name('moved')
    for lease in moved.glob('*/groups/*/lease.json'):
        lease.unlink()  # of this process, which lives
    toy.train(moved, plans)
    for plan in plans:
        assert toy.rows(moved, plan) == toy.rows(whole, plan)
        toy.assert_equal(toy.dense(moved, plan), toy.dense(whole, plan))


def test_a_stage_begins_nothing_where_the_workdir_was_before(workdir: pathlib.Path, capsys: Any):
    """Moved between stages, the runs of the first one are not trained again."""
    (first,), (second,) = toy.plans(total_steps=2), toy.plans(total_steps=2, seed=1)

    def stages(_: Any) -> Any:
        results = yield [first]
        assert results[first.id].status == 'done'
        workdir.rename(workdir.with_name('moved'))
        yield [first, second]

    study = toy.study(SimpleNamespace(stages=stages), [first])
    assert command.execute(Moving(workdir, ('', 0)), workdir, study) == 1
    assert ' is gone: ' in capsys.readouterr().err
    assert not workdir.exists()


def test_another_workdir_at_the_same_place_is_not_the_one(workdir: pathlib.Path, tmp_path: pathlib.Path):
    """Known by more than its name: a copy made there meanwhile is not written into."""
    workdir.mkdir()
    (workdir / 'a').touch()
    stay = presence.Stay(workdir)
    workdir.rename(tmp_path / 'moved')
    shutil.copytree(tmp_path / 'moved', workdir)
    with pytest.raises(presence.Gone), stay:
        stay.check()
    stay = presence.Stay(workdir)
    shutil.rmtree(workdir)
    workdir.mkdir()  # which may well be given the same inode, were the old one not held
    with pytest.raises(presence.Gone), stay:
        pass


def test_a_writer_makes_no_directory(tmp_path: pathlib.Path):
    """Rows, dense records, metas: each needs the run's own, made with its group."""
    with pytest.raises(FileNotFoundError):
        Writer(tmp_path / 'none')
    (tmp_path / 'run').mkdir()
    writer = Writer(tmp_path / 'run')
    writer.dense(0, {'x': records.np.zeros(1)})
    (tmp_path / 'run').rename(tmp_path / 'moved')
    with pytest.raises(FileNotFoundError):
        writer.flush()
    writer.close()
    with pytest.raises(presence.Gone):
        environment.update(tmp_path / 'run', {})
    assert [p.name for p in tmp_path.iterdir()] == ['moved']


def test_a_probe_and_a_job_tell_it_too(workdir: pathlib.Path, patching: pytest.MonkeyPatch, capsys: Any):
    """One line each."""
    plans = toy.plans(total_steps=4, keep__at_steps=(4,), probe__name='gradient_norm', probe__at_steps=(4,),
                      probe__batch_sizes=(4, 8), probe__trials=4, probe__seed=0)  # fmt: skip
    _, probes = gradient_norm.stages(plans)
    toy.train(workdir, plans)
    assert isinstance(probes[0], Probe)
    item, real = jobs.of_probe(workdir, probes[0]), probing._save

    def moving(*args: Any) -> None:
        workdir.rename(workdir.with_name('moved'))
        real(*args)

    patching.setattr(probing, '_save', moving)
    assert command.execute(Moving(workdir, ('', 0)), workdir, study_of(plans, probes)) == 1
    assert capsys.readouterr().err.count('\n') == 1
    workdir.with_name('moved').rename(workdir)
    (item.directory / 'lease.json').unlink()  # of this process, which lives
    assert worker.run(item, []) == worker.FAILED
    assert ' is gone: ' in capsys.readouterr().out.splitlines()[-1]
    assert not workdir.exists()


@pytest.mark.slow
@pytest.mark.parametrize('updates', [0, 1, 2, 3])
def test_a_real_rename(updates: int, workdir: pathlib.Path):
    """Of another process's workdir, in the middle of its training, with checkpoints being saved all the time."""
    flags = ['--config=configs/quickstart.py', f'--workdir={workdir}', '--config.checkpoint.every_epochs=0.05']
    flags += ['--config.checkpoint.min_seconds=0.0', '--config.batch_size=2', '--config.total_epochs=20']
    variables = os.environ | {'PYTHONPATH': str(ROOT)}
    process = subprocess.Popen([sys.executable, 'main.py', *flags], cwd=ROOT, env=variables, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    end = time.monotonic() + 200
    while len(list(workdir.glob('*/groups/*/checkpoints/[0-9]*'))) < 1:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(0.1 * updates)
    workdir.rename(workdir.with_name('moved'))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.count('\n') == 1
    assert ' is gone: ' in errors
    assert not workdir.exists()


def test_nothing_writes_on_when_checkpoints_are_closed(tmp_path: pathlib.Path):
    """Moved away while items are written: what Orbax fails with is raised, and the old place stays empty."""
    for attempt in range(5):
        workdir = tmp_path / str(attempt)
        (group := workdir / 'train' / 'groups' / 'g').mkdir(parents=True)
        store = Checkpoints(group / 'checkpoints')
        store.save(0, {'state': {'x': np.ones(1_000_000)}, 'ema': {'x': np.ones(3)}}, {})
        workdir.rename(tmp_path / f'moved {attempt}')
        with contextlib.suppress(Exception):
            store.close()
        writing = [thread for thread in threading.enumerate() if type(thread).__module__.startswith('orbax.')]
        assert not writing
        assert not workdir.exists()
