"""The invariants of training, by number: 1 stands in test_order.py, 2 in test_config.py, 3 and 6 in their own files."""

import pathlib
import signal
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from bsresearch.data.order import batches
from bsresearch.optim import Hyper
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.store import paths
from bsresearch.train import program
from bsresearch.train.devices import compiling, parallel
from bsresearch.train.state import State


def start(plan: Plan) -> State:
    """The state before the first update."""
    task = program.task(plan, 16.0, 'cpu')
    return jax.jit(lambda: program.initial(task, plan))()


def test_invariant_4_evaluation_is_whole_and_does_not_depend_on_its_batch(workdir: pathlib.Path):
    """Sum over all examples, one division: equal to NumPy's mean over the full logits, for any batch."""
    values = {}
    for size in (7, 1293):
        (plan,) = toy.plans(evaluate__batch_size=size, total_steps=5, data__validation=0.1)
        toy.train(workdir / str(size), [plan])
        values[size] = list(toy.rows(workdir / str(size), plan))[-1]
    (plan,) = toy.plans(total_steps=5, data__validation=0.1)
    params = toy.final(workdir / '7', plan)
    for name, split in resolve.dataset(plan.data).named().items():
        x = np.asarray(split.inputs, np.float64).reshape(len(split.labels), -1) / 16
        hidden = np.maximum(x @ params['dense_0']['kernel'] + params['dense_0']['bias'], 0)
        logits = hidden @ params['output']['kernel'] + params['output']['bias']
        losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(x)), split.labels]
        for row in values.values():
            assert row[f'{name}_loss'] == pytest.approx(losses.mean(), rel=1e-6)
            assert row[f'{name}_accuracy'] == (logits.argmax(1) == split.labels).mean()


RUN = """
import os, pathlib, signal
import toy


class Killed(toy.Quiet):
    def progress(self, step, *args, **kwargs):
        if step >= {step}:
            os.kill(os.getpid(), signal.SIGKILL)


toy.train(pathlib.Path({workdir!r}), toy.plans(**{changes!r}), Killed())
"""
LONG = {
    'sweep__seed': (0, 1),
    'total_steps': 1200,
    'batch_size': 1,
    'optimizer__name': 'adam',
    'momentum': 0.9,
    'learning_rate': 0.001,
    'evaluate__every_steps': 200,
    'checkpoint__every_steps': 400,
    'measure__distance__every_steps': 300,
    'measure__gradient_norm__every_steps': 500,
    'norms__log_spaced': 50,
    'record__dense': True,
}


def test_invariant_5_resume_equals_never_stopped(workdir: pathlib.Path):
    """A real process is killed past a checkpoint and the run resumed: rows, weights and dense records bit for bit."""
    plans = toy.plans(**LONG)
    toy.train(workdir / 'whole', plans)
    code = RUN.format(changes=LONG, workdir=str(workdir / 'killed'), step=900)
    ended = subprocess.run([sys.executable, '-c', code], env=toy.environment(), timeout=300, check=False)
    assert ended.returncode == -signal.SIGKILL
    saved = workdir / 'killed' / 'train' / 'groups'
    assert len(list(saved.glob('*/checkpoints/[0-9]*/commit_success.txt'))) >= 1
    status = [paths.read_json(workdir / 'killed' / 'train' / p.id / 'meta.json')['status'] for p in plans]
    assert status == ['running', 'running']
    toy.train(workdir / 'killed', plans)
    for plan in plans:
        toy.assert_equal(toy.final(workdir / 'killed', plan), toy.final(workdir / 'whole', plan))
        assert list(toy.rows(workdir / 'killed', plan)) == list(toy.rows(workdir / 'whole', plan))
        dense = [toy.dense(workdir / w, plan) for w in ('killed', 'whole')]
        assert len(dense[0]['batch_loss']) == 1200
        toy.assert_equal(*dense)


