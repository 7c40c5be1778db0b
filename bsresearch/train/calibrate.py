"""Seconds per update of one run alone: the unit of the records' `seconds`, whatever group the run was trained in."""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bsresearch.train import program
from bsresearch.train.feed import Feed
from bsresearch.train.parallel import Group
from bsresearch.train.step import Task
from bsresearch.units import Segment

TARGET_SECONDS = 0.3


def seconds_per_update(task: Task, group: Group, feed: Feed, state: Any, keys: Any, segment: Segment) -> float:
    """Measured on a copy of a state, without compiling, evaluating or saving.

    Args:
      task: of the segment's batch size. state, keys: of the feed's first replica.
      segment: the updates to be timed.
    """
    available = min(feed.capacity(segment.start), segment.stop - segment.start)
    data, tables = feed.one(0, segment.start, available)
    advance = functools.partial(program.advance, task, False)
    average = program.initial_average(feed.plans[0], state)

    def run(carry: Any, count: int) -> Any:
        args = (*carry, data, tables, keys, np.int32(count))
        return jax.block_until_ready(group.call('advance/False', advance, args, donate=(0, 1))[:2])

    state = run(jax.tree.map(jnp.array, (state, average)), 1)
    count = 1
    while True:
        start = time.perf_counter()
        state = run(state, count)
        seconds = time.perf_counter() - start
        if seconds > TARGET_SECONDS / 2 or count == available:
            return seconds / count
        count = min(available, max(2 * count, int(count * TARGET_SECONDS / max(seconds, 1e-6))))
