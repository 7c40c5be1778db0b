"""A pair of functions: `init(key, inputs) -> params` and `apply(params, inputs) -> outputs`."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bsresearch.models.own import noise

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
        needed = [
            p for p in inspect.signature(function).parameters.values()
            if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]  # fmt: skip
        if len(needed) != 2:
            raise ValueError(f'model {name}: {form} is needed, not {function.__name__}{inspect.signature(function)}')
    return OfPair(init, apply, 'train' in inspect.signature(apply).parameters)


def check(name: str, pair: OfPair, shape: tuple[int, ...]) -> None:
    """Raises ValueError for a pair whose outputs of an example follow the others of its batch."""
    with jax.ensure_compile_time_eval():  # where it is asked for, shapes are being traced
        key = jax.random.key(0)
        inputs = jax.random.normal(key, (2, *shape))
        params = pair.init_(key, inputs)
        together, alone = pair.apply_(params, inputs), pair.apply_(params, inputs[:1])
        apart = bool(jnp.allclose(together[:1], alone, rtol=1e-3, atol=1e-3))
    if not apart:
        raise ValueError(f'model {name}: outputs of an example follow the others of its batch; use a flax BatchNorm')
