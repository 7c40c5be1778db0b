"""Measurements: each against its naive twin in NumPy float64; the contract over every member; where they are made."""

import functools
import importlib
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from bsresearch.analysis import recorded
from bsresearch.core import lookup, rng
from bsresearch.measure import Context, Measure, squared_norm
from bsresearch.optim import Hyper
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.train import program


@functools.cache
def context(seed: int = 0) -> Context:
    """Two trees of weights and losses l_i = |θ|², the same for every example; updates of −g/10, P = 1/4."""
    keys = jax.random.split(jax.random.key(seed), 4)
    tree = lambda a, b: {'dense': {'kernel': jax.random.normal(a, (5, 3)), 'bias': jax.random.normal(b, (3,))}}
    losses = lambda params, batch: jnp.full(len(batch.labels), 1.0) * squared_norm(params)
    data = lambda n: program.Data(jnp.zeros((n, 5)), jnp.zeros(n, jnp.int32))
    return Context(
        step=jnp.int32(3),
        params=tree(*keys[:2]),
        initial_params=tree(*keys[2:]),
        batch=data(4),
        gradient=jax.value_and_grad(lambda params, batch: losses(params, batch).mean()),
        hyper=Hyper(jnp.float32(0.1), jnp.float32(0.5), None),
        losses=losses,
        whole=data(7),
        key=keys[0],
        branch_params=tree(keys[3], keys[2]),
        propose=lambda gradient: jax.tree.map(lambda g: -g / 10, gradient),
        precondition=lambda gradient: jax.tree.map(lambda g: g / 4, gradient),
    )


def flat(tree: Any) -> np.ndarray:
    """All leaves in one float64 vector."""
    return np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in jax.tree.leaves(tree)])


def sharpness(x: np.ndarray) -> dict[str, float]:
    """Of |x|²: the farthest corner, which the first step reaches."""
    start, end = (x**2).sum(), ((np.abs(x) + 1e-3 * (np.abs(x) + 1)) ** 2).sum()
    losses = {'sharpness_loss': start, 'sharpness_maximum_loss': end}
    return {'sharpness': 100 * (end - start) / (1 + start), **losses, 'sharpness_evaluations': 2}


def angle(a: Any, b: Any) -> float:
    return float(np.arccos(flat(a) @ flat(b) / np.linalg.norm(flat(a)) / np.linalg.norm(flat(b))))


def moved(c: Context) -> np.floating[Any]:
    return np.linalg.norm(flat(c.params) - flat(c.initial_params))


