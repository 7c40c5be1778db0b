"""Layers that flax lacks: convolution and pooling for loops on a CPU, ghost batch norm, dropout by example."""

import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

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


def dense(features: int, init: str, dtype: str, name: str) -> nn.Dense:
    """A fully connected layer with zero biases."""
    return nn.Dense(
        features, dtype=dtype, param_dtype=weight_dtype(dtype), kernel_init=initializer(init), dot_general=product,
        name=name,
    )  # fmt: skip


def convolution(lhs: jax.Array, rhs: jax.Array, strides: Sequence[int], padding: Any, **kw: Any) -> jax.Array:
    """For `nn.Conv(conv_general_dilated=…)`: XLA's own, but a matrix product on a CPU (models/convolutions.py)."""
    return convolutions.fast(lambda x, k: lax.conv_general_dilated(x, k, strides, padding, **kw))(lhs, rhs)


def conv(
    features: int, kernel_size: int, init: str, dtype: str, name: str, *, stride: int = 1, bias: bool = True
) -> nn.Conv:
    """A square convolution with zero biases, or none.

    SAME at stride 1; beyond it padded alike on all sides, as torch's and the papers', where SAME would pad less before
    an even side than behind it.
    """
    return nn.Conv(
        features,
        (kernel_size, kernel_size),
        strides=stride,
        padding='SAME' if stride == 1 else (kernel_size - 1) // 2,
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


class BatchNorm(nn.Module):
    """Batch normalization over ghost groups of `ghost` consecutive examples (Hoffer et al. 2017, arXiv:1705.08741, 4).

    Each group is normalized by its own mean and biased variance over its real examples and all positions. One update
    of the running statistics per call, running ← m·running + (1 − m)·(mean of the groups', weighted by real examples);
    `momentum` m weighs the old value. Evaluation uses the running statistics. With `axis`, the name of a mesh's axis,
    the group is what all its devices hold together: sums over it, then one division.

    The running variance is the mean of biased ones, Σ(x − x̄)²/n as they normalize; torch's running variance divides by
    n − 1 instead: n/(n − 1) times as large, 3.2 % at n = 32.

    A group with one value of each feature has no spread. Where all groups are such, training is refused. Where the last
    group of a short batch is, it is normalized to 0 as its formula says, and the running mean and variance stand in for
    its own, so that it moves neither (its variance of 0 would take a tenth off, just before an evaluation).
    """

    ghost: int | None
    dtype: str
    axis: str | None = None
    momentum: float = 0.9
    epsilon: float = 1e-5
    initial_scale: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool, weights: jax.Array | None) -> jax.Array:
        """x: (B, …, C); weights: (B,), 0 for padding."""
        features, wide = x.shape[-1], weight_dtype(self.dtype)
        scale = self.param('scale', nn.initializers.constant(self.initial_scale), (features,), wide)
        bias = self.param('bias', nn.initializers.zeros, (features,), wide)
        running_mean = self.variable('stats', 'mean', jnp.zeros, (features,), wide)
        running_var = self.variable('stats', 'var', jnp.ones, (features,), wide)
        row = lambda v: v.reshape((1,) * (x.ndim - 1) + (-1,))
        if not train:
            gain = row(lax.rsqrt(running_var.value + self.epsilon) * scale)
            return ((x.astype(wide) - row(running_mean.value)) * gain + row(bias)).astype(x.dtype)
        group = self.ghost or x.shape[0]
        if x.shape[0] % group:
            raise ValueError(f'{x.shape[0]} examples are not a whole number of ghost groups of {group}')
        if self.axis is None and group * x.size == x.shape[0] * features:
            raise ValueError(
                'batch norm over groups of 1 example: one value of each feature has no spread, so nothing but biases '
                'would be trained; use a batch_size and a ghost_batch_size of at least 2 (with workers: a batch_size '
                'of at least twice as many), or model.batch_norm=False'
            )
        w = jnp.ones(x.shape[0], wide) if weights is None else weights.astype(wide)
        grouped = x.astype(wide).reshape(-1, group, x.size // x.shape[0] // features, features)
        w = w.reshape(-1, group, 1, 1)
        everywhere = lambda v: v if self.axis is None else lax.psum(v, self.axis)
        values = everywhere(w.sum(axis=(1, 2), keepdims=True)) * grouped.shape[2]
        count = jnp.maximum(values, 1)
        mean = everywhere((w * grouped).sum(axis=(1, 2), keepdims=True)) / count
        var = everywhere((w * (grouped - mean) ** 2).sum(axis=(1, 2), keepdims=True)) / count
        share = w.sum(axis=1) / jnp.maximum(w.sum(), 1)  # (groups, 1, 1)
        four = lambda v: v.reshape(1, 1, 1, -1)
        for running, batch in ((running_mean, mean), (running_var, var)):
            average = (share * jnp.where(values > 1, batch, four(running.value))[:, 0]).sum(axis=(0, 1))
            running.value = self.momentum * running.value + (1 - self.momentum) * average
        out = (grouped - mean) * lax.rsqrt(var + self.epsilon) * four(scale) + four(bias)
        return out.reshape(x.shape).astype(x.dtype)


@runtime_checkable
class Normalized(Protocol):
    """What a net's fields say of its batch norm."""

    batch_norm: bool
    ghost_batch_size: int | None
    dtype: str
    batch_axis: str | None


def norms(net: Normalized, train: bool, weights: jax.Array | None) -> Callable[..., jax.Array]:
    """(x, name) → x after the batch norm of that name, or x itself in a net without."""

    def norm(x: jax.Array, name: str, **kw: Any) -> jax.Array:
        if not net.batch_norm:
            return x
        layer = BatchNorm(net.ghost_batch_size, net.dtype, net.batch_axis, name=name, **kw)
        return layer(x, train=train, weights=weights)

    return norm


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
