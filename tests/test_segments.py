"""Runs whose batch size, learning rate and momentum change: what is used, recorded, resumed, averaged and ensembled."""

import csv
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from bsresearch.launching import schedule_csv
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.planning.sweep import groups
from bsresearch.store import paths, records
from bsresearch.train import feed, program
from bsresearch.train.devices import parallel
from bsresearch.train.step import Task

GROWING: dict[str, Any] = {
    'total_epochs': 2.0,
    'optimizer__name': 'momentum',
    'batch_schedule__name': 'growth',
    'batch_schedule__factor': 2.5,
    'batch_schedule__at_epochs': (0.33, 0.9, 1.4),
    'schedule__name': 'one_cycle',
    'record__dense': True,
    'record__every_steps': 1,
    'weight_decay': 1e-4,
    'warmup__examples': 72,
    'norms__log_spaced': 5,
    'ema__half_life_epochs': 0.3,
    'checkpoint__every_steps': 7,
    'seconds_per_update': None,  # timed
}


class Interrupted(toy.Quiet):
    """Stops what it is told about at an update: as a kill between two checkpoints would."""

    def __init__(self, step: int):
        super().__init__()
        self.step = step

    def progress(self, step: int, *args: Any) -> None:
        if step >= self.step:
            raise OSError('killed')


def used(workdir: pathlib.Path, plan: Plan) -> dict[str, np.ndarray]:
    return {k: v for k, v in toy.dense(workdir, plan).items() if k.endswith('_used')}


def assert_as_planned(workdir: pathlib.Path, plan: Plan) -> None:
    """Every update's dense record is the policy's table in the weights' precision."""
    values = plan.table(0, plan.length.total_steps)
    found = used(workdir, plan)
    for name in ('learning_rate', 'momentum'):
        np.testing.assert_array_equal(found[f'{name}_used'], getattr(values, name).astype(np.float32))


@pytest.fixture(scope='module')
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, Plan]:
    """The growing run, never stopped; tests read it."""
    workdir = tmp_path_factory.mktemp('grown')
    (plan,) = toy.plans(**GROWING)
    toy.train(workdir, [plan])
    return workdir, plan


@pytest.mark.parametrize('boundary', ['through', 'partial'])
def test_invariant_1_a_growing_batch_reads_the_same_stream(boundary: str, monkeypatch: pytest.MonkeyPatch):
    """Every chunk's real ids, one after another, are the stream of a run of another, constant batch size."""
    monkeypatch.setattr(feed, 'UPDATES_PER_CHUNK', 16)
    found = []
    for changes in (GROWING, {'total_epochs': 2.0}):
        (plan,) = toy.plans(**changes, epoch_boundary=boundary)
        task = program.task(plan, 16.0, 'cpu')
        made = feed.Feed([plan], resolve.dataset(plan.data), parallel.DeviceGroup(1, 'sequential'), task.dtype)
        ids, t = [], 0
        for start, stop, size in plan.length.segments:
            for t in range(start, stop, made.capacity(start)):
                _, tables = made.one(0, t, count := min(made.capacity(start), stop - t))
                assert tables.ids.shape[1] == size
                ids += [row[:n] for row, n in zip(tables.ids[:count], tables.counts[:count], strict=True)]
        found.append(np.concatenate(ids))
    np.testing.assert_array_equal(*found)
    assert len(found[0]) == 2 * 1437


@pytest.mark.parametrize('step', [100, pytest.param(118, marks=pytest.mark.slow)])
def test_resume_inside_and_after_a_ramp_equals_never_stopped(
    workdir: pathlib.Path, grown: tuple[pathlib.Path, Plan], step: int
):
    """Bit for bit: rows, dense records, weights, the moving average; also what was used is as planned."""
    whole, plan = grown
    assert [b for _, _, b in plan.length.segments] == [8, 20, 50, 125]
    with pytest.raises(OSError, match='killed'):
        toy.train(workdir, [plan], Interrupted(step))
    toy.train(workdir, [plan])
    toy.assert_equal(toy.final(workdir, plan), toy.final(whole, plan))
    toy.assert_equal(*(toy.item(w, plan, plan.length.total_steps, 'ema') for w in (workdir, whole)))
    rows = [list(toy.rows(w, plan)) for w in (workdir, whole)]
    assert rows[0] == rows[1]
    # The run's last batch is short.
    assert {r['batch_size_used'] for r in rows[0] if 'batch_loss' in r} == {8, 20, 50, 125, 74}
    toy.assert_equal(*(toy.dense(w, plan) for w in (workdir, whole)))
    assert_as_planned(workdir, plan)