# The one layer of `context` is the whole network.
TWINS = {
    'relative_distance': lambda c: dict.fromkeys(
        ('relative_distance', 'relative_distance/dense'), moved(c) / np.linalg.norm(flat(c.initial_params))
    ),
    'initial_cosine': lambda c: dict.fromkeys(
        ('initial_cosine', 'initial_cosine/dense'), np.cos(angle(c.params, c.initial_params))
    ),
    'angular_distance': lambda c: {
        'angular_distance/dense': angle(c.params['dense']['kernel'], c.initial_params['dense']['kernel'])
    },
    'branch_distance': lambda c: {'branch_distance': np.linalg.norm(flat(c.params) - flat(c.branch_params))},
    # One step from θ_0: a straight line; tests/test_weight_space.py has longer paths.
    'path_length': lambda c: {'path_length': moved(c), 'path_straightness': 1.0},
    'distance': lambda c: {
        'distance': np.linalg.norm(flat(c.params) - flat(c.initial_params)),
        'distance/dense': np.linalg.norm(flat(c.params['dense']) - flat(c.initial_params['dense'])),
    },
    'parameter_norm': lambda c: {'parameter_norm': np.linalg.norm(flat(c.params))},
    'gradient_norm': lambda c: {'single_batch_gradient_norm': 2 * np.linalg.norm(flat(c.params))},
    # All batches have the same gradient here; tests/test_noise_scale.py has those that differ.
    'noise_scale': lambda c: {
        'noise_scale': 0.0,
        'noise_gradient_square': 4 * (flat(c.params) ** 2).sum(),
        'noise_trace': 0.0,
        'noise_gradient_square_average': 4 * (flat(c.params) ** 2).sum(),
        'noise_trace_average': 0.0,
        'noise_negative_fraction': 0.0,
    },
    # Steps of −g/10 = −θ/5 on |θ|², a fifth of the way: tests/test_alpha.py has others.
    'alpha': lambda c: {'alpha': 1 / 5 - 1},
    'gradient_cosine': lambda c: {'gradient_cosine': 1.0, 'full_gradient_norm': 2 * np.linalg.norm(flat(c.params))},
    'update_ratio': lambda c: {'update_ratio': 1 / 5, 'update_ratio/dense': 1 / 5},
    # Of equal gradients here; tests/test_individual_gradients.py has those that differ.
    'individual_gradients': lambda c: {
        'individual_noise_scale': 0.0,
        'individual_gradient_square': 4 * (flat(c.params) ** 2).sum(),
        'individual_trace': 0.0,
        'individual_gradient_square_average': 4 * (flat(c.params) ** 2).sum(),
        'individual_trace_average': 0.0,
        'individual_negative_fraction': 0.0,
        'individual_norm_test': 0.0,
        'individual_inner_product_test': 0.0,
        'individual_orthogonality_test': 0.0,
        'individual_cabs_batch_size': 0.0,
        'individual_early_stopping': 1 - 4 * (4 * flat(c.params) ** 2).mean() / 1e-5,
        'individual_mean_gsnr': (4 * flat(c.params) ** 2).mean() / 1e-5,
        'individual_diversity': 1 / 4,
    },
    # The Hessian is 2 I here; tests/test_curvature.py has real ones.
    'hessian_eigenvalues': lambda c: {
        'hessian_eigenvalue/0': 2.0,
        'hessian_residual': 0.0,
        'hessian_products': 1,
    },
    'hessian_trace': lambda c: {'hessian_trace': 2.0 * 18, 'hessian_trace_standard_error': 0.0},
    'curvature_noise_scale': lambda c: {
        'curvature_noise_scale': 0.0,
        'curvature_noise_gradient_curvature': 8 * (flat(c.params) ** 2).sum(),
        'curvature_noise_trace': 0.0,
        'curvature_noise_gradient_curvature_average': 8 * (flat(c.params) ** 2).sum(),
        'curvature_noise_trace_average': 0.0,
        'curvature_noise_negative_fraction': 0.0,
    },
    'sharpness': lambda c: sharpness(flat(c.params)),
}


# For the four examples of `context`.
SETTINGS = {
    'alpha': {'batch_size': 4},
    'angular_distance': {'every_kernel': True},
    'gradient_cosine': {'batch_size': 4, 'full_batch_size': 3},
    'individual_gradients': {'batch_size': 4},
    'noise_scale': {'batch_size': 4, 'small_batch_size': 2},
    'update_ratio': {'batch_size': 4},
    'hessian_eigenvalues': {'batch_size': 4, 'micro_batch_size': 3},
    'hessian_trace': {'batch_size': 4, 'micro_batch_size': 3},
    'curvature_noise_scale': {'batch_size': 1, 'hessian_batch_size': 2},
    'sharpness': {'batch_size': 4, 'micro_batch_size': 3, 'first_step': 1e4},
}


@pytest.mark.parametrize('name', lookup.members('bsresearch.measure', 'build'))
def test_every_measurement_has_a_naive_twin(name: str):
    """Agreement to 1e-5 relative; jit and vmap; a member without a twin fails here."""
    quantity: Measure = importlib.import_module(f'bsresearch.measure.{name}').build(**SETTINGS.get(name, {}))
    c = context()
    state = quantity.init(c.initial_params)
    array = lambda c: (c.step, c.params, c.initial_params, c.batch, c.key, c.branch_params)
    names = ('step', 'params', 'initial_params', 'batch', 'key', 'branch_params')
    put = lambda a: c._replace(**dict(zip(names, a, strict=True)))
    update = jax.jit(lambda s, a: quantity.update(s, put(a)))
    _, found = quantity.update(state, c) if quantity.host else update(state, array(c))
    expected = TWINS[name](c)
    assert found.keys() == expected.keys()
    assert {recorded.section_of(metric) for metric in found} == {f'measure.{name}'}
    for metric, value in expected.items():
        assert float(found[metric]) == pytest.approx(value, rel=1e-5, abs=1e-4)
    if quantity.host:
        return
    other = context(1)
    stack = lambda *trees: jax.tree.map(lambda *x: jnp.stack(x), *trees)
    states = stack(state, quantity.init(other.initial_params))
    _, mapped = jax.jit(jax.vmap(update))(states, stack(array(c), array(other)))
    for metric, value in TWINS[name](other).items():
        assert float(mapped[metric][1]) == pytest.approx(value, rel=1e-5, abs=1e-4)


