"""What is on disk: records, the table of all runs, leases and checkpoints, and what a kill or a bad disk leaves."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import psutil
import pytest
import toy
from fake_records import write_run

from bsresearch.core import flat, interrupts
from bsresearch.report import inventory
from bsresearch.store import checkpoints, leases, lineage, paths, presence, probe_records, records, standing
from bsresearch.store.checkpoints import Checkpoints
from bsresearch.store.leases import Lease, Owned
from bsresearch.store.paths import Damaged
from bsresearch.store.steps import complete_steps, latest_step
from bsresearch.store.writer import Writer
from bsresearch.train.saving.initial import kept

ROOT = pathlib.Path(__file__).parents[1]

# --- records: rows


def written(directory: pathlib.Path, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    writer = Writer(directory)
    writer.rows(list(rows))
    writer.flush()
    writer.close()
    return list(records.rows(directory))


def test_rows_come_back(tmp_path: pathlib.Path):
    rows = [{'step': 0, 'test_loss': 2.5}, {'step': 3, 'note': 'é', 'diverged': True, 'accuracy': None}]
    assert written(tmp_path, *rows) == rows


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (np.float32(0.1), '0.1'),
        (np.array(0.1, np.float32), '0.1'),
        (np.float64(0.1), '0.1'),
        (np.float32(1e-30), '1e-30'),
        (np.float32(16777216), '16777216.0'),
        (np.int32(3), '3'),
        (np.bool_(True), 'true'),
        (np.float32('nan'), 'null'),
        (np.float32('inf'), 'null'),
        (np.array(-np.inf), 'null'),
        (float('nan'), 'null'),
        (0.1, '0.1'),
    ],
)
def test_numbers_are_written_as_a_person_would(tmp_path: pathlib.Path, value: Any, text: str):
    """float32 0.1 is 0.1, not 0.10000000149011612; what is not finite is null, for JSON has no word for it."""
    written(tmp_path, {'x': value})
    assert (tmp_path / 'metrics.jsonl').read_text() == f'{{"x": {text}}}\n'


def test_float32_survives(tmp_path: pathlib.Path):
    """Invariance: the short decimal of a float32 reads back as that very float32."""
    values = np.random.default_rng(0).lognormal(0, 20, 300).astype(np.float32)
    found = [np.float32(row['x']) for row in written(tmp_path, *({'x': v} for v in values))]
    np.testing.assert_array_equal(found, values)


def test_rows_are_durable_only_after_a_flush_and_a_writer_appends(tmp_path: pathlib.Path):
    first = Writer(tmp_path)
    first.rows([{'step': 0}])
    assert list(records.rows(tmp_path)) == []
    first.flush()
    assert list(records.rows(tmp_path)) == [{'step': 0}]
    first.close()
    assert written(tmp_path, {'step': 1}) == [{'step': 0}, {'step': 1}]


def test_rewind_forgets_what_came_after_a_checkpoint(tmp_path: pathlib.Path):
    """By hand: rows 0 and 1, a checkpoint, rows 2 and half of 3, a kill; the resumed run writes its own 2 and 3."""
    writer = Writer(tmp_path)
    writer.rows([{'step': 0}, {'step': 1}])
    writer.flush()
    position = writer.position()
    assert position == (tmp_path / 'metrics.jsonl').stat().st_size
    writer.rows([{'step': 2, 'from': 'before'}])
    writer.flush()
    writer.close()
    with open(tmp_path / 'metrics.jsonl', 'a') as f:
        f.write('{"step": 3, "fr')
    again = Writer(tmp_path)
    again.rewind(position, 2)
    assert again.position() == position
    again.rows([{'step': 2, 'from': 'after'}, {'step': 3}])
    again.flush()
    assert list(records.rows(tmp_path)) == [{'step': 0}, {'step': 1}, {'step': 2, 'from': 'after'}, {'step': 3}]
    again.rewind(0, 0)
    assert list(records.rows(tmp_path)) == []
    again.close()


def test_rewind_refuses_a_file_that_lost_rows(tmp_path: pathlib.Path):
    """Filling the gap with zeros would be silent damage."""
    written(tmp_path, {'step': 0})
    writer = Writer(tmp_path)
    with pytest.raises(ValueError, match=r'has \d+ bytes, its checkpoint at update 7 was made after 999: .*restore'):
        writer.rewind(999, 7)
    writer.close()
    assert list(records.rows(tmp_path)) == [{'step': 0}]


@pytest.mark.parametrize('torn', ['{"step": 1', '{"step": 1}', '\x00\x00'])
def test_a_torn_last_line_is_left_out(tmp_path: pathlib.Path, torn: str):
    """Without its newline a line may be half of one, even if it reads as JSON."""
    written(tmp_path, {'step': 0})
    with open(tmp_path / 'metrics.jsonl', 'a') as f:
        f.write(torn)
    assert list(records.rows(tmp_path)) == [{'step': 0}]


def test_a_damaged_line_in_the_middle_is_an_error_that_says_where(tmp_path: pathlib.Path):
    written(tmp_path, {'step': 0}, {'step': 1}, {'step': 2})
    path = tmp_path / 'metrics.jsonl'
    path.write_text(path.read_text().replace('{"step": 1}', '{"stXp" 1}'))
    with pytest.raises(ValueError, match=r'metrics\.jsonl, line 2 is damaged'):
        list(records.rows(tmp_path))


def test_no_file_no_rows(tmp_path: pathlib.Path):
    assert list(records.rows(tmp_path)) == []
    assert records.last_row(tmp_path) == {}


def test_last_row_is_the_newest_value_of_every_metric(tmp_path: pathlib.Path):
    written(tmp_path, {'step': 0, 'a': 1, 'b': 1}, {'step': 5, 'a': 2}, {'step': 6, 'c': 3})
    assert records.last_row(tmp_path) == {'step': 6, 'a': 2, 'b': 1, 'c': 3}


# --- records: dense arrays


def test_dense_arrays_are_one_after_another(tmp_path: pathlib.Path):
    """By hand: chunks of 3, 2 and 4 updates over two flushes."""
    writer = Writer(tmp_path)
    values = np.arange(9, dtype=np.float32)
    writer.dense(0, {'loss': values[:3], 'rate': values[:3] * 2})
    writer.dense(3, {'loss': values[3:5], 'rate': values[3:5] * 2})
    assert records.dense(tmp_path) == {}
    writer.flush()
    writer.dense(5, {'loss': values[5:], 'rate': values[5:] * 2})
    writer.flush()
    found = records.dense(tmp_path)
    np.testing.assert_array_equal(found['loss'], values)
    np.testing.assert_array_equal(found['rate'], values * 2)
    assert found['loss'].dtype == np.float32
    writer.close()


def test_dense_arrays_rewind_with_the_rows(tmp_path: pathlib.Path):
    """By hand: a checkpoint at update 4; what was flushed after it goes, and is written again by the resumed run."""
    writer = Writer(tmp_path)
    writer.dense(0, {'loss': np.zeros(4)})
    writer.flush()
    position = writer.position()
    writer.dense(4, {'loss': np.ones(3)})
    writer.flush()
    writer.dense(7, {'loss': np.ones(2)})
    writer.flush()
    writer.close()
    again = Writer(tmp_path)
    again.rewind(position, 4)
    np.testing.assert_array_equal(records.dense(tmp_path)['loss'], np.zeros(4))
    again.dense(4, {'loss': np.full(5, 2.0)})
    again.flush()
    np.testing.assert_array_equal(records.dense(tmp_path)['loss'], [0, 0, 0, 0, 2, 2, 2, 2, 2])
    again.close()


def test_dense_arrays_stay_in_order_past_many_digits(tmp_path: pathlib.Path):
    writer = Writer(tmp_path)
    for start in (0, 9, 1000, 10**9):
        writer.dense(start, {'loss': np.array([float(start)])})
        writer.flush()
    writer.close()
    assert records.dense(tmp_path)['loss'].tolist() == [0, 9, 1000, 1e9]


# --- records: one table


def at(step: int, **metrics: Any) -> dict[str, Any]:
    return {'step': step, 'examples': 8 * step, 'epoch': step / 4, 'seconds': 0.5 * step, 'wall_seconds': 1.0} | metrics


def test_load_has_one_row_per_run_and_step(tmp_path: pathlib.Path):
    """By hand: lines of one step are one row; columns are what varies, the position, the metrics; nothing else."""
    rows = [at(0, test_loss=2.0), at(0, batch_loss=2.5), at(4, test_loss=1.0)]
    write_run(tmp_path, name='aa', batch_size=8, model={'name': 'mlp', 'widths': [8, 8]}, recording={'x': 1}, rows=rows)
    narrow = {'name': 'mlp', 'widths': [4]}
    write_run(tmp_path, name='bb', batch_size=16, model=narrow, recording={'x': 2}, rows=[at(0, batch_loss=3.0)])
    table = records.load(tmp_path)
    assert list(table.columns) == [
        'run', 'study', 'status', 'batch_size', 'learning_rate', 'model.widths', 'seed',
        'step', 'examples', 'epoch', 'seconds', 'wall_seconds', 'batch_loss', 'test_loss',
    ]  # fmt: skip
    assert table[['run', 'step']].values.tolist() == [['aa', 0], ['aa', 4], ['bb', 0]]
    assert table['batch_size'].tolist() == [8, 8, 16]
    assert table['model.widths'].tolist() == [(8, 8), (8, 8), (4,)]
    assert table['examples'].tolist() == [0, 32, 0]
    assert table.fillna(-1)['test_loss'].tolist() == [2.0, 1.0, -1]
    assert table.fillna(-1)['batch_loss'].tolist() == [2.5, -1, 3.0]


def test_load_shows_a_split_seed_only_where_it_says_something(tmp_path: pathlib.Path):
    for seed in (0, 1):
        write_run(tmp_path, seed=seed, rows=[at(0, a=1)])
    assert not {'init_seed', 'data_seed'} & set(records.load(tmp_path).columns)
    write_run(tmp_path, name='b', seed=1, init_seed=5, rows=[at(0, a=1)])
    assert {'init_seed', 'data_seed'} & set(records.load(tmp_path).columns) == {'init_seed'}


def test_load_keeps_runs_in_any_state_apart(tmp_path: pathlib.Path):
    """A diverged run keeps its rows; one without rows adds none; one whose meta a kill prevented is not started."""
    write_run(tmp_path, name='aa', rows=[at(0, loss=1.0)], status='diverged', diverged_step=3)
    write_run(tmp_path, name='bb', seed=1, status='running')
    (write_run(tmp_path, name='cc', seed=2) / 'meta.json').unlink()
    table = records.runs(tmp_path)
    assert table[['run', 'status']].values.tolist() == [['aa', 'diverged'], ['bb', 'running'], ['cc', 'not started']]
    assert table['diverged_step'].tolist()[0] == 3
    assert records.load(tmp_path)['run'].tolist() == ['aa', 'aa']


def test_load_without_rows_or_runs(tmp_path: pathlib.Path):
    with pytest.raises(FileNotFoundError, match=r'no runs in .*; a workdir is what a launch was given as --workdir'):
        records.load(tmp_path)
    write_run(tmp_path)
    empty = records.load(tmp_path)
    assert len(empty) == 0
    assert {'run', 'batch_size', 'step', 'seconds'} <= set(empty.columns)


def test_a_joined_schedule_stands_in_the_table(tmp_path: pathlib.Path):
    """Its parts are sections in a list: two runs that differ in one are told apart by it."""
    for factor in (0.0, 0.5):
        parts = [{'name': 'constant'}, {'name': 'cosine', 'final_factor': factor}]
        write_run(tmp_path, name=f'{factor}', schedule={'parts': parts}, values={'test_loss': [1.5]})
    table = records.load(tmp_path)
    assert table['schedule.parts'].nunique() == 2
    assert list(table['test_loss']) == [1.5, 1.5]


def test_flatten():
    assert flat.flatten({'a': 1, 'b': {'c': 2, 'd': {}, 'e': {'f': (3,)}}}) == {'a': 1, 'b.c': 2, 'b.e.f': (3,)}


# --- files that are replaced


def test_a_file_is_the_old_or_the_new_one_never_half(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """A failure at any moment of writing leaves the old content, and nothing beside it."""

    def full(*_: Any) -> None:
        raise OSError('disk full')

    path = tmp_path / 'meta.json'
    paths.write_json(path, {'a': 1})
    for broken in ('fsync', 'replace'):
        with monkeypatch.context() as m:
            m.setattr(os, broken, full)
            with pytest.raises(OSError, match='disk full'):
                paths.write_json(path, {'a': 2})
        assert paths.read_json(path) == {'a': 1}
        assert os.listdir(tmp_path) == ['meta.json']
    with pytest.raises(ValueError, match='not JSON compliant'):
        paths.write_json(path, {'a': float('nan')})
    assert paths.read_json(path) == {'a': 1}
    assert paths.read_json(tmp_path / 'none.json') is None


# --- leases

HERE = socket.gethostname()


def lease_of(path: pathlib.Path, **owner: Any) -> None:
    path.mkdir(parents=True, exist_ok=True)
    fields = {'host': HERE, 'pid': os.getpid(), 'process_start': psutil.Process().create_time(), 'beat': time.time()}
    (path / 'lease.json').write_text(json.dumps(fields | owner))


def dead_pid() -> int:
    """Of a process that has ended."""
    process = subprocess.Popen(['true'])
    process.wait()
    return process.pid


def test_a_lease_is_held_inside_and_gone_after(tmp_path: pathlib.Path):
    with Lease(tmp_path) as lease:
        owner = json.loads(lease.path.read_text())
        assert (owner['host'], owner['pid']) == (HERE, os.getpid())
        assert abs(owner['beat'] - time.time()) < 5
    assert not lease.path.exists()
    with pytest.raises(KeyError), Lease(tmp_path):
        raise KeyError
    assert not lease.path.exists()


def test_a_live_owner_is_refused_by_pid_and_keeps_its_lease(tmp_path: pathlib.Path):
    """Another process, alive and silent for a day, holds it: on this host silence means nothing."""
    sleeper = subprocess.Popen(['sleep', '60'])
    try:
        start = psutil.Process(sleeper.pid).create_time()
        lease_of(tmp_path, pid=sleeper.pid, process_start=start, beat=time.time() - 86_400)
        before = (tmp_path / 'lease.json').read_text()
        with pytest.raises(Owned, match=f'trained by process {sleeper.pid} on {HERE}; wait for it, or stop it'):
            Lease(tmp_path).__enter__()
        assert (tmp_path / 'lease.json').read_text() == before
    finally:
        sleeper.kill()
        sleeper.wait()
    with Lease(tmp_path):
        assert json.loads((tmp_path / 'lease.json').read_text())['pid'] == os.getpid()


def test_a_dead_owner_is_replaced_at_once(tmp_path: pathlib.Path):
    """Same host, no such process; and the pid given to another process since (it started at another time)."""
    lease_of(tmp_path, pid=dead_pid())
    with Lease(tmp_path):
        pass
    lease_of(tmp_path, process_start=psutil.Process().create_time() - 100)
    with Lease(tmp_path):
        pass


class Hours:
    """A clock that moves by what is slept, and what happens meanwhile: `at(seconds, act)`. Nobody really waits."""

    def __init__(self) -> None:
        self.now, self._acts, self.said = 7.0, [], []

    def at(self, seconds: float, act: Any) -> 'Hours':
        self._acts.append((self.now + seconds, act))
        return self

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [act for when, act in self._acts if when <= self.now]
        self._acts = [pair for pair in self._acts if pair[0] > self.now]
        for act in due:
            act()

    def watch(self, caught: Any = ()) -> leases.Watch:
        return leases.Watch(self.said.append, caught, lambda: self.now, self.sleep)


FOREIGN = {
    'elsewhere': {'host': 'elsewhere', 'pid': 1, 'process_start': 0.0, 'beat': 0.0},
    'an hour ahead': {'host': 'elsewhere', 'pid': 1, 'process_start': 0.0, 'beat': 1e10},
    'a list': [],
    'a number': 7,
    'without keys': {'host': HERE},
    'keys of other types': {'host': HERE, 'pid': '1', 'process_start': None, 'beat': 'now'},
    'no such pid': {'host': HERE, 'pid': 2**40, 'process_start': 0.0, 'beat': 0.0},
}
CONTENTS = {name: json.dumps(value) for name, value in FOREIGN.items()} | {'empty': '', 'text': 'x', 'bytes': '\x00'}


@pytest.mark.parametrize('name', CONTENTS)
def test_another_lease_is_taken_when_it_has_not_changed_for_60_seconds(name: str, tmp_path: pathlib.Path):
    """By the reader's own clock, whatever the lease says of the time, also if it says nothing; told in one line."""
    (tmp_path / 'lease.json').write_text(CONTENTS[name])
    hours, begin = Hours(), 7.0
    with Lease(tmp_path, hours.watch()):
        assert json.loads((tmp_path / 'lease.json').read_text())['pid'] == os.getpid()
    assert 60 <= hours.now - begin <= 62
    assert len(hours.said) == 1
    assert str(tmp_path) in hours.said[0]


