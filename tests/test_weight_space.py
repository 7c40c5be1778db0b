"""Measurements of where the weights are: known geometry, tiny angles, paths against brute force and across a resume."""

import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from bsresearch.measure import Context, angular_distance, initial_cosine, path_length, relative_distance
from bsresearch.train import program


def context(now: Any, first: Any) -> Context:
    gradient = lambda params, batch: (jnp.float32(0), params)
    return Context(jnp.int32(0), now, first, None, gradient, None)


def tree(**layers: Any) -> Any:
    return {name: {'w': jnp.asarray(x, jnp.float32)} for name, x in layers.items()}


def test_a_layer_that_starts_at_zero_has_no_relative_distance_and_no_cosine():
    """By hand: 3-4-5 triangles; NaN for the layer whose initial norm is 0, whole network defined."""
    first, now = tree(a=[5.0, 0.0], b=[0.0, 0.0]), tree(a=[5.0, 4.0], b=[3.0, 0.0])
    _, found = relative_distance.build().update((), context(now, first))
    assert float(found['relative_distance']) == pytest.approx(1.0)
    assert float(found['relative_distance/a']) == pytest.approx(0.8)
    assert np.isnan(found['relative_distance/b'])
    _, found = initial_cosine.build().update((), context(now, first))
    assert float(found['initial_cosine']) == pytest.approx(25 / (5 * math.sqrt(50)))
    assert float(found['initial_cosine/a']) == pytest.approx(5 / math.sqrt(41))
    assert np.isnan(found['initial_cosine/b'])


@pytest.mark.parametrize('exact', [1e-5, 0.3, math.pi / 2, math.pi - 1e-4])
def test_angles_large_and_tiny(exact: float):
    """Closed form to 1e-4 relative in float32, whatever the lengths; the arc cosine of 1 − 5e-11 would be 0."""
    plane = lambda phi, r: {
        'conv_0': {'kernel': jnp.asarray([r * math.cos(phi), r * math.sin(phi)], jnp.float32)},
        'norm_0': {'scale': jnp.ones(2)},
    }
    _, found = angular_distance.build().update((), context(plane(exact, 7.0), plane(0.0, 0.5)))
    assert float(found['angular_distance/conv_0']) == pytest.approx(exact, rel=1e-4)


def test_kernels_that_a_normalization_follows_are_told_by_name():
    (plan,) = toy.plans(model={'name': 'cnn', 'widths': (4, 4), 'dense_width': 8, 'batch_norm': True})
    task = program.task(plan, 16.0, 'cpu')
    params = jax.eval_shape(lambda: program.initial(task, plan)).params
    assert list(angular_distance.normalized(params)) == ['conv_0', 'conv_1']
    assert list(angular_distance.normalized({'block': params})) == ['block/conv_0', 'block/conv_1']
    assert list(angular_distance.kernels(params)) == ['conv_0', 'conv_1', 'dense', 'output']
    directions = {'output': {'direction': jnp.ones((2, 2)), 'length': jnp.ones(2)}, 'plain': {'kernel': jnp.ones(2)}}
    assert list(angular_distance.normalized(directions)) == ['output']
    assert list(angular_distance.kernels(directions)) == ['output', 'plain']


def test_scaling_such_a_kernel_changes_neither_the_angle_nor_the_loss():
    """Invariance: what makes the angle the right thing to look at; scaling the output layer changes the loss."""
    data, task, state = toy.network(model={'name': 'mlp', 'widths': (16,), 'batch_norm': True})
    batch = toy.batch(data, slice(32))
    loss = jax.jit(lambda params: program.losses_of(task, 'batch', state.stats, params, batch).mean())
    scaled = lambda layer: state.params | {layer: state.params[layer] | {'kernel': 3 * state.params[layer]['kernel']}}
    assert float(loss(scaled('dense_0'))) == pytest.approx(float(loss(state.params)), rel=1e-4)
    assert abs(loss(scaled('output')) - loss(state.params)) > 0.1
    _, found = angular_distance.build().update((), context(scaled('dense_0'), state.params))
    assert float(found['angular_distance/dense_0']) < 1e-6


