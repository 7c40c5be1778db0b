"""Which devices a group is trained on: a mesh (replica, batch).

Replicas are spread first, for they need not speak to each other, then the batch of each. It changes no result but by
rounding (shards.py), is chosen anew at every launch, and so may differ between a run's beginning and its resume.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bsresearch.planning.plan import Plan
from bsresearch.train.devices import shards

REPLICA = 'replica'


@dataclass(frozen=True)
class Layout:
    """devices: row after row, `replicas` rows of `batch` devices. how: jit | pmap (train/devices/parallel.py)."""

    devices: tuple[Any, ...]
    replicas: int = 1
    batch: int = 1
    how: str = 'jit'

    @property
    def single(self) -> bool:
        """Whether there is nothing to spread."""
        return len(self.devices) < 2

    @property
    def mesh(self) -> Mesh:
        """Of jax, axes (replica, batch)."""
        return Mesh(np.array(self.devices).reshape(self.replicas, self.batch), (REPLICA, shards.AXIS))

    def sharding(self, spec: PartitionSpec) -> NamedSharding:
        """Of an array on these devices; under pmap they are one axis."""
        mesh = Mesh(np.array(self.devices), (shards.AXIS,)) if self.how == 'pmap' else self.mesh
        return NamedSharding(mesh, spec)

    def __str__(self) -> str:
        if self.single:
            return '1 device'
        return f'{self.replicas} × {self.batch} devices (replica × batch, {self.how})'


ALONE = Layout(())


def choose(plans: Sequence[Plan]) -> Layout:
    """The layout of a group of runs, from the fields of schema.PLACEMENT in their `execution`.

    Raises:
      ValueError: more devices than there are, a mesh that does not multiply out or does not fit the group.
    """
    placement, there = plans[0].execution, jax.devices()
    asked = placement['devices']
    if asked is not None and asked > len(there):
        raise ValueError(
            f'config.devices={asked}: there are {len(there)} ({there[0].platform}, in {jax.process_count()} '
            f'processes); ask for at most {len(there)}'
        )
    rows, columns = placement['mesh']['replica'], placement['mesh']['batch']
    if placement['parallel'] == 'pmap':
        if (rows or 1) > 1:
            raise ValueError(f'config.mesh.replica={rows}: pmap spreads the batch alone; use config.parallel=jit')
        rows = 1
    if rows is None and columns is None:
        rows, columns = _by_itself(plans, asked or len(there))
    else:
        rows, columns = _given(len(plans), rows, columns, asked, len(there))
    if len(plans) % rows:
        raise ValueError(
            f'config.mesh.replica={rows} does not divide the {len(plans)} runs of a group; choose a divisor of it, or '
            'leave it out'
        )
    used = there[: rows * columns]
    if len(used) < len(there) and jax.process_count() > 1:
        raise ValueError(
            f'a mesh of {rows} × {columns} (replica × batch) leaves out some of the {len(there)} devices of '
            f'{jax.process_count()} processes; every process must take part: leave out config.mesh and config.devices'
        )
    layout = Layout(tuple(used), rows, columns, placement['parallel'])
    for segment in plans[0].length.segments:
        shards.of(plans[0], segment.batch_size, layout.batch)
    _check_chunks(plans[0], layout)
    return layout


@dataclass(frozen=True)
class Across:
    """A function of jax.pmap over several processes, lowered by whole arrays, which its program takes; pmap itself is
    lowered by what a process holds of them.
    """

    mapped: Any

    def lower(self, *args: Any) -> Any:
        """As jit's."""
        return self.mapped.lower(*jax.tree.map(local_zeros, args))


def local_zeros(x: Any) -> Any:
    """Zeros in the shape of what this process holds of an array on a mesh; anything else as it is."""
    if not isinstance(x, jax.Array) or not isinstance(x.sharding, NamedSharding):
        return x
    spec = (*x.sharding.spec, *[None] * (x.ndim - len(x.sharding.spec)))
    local = len(x.sharding.addressable_devices)
    shape = tuple(n if axis is None else local for n, axis in zip(x.shape, spec, strict=True))
    if jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key):
        return jax.numpy.broadcast_to(jax.random.key(0, impl=jax.random.key_impl(x)), shape)
    return np.zeros(shape, x.dtype)


def _given(runs: int, rows: int | None, columns: int | None, asked: int | None, there: int) -> tuple[int, int]:
    """A mesh of which at least one side is given."""
    have = asked or there
    named = f'config.mesh.replica={rows}' if rows else f'config.mesh.batch={columns}'
    if rows is None or columns is None:
        side = rows or columns or 1
        if have % side:
            raise ValueError(f'{named} does not divide {have} devices; choose a divisor, or give both sides')
        if columns is None:
            return side, have // side
        # As many rows as the runs fill evenly; several processes must all take part.
        most = have // side
        return (most if jax.process_count() > 1 else max(r for r in range(1, most + 1) if runs % r == 0)), side
    if rows * columns > there or (asked is not None and rows * columns != asked):
        meant = f'config.devices={asked}' if asked is not None else f'the {there} devices there are'
        raise ValueError(
            f'config.mesh.replica={rows} × config.mesh.batch={columns} makes {rows * columns}, which does not fit '
            f'{meant}; choose sides that multiply to the devices to be used'
        )
    return rows, columns


def _by_itself(plans: Sequence[Plan], devices: int) -> tuple[int, int]:
    """As many rows as the runs can fill evenly; then as many columns as a batch has pieces for."""
    plan, all_ = plans[0], jax.process_count() > 1
    fits = lambda rows: len(plans) % rows == 0 and (not all_ or devices % rows == 0)
    rows = max(r for r in range(1, devices + 1) if fits(r))
    if all_:
        return rows, devices // rows
    size = plan.length.largest_batch_size
    unit = 1 if shards.spans_batch(plan, size) else plan.ghost_batch_size or 1
    columns = min(devices // rows, size // unit)
    if plan.execution['reduction'] == 'ordered':
        columns = max(c for c in range(1, columns + 1) if plan.execution['reduction_chunks'] % c == 0)
    return rows, columns


def _check_chunks(plan: Plan, layout: Layout) -> None:
    chunks = plan.execution['reduction_chunks']
    if plan.execution['reduction'] == 'ordered' and chunks % layout.batch:
        raise ValueError(
            f'config.reduction=ordered adds {chunks} chunks, which {layout.batch} devices cannot share; use a number '
            f'of devices that divides config.reduction_chunks={chunks}'
        )
