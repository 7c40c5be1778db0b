"""Networks: a file per family with `build(num_outputs, …) -> flax module`, reached through init and apply alone."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

PyTree = Any


def init(module: nn.Module, key: jax.Array, example_shape: tuple[int, ...]) -> tuple[PyTree, PyTree]:
    """Initial weights and model statistics (batch-norm averages; empty without).

    Args:
      key: () typed key of the `init` stream.
      example_shape: shape of one example, without the batch axis.
    """
    variables = module.init(key, jnp.zeros((1, *example_shape), jnp.float32), train=False)
    return variables['params'], variables.get('stats', {})


def apply(
    module: nn.Module,
    params: PyTree,
    stats: PyTree,
    inputs: jax.Array,
    *,
    train: bool,
    weights: jax.Array | None = None,
    keys: jax.Array | None = None,
) -> tuple[jax.Array, PyTree]:
    """Outputs and new model statistics, as a pure function.

    Args:
      inputs: (B, *example_shape).
      train: batch statistics and dropout on. The new statistics are one update from the batch's; with weights summing
        to n they may be averaged over micro-batches with weight n, which gives one update from the whole batch.
      weights: (B,), 1 for a real example, 0 for padding; None: all real.
      keys: (B,) typed keys, one per example, for dropout.

    Returns:
      (B, num_outputs) in the weights' dtype, and the statistics (unchanged unless `train`).
    """
    variables = {'params': params} | ({'stats': stats} if stats else {})
    kwargs: dict[str, Any] = dict(train=train, weights=weights, keys=keys)
    outputs: Any
    if train and stats:
        outputs, updated = module.apply(variables, inputs, mutable=['stats'], **kwargs)
        stats = updated['stats']
    else:
        outputs = module.apply(variables, inputs, **kwargs)
    return outputs.astype(jax.tree.leaves(params)[0].dtype), stats