def test_no_two_measurements_share_a_metric():
    names = [metric for twin in TWINS.values() for metric in twin(context())]
    assert len(names) == len(set(names))


def test_distance_is_right_in_float32_from_bfloat16_weights():
    """An update of 1e-3 on 1.0 vanishes in bfloat16 arithmetic: the difference is taken in float32."""
    quantity = importlib.import_module('bsresearch.measure.distance').build(per_layer=False)
    first = {'w': jnp.full((100,), 1.0, jnp.bfloat16)}
    moved = {'w': jnp.full((100,), 1.0078125, jnp.bfloat16)}  # the next bfloat16
    c = Context(jnp.int32(0), moved, first, None, lambda p, b: (jnp.float32(0), p), None)
    assert float(quantity.update((), c)[1]['distance']) == pytest.approx(0.078125, rel=1e-6)


def test_squares_of_layers_add_up(tmp_path: pathlib.Path):
    """Distance per layer against the total, in a real run; zero at the start."""
    changes = toy.BARE | {'measure__distance__every_epochs': 1.0}
    (plan,) = toy.plans(**changes, model={'name': 'cnn', 'widths': (4,), 'dense_width': 8}, total_steps=10)
    toy.train(tmp_path, [plan])
    rows = [r for r in toy.rows(tmp_path, plan) if 'distance' in r]
    assert rows[0]['distance'] == 0
    parts = {k: v for k, v in rows[-1].items() if k.startswith('distance/')}
    assert set(parts) == {'distance/conv_0', 'distance/dense', 'distance/output'}
    assert np.sqrt(sum(v**2 for v in parts.values())) == pytest.approx(rows[-1]['distance'], rel=1e-6)


def gradient_norm(plan: Plan, params: Any, t: int, size: int) -> float:
    """A linear softmax model's gradient norm on the examples the measurement drew, in NumPy."""
    train = resolve.dataset(plan.data).train
    drawn = np.sort(rng.generator(plan.data_seed, 'measure/gradient_norm', t).integers(0, plan.epoch_size, size))
    x = np.asarray(train.inputs, np.float64).reshape(len(train.labels), -1)[drawn] / 16
    logits = x @ np.asarray(params['output']['kernel'], np.float64) + np.asarray(params['output']['bias'])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    delta = (p - np.eye(10)[train.labels[drawn]]) / size
    return float(np.sqrt(((x.T @ delta) ** 2).sum() + (delta.sum(0) ** 2).sum()))


def test_gradient_norm_is_measured_on_its_own_batch_at_theta_t(tmp_path: pathlib.Path):
    """At the start and the end of a run, against NumPy on the same examples."""
    (plan,) = toy.plans(**toy.BARE, model={'name': 'linear'}, measure__gradient_norm__every_steps=40)
    toy.train(tmp_path, [plan])
    rows = {r['step']: r for r in toy.rows(tmp_path, plan) if 'single_batch_gradient_norm' in r}
    ends = {0: program.initial(program.task(plan, 16.0, 'cpu'), plan).params, 40: toy.final(tmp_path, plan)}
    assert set(rows) == set(ends)
    for t, params in ends.items():
        expected = gradient_norm(plan, params, t, 256)
        assert rows[t]['single_batch_gradient_norm'] == pytest.approx(expected, rel=1e-5)