@pytest.mark.as_shipped
def test_invariant_7_measuring_disturbs_nothing(workdir: pathlib.Path):
    """All measurements at every update against none: the same weights, bit for bit, with every random stream in use."""
    noisy = {'model__dropout': 0.2, 'data__augment': ('flip',), 'batch_size': 8}
    on = {f'measure__{m}__every_steps': 1 for m in ('distance', 'parameter_norm', 'gradient_norm')}
    off = {f'measure__{m}__every_epochs': 0.0 for m in ('distance', 'parameter_norm', 'gradient_norm')}
    (with_all,), (without,) = toy.plans(**noisy, **on), toy.plans(**noisy, **off)
    toy.train(workdir / 'on', [with_all])
    toy.train(workdir / 'off', [without])
    toy.assert_equal(toy.final(workdir / 'on', with_all), toy.final(workdir / 'off', without))
    measured = [r for r in toy.rows(workdir / 'on', with_all) if 'single_batch_gradient_norm' in r]
    assert len(measured) == 41
    assert len({r['single_batch_gradient_norm'] for r in measured}) == 41


def test_invariant_8_a_row_at_t_is_measured_at_theta_t_with_the_values_used(workdir: pathlib.Path):
    """Every row against a NumPy SGD that follows the same stream: loss at θ_t before the update, lr used at t."""
    (plan,) = toy.plans(
        model={'name': 'linear'},
        total_steps=12,
        warmup__steps=6,
        record__every_steps=1,
        norms__every_steps=1,
        evaluate__every_steps=1,
        measure__distance__every_steps=1,
        weight_decay=0.01,
    )
    toy.train(workdir, [plan])
    by_step: dict[int, dict[str, Any]] = {}
    for row in toy.rows(workdir, plan):
        by_step.setdefault(row['step'], {}).update(row)
    train = resolve.dataset(plan.data).train
    x_all = np.asarray(train.inputs, np.float64).reshape(len(train.labels), -1) / 16
    first = start(plan).params['output']
    w, b = np.asarray(first['kernel'], np.float64), np.asarray(first['bias'], np.float64)
    w0, b0 = w.copy(), b.copy()
    for t in range(13):
        row = by_step[t]
        logits = x_all @ w + b
        losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(x_all)), train.labels]
        assert row['train_loss'] == pytest.approx(losses.mean(), rel=1e-5)
        assert row['distance'] == pytest.approx(np.sqrt(((w - w0) ** 2).sum() + ((b - b0) ** 2).sum()), rel=1e-5)
        if t == 12:
            assert not {'batch_loss', 'learning_rate_used', 'gradient_norm'} & row.keys()
            break
        ids = batches(plan.data_seed, plan.length, t, t + 1).ids[0]
        probability = np.exp(logits[ids]) / np.exp(logits[ids]).sum(1, keepdims=True)
        delta = (probability - np.eye(10)[train.labels[ids]]) / len(ids)
        gw, gb = x_all[ids].T @ delta, delta.sum(0)
        rate = 0.05 * min(1, t / 6)
        assert row['batch_loss'] == pytest.approx(losses[ids].mean(), rel=1e-5)
        assert row['learning_rate_used'] == pytest.approx(rate, rel=1e-6)
        assert row['weight_decay_used'] == pytest.approx(0.01)
        assert row['gradient_norm'] == pytest.approx(np.sqrt((gw**2).sum() + (gb**2).sum()), rel=1e-5)
        dw, db = rate * (gw + 0.01 * w), rate * (gb + 0.01 * b)
        assert row['update_norm'] == pytest.approx(np.sqrt((dw**2).sum() + (db**2).sum()), rel=1e-4, abs=1e-9)
        w, b = w - dw, b - db


def test_invariant_11_divergence_is_a_result(workdir: pathlib.Path):
    """Its step is recorded, no later row is written, and its neighbours in the group are untouched."""
    axes = {'sweep__learning_rate': (0.05, 1e30, 0.1), 'record__every_steps': 1}
    runs = toy.plans(**axes)
    toy.train(workdir / 'group', runs)
    (good,) = toy.plans(learning_rate=0.1, record__every_steps=1)
    toy.train(workdir / 'alone', [good])
    metas = [paths.read_json(workdir / 'group' / 'train' / p.id / 'meta.json') for p in runs]
    assert [m['status'] for m in metas] == ['done', 'diverged', 'done']
    step = metas[1]['diverged_step']
    assert 1 <= step <= 3
    rows = list(toy.rows(workdir / 'group', runs[1]))
    assert max(r['step'] for r in rows) == step
    assert [r['step'] for r in rows if r.get('diverged')] == [step]
    finite = [r['batch_loss'] for r in rows if r['step'] < step and 'batch_loss' in r]
    assert len(finite) == step
    assert all(x is not None for x in finite)
    toy.assert_equal(toy.final(workdir / 'group', runs[2]), toy.final(workdir / 'alone', good))
    assert list(toy.rows(workdir / 'group', runs[2])) == list(toy.rows(workdir / 'alone', good))


