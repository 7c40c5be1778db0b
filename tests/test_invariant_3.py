"""Invariants 3 and 9: micro-batches, replicas, chunks, recording and streaming are details of execution."""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.store import paths
from bsresearch.train import program
from bsresearch.train.devices import parallel
from bsresearch.train.feed import Feed
from bsresearch.train.state import State

CNN = {'model__name': 'cnn', 'model__widths': (4,), 'model__dense_width': 8}
BN = CNN | {'model__batch_norm': True, 'ghost_batch_size': 4}


def updates(plan: Plan, count: int) -> State:
    """The state after the first `count` updates of a plan, by the program the loop runs."""
    dataset = resolve.dataset(plan.data)
    task = program.task(plan, dataset.scale, 'cpu')
    feed = Feed([plan], dataset, parallel.DeviceGroup(1, 'sequential'), task.dtype)
    data, tables = feed.one(0, 0, count)
    advance = jax.jit(functools.partial(program.advance, task, False))
    return advance(start(plan), None, data, tables, program.keys(plan), jnp.int32(count))[0]


def start(plan: Plan) -> State:
    """The state before the first update."""
    task = program.task(plan, 16.0, 'cpu')
    return jax.jit(lambda: program.initial(task, plan))()


def relative(a: Any, b: Any) -> float:
    """‖a − b‖/‖b‖ over all leaves, in float64."""
    flat = [np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in jax.tree.leaves(t)]) for t in (a, b)]
    return float(np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[1]))


def moved(plan: Plan, count: int) -> Any:
    """Weights after `count` updates minus the initial ones: a relative error of the updates themselves."""
    first, last = start(plan), updates(plan, count)
    both = (last.params, last.stats), (first.params, first.stats)
    return jax.tree.map(lambda a, b: np.asarray(a, np.float64) - np.asarray(b, np.float64), *both)


MODELS: dict[str, dict[str, Any]] = {
    'mlp': {},
    'batch_norm': BN,
    'noisy': {
        'data__augment': ('flip', 'crop'), 'data__crop_padding': 1, 'model__dropout': 0.3, 'data__fraction': 0.01,
    },
}  # fmt: skip


@pytest.mark.parametrize(('model', 'micro'), [('mlp', 20), ('batch_norm', 8), ('batch_norm', 20), ('noisy', 20)])
def test_invariant_3_micro_batches_change_nothing_after_one_update(model: str, micro: int):
    """Sums and weights are added and divided once: 1e-6 relative in float32, also where the last part is ragged.

    `noisy` has dropout, flips and crops, whose keys follow the example, and an epoch's end inside the batch.
    """
    common = {'batch_size': 24, 'total_steps': 3, 'optimizer__name': 'momentum', 'momentum': 0.9, **MODELS[model]}
    (whole,) = toy.plans(**common, micro_batch_size=24)
    (parts,) = toy.plans(**common, micro_batch_size=micro)
    assert relative(moved(parts, 1), moved(whole, 1)) < 1e-6


def test_invariant_3_micro_batches_change_nothing_after_100_updates():
    """In float64, 1e-10 relative after 100 updates, running statistics too."""
    with jax.enable_x64(True):
        model = {'name': 'mlp', 'widths': (16,), 'batch_norm': True}
        common = {'batch_size': 24, 'total_steps': 100, 'dtype': 'float64', 'model': model, 'ghost_batch_size': 4}
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
    members = [{'seed': 0, 'learning_rate': 0.01}, {'seed': 1, 'learning_rate': 0.1}]
    together = [toy.plans(**member, **model)[0] for member in members]
    alone = [toy.plans(**member, **model, max_replicas=1)[0] for member in members]
    toy.train(workdir / 'together', together)
    toy.train(workdir / 'alone', alone)
    assert len({paths.read_json(workdir / 'together' / 'train' / p.id / 'meta.json')['group'] for p in together}) == 1
    for p, q in zip(together, alone, strict=True):
        assert p.id == q.id
        toy.assert_equal(toy.final(workdir / 'together', p), toy.final(workdir / 'alone', q))
        assert list(toy.rows(workdir / 'together', p)) == list(toy.rows(workdir / 'alone', q))


def test_invariant_3_vmapped_replicas_are_single_runs(workdir: pathlib.Path):
    """Within 1e-6 relative after one update in float32."""
    axes = {'sweep__seed': (0, 1), 'total_steps': 1, 'learning_rate': 0.5}
    mapped, alone = toy.plans(**axes, strategy='vmap'), toy.plans(**axes)
    toy.train(workdir / 'vmap', mapped)
    toy.train(workdir / 'alone', alone)
    meta = paths.read_json(workdir / 'vmap' / 'train' / mapped[0].id / 'meta.json')
    assert (meta['strategy'], meta['replicas']) == ('vmap', 2)
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
    for batch_size, names in ((1, tuple(variants)), (8, ('default', 'norms'))):
        weights = {}
        for name in names:
            (plan,) = toy.plans(batch_size=batch_size, **common, **variants[name])
            toy.train(workdir / name, [plan])
            weights[name] = toy.final(workdir / name, plan)
        for other in weights.values():
            toy.assert_equal(weights['default'], other)


def test_streamed_examples_give_the_resident_run(workdir: pathlib.Path):
    """A set that does not fit the device: the same weights and rows, bit for bit."""
    common = {'data__augment': ('crop',), 'measure__gradient_norm__every_steps': 7, 'sweep__seed': (0, 1)}
    resident, streamed = toy.plans(**common, data_residence='device'), toy.plans(**common, data_residence='host')
    toy.train(workdir / 'device', resident)
    toy.train(workdir / 'host', streamed)
    for p in resident:
        toy.assert_equal(toy.final(workdir / 'device', p), toy.final(workdir / 'host', p))
        assert list(toy.rows(workdir / 'device', p)) == list(toy.rows(workdir / 'host', p))
