"""The invariants of training, by number. 1 and 2 stand in test_order.py and test_config.py."""

import functools
import os
import pathlib
import signal
import subprocess
import sys
import time
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
from bsresearch.train.devices import parallel
from bsresearch.train.feed import Feed
from bsresearch.train.state import State

CNN = {'model__name': 'cnn', 'model__widths': (4, 8), 'model__dense_width': 16}
BN = CNN | {'model__batch_norm': True, 'ghost_batch_size': 4}


def updates(plan: Plan, count: int) -> State:
    """The state after the first `count` updates of a plan, by the program the loop runs."""
    dataset = resolve.dataset(plan.data)
    task = program.task(plan, dataset.scale, 'cpu')
    feed = Feed([plan], dataset, parallel.DeviceGroup(1, 'sequential'), task.dtype)
    data, tables = feed.one(0, 0, count)
    state = program.initial(task, plan)
    advance = jax.jit(functools.partial(program.advance, task, False))
    return advance(state, None, data, tables, program.keys(plan), jnp.int32(count))[0]


def relative(a: Any, b: Any) -> float:
    """‖a − b‖/‖b‖ over all leaves, in float64."""
    flat = [np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in jax.tree.leaves(t)]) for t in (a, b)]
    return float(np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[1]))


def moved(plan: Plan, count: int) -> Any:
    """Weights after `count` updates minus the initial ones: a relative error of the updates themselves."""
    first = updates(plan, 0) if count == 0 else program.initial(program.task(plan, 16.0, 'cpu'), plan)
    last = updates(plan, count)
    both = (last.params, last.stats), (first.params, first.stats)
    return jax.tree.map(lambda a, b: np.asarray(a, np.float64) - np.asarray(b, np.float64), *both)


@pytest.mark.parametrize('micro', [4, 8, 12, 20])
@pytest.mark.parametrize('model', ['mlp', 'cnn', 'batch_norm', 'noisy'])
def test_invariant_3_micro_batches_change_nothing_after_one_update(micro: int, model: str):
    """Sums and weights are added and divided once: 1e-6 relative in float32, also where the last part is ragged.

    `noisy` has dropout, flips and crops, whose keys follow the example, and an epoch's end inside the batch.
    """
    kind = {'mlp': {}, 'cnn': CNN, 'batch_norm': BN}.get(model) or (
        {'data__augment': ('flip', 'crop'), 'data__crop_padding': 1, 'model__dropout': 0.3, 'data__fraction': 0.01}
        if model == 'noisy'
        else {}
    )
    common = {'batch_size': 24, 'total_steps': 3, 'optimizer__name': 'momentum', 'momentum': 0.9, **kind}
    (whole,) = toy.plans(**common, micro_batch_size=24)
    (parts,) = toy.plans(**common, micro_batch_size=micro)
    assert relative(moved(parts, 1), moved(whole, 1)) < 1e-6


@pytest.mark.parametrize('model', ['mlp', 'batch_norm'])
def test_invariant_3_micro_batches_change_nothing_after_100_updates(model: str):
    """In float64, 1e-10 relative after 100 updates."""
    with jax.enable_x64(True):
        kind = BN if model == 'batch_norm' else {}
        common = {'batch_size': 24, 'total_steps': 100, 'dtype': 'float64', **kind}
        (whole,) = toy.plans(**common, micro_batch_size=24)
        (parts,) = toy.plans(**common, micro_batch_size=8)
        a, b = updates(parts, 100), updates(whole, 100)
        assert jax.tree.leaves(a.params)[0].dtype == np.float64
        assert relative((a.params, a.stats), (b.params, b.stats)) < 1e-10


@pytest.mark.parametrize('seen', [13, 9])
def test_invariant_9_a_last_group_of_one_moves_no_statistics_however_the_batch_is_cut(seen: int):
    """Groups of 4, the last batch 4 + 1 or 1 alone: micro-batches and whole agree, its variance of 0 is out."""
    model = {'name': 'mlp', 'widths': (8,), 'batch_norm': True}
    common = {'model': model, 'batch_size': 8, 'ghost_batch_size': 4, 'total_steps': None, 'total_examples': seen}
    (whole,), (parts,) = toy.plans(**common), toy.plans(**common, micro_batch_size=4)
    before, a, b = updates(whole, 1), updates(whole, 2), updates(parts, 2)
    assert relative(a.stats, b.stats) < 1e-6
    if seen == 9:
        toy.assert_equal(a.stats, before.stats)
    else:
        assert relative(a.stats, before.stats) > 1e-3


