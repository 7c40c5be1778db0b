"""Multi-layer perceptrons. Shen's 784-1024-1024-10 is the default; Brownlee's and Hoffer's are settings.

F1 of Keskar et al. 2017 (arXiv:1609.04836) and Hoffer et al. 2017 (arXiv:1705.08741), five layers of 512 units with
batch norm on MNIST, is widths=(512, 512, 512, 512, 512) and batch_norm=True: 1,462,794 parameters.
"""

import functools

import jax
from flax import linen as nn

from bsresearch.models import layers, norms


class Mlp(nn.Module):
    """Flatten, then (dense, batch norm, ReLU, dropout) per width, then dense."""

    num_outputs: int
    widths: tuple[int, ...]
    kernel_init: str
    batch_norm: bool
    dropout: float
    ghost_batch_size: int | None
    dtype: str
    batch_axis: str | None = None
    weight_norm: bool = False

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, weights: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """(B, num_outputs) logits; arguments as in `models.apply`."""
        x = x.reshape(x.shape[0], -1)
        norm = norms.of(self, train, weights)
        dense = functools.partial(layers.dense, init=self.kernel_init, dtype=self.dtype, weight_norm=self.weight_norm)
        for i, width in enumerate(self.widths):
            x = dense(width, name=f'dense_{i}')(x)
            x = norm(x, f'norm_{i}')
            x = layers.Dropout(self.dropout, name=f'dropout_{i}')(nn.relu(x), train=train, keys=keys)
        return dense(self.num_outputs, name='output')(x)


def build(
    num_outputs: int,
    *,
    widths: tuple[int, ...] = (1024, 1024),
    init: str = 'glorot_normal',
    batch_norm: bool = False,
    dropout: float = 0.0,
    weight_norm: bool = False,
    ghost_batch_size: int | None = None,
    dtype: str = 'float32',
    batch_axis: str | None = None,
) -> nn.Module:
    """The model.

    Args:
      widths: units of the hidden layers.
      init: weight initializer (layers.INITIALIZERS; `…_normal` is truncated, `…_normal_untruncated` is not); biases
        start at zero.
      batch_norm: before each ReLU; its running variance is the biased one, unlike torch's (norms.BatchNorm).
      dropout: probability of dropping a hidden unit, after each ReLU.
      weight_norm: kernels as length times direction (layers.WeightNormalized).
      ghost_batch_size: examples in a batch-norm group; None: the batch it is given.
      dtype: of the computation.
      batch_axis: of a mesh, over which a batch-norm group lies spread; None: it lies on one device.
    """
    layers.initializer(init)
    layers.check_rate(dropout)
    if any(w < 1 for w in widths):
        raise ValueError(f'model.widths={widths}: each width must be at least 1')
    return Mlp(num_outputs, tuple(widths), init, batch_norm, dropout, ghost_batch_size, dtype, batch_axis, weight_norm)
