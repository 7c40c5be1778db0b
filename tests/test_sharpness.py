"""Keskar's sharpness against maxima known in closed form, full and in a subspace; and in a real run."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from jax.flatten_util import ravel_pytree

from bsresearch.measure import Context, sharpness
from bsresearch.train import program

SIZE = 30
RNG = np.random.default_rng(0)
START = RNG.normal(size=SIZE)
SLOPES = RNG.normal(size=(50, SIZE))  # an example's gradient


def context(loss: Any, start: np.ndarray = START) -> Context:
    """`loss`(flat weights, rows) is the mean over the rows of a batch; weights in two leaves."""
    tree = {'a': {'w': jnp.asarray(start[:12].reshape(3, 4))}, 'b': {'w': jnp.asarray(start[12:])}}
    gradient = jax.value_and_grad(lambda params, batch: loss(ravel_pytree(params)[0], batch.inputs))
    data = program.Data(jnp.asarray(SLOPES), jnp.zeros(len(SLOPES)))
    return Context(jnp.int32(0), tree, tree, data, gradient, None, whole=data, key=jax.random.key(3))


def measured(loss: Any, start: np.ndarray = START, **settings: Any) -> dict[str, float]:
    usual: dict[str, Any] = {'batch_size': 50, 'micro_batch_size': 16}
    with jax.enable_x64(True):
        quantity = sharpness.build(**usual | settings)
        return {k: float(v) for k, v in quantity.update((), context(loss, start))[1].items()}


def linear(x: jax.Array, rows: jax.Array) -> jax.Array:
    return 40 + (rows @ x).mean()


def percent(start: float, end: float) -> float:
    return 100 * (end - start) / (1 + start)


@pytest.mark.parametrize('batch_size', [0, 50])
@pytest.mark.parametrize('epsilon', [1e-3, 0.1])
def test_a_linear_loss_has_its_maximum_at_a_corner(epsilon: float, batch_size: int):
    """Closed form: f(x) + Σ ε(|x_i| + 1)|g_i|, over all examples in parts of unequal size."""
    found = measured(linear, epsilon=epsilon, batch_size=batch_size)
    slope = SLOPES.mean(0)
    start, rise = 40 + slope @ START, (epsilon * (abs(START) + 1) * abs(slope)).sum()
    assert found['sharpness_loss'] == pytest.approx(start, rel=1e-12)
    assert found['sharpness_maximum_loss'] == pytest.approx(start + rise, rel=1e-9)
    assert found['sharpness'] == pytest.approx(percent(start, start + rise), rel=1e-8)


@pytest.mark.parametrize('epsilon', [1e-3, 0.1])
def test_a_linear_loss_in_a_subspace(epsilon: float):
    """Closed form: f(x) + Σ ε(|(A⁺x)_i| + 1)|(Aᵀg)_i| with NumPy's pseudo-inverse of the very A."""
    found = measured(linear, epsilon=epsilon, subspace=7)
    a = sharpness.subspace_of(jax.random.key(3), SIZE, 7).astype(np.float64)
    assert a.shape == (SIZE, 7)
    slope = SLOPES.mean(0)
    start = 40 + slope @ START
    rise = (epsilon * (abs(np.linalg.pinv(a) @ START) + 1) * abs(a.T @ slope)).sum()
    assert found['sharpness'] == pytest.approx(percent(start, start + rise), rel=1e-5)


def test_a_random_subspace_is_standard_normal_and_follows_the_key():
    """Closed form: moments within 4 standard errors; equal keys give equal A."""
    a = sharpness.subspace_of(jax.random.key(1), 20000, 5)
    assert abs(a.mean()) < 4 / np.sqrt(a.size)
    assert abs((a**2).mean() - 1) < 4 * np.sqrt(2 / a.size)
    np.testing.assert_array_equal(a, sharpness.subspace_of(jax.random.key(1), 20000, 5))
    assert (a != sharpness.subspace_of(jax.random.key(2), 20000, 5)).all()


CURVATURES = np.repeat([0.5, 1.0, 2.0], 10)
AWAY = 1e-3 * RNG.normal(size=SIZE)


@pytest.mark.parametrize('epsilon', [5e-4, 1e-3, 1e-2])
def test_a_convex_quadratic_has_its_maximum_in_the_farthest_corner(epsilon: float):
    """Closed form: ½ Σ d_i (|x_i − m_i| + ε(|x_i| + 1))², from close to its minimum, where the gradient is small."""
    middle = START - AWAY
    loss = lambda x, rows: 0.5 * (jnp.asarray(CURVATURES) * (x - jnp.asarray(middle)) ** 2).sum()
    found = measured(loss, epsilon=epsilon)
    start = 0.5 * (CURVATURES * AWAY**2).sum()
    end = 0.5 * (CURVATURES * (abs(AWAY) + epsilon * (abs(START) + 1)) ** 2).sum()
    assert found['sharpness'] == pytest.approx(percent(start, end), rel=1e-6)
    assert found['sharpness_evaluations'] <= 40


