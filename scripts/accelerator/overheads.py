"""What updates cost beside themselves: norms at each of them, schedules; and the walk of the gradient-norm probe."""

import pathlib
from collections.abc import Iterator

from bsresearch.launching import runner
from bsresearch.launching.console import Console
from bsresearch.store import paths, records

from .. import turns
from .work import Row, Work, called, ended

BATCH_SIZES = (1, 32, 128, 1024)


def printed(work: Work, name: str, *flags: str) -> Iterator[Row]:
    """What another benchmark prints, a row for each line, in a process of its own."""
    done = called(f'{turns.__package__}.{name}', *flags, seconds=work.left / 2)
    yield from ({'benchmark': name, 'said': line} for line in done.stdout.splitlines())
    if done.returncode:
        yield {'benchmark': name, 'skipped': ended(done.returncode, done.stderr)}


def norms(work: Work, batch_size: int) -> Iterator[Row]:
    """Updates of the MLP with the norm of the gradient at each, against those without."""
    run = turns.plan('mlp', batch_size, {'norms.update': False})
    sides = {'without': turns.of_group([run], 'sequential'), 'with': turns.of_group([run], 'sequential', norms=True)}
    rates = turns.rates(sides, turns.lengths(sides, work.seconds), work.rounds)
    ratio = turns.Ratio.of(rates['without'], rates['with'])
    yield {'network': 'mlp', 'B': batch_size, 'time with norms / without': ratio, 'turns': work.rounds}


def whole_run(work: Work) -> Iterator[Row]:
    """A run of the MLP at B = 32 by the command's own loop: what is neither updates nor what was asked for."""
    updates = 40 if work.toy else 7500
    fields = {'total_examples': 32 * updates, 'evaluate.every_steps': updates // 4}
    run, workdir = turns.plan('mlp', 32, fields), pathlib.Path(work.folder) / 'run'
    runner.launch(workdir, [run], Console(quiet=True))
    seconds = records.status(paths.run_dir(workdir, run.study, run.id))['seconds']
    net = seconds['wall'] - seconds['compile']
    yield {
        'run': 'mlp, B = 32',
        'updates': updates,
        'wall without compiling, s': net,
        'overhead': seconds['overhead'] / net,
    }


def rows(work: Work) -> Iterator[Row]:
    """Of each; other processes first, as this one takes the device's memory once it uses it."""
    small = ('--samples=16', '--widths=8', '--rounds=1') if work.toy else ('--rounds=3',)
    benchmarks = {'benchmark_gradient_norm': small, 'benchmark_schedules': ('--rounds=3', '--seconds=0.3')}
    yield from work.in_time(benchmarks, lambda name: printed(work, name, *benchmarks[name]))
    yield from work.in_time(['a whole run'], lambda _: whole_run(work))
    yield from work.in_time(BATCH_SIZES[: 1 if work.toy else None], lambda size: norms(work, size))