@pytest.mark.parametrize('model', [{}, CNN])
def test_invariant_3_replicas_one_after_another_are_single_runs(workdir: pathlib.Path, model: Any):
    """Bit for bit on a CPU: weights and rows of a group's members against the same runs alone."""
    axes = {'sweep__seed': (0, 1), 'sweep__learning_rate': (0.01, 0.1)}
    together = toy.plans(**axes, **model)
    alone = toy.plans(**axes, **model, max_replicas=1)
    toy.train(workdir / 'together', together)
    toy.train(workdir / 'alone', alone)
    assert len({paths.read_json(workdir / 'together' / 'train' / p.id / 'meta.json')['group'] for p in together}) == 1
    for p, q in zip(together, alone, strict=True):
        assert p.id == q.id
        toy.assert_equal(toy.final(workdir / 'together', p), toy.final(workdir / 'alone', q))
        assert list(toy.rows(workdir / 'together', p)) == list(toy.rows(workdir / 'alone', q))


def test_invariant_3_vmapped_replicas_are_single_runs(workdir: pathlib.Path):
    """Within 1e-6 relative after one update in float32."""
    axes = {'sweep__seed': (0, 1, 2), 'total_steps': 1, 'learning_rate': 0.5}
    mapped, alone = toy.plans(**axes, strategy='vmap'), toy.plans(**axes)
    toy.train(workdir / 'vmap', mapped)
    toy.train(workdir / 'alone', alone)
    meta = paths.read_json(workdir / 'vmap' / 'train' / mapped[0].id / 'meta.json')
    assert (meta['strategy'], meta['replicas']) == ('vmap', 3)
    for p, q in zip(mapped, alone, strict=True):
        assert relative(toy.final(workdir / 'vmap', p), toy.final(workdir / 'alone', q)) < 1e-6


def test_invariant_3_chunks_of_any_length_and_recording_change_no_bit(workdir: pathlib.Path):
    """Leaving the device at every third update, or recording every norm, or nothing: the same weights."""
    common = {'optimizer__name': 'momentum', 'momentum': 0.9, 'total_steps': 30}
    variants = {
        'default': {},
        'chunks': {'evaluate__every_steps': 3},
        'norms': {'norms__every_steps': 1, 'record__every_steps': 1, 'record__dense': True},
        'silent': {'norms__log_spaced': 0, 'record__log_spaced': 0, 'evaluate__every_epochs': 0.0},
    }
    found = {}
    for batch_size in (1, 8):
        for name, change in variants.items():
            (plan,) = toy.plans(batch_size=batch_size, **common, **change)
            toy.train(workdir / name, [plan])
            found[name] = toy.final(workdir / name, plan)
        for other in found.values():
            toy.assert_equal(found['default'], other)


def test_invariant_4_evaluation_is_whole_and_does_not_depend_on_its_batch(workdir: pathlib.Path):
    """Sum over all examples, one division: equal to NumPy's mean over the full logits, for any batch."""
    values = {}
    for size in (1, 7, 360, 1293):
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
import pathlib, sys
sys.path.insert(0, {tests!r})
import conftest, toy
plans = toy.plans(**{changes!r})
toy.train(pathlib.Path({workdir!r}), plans)
"""


def start(workdir: pathlib.Path, changes: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Trains in a process of its own."""
    here = pathlib.Path(__file__).parent
    code = RUN.format(tests=str(here), changes=changes, workdir=str(workdir))
    environment = os.environ | {'PYTHONPATH': str(here.parent)}
    return subprocess.Popen([sys.executable, '-c', code], env=environment)


