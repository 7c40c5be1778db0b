"""The call that makes updates: one program for all who make them."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from bsresearch.train import program
from bsresearch.train.devices.parallel import Group
from bsresearch.train.feed import SPLIT_DATA, SPLIT_TABLES
from bsresearch.train.state import Data
from bsresearch.train.step import Task


def run(
    group: Group,
    task: Task,
    carry: tuple[Any, Any],
    data: Any,
    tables: Any,
    keys: Any,
    count: int,
    *,
    norms: bool = False,
    alive: Sequence[bool] | None = None,
    rounds: int | None = None,
) -> list[Any]:
    """program.advance over the replicas of a group; the carry's buffers are given away.

    Args:
      task: of the updates' batch size and of the group's devices.
      carry: states and averages. data, tables: of a chunk (feed.Feed.chunk). keys: all as the group holds them.
      count: how many of the chunk's updates. norms: as in program.advance. alive, rounds: as in parallel.Group.map.
    """
    streamed = not isinstance(data, Data)  # rounds of what is read, not the one training set
    args = (*carry, data, tables, keys, np.int32(count))
    fn, mapped, how = _program(task, streamed, norms)
    return group.map(f'advance/{norms}', fn, args, mapped, **how, alive=alive, rounds=rounds)


def compiled(
    group: Group, task: Task, carry: tuple[Any, Any], data: Any, tables: Any, keys: Any, *, streamed: bool, norms: bool
) -> Any:
    """The program that `run` runs in each round, from shapes alone: those of one replica; nothing is run.

    `streamed`: whether `data` are of a chunk. Others as in `run`.
    """
    fn, mapped, how = _program(task, streamed, norms)
    args = zip((*carry, data, tables, keys), mapped, how['split'], strict=False)
    return group.compiled(fn, (*(group.like(*arg) for arg in args), np.int32(0)), mapped, **how)


def _program(task: Task, streamed: bool, norms: bool) -> tuple[Any, tuple[bool, ...], dict[str, Any]]:
    """The function of one replica, and how `parallel.Group.map` maps it."""
    split = (None, None, SPLIT_DATA if streamed else None, SPLIT_TABLES, None, None)
    mapped = (True, True, streamed, True, True, False)
    return functools.partial(program.advance, task, norms), mapped, {'donate': (0, 1), 'split': split}
