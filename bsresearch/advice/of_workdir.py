"""The finished runs of a workdir as the table that advice is given on; what they lack is told in one line."""

import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from bsresearch.advice import alike, reading
from bsresearch.advice.columns import Columns
from bsresearch.advice.table import Refusal, Runs
from bsresearch.analysis import of_runs
from bsresearch.analysis import study as studies
from bsresearch.analysis.axes import SEEDS
from bsresearch.analysis.searched import SEARCHED
from bsresearch.analysis.study import FINISHED, Study
from bsresearch.core import lookup
from bsresearch.core.target import Target, better, first_as_good, no_better
from bsresearch.store import kept, records

COLUMNS = Columns('batch_size', 'learning_rate', epochs='epochs', seconds='seconds', run='replicate', reached='reached')
# Facts that are told as held fixed where they are.
FACTS = (
    'data.name', 'model.name', 'optimizer.name', 'schedule.name', 'scaling.name', 'total_epochs', 'total_updates',
)  # fmt: skip
MADE, TUNED = 'advise', 'tune'  # studies: of runs made for an advice; of a search in each cell
# What a run is judged by without a target: the first of these that was recorded.
METRICS = ('validation_accuracy', 'validation_loss', 'test_accuracy', 'test_loss', 'train_loss')


class Arrival(NamedTuple):
    """Of a run at its target, or at its end. gap: epochs since the evaluation before, in which it came there."""

    epochs: float
    gap: float
    reached: bool
    seconds: float


def runs(
    workdir: pathlib.Path, *, study: str = '', target: str = '', metric: str = '', falling: bool | None = None,
    where: Sequence[str] = (), goal: str | None = None,
) -> Runs:  # fmt: skip
    """The runs of a study: epochs and seconds of training to the target, if one is named, and the metric at the end.

    A run that diverged never reached its target, and its metric is the worst there is. Seconds are those of updates
    alone, of one run on its device (the records' `seconds`).

    Args:
      target: '': that at which the runs were to stop, where they were. study: its name, where the workdir holds
        several. metric: judged at the end; '': the target's, or the first of METRICS. falling: whether it is best when
        lowest, where its name does not say so. where: as of a table, on the runs' fields and `arm`. goal: what the
        advice will be for.

    Raises:
      FileNotFoundError: no runs. Damaged: records that are not what was written. ValueError: names that there are not.
      Refusal: what the advice cannot be made from.
    """
    of = opened(workdir, study)
    table = chosen(of, where)
    target = target or stopping(table)
    aim = Target.of(target) if target else None
    whole = _whole(table, of.name)
    shorter, table = table[~whole], table[whole]
    metric = metric or (aim.metric if aim else next((name for name in METRICS if name in of.recorded), METRICS[0]))
    table, others = _compared(of, table, aim)
    done = table[table['status'].isin(FINISHED)].reset_index(drop=True)
    if not len(done):
        raise Refusal(f'none of {len(table)} runs of {of.name} is finished: bsresearch status --workdir={workdir}')
    rising = _rising(of, metric, falling)
    aims_high = _rising(of, aim.metric, falling if aim.metric == metric else None) if aim else rising
    done = done[[_followed(of, run, aim or Target(metric, np.nan)) for run in done['run']]].reset_index(drop=True)
    reached = [_arrival(of, run, aim, aims_high) for run in done['run']]
    rows = done[['batch_size', 'learning_rate', *(fact for fact in FACTS if fact in done)]].assign(
        replicate=_replicates(done), **pd.DataFrame(reached, columns=Arrival._fields)
    )
    table_of_runs = reading.runs(rows.drop(columns='gap'), COLUMNS)
    if aim is not None and not table_of_runs.reached.any():
        raise Refusal(_unreached(of, done['run'], aim, aims_high))
    final = np.array([_final(of, run, metric, rising) for run in done['run']])
    notes = list(table_of_runs.notes)
    if short := int((~table['status'].isin(FINISHED)).sum()):
        notes.append(f'{short} of {len(table)} runs are unfinished and left out')
    if others:
        fields = ', '.join(['learning_rate', *others])
        notes.append(f'of each batch size the runs with the {fields} that won its search')
    if len(shorter):
        notes.append(f'{len(shorter)} runs are shorter than the longest and left out')
    if aim is None:
        table_of_runs = table_of_runs._replace(reached=np.zeros(len(done), bool))
    table_of_runs = table_of_runs._replace(
        granularity=rows['gap'].to_numpy(float), loss=-final if rising else final, metric=metric, falling=not rising,
        notes=tuple(notes), searched=bool(others),
        possible=(-1.0, 0.0) if metric.endswith('_accuracy') else (-np.inf, np.inf),
    )  # fmt: skip
    if aim is None and goal in ('time', 'examples', 'energy'):
        raise Refusal(
            f'--goal={goal} is of what runs take to a target: give --target=<metric>:<value>{_such(table_of_runs)}'
        )
    return table_of_runs