@pytest.mark.parametrize('beat', [0.0, 1e10, -1.0])
def test_an_owner_with_a_wrong_clock_is_never_robbed(beat: float, tmp_path: pathlib.Path):
    """It beats by another content; what the content says of the time is not looked at. Its lease stays as it is."""
    lease_of(tmp_path, host='elsewhere', beat=beat, beats=1)
    hours = Hours().at(59, lambda: lease_of(tmp_path, host='elsewhere', beat=beat, beats=2))
    with pytest.raises(Owned, match='on elsewhere'):
        Lease(tmp_path, hours.watch()).__enter__()
    assert hours.now - 7 <= 61
    assert json.loads((tmp_path / 'lease.json').read_text())['beats'] == 2


def test_a_lease_that_was_alive_is_stale_60_seconds_after_its_last_beat(tmp_path: pathlib.Path):
    """As a launcher sees it, which looks again and again; and one that is given up is free at once."""
    lease_of(tmp_path, host='elsewhere', beats=1)
    hours = Hours()
    watch, states = hours.watch(), []
    for seconds in (0, 59, 1, 58, 3):
        hours.sleep(seconds)
        if seconds == 59:
            lease_of(tmp_path, host='elsewhere', beats=2)
        states.append((watch.look(tmp_path) or pytest.fail('no lease')).state)
    assert states == ['unknown', 'alive', 'alive', 'alive', 'dead']
    lease_of(tmp_path / 'b', host='elsewhere')
    free = Hours().at(5, (tmp_path / 'b' / 'lease.json').unlink)
    with Lease(tmp_path / 'b', free.watch()):
        assert free.now == pytest.approx(12, abs=1)


