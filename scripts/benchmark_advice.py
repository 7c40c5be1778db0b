"""How good the advice is on other people's runs: shown a part of a table, judged on the rest of it.

    python -m scripts.benchmark_advice --tables=<folder> [--workloads=cifar100,imagenet] [--halves=4]

The folder holds Zeus's traces (zeus_train.csv, zeus_power_v100.csv: epochs to a target, seconds per epoch) and Step
Law's losses (steplaw_dense.csv), or others of the same columns. Shown is every second batch size, or half of the seeds
of each. Printed, means over targets for each workload:

  regret   time of the named batch size over that of the truly best one, less 1; beside it what is left when half an
           epoch's time is taken off (epochs are whole), the worst of that, the share of cases in which it is over 25 %,
           and the regrets of the best one shown, of the one that is best over all runs, and of the largest throughput
  range    how often it holds a batch size within 5 % of the best, and how much more its worst member costs
  epochs   95 % intervals at left-out batch sizes, up to a factor of 2 outside: how many runs they hold (runs that did
           not reach the target are held by none), their median upper/lower end
  Step Law loss at the rate advised for a left-out batch size over the least loss there, less 1; shown all other cells,
           or every second batch size and third rate

A batch size that was not tried is judged as the nearest that was. Time: minutes on one core.
"""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.advice import reading
from bsresearch.advice.advise import advise
from bsresearch.advice.answer import Advice
from bsresearch.advice.columns import Columns
from bsresearch.advice.table import Refusal
from bsresearch.core import flag_help, program

TIMED = Columns('batch_size', epochs='target_epoch', seconds='time_per_epoch', run='run')
LOSSES = Columns('bs', 'lr', loss='smooth loss')
WITHIN, MUCH = 0.05, 0.25
LEFT_OUT = 'every second B'


class Truth(NamedTuple):
    """seconds: mean time to the target by batch size, ∞ where most runs did not reach it; epoch: seconds of one."""

    seconds: pd.Series
    epoch: pd.Series

    def nearest(self, batch_size: float) -> float:
        """The tried batch size that stands for one."""
        return float(self.seconds.index[np.argmin(np.abs(np.log(self.seconds.index.to_numpy() / batch_size)))])

    def regret(self, batch_size: float) -> float:
        """Over the least time."""
        return float(self.seconds[self.nearest(batch_size)] / self.seconds.min() - 1)

    def beyond_half_an_epoch(self, batch_size: float) -> float:
        """The regret less half an epoch's time."""
        size, least = self.nearest(batch_size), self.seconds.min()
        return float(max(self.seconds[size] - least - self.epoch[size] / 2, 0) / least)


def truth(runs: pd.DataFrame) -> Truth:
    """Of runs whose pace is known."""
    known = runs[runs['time_per_epoch'].notna()].groupby('batch_size')
    pace = known['time_per_epoch'].first()
    epochs = known['target_epoch'].agg(lambda e: e.mean() if e.notna().mean() > 0.5 else np.inf)
    return Truth(epochs * pace, pace)


def workloads(folder: pathlib.Path) -> Iterator[tuple[str, float, pd.DataFrame]]:
    """(name, target, runs) of Zeus's traces, with the pace at the highest power limit."""
    train, power = (
        pd.concat([pd.read_csv(file, skipinitialspace=True) for file in sorted(folder.glob(f'*{name}*.csv'))])
        for name in ('train', 'power')
    )
    key = ['dataset', 'optimizer', 'batch_size']
    power = power.sort_values('power_limit').drop_duplicates(key, keep='last')
    for (dataset, optimizer), runs in train.groupby(['dataset', 'optimizer']):
        runs = runs.merge(power[[*key, 'time_per_epoch']], on=key, how='left')
        for target, members in runs.groupby('target_metric'):
            yield f'{dataset} {optimizer}', float(target), members


