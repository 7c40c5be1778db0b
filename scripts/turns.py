"""What benchmarks share: updates by the very program that the loop runs, and sides that take turns."""

import functools
import time
from collections.abc import Callable, Mapping

import jax
import numpy as np

from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.train import program
from bsresearch.train.devices import compiling, parallel
from bsresearch.train.feed import Feed

Turn = Callable[[int], float]  # so many updates → seconds


def images() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Random images of 32×32×3 in ten classes, to train and to test."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (2048 + 256, 32, 32, 3), np.uint8)
    labels = generator.permutation(np.arange(len(pixels)) % 10)
    return (pixels[:2048], labels[:2048]), (pixels[2048:], labels[2048:])


def of_run(plan: Plan) -> tuple[Turn, float]:
    """Turns of a run, each with its tables of ids and hyperparameters; and the seconds that compiling took."""
    dataset = resolve.dataset(plan.data)
    group = parallel.DeviceGroup(1, 'sequential', plan.matmul_precision)
    task = program.task(plan, dataset.scale, compiling.platform())
    feed = Feed([plan], dataset, group, task.dtype)
    held, keys = [jax.jit(functools.partial(program.initial, task, plan))()], program.keys(plan)
    advance = functools.partial(program.advance, task, False)
    position = [0]

    def turn(updates: int) -> float:
        start = time.perf_counter()
        for done in range(0, updates, feed.capacity(0)):
            count = min(feed.capacity(0), updates - done)
            data, tables = feed.one(0, position[0], count)
            args = (held[0], None, data, tables, keys, np.int32(count))
            held[0], _, info, _ = group.call('advance', advance, args, (0,))
            # Never near the end, where a chunk would be cut.
            position[0] = (position[0] + count) % (plan.length.total_steps // 2)
        jax.block_until_ready((held[0], info))
        return time.perf_counter() - start

    turn(1)
    return turn, group.compile_seconds


def rates(sides: Mapping[str, Turn], updates: Mapping[str, int], rounds: int) -> dict[str, list[float]]:
    """Updates per second of each side, round by round, each round in another order; `updates`: of its turns."""
    names, per_second = list(sides), {name: list[float]() for name in sides}
    for r in range(rounds):
        first = r % len(names)
        for name in names[first:] + names[:first]:
            per_second[name].append(updates[name] / sides[name](updates[name]))
    return per_second
