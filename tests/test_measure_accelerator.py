"""The measurement on an accelerator: its time, its tables, and, slow, each of its parts at toy size on this device."""

import functools
import json
import math
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
import toy

from scripts import measure_accelerator
from scripts.accelerator import tables, work
from scripts.accelerator.work import Row, Work


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now


def test_each_part_has_its_share_of_what_is_left_and_none_outlasts_the_whole():
    """The second gets what the first left over; the last, which began too late, nothing past the end."""
    clock, parts = Clock(), ['machine', 'groups', 'updates']
    shares = [measure_accelerator.PARTS[name].share for name in parts]
    spans = measure_accelerator.spans(parts, 10.0, clock.time)
    assert next(spans) == ('machine', 600 * shares[0] / sum(shares), 600 * shares[0] / sum(shares) + 10)
    clock.now = 5.0
    second = 5 + 595 * shares[1] / sum(shares[1:])
    assert next(spans) == ('groups', pytest.approx(second), pytest.approx(second + 10))
    clock.now = 598.0
    assert next(spans) == ('updates', 600.0, 600.0)


def test_a_part_stops_before_a_case_that_would_not_fit(patching: pytest.MonkeyPatch):
    """Cases of 1, 40, 2 and 1 s in 100 s: one as long as the second no longer fits at the end."""
    clock = Clock()
    patching.setattr(work, 'time', clock)

    def measure(seconds: int) -> Iterator[Row]:
        clock.now += seconds
        if seconds == 2:
            raise MemoryError('no room\nfor it')
        yield {'seconds': seconds}

    made = list(Work('updates', 100.0, '').in_time([1, 40, 2, 18, 5, 6], measure))
    assert made[:2] == [{'seconds': 1}, {'seconds': 40}]
    assert made[2:] == [
        {'case': '2', 'skipped': 'MemoryError: no room'},
        {'seconds': 18},  # 57 s were left, 39 are
        {'case': '5; 6', 'skipped': 'no time left for 2'},
    ]


def test_a_process_that_fails_or_is_late_leaves_its_reason(tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]):
    """One at once, the other at its end."""
    lacking = Work('nothing_such', time.time() + 60, str(tmp_path), str(tmp_path))
    assert list(work.started(lacking, lacking.end)) == [
        {'skipped': "ended with exit code 1: ModuleNotFoundError: No module named 'scripts.accelerator.nothing_such'"}
    ]
    assert 'Traceback' in capfd.readouterr().err
    late = Work('machine', time.time(), str(tmp_path), str(tmp_path), 'slow')
    assert list(work.started(late, late.end, alone=True)) == [{'case': 'slow', 'skipped': 'stopped: its time was over'}]


def test_work_is_the_same_after_its_way_to_another_process():
    """Tuples too."""
    given = Work('updates', 1.5, 'out', families=('mlp',), batch_sizes=(8, 32), toy=True)
    assert Work.of_json(given.to_json()) == given


def test_the_page_has_a_table_for_each_kind_of_row_and_says_what_is_missing():
    """Ratios with their range; a column that a row lacks is empty."""
    rows: list[Row] = [
        {'network': 'mlp', 'B': 8, 'ours, updates/s': 12345.6, 'ours / eager': [1.234, 1.1, 2.0]},
        {'precision': 'TF32', 'skipped': 'a mode | of others'},
        {'run': 'a', 'equal': False},
        {'network': 'cnn', 'B': 8, 'ours, updates/s': 0.01234, 'turns': 3},
    ]
    part = {'title': 'Updates', 'words': 'Said.', 'seconds': 12.3, 'rows': rows}
    page = tables.markdown({'command': 'x', 'begun': 'now', 'toy': False, 'parts': {'updates': part}})
    assert page.splitlines()[4:] == [
        '## Updates', '', 'Said.', '',
        '| network | B | ours, updates/s | ours / eager | turns |', '| --- | --- | --- | --- | --- |',
        '| mlp | 8 | 12,346 | 1.23 (1.10 to 2.00) |  |', '| cnn | 8 | 0.0123 |  | 3 |', '',
        '| run | equal |', '| --- | --- |', '| a | **no** |', '',
        '- not measured: TF32: a mode | of others', '', '12 s.',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('flag', 'given', 'of'),
    [('parts', ['updats'], 'updats'), ('parts', [], ''), ('batch_sizes', ['8', '0'], '0'), ('replicas', ['x'], 'x')],
)
def test_values_that_are_none_are_named(flag: str, given: list[str], of: str):
    """With the flag and what is allowed."""
    read = measure_accelerator.sizes
    if flag == 'parts':
        read = functools.partial(measure_accelerator.chosen, allowed=list(measure_accelerator.PARTS))
    with pytest.raises(ValueError, match=f'--{flag}={",".join(given)}: {of!r} (is none; allowed: machine,|must be a)'):
        read(flag, given)


