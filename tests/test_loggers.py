"""Loggers: what other tools read back is what the records hold; whatever happens to one, training goes on."""

import errno
import importlib
import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from unittest import mock

import numpy as np
import pytest
import toy
from fake_records import write_run

from bsresearch import loggers
from bsresearch.core.interrupts import Stopped
from bsresearch.loggers import exporting, follow, wandb
from bsresearch.store import paths, records, verify
from bsresearch.store.writer import Writer

ROOT = pathlib.Path(__file__).parent.parent
Numbers = dict[tuple[str, int], list[float]]  # metric, step → its values in the order of the records
VALUES = {'test_loss': [np.pi, 1 / 3], 'test_accuracy': [0.1, None]}
# A logger of one's own: each call is a line of a file; `at` says at which write it fails, and how.
OWN = """
import errno, json, os, signal

def fails():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

def dies():
    os.kill(os.getpid(), signal.SIGKILL)

class Log:
    def __init__(self, run, folder, mode, at, how):
        folder.mkdir(exist_ok=True)
        self.file, self.at, self.how = folder / run.id, at, how
        self.say('open', mode)
    def say(self, *words):
        with open(self.file, 'a') as f:
            f.write(json.dumps(words) + '\\n')
    def write(self, rows):
        if self.at == 0:
            self.how()
        self.at -= 1
        for row in rows:
            self.say('row', row.step, row.metrics)
    def close(self, status):
        self.say('close', status)

def healthy(run, folder, mode):
    return Log(run, folder, mode, 1000, None)

def full(run, folder, mode):
    return Log(run, folder, mode, 1, fails)

def stuck(run, folder, mode):
    return Log(run, folder, mode, 0, fails)

def killed(run, folder, mode):
    return Log(run, folder, mode, 0, dies)
"""


@pytest.fixture
def own(tmp_path: pathlib.Path) -> Callable[[str], str]:
    """Import path of one of the loggers above, in a file called as it: so they have folders of their own."""

    def path(function: str) -> str:
        file = tmp_path / f'{function}.py'
        file.write_text(OWN)
        return f'{file}:{function}'

    return path


