"""Grids as jobs: each run is trained once whoever launches and whatever dies; what does not go on says why."""

import json
import pathlib
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import toy

from bsresearch.launching import command, groups, runner
from bsresearch.launching.jobs import jobs, launcher, status, worker
from bsresearch.launching.jobs.engines import Ended, Engine, local
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.planning.stages import probes_of
from bsresearch.store import leases, paths, records
from bsresearch.studies import gradient_norm, reload
from bsresearch.train.saving import restore

ROOT = pathlib.Path(__file__).parent.parent
LOCAL = Engine('local', 2, {}, local)
PROBED: dict[str, Any] = {
    'study': 'gradient_norm', 'probe__name': 'gradient_norm', 'probe__trials': 12, 'probe__samples': 16,
    'probe__batch_sizes': (1, 8), 'probe__at_steps': (20,), 'probe__learning_rates': (0.1,),
}  # fmt: skip


class Here:
    """An engine whose jobs are made in this process, one after another; `made`: their names in order."""

    def __init__(self, workdir: pathlib.Path):
        self.workdir, self.made = workdir, []

    @property
    def engine(self) -> Engine:
        module: Any = SimpleNamespace(run=self._run, platform=lambda: 'cpu')
        return Engine('here', None, {}, module)

    def _run(self, given: Any, *_: Any) -> Iterator[Ended]:
        for job in given:
            self.made.append(job.name)
            yield Ended(job, worker.run(jobs.find(self.workdir, job.name), []), '')


def launched(workdir: pathlib.Path, study: Any, plans: list[Plan]) -> tuple[int, Here, list[str]]:
    """Exit code, engine and lines of a launch in this process."""
    here, console = Here(workdir), toy.Quiet()
    return launcher.run(console, workdir, toy.study(study, plans), here.engine), here, console.lines


def train_study(stage: Sequence[Plan | Probe]) -> Any:
    def procedure(_: Any) -> Any:
        yield stage

    return SimpleNamespace(stages=procedure)


def names(workdir: pathlib.Path, plans: list[Plan]) -> list[str]:
    """Of the jobs that the plans' groups are."""
    return [f'{p.study}/{groups.status(workdir, p)["group"]}' for p in plans]


def assert_each_trained_once(workdir: pathlib.Path, plans: list[Plan]) -> None:
    """Every run is done, its rows are one unbroken series, and its group was begun by one process."""
    for plan, name in zip(plans, names(workdir, plans), strict=True):
        assert groups.status(workdir, plan)['status'] == 'done'
        steps = [r['step'] for r in records.rows(paths.run_dir(workdir, plan.study, plan.id)) if 'batch_loss' in r]
        assert steps == sorted(set(steps))
        log = (jobs.find(workdir, name).directory / 'log.txt').read_text()
        assert log.count('group 1/1:') == log.count('finished after') == 1, log


@pytest.fixture(autouse=True)
def environment(patching: pytest.MonkeyPatch) -> None:
    """Of job processes."""
    for name, value in toy.environment().items():
        patching.setenv(name, value)


@pytest.mark.slow
def test_two_launchers_at_once_train_each_run_once(workdir: pathlib.Path):
    """Both declare the group and give it to a real process; the second finds it taken or done."""
    plans = toy.plans(total_steps=400)
    results: dict[int, bool] = {}

    def one(number: int) -> None:
        (items,) = launcher.declare(workdir, [plans], LOCAL, lambda _: None)
        results[number] = launcher.Launcher(workdir, LOCAL, lambda _: None).stage('', items)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {0: True, 1: True}
    assert_each_trained_once(workdir, plans)
    assert len(list((workdir / 'train' / 'groups').iterdir())) == 1


def started(workdir: pathlib.Path, name: str) -> subprocess.Popen[bytes]:
    """A job's process, in the middle of its training: it saved further than was reached before."""
    item = jobs.find(workdir, name)
    before, command = (
        jobs.state(item).step,
        launcher.Launcher(workdir, LOCAL, print).command(item).command,
    )
    saved = lambda: [int(p.name) for p in item.directory.glob('checkpoints/*') if p.name.isdigit()]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 300
    try:
        while max(saved(), default=0) <= before:
            assert process.poll() is None, (item.directory / 'log.txt').read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def test_a_job_is_preempted_then_killed_and_still_finishes(workdir: pathlib.Path):
    """Several signals as a scheduler sends them: it saves and leaves. SIGKILL: the next launch goes on, rows whole."""
    plans = toy.plans(batch_size=1, total_steps=12_000, checkpoint__every_steps=400, keep__at_steps=(400,))
    launcher.declare(workdir, [plans], LOCAL, print)
    (name,) = names(workdir, plans)
    process = started(workdir, name)
    for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGTERM, signal.SIGUSR2):
        process.send_signal(number)
    assert process.wait(120) in (128 + signal.SIGUSR2, 128 + signal.SIGTERM)
    stopped = jobs.state(jobs.find(workdir, name))
    assert stopped.name == 'stopped'
    assert 'everything reached is saved' in stopped.reason
    process = started(workdir, name)
    running = jobs.state(jobs.find(workdir, name))
    assert running.owner is not None
    assert (running.name, running.owner['pid']) == ('running', process.pid)
    assert f'process {process.pid}' in status.text(workdir)
    process.kill()
    process.wait()
    killed = jobs.state(jobs.find(workdir, name))
    assert killed.name == 'stopped'
    assert f'process {process.pid} ' in killed.reason
    assert 'ended without a word' in killed.reason
    assert stopped.step <= killed.step < 12_000
    code, _, _ = launched(workdir, train_study(plans), plans)
    assert code == 0
    steps = [r['step'] for r in toy.rows(workdir, plans[0]) if 'batch_loss' in r]
    assert steps == sorted(set(steps))
    assert toy.rows(workdir, plans[0])[-1]['step'] == 12_000


