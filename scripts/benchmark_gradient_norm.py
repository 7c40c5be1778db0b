"""The walk of the gradient-norm probe against the memory traffic it cannot avoid, and the cost of a whole trial.

    python -m scripts.benchmark_gradient_norm [--samples=1024] [--rounds=7] [--widths=1024,1024]

At B = 1 a step of the walk must read the weights for the forward and backward pass and read and write them for the
update. The peer is a jitted loop that does just that: a sum over the weights, then w ← w − 1e-12·s·w, as many times.
Prints seconds per step of both and their ratio (median over rounds, each round timing both in turn, and quartiles);
then seconds of one trial at each batch size. Nothing is written. Time: two minutes on 2 CPU cores.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from bsresearch import models
from bsresearch.analysis import command
from bsresearch.measure.probes import walk
from bsresearch.measure.probes.gradient_norm import BATCH_SIZES
from bsresearch.models import losses, mlp
from bsresearch.train.devices import parallel

PATTERNS = ('output/kernel',)


def timed(run: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def traffic(steps: int, params: Any) -> Any:
    """Reads all weights, then reads and writes them, `steps` times."""

    def body(_: jax.Array, w: Any) -> Any:
        total = sum(x.sum() for x in jax.tree.leaves(w))
        return jax.tree.map(lambda x: x - 1e-12 * total * x, w)

    return jax.lax.fori_loop(0, steps, body, params)


def main() -> None:
    """Times everything in this process."""
    f = flags.FLAGS
    module = mlp.build(10, widths=tuple(int(w) for w in f.widths))
    params, _ = models.init(module, jax.random.key(0), (784,))
    rng = np.random.default_rng(0)
    data = jnp.asarray(rng.random((1, f.samples, 784), np.float32)), jnp.asarray(rng.integers(0, 10, (1, f.samples)))
    loss = lambda p, stats, b: losses.cross_entropy(models.apply(module, p, stats, b[0], train=True)[0], b[1])
    group = parallel.DeviceGroup(1, 'sequential')
    rate, one = jnp.float32(0.01), jnp.int32(1)

    def trial(size: int) -> Callable[[], Any]:
        fn = functools.partial(walk.trials, loss, PATTERNS, size, True)
        return lambda: group.call(f'walk/{size}', fn, (params, {}, data, rate, one))

    peer = lambda: group.call('traffic', functools.partial(traffic, f.samples), (params,))
    walk_once = functools.partial(walk.walk, lambda p, b: loss(p, {}, b), PATTERNS)
    walking = lambda: group.call('walk', walk_once, (params, walk.cut((data[0][0], data[1][0]), 1), rate))
    timed(peer)
    timed(walking)
    pairs = np.array([(timed(walking), timed(peer)) for _ in range(f.rounds)])
    ratio = np.quantile(pairs[:, 0] / pairs[:, 1], (0.5, 0.25, 0.75))
    per_step = np.median(pairs, axis=0) / f.samples * 1e6
    print(f'{jax.devices()[0].device_kind}, {f.widths} hidden, {f.samples} steps at B = 1, {f.rounds} rounds')
    print(f'walk {per_step[0]:.0f} µs, read + read-modify-write {per_step[1]:.0f} µs a step: ratio {ratio[0]:.2f} '
          f'({ratio[1]:.2f} to {ratio[2]:.2f})')  # fmt: skip
    total = 0.0
    for size in BATCH_SIZES:
        if size <= f.samples:
            run = trial(size)
            timed(run)
            seconds = float(np.median([timed(run) for _ in range(3)]))
            total += seconds
            print(f'B = {size:5d}: {seconds:.3f} s a trial')
    print(f'all: {total:.2f} s a trial')


if __name__ == '__main__':
    flags.DEFINE_integer('samples', 1024, 'examples per trial', lower_bound=1)
    flags.DEFINE_integer('rounds', 7, 'timings of each', lower_bound=1)
    flags.DEFINE_list('widths', ['1024', '1024'], 'hidden layers')
    command.run('benchmark_gradient_norm', main)
