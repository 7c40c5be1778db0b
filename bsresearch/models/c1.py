"""The shallow convolutional net C1 of Keskar et al. 2017 (arXiv:1609.04836, appendix B); with 100 outputs their C3.

Twice (5×5 convolution with 64 channels, batch norm, ReLU, max-pooling over 3×3 with stride 2); then dense layers of 384
and 192 units, each followed by batch norm, ReLU and dropout of a half; a dense layer. Biases everywhere and SAME
pooling, 32×32 to 8×8 pixels, are those of the code that comes with the paper.

Parameters for 32×32×3 and ten classes: 1,757,834. With pooling=valid, 32×32 to 7×7, they are 1,389,194: the net in the
code of Hoffer et al. 2017 (arXiv:1705.08741), but that there pooling comes before batch norm, and the 704 biases that
batch norm makes idle are left out.
"""

import jax
from flax import linen as nn

from bsresearch.models import layers, norms

POOLINGS = {'same': 4, 'valid': 7}  # the least sides of images


class C1(nn.Module):
    """The net; fields as arguments of `build`."""

    num_outputs: int
    widths: tuple[int, ...]
    dense_widths: tuple[int, ...]
    pooling: str
    dropout: float
    batch_norm: bool
    kernel_init: str
    ghost_batch_size: int | None
    dtype: str
    batch_axis: str | None = None

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, weights: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """(B, num_outputs) logits; arguments as in `models.apply`."""
        layers.check_images(f'model c1 with pooling={self.pooling}', x.shape[1:], POOLINGS[self.pooling])
        norm = norms.of(self, train, weights)
        for i, width in enumerate(self.widths):
            x = layers.conv(width, 5, self.kernel_init, self.dtype, f'conv_{i}')(x)
            # ReLU and pooling commute; this order leaves ReLU a quarter of the work.
            x = nn.relu(layers.overlapping_max_pool(norm(x, f'norm_{i}'), self.pooling))
        x = x.reshape(x.shape[0], -1)
        for i, width in enumerate(self.dense_widths, len(self.widths)):
            x = layers.dense(width, self.kernel_init, self.dtype, f'dense_{i}')(x)
            x = layers.Dropout(self.dropout, name=f'dropout_{i}')(nn.relu(norm(x, f'norm_{i}')), train=train, keys=keys)
        return layers.dense(self.num_outputs, self.kernel_init, self.dtype, 'output')(x)


def build(
    num_outputs: int,
    *,
    width: int = 64,
    dense_widths: tuple[int, ...] = (384, 192),
    pooling: str = 'same',
    dropout: float = 0.5,
    batch_norm: bool = True,
    init: str = 'glorot_uniform',
    ghost_batch_size: int | None = None,
    dtype: str = 'float32',
    batch_axis: str | None = None,
) -> nn.Module:
    """The model.

    Args:
      width: channels of the two convolutions.
      dense_widths: units of the hidden dense layers.
      pooling: same or valid: whether windows may reach beyond the image.
      dropout: probability of dropping a unit of the hidden dense layers.
      batch_norm: before each ReLU; its running variance is the biased one, unlike torch's (norms.BatchNorm).
      init: weight initializer (layers.INITIALIZERS; `…_normal` is truncated, `…_normal_untruncated` is not); biases
        start at zero. The paper's code has Keras's default of its time, glorot_uniform.
      ghost_batch_size: examples in a batch-norm group; None: the batch it is given.
      dtype: of the computation.
      batch_axis: of a mesh, over which a batch-norm group lies spread; None: it lies on one device.
    """
    layers.initializer(init)
    layers.check_rate(dropout)
    if any(w < 1 for w in (width, *dense_widths)):
        raise ValueError(f'model.width={width}, dense_widths={dense_widths}: each at least 1')
    if pooling not in POOLINGS:
        raise ValueError(f'model.pooling={pooling!r}: same or valid is needed')
    settings = ((width, width), tuple(dense_widths), pooling, dropout, batch_norm, init)
    return C1(num_outputs, *settings, ghost_batch_size, dtype, batch_axis)
