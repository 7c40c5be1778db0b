"""Launching as a user does: the console, the disk, the compilation cache."""

import errno
import os
import pathlib
import re
import subprocess
import sys
from typing import Any
from unittest import mock

import jax
import numpy as np
import pytest
import toy

from bsresearch.data import sources
from bsresearch.launching import dry_run, environment, fitting, groups, results, runner
from bsresearch.launching.console import Console
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.store import leases, paths, records
from bsresearch.store.checkpoints import Checkpoints
from bsresearch.store.writer import Writer
from bsresearch.train.devices import layout


def formed(workdir: pathlib.Path, plans: list[Plan]) -> groups.ReplicaGroup:
    """Groups on disk, not yet trained: what a kill right after the start leaves."""
    paths.claim_workdir(workdir)
    return groups.form(workdir, plans, print)[0]


def test_what_a_run_leaves_on_disk(workdir: pathlib.Path):
    """Declared and resolved config, versions, seeds, engine's choices; a table with one row per run and step."""
    plans = toy.plans(sweep__seed=(0, 5), sweep__batch_size=(8, 16), total_steps=None, total_epochs=1.0)
    toy.train(workdir, plans)
    for plan in plans:
        folder = paths.run_dir(workdir, plan.study, plan.id)
        config, meta = paths.read_json(folder / 'config.json'), paths.read_json(folder / 'meta.json')
        assert config['declared']['total_epochs'] == 1.0
        assert config['resolved']['total_examples'] == 1437
        assert config['resolved']['execution']['micro_batch_size'] == plan.batch_size
        assert meta['seeds'] == {'seed': plan.seed, 'init_seed': plan.seed, 'data_seed': plan.seed}
        assert {'jax', 'flax', 'optax', 'python', 'bsresearch'} <= set(meta['versions'])
        phases = meta['seconds']
        assert phases['wall'] == pytest.approx(sum(v for k, v in phases.items() if k != 'wall'), rel=1e-6)
    table = records.load(workdir)
    first = ['run', 'study', 'status', 'seed', 'batch_size', 'learning_rate']
    assert set(table.columns[:6]) == set(first)
    assert not table.duplicated(['run', 'step']).any()
    last = table[table['step'] == table.groupby('run')['step'].transform('max')]
    assert last['examples'].tolist() == [1437] * 4
    assert last['epoch'].tolist() == [1.0] * 4
    assert last['test_accuracy'].notna().all()
    gap = last['train_accuracy'] - last['test_accuracy']
    assert last['generalization_gap'].to_numpy() == pytest.approx(gap.to_numpy())


def test_a_dry_run_compiles_nothing_and_traces_shapes_once_for_all_runs(monkeypatch: pytest.MonkeyPatch):
    """As many traces and data sets for 40 runs as for 4 of the same two groups; with the analysis programs compile."""
    events: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, duration_secs, **kwargs: events.append(event))
    monkeypatch.setattr(jax, 'eval_shape', traced := mock.Mock(wraps=jax.eval_shape))
    counts = []
    for width, seeds in ((7, 2), (9, 20)):
        sources._embedded.cache_clear()
        traced.reset_mock()
        events.clear()
        plans = toy.plans(sweep__seed=tuple(range(seeds)), sweep__batch_size=(8, 16), model__widths=(width,))
        dry_run.show(Console(quiet=True), plans, fitting.groups(plans))
        compiled = sum('backend_compile' in event for event in events)
        counts.append((traced.call_count, sources._embedded.cache_info().misses, compiled))
    assert counts[0] == counts[1]
    assert counts[0][1:] == (1, 0)
    dry_run.show(Console(quiet=True), plans[:1], fitting.groups(plans[:1]), analysis=True)
    assert any('backend_compile' in event for event in events)


