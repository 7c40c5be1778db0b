"""Models and layers: contract over every member; convolution, pooling, batch norm and dropout against brute force."""

import functools
import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from bsresearch import models
from bsresearch.core import lookup
from bsresearch.models import layers, losses, norms

SHAPE = (8, 8, 3)


DEEP = ('resnet', 'wide_resnet', 'c1')
SMALL = {'resnet': {'depth': 8, 'width': 4}, 'wide_resnet': {'depth': 10, 'widening': 1}}


def build(name: str, **kw: Any) -> Any:
    """A model of the folder for 5 classes, the deep ones as shallow as they can be."""
    return importlib.import_module(f'bsresearch.models.{name}').build(5, **SMALL.get(name, {}) | kw)


NAMES = lookup.members('bsresearch.models', 'build')


@pytest.mark.parametrize(
    ('name', 'dtype'),
    [(name, 'float32') for name in NAMES]
    # The deep ones are made of the layers of the others.
    + [pytest.param(name, 'bfloat16', marks=[pytest.mark.slow] if name in DEEP else []) for name in NAMES],
)
def test_every_model_keeps_its_contract(name: str, dtype: str):
    """Shapes, float32 weights and outputs, jit without recompiling, determinism, vmap over weights."""
    module = build(name, dtype=dtype)
    key = jax.random.key(0)
    init = jax.jit(lambda: models.init(module, key, SHAPE))
    params, stats = init()
    assert {x.dtype for x in jax.tree.leaves(params)} == {np.dtype(np.float32)}
    x = jax.random.normal(key, (4, *SHAPE))
    traces = []

    @jax.jit
    def apply(params: Any, x: Any) -> Any:
        traces.append(1)
        return models.apply(module, params, stats, x, train=False)[0]

    out = apply(params, x)
    assert (out.shape, out.dtype) == ((4, 5), np.float32)
    np.testing.assert_array_equal(apply(params, x), out)
    assert len(traces) == 1
    again, _ = init()
    jax.tree.map(np.testing.assert_array_equal, params, again)
    if dtype == 'float32':  # how weights are mapped does not depend on the type
        two = jax.tree.map(lambda p: np.stack([p, 2 * p]), params)
        np.testing.assert_allclose(jax.vmap(lambda p: apply(p, x))(two)[0], out, rtol=1e-5, atol=1e-5)


def test_shens_network_is_the_one_of_the_source():
    """784-1024-1024-10, Glorot normal, zero biases: 1,863,690 parameters and ‖w₀‖ ≈ 43.9: Shen (2018)."""
    module = importlib.import_module('bsresearch.models.mlp').build(10)
    params, _ = jax.jit(lambda key: models.init(module, key, (28, 28, 1)))(jax.random.key(1))
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(params)]
    assert sum(x.size for x in leaves) == 784 * 1024 + 1024 + 1024 * 1024 + 1024 + 1024 * 10 + 10
    assert np.sqrt(sum((x**2).sum() for x in leaves)) == pytest.approx(43.9, abs=0.1)
    assert all((np.asarray(layer['bias']) == 0).all() for layer in params.values())


@pytest.mark.parametrize(
    ('kind', 'variance'), [('glorot_normal', 2 / 700), ('he_normal', 2 / 300), ('lecun_normal', 1 / 300)]
)
def test_normal_initializers_are_truncated_unless_said(kind: str, variance: float):
    """Equal variances; cut at 2 and rescaled to 2.27 standard deviations, or a whole normal with its kurtosis of 3."""
    for name, moment in ((kind, 2.37), (f'{kind}_untruncated', 3.0)):
        w = np.asarray(layers.initializer(name)(jax.random.key(0), (300, 400)), np.float64) / np.sqrt(variance)
        # Of 120,000 weights: the standard errors of the two moments are 0.004 and 0.03 at most.
        assert (w**2).mean() == pytest.approx(1, abs=0.015)
        assert (w**4).mean() == pytest.approx(moment, abs=0.1)
        assert (np.abs(w).max() < 2.28) == (name == kind)


