"""Several real processes that train together, as a user starts them: the same numbers, kills, and bad input."""

import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import together
import toy

from bsresearch.launching import multihost
from bsresearch.store import records
from bsresearch.train.devices import processes

HERE = pathlib.Path(__file__).parent

# One run whose batches lie over the processes, added in a fixed order, so that any number of them gives the same bits.
RUN = (
    f'--config={HERE.parent}/configs/quickstart.py', '--config.seed=3', '--config.batch_size=30',
    '--config.learning_rate=0.02', '--config.total_epochs=12', '--config.reduction=ordered',
    '--config.checkpoint.min_seconds=0.1', '--config.model.widths=(16,)', '--config.norms.log_spaced=0',
    '--config.measure.parameter_norm.every_epochs=0',
    '--config.evaluate.every_epochs=4', '--config.measure.distance.every_epochs=4', '--config.keep.at_epochs=(4,)',
)  # fmt: skip
STREAMED = ('--config.data_residence=host',)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Command:
    """main.py, running."""

    def __init__(self, workdir: pathlib.Path, log: pathlib.Path, *arguments: str, **variables: str):
        self.log = log
        with open(log, 'w') as out:
            self.process = subprocess.Popen(
                [sys.executable, 'main.py', *arguments, f'--workdir={workdir}'],
                cwd=HERE.parent, env=toy.environment() | variables, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def ended(self, seconds: float = 240) -> tuple[int, str]:
        """Exit code and all it said."""
        try:
            code = self.process.wait(seconds)
        finally:
            self.process.kill()
            self.process.wait()
        return code, self.log.read_text()


def started(folder: pathlib.Path, workdir: pathlib.Path, *arguments: str, count: int = 2) -> list[Command]:
    """That many processes of one command, on this machine."""
    port = free_port()
    start = lambda i: Command(
        workdir, folder / f'{time.monotonic_ns()}-{i}.log', *arguments, '--multihost',
        f'--coordinator=localhost:{port}', f'--processes={count}', f'--process={i}',
    )  # fmt: skip
    return [start(i) for i in range(count)]


def result(workdir: pathlib.Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of the one run, without times; its checkpoint files by item, digested by the store at the end."""
    (folder,) = [p.parent for p in workdir.glob('*/*/meta.json')]
    rows = [{k: v for k, v in row.items() if 'seconds' not in k} for row in records.rows(folder)]
    last = max(int(p.name) for p in workdir.glob('*/groups/*/checkpoints/*') if p.name.isdigit())
    (meta,) = workdir.glob(f'*/groups/*/checkpoints/{last}/meta/metadata')
    return rows, dict(re.findall(r'"(state|ensemble|measure_\w+)": ?"([0-9a-f]{64})"', meta.read_text()))


@pytest.fixture(scope='module')
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The run by one process, never stopped."""
    workdir = tmp_path_factory.mktemp('alone') / 'runs'
    assert together.run([*RUN], str(workdir)) == 0
    return result(workdir)


def wait_for(pattern: str, workdir: pathlib.Path, running: Sequence[Command]) -> None:
    """Until such a path is there."""
    end = time.monotonic() + 120
    while not any(workdir.glob(pattern)):
        assert time.monotonic() < end, running[0].log.read_text()
        assert all(c.process.poll() is None for c in running), running[0].log.read_text()
        time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_give_the_bits_of_one_and_one_goes_on_with_four_devices(
    tmp_path: pathlib.Path, workdir: pathlib.Path, alone: tuple[Any, Any]
):
    """pmap, each feeding its part of streamed batches; a signal to one stops both, saved; then one ends the run."""
    both = started(tmp_path, workdir, *RUN, *STREAMED, '--config.mesh.batch=2', '--config.parallel=pmap')
    wait_for('*/groups/*/checkpoints/[1-9]*', workdir, both)
    both[1].process.send_signal(signal.SIGTERM)
    for command in both:
        code, said = command.ended()
        assert code == 128 + signal.SIGTERM, said
    assert 'on 1 × 2 devices (replica × batch, pmap)' in both[0].log.read_text()
    code, said = Command(workdir, tmp_path / 'log', *RUN, JAX_NUM_CPU_DEVICES='4').ended()
    assert code == 0, said
    assert 'on 1 × 4 devices' in said
    assert result(workdir) == alone


@pytest.mark.slow
@pytest.mark.parametrize('victim', [0, 1])
def test_a_killed_process_ends_the_other_and_the_same_command_resumes(
    tmp_path: pathlib.Path, workdir: pathlib.Path, alone: tuple[Any, Any], victim: int
):
    """Inside a minute, with a clear last line; kill −9 of the one that writes, and of the other."""
    both = started(tmp_path, workdir, *RUN)
    wait_for('*/groups/*/checkpoints/[1-9]*', workdir, both)
    both[victim].process.kill()
    both[victim].process.wait()
    code, said = both[1 - victim].ended(60)
    assert code == 1
    assert said.strip().splitlines()[-1] == f'main.py{multihost.LEFT}'.strip()
    again = started(tmp_path, workdir, *RUN)
    assert [c.ended()[0] for c in again] == [0, 0], again[0].log.read_text()
    assert result(workdir) == alone


FEW = ('--config.total_epochs=0.2', '--config.keep.at_epochs=()', '--config.measure.sharpness.at_steps=(4,)')
GRID = ('--config.sweep.seed=(3,4)', '--config.total_epochs=2')
BARE = tuple(a for a in RUN if 'epochs=' not in a or 'every' in a)
SAME = (*BARE, *GRID)
PMAP = (*BARE, *FEW, '--config.parallel=pmap')
# Name → what process 1 is given beside the arguments of both.
OTHER = {'config': '--config.learning_rate=0.5', 'refused': '--config.micro_batch_size=-3'}


class Pair(NamedTuple):
    """What two processes of one launch made of several commands. said: name → (exit code, output) of each process."""

    folder: pathlib.Path
    said: dict[str, list[tuple[int, str]]]


def of_two(folder: pathlib.Path, cases: Mapping[str, Any]) -> Pair:
    """Two processes with what Slurm's srun puts into the environment of each, and no flag that says who they are."""
    (folder / 'cases.json').write_text(json.dumps(cases))
    # The coordinator's port follows the job's number.
    shared = {'SLURM_JOB_ID': str(free_port()), 'SLURM_STEP_NODELIST': 'localhost', 'SLURM_NTASKS': '2'}
    own = (shared | {'SLURM_PROCID': str(i), 'SLURM_LOCALID': str(i)} for i in range(2))
    command = [sys.executable, str(HERE / 'together.py'), str(folder / 'cases.json'), *map(json.dumps, own)]
    done = subprocess.run(command, env=toy.environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    found = lambda name, i: tuple(json.loads((folder / f'{name}-{i}.json').read_text()))
    return Pair(folder, {name: [found(name, i) for i in range(2)] for name in cases})


@pytest.fixture(scope='module')
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """One launch of all commands that a default test looks at."""
    folder = tmp_path_factory.mktemp('pair')
    cases = {'grid': [[SAME, str(folder / 'grid')]] * 2}
    cases |= {name: [[[*RUN, *more], str(folder / name)] for more in ((), (flag,))] for name, flag in OTHER.items()}
    cases['elsewhere'] = [[RUN, str(folder / name)] for name in ('elsewhere', 'another place')]
    return of_two(folder, cases)


def test_slurm_starts_them_and_groups_lie_over_processes(pair: Pair, tmp_path: pathlib.Path):
    """Two runs on a row each: what the other process holds is fetched for records and checkpoints."""
    assert [code for code, _ in pair.said['grid']] == [0, 0], pair.said['grid']
    assert 'on 2 × 1 devices' in pair.said['grid'][0][1]
    assert together.run([*SAME], str(tmp_path)) == 0
    folders = list((pair.folder / 'grid').glob('*/*/meta.json'))
    assert len(folders) == 2
    for folder in folders:
        other = tmp_path / folder.relative_to(pair.folder / 'grid').parent
        for own, alone in zip(records.rows(folder.parent), records.rows(other), strict=True):
            assert own['step'] == alone['step']
            for name in {'batch_loss', 'test_loss', 'distance'} & alone.keys():
                assert own[name] == pytest.approx(alone[name], rel=1e-5)


@pytest.mark.slow
def test_pmap_over_processes_measures_on_the_host(tmp_path: pathlib.Path):
    """Programs that one device runs are called beside those of pmap, with the same arrays."""
    both, one = tmp_path / 'both', tmp_path / 'one'
    said = of_two(tmp_path, {'pmap': [[PMAP, str(both)]] * 2}).said['pmap']
    assert [code for code, _ in said] == [0, 0], said
    assert together.run([*BARE, *FEW], str(one)) == 0
    found, wanted = ([r['sharpness'] for r in result(w)[0] if 'sharpness' in r] for w in (both, one))
    assert found
    assert found == pytest.approx(wanted, rel=1e-4)


def test_other_configs_are_refused_before_training(pair: Pair):
    """Both say which, and nothing is written."""
    for code, said in pair.said['config']:
        assert code == 2, said
        assert re.search(r'not started alike: config \w+ in process 0, \w+ in process 1; give all the same', said)
    assert not (pair.folder / 'config').exists()


def test_what_one_process_refuses_all_refuse(pair: Pair):
    """With its reason, at once."""
    reason = 'config.micro_batch_size=-3: must be at least 1'
    wanted = f'process 1 was given something else, and refused it: {reason}', reason
    for (code, said), text in zip(pair.said['refused'], wanted, strict=True):
        assert code == 2, said
        assert text in said


def test_a_workdir_that_is_not_shared_is_refused(pair: Pair):
    """Each of two hosts has a directory of that name: here two directories."""
    for code, said in pair.said['elsewhere']:
        assert code == 2, said
        assert f'is not shared: {socket.gethostname()} cannot see what process 0 writes there' in said
    assert not (pair.folder / 'elsewhere').exists()


def test_a_coordinator_that_does_not_answer_is_named():
    """In the time that was given."""
    address = f'localhost:{free_port()}'
    with pytest.raises(ValueError, match=f'the coordinator {address} did not answer within 1 s'):
        multihost.run(lambda: 0, address, 2, 1, 1)


def test_processes_that_do_not_come_are_told():
    """Process 0 waits for them as long as it was given; JAX's runtime ends it."""
    address = f'localhost:{free_port()}'
    code = f'from bsresearch.launching import multihost; multihost.run(lambda: 0, {address!r}, 2, 0, 2)'
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=HERE.parent, env=toy.environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done.stderr
    assert f'not all of the 2 processes came to {address} within 2 s' in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (('localhost:1', None, None), '--processes, --process missing: give all of'),
        (('localhost', 2, 0), '--coordinator=localhost: host:port of process 0 is needed'),
        (('localhost:1', 2, 2), '--process=2 with --processes=2: must lie in [0, 1]'),
        ((None, None, None), '--multihost: the processes did not come together by this environment'),
    ],
)
def test_bad_flags_are_refused(given: tuple[Any, Any, Any], message: str):
    """Before anything is connected."""
    with pytest.raises(ValueError, match=re.escape(message)):
        multihost.run(lambda: 0, *given, 1)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """This as process 1 of 2; what process 0 broadcast is taken from the list."""
    told: list[Any] = []
    monkeypatch.setattr(jax, 'process_count', lambda: 2)
    monkeypatch.setattr(jax, 'process_index', lambda: 1)
    monkeypatch.setattr(processes, '_broadcast', lambda data: told.pop())
    return told


def test_an_error_in_process_0_is_raised_in_all(two: list[bytes]):
    """None of them goes on alone."""
    import pickle

    two.append(pickle.dumps((None, ValueError('no such run'))))
    with pytest.raises(ValueError, match='no such run'):
        processes.share(lambda: pytest.fail('only process 0 reads'))
    two.append(pickle.dumps((np.arange(3), None)))
    np.testing.assert_array_equal(processes.share(lambda: None), np.arange(3))
