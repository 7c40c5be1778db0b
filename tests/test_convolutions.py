"""Convolutions as slices and one product: against XLA's own, values and derivatives, wherever they stand."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from bsresearch.models import convolutions

LAYOUTS = {0: ('NC', 'IO', 'NC'), 1: ('NWC', 'WIO', 'NWC'), 2: ('NHWC', 'HWIO', 'NHWC'), 3: ('NDHWC', 'DHWIO', 'NDHWC')}
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    'plain': ((2, 7, 6, 3), (3, 3, 3, 4), {}),
    'even kernel': ((2, 7, 6, 3), (4, 4, 3, 4), {}),
    'even kernel, valid': ((2, 7, 6, 3), (2, 4, 3, 4), {'padding': 'VALID'}),
    'strides': ((2, 7, 6, 3), (3, 3, 3, 4), {'window_strides': (2, 3)}),
    'a point with stride': ((2, 7, 6, 3), (1, 1, 3, 4), {'window_strides': (2, 2), 'padding': 'VALID'}),
    'dilation': ((2, 9, 8, 3), (3, 2, 3, 4), {'rhs_dilation': (2, 3), 'padding': ((1, 2), (0, 3))}),
    'rows after, dilation': ((2, 9, 8, 8), (3, 2, 8, 4), {'rhs_dilation': (2, 3), 'padding': ((1, 2), (0, 3))}),
    'rows after, cut': ((2, 9, 8, 8), (3, 3, 8, 4), {'window_strides': (1, 2), 'padding': ((-1, 0), (0, -2))}),
    'rows after, wider': ((2, 3, 4, 8), (2, 3, 8, 4), {'padding': ((2, 3), (1, 1))}),
    'transposed': ((2, 4, 5, 3), (3, 3, 3, 4), {'lhs_dilation': (2, 3), 'padding': ((1, 2), (2, 1))}),
    'cut': ((2, 9, 8, 3), (3, 3, 3, 4), {'padding': ((-1, 0), (0, -2))}),
    'groups': ((2, 7, 6, 6), (3, 3, 3, 4), {'feature_group_count': 2}),
    'depthwise': ((2, 7, 6, 3), (3, 3, 1, 6), {'feature_group_count': 3}),
    'one axis': ((2, 9, 3), (4, 3, 5), {'window_strides': (2,)}),
    'three axes': ((2, 5, 4, 6, 2), (2, 3, 3, 2, 3), {'window_strides': (1, 2, 1)}),
    'no axis': ((2, 3), (3, 4), {}),
}  # fmt: skip


def loss(x_shape: tuple[int, ...], given: dict[str, Any]) -> Callable[[jax.Array, jax.Array], jax.Array]:
    axes = len(x_shape) - 2
    settings = {'window_strides': (1,) * axes, 'padding': 'SAME', **given}

    def of(x: jax.Array, k: jax.Array) -> jax.Array:
        y = lax.conv_general_dilated(x, k, dimension_numbers=LAYOUTS[axes], **settings)
        return jnp.sin(y + jnp.arange(y.size).reshape(y.shape)).sum()

    return of


def arrays(x_shape: tuple[int, ...], k_shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    generator = np.random.default_rng(0)
    x, k = (jnp.asarray(generator.standard_normal(shape), jnp.float32) for shape in (x_shape, k_shape))
    return x, k


def same(one: Any, other: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4), one, other)


@pytest.mark.parametrize('case', CASES)
def test_each_kind_is_xlas_own(case: str):
    """Independent library: value and both gradients; and what is compiled has no convolution."""
    x_shape, k_shape, given = CASES[case]
    function, inputs = loss(x_shape, given), arrays(x_shape, k_shape)
    own = jax.jit(jax.value_and_grad(function, (0, 1)))
    ours = jax.jit(jax.value_and_grad(convolutions.fast(function), (0, 1)))
    same(ours(*inputs), own(*inputs))
    assert ' convolution(' not in (ours.lower(*inputs).compile().as_text() or '')


@pytest.mark.parametrize('case', CASES)
def test_a_batch_that_leaves_the_cache_goes_in_parts(case: str, monkeypatch: pytest.MonkeyPatch):
    """Seven examples as three parts of two and one more."""
    x_shape, k_shape, given = CASES[case]
    function, inputs = loss(x_shape, given), arrays((7, *x_shape[1:]), k_shape)
    own = jax.jit(jax.value_and_grad(function, (0, 1)))
    monkeypatch.setattr(convolutions, 'CACHE', 2 * convolutions.count(jax.make_jaxpr(function)(*inputs)).patches)
    ours = jax.jit(jax.value_and_grad(convolutions.fast(function), (0, 1)))
    assert ours.lower(*inputs).as_text().count('stablehlo.while') >= 2
    same(ours(*inputs), own(*inputs))


def test_any_order_of_axes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(convolutions, 'CACHE', 1)
    function = lambda x, k: lax.conv_general_dilated(x, k, (1, 2), 'SAME', dimension_numbers=('CHNW', 'OWIH', 'WCNH'))
    x, k = arrays((8, 7, 2, 6), (4, 3, 8, 2))
    same(jax.jit(convolutions.fast(function))(x, k), function(x, k))


def in_a_loop(function: Callable[..., jax.Array], x: jax.Array, k: jax.Array) -> jax.Array:
    return lax.scan(lambda c, _: (c + 0.1 * function(x, k + c), None), jnp.float32(0), length=3)[0]


def under_a_condition(function: Callable[..., jax.Array], x: jax.Array, k: jax.Array) -> jax.Array:
    return lax.cond(x.sum() > 1e9, lambda: jnp.float32(0), lambda: function(x, k))


def computed_again(function: Callable[..., jax.Array], x: jax.Array, k: jax.Array) -> jax.Array:
    return jax.checkpoint(function)(x, k)


def compiled_inside(function: Callable[..., jax.Array], x: jax.Array, k: jax.Array) -> jax.Array:
    return jax.jit(jax.nn.relu)(jax.jit(function)(x, k))


def of_each_row(function: Callable[..., jax.Array], x: jax.Array, k: jax.Array) -> jax.Array:
    return jax.vmap(lambda row: function(row[None], k))(x).sum()


@pytest.mark.parametrize('place', [in_a_loop, under_a_condition, computed_again, compiled_inside, of_each_row])
def test_convolutions_are_found_wherever_they_stand(place: Callable[..., jax.Array]):
    x_shape, k_shape, given = CASES['strides']
    function = functools.partial(place, loss(x_shape, given))
    inputs = arrays(x_shape, k_shape)
    ours = jax.jit(jax.value_and_grad(convolutions.fast(function), (0, 1)))
    same(ours(*inputs), jax.jit(jax.value_and_grad(function, (0, 1)))(*inputs))
    assert ' convolution(' not in (ours.lower(*inputs).compile().as_text() or '')


@jax.custom_jvp
def halved(x: jax.Array, k: jax.Array) -> jax.Array:
    return 0.5 * loss(CASES['plain'][0], {})(x, k)


halved.defjvp(lambda primals, tangents: (halved(*primals), tangents[0].sum()))


def test_what_stays_is_counted():
    """One in a loop, one beside it, and one whose derivative is its author's."""
    x_shape, k_shape, given = CASES['plain']
    function = loss(x_shape, given)
    x, k = arrays(x_shape, k_shape)
    of_three = lambda x, k: in_a_loop(function, x, k) + function(x, k) + halved(x, k)
    counted = convolutions.count(jax.make_jaxpr(of_three)(x, k))
    assert counted == (2, 1, 9 * 3 * 7 * 6 * 4)
    assert counted.in_cache == 1024


@pytest.mark.parametrize(
    ('case', 'numbers', 'places'), [('plain', 9 * 3, 7 * 6), ('rows after, cut', 3 * 8 + 3 * 4, 6 * 2)]
)
def test_rows_are_summed_after_the_product_where_fewer_numbers_are_made(case: str, numbers: int, places: int):
    """Closed form: what goes into a product for a place of the output, and what comes out if that is summed."""
    x_shape, k_shape, given = CASES[case]
    counted = convolutions.count(jax.make_jaxpr(loss(x_shape, given))(*arrays(x_shape, k_shape)))
    assert counted.patches == 4 * numbers * places


def test_a_group_over_replicas_is_each_of_them():
    """`vmap` of the rewritten function over weights, as replicas are mapped."""
    x_shape, k_shape, given = CASES['plain']
    function = loss(x_shape, given)
    x, k = arrays(x_shape, k_shape)
    kernels = jnp.stack([k, 2 * k])
    mapped = jax.jit(jax.vmap(jax.grad(convolutions.fast(function), 1), (None, 0)))(x, kernels)
    alone = jax.jit(jax.grad(function, 1))
    same(mapped, np.stack([alone(x, kernel) for kernel in kernels]))
