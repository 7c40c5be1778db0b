"""A small convolutional network: (conv, batch norm, ReLU, max-pool) per width, then a dense layer."""

from typing import Any

import jax
from flax import linen as nn

from bsresearch.models import layers, norms


class Cnn(nn.Module):
    """Convolutions of `kernel_size`, each halving the image; dropout before the output layer."""

    num_outputs: int
    widths: tuple[int, ...]
    kernel_size: int
    dense_width: int
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
        layers.check_images(
            f'model cnn with {len(self.widths)} poolings', x.shape[1:], 2 ** len(self.widths),
            'fewer --config.model.widths, or ',
        )  # fmt: skip
        if self.kernel_size >= 2 * max(x.shape[1:3]):
            raise ValueError(
                f'model.kernel_size={self.kernel_size}: at most {2 * max(x.shape[1:3]) - 1} for images of '
                f'{x.shape[1]}×{x.shape[2]}, beyond which it sees nothing but padding'
            )
        norm = norms.of(self, train, weights)
        kernels: dict[str, Any] = dict(init=self.kernel_init, dtype=self.dtype, weight_norm=self.weight_norm)
        for i, width in enumerate(self.widths):
            x = layers.conv(width, self.kernel_size, name=f'conv_{i}', **kernels)(x)
            x = norm(x, f'norm_{i}')
            # The two commute; this order leaves ReLU a quarter of the work.
            x = nn.relu(layers.max_pool(x))
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(layers.dense(self.dense_width, name='dense', **kernels)(x))
        x = layers.Dropout(self.dropout, name='dropout')(x, train=train, keys=keys)
        return layers.dense(self.num_outputs, name='output', **kernels)(x)


def build(
    num_outputs: int,
    *,
    widths: tuple[int, ...] = (32, 64),
    kernel_size: int = 3,
    dense_width: int = 128,
    init: str = 'he_normal',
    batch_norm: bool = False,
    dropout: float = 0.0,
    weight_norm: bool = False,
    ghost_batch_size: int | None = None,
    dtype: str = 'float32',
    batch_axis: str | None = None,
) -> nn.Module:
    """The model.

    Args:
      widths: channels of the convolutions.
      kernel_size: their side, in pixels.
      dense_width: units of the dense layer after them.
      init: weight initializer (layers.INITIALIZERS; `…_normal` is truncated, `…_normal_untruncated` is not); biases
        start at zero.
      batch_norm: after each convolution; its running variance is the biased one, unlike torch's (norms.BatchNorm).
      dropout: probability of dropping a unit of the dense layer.
      weight_norm: kernels as length times direction (layers.WeightNormalized).
      ghost_batch_size: examples in a batch-norm group; None: the batch it is given.
      dtype: of the computation.
      batch_axis: of a mesh, over which a batch-norm group lies spread; None: it lies on one device.
    """
    layers.initializer(init)
    layers.check_rate(dropout)
    if any(w < 1 for w in (*widths, kernel_size, dense_width)):
        raise ValueError(
            f'model.widths={widths}, kernel_size={kernel_size}, dense_width={dense_width}: each at least 1'
        )
    settings = (tuple(widths), kernel_size, dense_width, init, batch_norm, dropout)
    return Cnn(num_outputs, *settings, ghost_batch_size, dtype, batch_axis, weight_norm)
