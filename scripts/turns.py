"""What benchmarks share: updates by the very program that the loop runs, and sides that take turns."""

import concurrent.futures
import contextlib
import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bsresearch.planning import edit, resolve, schema
from bsresearch.planning.plan import Plan
from bsresearch.train import program, step, updates
from bsresearch.train.devices import compiling, layout, parallel
from bsresearch.train.feed import Feed

Turn = Callable[[int], float]  # so many updates → seconds
MEAN, STD = 0.1307, 0.3081
GREY_DATA = f'{__name__}:grey_images'
GREY = ('mlp', 'cnn')  # 28×28×1; the others take 32×32×3
FAMILIES: dict[str, dict[str, Any]] = {
    'mlp': {'name': 'mlp', 'widths': (1024, 1024)},
    'cnn': {'name': 'cnn', 'widths': (32, 64), 'dense_width': 128},
    'resnet_8': {'name': 'resnet', 'depth': 8},
    'resnet_20': {'name': 'resnet', 'depth': 20},
    'c1': {'name': 'c1', 'dropout': 0.0},
    'wrn_16_4': {'name': 'wide_resnet', 'depth': 16, 'widening': 4},
}
Pairs = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def _random(*shape: int) -> Pairs:
    """Images of ten classes, to train and to test: speed does not follow what images show."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (2048 + 256, *shape), np.uint8)
    labels = generator.permutation(np.arange(len(pixels)) % 10)
    return (pixels[:2048], labels[:2048]), (pixels[2048:], labels[2048:])


def images() -> Pairs:
    """Random ones of 32×32×3."""
    return _random(32, 32, 3)


def grey_images() -> Pairs:
    """Random ones of 28×28×1."""
    return _random(28, 28, 1)


def plan(family: str, batch_size: int, changes: Mapping[str, Any] | None = None) -> Plan:
    """A run with momentum, longer than any turn; `changes`: dotted path → value."""
    c = schema.defaults()
    c.data.name = GREY_DATA if family in GREY else f'{__name__}:images'
    c.batch_size, c.momentum, c.learning_rate = batch_size, 0.9, 0.001
    c.optimizer.name, c.total_examples = 'momentum', 10**9
    declared = edit.assign(c.to_dict() | {'model': FAMILIES[family]}, changes or {})
    declared = edit.assign(declared, {'data.mean': (MEAN,), 'data.std': (STD,)})
    del declared['sweep']
    return resolve.resolve(declared)


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


def of_group(runs: Sequence[Plan], strategy: str, *, norms: bool = False) -> Turn:
    """Turns of so many updates of each run; `norms`: with the gradient's norm at every update."""
    dataset = resolve.dataset(runs[0].data)
    group = parallel.DeviceGroup(len(runs), strategy, runs[0].matmul_precision, layout.ALONE)
    task = program.task(runs[0], dataset.scale, compiling.platform(), runs[0].batch_size, 1)
    feed = Feed(runs, dataset, group, task.dtype)
    draw = jax.jit(functools.partial(step.init, task, example_shape=runs[0].example_shape))
    states = [jax.tree.map(np.asarray, draw(program.initial_key(p))) for p in runs]
    held = [(group.put(states), group.put([None] * len(runs)))]
    keys = group.put([program.keys(p) for p in runs])

    def turn(count: int) -> float:
        chunk = feed.chunk(0, min(count, feed.capacity(0)))
        start, left = time.perf_counter(), count
        while left:
            now = min(left, feed.capacity(0))
            rounds = updates.run(group, task, held[0], chunk, keys, now, norms=norms)
            held[0] = ([each.state for each in rounds if each], [each.average for each in rounds if each])
            left -= now
        jax.block_until_ready(held[0])
        return time.perf_counter() - start

    turn(1)
    return turn


_turns: list[Turn] = []  # in a process that `elsewhere` began: its own


def _begin(build: Callable[..., Turn], *given: Any, **settings: Any) -> None:
    _turns.append(build(*given, **settings))


def _take(updates: int) -> float:
    return _turns[0](updates)


@contextlib.contextmanager
def elsewhere(build: Callable[..., Turn], *given: Any, **settings: Any) -> Iterator[Turn]:
    """The turns that `build` gives, in a process of its own, which waits without a core while it has none to take.

    Raises:
      Exception: what `build` or a turn raises there.
    """
    spawn = multiprocessing.get_context('spawn')
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as process:
        process.submit(_begin, build, *given, **settings).result()
        yield lambda updates: process.submit(_take, updates).result()


def _torch_loop(*given: Any, **settings: Any) -> Turn:
    from .torch_turns import of_loop  # there alone, as PyTorch is optional

    return of_loop(*given, **settings)


@contextlib.contextmanager
def beside_torch(
    sides: Mapping[str, Turn], plan: Plan, model: Mapping[str, Any], loops: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Turn]]:
    """These sides and PyTorch's loops, each `elsewhere`: in one process the threads of both look for work on the same
    cores, and updates took up to twice as long.

    Args:
      loops: name → settings of `torch_turns.of_loop`.
    """
    with contextlib.ExitStack() as stack:
        theirs = {
            name: stack.enter_context(elsewhere(_torch_loop, plan, model, **settings))
            for name, settings in loops.items()
        }
        yield {**sides, **theirs}


def rates(sides: Mapping[str, Turn], updates: Mapping[str, int], rounds: int) -> dict[str, list[float]]:
    """Updates per second of each side, round by round, each round in another order; `updates`: of its turns."""
    names, per_second = list(sides), {name: list[float]() for name in sides}
    for r in range(rounds):
        first = r % len(names)
        for name in names[first:] + names[:first]:
            per_second[name].append(updates[name] / sides[name](updates[name]))
    return per_second


def length(turn: Turn, seconds: float) -> int:
    """Updates that take about so long: ever more are tried, for a turn's beginning would count for many of few."""
    count, taken = 1, turn(1)
    while taken < seconds / 4:
        count *= 4
        taken = turn(count)
    return max(1, round(seconds * count / taken))


def lengths(sides: Mapping[str, Turn], seconds: float) -> dict[str, int]:
    """Of each side."""
    return {name: length(turn, seconds) for name, turn in sides.items()}


class Ratio(NamedTuple):
    """Of the rates of two sides, round by round."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> 'Ratio':
        """Both in the order of the rounds."""
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        return cls(statistics.median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        return f'{self.median:.2f} ({self.low:.2f} to {self.high:.2f})'


def device_memory() -> dict[str, int]:
    """What the device tells of its memory, in bytes; nothing where it does not tell."""
    return jax.local_devices()[0].memory_stats() or {}


def matmul_rate(dtype: str = 'float32', precision: str = 'highest', size: int = 2048) -> float:
    """FLOP/s of a large product of two square matrices, best of several; `precision` as config.matmul_precision."""
    x = jnp.ones((size, size), dtype)
    product = jax.jit(lambda a: jnp.matmul(a, a, precision=precision))
    jax.block_until_ready(product(x))
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(product(x))
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