def test_max_pool_is_the_windowed_maximum():
    """Values against reduce_window; without ties the gradient too; an odd row and column are left out."""
    x = np.random.default_rng(0).normal(size=(2, 7, 5, 3)).astype(np.float32)
    windowed = lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), 'VALID')
    cubes = lambda f: jax.jit(jax.grad(lambda x: ((f(x) ** 3).sum(), f(x)), has_aux=True))
    (slope, pooled), (expected, maximum) = cubes(layers.max_pool)(x), cubes(windowed)(x)
    np.testing.assert_array_equal(pooled, maximum)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)
    of_ties = jax.jit(jax.grad(lambda x: layers.max_pool(x).sum()))(np.ones((1, 2, 2, 1), np.float32))
    np.testing.assert_allclose(np.sum(of_ties), 1)


@pytest.mark.parametrize('padding', ['same', 'valid'])
@pytest.mark.parametrize('sides', [(8, 7), (4, 9), (3, 3)])
def test_overlapping_max_pool_is_the_windowed_maximum(sides: tuple[int, int], padding: str):
    """Values against reduce_window over 3×3; without ties the gradient too."""
    x = np.random.default_rng(0).normal(size=(2, *sides, 3)).astype(np.float32)
    windowed = lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding.upper())
    pooled = lambda x: layers.overlapping_max_pool(x, padding)
    cubes = lambda f: jax.jit(jax.value_and_grad(lambda x: ((f(x) ** 3).sum(), f(x)), has_aux=True))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), cubes(pooled)(x), cubes(windowed)(x))


