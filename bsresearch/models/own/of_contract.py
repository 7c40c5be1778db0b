"""A linen module that takes `train`, `weights` and `keys`, as those of bsresearch/models."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from bsresearch.models import layers
from bsresearch.models.own.noise import BATCH_NORM, Beside

PyTree = Any
CONTRACT = ('train', 'weights', 'keys')


class OfContract(NamedTuple):
    """As Network."""

    module: nn.Module
    draws: bool
    couples: str
    keeps_groups: bool

    def init(self, key: jax.Array, inputs: jax.Array) -> tuple[PyTree, PyTree]:
        """As Network."""
        variables = self.module.init(key, inputs, train=False, weights=None, keys=None)
        return variables.get('params', {}), variables.get('stats', {})

    def apply(
        self, params: PyTree, stats: PyTree, inputs: jax.Array, train: bool, beside: Beside
    ) -> tuple[jax.Array, PyTree]:
        """As Network."""
        variables = {'params': params} | ({'stats': stats} if stats else {})
        with nn.intercept_methods(_without_dropout) if beside.quiet else contextlib.nullcontext():
            outputs: Any = self.module.apply(
                variables, inputs, train=train, weights=beside.weights, keys=beside.keys, mutable=['stats']
            )
        return outputs[0], outputs[1].get('stats', stats) if train else stats


def _without_dropout(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
    return args[0] if isinstance(context.module, layers.Dropout | nn.Dropout) else call(*args, **kwargs)


def network(module: nn.Module, keeps_groups: bool, shape: tuple[int, ...]) -> OfContract:
    """Of a module; `shape` is that of an example.

    Args:
      keeps_groups: whether its function takes ghost groups and the axis that they lie over.
    """
    plain, key = OfContract(module, False, '', keeps_groups), jax.eval_shape(lambda: jax.random.key(0))
    inputs = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    params, stats = jax.eval_shape(plain.init, key, inputs)
    try:
        jax.eval_shape(lambda p, s, x: plain.apply(p, s, x, True, Beside(None, None, False)), params, stats, inputs)
        draws = False
    except ValueError:  # dropout without keys
        draws = True
    return plain._replace(draws=draws, couples=BATCH_NORM if jax.tree.leaves(stats) else '')
