"""Gradient norms by the dense layers' identity against the gradients themselves."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from flax import linen as nn

from bsresearch.measure import dense_norms, layers, moments, squared_norm
from bsresearch.train import program


def network(model: dict[str, Any], dtype: str = 'float32', size: int = 24) -> Any:
    """(losses, θ_0, batch) of a model on digits."""
    data, task, state = toy.network(model=model, dtype=dtype)
    batch = toy.batch(data, slice(size))
    return (lambda params, part: program.losses_of(task, 'batch', state.stats, params, part)), state.params, batch


@pytest.mark.parametrize(
    ('model', 'dtype', 'rtol'),
    [
        ({'name': 'linear'}, 'float64', 1e-12),
        ({'name': 'mlp', 'widths': (16, 8)}, 'float64', 1e-12),
        ({'name': 'mlp', 'widths': (16, 8)}, 'float32', 1e-5),
    ],
)
def test_examples_norms_are_those_of_their_gradients(model: dict[str, Any], dtype: str, rtol: float):
    """Brute force: per layer and example, against `moments`, compiled."""
    with jax.enable_x64(dtype == 'float64'):
        losses, params, batch = network(model, dtype)
        found = jax.jit(lambda p, b: dense_norms.example_squares(dense_norms.of_losses(losses, p, b)))(params, batch)
        expected = jax.jit(lambda p, b: moments.moments(losses, p, b).square_norms)(params, batch)
    assert list(expected) == sorted(found)
    for layer, squares in expected.items():
        # An example that is fitted well has a small δ = p − 1, of few digits.
        np.testing.assert_allclose(found[layer], squares, rtol=rtol, atol=rtol * np.asarray(squares).max() / 100)


@pytest.mark.parametrize('size', [1, 24])
def test_a_batch_norm_is_that_of_the_gradient_of_the_sum(size: int):
    """Brute force: by the matrices of inner products, in float64; at B = 1 it is the example's."""
    with jax.enable_x64(True):
        losses, params, batch = network({'name': 'mlp', 'widths': (16, 8)}, 'float64', size)

        def squares(params: Any) -> Any:
            seen = dense_norms.of_losses(losses, params, batch)
            gradient = jax.grad(lambda p: losses(p, batch).sum())(params)
            return dense_norms.batch_square(seen), dense_norms.example_squares(seen), squared_norm(gradient)

        found, alone, expected = jax.device_get(jax.jit(squares)(params))
        assert found == pytest.approx(expected, rel=1e-12)
        if size == 1:
            assert sum(x[0] for x in alone.values()) == pytest.approx(expected, rel=1e-12)


def test_it_rides_on_the_gradient_of_a_mean_loss():
    """Brute force: as an update would use it, δ and the gradient from one call; the gradient's bits are its own."""
    losses, params, batch = network({'name': 'mlp', 'widths': (16,)})
    mean = lambda p: losses(p, batch).mean()
    gradient = jax.jit(jax.grad(mean))(params)

    def both(p: Any, b: Any) -> Any:
        offsets = dense_norms.zero_offsets(lambda: losses(p, b), p)
        value = lambda p, offsets: dense_norms.tapped(lambda: losses(p, b).mean(), offsets)
        (own, errors), inputs = jax.grad(value, argnums=(0, 1), has_aux=True)(p, offsets)
        return own, dense_norms.batch_square(dense_norms.layers(p, inputs, errors))

    own, square = jax.jit(both)(params, batch)
    assert float(square) == pytest.approx(float(squared_norm(gradient)), rel=1e-5)
    toy.assert_equal(own, gradient)
    several = jax.jit(jax.vmap(both, in_axes=(0, None)))(jax.tree.map(lambda x: jnp.stack([x, 2 * x]), params), batch)
    assert float(several[1][0]) == pytest.approx(float(square), rel=1e-5)


class Net(nn.Module):
    """What the identity does not hold for."""

    kind: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.kind == 'twice':
            layer = nn.Dense(x.shape[-1], name='shared')
            return layer(layer(x)).sum(-1)
        if self.kind == 'scale':
            return nn.LayerNorm(name='norm')(nn.Dense(4, use_bias=False, name='dense')(x)).sum(-1)
        if self.kind == 'bare':
            return nn.Dense(1, use_bias=False, name='dense')(x).sum(-1) ** 2
        return nn.Dense(2, name='wide')(jnp.stack([x, x], 1)).sum((1, 2))


def run_net(kind: str) -> Any:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
    params = jax.jit(Net(kind).init)(jax.random.key(1), x)['params']
    losses = lambda p, x: Net(kind).apply({'params': p}, x)
    return losses, params, x


def test_a_layer_without_a_bias_has_no_ones():
    losses, params, x = run_net('bare')
    found = jax.jit(lambda p, x: dense_norms.example_squares(dense_norms.of_losses(losses, p, x)))(params, x)
    expected = jax.jit(lambda p, x: moments.moments(losses, p, x).square_norms['dense'])(params, x)
    np.testing.assert_allclose(found['dense'], expected, rtol=1e-5)
    assert layers(params).keys() == found.keys()


@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        ('twice', 'the dense layer shared is used more than once'),
        ('scale', 'norm/bias, norm/scale: no weights of dense layers'),
        ('wide', r'the dense layer wide has inputs of shape \(5, 2, 3\), not \(B, features\)'),
    ],
)
def test_other_layers_are_refused(kind: str, message: str):
    losses, params, x = run_net(kind)
    with pytest.raises(ValueError, match=message):
        dense_norms.of_losses(losses, params, x)


def test_convolutions_and_batch_norm_are_refused():
    for model, message in (
        ({'name': 'cnn', 'widths': (3,), 'dense_width': 8}, 'conv_0/bias, conv_0/kernel: no weights of dense layers'),
        ({'name': 'mlp', 'widths': (8,), 'batch_norm': True}, 'norm_0/bias, norm_0/scale: no weights'),
    ):
        with pytest.raises(ValueError, match=message):
            dense_norms.of_losses(*network(model))
