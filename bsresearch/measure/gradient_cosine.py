"""Cosine between a batch's gradient and the full training gradient at θ_t, g_BᵀG/(‖g_B‖‖G‖), and ‖G‖.

The batch is drawn with replacement from the training set: E g_B = G, and the cosine is about (1 + B_simple/B)^(−1/2),
near 1 for B well above the noise scale. No augmentation, no dropout, in G neither. With batch norm in
training mode a gradient depends on the size of what is normalized together: G is then the mean of `full_batch_size`'s
gradients, and the training set must be a whole number of batch-norm groups.
"""

import math

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, PyTree, check_statistics, dot, mean_gradient, squared_norm


def build(*, batch_size: int = 256, full_batch_size: int = 256, statistics: str = 'batch') -> Measure:
    """The measurement: `gradient_cosine`, `full_gradient_norm`.

    Args:
      batch_size: B, examples in the batch.
      full_batch_size: examples per gradient call in the pass over the training set; no number depends on it but with
        batch norm.
      statistics: what batch norm normalizes by, batch | running.
    """
    for field, size in (('batch_size', batch_size), ('full_batch_size', full_batch_size)):
        if size < 1:
            raise ValueError(f'measure.gradient_cosine.{field}={size}: at least 1')
    check_statistics(statistics, 'measure.gradient_cosine.statistics')

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        _, gradient = context.gradient(context.params, context.batch)
        _, full = mean_gradient(context, context.params, context.whole, full_batch_size)
        norm = jnp.sqrt(squared_norm(full))
        cosine = dot(gradient, full) / (jnp.sqrt(squared_norm(gradient)) * norm)
        return state, {'gradient_cosine': cosine, 'full_gradient_norm': norm}

    return Measure(
        init=lambda params: (),
        update=update,
        batch_size=batch_size,
        unit=math.gcd(batch_size, full_batch_size),
        whole=True,
        statistics=statistics,
    )
