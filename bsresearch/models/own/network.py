"""A network as pure functions of its weights: what each kind of a user's own offers, and how the engine calls it."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from bsresearch.models import layers
from bsresearch.models.own.noise import Beside

PyTree = Any


class Network(Protocol):
    """One kind of network."""

    @property
    def draws(self) -> bool:
        """Whether it has dropout."""
        ...

    @property
    def couples(self) -> str:
        """What of it lets examples of a batch see each other: BATCH_NORM, OWN_STATISTICS, or '' for nothing."""
        ...

    @property
    def keeps_groups(self) -> bool:
        """Whether ghost groups, also over several devices, are its own affair."""
        ...

    def init(self, key: jax.Array, inputs: jax.Array) -> tuple[PyTree, PyTree]:
        """Weights and model statistics."""
        ...

    def apply(
        self, params: PyTree, stats: PyTree, inputs: jax.Array, train: bool, beside: Beside
    ) -> tuple[jax.Array, PyTree]:
        """Outputs and new statistics, which are the old ones in evaluation."""
        ...


def initial(network: Network, dtype: str, key: jax.Array, inputs: jax.Array) -> tuple[PyTree, PyTree]:
    """Weights and model statistics; flax keeps those of batch norm in float32 also where it computes in float64.

    Args:
      dtype: of the computation.
    """
    wide = layers.weight_dtype(dtype)
    params, stats = network.init(key, inputs.astype(wide))
    floats = lambda x: jnp.issubdtype(x.dtype, jnp.floating)
    return params, jax.tree.map(lambda x: x.astype(wide) if floats(x) else x, jax.tree.map(jnp.asarray, stats))


def call(
    network: Network, train: bool, quiet: bool, params: PyTree, stats: PyTree, inputs: Any, weights: Any, keys: Any
) -> tuple[jax.Array, PyTree]:
    """Outputs and new statistics; `quiet`, `weights` and `keys` as Beside."""
    return network.apply(params, stats, inputs, train, Beside(weights, keys, quiet))


def needed(function: Callable[..., Any], known: Sequence[str] = ()) -> list[str]:
    """The arguments that a call must give: without a default, and not in `known`."""
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind in named and p.name not in known]
