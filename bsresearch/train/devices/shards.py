"""A batch in pieces: over the devices of a mesh's batch axis, and the sum over them.

Padding fills the last pieces with weight zero, so that any batch fits any number of devices. A batch-norm group never
straddles devices, but for one that is the whole batch: its moments are then summed over all of them (models/norms.py).

psum: each device's sum, added as the machine does it fastest; the rounding follows the number of devices.
ordered: the batch is cut into a fixed number of chunks; their gradients are gathered and added in one fixed order, so
that any number of devices that divides the chunks gives the same bits. It costs a gradient's memory for each chunk.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Int, Int32

from bsresearch.planning.plan import Plan
from bsresearch.train.state import Array, Batch

PyTree = Any
# Of the mesh (parallel.py).
AXIS = 'batch'


@dataclass(frozen=True)
class Shards:
    """How a batch lies over devices.

    Attributes:
      devices: on the batch axis. lanes: examples on each, padding included.
      chunks: of the whole batch where its gradients are added in order; None: psum.
    """

    devices: int
    lanes: int
    chunks: int | None

    @property
    def axis(self) -> str | None:
        """Name of the axis to sum over; None on one device."""
        return AXIS if self.devices > 1 else None


def of(plan: Plan, batch_size: int, devices: int) -> Shards | None:
    """Of a plan's batches of that size; None where nothing is cut.

    Raises:
      ValueError: the batch does not divide evenly, and the config refuses that.
    """
    ordered = plan.execution['reduction'] == 'ordered'
    if devices == 1 and not ordered:
        return None
    chunks = plan.execution['reduction_chunks'] if ordered else None
    unit = 1 if spans_batch(plan, batch_size) else plan.ghost_batch_size or 1
    pieces = chunks or devices
    lanes = -(-(batch_size // unit) // pieces) * unit * pieces // devices
    if plan.execution['uneven_batch'] == 'refuse' and lanes * devices != batch_size:
        raise ValueError(
            f'batch_size={batch_size} does not divide evenly into {pieces} pieces'
            f'{f" of whole batch-norm groups of {unit}" if unit > 1 else ""}, and config.uneven_batch=refuse; choose '
            'other numbers, or config.uneven_batch=pad, which gives the same result with some idle lanes'
        )
    return Shards(devices, lanes, chunks)


def spans_batch(plan: Plan, batch_size: int) -> bool:
    """Whether one batch-norm group is the whole batch."""
    return plan.ghost_batch_size == batch_size


def piece(batch: Batch, by: Int[Array, ''] | int, ids: Int32[Array, ' lanes'], epoch_size: int) -> Batch:
    """The part of a batch that begins `by` examples after it, and holds these ids."""
    offset = batch.offset + by
    return Batch(ids, batch.count, batch.epoch + offset // epoch_size, offset % epoch_size, batch.start + by)


def total(shards: Shards, share: Callable[[Batch], PyTree], batch: Batch, epoch_size: int) -> PyTree:
    """Σ over the whole batch of `share` of its pieces; the same on every device.

    Args:
      share: of a piece, its part of the sum. batch: this device's lanes; epoch and offset those of the whole batch.
    """
    place = jnp.int32(0) if shards.axis is None else jax.lax.axis_index(shards.axis)
    here = piece(batch, place * shards.lanes, batch.ids, epoch_size)
    if shards.chunks is not None:
        return _ordered(shards, share, here, epoch_size)
    return jax.lax.psum(share(here), AXIS)


def _ordered(shards: Shards, share: Callable[[Batch], PyTree], batch: Batch, epoch_size: int) -> PyTree:
    """Of this device's `batch`. The bounds of both loops are known to the device alone: a loop of known length may be
    compiled in another way.
    """
    assert shards.chunks is not None
    chunks = shards.chunks // shards.devices
    size = shards.lanes // chunks
    rows = batch.ids.reshape(chunks, size)

    def fill(i: jax.Array, shares: PyTree) -> PyTree:
        part = share(piece(batch, i * size, rows[i], epoch_size))
        return jax.tree.map(lambda buffer, x: buffer.at[i].set(x), shares, part)

    def add(i: jax.Array, summed: PyTree) -> PyTree:
        return jax.tree.map(lambda s, x: s + x[i], summed, shares)

    like = jax.eval_shape(share, piece(batch, 0, rows[0], epoch_size))
    shares = jax.tree.map(lambda x: jnp.zeros((chunks, *x.shape), x.dtype), like)
    filled = jnp.clip(-(-(batch.count - batch.start) // size), 0, chunks)
    shares = jax.lax.fori_loop(0, filled, fill, shares)
    if shards.axis is not None:
        shares = jax.lax.all_gather(shares, shards.axis, tiled=True)
    first = jax.tree.map(lambda x: x[0], shares)
    return jax.lax.fori_loop(1, -(-batch.count // size), add, first)