def test_a_concave_quadratic_has_its_maximum_inside_or_on_the_border():
    """Closed form: each coordinate goes to its own maximum or as far as the box lets it."""
    top = START + 1e-3 * RNG.uniform(-4, 4, SIZE)
    loss = lambda x, rows: 5.0 - 0.5 * (jnp.asarray(CURVATURES) * (x - jnp.asarray(top)) ** 2).sum()
    box = 1e-3 * (abs(START) + 1)
    reached = np.clip(top - START, -box, box)
    assert 0 < (abs(reached) < box).sum() < SIZE
    value = lambda y: 5.0 - 0.5 * (CURVATURES * (START + y - top) ** 2).sum()
    expected = percent(value(np.zeros(SIZE)), value(reached))
    assert measured(loss)['sharpness'] == pytest.approx(expected, rel=1e-4)
    assert measured(loss)['sharpness'] <= expected * (1 + 1e-9)


def test_the_box_is_respected_and_the_first_step_is_as_long_as_asked():
    """Every point that is evaluated lies in C; the second one at first_step diagonals along the gradient, cut to C."""
    box, slope, seen = np.array([0.1, 0.2, 0.3]), np.array([1e-6, -2e-6, 0.5e-6]), []

    def function(y: np.ndarray) -> tuple[float, np.ndarray]:
        seen.append(y.copy())
        return float(slope @ y), slope

    for step in (0.5, 1.0, 3.0):
        seen.clear()
        found = sharpness.maximize(function, box, 10, step)
        assert (abs(np.array(seen)) <= box).all()
        np.testing.assert_array_equal(seen[0], 0)
        expected = np.clip(step * np.linalg.norm(box) * slope / np.linalg.norm(slope), -box, box)
        np.testing.assert_allclose(seen[1], expected, rtol=1e-9)
        assert found.evaluations == len(seen)
        np.testing.assert_allclose(found.at, box * np.sign(slope), rtol=1e-9)
    seen.clear()
    assert sharpness.maximize(function, box, 1, 0.0).largest < 1e-10  # a step as long as the gradient


def test_it_never_falls_below_the_start_and_keeps_the_largest_loss_seen():
    """A function that falls wherever one goes, against its gradient: nothing is gained, and that is 0."""
    found = sharpness.maximize(lambda y: (-float(abs(y).sum()), np.ones(3)), np.ones(3), 10, 1.0)
    assert (found.start, found.largest) == (0.0, 0.0)
    np.testing.assert_array_equal(found.at, 0)
    flat = sharpness.maximize(lambda y: (2.0, np.zeros(3)), np.ones(3), 10, 1.0)
    assert (flat.start, flat.largest) == (2.0, 2.0)
    values = iter([0.0, 5.0, 1.0, 2.0, 3.0, *[0.5] * 100])
    assert sharpness.maximize(lambda y: (next(values), np.ones(3)), np.ones(3), 10, 1.0).largest == 5.0


def test_a_run_records_it_alike_in_every_strategy(tmp_path: pathlib.Path):
    """In real runs, float32: the loss is the evaluated training loss, sharpness grows with ε and replicas agree."""
    settings = toy.BARE | {
        'measure__sharpness__at_steps': (30,), 'evaluate__every_epochs': 1.0, 'total_steps': 30, 'sweep__seed': (0, 1)
    }  # fmt: skip
    by_epsilon = []
    for epsilon, strategy in ((5e-4, 'sequential'), (1e-3, 'sequential'), (1e-3, 'vmap')):
        plans = toy.plans(**settings, measure__sharpness__epsilon=epsilon, strategy=strategy)
        folder = tmp_path / f'{epsilon}-{strategy}'
        toy.train(folder, plans)
        rows = [r for plan in plans for r in toy.rows(folder, plan) if 'sharpness' in r]
        assert [r['step'] for r in rows] == [30, 30]
        for r in rows:
            assert r['sharpness_loss'] == pytest.approx(r['train_loss'], rel=1e-5)
            assert r['sharpness'] == pytest.approx(percent(r['sharpness_loss'], r['sharpness_maximum_loss']))
        by_epsilon.append([r['sharpness'] for r in rows])
    small, large, mapped = by_epsilon
    assert all(0 < 1.5 * a < b for a, b in zip(small, large, strict=True))
    np.testing.assert_allclose(mapped, large, rtol=1e-3)


