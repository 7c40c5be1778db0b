"""Networks that are wrong in the ways a user's are, named by `tests/users_mistakes.py:<function>`."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx


class Plain(nn.Module):
    """One layer, and what is done to its outputs."""

    num_outputs: int
    form: str = ''

    @nn.compact
    def __call__(self, x: jax.Array) -> Any:
        y = nn.Dense(self.num_outputs)(x if self.form == 'not_flat' else x.reshape(x.shape[0], -1))
        match self.form:
            case 'tuple':
                return y, x
            case 'one_each':
                return y[:, 0]
            case 'transposed':
                return y.T
            case 'integers':
                return (10 * y).astype(jnp.int32)
            case 'nothing':
                return None
        return y


def plain(num_outputs: int, *, form: str = '') -> nn.Module:
    return Plain(num_outputs, form)


def one_too_many(num_outputs: int) -> nn.Module:
    return Plain(num_outputs + 1)


network = Plain(10)


def the_class(num_outputs: int) -> Any:
    return Plain


class OtherSwitch(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, mode: str) -> jax.Array:
        return nn.Dense(10)(x.reshape(x.shape[0], -1))


def other_switch(num_outputs: int) -> nn.Module:
    return OtherSwitch()


class Noisy(nn.Module):
    stream: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        return nn.Dense(10)(x + jax.random.normal(self.make_rng(self.stream), x.shape) if train else x)


def noisy(num_outputs: int, *, stream: str = 'noise') -> nn.Module:
    return Noisy(stream)


class AlwaysNormal(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        return nn.Dense(10)(nn.BatchNorm(use_running_average=False)(x.reshape(x.shape[0], -1)))


def always_normal(num_outputs: int) -> nn.Module:
    return AlwaysNormal()


class Merged(nn.Module):
    """Positions and examples on one axis."""

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        rows = x.reshape(-1, x.shape[-1])
        if self.rate:
            rows = nn.Dropout(self.rate, deterministic=not train)(rows)
        else:
            rows = nn.BatchNorm(use_running_average=not train)(rows)
        return nn.Dense(10)(rows.reshape(x.shape[0], -1))


def merged(num_outputs: int, *, rate: float = 0.0) -> nn.Module:
    return Merged(rate)


class Shared(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = nn.Dropout(0.5, broadcast_dims=(0,), deterministic=not train)(x.reshape(x.shape[0], -1))
        return nn.Dense(10)(x)


def shared_mask(num_outputs: int) -> nn.Module:
    return Shared()


class Embedded(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(10)(nn.Embed(10, 4)(x.reshape(x.shape[0], -1)).mean(1))


def embedded(num_outputs: int) -> nn.Module:
    return Embedded()


class NnxPlain(nnx.Module):
    def __init__(self, inputs: int, rngs: nnx.Rngs):
        self.layer = nnx.Linear(inputs, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layer(x)


def nnx_flat_expected(num_outputs: int, *, example_shape: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Module:
    return NnxPlain(math.prod(example_shape), rngs)


def nnx_without_rngs(num_outputs: int) -> nnx.Module:
    return NnxPlain(72, nnx.Rngs(0))


class ChannelsFirst(nnx.Module):
    def __init__(self, channels: int, rngs: nnx.Rngs):
        self.conv = nnx.Conv(channels, 10, (3, 3), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.conv(x).mean((1, 2))


def channels_first(num_outputs: int, *, example_shape: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Module:
    return ChannelsFirst(example_shape[0], rngs)


class Table(nnx.Module):
    def __init__(self, inputs: int, rngs: nnx.Rngs):
        self.layer, self.table = nnx.Linear(inputs, 10, rngs=rngs), jnp.ones(inputs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layer(x.reshape(x.shape[0], -1) * self.table[None])


def nnx_table(num_outputs: int, *, example_shape: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Module:
    return Table(math.prod(example_shape), rngs)


class Switched(NnxPlain):
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.layer(x.reshape(x.shape[0], -1))


def nnx_switch(num_outputs: int, *, example_shape: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Module:
    return Switched(math.prod(example_shape), rngs)


def narrow(num_outputs: int, *, dtype: str = 'float32', weights: str = '', outputs: str = '') -> nn.Module:
    """Weights of another kind than the run's, or outputs."""
    layer = nn.Dense(num_outputs, dtype=outputs or dtype, param_dtype=weights or dtype)
    return nn.Sequential([lambda x: x.reshape(x.shape[0], -1), layer])


def init_alone(num_outputs: int) -> Any:
    return nn.Dense(num_outputs).init, nn.Dense(num_outputs).apply
