"""Engines and the command: what cannot work is told before anything is written; a job's process is stopped in time."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
import toy

from bsresearch.core import program
from bsresearch.launching import walk
from bsresearch.launching.jobs import engines, jobs, launcher, status, worker
from bsresearch.launching.jobs.engines import Job, local, slurm
from bsresearch.planning import schema, sweep

SPAN = """
import pathlib, sys, time
begin, here, own = time.time(), pathlib.Path(sys.argv[1]), sys.argv[2]
(here / f'begun-{own}').touch()
while own in '01' and not (here / f'begun-{1 - int(own)}').exists(): time.sleep(0.02)
(here / f'span-{own}').write_text(f'{begin} {time.time()}')
sys.exit(int(own))
"""


def test_local_runs_as_many_at_once_as_asked(tmp_path: pathlib.Path):
    """The first two wait for each other, so they were there together; by the times they wrote, never were three."""
    given = [Job(f'train/{n}', (sys.executable, '-c', SPAN, str(tmp_path), str(n))) for n in range(5)]
    ended = list(local.run(given, 2, lambda: False))
    assert {(e.job.name, e.code) for e in ended} == {(f'train/{n}', n) for n in range(5)}
    spans = [tuple(map(float, p.read_text().split())) for p in tmp_path.glob('span-*')]
    assert max(sum(a <= begin < b for a, b in spans) for begin, _ in spans) == 2


SAVING = """
import pathlib, signal, sys, time
mark = pathlib.Path(sys.argv[1])
def save(*_):
    time.sleep(0.5)
    mark.write_text('yes')
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
mark.write_text('no')
time.sleep(600)
"""


def test_local_asks_its_jobs_to_stop(tmp_path: pathlib.Path):
    """A launcher that was asked to stop waits until its job has saved, and begins no other."""
    mark = tmp_path / 'saved'
    given = [Job(f'train/{n}', (sys.executable, '-c', SAVING, str(mark))) for n in range(2)]
    assert list(local.run(given, 1, mark.exists)) == []
    assert mark.read_text() == 'yes'


def test_an_engine_that_cannot_work_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    """The nearest name, the extra to install, Slurm's commands, an option of no engine."""
    with pytest.raises(ValueError, match="unknown engine 'slrum'; did you mean 'slurm'"):
        engines.chosen('slrum', None, {})
    with pytest.raises(ValueError, match=r'--processes=0: at least 1'):
        engines.chosen('local', 0, {})
    with pytest.raises(ValueError, match='--slurm_gpus is of engine slurm; this launch has --engine=local'):
        engines.chosen('local', None, {'slurm_gpus': 1})
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, 'submitit', None)
        with pytest.raises(ValueError, match=r'extra `cluster`: pip install -r requirements-cluster\.txt'):
            engines.chosen('slurm', 16, {'slurm_partition': 'gpu'})
    monkeypatch.setitem(sys.modules, 'submitit', ModuleType('submitit'))
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(ValueError, match=r'needs sbatch, srun, squeue, scontrol, which is not on this machine'):
        engines.chosen('slurm', 16, {})
    monkeypatch.setattr(slurm.shutil, 'which', lambda name: name)
    with pytest.raises(ValueError, match='--slurm_minutes=1 is over before --slurm_signal_seconds=120'):
        engines.chosen('slurm', 16, {'slurm_minutes': 1})


def launched(*arguments: object) -> int:
    """The exit code of a launch on this machine, in this process."""
    return launcher.launch(*toy.typed(launcher.Request, *arguments), {})


def test_a_bad_config_is_told_before_anything_is_written(workdir: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    """One line, exit code 2, no workdir."""
    assert launched('--config=quickstart', f'--workdir={workdir}', '--config.batch_size=0') == program.USAGE
    told = capsys.readouterr().err
    assert 'batch_size=0' in told
    assert told.count('\n') == 1
    assert not workdir.exists()


def test_a_job_on_another_disk_says_so(workdir: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    """A line that names the host and the cure; there it writes nothing."""
    jobs.token(workdir)
    before = sorted(workdir.rglob('*'))
    assert worker.work(None, worker.Request('train/0123', str(workdir), 'of-another-disk')) == worker.NOT_SHARED
    told = capsys.readouterr().err
    assert f'on host {socket.gethostname()} {workdir} is not the directory that the launcher wrote into' in told
    assert sorted(workdir.rglob('*')) == before


def test_the_status_of_no_grid_is_an_error(tmp_path: pathlib.Path):
    """It names the directory and what it would have to be."""
    with pytest.raises(ValueError, match='no such directory; name what a launch was given'):
        status.text(tmp_path / 'none')
    with pytest.raises(ValueError, match='holds no groups and no probes'):
        status.text(tmp_path)


def test_slurm_stops_the_process_that_a_job_is(tmp_path: pathlib.Path):
    """submitit calls `checkpoint` in a signal's handler, in the middle of the call: the process ends first."""
    submitit = pytest.importorskip('submitit')
    mark = tmp_path / 'saved'
    made, found = slurm.Worker((sys.executable, '-c', SAVING, str(mark))), []

    def handler(*_: Any) -> None:
        found.append((made.checkpoint(), mark.read_text()))

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        pid = os.getpid()
        waiting = f'import os, pathlib, time\nwhile not pathlib.Path({str(mark)!r}).exists(): time.sleep(0.05)\n'
        waiting += f'time.sleep(0.3); os.kill({pid}, {int(signal.SIGUSR1)})'
        asking = subprocess.Popen([sys.executable, '-c', waiting])
        assert made() == 0
        asking.wait()
    finally:
        signal.signal(signal.SIGUSR1, before)
    ((again, said),) = found
    assert said == 'yes'
    assert isinstance(again, submitit.helpers.DelayedSubmission)
    assert again.function.command == made.command


def test_slurm_leaves_no_result_of_a_job_that_is_queued_again(monkeypatch: pytest.MonkeyPatch):
    """Slurm signals all processes of a job that it requeues: a result would tell the launcher that the job is over."""
    monkeypatch.setenv('SLURM_JOB_ID', '7')
    monkeypatch.setattr(slurm, '_slurm_state', lambda _: 'COMPLETING')
    stopped = f'import sys; sys.exit({128 + signal.SIGTERM})'
    with pytest.raises(SystemExit):
        slurm.Worker((sys.executable, '-c', stopped))()
    assert slurm.Worker((sys.executable, '-c', 'import sys; sys.exit(3)'))() == 3
    asked: list[int] = []
    monkeypatch.setattr(slurm, '_slurm_state', lambda _: 'RUNNING')
    monkeypatch.setattr(slurm.os, 'kill', lambda _, number: asked.append(number))
    with pytest.raises(SystemExit):
        slurm.Worker((sys.executable, '-c', stopped))()
    assert asked == [signal.SIGUSR2]


def test_a_damaged_record_is_told_in_one_line(
    workdir: pathlib.Path, patching: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Also where nothing is left to do, and the launcher itself reads the records for its table."""
    patching.setenv('JAX_PLATFORMS', 'cpu')
    toy.train(workdir, sweep.expand(schema.defaults().to_dict(), {'model.widths': (4,), 'total_steps': 4}))
    (file,) = workdir.glob('train/*/metrics.jsonl')
    file.write_bytes(b'')
    config = f'--config={schema.__file__}', '--config.model.widths=(4,)', '--config.total_steps=4'
    assert launched(*config, f'--workdir={workdir}') == walk.FAILED
    (line,) = capsys.readouterr().err.splitlines()
    assert f': {file} has 0 bytes' in line
