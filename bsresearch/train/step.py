"""One update of one replica: a pure function. Micro-batches sum gradients and weights and divide once.

The named scopes change no number: they are what a profile tells an update's phases by (phases.py).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from bsresearch import models
from bsresearch.data import preprocess
from bsresearch.measure import dense_norms
from bsresearch.models import losses
from bsresearch.optim import Hyper, Transform
from bsresearch.train.devices.shards import Shards, piece, total
from bsresearch.train.state import Array, Batch, Data, Info, Keys, State

PyTree = Any
# Up to this batch size the norm of a dense net's gradient is had from its layers (measure/dense_norms.py): measured.
DENSE_NORM_BATCH = 64
# (mean loss, its gradient, new model statistics)
Gradient = tuple[Float[Array, ''], PyTree, PyTree]


@dataclass(frozen=True)
class Task:
    """The static parts of training, closed over by the compiled programs.

    Attributes:
      module: the network. dtype: of inputs and weights.
      loss: (outputs, labels) → (B,) losses, the training objective.
      plain_loss: the same without what only the objective has (label smoothing); None where it has nothing.
      classifies: whether outputs are classes, so that there is an accuracy.
      transform: hyperparameters → optimizer.
      normalize: stored inputs → network inputs.
      augment, crop_padding: data/preprocess.py. epoch_size: examples in the training set.
      dropout: whether the network draws per-example noise.
      clip_norm, clip_value: clipping of the whole batch's gradient, None for none.
      micro_batch_size: examples per gradient call; the batch size for a single call.
      shards: how the batch lies over devices (train/devices/shards.py); None where it is whole.
      update_norm: whether norms include that of the update, which costs a pass over the weights.
      precondition: (optimizer's slots, gradient, hyperparameters) → gradient times the optimizer's diagonal; None where
        it has none.
    """

    module: models.Network
    dtype: Any
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    transform: Transform
    normalize: Callable[[jax.Array], jax.Array]
    augment: tuple[str, ...]
    crop_padding: int
    epoch_size: int
    dropout: bool
    clip_norm: float | None
    clip_value: float | None
    micro_batch_size: int
    update_norm: bool = True
    precondition: Callable[[PyTree, PyTree, Hyper], PyTree] | None = None
    plain_loss: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    classifies: bool = True
    shards: Shards | None = None

    @property
    def clips(self) -> bool:
        """Whether gradients are clipped."""
        return self.clip_norm is not None or self.clip_value is not None


def norm(tree: PyTree) -> Float[Array, '']:
    """Euclidean norm over all leaves."""
    return jnp.sqrt(sum(jnp.vdot(x, x).real for x in jax.tree.leaves(tree)))


def init(task: Task, key: jax.Array, example_shape: tuple[int, ...]) -> State:
    """θ_0 from a key of the `init` stream."""
    params, stats = models.init(task.module, key, example_shape)
    zero = jnp.zeros((), task.dtype)
    opt_state = task.transform(Hyper(zero, zero, None)).init(params)
    return State(jnp.zeros((), jnp.int32), params, stats, opt_state)


def loss_sum(
    task: Task, params: PyTree, stats: PyTree, data: Data, batch: Batch, weights: Float[Array, ' B'], keys: Keys
) -> tuple[Float[Array, ''], PyTree]:
    """Σ w_i l_i over the batch's examples in training mode, and the new model statistics."""
    place = (batch.epoch, batch.offset, len(batch.ids), task.epoch_size)
    with jax.named_scope('data'):
        inputs = data.inputs[batch.ids]
        if task.augment:
            inputs = preprocess.augment(
                preprocess.example_keys(keys.augment, *place), inputs, task.augment, task.crop_padding
            )  # fmt: skip
        dropout = preprocess.example_keys(keys.dropout, *place) if task.dropout else None
        inputs = task.normalize(inputs)
    with jax.named_scope('forward'):
        outputs, stats = models.apply(task.module, params, stats, inputs, train=True, weights=weights, keys=dropout)
    with jax.named_scope('data'):
        labels = data.labels[batch.ids]
    with jax.named_scope('forward'):
        return losses.weighted_sum(task.loss(outputs, labels), weights), stats


def _weights(task: Task, batch: Batch) -> Float[Array, ' B']:
    """1 for a real example, 0 for padding."""
    with jax.named_scope('data'):
        return (batch.start + jnp.arange(len(batch.ids)) < batch.count).astype(task.dtype)


def _whole(task: Task, state: State, data: Data, batch: Batch, keys: Keys) -> Gradient:
    """(mean loss, its gradient, new statistics) from one gradient call."""
    mean_loss = functools.partial(_mean_loss, task, state, data, batch, keys)
    (loss, stats), gradient = jax.value_and_grad(mean_loss, has_aux=True)(state.params)
    return loss, gradient, stats


def _mean_loss(
    task: Task, state: State, data: Data, batch: Batch, keys: Keys, params: PyTree
) -> tuple[jax.Array, PyTree]:
    summed, stats = loss_sum(task, params, state.stats, data, batch, _weights(task, batch), keys)
    with jax.named_scope('forward'):
        return summed / batch.count.astype(task.dtype), stats


def _with_norm(
    task: Task, state: State, data: Data, batch: Batch, keys: Keys
) -> tuple[jax.Array, PyTree, PyTree, jax.Array] | None:
    """`_whole` and the gradient's norm from what dense layers see; None where the net has others.

    A norm of the gradient itself would have to hold all of it, which an update at B = 1 never does.
    """
    mean_loss = functools.partial(_mean_loss, task, state, data, batch, keys)
    if not models.seen_by_layer(task.module):
        return None
    try:
        offsets = dense_norms.zero_offsets(lambda: mean_loss(state.params), state.params)
    except ValueError:
        return None

    def seen(params: PyTree, offsets: dict[str, jax.Array]) -> tuple[jax.Array, PyTree]:
        (loss, stats), inputs = dense_norms.tapped(lambda: mean_loss(params), offsets)
        return loss, (stats, inputs)

    of_both = jax.value_and_grad(seen, argnums=(0, 1), has_aux=True)
    (loss, (stats, inputs)), (gradient, errors) = of_both(state.params, offsets)
    with jax.named_scope('measure'):
        square = dense_norms.batch_square(dense_norms.layers(state.params, inputs, errors))
        return loss, gradient, stats, jnp.sqrt(square)


def _accumulated(task: Task, state: State, data: Data, batch: Batch, keys: Keys) -> Gradient:
    """The same from micro-batches; the last may be ragged (padded with weight zero)."""
    size, micro = len(batch.ids), task.micro_batch_size
    calls = -(-size // micro)
    ids = jnp.pad(batch.ids, (0, calls * micro - size)).reshape(calls, micro)

    def add(sums: PyTree, call: tuple[jax.Array, jax.Array]) -> tuple[PyTree, None]:
        start, rows = call
        part = piece(batch, start, rows, task.epoch_size)
        # What pads the last call may be real examples of the next device.
        weights = _weights(task, part) * (start + jnp.arange(micro) < size)
        value = lambda p: loss_sum(task, p, state.stats, data, part, weights, keys)
        (loss, stats), gradient = jax.value_and_grad(value, has_aux=True)(state.params)
        # Each micro-batch's statistics are one update from it: their mean by examples is one update from the batch.
        with jax.named_scope('backward'):
            stats = jax.tree.map(lambda s: s * weights.sum(), stats)
            return jax.tree.map(jnp.add, sums, (loss, gradient, stats)), None

    zero = jax.tree.map(jnp.zeros_like, (jnp.zeros((), task.dtype), state.params, state.stats))
    starts = jnp.arange(calls, dtype=jnp.int32) * micro
    sums, _ = jax.lax.scan(add, zero, (starts, ids))
    with jax.named_scope('backward'):
        loss, gradient, stats = jax.tree.map(lambda x: x / batch.count.astype(task.dtype), sums)
    return loss, gradient, stats


def _sharded(task: Task, state: State, data: Data, batch: Batch, keys: Keys) -> Gradient:
    """The same from the shards of a batch, of which this device holds one."""
    assert task.shards is not None

    def share(part: Batch) -> Gradient:
        if task.micro_batch_size < len(part.ids):
            return _accumulated(task, state, data, part, keys)
        loss, gradient, stats = _whole(task, state, data, part, keys)
        portion = _weights(task, part).sum() / part.count.astype(task.dtype)
        return loss, gradient, jax.tree.map(lambda s: s * portion, stats)

    with jax.named_scope('backward'):  # what it adds up; the scopes within stand
        return total(task.shards, share, batch, task.epoch_size)


def clip(task: Task, gradient: PyTree) -> tuple[PyTree, Float[Array, '']]:
    """The whole batch's gradient, clipped as the task says, and the largest size it was clipped by.

    That is its largest entry for `clip_value`, then its norm for `clip_norm`; 0 without clipping. Where it is not
    finite the result means nothing: an infinite norm, also of finite entries, would leave zeros.
    """
    size = jnp.zeros((), task.dtype)
    if (bound := task.clip_value) is not None:
        size = jnp.stack([jnp.abs(g).max() for g in jax.tree.leaves(gradient)]).max()
        gradient = jax.tree.map(lambda g: jnp.clip(g, -bound, bound), gradient)
    if task.clip_norm is not None:
        length = norm(gradient)
        size = jnp.maximum(size, length)
        # As torch's clip_grad_norm_ but without its 1e-6: the bound is exact, and below it nothing changes.
        factor = jnp.minimum(1, task.clip_norm / jnp.maximum(length, jnp.finfo(task.dtype).tiny))
        gradient = jax.tree.map(lambda g: g * factor, gradient)
    return gradient, size


def step(
    task: Task, state: State, data: Data, batch: Batch, hyper: Hyper, keys: Keys, *, norms: bool
) -> tuple[State, Info]:
    """θ_t → θ_{t+1}.

    Args:
      norms: whether Info carries the norms. They never change the update: bit for bit the same with and without.
    """
    whole = task.micro_batch_size == len(batch.ids) and task.shards is None
    small = norms and whole and len(batch.ids) <= DENSE_NORM_BATCH
    with_norm = _with_norm(task, state, data, batch, keys) if small else None
    if with_norm is None:
        gradient_of = _sharded if task.shards is not None else _whole if whole else _accumulated
        with_norm = (*gradient_of(task, state, data, batch, keys), None)
    loss, gradient, stats, length = with_norm
    # Where XLA heeds the barriers (not on a CPU), they keep the update's rounding free of what else reads its parts;
    # that recording changes no bit is tested.
    gradient = jax.lax.optimization_barrier(gradient)
    none = jnp.zeros((0,), task.dtype)
    with jax.named_scope('optimizer'):
        clipped, clip_size = clip(task, gradient)
    info = Info(loss, clip_size if task.clips else none, none, none, none)
    if norms:
        with jax.named_scope('measure'):
            info = info._replace(gradient_norm=norm(gradient) if length is None else length)
            info = info._replace(clipped_gradient_norm=norm(clipped) if task.clips else none)
    with jax.named_scope('optimizer'):
        updates, opt_state = task.transform(hyper).update(clipped, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
    if norms and task.update_norm:
        with jax.named_scope('measure'):
            before, after = jax.lax.optimization_barrier((state.params, params))
            info = info._replace(update_norm=norm(jax.tree.map(jnp.subtract, after, before)))
    return State(state.step + 1, params, stats, opt_state), info
