"""Gradient noise scale weighted by curvature at θ_t: B_noise = tr(HΣ)/(GᵀHG), H the Hessian, Σ an example's covariance.

McCandlish, Kaplan et al. 2018 (arXiv:1812.06162), equation 2.8: the batch size at which a step of the best length along
a batch's gradient gains half of what the true gradient G would, on the loss's quadratic model. It equals B_simple where
H is a multiple of the identity. From gradients a, b of independent batches of n examples, H from examples of its own,
  tr(HΣ) = (n/2) E[(a − b)ᵀH(a − b)],   GᵀHG = E[aᵀHb],
without bias. All are drawn with replacement from the training set, so G, Σ and H are the training set's. The ratio of
one point is biased and noisy: numerator and denominator are averaged apart, debiased, and divided last. H is
indefinite: either may be negative, and is recorded as it is. Training mode without augmentation and dropout; the
formula is one of plain SGD.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bsresearch.measure import Context, Measure, PyTree, hessian_vector, mean_gradient


class Averages(NamedTuple):
    """Exponential averages over the measurements so far, () each, their weights not yet divided out.

    slope: of GᵀHG. trace: of tr(HΣ). weight: their sum. negative, count: estimates of GᵀHG below 0, and all.
    """

    slope: Float[Array, '']
    trace: Float[Array, '']
    weight: Float[Array, '']
    negative: Float[Array, '']
    count: Float[Array, '']


def _take_in(old: Averages, keep: float, slope: jax.Array, trace: jax.Array) -> tuple[Averages, dict[str, jax.Array]]:
    """The averages with new estimates of GᵀHG and tr(HΣ), and the metrics."""
    averaged = lambda old, new: keep * old + (1 - keep) * new.astype(jnp.float32)
    new = Averages(
        averaged(old.slope, slope),
        averaged(old.trace, trace),
        averaged(old.weight, jnp.ones(())),
        old.negative + (slope < 0),
        old.count + 1,
    )
    return new, {
        # The weights cancel in the ratio.
        'curvature_noise_scale': new.trace / new.slope,
        'curvature_noise_slope': slope,
        'curvature_noise_trace': trace,
        'curvature_noise_slope_average': new.slope / new.weight,
        'curvature_noise_trace_average': new.trace / new.weight,
        'curvature_noise_negative_fraction': new.negative / new.count,
    }


def build(
    *,
    batch_size: int = 512,
    hessian_batch_size: int = 512,
    micro_batch_size: int = 256,
    half_life: float = 10.0,
) -> Measure:
    """The measurement.

    Args:
      batch_size: n, examples of each of the two batches. hessian_batch_size: examples of H. micro_batch_size: of either
        at a time.
      half_life: of the averages, in measurements.
    """
    field = 'measure.curvature_noise_scale'
    if batch_size < 1 or hessian_batch_size < 1 or micro_batch_size < 1:
        raise ValueError(
            f'{field}: batch_size={batch_size}, hessian_batch_size={hessian_batch_size} and '
            f'micro_batch_size={micro_batch_size} must be at least 1'
        )
    if not half_life > 0:
        raise ValueError(f'{field}.half_life={half_life}: must be positive, in measurements')
    unit = min(batch_size, hessian_batch_size, micro_batch_size)
    keep = 0.5 ** (1 / half_life)

    def init(params: PyTree) -> Averages:
        del params
        return Averages(*(jnp.zeros((), jnp.float32) for _ in Averages._fields))

    def update(state: Averages, context: Context) -> tuple[Averages, dict[str, jax.Array]]:
        part = lambda start, stop: jax.tree.map(lambda x: x[start:stop], context.batch)
        gradient = lambda data: mean_gradient(context, context.params, data, unit)[1]
        a, b = gradient(part(0, batch_size)), gradient(part(batch_size, 2 * batch_size))
        product = hessian_vector.product(context, part(2 * batch_size, None), unit)
        apart = jax.tree.map(jnp.subtract, a, b)
        slope = hessian_vector.dot(a, product(b))
        trace = batch_size / 2 * hessian_vector.dot(apart, product(apart))
        return _take_in(state, keep, slope, trace)

    total = 2 * batch_size + hessian_batch_size
    return Measure(init=init, update=update, stateless=False, batch_size=total, unit=unit)
