"""Networks of a user's own: what the engine puts into them, against the networks that have it, and brute force."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import ROOT

from bsresearch import models

USERS = f'{ROOT}/tests/users_parts.py'
SHAPE = (6, 6, 2)
NORMALIZED = ('normalized', 'nnx_normalized')


def network(name: str, **settings: Any) -> tuple[Any, Any, Any]:
    """A network for 10 classes, its weights and statistics."""
    module = models.builder(f'{USERS}:{name}')(10, **settings)
    return module, *models.init(module, jax.random.key(0), SHAPE)


def examples(count: int = 6) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (count, *SHAPE))


def keys(count: int = 6) -> jax.Array:
    return jax.random.split(jax.random.key(2), count)


def of_kind(kind: str, kernels: Any) -> Any:
    """The weights of the built-in network of one layer as one of another kind nests them."""
    first, last = kernels['dense_0'], kernels['output']
    if kind == 'nnx_mlp':
        return {'layers': {'0': first, '1': last}}
    return [(layer['kernel'], layer['bias']) for layer in (first, last)] if kind == 'pair' else kernels


@pytest.mark.parametrize('kind', ['mlp', 'nnx_mlp', 'pair'])
def test_one_network_is_one_function_however_it_is_written(kind: str):
    """Against the built-in one, from the same weights: outputs and the gradient of their squares."""
    plain = models.builder('mlp')(10, widths=(16,), init='glorot_normal')
    params, stats = models.init(plain, jax.random.key(0), SHAPE)
    own, like, _ = network(kind)
    assert jax.tree.map(jnp.shape, like) == jax.tree.map(jnp.shape, of_kind(kind, params))

    def squares(module: Any, weights: Any) -> jax.Array:
        return (models.apply(module, weights, stats, examples(), train=True)[0] ** 2).sum()

    value, gradient = jax.value_and_grad(squares, argnums=1)(plain, params)
    own_value, own_gradient = jax.value_and_grad(squares, argnums=1)(own, of_kind(kind, params))
    np.testing.assert_allclose(own_value, value, rtol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), own_gradient, of_kind(kind, gradient)
    )


@pytest.mark.parametrize('name', NORMALIZED)
def test_batch_norm_does_not_count_padding(name: str):
    """Brute force: the batch without its padding. One update of the statistics; none in evaluation."""
    module, params, stats = network(name)
    x, weights = examples(), jnp.array([1.0, 1, 1, 1, 0, 0])
    apply = lambda x, **kw: models.apply(module, params, stats, x, train=True, **kw)
    padded, after = apply(x.at[4:].mul(100.0), weights=weights)
    whole, expected = apply(x[:4])
    np.testing.assert_allclose(padded[:4], whole, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), after, expected)
    assert all(bool((a != b).any()) for a, b in zip(*map(jax.tree.leaves, (after, stats)), strict=True))
    nothing, _ = apply(x, weights=jnp.zeros(6))
    assert bool(jnp.isfinite(nothing).all())
    _, kept = models.apply(module, params, after, x, train=False)
    jax.tree.map(np.testing.assert_array_equal, kept, after)


@pytest.mark.parametrize('name', NORMALIZED)
def test_ghost_groups_are_normalized_apart(name: str):
    """Brute force: each group by itself; the statistics are one update from all, a group by its real examples."""
    module, params, stats = network(name)
    x, weights = examples(), jnp.array([1.0, 1, 1, 1, 1, 0])
    apply = lambda module, rows: models.apply(module, params, stats, x[rows], train=True, weights=weights[rows])
    outputs, after = apply(models.in_groups(module, 2, SHAPE), slice(None))
    apart = [apply(module, slice(i, i + 2)) for i in (0, 2, 4)]
    np.testing.assert_allclose(outputs, jnp.concatenate([y for y, _ in apart]), rtol=1e-5, atol=1e-6)
    expected = jax.tree.map(lambda a, b, c: (2 * a + 2 * b + c) / 5, *(s for _, s in apart))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), after, expected)
    with pytest.raises(ValueError, match='ghost groups of 4'):
        apply(models.in_groups(module, 4, SHAPE), slice(None))


@pytest.mark.parametrize('name', NORMALIZED)
def test_a_dropout_mask_follows_its_example(name: str):
    """Invariance: the same example has the same mask in another place; `quiet` networks have none."""
    module, params, stats = network(name, dropout=0.5)
    assert models.draws(module, {}, SHAPE)
    assert not models.draws(network(name)[0], {}, SHAPE)
    # All examples are one, so that batch norm does the same to each and only the masks differ.
    x = jnp.broadcast_to(examples(1), (6, *SHAPE))
    apply = lambda module, keys: models.apply(module, params, stats, x, train=True, keys=keys)[0]
    outputs, order = apply(module, keys()), jnp.array([3, 0, 5, 1, 4, 2])
    np.testing.assert_allclose(apply(module, keys()[order]), outputs[order], rtol=1e-6)
    assert len(np.unique(np.asarray(outputs[:, 0]).round(6))) > 3
    quiet = apply(module.clone(dropout=0.0), None)
    np.testing.assert_allclose(quiet, jnp.broadcast_to(quiet[:1], quiet.shape), rtol=1e-6)
    many = jnp.broadcast_to(examples(1), (4000, *SHAPE))
    mean = models.apply(module, params, stats, many, train=True, keys=keys(4000))[0].mean(0)
    np.testing.assert_allclose(mean, quiet[0], atol=0.1 * float(jnp.abs(quiet[0]).max()))


@pytest.mark.parametrize(
    ('name', 'part'),
    [
        ('wrong_outputs', 'not (2, 10)'),
        ('wrong_shape', 'users_parts.py, line'),
        ('no_network', 'returned int'),
        ('mean_of_the_batch', 'follow the others of its batch'),
        ('noisy', "noise of the stream 'default'"),
        ('scanned', 'lies in a scan'),
        ('no_default', 'width needs a default'),
        ('settings_first', 'settings_first(num_outputs, *, setting=default, …)'),
        ('untold', 'nothing to tell training from evaluation'),
        ('Mlp', 'is a class'),
        ('nlp', "did you mean 'mlp'"),
    ],
)
def test_a_network_that_does_not_fit_is_one_line(name: str, part: str):
    with pytest.raises(ValueError, match=r'^model ') as told:
        network(name)
    assert part in str(told.value)
    assert '\n' not in str(told.value)
