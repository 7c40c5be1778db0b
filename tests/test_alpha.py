"""The effective step size against closed forms on parabolas, weighted least squares in NumPy, and a network's."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy

from bsresearch.core import rng
from bsresearch.measure import Context, alpha
from bsresearch.planning import resolve
from bsresearch.train import program

effective_step = jax.jit(alpha.effective_step)


def on_parabolas(centers: Any, curvature: float, rate: float) -> float:
    """α at θ = 0 of SGD on l_i = curvature·(θ − centre_i)²/2."""
    losses = lambda params, x: curvature * (params['w'] - x) ** 2 / 2
    x = jnp.asarray(centers, jnp.float32)
    params = {'w': jnp.zeros(())}
    gradient = jax.value_and_grad(lambda params, x: losses(params, x).mean())
    empty = Context(jnp.int32(0), params, params, x, gradient, None)
    move = lambda g: jax.tree.map(lambda x: -rate * x, g)
    quantity = alpha.build(batch_size=len(x))
    return float(jax.jit(lambda: quantity.update((), empty._replace(losses=losses, propose=move))[1]['alpha'])())


@pytest.mark.parametrize('centers', [[1.0, 1.0], [0.5, 3.0, 1.0]], ids=['equal', 'different'])
@pytest.mark.parametrize('step', [0.25, 1.0, 1.5, 2.0, 3.0])
def test_on_a_parabola_it_is_the_step_over_that_to_the_minimum(centers: Any, step: float):
    """Closed form: ε = step/curvature goes `step` times as far as the minimum; 0 there, 1 equally high beyond."""
    assert on_parabolas(centers, 4.0, step / 4) == pytest.approx(step - 1, abs=1e-5)


def test_no_move_and_negative_curvature_are_minus_one():
    """Closed form: a step too small to bend; a hill, on which the step still goes down."""
    assert on_parabolas([1.0, 2.0], 4.0, 1e-5) == pytest.approx(-1, abs=1e-4)
    assert on_parabolas([1.0, 2.0], -1.0, 0.5) == -1


def naive(tau: float, losses: np.ndarray, slopes: np.ndarray, weights: np.ndarray) -> float:
    """The weighted least-squares fit of a + bτ + cτ² to (l(0), l(τ), l'(0), l'(τ)), by NumPy; α from b and c."""
    rows = np.array([[1, 0, 0], [1, tau, tau**2], [0, 1, 0], [0, 1, 2 * tau]])
    root = np.sqrt(weights)
    _, b, c = np.linalg.lstsq(rows * root[:, None], np.concatenate([losses, slopes]) * root)[0]
    return -1 if c < 0 else -2 * tau * c / b - 1


@pytest.mark.parametrize('seed', range(8))
def test_it_is_the_weighted_least_squares_fit(seed: int):
    """Independent library: numbers that no parabola meets, of steps of any length; concave ones too."""
    draw = np.random.default_rng(seed)
    tau, losses, slopes = draw.uniform(0.1, 3), draw.normal(size=2), draw.normal(size=2)
    variances = draw.uniform(0.1, 4, 4)
    arrays = (losses[1] - losses[0], slopes * tau, variances[:2], variances[2:] * tau**2)
    with jax.enable_x64(True):
        rise, along, of_losses, of_slopes = (jnp.asarray(x) for x in arrays)
        found = float(effective_step(rise, along, of_losses, of_slopes))
        equal = float(effective_step(rise, along, jnp.zeros(2), jnp.zeros(2)))
    assert found == pytest.approx(naive(tau, losses, slopes, 1 / variances), rel=1e-9)
    # Without variances: equal weights of losses and of slopes along the whole step.
    assert equal == pytest.approx(naive(1.0, losses, slopes * tau, np.ones(4)), rel=1e-9)


def test_in_a_run_it_is_that_of_the_update_momentum_makes(tmp_path: pathlib.Path):
    """Brute force: losses and slopes at both ends example by example, Δw from a copy of the optimizer's state."""
    clip = {'clip__norm': 0.5, 'optimizer__name': 'momentum', 'momentum': 0.9}
    settings = {'measure__alpha__at_steps': (20,), 'measure__alpha__batch_size': 32, 'keep__at_steps': (20,)}
    (plan,) = toy.plans(**toy.BARE, **clip, **settings, checkpoint__at_steps=(20,))
    toy.train(tmp_path, [plan])
    (row,) = (r for r in toy.rows(tmp_path, plan) if 'alpha' in r and r['step'] == 20)
    data, state = resolve.dataset(plan.data), toy.checkpoint(tmp_path, plan, 20)
    task = program.task(plan, data.scale, 'cpu')
    drawn = rng.generator(plan.data_seed, 'measure/alpha', 20).integers(0, plan.epoch_size, 32)
    batch = program.Data(jnp.asarray(data.train.inputs[drawn]), jnp.asarray(data.train.labels[drawn]))
    loss = lambda params, i: program.losses_of(task, 'batch', {}, params, jax.tree.map(lambda x: x[i][None], batch))[0]
    of = jax.jit(jax.value_and_grad(loss))
    singles = lambda params: [jax.tree.map(np.asarray, of(params, i)) for i in range(32)]
    flat = lambda tree: np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(tree)])
    start = singles(state.params)
    g = np.mean([flat(x[1]) for x in start], axis=0)
    g *= min(1, 0.5 / np.linalg.norm(g))
    velocity = optax.tree.get(state.opt_state, 'trace')
    move = -0.05 * (0.9 * flat(velocity) + g)
    shapes = jax.tree.leaves(state.params)
    parts = np.split(move, np.cumsum([x.size for x in shapes])[:-1])
    moved = [x + p.reshape(x.shape).astype(np.float32) for x, p in zip(shapes, parts, strict=True)]
    end = singles(jax.tree.unflatten(jax.tree.structure(state.params), moved))
    tau = float(np.linalg.norm(move))
    losses, slopes = ([f(e) for e in (start, end)] for f in (
        lambda e: np.array([float(x[0]) for x in e]), lambda e: np.array([flat(x[1]) @ move for x in e]) / tau,
    ))  # fmt: skip
    weights = 1 / np.array([x.var(ddof=1) for x in (*losses, *slopes)])
    expected = naive(tau, np.array([x.mean() for x in losses]), np.array([x.mean() for x in slopes]), weights)
    assert row['alpha'] == pytest.approx(expected, rel=1e-3)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r'measure\.alpha\.batch_size=1'):
        alpha.build(batch_size=1)
