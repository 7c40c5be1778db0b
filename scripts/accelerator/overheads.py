"""What updates cost beside themselves: norms at each of them, schedules; and the walk of the gradient-norm probe."""

import subprocess
import sys
from collections.abc import Iterator

from .. import turns
from .work import Row, Work

BATCH_SIZES = (1, 32, 128, 1024)


def printed(work: Work, name: str, *flags: str) -> Iterator[Row]:
    """What another benchmark prints, a row for each line, in a process of its own."""
    command = [sys.executable, '-m', f'scripts.{name}', *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=max(1.0, work.left / 2), check=False)
    yield from ({'benchmark': name, 'said': line} for line in done.stdout.splitlines())
    if done.returncode:
        last = (done.stderr.splitlines() or [f'exit code {done.returncode}'])[-1]
        yield {'benchmark': name, 'skipped': last}


def norms(work: Work, batch_size: int) -> Iterator[Row]:
    """Updates of the MLP with the norm of the gradient at each, against those without."""
    run = turns.plan('mlp', batch_size, {'norms.update': False})
    sides = {'without': turns.of_group([run], 'sequential'), 'with': turns.of_group([run], 'sequential', norms=True)}
    rates = turns.rates(sides, turns.lengths(sides, work.seconds), work.rounds)
    ratio = turns.Ratio.of(rates['without'], rates['with'])
    yield {'network': 'mlp', 'B': batch_size, 'time with norms / without': ratio, 'turns': work.rounds}


def rows(work: Work) -> Iterator[Row]:
    """Of each; other processes first, as this one takes the device's memory once it uses it."""
    small = ('--samples=16', '--widths=8', '--rounds=1') if work.toy else ('--rounds=3',)
    benchmarks = {'benchmark_gradient_norm': small, 'benchmark_schedules': ('--rounds=3', '--seconds=0.3')}
    yield from work.in_time(benchmarks, lambda name: printed(work, name, *benchmarks[name]))
    yield from work.in_time(BATCH_SIZES[: 1 if work.toy else None], lambda size: norms(work, size))
