"""One program from a function of one replica: on one device, over a mesh by `shard_map`, or by `pmap`.

A lane is a replica of a round. The function itself sums over the devices that share a batch (shards.py); here each of
them gets its part of the arguments, without the axis that counts the devices.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from bsresearch.train.devices import shards
from bsresearch.train.devices.layout import REPLICA, Across, Layout

PyTree = Any
Function = Callable[..., PyTree]


class Lowerable(Protocol):
    """What `jax.jit` and `jax.pmap` return."""

    def lower(self, *args: PyTree) -> jax.stages.Lowered:
        """The program for arguments of these shapes."""
        ...


class Arguments(NamedTuple):
    """How the arguments and the result of a function of one replica lie.

    mapped: for each argument, whether it is per replica.
    donate: numbers of the arguments whose buffers the result may take.
    split: for each argument, which axis of its arrays (of one replica) lies over the devices that share a batch; a tree
      of these, None for arrays that all of them have. None: no argument is split.
    split_result: whether each of these devices has a part of the result: they are stacked on a first axis.
    """

    mapped: tuple[bool, ...]
    donate: tuple[int, ...] = ()
    split: tuple[PyTree, ...] | None = None
    split_result: bool = False

    def on(self, layout: Layout) -> 'Arguments':
        """The same where a batch is not shared: nothing is split."""
        return self if layout.batch > 1 else self._replace(split=None, split_result=False)

    def axes(self, of_axis: Callable[[int | None, bool], Any]) -> tuple[PyTree, ...]:
        """For each argument a tree of `of_axis`(its split axis or None, whether it is mapped)."""
        split = (None,) * len(self.mapped) if self.split is None else self.split
        return tuple(
            jax.tree.map(lambda axis, m=m: of_axis(axis, m), axes, is_leaf=is_none)
            for axes, m in zip(split, self.mapped, strict=True)
        )


def is_none(x: PyTree) -> bool:
    """For trees whose leaves may be None."""
    return x is None


def over_lanes(function: Function, mapped: tuple[bool, ...]) -> Function:
    """All lanes at once."""
    return jax.vmap(function, in_axes=tuple(0 if m else None for m in mapped))


def of_one_lane(function: Function, mapped: tuple[bool, ...]) -> Function:
    """Of arrays with a first axis of length one, for one lane; the function itself is not mapped."""

    def one_lane(*args: PyTree) -> PyTree:
        replica = [jax.tree.map(lambda x: x[0], arg) if m else arg for arg, m in zip(args, mapped, strict=True)]
        return jax.tree.map(lambda x: x[None], function(*replica))

    return one_lane


def on_one_device(function: Function, how: Arguments) -> Lowerable:
    """`function` of a round, compiled for one device."""
    return jax.jit(function, donate_argnums=how.donate)


def over_mesh(function: Function, how: Arguments, layout: Layout, stacked: bool) -> Lowerable:
    """`function` of the lanes of one row, under `shard_map`. `stacked`: whether mapped arguments have a lane axis."""
    device_axes = how.axes(lambda axis, mapped: None if axis is None else axis + (mapped and stacked))

    def part(axis: int | None, arrays: PyTree) -> PyTree:
        return arrays if axis is None else jax.tree.map(lambda x: jnp.squeeze(x, axis), arrays)

    def on_each(*args: PyTree) -> PyTree:
        parts = [jax.tree.map(part, axes, arg, is_leaf=is_none) for axes, arg in zip(device_axes, args, strict=True)]
        result = function(*parts)
        return jax.tree.map(lambda x: x[None], result) if how.split_result else result

    lanes = (REPLICA,) if stacked else ()
    result_spec = PartitionSpec(shards.AXIS, *lanes) if how.split_result else PartitionSpec(*lanes)
    mapped = jax.shard_map(
        on_each,
        mesh=layout.mesh,
        in_specs=how.axes(lambda axis, mapped: spec(axis, mapped and stacked, layout)),
        out_specs=result_spec,
        check_vma=False,
    )
    return jax.jit(mapped, donate_argnums=how.donate)


def over_pmap(function: Function, how: Arguments, layout: Layout, stacked: bool) -> Lowerable:
    """`function` under `jax.pmap`, which wants a mapped argument whatever the function needs: the devices' numbers.

    It has been in maintenance since JAX 0.8, where it became a wrapper of jit and shard_map: it is kept for code and
    hardware that are used to it, spreads the batch alone, and reuses no buffers. New work should use jit.
    """

    def numbered(number: jax.Array, *args: PyTree) -> PyTree:
        return function(*args)

    axes = how.axes(lambda axis, mapped: None if axis is None else axis + (mapped and stacked))
    result_axis = 0 if how.split_result else None
    mapped = jax.pmap(numbered, shards.AXIS, in_axes=(0, *axes), out_axes=result_axis, devices=layout.devices)
    return Across(mapped) if jax.process_count() > 1 else mapped


def spec(axis: int | None, lanes: bool, layout: Layout) -> PartitionSpec:
    """Of an array with a first axis of `lanes`, whose `axis` (of one replica's) lies over the batch's devices."""
    first = [REPLICA if layout.how == 'jit' else None] if lanes else []
    return PartitionSpec(*first, *([None] * axis + [shards.AXIS] if axis is not None else []))