def test_a_signal_ends_the_waiting_for_a_lease(tmp_path: pathlib.Path):
    """After a second, not a minute."""
    lease_of(tmp_path, host='elsewhere')
    caught: list[int] = []
    hours = Hours().at(3, lambda: caught.append(15))
    with pytest.raises(interrupts.Stopped, match='SIGTERM'):
        Lease(tmp_path, hours.watch(caught)).__enter__()
    assert hours.now - 7 <= 4


def test_a_clock_that_is_set_robs_nobody_here(tmp_path: pathlib.Path):
    """The start of a process as seconds since 1970 moves with the clock; in ticks since boot it does not."""
    with Lease(tmp_path) as lease:
        owner = json.loads(lease.path.read_text())
        lease.path.write_text(json.dumps(owner | {'process_start': owner['process_start'] - 3600}))
        assert (leases.Watch().look(tmp_path) or pytest.fail('no lease')).state == 'alive'


def test_a_lease_makes_no_directory(tmp_path: pathlib.Path):
    """Neither on entering nor while it beats: a workdir that was moved away must not come to be again."""
    with pytest.raises(presence.Gone, match='is gone'):
        Lease(tmp_path / 'none').__enter__()
    (tmp_path / 'a').mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(leases, 'BEAT_SECONDS', 0.01)
        with Lease(tmp_path / 'a') as lease:
            (tmp_path / 'a').rename(tmp_path / 'b')
            time.sleep(0.1)
            assert not lease.lost
    assert sorted(p.name for p in tmp_path.iterdir()) == ['b']