def test_a_full_disk_stops_the_run_and_what_was_written_stays_valid(workdir: pathlib.Path, monkeypatch: Any):
    """ENOSPC in the middle: the error comes through, the records read back, and the same command finishes the work."""
    plans = toy.plans(evaluate__every_steps=5, checkpoint__every_steps=10, sweep__seed=(0, 1))
    toy.train(workdir / 'whole', plans)
    real, calls = Writer.flush, []

    def full(writer: Writer) -> None:
        calls.append(1)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, 'No space left on device')
        real(writer)

    with monkeypatch.context() as patched:
        patched.setattr(Writer, 'flush', full)
        with pytest.raises(OSError, match='No space left'):
            toy.train(workdir / 'full', plans)
    assert len(records.load(workdir / 'full')) > 0
    toy.train(workdir / 'full', plans)
    for plan in plans:
        assert list(toy.rows(workdir / 'full', plan)) == list(toy.rows(workdir / 'whole', plan))
        toy.assert_equal(toy.final(workdir / 'full', plan), toy.final(workdir / 'whole', plan))


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.usefixtures('late_errors')
def test_a_damaged_latest_checkpoint_is_passed_over(workdir: pathlib.Path):
    """The one before is used, the user is told, and the run still equals the uninterrupted one."""
    plans = toy.plans(checkpoint__every_steps=10, optimizer__name='momentum', momentum=0.9)
    toy.train(workdir / 'whole', plans)
    with pytest.raises(runner.Stopped):
        toy.train(workdir / 'cut', plans, toy.StopsAt(20))
    (latest,) = (workdir / 'cut').glob('train/groups/*/checkpoints/20')
    for file in (p for p in (latest / 'state').rglob('d/*') if p.is_file()):
        toy.flip(file)
    said = toy.train(workdir / 'cut', plans).lines
    assert any('going back to the one before' in line for line in said)
    assert list(toy.rows(workdir / 'cut', plans[0])) == list(toy.rows(workdir / 'whole', plans[0]))
    toy.assert_equal(toy.final(workdir / 'cut', plans[0]), toy.final(workdir / 'whole', plans[0]))


def test_a_run_of_a_live_process_is_refused(workdir: pathlib.Path):
    """The error names the process; nothing of the run is touched."""
    plans = toy.plans()
    group = formed(workdir, plans)
    with leases.Lease(group.directory), pytest.raises(leases.Owned, match=f'process {os.getpid()}'):
        toy.train(workdir, plans)


def test_a_group_goes_on_as_it_was_started(workdir: pathlib.Path):
    """Asked for one of its runs, with other settings, the whole group continues with its own."""
    both = toy.plans(sweep__seed=(0, 1))
    formed(workdir, both)
    (one,) = toy.plans(seed=1, evaluate__every_steps=7, strategy='vmap')
    said = toy.train(workdir, [one]).lines
    assert any('goes on with the recording it was started with' in line for line in said)
    for plan in both:
        meta = paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json')
        assert (meta['status'], meta['strategy']) == ('done', 'sequential')
        assert not any(r['step'] == 7 and 'test_loss' in r for r in toy.rows(workdir, plan))


def lines_about(said: list[str], field: str) -> list[str]:
    return [line for line in said if f' {field}=' in line]


def test_what_a_group_keeps_against_a_wish_is_said_setting_by_setting(workdir: pathlib.Path):
    """Of all that is not decided anew, what is kept and what was asked; the same wish, None and 'auto' say nothing."""
    begun = {'max_replicas': 2, 'micro_batch_size': 4, 'reduction': 'ordered', 'reduction_chunks': 4, 'batch_size': 8}
    group = formed(workdir, toy.plans(sweep__seed=(0, 1), **begun))
    later = begun | {'micro_batch_size': 2, 'strategy': 'vmap', 'max_replicas': 64, 'reduction': 'psum',
                     'reduction_chunks': 8, 'data_residence': 'host', 'norms__log_spaced': 7}  # fmt: skip
    told: list[str] = []
    groups.form(workdir, toy.plans(sweep__seed=(0, 1), **later), told.append)
    kept = {
        'micro_batch_size': (4, 2),
        'strategy': ('sequential', 'vmap'),
        'max_replicas': (2, 64),
        'reduction': ('ordered', 'psum'),
        'reduction_chunks': (4, 8),
        'data_residence': ('auto', 'host'),
    }
    for field, values in kept.items():
        (line,) = lines_about(told, field)
        assert all(f'{field}={value}' in line for value in values), line
        assert group.id in line
    (recorded,) = [line for line in told if 'norms.log_spaced' in line]
    assert 'norms.log_spaced=0 (not 7)' in recorded
    assert len(told) == len(kept) + 1
    for quiet in ({}, {'micro_batch_size': None}, {'strategy': 'auto'}, {'devices': 1}, {'uneven_batch': 'refuse'}):
        told.clear()
        groups.form(workdir, toy.plans(sweep__seed=(0, 1), **(begun | quiet)), told.append)
        assert not told, quiet


