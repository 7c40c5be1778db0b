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

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, averages, dot, hessian_vector, mean_gradient
from bsresearch.measure.averages import Averages


def build(
    *,
    batch_size: int = 512,
    hessian_batch_size: int = 512,
    micro_batch_size: int = 256,
    half_life: float = 10.0,
) -> Measure:
    """The measurement: `curvature_noise_scale`, the ratio of the averages, and what it is made of, `curvature_noise_…`.

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
    unit = min(batch_size, hessian_batch_size, micro_batch_size)
    decay = averages.decay(half_life, f'{field}.half_life')

    def update(state: Averages, context: Context) -> tuple[Averages, dict[str, jax.Array]]:
        part = lambda start, stop: jax.tree.map(lambda x: x[start:stop], context.batch)
        gradient = lambda data: mean_gradient(context, context.params, data, unit)[1]
        a, b = gradient(part(0, batch_size)), gradient(part(batch_size, 2 * batch_size))
        product = hessian_vector.product(context, part(2 * batch_size, None), unit)
        apart = jax.tree.map(jnp.subtract, a, b)
        return averages.take_in(
            state,
            decay,
            dot(a, product(b)),
            batch_size / 2 * dot(apart, product(apart)),
            ratio='curvature_noise_scale',
            prefix='curvature_noise',
            denominator='gradient_curvature',
        )

    total = 2 * batch_size + hessian_batch_size
    return Measure(init=averages.start, update=update, stateless=False, batch_size=total, unit=unit)
