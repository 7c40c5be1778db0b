"""Quantities of individual gradients: naive twins over single examples, identities, populations with known truth."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from test_noise_scale import COVARIANCE, MEAN, SPLIT, draw, tree

from bsresearch import models
from bsresearch.measure import Context, individual_gradients, moments
from bsresearch.optim import Hyper
from bsresearch.planning import resolve
from bsresearch.train import program

RATE = 0.3
SIZE = 21


def single_gradients(task: Any, params: Any, batch: program.Data) -> tuple[np.ndarray, list[Any]]:
    """Losses and gradients of a batch's examples one by one, NumPy float64."""
    one = lambda p, x, y: task.loss(models.apply(task.module, p, {}, x, train=False)[0], y)[0]
    value_and_grad, losses, gradients = jax.jit(jax.value_and_grad(one)), [], []
    for i in range(len(batch.labels)):
        x, y = task.normalize(batch.inputs[i : i + 1]), batch.labels[i : i + 1]
        loss, gradient = value_and_grad(params, x, y)
        losses.append(float(loss))
        gradients.append(jax.tree.map(np.asarray, gradient))
    return np.array(losses), gradients


def flat(gradients: list[Any]) -> np.ndarray:
    return np.stack([np.concatenate([np.ravel(x) for x in jax.tree.leaves(g)]) for g in gradients])


def naive(losses: np.ndarray, g: np.ndarray) -> dict[str, float]:
    """The formulas as Cockpit has them, from a matrix of gradients (B, D)."""
    size, mean = len(g), g.mean(0)
    square, squares, dots = (mean**2).sum(), (g**2).sum(1), g @ mean
    trace = (squares.sum() - size * square) / (size - 1)
    variance = (g**2).mean(0) - mean**2
    unbiased = square - trace / size
    return {
        'individual_norm_test': np.sqrt(trace / (size * square)),
        'individual_inner_product_test': np.sqrt(
            ((dots**2).sum() - size * square**2) / (size - 1) / (size * square**2)
        ),
        'individual_orthogonality_test': np.sqrt(
            (squares.sum() - (dots**2).sum() / square) / (size - 1) / (size * square)
        ),
        'individual_cabs_batch_size': RATE * variance.sum() / losses.mean(),
        'individual_early_stopping': 1 - size * (mean**2 / (variance * size / (size - 1) + 1e-5)).mean(),
        'individual_mean_gsnr': (mean**2 / (variance + 1e-5)).mean(),
        'individual_diversity': squares.sum() / (g.sum(0) ** 2).sum(),
        'individual_trace': trace,
        'individual_gradient_square': unbiased,
        'individual_noise_scale': trace / unbiased,
        'individual_trace_average': trace,
        'individual_gradient_square_average': unbiased,
        'individual_negative_fraction': float(unbiased < 0),
    }


@pytest.fixture(scope='module', params=['mlp', 'cnn'])
def measured(request: Any) -> Any:
    """A network's measurement in float64 beside its single gradients."""
    model = {'mlp': {'name': 'mlp', 'widths': (16,)}, 'cnn': {'name': 'cnn', 'widths': (3,), 'dense_width': 8}}
    with jax.enable_x64(True):
        data, task, state = toy.network(dtype='float64', model=model[request.param])
        batch = toy.batch(data, slice(SIZE))
        quantity = individual_gradients.build(batch_size=SIZE, per_layer=True)
        given = program.MeasureInputs(Hyper(jnp.float64(RATE), None, None), batch, None)
        mstate = quantity.init(state.params)
        origins = program.Origins(state.params, state.params)
        found = jax.jit(lambda: program.measure(task, quantity, mstate, state, origins, given, None)[1])()
        losses = lambda params, part: program.losses_of(task, 'batch', {}, params, part)
        taken = jax.jit(lambda p, b: moments.moments(losses, p, b))(state.params, batch)
        yield found, taken, *single_gradients(task, state.params, batch)


def test_on_a_network_they_are_the_loop_over_examples(measured: Any):
    """Brute force: every metric from the gradients of the examples one by one, float64."""
    found, _, losses, gradients = measured
    expected = naive(losses, flat(gradients))
    for layer in gradients[0]:
        own = naive(losses, flat([g[layer] for g in gradients]))
        expected |= {f'individual_{q}/{layer}': own[f'individual_{q}'] for q in ('trace', 'gradient_square')}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # Averages are kept in float32.
        assert float(found[name]) == pytest.approx(value, rel=1e-6 if 'noise' in name or 'average' in name else 1e-9)


