"""The call that makes updates: one program for all who make them."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from bsresearch.train import program
from bsresearch.train.feed import SPLIT_DATA, SPLIT_TABLES
from bsresearch.train.parallel import Group
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
    return group.map(
        f'advance/{norms}',
        functools.partial(program.advance, task, norms),
        (*carry, data, tables, keys, np.int32(count)),
        (True, True, streamed, True, True, False),
        donate=(0, 1),
        alive=alive,
        split=(None, None, SPLIT_DATA if streamed else None, SPLIT_TABLES, None, None),
        rounds=rounds,
    )