def test_a_wish_that_changes_nothing_is_not_said(workdir: pathlib.Path):
    """A single run has no strategy and fits any limit; chunks are for ordered sums alone."""
    formed(workdir, toy.plans())
    told: list[str] = []
    groups.form(workdir, toy.plans(strategy='vmap', max_replicas=3, reduction_chunks=4), told.append)
    assert not told


def test_a_finished_group_says_what_of_its_recording_stays(workdir: pathlib.Path):
    """By the field's name, beside the measurements that are added."""
    toy.train(workdir, toy.plans(total_steps=4))
    said = toy.train(workdir, toy.plans(total_steps=4, norms__log_spaced=3, measure__path_length__every_steps=2)).lines
    (line,) = [line for line in said if 'norms.log_spaced=0 (not 3)' in line]
    assert 'path_length' not in line


@pytest.mark.parametrize('name', ['[red]x[/red]', 'a[/b]', 'a:bug:', '[link=x]'])
def test_brackets_in_names_are_shown_as_they_are(
    name: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """In lines, titles, headings and cells, in a terminal too."""
    for terminal in ('0', '1'):
        monkeypatch.setenv('FORCE_COLOR', terminal)
        monkeypatch.setenv('COLUMNS', '200')
        (plan,) = toy.plans(no_decay=('*',), weight_decay=1e-3, total_steps=2)
        console = Console()
        console.say(name)
        console.table([{name: name}], name)
        console.results(tmp_path / name, [plan], [{}])
        console.plans([plan], [{'fact': name}], name)
        assert capsys.readouterr().out.count(name) == 7


@pytest.fixture(scope='module')
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, list[Plan]]:
    """Two arms of two seeds; one run of the second diverged."""
    folder = tmp_path_factory.mktemp('swept') / 'runs'
    plans = toy.plans(total_steps=2, sweep__learning_rate=(0.05, 0.1), sweep__seed=(0, 1))
    toy.train(folder, plans)
    environment.update(paths.run_dir(folder, 'train', plans[3].id), {'status': 'diverged', 'diverged_step': 1})
    return folder, plans


def test_the_final_table_has_a_line_per_arm(swept: tuple[pathlib.Path, list[Plan]]):
    """Both values of two; mean and half of Student's interval of three, by hand; each run on request."""
    folder, plans = swept
    last = [records.last_row(paths.run_dir(folder, p.study, p.id)) for p in plans]
    first, second = results.of_arms(folder, plans, last)
    losses = [row['test_loss'] for row in last]
    assert (first['learning_rate'], first['runs'], first['status']) == (0.05, 2, 'done')
    assert first['test_loss'] == f'{losses[0]:.4g} and {losses[1]:.4g}'
    assert (second['learning_rate'], second['runs'], second['status']) == (0.1, 2, '1 done, 1 diverged')
    assert second['test_loss'] == losses[2]
    assert results.estimate([1.0, None, 2.0, 3.0], 0.0) == f'2 ± {4.3027 / np.sqrt(3):.2g}'
    assert [results.estimate([1.0] * n, 1e-3) for n in (1, 2, 3)] == [1.0] * 3
    assert [row['status'] for row in results.of_runs(folder, plans, last)] == ['done'] * 3 + ['diverged at 1']
    nowhere = results.of_arms(folder.with_name('nowhere'), plans, [{}] * 4)
    assert [row['status'] for row in nowhere] == ['2 not started'] * 2