def test_invariant_11_loss_above_a_factor_for_k_updates(workdir: pathlib.Path):
    """The step found equals a scan of the recorded losses, whatever the chunks it was watched in."""
    axes = {'sweep__learning_rate': (0.01, 30.0), 'record__every_steps': 1, 'strategy': 'vmap'}
    limits = {'divergence__loss_factor': 2.0, 'divergence__patience': 3, 'evaluate__every_steps': 2}
    runs = toy.plans(**axes, **limits)
    free = toy.plans(**axes)
    toy.train(workdir / 'limited', runs)
    toy.train(workdir / 'free', free)
    losses = [r['batch_loss'] for r in toy.rows(workdir / 'free', free[1]) if 'batch_loss' in r]
    large = [x is None or x > 2 * losses[0] for x in losses]
    expected = next(t for t in range(2, len(large)) if all(large[t - 2 : t + 1]))
    assert paths.read_json(workdir / 'limited' / 'train' / runs[1].id / 'meta.json')['diverged_step'] == expected
    assert paths.read_json(workdir / 'limited' / 'train' / runs[0].id / 'meta.json')['status'] == 'done'


def test_the_batch_size_used_is_what_the_update_used(workdir: pathlib.Path):
    """Epochs of 14 examples at B = 8: every second update uses 6, and is recorded so."""
    epochs = {'epoch_boundary': 'partial', 'total_steps': None, 'total_epochs': 2.0, 'data__fraction': 0.01}
    (plan,) = toy.plans(**epochs, record__every_steps=1)
    toy.train(workdir, [plan])
    assert [r['batch_size_used'] for r in toy.rows(workdir, plan) if 'batch_loss' in r] == [8, 6, 8, 6]


def test_nothing_is_compiled_twice_however_events_fall(workdir: pathlib.Path):
    """Counted by JAX: a run with many unequal chunks compiles as many programs as one with few."""
    seen: list[str] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        del duration_secs
        if 'backend_compile' in event:
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    counts = []
    for every in (40, 3):
        seen.clear()
        compiling.KEPT.clear()
        (plan,) = toy.plans(evaluate__every_steps=every, checkpoint__every_steps=every, norms__every_steps=every)
        toy.train(workdir / str(every), [plan])
        counts.append(len(seen))
    jax.monitoring.unregister_event_duration_listener(listen)
    assert counts[0] > 0
    assert counts[1] <= counts[0]


@pytest.mark.parametrize(('precision', 'text'), [('highest', 'HIGHEST'), ('default', 'DEFAULT')])
def test_matmul_precision_is_compiled_in(precision: str, text: str):
    """The config's value stands at every matrix product of the lowered program."""
    (plan,) = toy.plans(matmul_precision=precision)
    seen: list[str] = []
    group = parallel.DeviceGroup(1, 'sequential', plan.matmul_precision)

    def product(a: Any, b: Any) -> Any:
        seen.append(str(jax.make_jaxpr(jnp.dot)(a, b)))
        return a @ b

    group.call('product', product, (jnp.ones((2, 2)), jnp.ones((2, 2))))
    found = 'HIGHEST' if 'HIGHEST' in seen[0] else 'DEFAULT'
    assert found == text


def test_lr_and_momentum_are_inputs_not_state():
    """The optimizer's state holds no hyperparameter: a restored state cannot bring an old one back."""
    (plan,) = toy.plans(optimizer__name='momentum', momentum=0.9)
    task = program.task(plan, 16.0, 'cpu')
    state = start(plan)
    shapes = sorted(x.shape for x in jax.tree.leaves(state.opt_state))
    assert shapes == sorted(x.shape for x in jax.tree.leaves(state.params))
    hyper = Hyper(jnp.float32(0.5), jnp.float32(0.0), None)
    gradient = jax.tree.map(jnp.ones_like, state.params)
    updates_, _ = task.transform(hyper).update(gradient, state.opt_state, state.params)
    assert all((np.asarray(u) == -0.5).all() for u in jax.tree.leaves(updates_))