@pytest.mark.as_shipped
def test_it_is_not_far_from_the_best_of_many_iterations():
    """A small network trained to a small loss: 10 iterations reach 85 % of what 200 do; with c = 1, not 70 %."""
    data, task, state = toy.network()
    rows = toy.batch(data, slice(100))
    given = program.MeasureInputs(None, rows, jax.random.key(0))  # pyright: ignore[reportArgumentType]
    c = program.context(task, sharpness.build(), state, program.Origins(state.params, state.params), given, rows)
    gradient = jax.jit(c.gradient)
    descend = lambda _, params: jax.tree.map(lambda p, g: p - 0.5 * g, params, c.gradient(params, rows)[1])
    params = jax.jit(lambda params: jax.lax.fori_loop(0, 3000, descend, params))(state.params)
    found = {}
    for iterations, first_step in ((10, 1.0), (10, 0.0), (200, 1.0)):
        quantity = sharpness.build(iterations=iterations, first_step=first_step, epsilon=5e-4, micro_batch_size=100)
        _, metrics = quantity.update((), c._replace(params=params, gradient=gradient))
        found[iterations, first_step] = metrics['sharpness']
    assert metrics['sharpness_loss'] < 2e-3
    assert found[10, 1.0] > 0.85 * found[200, 1.0]
    assert found[10, 0.0] < 0.7 * found[200, 1.0]


def test_rescaled_layers_are_the_same_function_at_another_point():
    """Two layers with a ReLU between: the loss is theirs, φ that of the weights as they are moved, under its name."""
    normal = np.random.default_rng(0).normal
    with jax.enable_x64(True):
        layer = lambda *shape: {'kernel': jnp.asarray(normal(size=shape)), 'bias': jnp.asarray(normal(size=shape[1]))}
        tree = {'dense_0': layer(SIZE, 3), 'dense_1': layer(3, 2)}

    def loss(params: Any, batch: Any) -> jax.Array:
        first, second = params['dense_0'], params['dense_1']
        hidden = jax.nn.relu(batch.inputs @ first['kernel'] + first['bias'][None])
        return ((hidden @ second['kernel'] + second['bias'][None]) ** 2).mean()

    def phi(params: Any, **settings: Any) -> dict[str, float]:
        with jax.enable_x64(True):
            quantity = sharpness.build(micro_batch_size=50, **settings)
            of = context(linear)._replace(params=params, gradient=jax.value_and_grad(loss))
            return {k: float(v) for k, v in quantity.update((), of)[1].items()}

    with jax.enable_x64(True):
        moved = sharpness.rescaled(tree, 0.1)
    whole, there, named = phi(tree), phi(moved), phi(tree, rescale=0.1, name='other')
    assert there['sharpness_loss'] == pytest.approx(whole['sharpness_loss'], rel=1e-12)
    assert named == {key.replace('sharpness', 'other'): value for key, value in there.items()}
    assert there['sharpness'] > 2 * whole['sharpness']


@pytest.mark.parametrize('layer', [{'kernel': 1.0, 'bias': 1.0, 'scale': 1.0}, {'kernel': 1.0}, 1.0])
def test_layers_that_do_not_pass_a_factor_on_are_refused(layer: Any):
    dense = {'kernel': 1.0, 'bias': 1.0}
    with pytest.raises(ValueError, match=r'rescale=2 .* batch norm'):
        sharpness.build(rescale=2.0).init({'dense_0': dense, 'norm_0': layer})
    assert sharpness.build(rescale=2.0).init({'dense_0': dense, 'dense_1': dense}) == ()


def test_with_running_statistics_it_is_of_the_evaluated_loss(tmp_path: pathlib.Path):
    """Of a net with batch norm whose training set is no whole number of groups."""
    settings = toy.BARE | {
        'model': {'name': 'mlp', 'widths': (8,), 'batch_norm': True}, 'measure__sharpness__at_epochs': (0.0,),
        'measure__sharpness__statistics': 'running', 'evaluate__every_epochs': 1.0, 'total_steps': 30,
    }  # fmt: skip
    (plan,) = toy.plans(**settings)
    toy.train(tmp_path, [plan])
    rows = [r for r in toy.rows(tmp_path, plan) if 'sharpness' in r]
    assert [r['sharpness_loss'] for r in rows] == pytest.approx([r['train_loss'] for r in rows], rel=1e-5)


@pytest.mark.parametrize(
    'settings', [{'epsilon': 0.0}, {'rescale': 0.0}, {'iterations': 0}, {'subspace': -1}, {'first_step': -1.0}]
)
def test_settings_that_cannot_be_are_refused(settings: dict):
    (name,) = settings
    with pytest.raises(ValueError, match=f'measure.sharpness: .*{name}='):
        sharpness.build(**settings)
