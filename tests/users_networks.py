"""Networks as a user writes them, named by `tests/users_networks.py:<function>`; and some that are wrong."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx


def flat(x: jax.Array) -> jax.Array:
    return x.reshape(x.shape[0], -1)


def positions(x: jax.Array) -> jax.Array:
    """(B, …, C) → (B, positions, C)."""
    return x.reshape(x.shape[0], -1, x.shape[-1])


def of_dtype(dtype: str) -> dict[str, Any]:
    """A layer's arguments: weights are never narrower than float32."""
    return {'dtype': dtype, 'param_dtype': jnp.promote_types('float32', dtype)}


class TwoNorms(nn.Module):
    """Batch norm over examples and positions, then over examples alone; dropout."""

    num_outputs: int
    dropout: float
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        kinds = of_dtype(self.dtype)
        norm = functools.partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, **kinds)
        x = nn.relu(norm(name='norm_0')(nn.Dense(6, name='dense_0', **kinds)(positions(x))))
        x = norm(name='norm_1')(nn.Dense(5, name='dense_1', **kinds)(flat(x)))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.num_outputs, name='output', **kinds)(x)


def two_norms(num_outputs: int, *, dropout: float = 0.0, dtype: str = 'float32') -> nn.Module:
    return TwoNorms(num_outputs, dropout, dtype)


class NnxTwoNorms(nnx.Module):
    def __init__(self, shape: tuple[int, ...], outputs: int, dropout: float, dtype: str, rngs: nnx.Rngs):
        kinds: Any = {**of_dtype(dtype), 'rngs': rngs}
        self.dense_0 = nnx.Linear(shape[-1], 6, **kinds)
        self.norm_0 = nnx.BatchNorm(6, momentum=0.9, **kinds)
        self.dense_1 = nnx.Linear(6 * math.prod(shape[:-1]), 5, **kinds)
        self.norm_1 = nnx.BatchNorm(5, momentum=0.9, **kinds)
        self.drop = nnx.Dropout(dropout, rngs=rngs)
        self.output = nnx.Linear(5, outputs, **kinds)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.norm_0(self.dense_0(positions(x))))
        return self.output(self.drop(self.norm_1(self.dense_1(flat(x)))))


def nnx_two_norms(
    num_outputs: int,
    *,
    example_shape: tuple[int, ...],
    rngs: nnx.Rngs,
    dropout: float = 0.0,
    dtype: str = 'float32',
) -> nnx.Module:
    return NnxTwoNorms(example_shape, num_outputs, dropout, dtype, rngs)


class Dropped(nn.Module):
    """Dropout alone."""

    num_outputs: int

    @nn.compact
    def __call__(self, x: jax.Array, training: bool) -> jax.Array:
        x = nn.relu(nn.Dense(16)(flat(x)))
        return nn.Dense(self.num_outputs)(nn.Dropout(0.5, deterministic=not training)(x))


def dropped(num_outputs: int) -> nn.Module:
    return Dropped(num_outputs)


class OfKind(nn.Module):
    """A layer of a kind, the mean over positions, a dense layer."""

    num_outputs: int
    kind: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.kind == 'attention':
            x = nn.MultiHeadDotProductAttention(2, qkv_features=4)(nn.LayerNorm()(positions(x)))
        if self.kind == 'one_axis':
            x = nn.Conv(4, (3,))(positions(x))
        if self.kind == 'transposed':
            x = nn.ConvTranspose(4, (3, 3), (2, 2))(x)
        if self.kind == 'grouped':
            x = nn.Conv(4, (3, 3), feature_group_count=2)(x)
        if self.kind == 'dilated':
            x = nn.Conv(4, (3, 3), kernel_dilation=(2, 2))(x)
        if self.kind == 'embedded':
            x = nn.Embed(10, 4)(x.astype(jnp.int32).clip(0, 9))
        if self.kind == 'half':
            x = nn.Dense(4, dtype=jnp.bfloat16)(x)
        x = nn.LayerNorm()(positions(x))
        return nn.Dense(self.num_outputs)(x.mean(1))


def of_kind(num_outputs: int, *, kind: str = 'attention') -> nn.Module:
    return OfKind(num_outputs, kind)


def with_table(num_outputs: int, *, example_shape: tuple[int, ...]) -> Any:
    """A pair whose functions share an array that was made before both."""
    table = jnp.sin(jnp.arange(math.prod(example_shape), dtype=jnp.float32))
    return (
        lambda key, inputs: jax.random.normal(key, (len(table), num_outputs)),
        lambda params, inputs: (flat(inputs) * table[None]) @ params,
    )


COUPLINGS = {
    'mean': lambda x: x - x.mean(0, keepdims=True),
    'softmax': lambda x: jax.nn.softmax(x, 0),
    'sort': lambda x: jnp.sort(x, 0),
    'reverse': lambda x: x[::-1],
    'scan': lambda x: jnp.cumsum(x[::-1], 0)[::-1],
}


class Coupled(nn.Module):
    """Lets examples of a batch see each other, which no state shows; its last layer begins at 0."""

    num_outputs: int
    how: str
    in_evaluation: bool
    norm: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.Dense(8)(flat(x))
        if self.norm:
            x = nn.BatchNorm(use_running_average=not train)(x)
        if train or self.in_evaluation:
            x = COUPLINGS[self.how](x)
        return nn.Dense(self.num_outputs, kernel_init=nn.initializers.zeros)(x)


def coupled(num_outputs: int, *, how: str = 'mean', in_evaluation: bool = True, norm: bool = False) -> nn.Module:
    return Coupled(num_outputs, how, in_evaluation, norm)


class NnxCoupled(nnx.Module):
    """Batch norm that never uses its running averages."""

    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.norm, self.layer = nnx.BatchNorm(inputs, rngs=rngs), nnx.Linear(inputs, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layer(self.norm(flat(x), use_running_average=False))


def nnx_coupled(num_outputs: int, *, example_shape: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Module:
    return NnxCoupled(math.prod(example_shape), num_outputs, rngs)
