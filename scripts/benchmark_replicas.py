"""What grouping brings: updates per second, summed over 16 runs, by strategy, against 16 runs on their own.

    python -m scripts.benchmark_replicas [--replicas=16] [--rounds=5] [--seconds=1]

On Fashion-MNIST with SGD and momentum. Turns alternate, each round in another order; ratios are medians of those within
a round. `alone`: a group of one, trained again and again. `of 4`: groups of 4. The strategy that a group would choose
by itself is marked, with its ratio to the fastest. On an accelerator try --replicas=1,8,64,256 for the knee.
"""

import statistics
from typing import Any

import jax
from absl import flags

from bsresearch.analysis import command
from bsresearch.launching import fitting
from bsresearch.planning import edit, schema, sweep
from bsresearch.planning.plan import Plan

from . import turns

_REPLICAS = flags.DEFINE_list('replicas', ['16'], 'Runs in a group.')
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Turns of each strategy.')
_SECONDS = flags.DEFINE_float('seconds', 1.0, 'Length of a turn.')

MLP, CNN = {'name': 'mlp'}, {'name': 'cnn'}
CASES: dict[str, tuple[dict[str, Any], int]] = {
    'MLP 1024-1024, B=1': (MLP | {'widths': (1024, 1024)}, 1),
    'MLP 1024-1024, B=32': (MLP | {'widths': (1024, 1024)}, 32),
    'MLP 256, B=1': (MLP | {'widths': (256,)}, 1),
    'MLP 256, B=32': (MLP | {'widths': (256,)}, 32),
    'MLP 64, B=1': (MLP | {'widths': (64,)}, 1),
    'MLP 64, B=32': (MLP | {'widths': (64,)}, 32),
    'MLP 64, B=256': (MLP | {'widths': (64,)}, 256),
    'MLP 16, B=1': (MLP | {'widths': (16,)}, 1),
    'MLP 16, B=32': (MLP | {'widths': (16,)}, 32),
    'CNN, B=32': (CNN, 32),
    'CNN 4-8, B=8': (CNN | {'widths': (4, 8), 'dense_width': 16}, 8),
}


def plans(model: dict[str, Any], batch_size: int, replicas: int, data: str = 'fashion_mnist') -> list[Plan]:
    """Runs that differ in seed and learning rate."""
    c = schema.defaults()
    c.data.name, c.batch_size, c.total_epochs = data, batch_size, 100.0
    c.optimizer.name = 'momentum'
    seeds = tuple(range(replicas))
    changes = {'sweep': {'zip': {'seed': seeds, 'learning_rate': tuple(0.01 + 0.0001 * s for s in seeds)}}}
    return sweep.expand(edit.assign(c.to_dict(), {'model': model}) | changes)


def memory() -> str:
    """Peak bytes of the device, where it tells."""
    peak = turns.device_memory().get('peak_bytes_in_use')
    return f', peak memory {peak / 2**20:,.0f} MiB' if peak is not None else ''


def compare(name: str, model: dict[str, Any], batch_size: int, replicas: int) -> None:
    """Prints the strategies of one case."""
    runs = plans(model, batch_size, replicas)
    groups = {'alone': (runs[:1], 'sequential')}
    if replicas > 1:
        groups |= {'sequential': (runs, 'sequential'), 'vmap': (runs, 'vmap')}
    if replicas > 4:
        groups['vmap of 4'] = (runs[:4], 'vmap')
    sides = {key: turns.of_group(*group) for key, group in groups.items()}
    of_groups = turns.rates(sides, turns.lengths(sides, _SECONDS.value), _ROUNDS.value)
    rates = {key: [len(groups[key][0]) * rate for rate in of_rounds] for key, of_rounds in of_groups.items()}
    middle = {key: statistics.median(of_rounds) for key, of_rounds in rates.items()}
    strategy = fitting.strategy_of(runs)
    fastest = max(middle[key] for key in ('sequential', 'vmap') if key in middle) if replicas > 1 else middle['alone']
    for key, of_rounds in rates.items():
        ratio = turns.Ratio.of(of_rounds, rates['alone'])
        chosen = f'   ← chosen by itself, {middle[key] / fastest:.2f} of the fastest' if key == strategy else ''
        print(f'{name:20} {replicas:4} × {key:10} {middle[key]:10,.0f}/s   ratio to alone {ratio}{chosen}', flush=True)


def main() -> None:
    """Prints each case at each number of replicas."""
    print(f'{jax.devices()[0].device_kind}, jax {jax.__version__}; n = {_ROUNDS.value} turns; ranges are min to max')
    for replicas in map(int, _REPLICAS.value):
        for name, (model, batch_size) in CASES.items():
            compare(name, model, batch_size, replicas)
        print(f'{replicas} replicas{memory()}', flush=True)


if __name__ == '__main__':
    command.run('benchmark_replicas', main)
