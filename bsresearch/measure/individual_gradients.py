"""What the individual gradients g_i of one batch say at θ_t, all from one pass over a batch of its own.

g is the mean of the B gradients g_i, k a coordinate, S = Σ_i |g_i − g|²/(B − 1) the unbiased estimate of tr Σ. Formulas
as in Cockpit (Schneider, Dangel & Hennig 2021, arXiv:2102.06604), variances from squared deviations. The batch is drawn
with replacement from the training set, so |G|² is that of the training set's gradient. No augmentation, no dropout: the
noise is the sampling of examples alone. Batch norm couples examples in training mode; `statistics=running` is the cure.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bsresearch.measure import Context, Measure, PyTree, averages, check_statistics, layers, needed, squared_norm
from bsresearch.measure.averages import Averages
from bsresearch.measure.moments import Moments, moments, total

# Cockpit's, added to the variance of a coordinate.
EPSILON = 1e-5


def trace(m: Moments) -> Float[Array, '']:
    """S = Σ_k Σ_i (g_ik − g_k)²/(B − 1): tr Σ, unbiased."""
    return total(m.deviations) / (m.count - 1)


def gradient_square(m: Moments) -> Float[Array, '']:
    """|G|² = |g|² − S/B, unbiased; may be negative (McCandlish et al. 2018, arXiv:1812.06162, A.1, B_small = 1)."""
    return squared_norm(m.mean) - trace(m) / m.count


def norm_test(m: Moments) -> Float[Array, '']:
    """θ = √(S/(B|g|²)): the least θ whose norm test E|g − G|² ≤ θ²|G|² this batch passes.

    Byrd, Chin, Nocedal & Wu 2012 (Mathematical Programming 134), equation 3.9.
    """
    return jnp.sqrt(trace(m) / (m.count * squared_norm(m.mean)))


def _along(m: Moments) -> Float[Array, '']:
    """Σ_i (g_iᵀg)² − B|g|⁴ as Σ_i (g_iᵀg − |g|²)², |g|² being the mean of g_iᵀg."""
    return ((m.dots - m.dots.mean()) ** 2).sum()


def inner_product_test(m: Moments) -> Float[Array, '']:
    """θ = √( (Σ(g_iᵀg)² − B|g|⁴)/(B − 1)/(B|g|⁴) ): the part of the norm test's along g.

    Bollapragada, Byrd & Nocedal 2018 (arXiv:1710.11258), equation 2.6.
    """
    return jnp.sqrt(_along(m) / (m.count - 1) / m.count) / squared_norm(m.mean)


def orthogonality_test(m: Moments) -> Float[Array, '']:
    """ν = √( (Σ|g_i|² − Σ(g_iᵀg)²/|g|²)/(B − 1)/(B|g|²) ): the part across g; θ_norm² = θ_inner² + ν².

    Bollapragada, Byrd & Nocedal 2018 (arXiv:1710.11258), section 3.
    """
    square = squared_norm(m.mean)
    # Not negative but for rounding, where all gradients lie along g.
    across = jnp.maximum(total(m.deviations) - _along(m) / square, 0)
    return jnp.sqrt(across / (m.count - 1) / (m.count * square))


def cabs_batch_size(m: Moments, learning_rate: jax.Array) -> Float[Array, '']:
    """ε·Σ_k (mean(g_ik²) − g_k²)/L: biased variance (Balles, Romero & Hennig 2017, arXiv:1612.05086, equation 22).

    For SGD without momentum, and an optimal loss of 0.
    """
    return learning_rate * total(m.deviations) / m.count / m.loss


def early_stopping(m: Moments) -> Float[Array, '']:
    """EB = 1 − B·mean_k( g_k²/(var_k + 1e-5) ), var with B − 1: above 0 the gradient is noise, stop.

    Mahsereci et al. 2017 (arXiv:1703.09580), equation 7; for SGD without momentum.
    """
    return 1 - m.count * _mean_ratio(m, m.count - 1)


def mean_gsnr(m: Moments) -> Float[Array, '']:
    """mean_k( g_k²/(mean(g_ik²) − g_k² + 1e-5) ), the gradient's signal-to-noise ratio: biased variance.

    Liu et al. 2020 (arXiv:2001.07384), equation 1.
    """
    return _mean_ratio(m, m.count)


def _mean_ratio(m: Moments, divisor: jax.Array) -> Float[Array, '']:
    """Mean over coordinates of g_k²/(Σ_i (g_ik − g_k)²/divisor + EPSILON)."""
    ratio = lambda g, d: g**2 / (d / divisor.astype(d.dtype) + EPSILON)
    return total(jax.tree.map(ratio, m.mean, m.deviations)) / sum(x.size for x in jax.tree.leaves(m.mean))


def diversity(m: Moments) -> Float[Array, '']:
    """Gradient diversity Δ = Σ|g_i|²/|Σ g_i|² of the B examples (Yin et al. 2018, arXiv:1706.05699, definition 1).

    B·Δ = mean|g_i|²/|g|² is their bound on the batch size: mini-batches up to it converge, in passes over the data,
    like single examples. It is at least 1, B for orthogonal gradients, and near 1 + tr Σ/|G|² for B much above that;
    for B below, it is about B and says only that the bound is not smaller.
    """
    return total(m.square_norms) / (m.count**2 * squared_norm(m.mean))


def build(
    *, batch_size: int = 256, half_life: float = 10.0, statistics: str = 'batch', per_layer: bool = False
) -> Measure:
    """The measurement: `individual_<quantity>`, one for each function above.

    Args:
      batch_size: B, examples per measurement.
      half_life: of the averages behind `individual_noise_scale` (averages.py), in measurements.
      statistics: what batch norm normalizes by: batch (refused where there is batch norm) | running.
      per_layer: also |G|² and tr Σ of each top-level module; they add up to the whole network's.
    """
    if batch_size < 2:
        raise ValueError(f'measure.individual_gradients.batch_size={batch_size}: a variance needs at least 2')
    check_statistics(statistics, 'measure.individual_gradients.statistics')
    decay = averages.decay(half_life, 'measure.individual_gradients.half_life')

    def update(state: Averages, context: Context) -> tuple[Averages, dict[str, jax.Array]]:
        m = moments(needed(context, 'losses', 'individual_gradients'), context.params, context.batch)
        square, spread = gradient_square(m), trace(m)
        state, metrics = averages.take_in(
            state, decay, square, spread, ratio='individual_noise_scale', prefix='individual'
        )
        metrics |= {
            'individual_norm_test': norm_test(m),
            'individual_inner_product_test': inner_product_test(m),
            'individual_orthogonality_test': orthogonality_test(m),
            'individual_early_stopping': early_stopping(m),
            'individual_mean_gsnr': mean_gsnr(m),
            'individual_diversity': diversity(m),
        }
        if context.hyper is not None:
            metrics['individual_cabs_batch_size'] = cabs_batch_size(m, context.hyper.learning_rate)
        return state, metrics | (_by_layer(m) if per_layer else {})

    return Measure(
        init=averages.start,
        update=update,
        stateless=False,
        batch_size=batch_size,
        per_example=True,
        statistics=statistics,
    )


def _by_layer(m: Moments) -> dict[str, jax.Array]:
    """|G|² and tr Σ of each layer."""
    metrics: dict[str, jax.Array] = {}
    deviations: PyTree = layers(m.deviations)
    for name, mean in layers(m.mean).items():
        layer = m._replace(mean=mean, deviations=deviations[name])
        metrics[f'individual_gradient_square/{name}'] = gradient_square(layer)
        metrics[f'individual_trace/{name}'] = trace(layer)
    return metrics
