"""Exponential averages of a ratio's numerator and denominator, debiased and kept apart, to be divided last.

A ratio of one point's estimates is biased, even where both are not: of the ratio of means the bias falls with the
number of measurements. An average of the denominator below 0 gives no batch size: the ratio is then ∞, larger than can
be told, and the averages say by how much. With decay d an average is Σ_k d^(n−k)(1 − d)x_k divided by the weights' sum,
1 − dⁿ (Adam's debiasing; Kingma & Ba 2015, arXiv:1412.6980, section 3).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bsresearch.measure import PyTree
from bsresearch.optim import moments


class Averages(NamedTuple):
    """Over the measurements so far, () each, the weights not yet divided out.

    gradient_square: of the denominator, |G|² or GᵀHG. trace: of the numerator, tr Σ or tr(HΣ). weight: sum of the
    weights. negative, count: estimates of the denominator below 0, and all.
    """

    gradient_square: Float[Array, '']
    trace: Float[Array, '']
    weight: Float[Array, '']
    negative: Float[Array, '']
    count: Float[Array, '']


def start(params: PyTree) -> Averages:
    """Before the first measurement: a Measure's `init`."""
    del params
    return Averages(*(jnp.zeros((), jnp.float32) for _ in Averages._fields))


def decay(half_life: float, field: str) -> float:
    """Factor on a weight at each measurement, ½ after `half_life` of them.

    Raises:
      ValueError: a half-life that is not positive; it names the config field.
    """
    if not half_life > 0:
        raise ValueError(f'{field}={half_life}: must be positive, in measurements')
    return 0.5 ** (1 / half_life)


def take_in(
    state: Averages,
    decay: float,
    square: Float[Array, ''],
    trace: Float[Array, ''],
    *,
    ratio: str,
    prefix: str,
    denominator: str = 'gradient_square',
    counted: bool | jax.Array = True,
) -> tuple[Averages, dict[str, jax.Array]]:
    """The averages with new estimates, and the metrics.

    Args:
      square, trace: estimates of the denominator and the numerator.
      ratio: name of the metric trace/square. prefix: of all others. denominator: what `square` is called in them.
      counted: () whether the estimates count; if not, the averages stay as they are.
    """
    counted = jnp.asarray(counted, jnp.float32)
    kept = jnp.where(counted > 0, jnp.float32(decay), jnp.float32(1))
    share = jnp.where(counted > 0, jnp.float32(1 - decay), jnp.float32(0))
    averaged = lambda old, new: moments.average(old, new.astype(jnp.float32), kept, share)
    state = Averages(
        averaged(state.gradient_square, square),
        averaged(state.trace, trace),
        averaged(state.weight, jnp.ones(())),
        state.negative + counted * (square < 0),
        state.count + counted,
    )
    return state, {
        # The weights cancel in the ratio.
        ratio: jnp.where(state.gradient_square < 0, jnp.inf, state.trace / state.gradient_square),
        f'{prefix}_{denominator}': square,
        f'{prefix}_trace': trace,
        f'{prefix}_{denominator}_average': state.gradient_square / state.weight,
        f'{prefix}_trace_average': state.trace / state.weight,
        f'{prefix}_negative_fraction': state.negative / state.count,
    }