@pytest.mark.parametrize('width', [80, 130])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_words(
    swept: tuple[pathlib.Path, list[Plan]], width: int, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    """What is left out is named; a pipe gets all of them, and no spaces at the ends of its lines."""
    plans = swept[1]
    rows = [{'run': p.id} | {f'column {n}': 'x' * 14 for n in range(19)} for p in plans]
    title = 'results in a workdir with a long name'
    monkeypatch.setenv('COLUMNS', str(width))
    monkeypatch.setenv('FORCE_COLOR', '1')
    monkeypatch.setenv('NO_COLOR', '1')
    Console().table(rows, title)
    lines = re.sub(r'\x1b\[[\d;]*m', '', capsys.readouterr().out).splitlines()
    fit = (width - 1 - 14) // 16
    assert all(len(line) <= width for line in lines[:-1])
    assert sum(line.count('x' * 14) for line in lines) == fit * len(plans)
    hidden = ', '.join(f'column {n}' for n in range(fit, 19))
    assert lines[-1] == f'not shown on {width} columns: {hidden}'
    monkeypatch.delenv('FORCE_COLOR')
    Console().table(rows, title)
    Console().table([{'n': 1}], title)
    out = capsys.readouterr().out
    assert out.count('x' * 14) == 19 * len(plans)
    assert out.splitlines().count(title) == 2
    assert not any(line.endswith(' ') for line in out.splitlines())


def test_a_changed_data_set_is_refused(workdir: pathlib.Path):
    """A group whose data have another checksum now must not go on."""
    plans = toy.plans()
    group = formed(workdir, plans)
    stored = paths.read_json(group.directory / 'group.json')
    stored['plans'][0]['data_checksum'] = 'other'
    paths.write_json(group.directory / 'group.json', stored)
    with pytest.raises(ValueError, match='data set digits changed'):
        toy.train(workdir, plans)


# Two processes one after another, of one import.
LAUNCHES = """
import os, pathlib, sys
import jax, toy
from bsresearch.launching import compilation_cache
jax.config.update('jax_compilation_cache_dir', sys.argv[1])
compilation_cache.use()
missed = []
listen = lambda event, **_: missed.append(event) if event.endswith('cache_misses') else None
jax.monitoring.register_event_listener(listen)
for name in sys.argv[2:]:
    if not os.fork():
        toy.train(pathlib.Path(name), toy.plans(**toy.BARE, total_steps=5, model={'name': 'linear'}))
        os.write(1, f'{len(missed)} '.encode())
        os._exit(0)
    os.wait()
"""


def test_a_second_launch_compiles_nothing_anew(tmp_path: pathlib.Path):
    """Two processes, one cache folder: JAX counts no miss in the second."""
    words = [sys.executable, '-c', LAUNCHES, *(str(tmp_path / name) for name in ('cache', 'first', 'second'))]
    done = subprocess.run(words, env=toy.environment(), capture_output=True, text=True, check=True)
    first, second = map(int, done.stdout.split())
    assert first > 0
    assert second == 0


@pytest.mark.parametrize(
    ('changes', 'chosen'),
    [
        ({'model': {'name': 'mlp', 'widths': (64,)}, 'batch_size': 32}, 'vmap'),
        ({'model': {'name': 'mlp', 'widths': (1024, 1024)}}, 'sequential'),  # 16 × 4.7 MB of weights
        ({'batch_size': 1}, 'sequential'),  # too little to do
        ({'batch_size': 1, 'model': {'name': 'mlp', 'widths': (512,)}}, 'vmap'),
        ({'batch_size': 256, 'model': {'name': 'mlp', 'widths': (1024,)}}, 'sequential'),  # what its layers put out
        ({'batch_size': 32, 'strategy': 'sequential'}, 'sequential'),
        ({'batch_size': 32, 'reduction': 'ordered'}, 'sequential'),  # the bits of a run on any number of devices
    ],
)
def test_small_runs_are_made_together_on_a_cpu(changes: dict[str, Any], chosen: str):
    """As measured: within caches, where there is enough to do; elsewhere as the platform has it."""
    plans = toy.plans(**{'sweep__seed': tuple(range(16)), 'strategy': 'auto'} | changes)
    assert fitting.strategy_of(plans) == chosen
    assert fitting.strategy_of(plans[:1]) == 'sequential'
    assert fitting.strategy_of(plans, 'cpu') == chosen
    assert fitting.strategy_of(plans, 'gpu') == ('vmap' if 'strategy' not in changes else chosen)


def test_memory_estimate_counts_what_shapes_tell(workdir: pathlib.Path):
    """16 replicas of Shen's network: state and initial weights alone are 16 × 2 × 7.5 MB."""
    plans = toy.plans(sweep__seed=tuple(range(16)), model={'name': 'mlp', 'widths': (1024, 1024)})
    memory = fitting.needs(plans, 'sequential', layout.ALONE)
    disk = dry_run.disk_bytes(plans)
    weights = 4 * (64 * 1024 + 1024 + 1024 * 1024 + 1024 + 10240 + 10)
    assert 16 * 2 * weights < memory < 16 * 2 * weights + 2**28
    assert disk > 16 * 3 * weights
    assert resolve.dataset(plans[0].data).num_outputs == 10


def test_no_run_is_in_two_groups(workdir: pathlib.Path):
    """A kill while a group's runs were written, then one of them asked for alone: the other is grouped anew."""
    both = toy.plans(sweep__seed=(0, 1))
    formed(workdir, both)
    (paths.run_dir(workdir, 'train', both[1].id) / 'meta.json').unlink()
    toy.train(workdir, [both[1]])
    rows = list(toy.rows(workdir, both[1]))
    toy.train(workdir, both)
    assert list(toy.rows(workdir, both[1])) == rows
    assert all(r['status'] == 'done' for _, r in records.runs(workdir).iterrows())
    assert list(toy.rows(workdir, both[0]))[-1]['step'] == 40


def test_an_error_of_the_machine_is_no_damage(workdir: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Too many open files while reading: the error comes through, and no checkpoint is set aside."""
    plans = toy.plans(checkpoint__every_steps=10)
    toy.train(workdir, plans)
    group = groups.load(paths.group_dir(workdir, 'train', groups.status(workdir, plans[0])['group']))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, 'Too many open files')

    with Checkpoints(group.directory / 'checkpoints') as store:
        monkeypatch.setattr(store._manager, 'restore', full)
        with pytest.raises(OSError, match='Too many open files'):
            store.restore_latest({}, print)
        assert store.steps() == [30, 40]


def test_rows_are_never_appended_to_a_torn_line(tmp_path: pathlib.Path):
    """A kill left half a line; the next writer drops it, and every line reads back."""
    (tmp_path / 'metrics.jsonl').write_text('{"step": 0}\n{"step": 1, "te')
    writer = Writer(tmp_path)
    writer.rows([{'step': 2}])
    writer.flush()
    writer.close()
    assert [r['step'] for r in records.rows(tmp_path)] == [0, 2]


def test_a_line_of_progress_says_at_which_epoch_its_scores_were(capsys: pytest.CaptureFixture[str]):
    """All updates are made, the last evaluation is not: the scores beside 100 % are older. One update is no updates."""
    (plan,) = toy.plans(total_steps=1)
    console = Console()
    console.start_group([plan], 'sequential', 1, 1, layout.ALONE)
    console.progress(1, 10.0, {'test_accuracy': (0.125, 0.0), 'train_loss': (2.5, 0.0), 'batch_loss': (2.0, 0.5)})
    console.close_group()
    out = capsys.readouterr().out
    assert ', 1 run: 1 update\n' in out
    assert '100 % · 1/1 · 10 updates/s · 80 examples/s · at epoch 0 test_accuracy 0.1250 · train_loss 2.5000\n' in out


def test_a_column_without_a_value_is_no_column(capsys: pytest.CaptureFixture[str]):
    """As the accuracy of a regression."""
    Console().table([{'run': 'a', 'test_accuracy': None, 'test_loss': 1.0}], 'title')
    assert 'accuracy' not in (out := capsys.readouterr().out)
    assert 'test loss' in out
