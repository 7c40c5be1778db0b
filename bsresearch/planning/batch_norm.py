"""The batch-norm group of a declared config: how many examples are normalized together."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from bsresearch import models
from bsresearch.core import rng, units
from bsresearch.planning import sections, workers


def _check_spread(model: Mapping[str, Any], num_outputs: int, shape: tuple[int, ...]) -> None:
    """Raises ValueError where batch norm over single examples would have one value of each feature."""
    module = sections.built('model', model, num_outputs)

    def train(key: jax.Array) -> Any:
        params, stats = models.init(module, key, shape)
        return models.apply(module, params, stats, jnp.zeros((1, *shape)), train=True, keys=key[None])

    jax.eval_shape(train, rng.key(0, 'init'))


def ghost_batch_size(
    c: Mapping[str, Any], model: Mapping[str, Any], length: units.Length, num_outputs: int, shape: tuple[int, ...]
) -> int | None:
    """The batch-norm group resolved, and every batch and the micro-batch checked against it; None without batch norm.

    Args:
      c: the completed config. model: its section, completed. length: of the run. shape: of an example.

    Raises:
      ValueError: a batch or micro-batch that is no whole number of groups, or groups without spread.
    """
    sizes = [segment.batch_size for segment in length.segments]
    given, micro = workers.ghost_batch_size(c, sizes, bool(model.get('batch_norm'))), c['micro_batch_size']
    if not model.get('batch_norm'):
        return None
    ghost = given or c['batch_size']
    for size in sizes:
        if size % ghost:
            raise ValueError(
                f'batch_size={size} is not a whole number of batch-norm groups of ghost_batch_size={ghost}; choose one '
                'that divides it (a growing batch: cap it with max_batch_size at a multiple)'
            )
    if micro is not None and micro % ghost:
        raise ValueError(
            f'micro_batch_size={micro} is not a whole number of batch-norm groups of ghost_batch_size={ghost}; '
            f'use a multiple of {ghost}, or set ghost_batch_size'
        )
    if c['reduction'] == 'ordered' and ghost > 1 and any(s.batch_size == ghost for s in length.segments):
        raise ValueError(
            f'config.reduction=ordered cannot cut a batch that is one batch-norm group of {ghost}; set '
            'ghost_batch_size to a part of it, or config.reduction=psum'
        )
    if ghost == 1:
        _check_spread(model, num_outputs, shape)
    return ghost
