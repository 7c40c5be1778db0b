"""A signal at any moment of a command: one line, exit code 128 + n, nothing swallowed, no traceback. Real processes."""

import pathlib
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import toy

from bsresearch.core import interrupts
from bsresearch.launching import groups
from bsresearch.store import leases, paths
from bsresearch.train import loop

ROOT = pathlib.Path(__file__).parent.parent
FLAGS = ('--config=configs/quickstart.py', '--config.batch_size=2', '--config.total_epochs=30')


def started(workdir: pathlib.Path, *flags: str, program: tuple[str, ...] = ('main.py',)) -> subprocess.Popen[str]:
    command = [sys.executable, *program, *FLAGS, f'--workdir={workdir}', *flags]
    return subprocess.Popen(
        command, cwd=ROOT, env=toy.environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def assert_stopped(process: subprocess.Popen[str], number: int, at: Any = '') -> str:
    """What it printed before."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number, (at, output, errors)
    assert interrupts.line(number) in output, (at, output)
    assert 'Traceback' not in output + errors, (at, errors)
    return output


def test_while_it_is_imported_and_planned(workdir: pathlib.Path):
    """Signals as soon as the program answers them, and a little later."""
    launcher = ('-m', 'scripts.launch')
    for seconds, number, program in (
        (0.0, signal.SIGINT, ('main.py',)), (0.7, signal.SIGTERM, ('main.py',)), (0.0, signal.SIGUSR2, launcher),
        (0.3, signal.SIGINT, ('-m', 'bsresearch', 'run')),
    ):  # fmt: skip
        process = started(workdir / f'{seconds}-{number}', program=program)
        while not answers(process):
            time.sleep(0.01)
        time.sleep(seconds)
        process.send_signal(number)
        assert_stopped(process, number)


def answers(process: subprocess.Popen[str]) -> bool:
    """Whether it has installed its handlers: SIGUSR2, the last of them, is caught."""
    assert process.poll() is None, process.communicate()
    status = pathlib.Path(f'/proc/{process.pid}/status').read_text()
    caught = next(line for line in status.splitlines() if line.startswith('SigCgt:')).split()[1]
    return bool(int(caught, 16) >> (signal.SIGUSR2 - 1) & 1)


def test_while_it_trains(workdir: pathlib.Path):
    """After a checkpoint, with its lease given up; a line of its own."""
    process = started(workdir)
    end = time.monotonic() + 120
    while not list(workdir.glob('*/groups/*/lease.json')):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output = assert_stopped(process, signal.SIGINT)
    assert output.count('stopped by SIGINT') == 1
    assert not list(workdir.glob('*/groups/*/lease.json'))


@pytest.mark.slow
def test_at_twenty_random_moments(workdir: pathlib.Path):
    """From the first import to the end of a short study, also twice in a row; a finished one has ended with 0."""
    short = ('--config.batch_size=16', '--config.learning_rate=0.1', '--config.total_epochs=0.2')
    draw = random.Random(0)
    for warm in ('cold', 'warm'):
        begun = time.monotonic()
        started(workdir / warm, *short).communicate()
        whole = time.monotonic() - begun
    for trial in range(20):
        process, number = started(workdir / str(trial), *short), draw.choice(interrupts.NUMBERS)
        time.sleep(draw.uniform(0.1, 0.9) * whole)
        sent = time.monotonic()
        if process.poll() is None:
            process.send_signal(number)
            if trial % 4 == 3:
                process.send_signal(number)
        output, errors = process.communicate(timeout=120)
        assert 'Traceback' not in errors, (trial, errors)
        assert process.returncode in (0, 128 + number), (trial, output, errors)
        if process.returncode:
            assert interrupts.line(number) in output
        else:  # it was over, or about to leave
            assert 'results in' in output
            assert time.monotonic() - sent < 3


class Signalling(toy.Quiet):
    """A console at whose n-th call of a method a signal comes."""

    def __init__(self, name: str, calls: int):
        super().__init__()
        self._name, self._left = name, calls

    def _at(self, name: str) -> None:
        self._left -= name == self._name
        if name == self._name and not self._left:
            signal.raise_signal(signal.SIGTERM)

    def progress(self, *_: Any, **__: Any) -> None:
        self._at('progress')

    def end_group(self, *_: Any) -> None:
        self._at('end_group')


@pytest.mark.parametrize(('name', 'calls'), [('progress', 1), ('end_group', 1), ('end_group', 2)])
def test_between_groups_and_after_the_last_look(name: str, calls: int, workdir: pathlib.Path):
    """Each noted signal is answered, also one that comes when all is trained; the same command goes on."""
    plans = toy.plans(sweep__batch_size=(8, 16))
    with pytest.raises(interrupts.Stopped, match='SIGTERM'):
        toy.train(workdir, plans, Signalling(name, calls))
    toy.train(workdir, plans)
    assert not groups.unfinished(workdir, plans)


def test_after_the_very_last_look(workdir: pathlib.Path, patching: pytest.MonkeyPatch):
    """Between the loop's last question and the handlers' end."""
    plans, real = toy.plans(total_steps=2), leases.Lease.__exit__

    def late(lease: Any, *args: Any) -> None:
        real(lease, *args)
        signal.raise_signal(signal.SIGINT)

    patching.setattr(leases.Lease, '__exit__', late)
    with pytest.raises(interrupts.Stopped, match='SIGINT'):
        toy.train(workdir, plans)


def test_while_measurements_are_added(workdir: pathlib.Path, patching: pytest.MonkeyPatch):
    """What was measured till then stays, what was not is made by the same command, each once."""
    at = {'keep__at_steps': (10, 20, 30)}
    bare, asked = toy.plans(**at, **OFF), toy.plans(**at, **NORMS)
    toy.train(workdir, bare)
    real, calls = loop.Session.observe, []

    def observe(session: Any, step: int, alive: Any = None) -> None:
        real(session, step, alive)
        calls.append(step)
        if step == 10:
            signal.raise_signal(signal.SIGTERM)

    with patching.context() as patched:
        patched.setattr(loop.Session, 'observe', observe)
        with pytest.raises(interrupts.Stopped):
            toy.train(workdir, asked)
    assert calls == [0, 10]
    assert measured(workdir, asked[0]) == [0, 10]
    toy.train(workdir, asked)
    assert measured(workdir, asked[0]) == [0, 10, 20, 30, 40]


OFF: dict[str, Any] = {'measure__parameter_norm__every_epochs': 0.0}
NORMS: dict[str, Any] = OFF | {'measure__parameter_norm__at_steps': (0, 10, 20, 30)}


def measured(workdir: pathlib.Path, plan: Any) -> list[int]:
    return [r['step'] for r in toy.rows(workdir, plan) if 'parameter_norm' in r]


@pytest.mark.parametrize('write', [1, 2, 3, 4])
def test_a_kill_while_measurements_are_added_doubles_no_row(
    write: int, workdir: pathlib.Path, patching: pytest.MonkeyPatch
):
    """At each file that is written after the rows: the note, the meta of each run. The next command begins again."""
    at = {'keep__at_steps': (10, 20), 'sweep__seed': (0, 1)}
    bare, asked = toy.plans(**at, **OFF), toy.plans(**at, **NORMS)
    toy.train(workdir, bare)
    toy.train(workdir, [])
    real, left = paths.write_json, [write]

    class Killed(BaseException):
        """As SIGKILL: nothing that follows is done."""

    def killing(path: pathlib.Path, value: Any) -> None:
        left[0] -= 1
        if left[0] < 1:
            raise Killed
        real(path, value)

    with patching.context() as patched:
        patched.setattr(paths, 'write_json', killing)
        if write < 4:
            with pytest.raises(Killed):
                toy.train(workdir, asked)
        else:  # only the note's removal is left
            patched.setattr(pathlib.Path, 'unlink', lambda *_, **__: (_ for _ in ()).throw(Killed()))
            with pytest.raises(Killed):
                toy.train(workdir, asked)
    for plan in asked:  # a reader meanwhile: no row twice
        assert measured(workdir, plan) in ([], [0, 10, 20, 40])
    for lease in workdir.glob('*/groups/*/lease.json'):
        lease.unlink()  # of this process, which lives
    for _ in range(2):
        toy.train(workdir, asked)
        for plan in asked:
            assert measured(workdir, plan) == [0, 10, 20, 40]
            assert groups.status(workdir, plan)['measured_later'] == {'parameter_norm': [0, 10, 20, 40]}
    assert not list(workdir.glob('*/groups/*/backfill.json'))


def test_nothing_heavy_is_imported_before_signals_are_listened_to():
    """The doors' first import, in a fresh process: what takes seconds comes after it."""
    code = 'import sys; from bsresearch.core import interrupts; print(*sys.modules)'
    ran = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {'numpy', 'jax', 'ml_collections', 'absl'} & set(ran.stdout.split())