@pytest.mark.slow
def test_a_growing_batch_is_its_micro_batches(workdir: pathlib.Path):
    """Invariant 3 across segments, in float64: micro-batches of 8 and whole batches end at the same weights."""
    short: dict[str, Any] = GROWING | {
        'total_epochs': 0.5, 'batch_schedule__at_epochs': (0.33,), 'dtype': 'float64', 'ema__half_life_epochs': None,
        'evaluate__every_epochs': 0.0, 'norms__log_spaced': 0, 'record__dense': False, 'record__every_steps': 0,
        'measure__distance__every_epochs': 0.0, 'measure__parameter_norm__every_epochs': 0.0,
    }  # fmt: skip
    (whole,), (micro,) = toy.plans(**short), toy.plans(**short, micro_batch_size=8)
    assert whole.id == micro.id
    assert [b for _, _, b in whole.length.segments] == [8, 20]
    with jax.enable_x64(True):
        toy.train(workdir / 'whole', [whole])
        toy.train(workdir / 'micro', [micro])
        a, b = toy.final(workdir / 'whole', whole), toy.final(workdir / 'micro', micro)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-13), a, b)


@pytest.mark.parametrize(
    ('strategy', 'names'),
    [
        ('sequential', ('cosine', 'one_cycle')),
        pytest.param('vmap', ('constant', 'cosine', 'one_cycle', 'warm_restarts'), marks=pytest.mark.slow),
    ],
)
def test_other_shapes_of_schedule_share_a_group(workdir: pathlib.Path, strategy: str, names: tuple[str, ...]):
    """One compiled program: constant, cosine, one-cycle with its momentum; each as planned and as when alone."""
    own = {'warm_restarts': {'schedule__first_cycle_steps': 10}}
    shared = {'optimizer__name': 'momentum', 'record__dense': True, 'strategy': strategy}
    settings = lambda name: {'schedule__name': name} | own.get(name, {})
    runs = [toy.plans(**shared, **settings(name))[0] for name in names]
    assert len(groups(runs)) == 1
    toy.train(workdir / 'group', runs)
    for plan in runs:
        assert_as_planned(workdir / 'group', plan)
        toy.train(workdir / 'alone', [plan])
        close = {'sequential': 0.0, 'vmap': 1e-4}[strategy]
        alone, grouped = toy.final(workdir / 'alone', plan), toy.final(workdir / 'group', plan)
        jax.tree.map(lambda a, b, c=close: np.testing.assert_allclose(a, b, rtol=c, atol=c), grouped, alone)


def test_the_dry_runs_table_is_what_is_used(grown: tuple[pathlib.Path, Plan], tmp_path: pathlib.Path):
    """Text for text: the CSV of a dry run and the rows of the run, at every update."""
    workdir, plan = grown
    path = tmp_path / 'schedule.csv'
    assert schedule_csv.write(path, [plan]) == plan.length.total_steps
    rows = {r['step']: r for r in toy.rows(workdir, plan) if 'batch_loss' in r}
    table = list(csv.DictReader(path.read_text().splitlines()))
    assert len(table) == len(rows) == plan.length.total_steps
    for line in table:
        row = rows[int(line['step'])]
        assert line['run'] == plan.id
        names = {'lr': 'learning_rate', 'momentum': 'momentum', 'weight_decay': 'weight_decay'}
        left = plan.length.total_examples - row['examples']  # of the last batch; the table has what is scheduled
        assert row['batch_size_used'] == min(int(line['batch_size']), left)
        assert {k: float(line[k]) for k in names} == {k: row[f'{v}_used'] for k, v in names.items()}
        assert (int(line['examples']), float(line['epoch'])) == (row['examples'], row['epoch'])
        effective = float(np.float32(line['lr'])) / (1 - float(np.float32(line['momentum'])))
        assert float(line['effective_lr']) == pytest.approx(effective, rel=1e-12)
        assert float(line['noise_temperature']) == pytest.approx(effective * 1437 / int(line['batch_size']), rel=1e-12)
    path.write_text('something else')
    with pytest.raises(ValueError, match='holds something else than a schedule table'):
        schedule_csv.write(path, [plan])
    assert path.read_text() == 'something else'


