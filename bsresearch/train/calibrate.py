"""Seconds per update of one run alone: the unit of the records' `seconds`, whatever group the run was trained in."""

import functools
import time
from collections.abc import Hashable, Mapping
from typing import Any

import jax

from bsresearch.core.units import Segment
from bsresearch.train import program, updates
from bsresearch.train.devices import processes
from bsresearch.train.devices.parallel import DeviceGroup, unstack
from bsresearch.train.feed import Feed
from bsresearch.train.step import Task

PyTree = Any
TARGET_SECONDS = 0.3
# What was timed in this process, by the programs called: groups of like runs count in one unit, and are timed once.
TIMED: dict[Hashable, float] = {}


def pace(group: DeviceGroup, feed: Feed, tasks: Mapping[int, Task], states: Any) -> list[float]:
    """Seconds per update of each segment of the runs: the plan's, or timed, equal batch sizes once.

    Args:
      tasks: by batch size. states: of all replicas, stacked on the host.
    """
    plan, timed = feed.plans[0], dict[int, float]()
    alone = group if group.strategy == 'sequential' else group.alone()
    if (known := plan.execution['seconds_per_update']) is not None:
        return [known] * len(plan.length.segments)
    for segment in plan.length.segments:
        if segment.stop <= plan.start:
            timed.setdefault(segment.batch_size, 0.0)
        elif not timed.get(size := segment.batch_size):
            segment = segment._replace(start=max(segment.start, plan.start))
            timed[size] = seconds_per_update(tasks[size], alone, feed, states, segment)
    return [timed[segment.batch_size] for segment in plan.length.segments]


def seconds_per_update(
    task: Task, group: DeviceGroup, feed: Feed, states: Any, segment: Segment, target: float = TARGET_SECONDS
) -> float:
    """Of a round of a group's runs: timed, where no like group was.

    Args:
      task: of the segment's batch size. segment: the updates to be timed. target: seconds that the timing takes.
        Others as in `pace`.
    """
    size, programs = segment.batch_size, (group.kind, group.strategy, group.lanes, group.layout)
    key = *programs, size, feed.capacity(segment.start), feed.on_device
    if key not in TIMED:
        TIMED[key] = _timed(task, group, feed, states, segment, target)
    return TIMED[key]


def _timed(task: Task, group: DeviceGroup, feed: Feed, states: Any, segment: Segment, target: float) -> float:
    """Measured on copies of the first states, without compiling, evaluating or saving."""
    feed = feed if group is feed.group else feed.beside(group)
    available = min(feed.capacity(segment.start), segment.stop - segment.start)
    chunk = feed.chunk(segment.start, available, group.lanes)
    plans, states = feed.plans[: group.lanes], unstack(states, group.lanes)
    [state] = group.put(states)
    [average] = group.put([program.initial_average(plan, state) for plan, state in zip(plans, states, strict=True)])
    keys = group.put([program.keys(plan) for plan in plans])

    def run(carry: tuple[PyTree, PyTree], count: int) -> tuple[PyTree, PyTree]:
        state, average = carry
        [advanced] = updates.run(group, task, ([state], [average]), chunk, keys, count, rounds=1)
        assert advanced is not None
        return jax.block_until_ready((advanced.state, advanced.average))

    carry = run((state, average), 1)
    count = 1
    while True:
        start = time.perf_counter()
        carry = run(carry, count)
        seconds = processes.share(functools.partial(_since, start))
        if seconds > target / 2 or count == available:
            return seconds / count
        count = min(available, max(2 * count, int(count * target / max(seconds, 1e-6))))


def _since(start: float) -> float:
    return time.perf_counter() - start