def test_a_finished_run_is_left_alone(workdir: pathlib.Path):
    """Asked for again: says so, and no byte changes."""
    plans = toy.plans(sweep__seed=(0, 1))
    toy.train(workdir, plans)
    before = {p: p.read_bytes() for p in sorted(workdir.rglob('*')) if p.is_file()}
    said = toy.train(workdir, plans).lines
    assert said == ['2 of 2 runs are finished already and are left alone']
    assert {p: p.read_bytes() for p in sorted(workdir.rglob('*')) if p.is_file()} == before
    assert paths.read_json(workdir / 'schema.json') == {'schema': 1}


def test_a_finished_run_gets_what_its_checkpoints_can_give(workdir: pathlib.Path):
    """Asked later for measurements: at checkpoints they equal those made in training; elsewhere the user is told."""
    at = {'keep__at_steps': (10, 20), 'sweep__seed': (0, 1)}
    wanted = {'measure__parameter_norm__at_steps': (0, 10, 15), 'measure__parameter_norm__every_epochs': 0.0}
    off = {'measure__parameter_norm__every_epochs': 0.0}
    bare, asked = toy.plans(**at, **off), toy.plans(**at, **wanted)
    toy.train(workdir / 'later', bare)
    said = toy.train(workdir / 'later', asked).lines
    toy.train(workdir / 'whole', asked)
    assert any('measured from checkpoints at updates 0, 10, 40' in line for line in said)
    assert any('parameter_norm: cannot be had at updates 15' in line for line in said)
    for plan in asked:
        norms = [
            {r['step']: r['parameter_norm'] for r in toy.rows(workdir / w, plan) if 'parameter_norm' in r}
            for w in ('later', 'whole')
        ]
        assert norms[0] == {t: norms[1][t] for t in (0, 10, 40)}
    rows = list(toy.rows(workdir / 'later', asked[0]))
    toy.train(workdir / 'later', asked)
    assert list(toy.rows(workdir / 'later', asked[0])) == rows


def test_measurements_added_later_keep_the_settings_of_the_first(workdir: pathlib.Path):
    """Asked again as before, nothing is said or made; with others it is refused, not mixed in."""
    base = {'keep__at_steps': (10, 20), 'measure__distance__every_epochs': 0.0}
    base |= {'measure__parameter_norm__every_epochs': 0.0}
    toy.train(workdir, toy.plans(**base))
    at = {'measure__gradient_norm__at_steps': (10,), 'measure__gradient_norm__batch_size': 16}
    (asked,) = toy.plans(**base, **at)
    toy.train(workdir, [asked])
    rows = list(toy.rows(workdir, asked))
    left_alone = '1 of 1 runs are finished already and are left alone'
    assert toy.train(workdir, [asked]).lines == [left_alone]
    said = toy.train(workdir, toy.plans(**base, measure__gradient_norm__at_steps=(10, 20))).lines
    cure = "gradient_norm was measured with {'batch_size': 16}: other settings need another workdir"
    assert said == [left_alone, f'  {cure}']
    assert list(toy.rows(workdir, asked)) == rows
    same = toy.plans(**base, measure__gradient_norm__at_steps=(10, 20), measure__gradient_norm__batch_size=16)
    toy.train(workdir, same)
    measured = {r['step'] for r in toy.rows(workdir, asked) if 'single_batch_gradient_norm' in r}
    assert measured == {10, 20, 40}


@pytest.mark.parametrize(
    ('changes', 'step', 'reason'),
    [
        ({'clip__norm': 1.0}, 0, 'norm of the gradient to be clipped is not finite'),
        ({'optimizer__name': 'adam'}, 2, 'loss is not finite'),
        pytest.param({'optimizer__name': 'lars'}, 1, 'loss is not finite', marks=pytest.mark.slow),
        pytest.param({'optimizer__name': 'lamb'}, None, None, marks=pytest.mark.slow),
        ({'clip__value': 1.0}, None, None),
    ],
)
def test_invariant_11_a_norm_that_overflows_is_a_divergence(
    workdir: pathlib.Path, changes: dict[str, Any], step: int | None, reason: str | None
):
    """Finite gradients of 1e20: their square is not, and updates of zero would look like a run. Clipped entries do."""
    (plan,) = toy.plans(**changes, data__std=(1e-20,), total_steps=8, evaluate__every_epochs=0.0)
    toy.train(workdir, [plan])
    meta = paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json')
    if step is None:
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), toy.final(workdir, plan), start(plan).params)
        assert meta['status'] == 'diverged' or min(jax.tree.leaves(moved)) > 0
    else:
        assert (meta['status'], meta['diverged_step'], meta['diverged_reason']) == ('diverged', step, reason)
