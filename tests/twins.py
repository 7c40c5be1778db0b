"""The package's nets from flax's own layers, with names as ours: no groups, no patches, no weights of examples."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

KEEP = 0.9
RESNET = {'name': 'resnet', 'depth': 8, 'width': 2, 'shortcut': 'B'}
conv = functools.partial(nn.Conv, use_bias=False, param_dtype=jnp.float64)
wide: dict[str, Any] = {'param_dtype': jnp.float64}


def norm(train: bool, name: str) -> nn.BatchNorm:
    return nn.BatchNorm(not train, momentum=KEEP, use_fast_variance=False, name=name, **wide)


class Block(nn.Module):
    """Of the residual net."""

    width: int
    stride: int
    train: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = conv(self.width, (3, 3), self.stride, padding=1, name='conv_0')(x)
        y = conv(self.width, (3, 3), padding=1, name='conv_1')(nn.relu(norm(self.train, 'norm_0')(y)))
        if x.shape[-1] != self.width:
            x = conv(self.width, (1, 1), self.stride, padding=0, name='conv_around')(x)
            x = norm(self.train, 'norm_around')(x)
        return nn.relu(x + norm(self.train, 'norm_1')(y))


class Twin(nn.Module):
    """Of a config's model section, for ten classes."""

    model: dict[str, Any]
    train: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = getattr(self, self.model['name'])(x)
        return nn.Dense(10, name='output', **wide)(x)

    def mlp(self, x: jax.Array) -> jax.Array:
        x = x.reshape(len(x), -1)
        for i, width in enumerate(self.model['widths']):
            x = nn.Dense(width, name=f'dense_{i}', **wide)(x)
            x = nn.relu(norm(self.train, f'norm_{i}')(x) if self.model['batch_norm'] else x)
        return x

    def cnn(self, x: jax.Array) -> jax.Array:
        for i, width in enumerate(self.model['widths']):
            x = norm(self.train, f'norm_{i}')(nn.Conv(width, (3, 3), name=f'conv_{i}', **wide)(x))
            x = nn.max_pool(nn.relu(x), (2, 2), (2, 2))
        return nn.relu(nn.Dense(self.model['dense_width'], name='dense', **wide)(x.reshape(len(x), -1)))

    def resnet(self, x: jax.Array) -> jax.Array:
        x = conv(self.model['width'], (3, 3), name='conv_0')(x)
        x = nn.relu(norm(self.train, 'norm_0')(x))
        for i, stride in enumerate((1, 2, 2)):
            x = Block(self.model['width'] * 2**i, stride, self.train, name=f'block_{i}')(x)
        return x.mean((1, 2))