def test_comparisons_come_in_the_order_of_their_worth():
    """The first batch size or the first precision, then torch.compile at the first size, then the rest."""
    from scripts.accelerator import updates

    given = Work('updates', 0.0, '', families=('mlp',), batch_sizes=(128, 8))
    every = updates.cases(given, ['float32', 'bfloat16'], 'cuda')
    assert [(c.batch_size, c.precision, c.compiled) for c in every] == [
        (128, 'float32', False), (128, 'bfloat16', False), (8, 'float32', False),
        (128, 'float32', True), (128, 'bfloat16', True),
        (8, 'bfloat16', False), (8, 'float32', True), (8, 'bfloat16', True),
    ]  # fmt: skip
    assert len(updates.cases(given, ['float32'], '')) == 2


def test_a_turn_is_as_long_as_asked_for_whatever_its_beginning_takes():
    """30 ms to begin and 1 ms an update: of one alone 8 would be taken for a quarter of a second."""
    from scripts import turns

    calls: list[int] = []

    def turn(updates: int) -> float:
        calls.append(updates)
        return 0.03 + 0.001 * updates

    assert turns.length(turn, 0.25) == round(0.25 * 64 / (0.03 + 0.064))
    assert calls == [1, 4, 16, 64]
    assert turns.Ratio.of([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == (2.0, 1.0, 3.0)


def pretended(seconds: float) -> Callable[[int], float]:
    """A side whose updates take so long, and a million seconds for each number of its process."""
    if math.isnan(seconds):
        raise ValueError('no such side')
    return lambda updates: seconds * updates + os.getpid() * 1e6


@pytest.mark.slow
def test_a_side_elsewhere_has_a_process_of_its_own():
    """Which takes its turns, and tells what it raises."""
    from scripts import turns

    with turns.elsewhere(pretended, 0.5) as one, turns.elsewhere(pretended, seconds=0.25) as other:
        (first, of_one), (second, of_other) = divmod(one(4), 1e6), divmod(other(4), 1e6)
    assert (of_one, of_other) == (2.0, 1.0)
    assert len({first, second, os.getpid()}) == 3
    with pytest.raises(ValueError, match='no such side'), turns.elsewhere(pretended, float('nan')):
        pass


EXACT = ('resumed: weights equal', 'rows equal', 'dense records equal', 'made again: weights equal')
# Of the rows that a part makes at toy size.
HOLDS: dict[str, Callable[[list[Row]], bool]] = {
    'machine': lambda rows: {row.get('precision') for row in rows} >= {'float32', 'bfloat16'},
    'resume': lambda rows: [[row[name] for name in EXACT] for row in rows] == [[True] * 4],
    'agreement': lambda rows: [(row['dtype'], row['kept']) for row in rows] == [('float32', True), ('float64', True)],
    'groups': lambda rows: [row['runs'] for row in rows] == [1, 2] and [r['knee'] for r in rows].count('here') == 1,
    'updates': lambda rows: {row['network'] for row in rows} == {'mlp', 'resnet_8'},
    'memory': lambda rows: all(row['XLA, MiB'] < 2 * row['measured, MiB'][0] for row in rows) and len(rows) == 2,
    'overheads': lambda rows: 0 < next(row['overhead'] for row in rows if 'run' in row) < 1,
    'shen': lambda rows: [row['what'] for row in rows if 'what' in row] == ['forecast', 'made'],
}


@pytest.mark.slow
@pytest.mark.parametrize('part', measure_accelerator.PARTS)
def test_a_part_at_toy_size(tmp_path: pathlib.Path, part: str):
    """It measures something, and what is exact on a CPU is; both files hold it."""
    command = [sys.executable, '-m', 'scripts.measure_accelerator', f'--out={tmp_path}', '--toy', '--minutes=7']
    env = toy.environment(hurry=False, BSRESEARCH_DATA=str(tmp_path))
    done = subprocess.run(
        [*command, f'--parts={part}'], cwd=toy.ROOT, env=env, timeout=450, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (made,) = json.loads((tmp_path / 'results.json').read_text(encoding='utf-8'))['parts'].values()
    assert HOLDS[part]([row for row in made['rows'] if 'skipped' not in row]), made['rows']
    assert f'## {made["title"]}' in (tmp_path / 'results.md').read_text(encoding='utf-8')