def reachable(workdir: pathlib.Path, study: str) -> str:
    """A target that nearly all batch sizes come to, as --target takes it.

    By the first of METRICS: of each batch size the mean at the end at its best rate, and of those the lower quartile.

    Raises:
      FileNotFoundError, Damaged, ValueError: as `runs`. Refusal: no run came to its end.
    """
    of_study = runs(workdir, study=study)
    rate = np.zeros(len(of_study.loss)) if of_study.learning_rate is None else of_study.learning_rate
    means = pd.Series(of_study.loss).groupby([of_study.batch_size, rate]).mean().groupby(level=0).min()
    known = means[np.isfinite(means)]
    if not len(known):
        raise Refusal(
            f'no batch size has a rate at which no run diverged: a target for {of_study.metric} cannot be chosen'
        )
    value = float(np.quantile(known, 0.75, method='higher')) * (1 if of_study.falling else -1)
    return f'{of_study.metric}:{no_better(value, not of_study.falling):.3g}'


def _such(found: Runs) -> str:
    """A target that three quarters of the runs end at or beyond; '' where there is none."""
    known = found.loss[np.isfinite(found.loss)]
    if not len(known):
        return ''
    value = float(np.quantile(known, 0.75, method='inverted_cdf'))
    return f', such as {found.metric}:{no_better(value if found.falling else -value, not found.falling):.3g}'


def opened(workdir: pathlib.Path, name: str = '') -> Study:
    """A study of a workdir, by its name where that holds several; errors as `runs`."""
    if not workdir.is_dir():
        raise FileNotFoundError(f'--workdir={workdir}: no such directory')
    readable = kept.readable(workdir)
    names = sorted({directory.parent.name for directory in records.run_dirs(readable)})
    if not name and len(names) > 1:
        raise ValueError(f'--workdir={workdir} holds several studies, give --study: {", ".join(names)}')
    if name and name not in names:
        raise ValueError(f'--study={name}: {lookup.nearest(name, names)}')
    return studies.launched(readable, name or names[0])


def chosen(study: Study, where: Sequence[str] = ()) -> pd.DataFrame:
    """The runs that began at the initial weights, with their fields and arm; those that are meant."""
    own = study.members[study.members['kind'] == 'run']
    arms = own.groupby('id')['arm'].agg(lambda names: '+'.join(dict.fromkeys(names)))
    table = study.runs.loc[[run for run in study.runs.index if run in arms.index]].copy()
    table = table.assign(arm=arms.reindex(table.index)).rename_axis('run').reset_index()
    for condition in where:
        table = table[reading.fulfilled(table, condition)]
    return table


def arrivals(study: Study, table: pd.DataFrame, target: Target, falling: bool | None = None) -> pd.DataFrame:
    """When the finished runs of a table came to a target: run, batch_size, learning_rate and the fields of Arrival."""
    rising = _rising(study, target.metric, falling)
    done = table[table['status'].isin(FINISHED)].reset_index(drop=True)
    reached = [_arrival(study, run, target, rising) for run in done['run']]
    return done[['run', 'batch_size', 'learning_rate']].assign(**pd.DataFrame(reached, columns=Arrival._fields))


def _whole(table: pd.DataFrame, study: str) -> pd.Series:
    """(n,) which runs are no shorter than the longest of their batch size; of those made for an advice, than any."""
    if study == MADE:
        return table['total_epochs'] >= 0.9 * table['total_epochs'].max()  # whole batches differ by a little
    return table['total_updates'] == table['total_updates'].groupby(table['batch_size']).transform('max')