@pytest.mark.parametrize(
    ('name', 'layers_of'),
    [pytest.param('mlp', 3, marks=pytest.mark.slow), ('cnn', 4), pytest.param('resnet', 8, marks=pytest.mark.slow)],
)
def test_weight_normalization_is_its_formula(name: str, layers_of: int):
    """At the start the net is the one without, of the same key. Gradients: Salimans & Kingma's eq. 3 from the plain
    net's, float64; the length of a direction is idle."""
    settings = {'resnet': {'depth': 8, 'width': 2}}.get(name, {'widths': (6, 4)})
    with jax.enable_x64(True):
        nets = {normed: build(name, dtype='float64', weight_norm=normed, **settings) for normed in (True, False)}
        x = jax.random.normal(jax.random.key(1), (4, *SHAPE), jnp.float64)
        start = {k: jax.jit(functools.partial(models.init, net, example_shape=SHAPE)) for k, net in nets.items()}
        weights = {k: init(jax.random.key(0)) for k, init in start.items()}

        def slopes(normed: bool, params: Any) -> tuple[float, dict[tuple[str, ...], np.ndarray]]:
            outputs = lambda p: models.apply(nets[normed], p, weights[normed][1], x, train=True)[0]
            value, gradient = jax.jit(jax.value_and_grad(lambda p: (outputs(p) ** 3).sum()))(params)
            return float(value), jax.tree.map(np.asarray, flatten_dict(gradient))

        (value, ours), (expected, plain) = (slopes(normed, weights[normed][0]) for normed in (True, False))
        assert value == pytest.approx(expected, rel=1e-12)
        start_of: dict[Any, Any] = flatten_dict(jax.tree.map(np.asarray, weights[True][0]))
        tripled = {path: 3 * v if path[-1] == 'direction' else v for path, v in start_of.items()}
        assert slopes(True, unflatten_dict(tripled))[0] == pytest.approx(value, rel=1e-12)
    directions = {path[:-1]: v for path, v in start_of.items() if path[-1] == 'direction'}
    assert len(directions) == layers_of
    for layer, v in directions.items():
        slope, norm = plain[*layer, 'kernel'], np.sqrt((v**2).sum(tuple(range(v.ndim - 1))))
        of_length = (slope * v).sum(tuple(range(v.ndim - 1))) / norm
        np.testing.assert_allclose(ours[*layer, 'length'], of_length, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(ours[*layer, 'direction'], slope - of_length / norm * v, rtol=1e-7, atol=1e-9)


def test_pooling_before_relu_is_relu_before_pooling():
    """The two commute, which the CNN uses."""
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    both = jax.jit(lambda x: (jax.nn.relu(layers.max_pool(x)), layers.max_pool(jax.nn.relu(x))))
    np.testing.assert_array_equal(*both(x))


def trained(layer: norms.BatchNorm) -> Any:
    """Compiled: (variables, inputs, weights) → outputs and new running statistics, in training."""
    return jax.jit(lambda v, x, weights: layer.apply(v, x, train=True, weights=weights, mutable=['stats']))


def test_ghost_batch_norm_is_numpy_group_by_group():
    """Groups of 4, the last padded: mean and biased variance of real examples; one running update of their mean."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(12, 2, 2, 3)) * 3 + 1, jnp.float32)
    weights = np.r_[np.ones(10), 0, 0].astype(np.float32)
    layer = norms.BatchNorm(4, 'float32')
    variables = layer.init(jax.random.key(0), x, train=False, weights=None)
    out, updated = trained(layer)(variables, x, jnp.asarray(weights))
    means, variances, counts = [], [], []
    for g in range(3):
        real = np.asarray(x)[4 * g : 4 * g + 4][weights[4 * g : 4 * g + 4] > 0].astype(np.float64)
        mean, var = real.mean((0, 1, 2)), real.var((0, 1, 2))
        expected = (real - mean) / np.sqrt(var + 1e-5)
        np.testing.assert_allclose(out[4 * g : 4 * g + len(real)], expected, rtol=1e-4, atol=1e-5)
        means.append(mean)
        variances.append(var)
        counts.append(len(real))
    share = np.array(counts) / sum(counts)
    stats = jax.tree.map(np.asarray, updated['stats'])
    np.testing.assert_allclose(stats['mean'], 0.1 * (share @ np.array(means)), rtol=1e-5)
    np.testing.assert_allclose(stats['var'], 0.9 + 0.1 * (share @ np.array(variances)), rtol=1e-5)
    kept = layer.apply({'params': variables['params'], 'stats': stats}, x, train=False, weights=None)
    expected = (np.asarray(x) - stats['mean']) / np.sqrt(stats['var'] + 1e-5)
    np.testing.assert_allclose(jnp.asarray(kept), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('real', [9, 1])
def test_a_group_of_one_value_moves_no_running_statistics(real: int):
    """Groups of 4, the last with one real example: the running values stand in for its own, weighted by 1 of `real`."""
    x = np.random.default_rng(0).normal(size=(12, 3)) * 3 + 1
    layer, before = norms.BatchNorm(4, 'float32'), {'mean': jnp.full(3, 0.5), 'var': jnp.full(3, 2.0)}
    variables = {'params': {'scale': jnp.ones(3), 'bias': jnp.full(3, 0.25)}, 'stats': before}
    weights = jnp.asarray(np.arange(12) < real, jnp.float32)
    updated: Any
    out, updated = trained(layer)(variables, jnp.asarray(x, jnp.float32), weights)
    np.testing.assert_array_equal(jnp.asarray(out)[real - 1], 0.25)
    whole = [x[4 * g : 4 * g + 4] for g in range(real // 4)]
    for name, moment in (('mean', np.mean), ('var', np.var)):
        average = (sum(4 * moment(group, axis=0) for group in whole) + before[name]) / real
        np.testing.assert_allclose(updated['stats'][name], 0.9 * before[name] + 0.1 * average, rtol=1e-5)


def test_batch_norm_refuses_groups_of_one_value():
    """One example to a group: refused for features alone, allowed where positions give it a spread."""
    layer = norms.BatchNorm(1, 'float32')
    for shape, spread in (((4, 3), False), ((4, 1, 1, 3), False), ((4, 2, 1, 3), True)):
        x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
        variables = jax.jit(functools.partial(layer.init, train=False, weights=None))(jax.random.key(0), x)
        args = variables, x, jnp.ones(len(x))
        if spread:
            assert np.std(trained(layer)(*args)[0]) > 0.5
        else:
            with pytest.raises(ValueError, match=r'groups of 1 example.* at least 2'):
                trained(layer)(*args)


def test_batch_norm_refuses_a_broken_group():
    """Ten examples are no whole number of groups of four."""
    layer = norms.BatchNorm(4, 'float32')
    x = jnp.ones((10, 3))
    variables = layer.init(jax.random.key(0), x, train=False, weights=None)
    with pytest.raises(ValueError, match='not a whole number of ghost groups of 4'):
        layer.apply(variables, x, train=True, weights=None, mutable=['stats'])


def test_dropout_follows_the_example():
    """The mask of an example is the same alone and in a batch; the mean is kept; off in evaluation."""
    layer = layers.Dropout(0.25)
    x = jnp.ones((8, 1000))
    keys = jax.random.split(jax.random.key(3), 8)
    together = layer.apply({}, x, train=True, keys=keys)
    for i in range(8):
        alone = layer.apply({}, x[i : i + 1], train=True, keys=keys[i : i + 1])
        np.testing.assert_array_equal(alone[0], together[i])
    kept = np.asarray(together) > 0
    standard_error = np.sqrt(0.25 * 0.75 / kept.size)
    assert abs(kept.mean() - 0.75) < 3 * standard_error
    np.testing.assert_allclose(np.asarray(together)[kept], 1 / 0.75, rtol=1e-6)
    np.testing.assert_array_equal(layer.apply({}, x, train=False, keys=None), x)
    with pytest.raises(ValueError, match='key per example'):
        layer.apply({}, x, train=True, keys=None)


def test_cross_entropy_is_its_definition():
    """−Σ q log p in float64, with and without smoothing; padding of weight 0 counts nothing, even if not finite."""
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    for smoothing in (0.0, 0.2):
        q = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
        found = losses.cross_entropy(
            jnp.asarray(logits, jnp.float32), jnp.asarray(labels, jnp.int32), label_smoothing=smoothing
        )
        np.testing.assert_allclose(found, -(q * log_p).sum(1), rtol=1e-5)
    total = losses.weighted_sum(jnp.array([1.0, 2.0, jnp.nan]), jnp.array([1.0, 0.5, 0.0]))
    assert float(total) == 2.0


@pytest.mark.parametrize(
    ('name', 'kw', 'message'),
    [
        ('mlp', {'init': 'glorot'}, "unknown initializer 'glorot'; allowed: glorot_normal"),
        ('mlp', {'dropout': 1.0}, r'model.dropout=1.0: a probability in \[0, 1\)'),
        ('mlp', {'widths': (0,)}, r'model.widths=\(0,\)'),
        ('cnn', {'kernel_size': 0}, 'kernel_size=0'),
    ],
)
def test_bad_model_settings_are_refused(name: str, kw: dict[str, Any], message: str):
    """Each error names value and range."""
    with pytest.raises(ValueError, match=message):
        build(name, **kw)


def test_a_cnn_refuses_what_is_no_image():
    """The error says what would fit."""
    with pytest.raises(ValueError, match='needs images of at least 4×4'):
        models.init(build('cnn'), jax.random.key(0), (2,))


@pytest.mark.parametrize('shape', [(784, 1024), (1023, 512)])
def test_one_example_by_a_large_kernel_is_the_plain_product(shape: tuple[int, int]):
    """Value, both derivatives, forward and reverse, and the mapped product, against `lax.dot_general`."""
    draw = np.random.default_rng(0).standard_normal
    row, kernel, *moves = (draw(size, np.float32) for size in ((1, shape[0]), shape) * 2)
    dimensions = (((1,), (0,)), ((), ()))
    own = lambda x, k: jnp.sin(layers.product(x, k, dimensions)).sum()
    plain = lambda x, k: jnp.sin(x @ k).sum()
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)
    rows = np.stack([row, 2 * row])

    def of(f: Any, product: Any) -> Any:
        """Value, gradient, derivative along the moves, and of several rows, compiled."""
        every = lambda row, rows, kernel, moves: (
            product(row, kernel),
            jax.grad(f, (0, 1))(row, kernel),
            jax.jvp(f, (row, kernel), moves)[1],
            jax.vmap(lambda x: product(x, kernel))(rows),
        )
        return jax.jit(every)(row, rows, kernel, tuple(moves))

    jax.tree.map(close, of(own, lambda x, k: layers.product(x, k, dimensions)), of(plain, jnp.matmul))
