"""Norm of the mean-loss gradient at θ_t on a batch of its own, ‖g_B(θ_t)‖₂ (single-batch statistic, not the update's).

The batch is drawn with replacement from the training set, so E‖g_B‖² = ‖G‖² + tr Σ / B. Training mode; no augmentation,
no dropout: the noise is the sampling of examples alone.
"""

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, PyTree, squared_norm


def build(*, batch_size: int = 256) -> Measure:
    """The measurement: `single_batch_gradient_norm`.

    Args:
      batch_size: B, examples in the batch.
    """
    if batch_size < 1:
        raise ValueError(f'measure.gradient_norm.batch_size={batch_size}: at least 1')

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        _, gradient = context.gradient(context.params, context.batch)
        return state, {'single_batch_gradient_norm': jnp.sqrt(squared_norm(gradient))}

    return Measure(init=lambda params: (), update=update, batch_size=batch_size)
