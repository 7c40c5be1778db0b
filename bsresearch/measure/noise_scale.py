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

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bsresearch.measure import Context, Measure, PyTree, layers, squared_norm


class Averages(NamedTuple):
    """Debiased exponential averages over the measurements so far, () each.

    gradient_square, trace: of |G|² and S, weights not yet divided out. weight: their sum. negative, count: estimates of
    |G|² below 0, and all.
    """

    gradient_square: Float[Array, '']
    trace: Float[Array, '']
    weight: Float[Array, '']
    negative: Float[Array, '']
    count: Float[Array, '']


def estimates(
    small: Float[Array, '*n'], big: Float[Array, '*n'], small_size: int, big_size: int
) -> tuple[Float[Array, '*n'], Float[Array, '*n']]:
    """(|G|², S) from mean squared norms of small-batch gradients and the squared norm of the big batch's."""
    gradient_square = (big_size * big - small_size * small) / (big_size - small_size)
    trace = (small - big) / (1 / small_size - 1 / big_size)
    return gradient_square, trace


def start(params: PyTree) -> Averages:
    """Before the first measurement."""
    del params
    return Averages(*(jnp.zeros((), jnp.float32) for _ in Averages._fields))


def keep_rate(half_life: float, field: str) -> float:
    """What an average keeps of itself at each measurement; raises ValueError, naming the field, for no half-life."""
    if not half_life > 0:
        raise ValueError(f'{field}={half_life}: must be positive, in measurements')
    return 0.5 ** (1 / half_life)


def take_in(
    state: Averages, keep: float, square: jax.Array, trace: jax.Array, counted: bool | jax.Array = True
) -> tuple[Averages, dict[str, jax.Array]]:
    """The averages with new estimates of |G|² and S, and the metrics; what is not `counted` leaves them as they are."""
    counted = jnp.asarray(counted, jnp.float32)
    rest = jnp.where(counted > 0, keep, 1.0)
    averaged = lambda old, new: rest * old + (1 - rest) * new.astype(jnp.float32)
    state = Averages(
        averaged(state.gradient_square, square),
        averaged(state.trace, trace),
        averaged(state.weight, jnp.ones(())),
        state.negative + counted * (square < 0),
        state.count + counted,
    )
    return state, {
        # The weights cancel in the ratio.
        'noise_scale': state.trace / state.gradient_square,
        'noise_gradient_square': square,
        'noise_trace': trace,
        'noise_gradient_square_average': state.gradient_square / state.weight,
        'noise_trace_average': state.trace / state.weight,
        'noise_negative_fraction': state.negative / state.count,
    }


def build(
    *,
    batch_size: int = 1024,
    small_batch_size: int = 32,
    half_life: float = 10.0,
    per_layer: bool = False,
    preconditioned: bool = False,
) -> Measure:
    """The measurement.

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
    keep = keep_rate(half_life, 'measure.noise_scale.half_life')

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
        state, metrics = take_in(state, keep, square, trace, small.sum() > 0 if preconditioned else True)
        if per_layer:
            for i, name in enumerate(layers(context.params)):
                metrics[f'noise_gradient_square/{name}'] = by_layer[0][i]
                metrics[f'noise_trace/{name}'] = by_layer[1][i]
        return state, metrics

    return Measure(
        init=start,
        update=update,
        stateless=False,
        batch_size=batch_size,
        unit=small_batch_size,
        preconditioned=preconditioned,
    )
