"""Gradient noise scale at θ_t: |G|², S = tr Σ and B_simple = S/|G|², from gradients at two batch sizes.

McCandlish, Kaplan et al. 2018 (arXiv:1812.06162), appendix A.1. A batch of B_big examples, drawn with replacement from
the training set, is cut into small ones of B_small. With the mean of |g_small|² over all of them, and without bias,
  |G|² = (B_big|g_big|² − B_small|g_small|²)/(B_big − B_small),   S = (|g_small|² − |g_big|²)/(1/B_small − 1/B_big).
|G|² is that of the training set's gradient; the population's is smaller by S/N. The ratio of one point is biased, so
numerator and denominator are averaged apart, debiased, and divided last. A negative estimate of |G|² is information: it
is recorded as it is. Training mode without augmentation and dropout: the noise is the sampling of examples alone.

Preconditioned, P·g stands for g, P the diagonal an optimizer's second moments give at θ_t, fixed in the measurement
(optim's `precondition`): the noise scale in the geometry the optimizer steps in. Before the first update there is no P:
the estimates are 0, the ratio NaN, and the averages do without it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bsresearch.measure import Context, Measure, PyTree, averages, layers, squared_norm
from bsresearch.measure.averages import Averages


def estimates(
    small: Float[Array, '*n'], big: Float[Array, '*n'], small_size: int, big_size: int
) -> tuple[Float[Array, '*n'], Float[Array, '*n']]:
    """(|G|², S) from mean squared norms of small-batch gradients and the squared norm of the big batch's."""
    gradient_square = (big_size * big - small_size * small) / (big_size - small_size)
    trace = (small - big) / (1 / small_size - 1 / big_size)
    return gradient_square, trace


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
            'least two'
        )
    decay = averages.decay(half_life, 'measure.noise_scale.half_life')

    def squares(gradient: PyTree) -> jax.Array:
        return jnp.stack([squared_norm(tree) for tree in layers(gradient).values()])

    def update(state: Averages, context: Context) -> tuple[Averages, dict[str, jax.Array]]:
        cut = lambda x: x.reshape(count, small_batch_size, *x.shape[1:])

        def add(total: tuple[PyTree, jax.Array], part: PyTree) -> tuple[tuple[PyTree, jax.Array], None]:
            _, gradient = context.gradient(context.params, part)
            if preconditioned:
                assert context.precondition is not None
                gradient = context.precondition(gradient)
            return jax.tree.map(jnp.add, total, (gradient, squares(gradient))), None

        zero = jax.tree.map(jnp.zeros_like, context.params)
        empty = (zero, jnp.zeros_like(squares(zero)))
        (gradient, small), _ = jax.lax.scan(add, empty, jax.tree.map(cut, context.batch))
        big = squares(jax.tree.map(lambda g: g / count, gradient))
        by_layer = estimates(small / count, big, small_batch_size, batch_size)
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