def test_moments_are_those_of_the_single_gradients(measured: Any):
    """Brute force: mean, squared deviations, second moment, squared norms per layer and products with the mean."""
    _, taken, losses, gradients = measured
    g = flat(gradients)
    together = lambda tree: np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])
    assert taken.count == SIZE
    assert float(taken.loss) == pytest.approx(losses.mean(), rel=1e-9)
    np.testing.assert_allclose(together(taken.mean), g.mean(0), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(together(taken.deviations), SIZE * g.var(0), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(taken.dots, g @ g.mean(0), rtol=1e-9)
    assert list(taken.square_norms) == sorted(gradients[0])
    for layer, squares in taken.square_norms.items():
        np.testing.assert_allclose(squares, (flat([x[layer] for x in gradients]) ** 2).sum(1), rtol=1e-9)


def test_tests_add_up_and_layers_add_up(measured: Any):
    """θ_norm² = θ_inner² + ν²; B_simple = Bθ²/(1 − θ²); the squares of layers add up to the whole network's."""
    found = {k: float(v) for k, v in measured[0].items()}
    theta = found['individual_norm_test'] ** 2
    parts = found['individual_inner_product_test'] ** 2 + found['individual_orthogonality_test'] ** 2
    assert theta == pytest.approx(parts, rel=1e-9)
    ratio = found['individual_trace'] / found['individual_gradient_square']
    assert ratio == pytest.approx(SIZE * theta / (1 - theta), rel=1e-9)
    for name in ('individual_trace', 'individual_gradient_square'):
        layers = sum(v for k, v in found.items() if k.startswith(f'{name}/'))
        assert layers == pytest.approx(found[name], rel=1e-9)


def context(batch: Any) -> Context:
    """Every example is its own gradient: l_i = x_iᵀθ + 1 at θ = 0."""
    zero = tree(jnp.zeros(batch.shape[1], batch.dtype))
    losses = lambda params, part: part @ jnp.concatenate([params['a']['w'], params['b']['w']]) + 1
    rate = jnp.asarray(RATE, batch.dtype)
    empty = Context(jnp.int32(0), zero, zero, batch, lambda p, b: (jnp.float32(0), p), Hyper(rate, rate, None))
    return empty._replace(losses=losses)


def in_trials(batches: np.ndarray) -> dict[str, np.ndarray]:
    """Each batch's metrics, measured alone, in the batches' precision; (trials,) each."""
    quantity = individual_gradients.build(batch_size=batches.shape[1], per_layer=True)
    with jax.enable_x64(batches.dtype == np.float64):
        found = jax.jit(jax.vmap(lambda b: quantity.update(quantity.init(None), context(b))[1]))(jnp.asarray(batches))
        return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize('size', [2, 16, 40])
def test_both_estimators_are_unbiased(size: int):
    """Monte Carlo: |G|² and tr Σ, whole and per layer, within 3 computed standard errors over 4,000 trials."""
    found = in_trials(draw(size, 4000))
    for name, part in {'': slice(None), '/a': slice(0, SPLIT), '/b': slice(SPLIT, None)}.items():
        truth = {'gradient_square': (MEAN[part] ** 2).sum(), 'trace': np.diag(COVARIANCE)[part].sum()}
        for quantity, value in truth.items():
            x = found[f'individual_{quantity}{name}']
            assert abs(x.mean() - value) < 3 * x.std(ddof=1) / np.sqrt(len(x)), (name, quantity)
    if size == 2:
        assert (found['individual_gradient_square'] < 0).any()
    assert ((found['individual_gradient_square'] < 0) == found['individual_negative_fraction']).all()


def test_small_variances_are_right_in_float32():
    """Closed form: a spread of 1e-3 around gradients of 1 is lost by mean(g²) − mean(g)² in float32."""
    rng = np.random.default_rng(3)
    x = (1 + 1e-3 * rng.normal(size=(1, 64, 10))).astype(np.float32)
    expected = naive(np.ones(64), x[0].astype(np.float64))
    found = in_trials(x)
    for name in ('norm_test', 'trace', 'orthogonality_test', 'inner_product_test', 'mean_gsnr', 'early_stopping'):
        assert found[f'individual_{name}'][0] == pytest.approx(expected[f'individual_{name}'], rel=1e-3), name


def test_gradient_diversity_of_known_batches():
    """Closed form: B·Δ is B for orthogonal gradients and 1 for equal ones."""
    assert in_trials(np.eye(10)[None])['individual_diversity'][0] * 10 == pytest.approx(10)
    assert in_trials(np.ones((1, 8, 10)))['individual_diversity'][0] * 8 == pytest.approx(1)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'batch_size': 1}, 'batch_size=1: a variance needs at least 2'),
        ({'half_life': -1.0}, r'individual_gradients\.half_life=-1\.0: must be positive'),
        ({'statistics': 'runing'}, "individual_gradients.statistics='runing'; did you mean 'running'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        individual_gradients.build(**settings)


def test_batch_norm_is_refused_and_running_statistics_are_the_cure(tmp_path: pathlib.Path):
    """In training mode an example has no gradient of its own: refused at planning; measured with running averages."""
    model = {'name': 'mlp', 'widths': (8,), 'batch_norm': True}
    asked = {**toy.BARE, 'model': model, 'total_steps': 4, 'measure__individual_gradients__at_steps': (4,)}
    with pytest.raises(ValueError, match=r'measure\.individual_gradients\.statistics=running makes it'):
        toy.plans(**asked)
    (plan,) = toy.plans(**asked, measure__individual_gradients__statistics='running')
    toy.train(tmp_path, [plan])
    (row,) = (r for r in toy.rows(tmp_path, plan) if 'individual_trace' in r)
    data = resolve.dataset(plan.data)
    state = toy.checkpoint(tmp_path, plan, 4)
    from bsresearch.core import rng

    drawn = rng.generator(plan.data_seed, 'measure/individual_gradients', 4).integers(0, plan.epoch_size, 256)
    task = program.task(plan, data.scale, 'cpu')
    x = task.normalize(jnp.asarray(data.train.inputs[drawn]))
    y = jnp.asarray(data.train.labels[drawn])
    one = lambda p, x, y: task.loss(models.apply(task.module, p, state.stats, x[None], train=False)[0], y[None])[0]
    gradients = jax.jit(jax.vmap(jax.grad(one), in_axes=(None, 0, 0)))(state.params, x, y)
    spread = sum(np.asarray(g, np.float64).var(0, ddof=1).sum() for g in jax.tree.leaves(gradients))
    assert row['individual_trace'] == pytest.approx(spread, rel=1e-5)
