"""Wide residual networks for small images (Zagoruyko & Komodakis 2016, arXiv:1605.07146), WRN-16-4 by default.

A 3×3 convolution with 16 channels; three stages of n blocks with 16k, 32k and 64k channels, of which the second and
third begin by halving the image; batch norm, ReLU, the mean over all positions, a dense layer: WRN-d-k has d = 6n + 4
layers. Norm and ReLU come before a convolution: with z = ReLU(norm(x)) a block is
  a + conv(dropout(ReLU(norm(conv(z))))),   a = x, or a 1×1 convolution of z where the number of channels changes.

Parameters for 32×32×3 and ten classes (the paper's table 3 has 8.9 M for 40-4): WRN-16-4 2,748,890, WRN-40-4 8,949,210,
WRN-28-10 36,479,194. "WResNet16-4" in the code of Hoffer et al. 2017 (arXiv:1705.08741) is another net: ReLU after the
sum, 64 channels at first, two blocks a stage (models/resnet.py: depth=14, width=64, shortcut=B).
"""

import functools
from collections.abc import Callable

import jax
from flax import linen as nn

from bsresearch.models import layers, norms

STRIDE = 4  # of the last stage, in pixels
FIRST = 16  # channels of the first convolution
DEPTHS = range(10, 1205, 6)


class Block(nn.Module):
    """Two convolutions and a way around them.

    conv, norm, dropout: a convolution, and batch norm and dropout of what is given to them, by name.
    """

    features: int
    stride: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., jax.Array]
    dropout: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) → (B, ⌈H/stride⌉, ⌈W/stride⌉, features)."""
        # norm_0 follows conv_0; none follows conv_1 alone (measure/angular_distance.py goes by the names).
        z = nn.relu(self.norm(x, 'norm_in'))
        y = self.conv(self.features, 3, name='conv_0', stride=self.stride)(z)
        y = self.dropout(nn.relu(self.norm(y, 'norm_0')))
        y = self.conv(self.features, 3, name='conv_1')(y)
        if x.shape[-1] != self.features:
            x = self.conv(self.features, 1, name='conv_around', stride=self.stride)(z)
        return x + y


class WideResNet(nn.Module):
    """The net; fields as arguments of `build`."""

    num_outputs: int
    depth: int
    widening: int
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
        layers.check_images(f'model wide_resnet with stages of stride 1, 2 and {STRIDE}', x.shape[1:], STRIDE)
        conv = functools.partial(layers.conv, init=self.kernel_init, dtype=self.dtype, bias=not self.batch_norm)
        norm = norms.of(self, train, weights)
        dropout = lambda x: layers.Dropout(self.dropout, name='dropout')(x, train=train, keys=keys)
        x = conv(FIRST, 3, name='conv_in')(x)
        blocks = (self.depth - 4) // 6
        for i in range(3 * blocks):
            stage, place = divmod(i, blocks)
            features, stride = FIRST * self.widening * 2**stage, 2 if stage and not place else 1
            x = Block(features, stride, conv, norm, dropout, name=f'block_{i}')(x)
        x = nn.relu(norm(x, 'norm_out')).mean((1, 2))
        return layers.dense(self.num_outputs, self.kernel_init, self.dtype, 'output')(x)


def build(
    num_outputs: int,
    *,
    depth: int = 16,
    widening: int = 4,
    dropout: float = 0.0,
    batch_norm: bool = True,
    init: str = 'he_normal_untruncated',
    ghost_batch_size: int | None = None,
    dtype: str = 'float32',
    batch_axis: str | None = None,
) -> nn.Module:
    """The model.

    Args:
      depth: layers with weights, 6n + 4: 10, 16, 22, 28, 34, 40, …
      widening: k, the factor of all channels but those of the first convolution.
      dropout: probability of dropping a value between the two convolutions of a block; the paper's is 0.3.
      batch_norm: before each convolution of a block; its running variance is the biased one, unlike torch's
        (norms.BatchNorm). Without it convolutions have biases, and activations grow with each block.
      init: weight initializer (layers.INITIALIZERS; `…_normal` is truncated, `…_normal_untruncated` is not); biases
        start at zero.
      ghost_batch_size: examples in a batch-norm group; None: the batch it is given.
      dtype: of the computation.
      batch_axis: of a mesh, over which a batch-norm group lies spread; None: it lies on one device.
    """
    layers.initializer(init)
    layers.check_rate(dropout)
    layers.check_depth(depth, DEPTHS, '6n + 4')
    if widening < 1:
        raise ValueError(f'model.widening={widening}: at least 1')
    return WideResNet(num_outputs, depth, widening, dropout, batch_norm, init, ghost_batch_size, dtype, batch_axis)
