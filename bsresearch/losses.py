"""Per-example losses and their weighted sum. Who divides does so once, by the examples counted, after all sums."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


def cross_entropy(
    outputs: Float[Array, 'B C'], labels: Int[Array, 'B'], *, label_smoothing: float = 0.0
) -> Float[Array, 'B']:
    """Softmax cross-entropy in nats.

    Args:
      outputs: (B, C) logits.
      labels: (B,) integers.
      label_smoothing: ε of the targets (1 − ε)·onehot + ε/C.

    Returns:
      (B,), not averaged.
    """
    if label_smoothing == 0:
        return optax.softmax_cross_entropy_with_integer_labels(outputs, labels)
    onehot = jax.nn.one_hot(labels, outputs.shape[-1], dtype=outputs.dtype)
    return optax.softmax_cross_entropy(outputs, optax.smooth_labels(onehot, label_smoothing))


def weighted_sum(losses: Float[Array, 'B'], weights: Float[Array, 'B']) -> Float[Array, '']:
    """Σ w_i l_i; padding has weight 0, also where its loss is not finite."""
    return jnp.where(weights > 0, losses * weights, 0).sum()
