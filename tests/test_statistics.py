"""Batch norm's statistics estimated anew at an evaluation: brute force group by group, also of a finished run."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from twins import KEEP, RESNET, Twin

from bsresearch.core import rng
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.train.observing import statistics

GHOST = 16
MLP = {'name': 'mlp', 'widths': (8, 8), 'batch_norm': True}
MODELS = [MLP, pytest.param(RESNET, marks=pytest.mark.slow)]
RUN: dict[str, Any] = toy.BARE | {
    'dtype': 'float64', 'batch_size': 64, 'micro_batch_size': 48, 'ghost_batch_size': GHOST,
    'total_steps': 4, 'data__fraction': 0.12, 'evaluate__at_steps': (4,), 'sweep__seed': (0, 1), 'strategy': 'vmap',
}  # fmt: skip
METRICS = ('test_loss', 'test_accuracy', 'train_loss')


def inputs(data: Any, split: Any, rows: Any) -> jax.Array:
    return jnp.asarray(split.inputs[rows], jnp.float64) / data.scale


def estimated(plan: Plan, params: Any) -> Any:
    """Means over the groups' own statistics, one group after another."""
    data = resolve.dataset(plan.data)
    count = len(data.train.labels)
    groups = rng.generator(0, 'statistics').permutation(count)[: count // GHOST * GHOST].reshape(-1, GHOST)
    fresh = jax.eval_shape(Twin(plan.model).init, jax.random.key(0), inputs(data, data.train, groups[0]))['batch_stats']
    zero = jax.tree.map(lambda x: np.zeros(x.shape), fresh)

    @jax.jit
    def of_group(x: jax.Array) -> Any:
        _, new = Twin(plan.model).apply({'params': params, 'batch_stats': zero}, x, mutable=['batch_stats'])
        return jax.tree.map(lambda v: v / (1 - KEEP), new['batch_stats'])

    each = [of_group(inputs(data, data.train, rows)) for rows in groups]
    return jax.tree.map(lambda *leaves: sum(leaves) / len(leaves), *each)


def evaluated(plan: Plan, params: Any, stats: Any) -> dict[str, float]:
    """By flax's own layers."""
    data = resolve.dataset(plan.data)
    outputs_of = jax.jit(lambda x: Twin(plan.model, train=False).apply({'params': params, 'batch_stats': stats}, x))
    found = {}
    for name, split in (('train', data.train), ('test', data.test)):
        outputs = np.asarray(outputs_of(inputs(data, split, slice(None))))
        losses = np.log(np.exp(outputs).sum(-1)) - outputs[np.arange(len(outputs)), split.labels]
        found |= {f'{name}_loss': losses.mean(), f'{name}_accuracy': (outputs.argmax(-1) == split.labels).mean()}
    return found


@pytest.mark.parametrize('model', MODELS, ids=lambda model: model['name'])
def test_estimated_statistics_are_means_over_groups_of_the_training_set(
    tmp_path: pathlib.Path, patching: pytest.MonkeyPatch, model: dict[str, Any]
):
    """Float64, 172 examples in groups of 16, of two runs at once; a finished run is given the same from its end. The
    others beside them are by running statistics. Two blocks of two calls of three groups: the last two are padding."""
    patching.setattr(statistics, 'BLOCK_ROWS', 96)
    plain, asked = toy.plans(**RUN, model=model), toy.plans(**RUN, model=model, evaluate__estimated_statistics=True)
    assert [p.id for p in plain] == [p.id for p in asked]
    toy.train(tmp_path / 'at once', asked)
    toy.train(tmp_path / 'later', plain)
    assert not any(key.startswith('estimated') for row in toy.rows(tmp_path / 'later', plain[0]) for key in row)
    toy.train(tmp_path / 'later', asked)
    for plan in asked:
        row, late = (list(toy.rows(tmp_path / name, plan))[-1] for name in ('at once', 'later'))
        with jax.enable_x64(True):
            state = toy.checkpoint(tmp_path / 'at once', plan, 4)
            expected = evaluated(plan, state.params, estimated(plan, state.params))
            running = evaluated(plan, state.params, state.stats)
        for metric in METRICS:
            assert row[metric] == pytest.approx(running[metric], rel=1e-10)
            assert row[f'estimated_{metric}'] == pytest.approx(expected[metric], rel=1e-10)
            assert late[f'estimated_{metric}'] == pytest.approx(expected[metric], rel=1e-10)
        assert abs(row['estimated_test_loss'] - row['test_loss']) > 1e-3  # running ones have come half-way


def test_without_batch_norm_there_is_nothing_to_estimate(tmp_path: pathlib.Path):
    """No such columns, the same id; a network of a user's own is refused."""
    (plan,) = toy.plans(**toy.BARE, total_steps=2, evaluate__at_steps=(2,), evaluate__estimated_statistics=True)
    toy.train(tmp_path, [plan])
    assert not any(key.startswith('estimated') for row in toy.rows(tmp_path, plan) for key in row)
    own = f'{pathlib.Path(__file__).parent}/users_networks.py:two_norms'
    with pytest.raises(ValueError, match="estimated_statistics=True is for the package's batch norm"):
        toy.plans(model={'name': own}, evaluate__estimated_statistics=True)
