"""What a step takes and returns: NamedTuples of arrays, for one replica."""

from typing import Any, NamedTuple

import jax

PyTree = Any


class State(NamedTuple):
    """θ_t and what goes with it.

    step: () int32, t.
    params, stats: weights and model statistics.
    opt_state: the optimizer's; holds no hyperparameter.
    """

    step: jax.Array
    params: PyTree
    stats: PyTree
    opt_state: PyTree


class Data(NamedTuple):
    """Examples on the device. inputs: (N, *example_shape), stored dtype; labels: (N,) int32."""

    inputs: jax.Array
    labels: jax.Array


class Batch(NamedTuple):
    """One update's batch. ids: (B,) int32 rows of Data; count, epoch, offset: () int32 (data/order.py)."""

    ids: jax.Array
    count: jax.Array
    epoch: jax.Array
    offset: jax.Array


class Keys(NamedTuple):
    """Base keys of a run's streams, () typed keys."""

    augment: jax.Array
    dropout: jax.Array


class Info(NamedTuple):
    """Scalars of update t, measured at θ_t. The norms are zero-size arrays unless asked for.

    loss: () mean loss of the batch. gradient_norm: () before clipping. update_norm: () ‖θ_{t+1} − θ_t‖.
    """

    loss: jax.Array
    gradient_norm: jax.Array
    update_norm: jax.Array