LONG = {
    'sweep__seed': (0, 1),
    'total_steps': 6000,
    'batch_size': 1,
    'optimizer__name': 'adam',
    'momentum': 0.9,
    'learning_rate': 0.001,
    'evaluate__every_steps': 200,
    'checkpoint__every_steps': 400,
    'measure__distance__every_steps': 300,
    'measure__gradient_norm__every_steps': 500,
    'record__dense': True,
}


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM])
def test_invariant_5_resume_equals_never_stopped(workdir: pathlib.Path, number: signal.Signals):
    """A real process is killed in the middle and the run resumed: rows, weights and dense records bit for bit."""
    plans = toy.plans(**LONG)
    toy.train(workdir / 'whole', plans)
    process = start(workdir / 'killed', LONG)
    saved = workdir / 'killed' / 'train' / 'groups'
    deadline = time.monotonic() + 120
    while len(list(saved.glob('*/checkpoints/[0-9]*/commit_success.txt'))) < 1:
        assert process.poll() is None, 'it ended before its first checkpoint'
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    process.wait(60)
    status = [paths.read_json(workdir / 'killed' / 'train' / p.id / 'meta.json')['status'] for p in plans]
    assert status == ['running', 'running'], 'the process ended before it was killed: make the run longer'
    toy.train(workdir / 'killed', plans)
    for plan in plans:
        toy.assert_equal(toy.final(workdir / 'killed', plan), toy.final(workdir / 'whole', plan))
        assert list(toy.rows(workdir / 'killed', plan)) == list(toy.rows(workdir / 'whole', plan))
        dense = [toy.dense(workdir / w, plan) for w in ('killed', 'whole')]
        assert len(dense[0]['batch_loss']) == 6000
        toy.assert_equal(*dense)


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
    first = program.initial(program.task(plan, 16.0, 'cpu'), plan).params['output']
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
    axes = {'sweep__learning_rate': (0.05, 1e30, 0.1), 'norms__log_spaced': 0, 'record__every_steps': 1}
    runs = toy.plans(**axes)
    toy.train(workdir / 'group', runs)
    (good,) = toy.plans(learning_rate=0.1, norms__log_spaced=0, record__every_steps=1)
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


@pytest.mark.parametrize('strategy', ['sequential', 'vmap'])
def test_invariant_11_loss_above_a_factor_for_k_updates(workdir: pathlib.Path, strategy: str):
    """The step found equals a scan of the recorded losses, whatever the chunks it was watched in."""
    axes = {'sweep__learning_rate': (0.01, 30.0), 'record__every_steps': 1, 'strategy': strategy}
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


def test_streamed_examples_give_the_resident_run(workdir: pathlib.Path):
    """A set that does not fit the device: the same weights and rows, bit for bit."""
    common = {'data__augment': ('crop',), 'measure__gradient_norm__every_steps': 7, 'sweep__seed': (0, 1)}
    resident, streamed = toy.plans(**common, data_residence='device'), toy.plans(**common, data_residence='host')
    toy.train(workdir / 'device', resident)
    toy.train(workdir / 'host', streamed)
    for p in resident:
        toy.assert_equal(toy.final(workdir / 'device', p), toy.final(workdir / 'host', p))
        assert list(toy.rows(workdir / 'device', p)) == list(toy.rows(workdir / 'host', p))


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
    state = program.initial(task, plan)
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
        ({'clip__norm': 1.0, 'clip__value': 1e30}, 0, 'norm of the gradient to be clipped is not finite'),
        ({'optimizer__name': 'adam'}, 2, 'loss is not finite'),
        ({'optimizer__name': 'lars'}, 1, 'loss is not finite'),
        ({'optimizer__name': 'lamb'}, None, None),
        ({'clip__value': 1.0}, None, None),
    ],
)
def test_invariant_11_a_norm_that_overflows_is_a_divergence(
    workdir: pathlib.Path, changes: dict[str, Any], step: int | None, reason: str | None
):
    """Finite gradients of 1e20: their square is not, and updates of zero would look like a run. Clipped entries do."""
    (plan,) = toy.plans(**changes, data__std=(1e-20,), norms__log_spaced=0, total_steps=8, evaluate__every_epochs=0.0)
    toy.train(workdir, [plan])
    meta = paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json')
    if step is None:
        moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), toy.final(workdir, plan), initial(plan))
        assert meta['status'] == 'diverged' or min(jax.tree.leaves(moved)) > 0
    else:
        assert (meta['status'], meta['diverged_step'], meta['diverged_reason']) == ('diverged', step, reason)


def initial(plan: Plan) -> Any:
    """θ_0."""
    return program.initial(program.task(plan, 16.0, 'cpu'), plan).params
