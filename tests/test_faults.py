"""Faults of long runs that must stay harmless: kills with everything on, copies, readers beside the writer.

Slow: `make test-slow`. Beside them: a full disk in test_launch.py, moves in test_gone.py, signals in
test_interrupts.py, flipped bytes in test_damage.py.
"""

import pathlib
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import toy

from bsresearch.planning.plan import Plan
from bsresearch.store import paths, records

pytestmark = pytest.mark.slow

# All that has a memory: a growing batch, averages, batch norm, dropout, augmentation, lengths of paths.
EVERYTHING: dict[str, Any] = {
    'sweep__seed': (0, 1, 2),
    'total_epochs': 60.0,
    'batch_size': 16,
    'ghost_batch_size': 8,
    'model': {'name': 'mlp', 'widths': (16,), 'batch_norm': True, 'dropout': 0.2},
    'data__augment': ('crop',),
    'batch_schedule__name': 'steps',
    'batch_schedule__batch_sizes': (32, 64),
    'batch_schedule__at_epochs': (20.0, 40.0),
    'optimizer__name': 'momentum',
    'clip__norm': 1.0,
    'micro_batch_size': 8,
    'schedule__name': 'warm_restarts',
    'schedule__first_cycle_epochs': 15.0,
    'ema__half_life_epochs': 1.0,
    'checkpoint__every_epochs': 2.0,
    'record__log_spaced': 100,
    'record__dense': True,
    'measure__noise_scale__every_epochs': 2.0,
    'measure__noise_scale__batch_size': 64,
    'measure__path_length__every_steps': 7,
}  # fmt: skip


RUN = """
import pathlib
import toy
toy.train(pathlib.Path({workdir!r}), toy.plans(**{changes!r}))
"""


def start(workdir: pathlib.Path, changes: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Trains in a process of its own."""
    code = RUN.format(changes=changes, workdir=str(workdir))
    return subprocess.Popen([sys.executable, '-c', code], env=toy.environment())


def saved(workdir: pathlib.Path) -> set[int]:
    """Updates with a finished checkpoint."""
    files = workdir.glob('train/groups/*/checkpoints/[0-9]*/commit_success.txt')
    return {int(file.parent.name) for file in files}


def kill_after(workdir: pathlib.Path, step: int) -> None:
    """Trains in a process of its own, and kills it once a checkpoint later than update `step` is there."""
    process, deadline = start(workdir, EVERYTHING), time.monotonic() + 300
    while max(saved(workdir), default=0) <= step:
        assert process.poll() is None, 'the process ended before it was killed: make the run longer'
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, list[Plan]]:
    """The runs, never stopped."""
    workdir, plans = tmp_path_factory.mktemp('whole') / 'runs', toy.plans(**EVERYTHING)
    toy.train(workdir, plans)
    return workdir, plans


def assert_same(workdir: pathlib.Path, whole: tuple[pathlib.Path, list[Plan]]) -> None:
    """Rows, dense records and final weights, bit for bit."""
    expected, plans = whole
    for plan in plans:
        assert toy.rows(workdir, plan) == toy.rows(expected, plan)
        toy.assert_equal(toy.dense(workdir, plan), toy.dense(expected, plan))
        toy.assert_equal(toy.final(workdir, plan), toy.final(expected, plan))
        assert paths.read_json(paths.run_dir(workdir, 'train', plan.id) / 'meta.json')['status'] == 'done'


def test_two_kills_with_everything_on(whole: tuple[pathlib.Path, list[Plan]], tmp_path: pathlib.Path):
    """The second one inside the ramp of the batch size; then the same command goes on to the end."""
    workdir = tmp_path / 'killed'
    kill_after(workdir, 0)
    kill_after(workdir, max(saved(workdir)) + 300)
    toy.train(workdir, whole[1])
    assert_same(workdir, whole)


def test_a_copy_of_a_stopped_workdir_goes_on_by_itself(whole: tuple[pathlib.Path, list[Plan]], tmp_path: pathlib.Path):
    """Copied between a kill and the resume, under another name: both end as the run never stopped."""
    workdir = tmp_path / 'killed'
    kill_after(workdir, 200)
    copy = shutil.copytree(workdir, tmp_path / 'another name')
    before = {p: p.read_bytes() for p in sorted(workdir.rglob('*')) if p.is_file()}
    toy.train(copy, whole[1])
    assert {p: p.read_bytes() for p in sorted(workdir.rglob('*')) if p.is_file()} == before
    toy.train(workdir, whole[1])
    for place in (workdir, copy):
        assert_same(place, whole)


def test_records_are_read_while_they_are_written(whole: tuple[pathlib.Path, list[Plan]], tmp_path: pathlib.Path):
    """Each reading is a whole beginning of the run: no torn row, no damage reported, never fewer rows than before."""
    workdir = tmp_path / 'written'
    process, counts = start(workdir, EVERYTHING), []
    while process.poll() is None:
        try:
            table = records.load(workdir)
        except FileNotFoundError:
            continue  # no run is there yet
        counts.append(len(table))
        for _, rows in table.groupby('run'):
            assert rows['step'].is_monotonic_increasing
    assert process.returncode == 0
    counts.append(len(records.load(workdir)))
    assert len(counts) > 50
    assert len(set(counts)) > 2
    assert counts == sorted(counts)
    assert counts[-1] == len(records.load(whole[0]))