def test_the_average_is_that_of_the_weights_along_the_run(workdir: pathlib.Path):
    """Brute force from a checkpoint of every update: weights 2^(−age/H), ages in examples; statistics alike."""
    changes = {'ema__half_life_examples': 30, 'total_steps': 6, 'keep__every_steps': 1, 'strategy': 'vmap'}
    runs = toy.plans(**changes, model={'name': 'mlp', 'widths': (8,), 'batch_norm': True}, sweep__seed=(0, 1))
    toy.train(workdir, runs)
    weights = 0.5 ** (8 * np.arange(5, -1, -1) / 30)
    mean = lambda *xs: np.tensordot(weights / weights.sum(), np.stack(xs), 1)
    for plan in runs:
        states = [toy.checkpoint(workdir, plan, t) for t in range(1, 7)]
        expected = jax.tree.map(mean, *[(s.params, s.stats) for s in states])
        found = toy.item(workdir, plan, 6, 'ema')
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        jax.tree.map(close, (found.params, found.stats), expected)
        rows = [r for r in toy.rows(workdir, plan) if 'ema_test_loss' in r]
        assert {r['step'] for r in rows} == {0, 6}
        assert rows[0]['ema_test_loss'] == rows[0]['test_loss']
        assert rows[-1]['ema_test_loss'] != rows[-1]['test_loss']


@pytest.mark.as_shipped
def test_averaging_changes_no_bit_of_the_weights(workdir: pathlib.Path):
    (plain,), (averaged,) = toy.plans(**toy.BARE), toy.plans(**toy.BARE, ema__half_life_epochs=1.0)
    toy.train(workdir, [plain])
    toy.train(workdir, [averaged])
    toy.assert_equal(toy.final(workdir, plain), toy.final(workdir, averaged))


def test_snapshots_are_evaluated_as_an_ensemble(workdir: pathlib.Path):
    """Brute force at every cycle's end, also after an interruption: mean softmax over the checkpoints there."""
    runs = toy.plans(
        schedule__name='warm_restarts', schedule__first_cycle_steps=6, schedule__cycle_multiplier=2, total_steps=42,
        snapshots__cycle_ends=True, keep__at_steps=(6, 18), checkpoint__every_steps=4, data__validation=0.1,
        sweep__seed=(0, 1), strategy='vmap',
    )  # fmt: skip
    with pytest.raises(OSError, match='killed'):
        toy.train(workdir, runs, Interrupted(25))
    toy.train(workdir, runs)
    for plan in runs:
        data = resolve.dataset(plan.data)
        rows = {r['step']: r for r in toy.rows(workdir, plan) if 'ensemble_size' in r}
        assert {t: r['ensemble_size'] for t, r in rows.items()} == {6: 1, 18: 2, 42: 3}
        for split in ('test', 'validation'):
            part = data.named()[split]
            mean = 0.0
            for n, t in enumerate((6, 18, 42), 1):
                mean = mean + softmax(program.task(plan, 16.0, 'cpu'), toy.checkpoint(workdir, plan, t), part.inputs)
                p = np.asarray(mean, np.float64) / n
                accuracy = float((p.argmax(1) == part.labels).mean())
                assert rows[t][f'ensemble_{split}_accuracy'] == pytest.approx(accuracy, abs=1e-9)
                nll = -np.log(p[np.arange(len(p)), part.labels]).mean()
                assert rows[t][f'ensemble_{split}_nll'] == pytest.approx(nll, rel=1e-5)


def softmax(task: Task, state: Any, inputs: np.ndarray) -> np.ndarray:
    outputs = task.module.apply({'params': state.params}, task.normalize(jnp.asarray(inputs)), train=False)
    exps = np.exp(np.asarray(outputs, np.float64))
    return exps / exps.sum(1, keepdims=True)


def test_snapshots_need_cycles():
    with pytest.raises(ValueError, match=r'cycle_ends=True needs schedule\.name=warm_restarts'):
        toy.plans(snapshots__cycle_ends=True)


def test_seconds_follow_the_batch_size(grown: tuple[pathlib.Path, Plan]):
    """Time of training alone: each segment at its own pace."""
    workdir, plan = grown
    pace = paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json')['seconds_per_update']
    expected = sum((stop - start) * p for (start, stop, _), p in zip(plan.length.segments, pace, strict=True))
    last = list(records.rows(paths.run_dir(workdir, plan.study, plan.id)))[-1]
    assert last['step'] == plan.length.total_steps
    assert last['seconds'] == pytest.approx(expected)
