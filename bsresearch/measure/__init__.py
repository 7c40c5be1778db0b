"""Measured quantities, one per file: `build(…) -> Measure`, and when they are measured (when.py)."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

PyTree = Any


class Context(NamedTuple):
    """What a measurement may look at: θ_t, before update t.

    step: () int32.
    params, initial_params: θ_t and θ_0.
    batch: (inputs, labels) of n training examples drawn with replacement for this measurement alone; None unless the
      measure declares `batch_size` n. Its stream is its own: measuring disturbs nothing.
    gradient: (params, batch) → (mean loss, gradient) in training mode, without augmentation or dropout.
    hyper: the hyperparameters update t will use (optim.Hyper); those of the last update at the end of the run.
    """

    step: jax.Array
    params: PyTree
    initial_params: PyTree
    batch: Any
    gradient: Callable[[PyTree, Any], tuple[jax.Array, PyTree]]
    hyper: Any


class Measure(NamedTuple):
    """A measurement as pure functions for one replica.

    init: params → mstate, a tree of arrays that is checkpointed with the run (() if there is nothing to carry).
    update: (mstate, Context) → (mstate, {metric name: () array}).
    stateless: whether it can be made later from a checkpoint alone.
    batch_size: examples to draw for `Context.batch`; 0 for none.
    unit: examples of its smallest gradient call, a whole number of batch-norm groups; 0: batch_size.
    """

    init: Callable[[PyTree], PyTree]
    update: Callable[[PyTree, Context], tuple[PyTree, dict[str, jax.Array]]]
    stateless: bool = True
    batch_size: int = 0
    unit: int = 0


def layers(params: PyTree) -> dict[str, PyTree]:
    """The top-level modules of a parameter tree, by name: what `per_layer` metrics are split by."""
    return dict(sorted(params.items()))


def squared_norm(tree: PyTree) -> Float[Array, '']:
    """Σ x² over all leaves, in the leaves' precision or float32 if that is higher."""
    wide = lambda x: x.astype(jnp.promote_types(x.dtype, jnp.float32))
    leaves: Sequence[jax.Array] = [wide(x) for x in jax.tree.leaves(tree)]
    return sum((jnp.vdot(x, x).real for x in leaves), start=jnp.zeros((), jnp.float32))
