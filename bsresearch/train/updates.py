"""The call that makes updates: one program for all who make them."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from bsresearch.train import program
from bsresearch.train.devices.mapping import Arguments
from bsresearch.train.devices.parallel import DeviceGroup, Rounds
from bsresearch.train.feed import SPLIT_DATA, SPLIT_TABLES, Chunk
from bsresearch.train.state import Advanced, Data, Keys
from bsresearch.train.step import Task

PyTree = Any


def run(
    group: DeviceGroup,
    task: Task,
    carry: tuple[Rounds, Rounds],
    chunk: Chunk,
    keys: Rounds,
    count: int,
    *,
    norms: bool = False,
    alive: Sequence[bool] | None = None,
    rounds: int | None = None,
) -> list[Advanced | None]:
    """program.advance over the replicas of a group, round after round; the carry's buffers are given away.

    Args:
      task: of the updates' batch size and of the group's devices.
      carry: states and averages. keys: as the group holds them.
      count: how many of the chunk's updates. norms: as in program.advance. alive, rounds: as in DeviceGroup.map.
    """
    streamed = not isinstance(chunk.data, Data)  # rounds of what is read, not the one training set
    args = (*carry, chunk.data, chunk.tables, keys, np.int32(count))
    return group.map(f'advance/{norms}', _advance(task, norms), args, _arguments(streamed), alive=alive, rounds=rounds)


def compiled(
    group: DeviceGroup,
    task: Task,
    carry: tuple[PyTree, PyTree],
    data: Data,
    tables: program.Tables,
    keys: Keys,
    *,
    streamed: bool,
    norms: bool,
) -> jax.stages.Compiled:
    """The program that `run` runs in each round, from shapes alone: those of one replica; nothing is run.

    `streamed`: whether `data` are of a chunk. Others as in `run`.
    """
    how = _arguments(streamed)
    assert how.split is not None
    shapes = (*carry, data, tables, keys)
    args = [group.like(*arg) for arg in zip(shapes, how.mapped, how.split, strict=False)]
    return group.compiled(_advance(task, norms), (*args, np.int32(0)), how)


def _advance(task: Task, norms: bool) -> Callable[..., PyTree]:
    return functools.partial(program.advance, task, norms)


def _arguments(streamed: bool) -> Arguments:
    """Of (state, average, data, tables, keys, count)."""
    split = (None, None, SPLIT_DATA if streamed else None, SPLIT_TABLES, None, None)
    return Arguments((True, True, streamed, True, True, False), (0, 1), split)
