"""What schedules cost: updates per second under one-cycle, CLR and SGDR against a constant learning rate, in one run.

    python -m scripts.benchmark_schedules [--rounds=9] [--seconds=1]

The MLP 784-1024-1024-10 and a 64-wide one, whose updates are short, on Fashion-MNIST with SGD and momentum. A turn
makes the tables of schedule and ids on the host and runs their updates; a real run makes them while the device works,
so this is the upper bound. Turns alternate, each round in another order; ratios are medians of those within a round.
"""

import statistics
from typing import Any

import jax
from absl import flags

from bsresearch.analysis import command
from bsresearch.planning import edit, schema, sweep
from bsresearch.planning.plan import Plan

from . import turns

_ROUNDS = flags.DEFINE_integer('rounds', 9, 'Turns of each schedule.')
_SECONDS = flags.DEFINE_float('seconds', 1.0, 'Length of a turn.')

SCHEDULES: dict[str, dict[str, Any]] = {
    'constant': {'name': 'constant'},
    'one-cycle': {'name': 'one_cycle'},
    'CLR': {'name': 'cyclical', 'up_epochs': 2.0},
    'SGDR': {'name': 'warm_restarts', 'first_cycle_epochs': 1.0, 'cycle_multiplier': 2},
}
MODELS = {'MLP 1024': ((1024, 1024), 32), 'MLP 64': ((64,), 32)}


def plan(widths: tuple[int, ...], batch_size: int, schedule: dict[str, Any]) -> Plan:
    """A run of 100 epochs."""
    c = schema.defaults()
    c.data.name, c.batch_size, c.learning_rate, c.total_epochs = 'fashion_mnist', batch_size, 0.01, 100.0
    c.model.widths, c.optimizer.name = widths, 'momentum'
    return sweep.expand(edit.assign(c.to_dict(), {'schedule': schedule}))[0]


def main() -> None:
    """Prints one line per model and schedule."""
    print(f'{jax.devices()[0].device_kind}, jax {jax.__version__}; n = {_ROUNDS.value} turns; ± is (max − min)/median')
    for model, (widths, batch_size) in MODELS.items():
        sides = {name: turns.of_run(plan(widths, batch_size, schedule))[0] for name, schedule in SCHEDULES.items()}
        count = max(1, int(200 * _SECONDS.value / sides['constant'](200)))
        rates = turns.rates(sides, dict.fromkeys(sides, count), _ROUNDS.value)
        middle = {name: statistics.median(r) for name, r in rates.items()}
        for name, r in rates.items():
            spread = (max(r) - min(r)) / middle[name]
            ratios = [a / b for a, b in zip(r, rates['constant'], strict=True)]
            low, middle_ratio, high = statistics.quantiles(ratios, n=4)
            print(
                f'{model:9} B={batch_size} {name:10} {middle[name]:10,.0f}/s ±{spread:4.0%}   '
                f'ratio to constant {middle_ratio:.3f} (quartiles {low:.3f} to {high:.3f})',
                flush=True,
            )


if __name__ == '__main__':
    command.run('benchmark_schedules', main)
