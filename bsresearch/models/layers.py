"""Layers that flax lacks: convolution and pooling for loops on a CPU, weight normalization, dropout by example."""

import functools
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from bsresearch.models import convolutions

Dtype = Any
# Weights from which on two cores are faster than one.
LARGE_KERNEL = 2**18

_untruncated = functools.partial(nn.initializers.variance_scaling, distribution='normal')
# Normal ones are truncated, as flax's and Keras's are: cut at 2 standard deviations and rescaled to the variance that
# the formula says, so that no weight lies beyond 2.27. torch's and most papers' are not: `_untruncated`.
INITIALIZERS = {
    'glorot_normal': nn.initializers.glorot_normal,
    'glorot_normal_untruncated': functools.partial(_untruncated, 1.0, 'fan_avg'),
    'glorot_uniform': nn.initializers.glorot_uniform,
    'he_normal': nn.initializers.he_normal,
    'he_normal_untruncated': functools.partial(_untruncated, 2.0, 'fan_in'),
    'he_uniform': nn.initializers.he_uniform,
    'lecun_normal': nn.initializers.lecun_normal,
    'lecun_normal_untruncated': functools.partial(_untruncated, 1.0, 'fan_in'),
}


def initializer(name: str) -> Callable[..., jax.Array]:
    """A weight initializer by name; `…_normal` is truncated, `…_normal_untruncated` is not."""
    if name not in INITIALIZERS:
        raise ValueError(f'unknown initializer {name!r}; allowed: {", ".join(sorted(INITIALIZERS))}')
    return INITIALIZERS[name]()


def weight_dtype(dtype: str) -> Dtype:
    """Weights are float32, or float64 where the computation is."""
    return jnp.promote_types(jnp.float32, dtype)


@jax.custom_jvp
def _halves(row: Float[Array, '1 I'], kernel: Float[Array, 'I O']) -> Float[Array, '1 O']:
    """The product as the sum of two made side by side: XLA's own for one row takes a single core on a CPU."""
    two = kernel.reshape(2, -1, kernel.shape[1])
    return jnp.einsum('ki,kio->ko', row[0].reshape(2, -1), two).sum(0)[None]


@_halves.defjvp
def _halves_jvp(primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]) -> Any:
    # Derivatives by the plain products: transposed, those of the halves are ten times slower.
    (row, kernel), (d_row, d_kernel) = primals, tangents
    return _halves(row, kernel), d_row @ kernel + row @ d_kernel


def product(lhs: jax.Array, rhs: jax.Array, dimensions: Any, precision: Any = None, **kw: Any) -> jax.Array:
    """For `nn.Dense(dot_general=…)`: XLA's own, but for one example and a large kernel on a CPU on two cores.

    An update of an MLP 784-1024-1024-10 at B = 1 then takes four fifths of the time (scripts/benchmark_gradient_norm).
    """
    xla = lambda x, k: lax.dot_general(x, k, dimensions, precision=precision, **kw)
    if lhs.ndim != 2 or len(lhs) != 1 or rhs.size < LARGE_KERNEL or len(rhs) % 2:
        return xla(lhs, rhs)
    return lax.platform_dependent(lhs, rhs, cpu=_halves, default=xla)


class WeightNormalized(nn.Module):
    """A dense layer or convolution whose kernel is g·v/‖v‖ for each output: its length g and direction v are trained.

    v starts as the initializer has it and g as ‖v‖, so that the layer starts as one without; the gradients are
      ∇_g = ∇_w·v/‖v‖,   ∇_v = (g/‖v‖)(∇_w − ∇_g·v/‖v‖),   w = g·v/‖v‖,
    so that v is moved at right angles to itself and only ever grows. Weight decay of v changes but the size of its
    steps; `length` and `direction` can be spared by pattern (no_decay='*/direction').

    window: () for a dense layer. product: (x, kernel) → outputs.

    Reference: T. Salimans & D. P. Kingma (2016, arXiv:1602.07868), eq. 2 and 3; what batch norm does to a kernel by
    J. Kohler et al. (2018, arXiv:1805.10694), section 3.
    """

    features: int
    window: tuple[int, ...]
    product: Callable[[jax.Array, jax.Array], jax.Array]
    kernel_init: str
    dtype: str
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x: (B, …, C)."""
        wide = weight_dtype(self.dtype)
        shape = (*self.window, x.shape[-1], self.features)
        v = self.param('direction', initializer(self.kernel_init), shape, wide)
        lengths = jnp.linalg.norm(v.reshape(-1, self.features), axis=0)
        g = self.param('length', lambda key: lengths)
        kernel = v * (g / lengths).reshape((1,) * (v.ndim - 1) + (-1,))
        y = self.product(x.astype(self.dtype), kernel.astype(self.dtype))
        if not self.use_bias:
            return y
        bias = self.param('bias', nn.initializers.zeros, (self.features,), wide)
        return y + bias.astype(self.dtype).reshape((1,) * (y.ndim - 1) + (-1,))


def dense(features: int, init: str, dtype: str, name: str, *, weight_norm: bool = False) -> nn.Module:
    """A fully connected layer with zero biases."""
    if weight_norm:
        matrix = lambda x, kernel: product(x, kernel, (((1,), (0,)), ((), ())))
        return WeightNormalized(features, (), matrix, init, dtype, name=name)
    return nn.Dense(
        features, dtype=dtype, param_dtype=weight_dtype(dtype), kernel_init=initializer(init), dot_general=product,
        name=name,
    )  # fmt: skip


def convolution(lhs: jax.Array, rhs: jax.Array, strides: Sequence[int], padding: Any, **kw: Any) -> jax.Array:
    """For `nn.Conv(conv_general_dilated=…)`: XLA's own, but a matrix product on a CPU (models/convolutions.py)."""
    return convolutions.fast(lambda x, k: lax.conv_general_dilated(x, k, strides, padding, **kw))(lhs, rhs)