def said(file: pathlib.Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def recorded(directory: pathlib.Path) -> Numbers:
    """The finite numbers of a run, straight from its file."""
    found: Numbers = {}
    for line in (directory / verify.ROWS).read_text().splitlines():
        row = json.loads(line)
        for name, value in row.items():
            if name not in records.POSITION and value is not None:
                for key, number in (
                    [(f'{name}/{i}', v) for i, v in enumerate(value)] if isinstance(value, list) else [(name, value)]
                ):
                    found.setdefault((key, row['step']), []).append(float(number))
    return found


def of_tensorboard(directory: pathlib.Path) -> Numbers:
    """Of all event files of a run, by tensorboardX's own protobufs."""
    from tensorboardX.proto import event_pb2

    found: Numbers = {}
    for file in sorted(directory.iterdir()):
        raw, at = file.read_bytes(), 0
        while at < len(raw):
            size = int.from_bytes(raw[at : at + 8], 'little')
            event = event_pb2.Event.FromString(raw[at + 12 : at + 12 + size])
            at += 16 + size
            for value in event.summary.value:
                found.setdefault((value.tag, event.step), []).append(value.simple_value)
    return found


def in_float32(numbers: Numbers) -> Numbers:
    return {key: [float(np.float32(value)) for value in values] for key, values in numbers.items()}


@pytest.fixture
def grid(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two runs, one with a list and with a later row of an earlier step."""
    write_run(tmp_path / 'grid', values=VALUES)
    write_run(tmp_path / 'grid', seed=1, values=VALUES, rows=[{'step': 1, 'examples': 16, 'leading': [0.5, 2.0]}])
    return tmp_path / 'grid'


def test_tensorboard_holds_every_number(grid: pathlib.Path, tmp_path: pathlib.Path):
    written = exporting.export(grid, ['tensorboard'], tmp_path / 'out', overwrite=False)
    assert written == {'tensorboard': exporting.Exported(2, 9, 0)}
    for directory in records.run_dirs(grid):
        found = of_tensorboard(tmp_path / 'out' / 'tensorboard' / 'train' / directory.name)
        assert found == in_float32(recorded(directory))
    assert found['leading/1', 1] == [2.0]
    assert ('test_accuracy', 4) not in found


def test_a_run_that_is_there_stays(grid: pathlib.Path, tmp_path: pathlib.Path):
    out = tmp_path / 'out'
    exporting.export(grid, ['tensorboard'], out, overwrite=False)
    write_run(grid, seed=2, values=VALUES)
    before = {file: file.stat().st_mtime_ns for file in out.rglob('events*')}
    assert exporting.export(grid, ['tensorboard'], out, overwrite=False)['tensorboard'] == (1, 4, 2)
    assert before.items() <= {file: file.stat().st_mtime_ns for file in out.rglob('events*')}.items()
    assert exporting.export(grid, ['tensorboard'], out, overwrite=True)['tensorboard'] == (3, 13, 0)
    assert len(list(out.rglob('events*'))) == 3


def test_a_full_disk_ends_an_export_in_one_line(grid: pathlib.Path, own: Callable[[str], str], tmp_path: pathlib.Path):
    name = own('stuck')
    with pytest.raises(
        ValueError, match=rf'^{name} failed at run b16-lr0.1-s0 \(OSError: .*the same command with --over'
    ):
        exporting.export(grid, [name], tmp_path, overwrite=False)


def test_the_older_name_of_a_logger():
    assert loggers.wanted({'loggers': (), 'tensorboard': True}) == ('tensorboard',)
    assert loggers.wanted({'loggers': ('wandb', 'tensorboard'), 'tensorboard': True}) == ('wandb', 'tensorboard')
    assert loggers.wanted({'loggers': (), 'tensorboard': False}) == ()


def test_what_cannot_be_logged_is_told_before_anything_is_made(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        ValueError, match=r"unknown logger 'wndb'; did you mean 'wandb'\? Allowed: mlflow, tensorboard, "
    ):
        toy.plans(loggers=('wndb',))
    monkeypatch.setattr(wandb, 'PACKAGE', 'no_such_package')
    with pytest.raises(
        ValueError, match=r'^config\.loggers: wandb needs wandb, .*pip install -r requirements-wandb\.txt'
    ):
        toy.plans(loggers=('wandb',))
    monkeypatch.setattr(loggers.logger('tensorboard'), 'PACKAGE', 'no_such_package')
    with pytest.raises(ValueError, match=r'requirements-track\.txt'):
        toy.plans(tensorboard=True)


def test_wandb_is_logged_in_by_its_own_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    for name in ('WANDB_MODE', 'WANDB_BASE_URL', *wandb.KEYS):
        monkeypatch.delenv(name, raising=False)
    logins = tmp_path / 'netrc'
    logins.write_text('machine api.wandb.ai login user password 0123\n')
    monkeypatch.setenv('NETRC', str(logins))
    assert wandb.lacking() == ''
    for name, value in (('WANDB_MODE', 'offline'), ('WANDB_API_KEY', '0123')):
        with monkeypatch.context() as patch:
            patch.setenv('NETRC', str(tmp_path / 'none'))
            patch.setenv(name, value)
            assert wandb.lacking() == ''


def test_wandb_on_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    """W&B itself loses rows without a word."""
    run = mock.MagicMock()
    log = wandb._Run(run, tmp_path)
    log.write([loggers.Row(3, 0.0, {'epoch': 0.5}, {'loss': 1.0})])
    run.log.assert_called_once_with({'step': 3, 'epoch': 0.5, 'loss': 1.0})
    monkeypatch.setattr(wandb.shutil, 'disk_usage', lambda _: mock.Mock(free=100))
    for step in (lambda: log.write([]), lambda: log.close('done')):
        with pytest.raises(OSError, match='No space left on device'):
            step()
    run.finish.assert_called_once_with(exit_code=0)


# --- while runs train


def growing(directory: pathlib.Path, parts: list[list[dict[str, Any]]]) -> Iterator[None]:
    """The records of a run grow by a part at each step."""
    writer = Writer(directory)
    for rows in parts:
        writer.rows(rows)
        writer.flush()
        yield
    writer.close()


def followed(workdir: pathlib.Path, directory: pathlib.Path, names: list[str], parts: Any) -> list[str]:
    """What is said while a run grows part by part."""
    lines: list[str] = []
    growth = growing(directory, parts)
    ended = lambda seconds: next(growth, 'ended') == 'ended'
    follow.follow(workdir, names, [directory], ended, lines.append)
    return lines


@pytest.fixture
def begun(workdir: pathlib.Path) -> pathlib.Path:
    """A run in training, without rows."""
    directory = write_run(workdir, status='running')
    meta = paths.read_json(directory / 'meta.json') | {'versions': {}, 'started': 1e9}
    paths.write_json(directory / 'meta.json', meta)
    return directory


def row(step: int) -> dict[str, Any]:
    return {'step': step, 'examples': 16 * step, 'epoch': 0.25 * step, 'seconds': 0.0, 'loss': 1 / (1 + step)}


def test_a_run_that_goes_on_is_gone_on_with(workdir: pathlib.Path, begun: pathlib.Path, own: Callable[[str], str]):
    """A kill takes it back to its checkpoint: the rows come again, and are not written again."""
    name = own('healthy')
    assert followed(workdir, begun, [name, 'tensorboard'], [[row(0)], [row(1), row(2)]]) == []
    writer = Writer(begun)
    writer.drop_rows(len((json.dumps(row(0)) + '\n').encode()))
    writer.close()
    assert len(list(records.rows(begun))) == 1
    assert followed(workdir, begun, [name, 'tensorboard'], [[row(1)], [row(2)], [row(3)]]) == []
    kinds = [line[:2] for line in said(workdir / 'loggers' / 'healthy' / begun.name)]
    first = [['open', 'replace'], ['row', 0], ['row', 1], ['row', 2], ['close', 'stopped']]
    assert kinds == [*first, ['open', 'continue'], ['row', 3], ['close', 'stopped']]
    assert of_tensorboard(workdir / 'loggers' / 'tensorboard' / 'train' / begun.name) == in_float32(recorded(begun))


def test_of_two_loggers_one_may_fail(workdir: pathlib.Path, begun: pathlib.Path, own: Callable[[str], str]):
    """A disk that is full at the second write of one: a line, and the other has all rows."""
    full, healthy = own('full'), own('healthy')
    (line,) = followed(workdir, begun, [full, healthy], [[row(0)], [row(1)], [row(2)]])
    assert f'[Errno {errno.ENOSPC}]' in line
    assert (
        f'training goes on; `bsresearch export --to={full} --workdir={workdir} --overwrite` writes all records' in line
    )
    assert [entry[:2] for entry in said(workdir / 'loggers' / 'full' / begun.name)] == [['open', 'replace'], ['row', 0]]
    assert sum(entry[0] == 'row' for entry in said(workdir / 'loggers' / 'healthy' / begun.name)) == 3


def test_a_folder_that_cannot_be_made_is_one_line(workdir: pathlib.Path, begun: pathlib.Path):
    (workdir / 'loggers').write_text('')
    (line,) = followed(workdir, begun, ['tensorboard'], [[row(0)]])
    assert line.startswith('logger tensorboard failed (')
    assert len(list(records.rows(begun))) == 1


def test_finished_runs_are_left_to_an_export(workdir: pathlib.Path):
    plans = toy.plans(**toy.BARE, total_steps=5, model={'name': 'linear'})
    toy.train(workdir, plans)
    later = toy.plans(**toy.BARE, total_steps=5, model={'name': 'linear'}, loggers=('tensorboard',))
    lines = toy.train(workdir, later).lines
    assert [line for line in lines if 'finished' in line][1:] == [
        f'  of finished runs `bsresearch export --to=tensorboard --workdir={workdir}` writes the records'
    ]
    assert not [line for line in lines if 'only measurements can be added' in line]
    assert not (workdir / 'loggers').exists()


@pytest.mark.slow
def test_training_is_untouched_by_a_logger_that_is_killed(tmp_path: pathlib.Path, own: Callable[[str], str]):
    """Weights and rows are those without any; the console has a line."""
    (bare,), (plan,) = toy.plans(), toy.plans(loggers=(own('killed'),))
    toy.train(tmp_path / 'bare', [bare])
    console = toy.train(tmp_path / 'logged', [plan])
    (line,) = [line for line in console.lines if 'loggers' in line]
    assert 'ended early (killed by signal 9); training goes on; `bsresearch export' in line
    toy.assert_equal(toy.final(tmp_path / 'bare', bare), toy.final(tmp_path / 'logged', plan))
    assert toy.rows(tmp_path / 'bare', bare) == toy.rows(tmp_path / 'logged', plan)


@pytest.mark.slow
def test_what_fails_after_the_training_has_ended_is_told_in_the_log(
    workdir: pathlib.Path, begun: pathlib.Path, own: Callable[[str], str]
):
    """Its console is gone."""
    command = [sys.executable, '-m', 'bsresearch.loggers.follow', str(workdir), own('stuck'), str(begun)]
    writer = Writer(begun)
    writer.rows([row(0)])
    writer.close()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=toy.environment(), cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.close()
    process.stdin.close()
    process.wait(120)
    lines = (workdir / 'loggers' / 'log.txt').read_text().splitlines()
    assert [line for line in lines if line.startswith('logger ') and f'[Errno {errno.ENOSPC}]' in line]


def installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in packages)


def of_wandb(folder: pathlib.Path) -> Numbers:
    """The history of an offline run: a log of LevelDB's format, of W&B's protobufs."""
    record_of = importlib.import_module('wandb.proto.wandb_internal_pb2').Record.FromString
    found: Numbers = {}
    for file in sorted(folder.glob('*.wandb')):
        for record in leveldb(file.read_bytes()):
            entry = record_of(record)
            items = {item.key or '/'.join(item.nested_key): json.loads(item.value_json) for item in entry.history.item}
            step = int(items.get('step', -1))
            for name, value in items.items():
                if name not in records.POSITION and not name.startswith('_'):
                    found.setdefault((name, step), []).append(value)
    return found


def leveldb(raw: bytes) -> Iterator[bytes]:
    """The records of a log: blocks of 32 KiB, a header of checksum (4), length (2) and kind (1) before each piece."""
    at, pieces = 7, b''  # after the magic of the file
    while at < len(raw):
        if (left := -at % 2**15) < 7 and left:
            at += left
            continue
        size, kind = int.from_bytes(raw[at + 4 : at + 6], 'little'), raw[at + 6]
        pieces += raw[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or last
            yield pieces
            pieces = b''


def of_mlflow(folder: pathlib.Path) -> dict[str, tuple[Numbers, str, Mapping[str, str]]]:
    """By name of a run its numbers, status and parameters, as MLflow's client tells them."""
    client = importlib.import_module('mlflow').MlflowClient(tracking_uri=folder.resolve().as_uri())
    found = {}
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            numbers: Numbers = {}
            for name in run.data.metrics:
                for metric in client.get_metric_history(run.info.run_id, name):
                    numbers.setdefault((name, metric.step), []).append(metric.value)
            assert run.info.run_name not in found
            found[run.info.run_name] = numbers, run.info.status, run.data.params
    return found


def with_dots(numbers: Numbers) -> Numbers:
    """MLflow's names."""
    return {(name.replace('/', '.'), step): values for (name, step), values in numbers.items()}


def each_sorted(numbers: Numbers) -> Numbers:
    """Of one step MLflow does not keep the order of what was written within a millisecond."""
    return {key: sorted(values) for key, values in numbers.items()}


def check_trackers(workdir: pathlib.Path, out: pathlib.Path) -> None:
    """All numbers of a workdir in all three trackers, each once."""
    of_trackers = of_mlflow(out / 'mlflow')
    directories = records.run_dirs(workdir)
    assert len(of_trackers) == len(directories)
    for directory in directories:
        numbers = recorded(directory)
        assert len(numbers) > 50
        assert of_tensorboard(out / 'tensorboard' / directory.parent.name / directory.name) == in_float32(numbers)
        found: Numbers = {}
        for folder in sorted((out / 'wandb').glob(f'offline-run-*-{directory.name}-*')):
            for key, values in of_wandb(folder).items():
                found.setdefault(key, []).extend(values)
        assert found == numbers
        tracked, status, params = of_trackers[directory.name]
        assert each_sorted(tracked) == each_sorted(with_dots(numbers))
        assert status == 'FINISHED'
        assert params['batch_size'] == str(paths.read_json(directory / 'config.json')['resolved']['batch_size'])


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """W&B offline, MLflow in files; both are needed."""
    if not installed('wandb', 'mlflow'):
        pytest.skip('needs requirements-wandb.txt and requirements-mlflow.txt')
    monkeypatch.setenv('WANDB_MODE', 'offline')
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
    monkeypatch.delenv('MLFLOW_TRACKING_URI', raising=False)


@pytest.mark.slow
@pytest.mark.usefixtures('offline')
def test_trackers_hold_every_number_of_runs_in_training(workdir: pathlib.Path):
    """Also of runs that were stopped on the way, and went on; then the same again by an export."""
    plans = toy.plans(
        sweep__seed=(0, 1),
        evaluate__every_steps=5,
        checkpoint__every_steps=5,
        loggers=('tensorboard', 'wandb', 'mlflow'),
    )
    console = toy.StopsAt(20)
    with pytest.raises(Stopped):
        toy.train(workdir, plans, console)
    lines = console.lines + toy.train(workdir, plans).lines
    assert not [line for line in lines if 'logger' in line]
    check_trackers(workdir, workdir / 'loggers')
    command = [sys.executable, '-m', 'bsresearch', 'export', f'--workdir={workdir}', '--to=tensorboard,wandb,mlflow']
    done = subprocess.run(
        [*command, f'--out={workdir.parent / "out"}'], capture_output=True, text=True, check=True, cwd=ROOT
    )
    rows = sum(len(list(records.rows(directory))) for directory in records.run_dirs(workdir))
    assert done.stdout.splitlines() == [f'{name}: {rows} rows of 2 runs' for name in ('tensorboard', 'wandb', 'mlflow')]
    check_trackers(workdir, workdir.parent / 'out')


@pytest.mark.slow
@pytest.mark.usefixtures('offline')
def test_wandb_that_is_not_logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    monkeypatch.delenv('WANDB_MODE')
    code = 'from bsresearch.loggers import wandb; print(wandb.lacking())'
    environment = {k: v for k, v in os.environ.items() if not k.startswith('WANDB')} | {
        'NETRC': str(tmp_path / 'none'), 'HOME': str(tmp_path),
        'PYTHONPATH': f'{ROOT}:{os.environ.get("PYTHONPATH", "")}',
    }  # fmt: skip
    ask = lambda: (
        subprocess.run(
            [sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
        ).stdout
    )
    assert ask().startswith('is not logged in: `wandb login`, or set WANDB_API_KEY, or WANDB_MODE=offline')
    subprocess.run([sys.executable, '-m', 'wandb', 'offline'], check=True, cwd=tmp_path, env=environment)
    assert ask() == '\n'


@pytest.mark.slow
@pytest.mark.usefixtures('offline')
def test_a_server_that_does_not_answer_is_one_line_in_seconds(
    grid: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
):
    """MLflow by itself asks for four minutes; nothing listens at a port that was just given back."""
    with socket.socket() as listening:
        listening.bind(('127.0.0.1', 0))
        address = f'http://127.0.0.1:{listening.getsockname()[1]}'
    monkeypatch.setenv('MLFLOW_TRACKING_URI', address)
    before = time.monotonic()
    with pytest.raises(ValueError, match=f'no server answers at MLFLOW_TRACKING_URI={address}'):
        exporting.export(grid, ['mlflow'], tmp_path, overwrite=False)
    assert time.monotonic() - before < 60
    assert not {name for name in os.environ if name.startswith('MLFLOW_HTTP')}
