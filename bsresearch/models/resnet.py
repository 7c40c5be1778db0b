"""Residual networks for small images, ResNet v1 (He et al. 2016, arXiv:1512.03385, section 4.2).

A 3×3 convolution; three stages of n blocks with `width`, 2·width and 4·width channels, of which the second and third
begin by halving the image; the mean over all positions; a dense layer: 6n + 2 layers. A block is ReLU(a(x) + F(x)), F
two 3×3 convolutions, each with batch norm, and a ReLU between them. Where channels double, the way around a is
  A (the paper's for CIFAR): every second row and column of x, and zeros for the new channels; no weights;
  B: a 1×1 convolution of stride 2 with batch norm.

Parameters at width 16 for 32×32×3 and ten classes; the paper's table 6 has 0.27, 0.46, 0.66, 0.85 M from depth 20:
  depth        8        20        32        44        56
  A       75,290   269,722   464,154   658,586   853,018
  B       78,042   272,474   466,906   661,338   855,770
Multiply-adds of a forward pass at depth 20: 40.55 M (A), 40.81 M (B).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from bsresearch.models import layers, norms

STRIDE = 4  # of the last stage, in pixels
DEPTHS = range(8, 1203, 6)  # the paper's deepest has 1202 layers
SHORTCUTS = ('A', 'B')


class Block(nn.Module):
    """ReLU(a(x) + F(x)).

    conv, norm: a convolution, and batch norm of what it gives (or nothing), by name. zero_gamma: γ of F's last norm is
    0 at the start, so that the block begins as a(x) alone.
    """

    features: int
    stride: int
    shortcut: str
    zero_gamma: bool
    conv: Callable[..., nn.Module]
    norm: Callable[..., jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, C) → (B, ⌈H/stride⌉, ⌈W/stride⌉, features)."""
        y = self.conv(self.features, 3, name='conv_0', stride=self.stride)(x)
        y = nn.relu(self.norm(y, 'norm_0'))
        y = self.conv(self.features, 3, name='conv_1')(y)
        y = self.norm(y, 'norm_1', initial_scale=0.0 if self.zero_gamma else 1.0)
        return nn.relu(self._around(x) + y)

    def _around(self, x: jax.Array) -> jax.Array:
        if x.shape[-1] == self.features:
            return x
        if self.shortcut == 'A':
            x = x[:, :: self.stride, :: self.stride]
            return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.features - x.shape[-1])))
        x = self.conv(self.features, 1, name='conv_around', stride=self.stride)(x)
        return self.norm(x, 'norm_around')


class ResNet(nn.Module):
    """The net; fields as arguments of `build`."""

    num_outputs: int
    depth: int
    width: int
    shortcut: str
    zero_gamma: bool
    batch_norm: bool
    weight_norm: bool
    kernel_init: str
    ghost_batch_size: int | None
    dtype: str
    batch_axis: str | None = None

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, weights: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """(B, num_outputs) logits; arguments as in `models.apply`."""
        del keys
        layers.check_images(f'model resnet with stages of stride 1, 2 and {STRIDE}', x.shape[1:], STRIDE)
        kernels: dict[str, Any] = dict(init=self.kernel_init, dtype=self.dtype, weight_norm=self.weight_norm)
        conv = functools.partial(layers.conv, bias=not self.batch_norm, **kernels)
        norm = norms.of(self, train, weights)
        x = nn.relu(norm(conv(self.width, 3, name='conv_0')(x), 'norm_0'))
        blocks = (self.depth - 2) // 6
        for i in range(3 * blocks):
            stage, place = divmod(i, blocks)
            stride = 2 if stage and not place else 1
            x = Block(self.width * 2**stage, stride, self.shortcut, self.zero_gamma, conv, norm, name=f'block_{i}')(x)
        return layers.dense(self.num_outputs, name='output', **kernels)(x.mean((1, 2)))


def build(
    num_outputs: int,
    *,
    depth: int = 20,
    width: int = 16,
    shortcut: str = 'A',
    zero_gamma: bool = False,
    batch_norm: bool = True,
    weight_norm: bool = False,
    init: str = 'he_normal_untruncated',
    ghost_batch_size: int | None = None,
    dtype: str = 'float32',
    batch_axis: str | None = None,
) -> nn.Module:
    """The model.

    Args:
      depth: layers with weights, 6n + 2: 8, 14, 20, 26, 32, 38, 44, 50, 56, …
      width: channels of the first stage.
      shortcut: A or B, where channels double.
      zero_gamma: γ = 0 at the start in the last batch norm of each block (Goyal et al. 2017, arXiv:1706.02677, 5.1).
      batch_norm: after each convolution; its running variance is the biased one, unlike torch's (norms.BatchNorm).
        Without it convolutions have biases, and activations grow with each block: deep nets train at small rates alone.
      weight_norm: kernels as length times direction (layers.WeightNormalized).
      init: weight initializer (layers.INITIALIZERS; `…_normal` is truncated, `…_normal_untruncated` is not); biases
        start at zero.
      ghost_batch_size: examples in a batch-norm group; None: the batch it is given.
      dtype: of the computation.
      batch_axis: of a mesh, over which a batch-norm group lies spread; None: it lies on one device.
    """
    layers.initializer(init)
    layers.check_depth(depth, DEPTHS, '6n + 2')
    if width < 1:
        raise ValueError(f'model.width={width}: at least 1')
    if shortcut not in SHORTCUTS:
        raise ValueError(f'model.shortcut={shortcut!r}: A or B is needed')
    if zero_gamma and not batch_norm:
        raise ValueError('model.zero_gamma=True is about batch norm, which model.batch_norm=False leaves out; set one')
    settings = (depth, width, shortcut, zero_gamma, batch_norm, weight_norm, init)
    return ResNet(num_outputs, *settings, ghost_batch_size, dtype, batch_axis)
