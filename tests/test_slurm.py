"""A grid on a real Slurm of one node, which tests/local_slurm.sh starts here: arrays, preemption, two launchers."""

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from bsresearch.launching import groups
from bsresearch.launching.jobs import jobs
from bsresearch.store import paths, records

ROOT = pathlib.Path(__file__).parent.parent
# Under load a job needs a minute to begin; on a quiet machine all of it takes two.
DEADLINE_SECONDS = 1500.0
GRID = (
    '--config=configs/quickstart.py', '--config.model.widths=16,', '--config.total_steps=20000',
    '--config.sweep.batch_size=1,2,4', '--config.sweep.seed=0,1', '--config.learning_rate=0.01',
    '--config.checkpoint.every_steps=500', '--config.checkpoint.min_seconds=0.0', '--config.evaluate.every_epochs=5.0',
    '--config.measure.distance.every_epochs=0.0', '--config.measure.parameter_norm.every_epochs=0.0',
)  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands work."""
    pytest.importorskip('submitit')
    folder = tmp_path_factory.mktemp('slurm')
    made = subprocess.run(['bash', str(ROOT / 'tests/local_slurm.sh'), str(folder)], capture_output=True, text=True)
    try:
        if made.returncode == 77:
            pytest.skip(f'no Slurm here: {made.stdout}')
        assert made.returncode == 0, made.stdout + made.stderr
        shown = subprocess.run(['bash', '-c', f'. {folder}/env.sh; env -0'], capture_output=True, text=True, check=True)
        environment = dict(line.split('=', 1) for line in shown.stdout.split('\0') if line)
        yield environment | {'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': str(ROOT)}
    finally:
        if (folder / 'stop.sh').exists():
            subprocess.run(['bash', str(folder / 'stop.sh')], check=False)


def launcher(workdir: pathlib.Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """The command of a user on a login node."""
    options = ('--engine=slurm', '--slurm_partition=debug', '--array=2', '--slurm_minutes=30', '--slurm_poll_seconds=1')
    own = (*GRID, *options, f'--slurm_folder={workdir.parent}/submitit', f'--workdir={workdir}')
    words = [sys.executable, '-m', 'scripts.launch', *own]
    return subprocess.Popen(
        words, env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def running(workdir: pathlib.Path, process: subprocess.Popen[str], besides: set[str]) -> jobs.GridJob:
    """A group that a Slurm job trains now and that has a checkpoint to lose."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        for item in jobs.load(workdir) if workdir.is_dir() else []:
            saved = list(item.directory.glob('checkpoints/*/commit_success.txt'))
            if item.name not in besides and saved and jobs.state(item).name == 'running':
                return item
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    raise AssertionError('no group began to train')


def said(item: jobs.GridJob) -> str:
    """What its jobs printed."""
    return (item.directory / 'log.txt').read_text()


def assert_whole(workdir: pathlib.Path) -> None:
    """Every run of the grid is done, and its rows are one series without a gap or a repetition."""
    items = jobs.load(workdir)
    assert len(items) == 3
    for item in items:
        assert jobs.state(item).name == 'done'
        assert said(item).count('finished after') == 1, said(item)
        for plan in groups.load(item.directory).plans:
            rows = list(records.rows(paths.run_dir(workdir, plan.study, plan.id)))
            steps = [row['step'] for row in rows if 'batch_loss' in row]
            assert steps == sorted(set(steps))
            assert rows[-1]['step'] == 20_000


def test_a_grid_is_an_array_whose_jobs_are_preempted_and_finish(workdir: pathlib.Path, cluster: dict[str, str]):
    """One job gets the signal before its time is up, another is requeued by Slurm: both save, wait again and go on."""
    process = launcher(workdir, cluster)
    first = running(workdir, process, set())
    one = paths.read_json(first.directory / 'job.json')['slurm']
    subprocess.run(['scancel', '--signal=USR2', one], env=cluster, check=True)
    second = running(workdir, process, {first.name})
    other = paths.read_json(second.directory / 'job.json')['slurm']
    subprocess.run(['scontrol', 'requeue', other], env=cluster, check=True)
    told, _ = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, told
    assert_whole(workdir)
    for item, number in ((first, one), (second, other)):
        assert said(item).count('stopped; the same command goes on') == 1, said(item)
        assert said(item).count('group 1/1:') == 2
        # The same job of the array, queued again by itself.
        assert paths.read_json(item.directory / 'job.json')['slurm'] == number
    array = one.split('_')[0]
    assert {p.name for p in (workdir.parent / 'submitit').glob('[0-9]*_*')} == {f'{array}_{n}' for n in range(3)}, told


def test_two_launchers_on_slurm_train_each_run_once(workdir: pathlib.Path, cluster: dict[str, str]):
    """Two arrays of all groups: whoever comes second finds them taken or done."""
    both = [launcher(workdir, cluster) for _ in range(2)]
    told = [process.communicate(timeout=DEADLINE_SECONDS)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert_whole(workdir)
    for item in jobs.load(workdir):
        assert said(item).count('group 1/1:') == 1, said(item)
    assert os.listdir(workdir.parent / 'submitit')


def test_srun_starts_processes_that_train_together(cluster: dict[str, str], tmp_path: pathlib.Path):
    """Two tasks of one step find each other by what Slurm tells them, and give the bits of one process."""
    own = (
        '--config=configs/quickstart.py', '--config.seed=0', '--config.batch_size=30', '--config.learning_rate=0.1',
        '--config.total_epochs=2', '--config.reduction=ordered',
    )  # fmt: skip
    main = lambda *more: [sys.executable, str(ROOT / 'main.py'), *own, *more]
    srun = ['srun', '--ntasks=2', '--overcommit', '--partition=debug', '--time=10']
    said = subprocess.run(
        [*srun, *main(f'--workdir={tmp_path}/two', '--multihost')],
        env=cluster, cwd=ROOT, text=True, capture_output=True, check=False, timeout=DEADLINE_SECONDS,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    assert 'on 1 × 2 devices (replica × batch, jit)' in said.stdout
    subprocess.run(main(f'--workdir={tmp_path}/one'), env=cluster, cwd=ROOT, check=True, capture_output=True)
    (two,), (one,) = (sorted((tmp_path / name).glob('*/*/meta.json')) for name in ('two', 'one'))
    plain = lambda folder: [{k: v for k, v in row.items() if 'seconds' not in k} for row in records.rows(folder.parent)]
    assert plain(two) == plain(one)
