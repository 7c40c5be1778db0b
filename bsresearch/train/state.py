"""What a step takes and returns: NamedTuples of arrays, for one replica.

Their fields' shapes are checked in tests, where a function of a module with jaxtyping takes or returns one.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Int32, Key, Num, Shaped

from bsresearch.optim import Hyper

PyTree = Any
if TYPE_CHECKING:
    Array = Any
else:
    # On the device, on the host, or its shape alone.
    Array = jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct


class State(NamedTuple):
    """θ_t and what goes with it.

    step: t.
    params, stats: weights and model statistics.
    opt_state: the optimizer's; holds no hyperparameter.
    """

    step: Int32[Array, '']
    params: PyTree
    stats: PyTree
    opt_state: PyTree


class Origins(NamedTuple):
    """Weights that distances are measured from. initial: θ_0, of a branch's first ancestor. branch: where it began."""

    initial: PyTree
    branch: PyTree


class Average(NamedTuple):
    """Moving averages of weights and model statistics; of θ_0 before the first update. None without averaging."""

    params: PyTree
    stats: PyTree


class Data(NamedTuple):
    """Examples. inputs: in their stored dtype; labels: int32, or float32; several an example where each is 0 or 1."""

    inputs: Shaped[Array, 'N *example']
    labels: Num[Array, 'N *labels']


class Batch(NamedTuple):
    """One update's batch, or a piece of it: ids are rows of Data (data/order.py).

    count: real examples of the whole batch; epoch and offset are of the first id here, which is number `start` of the
    batch.
    """

    ids: Int32[Array, ' _']
    count: Int32[Array, '']
    epoch: Int32[Array, '']
    offset: Int32[Array, '']
    start: Int[Array, ''] | int = 0


class Tables(NamedTuple):
    """What up to K updates read, from the host.

    ids: B each, where devices share a batch (devices, lanes). counts, epochs, offsets: as in Batch. hyper: (K,) each.
    ema_rate: how far the moving average of the weights goes towards the new ones (policy.ema_rate), None without one.
    """

    ids: Int32[Array, 'K *B']
    counts: Int32[Array, ' K']
    epochs: Int32[Array, ' K']
    offsets: Int32[Array, ' K']
    hyper: Hyper
    ema_rate: Float[Array, ' K'] | None


class Keys(NamedTuple):
    """Base keys of a run's streams."""

    augment: Key[Array, '']
    dropout: Key[Array, '']


class Info(NamedTuple):
    """Scalars of update t, measured at θ_t; of a chunk (K,) each. Zero-size arrays are of what was not asked for.

    loss: mean training objective of the batch. clip_size: what the gradient was clipped by (step.clip); zero-size
      without clipping. gradient_norm: before clipping. clipped_gradient_norm: after it, where the gradient is
      clipped. update_norm: ‖θ_{t+1} − θ_t‖.
    """

    loss: Float[Array, '*K']
    clip_size: Float[Array, '...']
    gradient_norm: Float[Array, '...']
    clipped_gradient_norm: Float[Array, '...']
    update_norm: Float[Array, '...']


class Advanced(NamedTuple):
    """After some updates. infos: of a whole chunk, those past the updates that were made meaningless.

    finite: whether all weights, and all that the optimizer keeps, are finite.
    """

    state: State
    average: Average | None
    infos: Info
    finite: Bool[Array, '2']