def stopping(table: pd.DataFrame) -> str:
    """The target at which all the runs were to stop; '' without one."""
    targets = {*table['stop_at_target']} if 'stop_at_target' in table and len(table) else {''}
    return str(targets.pop() or '') if len(targets) == 1 else ''


def _unreached(study: Study, runs: Iterable[str], target: Target, rising: bool) -> str:
    values = [of_runs.evaluations(study, run, target.metric)[target.metric] for run in runs]
    known = [float(column.max() if rising else column.min()) for column in values if len(column)]
    best = f', the best came to {max(known) if rising else min(known):.4g}' if known else ''
    return f'--target={target.metric}:{target.value:g}: none of {len(values)} runs reached it{best}'


def _compared(study: Study, table: pd.DataFrame, target: Target | None) -> tuple[pd.DataFrame, list[str]]:
    """The runs that can be compared, of a search its winners; and in what they differ beside batch size, rate and seed.

    Raises:
      Refusal: they differ in more, and that was not searched.
    """
    others = alike.others(table, to_target=target is not None)
    alike.check(table, [name for name in others if study.name != TUNED or name not in SEARCHED])
    if not others:
        return table, others
    judge = next((name for name in METRICS if name in study.recorded), METRICS[0])
    higher = better(judge) is True
    if target is not None and stopping(table):  # of a search that stopped there the first is the winner
        arrivals = [_arrival(study, run, target, better(target.metric) is True) for run in table['run']]
        ends = pd.Series([-arrival.epochs if arrival.reached else -np.inf for arrival in arrivals], table.index)
    else:
        ends = table['run'].map(lambda run: _final(study, run, judge, higher)) * (1 if higher else -1)
    return alike.winners(table, ['learning_rate', *others], ends), others


def _replicates(runs: pd.DataFrame) -> pd.Series:
    """(n,) what tells runs of one setting apart."""
    return runs[[seed for seed in SEEDS if seed in runs]].map(str).agg('/'.join, axis=1)


def _rising(study: Study, metric: str, falling: bool | None) -> bool:
    """Whether a metric is best when highest; raises ValueError where it was not recorded."""
    if metric not in study.recorded:
        names = sorted(column for column in study.recorded if column not in records.POSITION)
        raise ValueError(f'{metric} was not recorded; {lookup.nearest(metric, names)}')
    if falling is not None:
        return not falling
    known = better(metric)
    if known is None:
        raise Refusal(f'{metric}: is it best when lowest or when highest? Give --higher_is_better=false or true')
    return known


def _followed(study: Study, run: str, target: Target) -> bool:
    """Whether a run was evaluated after its start, or diverged."""
    rows = of_runs.evaluations(study, run, target.metric)
    return study.status(run) == 'diverged' or bool((rows['step'] > 0).any())


def _arrival(study: Study, run: str, target: Target | None, rising: bool) -> Arrival:
    """At the first evaluation that is as good as the target."""
    rows = of_runs.evaluations(study, run, target.metric) if target else study.rows[run]
    epochs = rows['epoch'].to_numpy(float)
    last = float(rows['seconds'].iloc[-1]) if len(rows) else np.nan
    if study.status(run) == 'diverged' or not len(rows):
        return Arrival(np.nan, 0.0, False, np.nan)
    if target is None:
        return Arrival(epochs[-1], 0.0, False, last)
    at = first_as_good(rows[target.metric].to_numpy(), target.value, rising)
    if at is None:
        return Arrival(epochs[-1], 0.0, False, last)
    if epochs[at] == 0:
        raise Refusal(f'--target={target.metric}:{target.value:g}: reached before the first update; take a harder one')
    return Arrival(epochs[at], epochs[at] - (epochs[at - 1] if at else 0.0), True, float(rows['seconds'].iloc[at]))


def _final(study: Study, run: str, metric: str, rising: bool) -> float:
    rows = of_runs.evaluations(study, run, metric)
    if study.status(run) == 'diverged' or not len(rows):
        return -np.inf if rising else np.inf
    return float(rows[metric].iloc[-1])