def test_what_dead_writers_left_is_removed(tmp_path: pathlib.Path):
    """All in what is the holder's alone; in a shared folder only what is older than the lease by a minute."""
    for name in ('run', 'run/arrays', 'group'):
        (tmp_path / name).mkdir()
    for name in (
        'run/meta.json.ab.tmp',
        'run/arrays/.updates-0.npz.ab.tmp',
        'group/job.json.a.tmp',
        'group/job.json.b.tmp',
    ):
        (tmp_path / name).touch()
    (tmp_path / 'run' / 'meta.json').touch()
    os.utime(tmp_path / 'group' / 'job.json.a.tmp', (0, time.time() - 120))
    with Lease(tmp_path / 'group'):
        presence.clear([tmp_path / 'run', tmp_path / 'run' / 'arrays'], tmp_path / 'group')
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*') if p.is_file()}
    assert left == {'run/meta.json', 'group/job.json.b.tmp', 'group/lease.lock'}


def wait_for(condition: Any, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.005)


def test_a_lease_beats(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leases, 'BEAT_SECONDS', 0.01)
    beat = lambda: json.loads((tmp_path / 'lease.json').read_text())['beat']
    with Lease(tmp_path):
        first = beat()
        wait_for(lambda: beat() > first)
    time.sleep(0.05)
    assert not (tmp_path / 'lease.json').exists()
    assert not list(tmp_path.glob('*.tmp'))


