"""Convolutions of any network in the training loop, against the same update as a plain jitted step.

    python -m scripts.benchmark_own_networks [--rounds=5] [--seconds=2] [--batch_sizes=8,32,128]

Images of 32×32×3 by chance, SGD, no augmentation: the speed of updates does not follow what images show. `step`: one
update as a user writes it, `jax.jit(update)(weights, batch)`, called from the host, convolutions by XLA. `engine`: the
very program that a run makes, its loop on the device. Ratios are medians of those within a round, with their range.
"""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from bsresearch import models
from bsresearch.analysis import command
from bsresearch.models import losses
from bsresearch.planning import edit, resolve, schema, sweep
from bsresearch.planning.plan import Plan

from . import turns
from .turns import Turn

_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Turns of each side.')
_SECONDS = flags.DEFINE_float('seconds', 2.0, 'Length of a turn.')
_BATCH_SIZES = flags.DEFINE_list('batch_sizes', ['8', '32', '128'], 'Batch sizes.')

FILE = 'examples/own_network.py'
CASES = {
    'ResNet-8, linen': {'name': f'{FILE}:resnet', 'width': 16},
    'ResNet-8, nnx': {'name': f'{FILE}:nnx_resnet', 'width': 16},
    'cnn, built in': {'name': 'cnn'},
}


def plan(model: dict[str, Any], batch_size: int) -> Plan:
    """A run long enough for any turn."""
    c = schema.defaults()
    c.data.name, c.batch_size, c.total_epochs = 'scripts.turns:images', batch_size, 1000.0
    c.optimizer.name = 'sgd'
    (only,) = sweep.expand(edit.assign(c.to_dict(), {'model': model}))
    return only


def step(run: Plan) -> Turn:
    """Turns of n updates as a user writes them."""
    data = resolve.dataset(run.data)
    module = models.builder(run.model['name'])(10, **{k: v for k, v in run.model.items() if k != 'name'})
    initial = jax.jit(lambda: models.init(module, jax.random.key(0), run.example_shape))()
    x = jnp.asarray(data.train.inputs[: run.batch_size], jnp.float32) / 255
    y = jnp.asarray(data.train.labels[: run.batch_size])
    network = module.of(run.example_shape).network if isinstance(module, models.Own) else None

    def loss(params: Any, stats: Any) -> tuple[jax.Array, Any]:
        if network is None:
            outputs, stats = models.apply(module, params, stats, x, train=True)
        else:  # not through models.apply, which rewrites convolutions
            outputs, stats = network.apply(params, stats, x, True, models.Beside(None, None, True))
        return losses.cross_entropy(outputs, y).mean(), stats

    @jax.jit
    def update(state: Any) -> Any:
        (_, stats), gradient = jax.value_and_grad(loss, has_aux=True)(*state)
        return jax.tree.map(lambda w, g: w - 0.01 * g, state[0], gradient), stats

    held = [initial]

    def turn(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            held[0] = update(held[0])
        jax.block_until_ready(held[0])
        return time.perf_counter() - start

    turn(1)
    return turn


def compare(name: str, model: dict[str, Any], batch_size: int) -> None:
    """Prints both sides of one case."""
    run = plan(model, batch_size)
    sides = {'step': step(run), 'engine': turns.of_run(run)[0]}
    rates = turns.rates(sides, turns.lengths(sides, _SECONDS.value), _ROUNDS.value)
    ratio = turns.Ratio.of(rates['engine'], rates['step'])
    print(
        f'{name:18} B = {batch_size:4}   step {statistics.median(rates["step"]):8.1f}/s   engine '
        f'{statistics.median(rates["engine"]):8.1f}/s   ratio {ratio.median:5.2f} '
        f'({ratio.low:.2f} to {ratio.high:.2f})', flush=True,
    )  # fmt: skip


def main() -> None:
    """Prints each network at each batch size."""
    print(f'{jax.devices()[0].device_kind}, jax {jax.__version__}; n = {_ROUNDS.value} turns; ranges are min to max')
    for name, model in CASES.items():
        for batch_size in map(int, _BATCH_SIZES.value):
            compare(name, model, batch_size)


if __name__ == '__main__':
    command.run('benchmark_own_networks', main)