def break_training(patching: pytest.MonkeyPatch, batch_size: int) -> None:
    """Groups of that batch size fail."""
    real = runner.loop.run

    def broken(session: Any, *others: Any) -> Any:
        if session.plans[0].batch_size == batch_size:
            raise RuntimeError('out of memory, say')
        return real(session, *others)

    patching.setattr(runner.loop, 'run', broken)


def test_a_failed_group_stops_only_its_own_branches_and_is_retried(workdir: pathlib.Path, patching: Any):
    """Parents before branches; who has no parent yet waits and says why; --retry finishes all, the rest left alone."""
    changes: dict[str, Any] = {'study': 'reload', 'branch__at_steps': (20,), 'branch__learning_rates': (0.2,)}
    plans = toy.plans(sweep__batch_size=(8, 16), branch__more_epochs=0.1, **changes)
    with patching.context() as patched:
        break_training(patched, 16)
        code, here, _ = launched(workdir, reload, plans)
    parents = names(workdir, plans)
    branches = {size: {n for p, n in zip(made, names(workdir, made), strict=True) if p.batch_size == size}
                for size in (8, 16) for made in [reload.branches(plans)]}  # fmt: skip
    assert code == 1
    assert here.made == [*sorted(parents, key=here.made.index), *sorted(branches[8], key=here.made.index)]
    states = {item.name: jobs.state(item) for item in jobs.load(workdir)}
    assert (states[parents[0]].name, states[parents[1]].name) == ('done', 'failed')
    assert states[parents[1]].reason == 'RuntimeError: out of memory, say'
    assert {states[n].name for n in branches[8]} == {'done'}
    assert {states[n].name for n in branches[16]} == {'to do'}
    assert all('has no checkpoint at update 20' in states[n].reason for n in branches[16])
    # A branch is counted from where it begins.
    assert {(states[n].step, states[n].total) for n in branches[16]} == {(0, 9)}
    assert {states[n].step for n in branches[8]} == {18}
    told = status.text(workdir)
    assert 'RuntimeError: out of memory, say' in told
    assert f'{1 + len(branches[8])} done, 1 failed, {len(branches[16])} to do' in told
    # Failed work is not repeated by itself.
    code, here, lines = launched(workdir, reload, plans)
    assert (code, here.made) == (1, [])
    assert any('--retry' in line for line in lines)
    assert status.retry(workdir) == [parents[1]]
    code, here, _ = launched(workdir, reload, plans)
    assert code == 0
    assert here.made[0] == parents[1]
    assert set(here.made[1:]) == branches[16]
    assert {jobs.state(item).name for item in jobs.load(workdir)} == {'done'}


def test_probes_are_jobs(workdir: pathlib.Path):
    """Written down and read back with the same id; made once, after their run; the study's conclusion is printed."""
    plans = toy.plans(**PROBED | {'model': {'name': 'linear'}, 'probe__learning_rates': (0.05, 0.1)})
    stages = list(gradient_norm.stages(plans))
    for probe in probes_of(stages[1]):
        again = Probe.from_json(json.loads(json.dumps(probe.to_json())))
        assert (again.id, again) == (probe.id, probe)
    code, here, lines = launched(workdir, gradient_norm, plans)
    assert code == 0
    assert here.made == [*names(workdir, plans), *(f'gradient_norm/{p.id}' for p in probes_of(stages[1]))]
    assert any('gradient norm against batch size' in line for line in lines)
    assert '3 jobs: 3 done' in status.text(workdir)
    assert launched(workdir, gradient_norm, plans)[1].made == []


def test_a_probe_of_a_diverged_run_is_left_out(workdir: pathlib.Path):
    """As main.py has it: the others are made; none at all is no success."""
    plans = toy.plans(**PROBED, sweep__learning_rate=(0.05, 1e6), divergence__loss_factor=1.5)
    code, here, _ = launched(workdir, gradient_norm, plans)
    assert (code, len(here.made)) == (0, 2)
    assert '1 left out' in status.text(workdir)
    assert launched(workdir / 'other', gradient_norm, plans[1:])[0] == 1


