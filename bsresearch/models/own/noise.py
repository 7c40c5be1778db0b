"""What a plain network does not take and is given beside its inputs: weights of the examples, and a key for each."""

import math
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

PyTree = Any
STREAM = 'examples'  # of random numbers, within linen
# What lets examples of a batch see each other.
BATCH_NORM, OWN_STATISTICS = 'batch norm', 'statistics of its own'


class Beside(NamedTuple):
    """weights: (B,), 0 for padding, or None. keys: (B,) typed keys for dropout, or None. quiet: no dropout."""

    weights: jax.Array | None
    keys: jax.Array | None
    quiet: bool


def mask(beside: Beside, inputs: jax.Array, axis: int | Sequence[int]) -> jax.Array | None:
    """Which examples batch norm counts, to be broadcast against its inputs; None for all.

    Where none is real, all count: a mean of nothing would be NaN, and their weight is 0 in the end.

    Args:
      axis: of the features, as flax's BatchNorm has it.

    Raises:
      ValueError: one value of each feature, which has no spread; or inputs whose examples are not told by their rows.
    """
    if inputs.size == _features(inputs, axis):
        raise ValueError(
            'batch norm over groups of 1 example: one value of each feature has no spread; use a batch_size and a '
            'ghost_batch_size of at least 2'
        )
    if beside.weights is None:
        return None
    if len(inputs) != len(beside.weights):
        raise ValueError(
            f'batch norm of inputs {inputs.shape}: they are {len(beside.weights)} examples, and padding is not told '
            'from them unless the batch is the first axis'
        )
    real = beside.weights > 0
    return (real | ~real.any()).reshape(-1, *(1,) * (inputs.ndim - 1))


def moved(beside: Beside, inputs: jax.Array, axis: int | Sequence[int], before: PyTree, after: PyTree) -> PyTree:
    """Running statistics of batch norm after a call: the old ones where one real value of each feature has no spread.

    As the package's own batch norm does it (models/norms.py): a variance of 0 would take a part off the running one.

    Args:
      before, after: statistics before and after the call that counted `inputs` as `mask` says.
    """
    if beside.weights is None or inputs.size != len(inputs) * _features(inputs, axis):
        return after
    lone = (beside.weights > 0).sum() < 2
    return jax.tree.map(lambda old, new: jnp.where(lone, old, new), before, after)


def _features(inputs: jax.Array, axis: int | Sequence[int]) -> int:
    """How many features batch norm has."""
    return math.prod(inputs.shape[a] for a in ((axis,) if isinstance(axis, int) else axis))


def drop(beside: Beside, name: str, inputs: jax.Array, rate: float, shared: tuple[int, ...] = ()) -> jax.Array:
    """Dropout with a mask that follows the example, whatever the batch it sits in.

    Args:
      name: of the layer and call, so that each has masks of its own. shared: axes of `inputs` over which a mask is one.

    Raises:
      ValueError: no keys, or a mask that examples share.
    """
    if beside.quiet or rate == 0:
        return inputs
    if beside.keys is None:
        raise ValueError(f'dropout layer {name}: in training a key for each example is needed')
    if 0 in (axis % inputs.ndim for axis in shared):
        raise ValueError(f'dropout layer {name}: one mask for all examples of a batch would follow the batch size')
    if len(inputs) != len(beside.keys):
        raise ValueError(
            f'dropout layer {name} of inputs {inputs.shape}: they are {len(beside.keys)} examples, each of which has a '
            'mask of its own only where the batch is the first axis'
        )
    shape = [1 if axis + 1 in [s % inputs.ndim for s in shared] else n for axis, n in enumerate(inputs.shape[1:])]
    layer = zlib.crc32(name.encode()) & 0x7FFFFFFF
    one = lambda key: jax.random.bernoulli(jax.random.fold_in(key, layer), jnp.float32(1 - rate), shape)
    return jnp.where(jax.vmap(one)(beside.keys), inputs / max(1 - rate, 1e-30), jnp.zeros_like(inputs))