def splits(runs: pd.DataFrame, halves: int) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """(kind, shown, the rest)."""
    sizes = np.sort(runs['batch_size'].unique())
    for first in (0, 1):
        shown = runs['batch_size'].isin(sizes[first::2])
        yield LEFT_OUT, runs[shown], runs[~shown]
    rng = np.random.default_rng(0)
    for half in range(halves):
        up = half % 2  # of an odd number the larger half, and the smaller one
        parts = [own.sample(max((len(own) + up) // 2, 1), random_state=rng.integers(2**31))
                 for _, own in runs.groupby('batch_size')]  # fmt: skip
        shown = pd.concat(parts)
        yield 'half of the seeds', shown, runs.drop(shown.index)


def judged(advice: Advice, shown: pd.DataFrame, true: Truth, whole: Truth) -> dict[str, Any]:
    """What the advice costs; what the two simple rules do, and what who knows the whole table."""
    size, pace = (
        advice.batch_size,
        shown.dropna(subset='time_per_epoch').groupby('batch_size')['time_per_epoch'].first(),
    )
    inside = [b for b in true.seconds.index if size.low <= b <= size.high] or [true.nearest(size.choice)]
    least, best_shown = true.seconds.min(), truth(shown).seconds.idxmin()
    return {
        'regret': true.regret(size.choice), 'less half an epoch': true.beyond_half_an_epoch(size.choice),
        'best shown': true.regret(best_shown), 'its less half': true.beyond_half_an_epoch(best_shown),
        'best of all': true.regret(float(whole.seconds.idxmin())),
        'largest throughput': true.regret(float(pace.idxmin())),
        'range holds': float(true.seconds[inside].min() <= (1 + WITHIN) * least),
        'range costs': float(true.seconds[inside].max() / least - 1),
    }  # fmt: skip


def covered(advice: Advice, rest: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Of the intervals of epochs at batch sizes that were left out."""
    intervals = {row.batch_size: row.expected['length'] for row in advice.rows if not row.refusal}
    for size, runs in rest.groupby('batch_size'):
        if size in intervals and runs['target_epoch'].notna().any():
            low, high = intervals[size][1:3]
            yield {'runs': len(runs), 'held': int(runs['target_epoch'].between(low, high).sum()), 'width': high / low}


def of_time(folder: pathlib.Path, chosen: Sequence[str], halves: int) -> None:
    """Prints the tables of regret, range and epochs."""
    judgements, intervals = [], []
    for workload, _, runs in workloads(folder):
        if (chosen and workload.split()[0] not in chosen) or np.isfinite(truth(runs).seconds).sum() < 3:
            continue
        for kind, shown, rest in splits(runs, halves):
            true = truth(runs if kind == LEFT_OUT else rest)
            try:
                left_out = [float(size) for size in np.setdiff1d(rest['batch_size'], shown['batch_size'])]
                told = advise(reading.runs(shown, TIMED, per='epoch'), 'time', left_out)
            except Refusal:
                continue
            if not np.isfinite(true.seconds).any():
                continue
            judgements.append({'kind': kind, 'workload': workload, **judged(told, shown, true, truth(runs))})
            if kind == LEFT_OUT:
                intervals += [{'workload': workload, **row} for row in covered(told, rest)]
    table = pd.DataFrame(judgements).replace(np.inf, 10.0).groupby(['kind', 'workload'])
    means = table.mean()
    means.insert(2, 'its worst', table['less half an epoch'].max())
    means.insert(3, 'over 25 %', table['less half an epoch'].agg(lambda regret: (regret > MUCH).mean()))
    means.insert(0, 'n', table.size())
    print(means.round(4).to_string(), '\n\nmeans over workloads')
    print(means.groupby('kind').mean().round(4).to_string(), '\n')
    epochs = pd.DataFrame(intervals).groupby('workload')
    held = epochs['held'].sum() / epochs['runs'].sum()
    print(
        pd.DataFrame({'runs': epochs['runs'].sum(), 'held': held, 'width': epochs['width'].median()})
        .round(3)
        .to_string()
    )


def of_rates(folder: pathlib.Path) -> None:
    """Prints the table of Step Law."""
    costs = []
    for file in sorted(folder.glob('*steplaw*.csv')):
        for cell, runs in pd.read_csv(file).groupby(['N', 'D']):
            sizes, rates = np.sort(runs['bs'].unique()), np.sort(runs['lr'].unique())
            for i, size in enumerate(sizes):
                own = runs[runs['bs'] == size]
                shown = runs[runs['bs'] != size]
                costs.append(('one B left out', cell, _cost(shown, own, size)))
                thin = shown[shown['bs'].isin(sizes[(i + 1) % 2 :: 2])]
                for first in range(3):
                    part = thin[thin['lr'].isin(rates[first::3])]
                    costs.append(('every second B, third rate', cell, _cost(part, own, size)))
    table = pd.DataFrame(costs, columns=['shown', 'cell', 'cost in %'])
    by_cell = table.groupby(['shown', 'cell'])['cost in %'].mean()
    print(pd.DataFrame({'mean': by_cell.groupby('shown').mean(), 'worst cell': by_cell.groupby('shown').max(),
                        'worst of all': table.groupby('shown')['cost in %'].max(),
                        'n': table.groupby('shown').size()}).round(3).to_string())  # fmt: skip


def _cost(shown: pd.DataFrame, own: pd.DataFrame, size: float) -> float:
    """Of the rate that is advised at a left-out batch size, in %: its loss is interpolated in ln rate."""
    told = advise(reading.runs(shown, LOSSES), 'accuracy', [float(size)])
    rate = next(row.rate for row in told.rows if row.batch_size == size)
    own = own.sort_values('lr')
    loss = np.interp(np.log(rate.choice), np.log(own['lr']), own['smooth loss'])
    return float(100 * (loss / own['smooth loss'].min() - 1))


class Request(NamedTuple):
    """The flags."""

    tables: Annotated[str | None, 'Folder of the tables.'] = None
    workloads: Annotated[Sequence[str], 'Only these data sets of the traces.'] = ()
    halves: Annotated[int, 'Random halves of the seeds of each target.'] = 4


def main(request: Request) -> int | None:
    """Prints all tables."""
    if not request.tables or not pathlib.Path(request.tables).is_dir():
        return program.usage(f'--tables={request.tables or "<folder>"}: the folder of the tables of runs is needed')
    of_time(pathlib.Path(request.tables), request.workloads, request.halves)
    print()
    of_rates(pathlib.Path(request.tables))
    return None


if __name__ == '__main__':
    flag_help.enter('benchmark_advice', Request, main)
