"""Moments of a batch's individual gradients g_i = ∇l_i(θ): two passes, the second one example after another.

The batch's gradient g comes first, so that the variances are sums of squared deviations from it, never mean(g²) −
mean(g)², which cancels. One gradient exists at a time: memory is that of three, whatever the batch, and on a CPU, where
it stays in cache, ten times as fast as 16 at once. The gradient of one example is that of a batch of one: layers that
couple examples (batch norm in training mode) have none.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bsresearch.measure import PyTree, layers

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


def slopes(losses: Losses, params: PyTree, direction: PyTree, batch: Any) -> tuple[jax.Array, jax.Array]:
    """(l_i, g_iᵀd) of every example, (n,) each, from one forward pass: no gradient is formed."""
    return jax.jvp(lambda p: losses(p, batch), (params,), (direction,))


def moments(losses: Losses, params: PyTree, batch: Any) -> Moments:
    """The moments of a batch.

    Args:
      losses: (params, batch) → (n,) losses, each a function of its example alone.
      params: θ. batch: a tree of (n, …).
    """
    mean = jax.grad(lambda p: losses(p, batch).mean())(params)
    squares = lambda tree: total(jax.tree.map(lambda x: x * x, tree))

    def add(deviations: PyTree, example: Any) -> tuple[PyTree, dict[str, jax.Array]]:
        alone = jax.tree.map(lambda x: x[None], example)
        gradient = jax.grad(lambda p: losses(p, alone).sum())(params)
        deviations = jax.tree.map(lambda d, g, m: d + (g - m) ** 2, deviations, gradient, mean)
        return deviations, {name: squares(tree) for name, tree in layers(gradient).items()}

    deviations, square_norms = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, params), batch)
    values, dots = slopes(losses, params, mean, batch)
    count = jnp.full((), len(values), values.dtype)
    return Moments(count, values.mean(), mean, deviations, square_norms, dots)


def total(tree: PyTree) -> Float[Array, '']:
    """Σ over all coordinates of all leaves."""
    return sum((x.sum() for x in jax.tree.leaves(tree)), start=jnp.zeros((), jnp.float32))