def test_a_job_elsewhere_is_left_alone_while_it_beats(workdir: pathlib.Path, patching: pytest.MonkeyPatch):
    """Another host's lease: one that beats is alive, and the job ends well; one that does not is taken when stale."""
    plans = toy.plans()
    ((item,),) = launcher.declare(workdir, [plans], LOCAL, print)
    patching.setattr(leases, 'STALE_SECONDS', 2.0)
    lease = item.directory / 'lease.json'
    owner = {'host': 'elsewhere', 'pid': 1, 'process_start': 0.0}
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.2):
            paths.write_json(lease, owner | {'beat': time.time()})

    beating = threading.Thread(target=beat)
    beating.start()
    while not lease.exists():
        time.sleep(0.01)
    assert worker.run(item, []) == 0
    assert jobs.state(item).name == 'running'
    over.set()
    beating.join()
    assert worker.run(item, []) == 0
    assert jobs.state(item).name == 'done'


def test_groups_are_formed_for_where_the_jobs_run(workdir: pathlib.Path):
    """Declared on a CPU for a GPU, replicas are mapped together, as a launch on the GPU itself would have it."""
    plans = toy.plans(sweep__seed=(0, 1), strategy='auto', batch_size=1)
    gpu: Any = SimpleNamespace(platform=lambda: 'gpu')
    ((item,),) = launcher.declare(workdir, [plans], Engine('x', None, {}, gpu), print)
    assert groups.load(item.directory).strategy == 'vmap'


def test_a_workdir_of_another_host_is_told(workdir: pathlib.Path, tmp_path: pathlib.Path, patching: Any):
    """Same path, other disk: there the launcher's token is missing, or another's."""
    patching.setattr(jobs, 'TOKEN_SECONDS', 0.0)
    token = jobs.token(workdir)
    assert jobs.token(workdir) == token
    jobs.check_token(workdir, token)
    with pytest.raises(jobs.NotShared, match=r'launch\.json is missing.*must lie on a disk that all hosts share'):
        jobs.check_token(tmp_path / 'other', token)
    jobs.token(tmp_path / 'own')
    with pytest.raises(jobs.NotShared, match='of another launch'):
        jobs.check_token(tmp_path / 'own', token)


def test_one_look_at_another_hosts_lease_does_not_tell(workdir: pathlib.Path):
    """--status says what makes it doubtful that its owner lives; a launcher, which looks again, knows after 60 s."""
    plans = toy.plans()
    ((item,),) = launcher.declare(workdir, [plans], LOCAL, print)
    lease, now, clock = item.directory / 'lease.json', time.time(), [0.0]
    owner = {'host': 'elsewhere', 'pid': 7, 'process_start': 0.0}
    for beat, words in ((now, ''), (now - 4000, '4,000 s ago'), (now + 4000, '000 s ahead'), (None, 'cannot be read')):
        lease.write_text('[]' if beat is None else json.dumps(owner | {'beat': beat}))
        state = jobs.state(item)
        assert state.name == 'running'
        assert words in state.reason
        assert bool(words) == ('silent?' in state.reason) == ('silent?' in status.text(workdir))
        assert ('heartbeat' in status.text(workdir)) == (not words)
    watch = leases.Watch(clock=lambda: clock[0])
    assert jobs.state(item, watch).name == 'running'
    clock[0] = 61.0
    assert jobs.state(item, watch).name == 'stopped'


def test_a_job_that_waits_for_a_lease_leaves_on_a_signal(workdir: pathlib.Path):
    """As stopped, so that a scheduler queues it again; nothing is trained."""
    ((item,),) = launcher.declare(workdir, [toy.plans()], LOCAL, print)
    paths.write_json(item.directory / 'lease.json', {'host': 'elsewhere', 'pid': 7, 'process_start': 0.0, 'beat': 0.0})
    assert worker.run(item, [signal.SIGTERM]) == 128 + signal.SIGTERM
    assert jobs.state(item).step == 0


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.usefixtures('late_errors')
def test_a_damaged_checkpoint_under_a_probe_is_told_in_one_line(workdir: pathlib.Path, capsys: Any):
    """By main.py and by a job, with its place and what to do; so is one at update 0."""
    for step, how in ((2, 'flipped'), (0, 'half removed')):
        plans = toy.plans(total_steps=2, seed=step, probe__name='gradient_norm', probe__at_steps=(step,),
                          probe__batch_sizes=(4, 8), probe__trials=2, keep__at_steps=(2,))  # fmt: skip
        _, stage = gradient_norm.stages(plans)
        probes = [p for p in stage if isinstance(p, Probe)]
        toy.train(workdir, plans)
        folder = restore.group_directory(workdir, plans[0]) / ('checkpoints' if step else 'initial') / str(step)
        toy.damage(folder)
        if how == 'half removed':
            shutil.rmtree(folder / 'meta')
        capsys.readouterr()
        assert command.execute(toy.Quiet(), workdir, toy.study(train_study(probes), plans)) == 1
        errors = capsys.readouterr().err
        assert errors.count('\n') == 1
        assert str(folder) in errors
        assert 'restore that folder' in errors
        ((item,),) = launcher.declare(workdir, [probes], LOCAL, print)
        assert worker.run(item, []) == worker.FAILED
        assert str(folder) in jobs.state(item).reason
        assert 'Traceback' not in capsys.readouterr().out
