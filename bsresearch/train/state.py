"""What a step takes and returns: NamedTuples of arrays, for one replica."""

from typing import Any, NamedTuple

PyTree = Any
# jax.Array on the device, np.ndarray on the host.
Array = Any


class State(NamedTuple):
    """θ_t and what goes with it.

    step: () int32, t.
    params, stats: weights and model statistics.
    opt_state: the optimizer's; holds no hyperparameter.
    """

    step: Array
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
    """Examples on the device. inputs: (N, *example_shape), stored dtype; labels: (N,) int32, or float32."""

    inputs: Array
    labels: Array


class Batch(NamedTuple):
    """One update's batch, or a piece of it. ids: (B,) int32 rows of Data; count, epoch, offset: () int32
    (data/order.py).

    count is of the whole batch; epoch and offset are of the first id here, which is number `start` of the batch.
    """

    ids: Array
    count: Array
    epoch: Array
    offset: Array
    start: Any = 0


class Keys(NamedTuple):
    """Base keys of a run's streams, () typed keys."""

    augment: Array
    dropout: Array


class Info(NamedTuple):
    """Scalars of update t, measured at θ_t. The norms are zero-size arrays unless asked for.

    loss: () mean training objective of the batch. clip_size: () what the gradient was clipped by (step.clip); zero-size
      without clipping. gradient_norm: () before clipping. clipped_gradient_norm: () after it, where the
      gradient is clipped. update_norm: () ‖θ_{t+1} − θ_t‖.
    """

    loss: Array
    clip_size: Array
    gradient_norm: Array
    clipped_gradient_norm: Array
    update_norm: Array
