"""Moments of a batch's individual gradients g_i = ∇l_i(θ), from one pass over the batch, a chunk of it at a time.

A chunk's gradients exist together and are gone after it: memory is that of a few gradients, whatever the batch.
Coordinate-wise variances are sums of squared deviations, merged chunk by chunk (Chan, Golub & LeVeque 1983, The
American Statistician 37), never mean(g²) − mean(g)², which cancels. The gradient of one example is that of a batch of
one: layers that couple examples (batch norm in training mode) have none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bsresearch.measure import PyTree, layers, squared_norm

Losses = Callable[[PyTree, Any], jax.Array]


class Moments(NamedTuple):
    """Of the gradients of n examples at θ.

    count: () n. loss: () mean loss.
    mean: g = (1/n) Σ_i g_i, a tree like the weights.
    deviations: Σ_i (g_i − g)² per coordinate, a tree like the weights.
    square_norms: |g_i|² of each top-level layer, (n,) each.
    dots: (n,) g_iᵀg.
    """

    count: Float[Array, '']
    loss: Float[Array, '']
    mean: PyTree
    deviations: PyTree
    square_norms: dict[str, Float[Array, 'n']]
    dots: Float[Array, 'n']


class Running(NamedTuple):
    """Of the examples so far. count: (). mean, deviations: as in Moments."""

    count: Float[Array, '']
    mean: PyTree
    deviations: PyTree


def slopes(losses: Losses, params: PyTree, direction: PyTree, batch: Any) -> tuple[jax.Array, jax.Array]:
    """(l_i, g_iᵀd) of every example, (n,) each, from one forward pass: no gradient is formed."""
    return jax.jvp(lambda p: losses(p, batch), (params,), (direction,))


def individual_gradients(losses: Losses, params: PyTree, batch: Any) -> PyTree:
    """g_i of every example, all at once: a tree of (n, *shape)."""
    one = lambda example: jax.grad(lambda p: losses(p, jax.tree.map(lambda x: x[None], example)).sum())(params)
    return jax.vmap(one)(batch)


def _count(params: PyTree, size: int) -> Float[Array, '']:
    """A number of examples in the weights' precision."""
    return jnp.full((), size, jnp.result_type(*jax.tree.leaves(params)))


def _merge(a: Running, b: Running) -> Running:
    """Both parts' examples together."""
    count = a.count + b.count
    share, between = b.count / count, a.count * b.count / count
    apart = jax.tree.map(jnp.subtract, b.mean, a.mean)
    mean = jax.tree.map(lambda x, d: x + d * share.astype(x.dtype), a.mean, apart)
    add = lambda p, q, d: p + q + d**2 * between.astype(d.dtype)
    return Running(count, mean, jax.tree.map(add, a.deviations, b.deviations, apart))


def _of_chunk(losses: Losses, params: PyTree, chunk: Any) -> tuple[Running, dict[str, jax.Array]]:
    """A chunk's moments, and |g_i|² of each layer."""
    gradients = individual_gradients(losses, params, chunk)
    mean = jax.tree.map(lambda g: g.mean(0), gradients)
    deviations = jax.tree.map(lambda g, m: ((g - m[None]) ** 2).sum(0), gradients, mean)
    squares = {name: jax.vmap(squared_norm)(tree) for name, tree in layers(gradients).items()}
    return Running(_count(params, len(jax.tree.leaves(chunk)[0])), mean, deviations), squares


def moments(losses: Losses, params: PyTree, batch: Any, *, chunk: int = 16) -> Moments:
    """The moments of a batch.

    Args:
      losses: (params, batch) → (n,) losses, each a function of its example alone.
      params: θ. batch: a tree of (n, …).
      chunk: gradients in memory at once; the last chunk takes what is left.
    """
    size = len(jax.tree.leaves(batch)[0])
    whole, left = divmod(size, chunk)
    zero = jax.tree.map(jnp.zeros_like, params)
    running = Running(_count(params, 0), zero, zero)
    squares = {name: [] for name in layers(params)}

    def add(running: Running, part: Any) -> tuple[Running, dict[str, jax.Array]]:
        own, found = _of_chunk(losses, params, part)
        return _merge(running, own), found

    if whole:
        cut = lambda x: x[: whole * chunk].reshape(whole, chunk, *x.shape[1:])
        running, found = jax.lax.scan(add, running, jax.tree.map(cut, batch))
        squares = {name: [*squares[name], found[name].reshape(-1)] for name in squares}
    if left:
        running, found = add(running, jax.tree.map(lambda x: x[whole * chunk :], batch))
        squares = {name: [*squares[name], found[name]] for name in squares}
    values, dots = slopes(losses, params, running.mean, batch)
    together = {name: jnp.concatenate(parts) for name, parts in squares.items()}
    return Moments(running.count, values.mean(), running.mean, running.deviations, together, dots)


def total(tree: PyTree) -> Float[Array, '']:
    """Σ over all coordinates of all leaves."""
    return sum((x.sum() for x in jax.tree.leaves(tree)), start=jnp.zeros((), jnp.float32))


def second_moment(m: Moments) -> PyTree:
    """(1/n) Σ_i g_ik² per coordinate: a tree like the weights."""
    return jax.tree.map(lambda d, g: d / m.count.astype(g.dtype) + g**2, m.deviations, m.mean)