def conv(
    features: int, kernel_size: int, init: str, dtype: str, name: str, *, stride: int = 1, bias: bool = True,
    weight_norm: bool = False,
) -> nn.Module:  # fmt: skip
    """A square convolution with zero biases, or none.

    SAME at stride 1; beyond it padded alike on all sides, as torch's and the papers', where SAME would pad less before
    an even side than behind it.
    """
    window, around = (kernel_size, kernel_size), (kernel_size - 1) // 2
    padding: Any = 'SAME' if stride == 1 else [(around, around)] * 2
    if weight_norm:
        sides = {'dimension_numbers': ('NHWC', 'HWIO', 'NHWC')}
        of = lambda x, kernel: convolution(x, kernel, (stride, stride), padding, **sides)
        return WeightNormalized(features, window, of, init, dtype, bias, name=name)
    return nn.Conv(
        features,
        window,
        strides=stride,
        padding=padding,
        use_bias=bias,
        dtype=dtype,
        param_dtype=weight_dtype(dtype),
        kernel_init=initializer(init),
        conv_general_dilated=convolution,
        name=name,
    )


def max_pool(x: Float[Array, 'B H W C']) -> Float[Array, 'B H//2 W//2 C']:
    """2×2 max-pooling, stride 2, an odd last row or column left out.

    The maximum of two rows, then of two columns, on contiguous pieces: on a CPU forward and gradient take half the time
    of strided views for 28×28×32, nine tenths for 14×14×64; a reduction's gradient takes more. Ties share the gradient.
    """
    b, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2 * 2 * c)
    x = jnp.maximum(*lax.split(x, (1, 1), 2)).reshape(b, h // 2, w // 2, 2 * c)
    return jnp.maximum(*lax.split(x, (c, c), 3))


def overlapping_max_pool(x: Float[Array, 'B H W C'], padding: str) -> Float[Array, 'B h w C']:
    """3×3 max-pooling, stride 2. `padding`: same, ⌈H/2⌉ rows come out; valid, ⌊(H − 1)/2⌋, of whole windows.

    Rows, then columns, as in `max_pool`: on contiguous pieces.
    """
    for axis in (1, 2):
        if padding == 'same':
            # An even side is padded behind alone, as XLA and Keras do it.
            sides = [(0, 0, 0)] * x.ndim
            sides[axis] = (x.shape[axis] % 2, 1, 0)
            x = lax.pad(x, jnp.array(-jnp.inf, x.dtype), sides)
        x = _of_three(x, axis)
    return x


def _of_three(x: jax.Array, axis: int) -> jax.Array:
    """Maxima of three neighbours at every second place of an axis."""
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    count, size = (x.shape[axis] - 1) // 2, math.prod(after)
    flat = x.reshape(*before, -1, size)
    pairs = lax.slice_in_dim(flat, 0, 2 * count, axis=axis).reshape(*before, count, 2 * size)
    even, odd = lax.split(pairs, (size, size), axis + 1)
    last = lax.slice_in_dim(flat, 2 * count, 2 * count + 1, axis=axis)
    following = jnp.concatenate([lax.slice_in_dim(even, 1, count, axis=axis), last], axis)
    return jnp.maximum(jnp.maximum(even, odd), following).reshape(*before, count, *after)


class Dropout(nn.Module):
    """Dropout whose mask follows the example, whatever the batch it sits in: one key per example."""

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, keys: jax.Array | None) -> jax.Array:
        """x: (B, …); keys: (B,)."""
        if not train or self.rate == 0:
            return x
        if keys is None:
            raise ValueError('dropout in training needs a key per example')
        layer = zlib.crc32('/'.join(self.path).encode()) & 0x7FFFFFFF
        one = lambda key: jax.random.bernoulli(jax.random.fold_in(key, layer), jnp.float32(1 - self.rate), x.shape[1:])
        return jnp.where(jax.vmap(one)(keys), x / (1 - self.rate), jnp.zeros_like(x))


def check_images(net: str, example_shape: tuple[int, ...], least: int, cure: str = '') -> None:
    """Raises ValueError unless examples are images (H, W, C) whose sides have at least `least` pixels.

    Args:
      net: of whom that is asked, for the message. cure: one that comes before that of another net.
    """
    if len(example_shape) != 3 or min(example_shape[:2]) < least:
        raise ValueError(
            f'{net} needs images of at least {least}×{least}, not examples of shape {example_shape}; '
            f'use {cure}--config.model.name=mlp'
        )


def check_depth(depth: int, allowed: range, form: str) -> None:
    """Raises ValueError for a number of layers that a residual net cannot have; `form`: how it may be written."""
    if depth not in allowed:
        nearest = min(allowed, key=lambda d: abs(d - depth))
        raise ValueError(
            f'model.depth={depth}: {form} is needed, from {allowed[0]} to {allowed[-1]}; {nearest} is the nearest'
        )


def check_rate(rate: float) -> None:
    """Raises ValueError unless `rate` is a dropout probability."""
    if not 0 <= rate < 1:
        raise ValueError(f'model.dropout={rate}: a probability in [0, 1) is needed')
