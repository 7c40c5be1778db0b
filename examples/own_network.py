"""Networks of one's own: a small ResNet with batch norm and dropout, in flax linen and in nnx; an MLP in plain JAX.

    bsresearch run --config=quickstart --config.model.name=examples/own_network.py:resnet --workdir=runs/linen
    bsresearch run --config=quickstart --config.model.name=examples/own_network.py:nnx_resnet --workdir=runs/nnx
    bsresearch run --config=quickstart --config.model.name=examples/own_network.py:mlp --workdir=runs/mlp

A function takes the number of outputs; its keyword-only arguments become fields: --config.model.width=16. Nothing here
knows of bsresearch: padding, ghost groups and dropout by example are put in, and convolutions run as matrix products on
a CPU (docs/your_own.md).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx


class Block(nn.Module):
    """Two convolutions and a way around them."""

    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, C) → (B, H / stride, W / stride, width)."""
        y = nn.Conv(self.width, (3, 3), (self.stride, self.stride), use_bias=False)(x)
        y = nn.relu(nn.BatchNorm(use_running_average=not train)(y))
        y = nn.BatchNorm(use_running_average=not train)(nn.Conv(self.width, (3, 3), use_bias=False)(y))
        if x.shape != y.shape:
            x = nn.Conv(self.width, (1, 1), (self.stride, self.stride))(x)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """A first convolution and three blocks, of which two halve the image; dropout before the output layer."""

    num_outputs: int
    width: int
    dropout: float

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, C) → (B, num_outputs)."""
        x = nn.relu(nn.Conv(self.width, (3, 3))(x))
        for i, stride in enumerate((1, 2, 2)):
            x = Block(self.width * 2**i, stride)(x, train=train)
        x = nn.Dropout(self.dropout)(x.mean((1, 2)), deterministic=not train)
        return nn.Dense(self.num_outputs)(x)


def resnet(num_outputs: int, *, width: int = 8, dropout: float = 0.0) -> nn.Module:
    """The ResNet in linen.

    Args:
      width: channels of the first block.
      dropout: probability, before the output layer.
    """
    return ResNet(num_outputs, width, dropout)


class NnxBlock(nnx.Module):
    """As Block."""

    def __init__(self, channels: int, width: int, stride: int, rngs: nnx.Rngs):
        self.first = nnx.Conv(channels, width, (3, 3), (stride, stride), use_bias=False, rngs=rngs)
        self.second = nnx.Conv(width, width, (3, 3), use_bias=False, rngs=rngs)
        self.norms = nnx.List([nnx.BatchNorm(width, rngs=rngs) for _ in range(2)])
        changes = (channels, stride) != (width, 1)
        self.around = nnx.Conv(channels, width, (1, 1), (stride, stride), rngs=rngs) if changes else nnx.data(None)

    def __call__(self, x: jax.Array) -> jax.Array:
        """As Block's."""
        y = nnx.relu(self.norms[0](self.first(x)))
        y = self.norms[1](self.second(y))
        return nnx.relu((x if self.around is None else self.around(x)) + y)


class NnxResNet(nnx.Module):
    """As ResNet."""

    def __init__(self, num_outputs: int, channels: int, width: int, dropout: float, rngs: nnx.Rngs):
        self.first = nnx.Conv(channels, width, (3, 3), rngs=rngs)
        widths = [width, width, 2 * width, 4 * width]
        strides = (1, 2, 2)
        self.blocks = nnx.List([NnxBlock(widths[i], widths[i + 1], strides[i], rngs) for i in range(3)])
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.output = nnx.Linear(widths[-1], num_outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """As ResNet's; `train()` and `eval()` say how batch norm and dropout behave."""
        x = nnx.relu(self.first(x))
        for block in self.blocks:
            x = block(x)
        return self.output(self.dropout(x.mean((1, 2))))


def nnx_resnet(
    num_outputs: int, *, example_shape: tuple[int, ...], rngs: nnx.Rngs, width: int = 8, dropout: float = 0.0
) -> nnx.Module:
    """The same in nnx, which has to know the channels: a function that takes `example_shape` and `rngs` is given them.

    Args:
      width, dropout: as of `resnet`.
    """
    return NnxResNet(num_outputs, example_shape[-1], width, dropout, rngs)


def mlp(num_outputs: int, *, example_shape: tuple[int, ...], width: int = 64) -> tuple[Any, Any]:
    """An MLP without a library, as a pair of functions; the weights are any tree of arrays.

    Args:
      width: of its hidden layer.
    """
    size, draw = math.prod(example_shape), jax.nn.initializers.he_normal()

    def init(key: jax.Array, inputs: jax.Array) -> dict[str, jax.Array]:
        first, second = jax.random.split(key)
        kernels = {'hidden': draw(first, (size, width)), 'output': draw(second, (width, num_outputs))}
        return kernels | {'hidden_bias': jnp.zeros(width), 'output_bias': jnp.zeros(num_outputs)}

    def apply(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
        x = jax.nn.relu(x.reshape(len(x), -1) @ params['hidden'] + params['hidden_bias'])
        return x @ params['output'] + params['output_bias']

    return init, apply
