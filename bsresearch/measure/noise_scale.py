"""Gradient noise scale at θ_t: |G|², S = tr Σ and B_simple = S/|G|², from gradients at two batch sizes.

McCandlish, Kaplan et al. 2018 (arXiv:1812.06162), appendix A.1. A batch of B_big examples, drawn with replacement from
the training set, is cut into small ones of B_small. With the mean of |g_small|² over all of them, and without bias,
  |G|² = (B_big|g_big|² − B_small|g_small|²)/(B_big − B_small),   S = (|g_small|² − |g_big|²)/(1/B_small − 1/B_big).
|G|² is that of the training set's gradient; the population's is smaller by S/N. The ratio of one point is biased, so
numerator and denominator are averaged apart, debiased, and divided last. A negative estimate of |G|² is information: it
is recorded as it is; B_simple is ∞ where their average is. Training mode without augmentation and dropout: the noise is
the sampling of examples alone.

Preconditioned, P·g stands for g, P the diagonal an optimizer's second moments give at θ_t, fixed in the measurement
(optim's `precondition`): the noise scale in the geometry the optimizer steps in. Before the first update there is no P:
the estimates are 0, the ratio NaN, and the averages do without it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bsresearch.measure import Context, Measure, PyTree, averages, dot, layers, needed, squared_norm
from bsresearch.measure.averages import Averages

# Of JAX or NumPy, or a float.
Numbers = Any


def estimates(small: Numbers, big: Numbers, small_size: int, big_size: int) -> tuple[Numbers, Numbers]:
    """(|G|², S) from mean squared norms of small-batch gradients and the squared norm of the big batch's."""
    gradient_square = (big_size * big - small_size * small) / (big_size - small_size)
    trace = (small - big) / (1 / small_size - 1 / big_size)
    return gradient_square, trace


class SmallBatches(NamedTuple):
    """Of a batch that is cut into k small ones. gradient: g of all, a tree. squares: (k, layers) |g_small|² of each."""

    gradient: PyTree
    squares: Float[Array, 'k layers']


def small_batches(context: Context, count: int, *, preconditioned: bool = False) -> SmallBatches:
    """Gradients of the `count` small batches, one after another: two of them exist at a time."""

    def add(total: PyTree, part: PyTree) -> tuple[PyTree, jax.Array]:
        gradient = _gradient(context, part, preconditioned)
        return jax.tree.map(jnp.add, total, gradient), _squares(gradient)

    zero = jax.tree.map(jnp.zeros_like, context.params)
    total, squares = jax.lax.scan(add, zero, _cut(context.batch, count))
    return SmallBatches(jax.tree.map(lambda g: g / count, total), squares)


def along(context: Context, direction: PyTree, count: int) -> Float[Array, ' k']:
    """g_smallᵀd of each of the `count` small batches, for a tree d like the weights."""
    return jax.lax.map(lambda part: dot(_gradient(context, part, False), direction), _cut(context.batch, count))


def pseudo_values(
    squares: Float[np.ndarray, ' k'], dots: Float[np.ndarray, ' k'], square: float, small_size: int
) -> tuple[Float[np.ndarray, ' k'], Float[np.ndarray, ' k']]:
    """The jackknife's pseudo-values of |G|² and of S, k·θ − (k − 1)·θ₋ᵢ; k ≥ 3. Their means are the estimates.

    Args:
      squares, dots: |g_i|² and g_iᵀg of each small batch. square: |g|².
    """
    k = len(squares)
    # g without small batch i is (k·g − g_i)/(k − 1).
    small, big = (squares.sum() - squares) / (k - 1), (k**2 * square - 2 * k * dots + squares) / (k - 1) ** 2
    without = estimates(small, big, small_size, small_size * (k - 1))
    whole = estimates(squares.mean(), square, small_size, small_size * k)
    gradient_square, trace = (k * all_of - (k - 1) * rest for all_of, rest in zip(whole, without, strict=True))
    return gradient_square, trace


def _gradient(context: Context, part: PyTree, preconditioned: bool) -> PyTree:
    _, gradient = context.gradient(context.params, part)
    return needed(context, 'precondition', 'noise_scale.preconditioned')(gradient) if preconditioned else gradient


def _cut(batch: PyTree, count: int) -> PyTree:
    return jax.tree.map(lambda x: x.reshape(count, len(x) // count, *x.shape[1:]), batch)


def _squares(gradient: PyTree) -> Float[Array, ' layers']:
    return jnp.stack([squared_norm(tree) for tree in layers(gradient).values()])


def build(
    *,
    batch_size: int = 1024,
    small_batch_size: int = 32,
    half_life: float = 10.0,
    per_layer: bool = False,
    preconditioned: bool = False,
) -> Measure:
    """The measurement: `noise_scale`, the ratio of the averages, and what it is made of, `noise_…`.

    Args:
      batch_size: B_big, examples per measurement. small_batch_size: B_small, which divides it.
      half_life: of the averages, in measurements.
      per_layer: also |G|² and S of each top-level module; they add up to the whole network's.
      preconditioned: of P·g, for optimizers that have a P.
    """
    count, rest = divmod(batch_size, max(small_batch_size, 1))
    if small_batch_size < 1 or rest or count < 2:
        raise ValueError(
            f'measure.noise_scale.small_batch_size={small_batch_size}: must divide batch_size={batch_size} into at '
            'least two; set batch_size to a multiple of it, or another small_batch_size'
        )
    decay = averages.decay(half_life, 'measure.noise_scale.half_life')

    def update(state: Averages, context: Context) -> tuple[Averages, dict[str, jax.Array]]:
        parts = small_batches(context, count, preconditioned=preconditioned)
        small, big = parts.squares.mean(0), _squares(parts.gradient)
        by_layer = estimates(small, big, small_batch_size, batch_size)
        square, trace = (x.sum() for x in by_layer)
        state, metrics = averages.take_in(
            state,
            decay,
            square,
            trace,
            ratio='noise_scale',
            prefix='noise',
            counted=small.sum() > 0 if preconditioned else True,
        )
        if per_layer:
            for i, name in enumerate(layers(context.params)):
                metrics[f'noise_gradient_square/{name}'] = by_layer[0][i]
                metrics[f'noise_trace/{name}'] = by_layer[1][i]
        return state, metrics

    return Measure(
        init=averages.start,
        update=update,
        stateless=False,
        batch_size=batch_size,
        unit=small_batch_size,
        preconditioned=preconditioned,
    )
