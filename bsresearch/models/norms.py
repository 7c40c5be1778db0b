"""Batch normalization in ghost groups, that of several devices too."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from bsresearch.models import layers


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
        features, wide = x.shape[-1], layers.weight_dtype(self.dtype)
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


def of(net: Normalized, train: bool, weights: jax.Array | None) -> Callable[..., jax.Array]:
    """(x, name) → x after the batch norm of that name, or x itself in a net without."""

    def norm(x: jax.Array, name: str, **kw: Any) -> jax.Array:
        if not net.batch_norm:
            return x
        layer = BatchNorm(net.ghost_batch_size, net.dtype, net.batch_axis, name=name, **kw)
        return layer(x, train=train, weights=weights)

    return norm
