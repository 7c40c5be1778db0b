"""Invariants 3 and 9, within rounding: micro-batches and replicas side by side are details of execution."""

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


PROGRAMS: dict[tuple[str | int, str], Any] = {}  # compiled once for all plans that share one


def updates(plan: Plan, count: int) -> State:
    """The state after the first `count` updates of a plan, by the program that the loop runs."""
    dataset = resolve.dataset(plan.data)
    task = program.task(plan, dataset.scale, 'cpu')
    feed = Feed([plan], dataset, parallel.DeviceGroup(1, 'sequential'), task.dtype)
    data, tables = feed.one(0, 0, count)
    advance = jax.jit(functools.partial(program.advance, task, False))
    advance = PROGRAMS.setdefault(('advance', plan.program_key()), advance)
    return advance(start(plan), None, data, tables, program.keys(plan), jnp.int32(count))[0]


def start(plan: Plan) -> State:
    """The state before the first update."""
    task = program.task(plan, 16.0, 'cpu')
    key = plan.init_seed, plan.program_key()
    return PROGRAMS.setdefault(key, jax.jit(lambda: program.initial(task, plan)))()


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


@pytest.mark.parametrize(
    ('model', 'micro'),
    [('mlp', 20), pytest.param('batch_norm', 8, marks=pytest.mark.slow), ('batch_norm', 20), ('noisy', 20)],
)
def test_invariant_3_micro_batches_change_nothing_after_one_update(model: str, micro: int):
    """Sums and weights are added and divided once: 1e-6 relative in float32, also where the last part is ragged.

    `noisy` has dropout, flips and crops, whose keys follow the example, and an epoch's end inside the batch.
    """
    common = {'batch_size': 24, 'total_steps': 3, 'optimizer__name': 'momentum', 'momentum': 0.9, **MODELS[model]}
    (whole,) = toy.plans(**common, micro_batch_size=24)
    (parts,) = toy.plans(**common, micro_batch_size=micro)
    assert relative(moved(parts, 1), moved(whole, 1)) < 1e-6


@pytest.mark.parametrize(
    'model',
    [{'name': 'mlp', 'widths': (16,), 'batch_norm': True},
     pytest.param({'name': 'resnet', 'depth': 8, 'width': 2}, marks=pytest.mark.slow),
     pytest.param({'name': 'wide_resnet', 'depth': 10, 'widening': 1, 'dropout': 0.3}, marks=pytest.mark.slow)],
    ids=['mlp', 'resnet', 'wide_resnet'],
)  # fmt: skip
def test_invariant_3_micro_batches_change_nothing_after_100_updates(model: dict[str, Any]):
    """In float64, 1e-10 relative after 100 updates, running statistics too."""
    with jax.enable_x64(True):
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
    change = relative(a.stats, before.stats)
    assert change < 1e-7 if seen == 9 else change > 1e-3


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
