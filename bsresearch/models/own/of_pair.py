"""A pair of functions: `init(key, inputs) -> params` and `apply(params, inputs) -> outputs`."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from bsresearch.models.own import noise
from bsresearch.models.own.network import needed

PyTree = Any


class OfPair(NamedTuple):
    """init_, apply_: the functions. Without statistics and noise; `train` is given where `apply` takes it."""

    init_: Callable[..., PyTree]
    apply_: Callable[..., jax.Array]
    takes_train: bool
    draws: bool = False
    couples: str = ''
    keeps_groups: bool = True

    def init(self, key: jax.Array, inputs: jax.Array) -> tuple[PyTree, PyTree]:
        """As Network."""
        return self.init_(key, inputs), {}

    def apply(
        self, params: PyTree, stats: PyTree, inputs: jax.Array, train: bool, beside: noise.Beside
    ) -> tuple[jax.Array, PyTree]:
        """As Network."""
        del beside
        return self.apply_(params, inputs, **({'train': train} if self.takes_train else {})), stats


def network(name: str, init: Callable[..., PyTree], apply: Callable[..., jax.Array]) -> OfPair:
    """Of two functions.

    Raises:
      ValueError: one that does not take two arguments.
    """
    for function, form in ((init, 'init(key, inputs)'), (apply, 'apply(params, inputs)')):
        if len(needed(function, () if function is init else ('train',))) != 2:
            called = getattr(function, '__name__', type(function).__name__)
            takes = ', '.join(inspect.signature(function).parameters)
            raise ValueError(f'model {name}: {form} is needed, not {called}({takes})')
    return OfPair(init, apply, 'train' in inspect.signature(apply).parameters)
