"""A linear classifier."""

import jax
from flax import linen as nn

from bsresearch.models import layers


class Linear(nn.Module):
    """Flatten, one dense layer."""

    num_outputs: int
    kernel_init: str
    dtype: str

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, weights: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """(B, num_outputs) logits; arguments as in `models.apply`."""
        del train, weights, keys
        return layers.dense(self.num_outputs, self.kernel_init, self.dtype, 'output')(x.reshape(x.shape[0], -1))


def build(num_outputs: int, *, init: str = 'glorot_normal', dtype: str = 'float32') -> nn.Module:
    """The model.

    Args:
      init: weight initializer (layers.INITIALIZERS; `…_normal` is truncated, `…_normal_untruncated` is not); biases
        start at zero.
      dtype: of the computation.
    """
    layers.initializer(init)
    return Linear(num_outputs, init, dtype)