def test_a_model_without_normalization_is_refused_when_it_is_planned():
    with pytest.raises(ValueError, match=r'no kernel of this model is followed by a normalization; use model\.batch_n'):
        toy.plans(measure__angular_distance__every_epochs=1.0)
    toy.plans(measure__angular_distance__every_epochs=1.0, measure__angular_distance__every_kernel=True)
    toy.plans(measure__angular_distance__every_epochs=0.0)


def test_a_path_around_a_square_and_one_of_many_steps():
    """Closed form: three sides of a square; and 20,000 steps of 1e-4, whose plain float32 sum is 1e-5 off."""
    quantity = path_length.build(per_layer=True)
    corners = [tree(a=[0.0], b=[1.0]), tree(a=[1.0], b=[1.0]), tree(a=[1.0], b=[0.0]), tree(a=[0.0], b=[0.0])]
    state, found = quantity.init(corners[0]), {}
    for i, corner in enumerate(corners):
        state, found = quantity.update(state, context(corner, corners[0]))
        assert float(found['path_length']) == pytest.approx(i)
        assert np.isnan(found['path_straightness']) == (i == 0)
    assert float(found['path_straightness']) == pytest.approx(1 / 3)
    assert (float(found['path_length/a']), float(found['path_length/b'])) == (2.0, 1.0)
    assert float(found['path_straightness/a']) == 0.0

    places = jnp.float32(1e-4) * (jnp.arange(20001) % 2)

    def step(state: Any, x: Any) -> Any:
        return quantity.update(state, context({'a': {'w': x[None]}}, {'a': {'w': jnp.zeros(1)}}))

    _, rows = jax.lax.scan(step, quantity.init({'a': {'w': jnp.zeros(1)}}), places)
    assert float(rows['path_length'][-1]) == pytest.approx(20000 * float(np.float32(1e-4)), rel=2e-7)


def test_a_path_keeps_a_copy_of_the_weights():
    """The weights it saw are donated to the next updates and gone."""
    quantity = path_length.build()
    now = tree(a=[3.0, 4.0])
    state, _ = quantity.update(quantity.init(now), context(now, now))
    jax.tree.map(lambda x: x.delete(), now)
    assert np.asarray(state.previous['a']['w']).tolist() == [3.0, 4.0]


class Interrupted(toy.Quiet):
    """Stops training like a full disk, once a step is reached."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def progress(self, step: int, *args: Any) -> None:
        if step >= self.step:
            raise OSError('killed')


@pytest.mark.parametrize('strategy', ['sequential', pytest.param('vmap', marks=pytest.mark.slow)])
def test_a_path_goes_on_exactly_after_a_stop(workdir: pathlib.Path, strategy: str):
    """Rows bit for bit; at every update it is the sum of the recorded updates' norms; and at least the distance."""
    changes = {
        **toy.BARE, 'sweep__seed': (0, 1), 'optimizer__name': 'momentum', 'measure__path_length__every_steps': 1,
        'measure__distance__every_steps': 1, 'norms__every_steps': 1, 'checkpoint__every_steps': 7,
        'strategy': strategy, 'model': {'name': 'linear'},
    }  # fmt: skip
    plans = toy.plans(**changes)
    toy.train(workdir / 'whole', plans)
    with pytest.raises(OSError, match='killed'):
        toy.train(workdir / 'killed', plans, Interrupted(25))
    toy.train(workdir / 'killed', plans)
    for plan in plans:
        rows = toy.rows(workdir / 'whole', plan)
        assert toy.rows(workdir / 'killed', plan) == rows
        lengths = [r['path_length'] for r in rows if 'path_length' in r]
        updates = [r['update_norm'] for r in rows if 'update_norm' in r]
        np.testing.assert_allclose(lengths, np.cumsum([0.0, *updates]), rtol=1e-5, atol=1e-7)
        straight = [r['path_straightness'] for r in rows if 'path_straightness' in r]
        distance = [r['distance'] for r in rows if 'distance' in r]
        assert straight[0] is None
        np.testing.assert_allclose(straight[1:], np.array(distance[1:]) / lengths[1:], rtol=1e-5)
        assert max(straight[1:]) < 1 + 1e-6
        assert straight[-1] < 0.9