def test_a_lease_lost_to_another_host_is_left_to_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """A machine that slept: it neither beats over the new owner's lease nor removes it."""
    monkeypatch.setattr(leases, 'BEAT_SECONDS', 0.01)
    lease_of(tmp_path / 'theirs', host='elsewhere')
    theirs = (tmp_path / 'theirs' / 'lease.json').read_text()

    def lost() -> bool:
        shutil.copy(tmp_path / 'theirs' / 'lease.json', tmp_path / 'new')
        os.replace(tmp_path / 'new', lease.path)
        return not lease._thread.is_alive()

    with Lease(tmp_path) as lease:
        wait_for(lost)  # more than once, for a beat may be under way
        assert lease.path.read_text() == theirs
    assert lease.path.read_text() == theirs


RACER = """
import pathlib, random, sys, time
from bsresearch.store import leases
root, me, racers, rounds = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:])
alive = leases._alive
def slow(owner):  # what a busy machine does between looking and taking
    found = alive(owner)
    time.sleep(random.random() * 0.02)
    return found
leases._alive = slow
def meet(name):
    (root / f'{name}-{me}').touch()
    while len(list(root.glob(f'{name}-*'))) < racers:
        time.sleep(0.002)
held = []
for n in range(rounds):
    meet(f'round_{n}')
    try:
        held.append(leases.Lease(root / str(n)).__enter__())
        (root / str(n) / f'won-{me}').touch()
    except leases.Owned:
        pass
meet('end')
"""


def test_of_processes_that_race_for_a_lease_one_wins(tmp_path: pathlib.Path):
    """Brute force: four processes, twelve groups of dead owners or none, taken at once; one winner for each."""
    racers, rounds, pid = 4, 12, dead_pid()
    for n in range(rounds):
        lease_of(tmp_path / str(n), pid=pid)
        if n % 2:
            (tmp_path / str(n) / 'lease.json').unlink()
    command = [sys.executable, '-c', RACER, str(tmp_path)]
    processes = [subprocess.Popen([*command, *map(str, (i, racers, rounds))], cwd=ROOT) for i in range(racers)]
    assert [p.wait(timeout=120) for p in processes] == [0] * racers
    assert [len(list((tmp_path / str(n)).glob('won-*'))) for n in range(rounds)] == [1] * rounds


# --- checkpoints


class State(NamedTuple):
    step: np.ndarray
    params: Any
    stats: Any
    opt_state: Any


def stacked(seed: int = 0, replicas: int = 3) -> dict[str, Any]:
    """A group's items, replicas on the first axis: optimizer states with arrays and without, a state that is nothing.

    The kernel is large enough for a file of its own, where Orbax has no checksum; small arrays lie where it has one.
    """
    g = np.random.default_rng(seed)
    params = {
        'dense_0': {
            'kernel': g.normal(size=(replicas, 40, 50)).astype(np.float32),
            'bias': np.zeros((replicas, 50), np.float32),
        }
    }
    momentum = (optax.TraceState(jax.tree.map(lambda p: p * 2, params)), optax.EmptyState())
    state = State(np.full(replicas, seed, np.int32), params, {}, momentum)
    plain = State(np.full(replicas, seed, np.int32), params, {}, (optax.EmptyState(), optax.EmptyState()))
    measure = {'length': g.normal(size=replicas), 'count': np.arange(replicas, dtype=np.int64)}
    return {'state': state, 'plain': plain, 'measure_path': measure, 'measure_none': ()}


def assert_same(found: Any, expected: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


def like(items: Any) -> Any:
    return jax.tree.map(np.zeros_like, items)


@pytest.fixture(scope='module')
def saved(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Checkpoints at updates 3 and 6. Copied by tests that damage them."""
    directory = tmp_path_factory.mktemp('group') / 'checkpoints'
    with Checkpoints(directory) as c:
        for step in (3, 6):
            c.save(step, stacked(step), {'step': step, 'positions': [10, 20], 'text': 'é'})
    return directory


def test_checkpoints_round_trip(saved: pathlib.Path):
    """Bitwise, in structure too: NamedTuples, empty optimizer states, and items without any array."""
    with Checkpoints(saved) as c:
        assert c.steps() == [3, 6]
        for step in (6, 3):
            items, meta = c.restore(step, like(stacked()))
            assert_same(items, stacked(step))
            assert (meta['step'], meta['positions'], meta['text']) == (step, [10, 20], 'é')
            # One run can be cut out of the group.
            assert_same(
                jax.tree.map(lambda x: x[1], items['state']), jax.tree.map(lambda x: x[1], stacked(step)['state'])
            )
        items, meta = c.restore_latest(like(stacked()), pytest.fail) or pytest.fail('nothing found')
        assert_same(items, stacked(6))


def test_saving_takes_what_the_items_hold_now(tmp_path: pathlib.Path):
    """The save goes on in the background; what happens to the arrays and the meta meanwhile must not enter."""
    items = {'state': {'big': np.ones((64, 1024, 32), np.float32)}}
    divergence: dict[str, Any] = {'step': None}
    with Checkpoints(tmp_path / 'c') as c:
        c.save(1, items, {'divergence': [divergence]})
        items['state']['big'][:], divergence['step'] = 7, 7
        c.wait()
        found, meta = c.restore(1, like(items))
    assert (found['state']['big'] == 1).all()
    assert meta['divergence'] == [{'step': None}]


def test_no_checkpoint_is_none(tmp_path: pathlib.Path):
    with Checkpoints(tmp_path / 'new') as c:
        assert c.steps() == []
        assert c.restore_latest(like(stacked()), pytest.fail) is None


def test_the_latest_two_and_the_named_are_kept(tmp_path: pathlib.Path):
    with Checkpoints(tmp_path / 'c', keep=[2, 5]) as c:
        for step in range(1, 9):
            c.save(step, {'x': np.array([float(step)])}, {})
        c.wait()
        assert c.steps() == [2, 5, 7, 8]
    with Checkpoints(tmp_path / 'c', keep=[2, 5]) as c:
        c.save(9, {'x': np.array([9.0])}, {})
        c.wait()
        assert c.steps() == [2, 5, 8, 9]
        assert c.restore(2, {'x': np.zeros(1)})[0]['x'] == 2


def test_a_refused_save_is_an_error(tmp_path: pathlib.Path):
    """Orbax only returns False for a step below the newest."""
    with Checkpoints(tmp_path / 'c') as c:
        c.save(5, {'x': np.zeros(1)}, {})
        c.wait()
        with pytest.raises(RuntimeError, match=r'checkpoint at update 4 was refused; .* holds \[5\]'):
            c.save(4, {'x': np.zeros(1)}, {})


def test_initial_weights_are_stored_once_and_apart(tmp_path: pathlib.Path):
    """What a resumed session gets are those of the first one; rotating checkpoints never touches them."""
    first, later = stacked(1)['state'].params, stacked(2)['state'].params
    for params in (first, later):
        items, _ = kept(tmp_path / 'initial', {'params': params}, lambda p=params: {'params': p}, pytest.fail)
        with Checkpoints(tmp_path / 'checkpoints') as c:
            for step in (1, 2, 3):
                if step not in c.steps() and (not c.steps() or step > c.steps()[-1]):
                    c.save(step, {'x': np.zeros(1)}, {})
        assert_same(items['params'], first)


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.usefixtures('late_errors')
@pytest.mark.parametrize('how', ['flipped', 'emptied', 'meta lost', 'all lost'])
def test_damaged_initial_weights_are_made_anew(tmp_path: pathlib.Path, how: str):
    """The same by their sha256, where that is known from elsewhere or from their own meta; others are refused."""
    first, other, folder = stacked(1)['state'].params, stacked(2)['state'].params, tmp_path / 'initial'
    make = lambda params: lambda: {'params': params}
    _, sha256 = kept(folder, {'params': first}, make(first), pytest.fail)
    said: list[str] = []
    if 'lost' not in how:
        toy.DAMAGES[how](max(data_files(folder / '0' / 'params'), key=lambda p: p.stat().st_size))
    else:
        shutil.rmtree(folder / '0' / 'meta' if how == 'meta lost' else folder)
    known = sha256 if 'lost' in how else {}
    with pytest.raises(ValueError, match=r'initial/0.*the initial weights are others: restore'):
        kept(folder, {'params': first}, make(other), said.append, known)
    assert said == []
    items, again = kept(folder, {'params': first}, make(first), said.append, known)
    assert_same(items['params'], first)
    assert again == sha256
    assert len(said) == 1
    assert 'the same by their sha256' in said[0]
    kept(folder, {'params': first}, pytest.fail, pytest.fail, known)


# Orbax's own files, whose content does not come back with the items.
def data_files(step: pathlib.Path) -> list[pathlib.Path]:
    return sorted(p for p in step.rglob('*') if p.is_file() and p.stat().st_size)


def damaged_copy(saved: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    shutil.copytree(saved, copy := tmp_path / 'checkpoints')
    return copy


def restored_or_refused(directory: pathlib.Path) -> bool:
    """True if refused; a restore that succeeds must be right."""
    with Checkpoints(directory) as c:
        try:
            items, meta = c.restore(6, like(stacked()))
        except Damaged as e:
            words = str(e)
            return len(words) < 3 * len(str(directory)) + 500  # a line to be read
    assert_same(items, stacked(6))
    assert meta['positions'] == [10, 20]
    return False


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.usefixtures('late_errors')
@pytest.mark.parametrize('how', ['flipped', 'halved', 'deleted'])
def test_a_damaged_file_never_gives_wrong_numbers(saved: pathlib.Path, tmp_path: pathlib.Path, how: str):
    """Brute force over every file of a checkpoint: refused, or not needed for the numbers, which then are right."""
    refused = 0
    names = [p.relative_to(saved) for p in data_files(saved / '6')]
    for number, name in enumerate(names):
        copy = damaged_copy(saved, tmp_path / str(number))
        toy.DAMAGES[how](copy / name)
        refused += restored_or_refused(copy)
    assert refused >= 3


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.usefixtures('late_errors')
@pytest.mark.parametrize('how', ['flipped', 'halved'])
def test_a_damaged_latest_checkpoint_is_set_aside_and_said(saved: pathlib.Path, tmp_path: pathlib.Path, how: str):
    """The largest file of data is damaged; the one before is used; the step can be saved, and damaged, again."""
    directory, said = damaged_copy(saved, tmp_path), []
    for round_ in (1, 2):
        toy.DAMAGES[how](max(data_files(directory / '6' / 'state'), key=lambda p: p.stat().st_size))
        with Checkpoints(directory) as c:
            items, meta = c.restore_latest(like(stacked()), said.append) or pytest.fail('nothing found')
            assert_same(items, stacked(3))
            assert meta['step'] == 3
            assert len(said) == round_
            assert 'damaged-6' in said[-1]
            assert 'going back to the one before' in said[-1]
            assert c.steps() == [3]
            assert (directory / 'damaged-6').is_dir()
            c.save(6, stacked(6), {'step': 6, 'positions': [10, 20]})
    assert not restored_or_refused(directory)


def test_a_half_written_checkpoint_is_not_there(saved: pathlib.Path, tmp_path: pathlib.Path):
    """A kill leaves Orbax's temporary directory: it is no checkpoint, and is cleaned away."""
    directory = damaged_copy(saved, tmp_path)
    shutil.copytree(directory / '6', directory / '9.orbax-checkpoint-tmp-1')
    with Checkpoints(directory) as c:
        assert c.steps() == [3, 6]
        assert_same((c.restore_latest(like(stacked()), pytest.fail) or pytest.fail('nothing found'))[0], stacked(6))


def test_half_a_checkpoint_counts_nowhere(saved: pathlib.Path, tmp_path: pathlib.Path):
    """Brute force: of one that was being removed, with any one of the files that tell what it holds gone."""
    names = [
        p.relative_to(saved) for p in data_files(saved / '3') if p.name in ('_METADATA', 'metadata', 'manifest.ocdbt')
    ]
    names = [name for name in names if 'ocdbt.process_0' not in name.parts]
    assert len(names) >= 3
    for number, name in enumerate(names):
        copy = damaged_copy(saved, tmp_path / str(number))
        (copy / name).unlink()
        assert complete_steps(copy) == [6]
        with Checkpoints(copy) as c:
            assert c.steps() == [6]


def test_a_checkpoint_is_renamed_before_it_is_removed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """A kill while files are removed leaves nothing under the name of an update; the next start clears it away."""
    monkeypatch.setattr(checkpoints.Checkpoints, '_clear_removed', lambda *_: None)  # the kill
    with Checkpoints(tmp_path / 'c') as c:
        for step in (1, 2, 3):
            c.save(step, {'x': np.zeros(1)}, {})
    assert sorted(p.name for p in (tmp_path / 'c').iterdir()) == ['2', '3', 'removed']
    assert [p.name for p in (tmp_path / 'c' / 'removed').iterdir()] == ['1']
    monkeypatch.undo()
    with Checkpoints(tmp_path / 'c', writes=False) as c:
        assert c.steps() == [2, 3]
    assert (tmp_path / 'c' / 'removed').is_dir()
    with Checkpoints(tmp_path / 'c') as c:
        assert c.steps() == [2, 3]
    assert not (tmp_path / 'c' / 'removed').exists()


def test_a_save_ends_while_orbax_is_about_to_rename(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Orbax's thread makes the folder of the removed and then renames into it: in between nobody takes it away."""
    renaming, saved = threading.Event(), threading.Event()
    replace = os.replace

    def waiting(source: Any, target: Any, **others: Any) -> None:
        if checkpoints.REMOVED in pathlib.Path(target).parts:
            renaming.set()
            assert saved.wait(60)
        replace(source, target, **others)

    with Checkpoints(tmp_path / 'c') as c:
        for step in (1, 2):
            c.save(step, {'x': np.zeros(1)}, {})
        c.wait()
        monkeypatch.setattr(os, 'replace', waiting)
        save = c._manager.save
        monkeypatch.setattr(c._manager, 'save', lambda *a, **k: save(*a, **k) and renaming.wait(60))
        c.save(3, {'x': np.zeros(1)}, {})
        saved.set()
        c.wait()
        assert c.steps() == [2, 3]
    assert sorted(p.name for p in (tmp_path / 'c').iterdir()) == ['2', '3']


def test_a_reader_touches_nothing(saved: pathlib.Path, tmp_path: pathlib.Path):
    """A live process may be saving there: what is half written is not the reader's to clear away."""
    copy = damaged_copy(saved, tmp_path)
    shutil.copytree(copy / '6', copy / '9.orbax-checkpoint-tmp-1')
    before = sorted(copy.rglob('*'))
    with Checkpoints(copy, writes=False) as c:
        assert c.steps() == [3, 6]
        assert_same(c.restore(6, like(stacked()))[0], stacked(6))
    assert sorted(copy.rglob('*')) == before


def test_checkpoints_do_not_come_to_be_where_they_were_moved_away(tmp_path: pathlib.Path):
    """The folder is told as gone, and what Orbax made at its old place is taken away again."""
    folder = tmp_path / 'runs' / 'train' / 'groups' / 'g' / 'checkpoints'
    folder.parent.mkdir(parents=True)
    with Checkpoints(folder) as c:
        c.save(1, {'x': np.zeros(1)}, {})
        c.wait()
        (tmp_path / 'runs').rename(tmp_path / 'moved')
        with pytest.raises(presence.Gone):
            c.save(2, {'x': np.zeros(1)}, {})
        c._manager.save(2, args=checkpoints.ocp.args.Composite(x=checkpoints.ocp.args.StandardSave({'x': np.zeros(1)})))
        with pytest.raises(presence.Gone):
            c.wait()
        assert (tmp_path / 'runs').exists()
    assert [p.name for p in tmp_path.iterdir()] == ['moved']


def changed(how: str) -> dict[str, Any]:
    items = stacked()
    kernel = items['state'].params['dense_0']['kernel']
    if how == 'dtype':
        kernel = kernel.astype(np.float64)
    elif how == 'narrower dtype':
        kernel = kernel.astype(np.float16)
    elif how == 'shape':
        kernel = kernel[:, :, :30]
    elif how == 'replicas':
        return jax.tree.map(lambda x: x[:2], items)
    params = {'dense_0': {'kernel': kernel, 'bias': items['state'].params['dense_0']['bias']}}
    if how == 'name':
        params = {'dense_1': params['dense_0']}
    elif how == 'more':
        params |= {'dense_1': params['dense_0']}
    elif how == 'fewer':
        del params['dense_0']['bias']
    elif how == 'another item':
        return items | {'measure_new': np.zeros(3)}
    return items | {'state': items['state']._replace(params=params)}


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.usefixtures('late_errors')
@pytest.mark.parametrize(
    'how', ['dtype', 'narrower dtype', 'shape', 'replicas', 'name', 'more', 'fewer', 'another item']
)
def test_a_checkpoint_of_something_else_is_refused(saved: pathlib.Path, how: str):
    """Orbax casts and pads silently. Told apart from damage: nothing is set aside, nothing starts from scratch."""
    with Checkpoints(saved) as c, pytest.raises(ValueError, match=r'checkpoint .*/6.* does not fit this code'):
        c.restore(6, changed(how))


def test_digest_sees_every_bit():
    """Values, signs of zero, dtypes, shapes and names; not memory layout."""
    base = {'a': np.arange(6, dtype=np.float32).reshape(2, 3), 'b': np.zeros(2)}
    variants = [
        base,
        base | {'b': -np.zeros(2)},
        base | {'b': np.zeros(2, np.float32)},
        base | {'b': np.zeros(3)},
        base | {'a': base['a'].reshape(3, 2)},
        {'a': base['a'], 'c': base['b']},
        base | {'a': np.nextafter(base['a'], np.float32(9))},
    ]
    assert len({checkpoints.digest(v) for v in variants}) == len(variants)
    assert checkpoints.digest(base | {'a': np.asfortranarray(base['a'])}) == checkpoints.digest(base)


# --- names in records


OUTSIDE = ('/etc/hostname', '../secret.npz', 'arrays/../../secret.npz', '', 3, None, 'a\0b')


@pytest.mark.parametrize('name', OUTSIDE)
def test_a_name_in_a_record_that_leads_out_of_its_folder_is_refused(tmp_path: pathlib.Path, name: Any):
    """Wherever it becomes a path: the arrays of a probe, the group of a run, the run of a study."""
    folder = tmp_path / 'runs' / 'study' / 'probe'
    folder.mkdir(parents=True)
    np.savez(tmp_path / 'secret.npz', x=np.zeros(1))
    paths.write_json(folder / 'probe.json', {'probe': {'name': 'gradient_norm'}, 'points': []})
    paths.write_json(folder / 'meta.json', {'status': 'done', 'arrays': name})
    with pytest.raises(ValueError, match='no path inside') as refused:
        probe_records.load(tmp_path / 'runs', 'gradient_norm')
    assert '\n' not in str(refused.value)
    with pytest.raises(ValueError, match='no path inside'):
        paths.group_dir(tmp_path / 'runs', 'study', name)
    if isinstance(name, str) and '..' in name:
        with pytest.raises(ValueError, match='no path inside'):
            paths.run_dir(tmp_path / 'runs', 'study', name)


def test_a_name_inside_is_that_path_and_a_parent_may_be_absolute(tmp_path: pathlib.Path):
    """A parent in another workdir is named so on purpose; a relative one lies in this one."""
    assert paths.within(tmp_path, 'arrays/a..b.npz') == tmp_path / 'arrays' / 'a..b.npz'
    assert paths.run_dir(tmp_path, 'train', 'c91b89072fda') == tmp_path / 'train' / 'c91b89072fda'
    assert paths.parent_dir(tmp_path, 'train/c91b89072fda') == tmp_path / 'train' / 'c91b89072fda'
    assert paths.parent_dir(tmp_path, '/other/runs/train/c91b89072fda').as_posix() == '/other/runs/train/c91b89072fda'
    with pytest.raises(ValueError, match='no path inside'):
        paths.parent_dir(tmp_path, '../other/train/c91b89072fda')


def test_where_a_run_stands_is_told_by_one_function(tmp_path: pathlib.Path):
    """Stopped before its first checkpoint, after one, killed, at work, failed: in reports as in `status`."""
    directory = write_run(tmp_path, name='aa', status='running')
    group, meta = tmp_path / 'train' / 'groups' / 'g', paths.read_json(directory / 'meta.json') | {'group': 'g'}
    paths.write_json(directory / 'meta.json', meta)
    group.mkdir(parents=True)

    def told() -> set[str]:
        names = {standing.of(group, [meta], latest_step(group / 'checkpoints') or 0).name}
        names |= {run.status for run in inventory.load(tmp_path).runs}
        return names | set(records.load(tmp_path)['status']) | {lineage.text(tmp_path).split('  ')[1]}

    assert told() == {'to do'}
    paths.write_json(group / 'job.json', {'state': 'stopped', 'step': 0})
    assert told() == {'stopped'}
    paths.write_json(group / 'job.json', {'state': 'running', 'step': 3})
    assert told() == {'stopped'}
    with leases.Lease(group):
        assert told() == {'running'}
    (group / 'lease.json').write_text(
        json.dumps({'host': socket.gethostname(), 'pid': 2**30, 'process_start': 0.0, 'beat': 0.0})
    )
    assert told() == {'stopped'}
    paths.write_json(group / 'job.json', {'state': 'failed', 'error': 'no memory'})
    assert told() == {'failed'}
    for status in ('done', 'diverged'):
        paths.write_json(directory / 'meta.json', meta | {'status': status})
        assert standing.name(directory, meta | {'status': status}) == status
