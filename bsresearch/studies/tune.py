"""Tuning per batch size: the same number of quasi-random trials in every cell of the grid, chosen by validation.

A cell is what its runs are but for their seeds: an arm, a batch size. Its first trial is the run as it is declared; the
others come from `config.tune`'s ranges, the same points in every cell, some at a time. Between these the results are
looked at: where the best value is the smallest or largest tried, the next ones are taken around it (an optimum on the
edge is no optimum). A trial that diverged counts as the worst there is. Where runs stop at a target
(`config.stop_at_target`) the one that came there in the fewest updates is best, and one that never did is as bad as
one that diverged. At last the best trial of each cell, and the
run as declared, are made with all other seeds of the grid; these tell how good it is: the trial that won did so by
luck too.

Sources: equal budgets at every batch size, Shallue et al. 2019 (arXiv:1811.03600, section 4.1); quasi-random search,
Bousquet et al. 2017 (arXiv:1706.03200).
"""

import pathlib
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bsresearch.core.flat import flatten
from bsresearch.core.target import Target, better, first_as_good
from bsresearch.planning import edit, search
from bsresearch.planning.plan import Plan, canonical
from bsresearch.planning.search import Range
from bsresearch.planning.stages import Result, Results, Stage, Stages, Variant, runs_of, variant
from bsresearch.store import paths, records

STUDY = 'tune'
SECTIONS = {'tune': (*search.FIELDS, 'trials', 'at_once', 'by', 'sequence', 'seed')}
SEEDS = ('seed', 'init_seed', 'data_seed')


class Cell(NamedTuple):
    """Runs of the config that differ in their seeds alone; trials are made with those of the first."""

    plans: list[Plan]

    @property
    def lead(self) -> Plan:
        """The run whose seeds trials have."""
        return self.plans[0]


class Trial(NamedTuple):
    """values: dotted field → value; of the run as declared none. score: best when highest, −∞ of one that diverged."""

    values: search.Values
    member: Plan | Variant
    score: float = -np.inf

    @property
    def run(self) -> Plan:
        """What is trained."""
        return self.member if isinstance(self.member, Plan) else self.member.plan


def section(plan: Plan) -> Mapping[str, Any]:
    """Its `config.tune`."""
    return plan.recording[STUDY]


def cells(plans: list[Plan]) -> list[Cell]:
    """In the order of the grid."""
    by_cell: dict[str, list[Plan]] = {}
    for plan in plans:
        alike = {field: value for field, value in plan.declared.items() if field not in SEEDS}
        by_cell.setdefault(canonical(alike), []).append(plan)
    return [Cell(alike) for alike in by_cell.values()]


def check(plans: list[Plan]) -> None:
    """Refuses a search that cannot be, before anything is trained.

    Raises:
      ValueError: ranges, numbers of trials or a metric that cannot be.
    """
    for plan in plans:
        given = section(plan)
        search.points(given['sequence'], len(search.ranges(given)), 1, given['seed'])
        for name, least in (('trials', 2), ('at_once', 1)):
            if given[name] < least:
                raise ValueError(f'config.tune.{name}={given[name]}: at least {least} is needed')
        metric = given['by']
        if plan.stop_at_target:
            continue  # who comes there first is best
        if better(metric) is None:
            raise ValueError(f'config.tune.by={metric!r} has no best; take an accuracy or a loss')
        if metric.startswith('validation_') and not plan.declared['data'].get('validation'):
            raise ValueError(
                f'config.tune.by={metric}: the data have no validation set to choose by; give '
                'config.data.validation=0.1, or choose by another metric (one of the test set flatters what it chooses)'
            )


def score(result: Result, metric: str, target: str = '') -> float:
    """Of a finished trial, best when highest; −∞ of one that diverged.

    target: at which it was to stop; then less its updates to there, −∞ of one that never came there.
    """
    if target:
        aim, last = Target.of(target), result.rows[-1] if result.rows else {}
        values = [last[aim.metric]] if result.status == 'done' and last.get(aim.metric) is not None else []
        arrived = first_as_good(values, aim.value, better(aim.metric) is True) is not None
        return -float(last['step']) if arrived else -np.inf
    value = result.final(metric) if result.status == 'done' else None
    if value is None or not np.isfinite(value):
        return -np.inf
    return float(value) if better(metric) else -float(value)


def best(trials: list[Trial]) -> Trial:
    """The first of the best."""
    return max(trials, key=lambda trial: trial.score)


def stages(plans: list[Plan]) -> Stages:
    """Trials, so many at once; then the best and the declared one with the other seeds."""
    searched = yield from search_all(cells(plans))
    repeats = [member for cell, trials in searched for member in (*cell.plans[1:], *again(cell, best(trials)))]
    if repeats:
        yield list(dict(zip((plan.id for plan in runs_of(repeats)), repeats, strict=True)).values())


def search_all(all_cells: list[Cell]) -> Generator[Stage, Results, list[tuple[Cell, list[Trial]]]]:
    """The stages of trials; returns those of each cell, in order."""
    inside = [search.ranges(section(cell.lead)) for cell in all_cells]
    trials: list[list[Trial]] = [[] for _ in all_cells]
    done, given = 0, [section(cell.lead) for cell in all_cells]
    while done < max(one['trials'] for one in given):
        batch = [_next(cell, ranges, done) for cell, ranges in zip(all_cells, inside, strict=True)]
        results = yield list({trial.run.id: trial.member for of_cell in batch for trial in of_cell}.values())
        for place, of_cell in enumerate(batch):
            by, target = given[place]['by'], all_cells[place].lead.stop_at_target
            trials[place] += [trial._replace(score=score(results[trial.run.id], by, target)) for trial in of_cell]
            tried = [trial.values for trial in trials[place] if trial.values]
            inside[place] = search.moved(inside[place], best(trials[place]).values, tried)
        done += max(one['at_once'] for one in given)
    return list(zip(all_cells, trials, strict=True))


def again(cell: Cell, winner: Trial) -> list[Plan | Variant]:
    """The best trial with the other seeds."""
    return [variant(plan, **winner.values) if winner.values else plan for plan in cell.plans[1:]]


def _next(cell: Cell, inside: list[Range], done: int) -> list[Trial]:
    """A cell's next trials, those from number `done` on; the first of all is the run as declared."""
    given = section(cell.lead)
    stop = min(done + given['at_once'], given['trials'])
    points = search.points(given['sequence'], len(inside), given['trials'] - 1, given['seed'])
    of_points = [search.at(inside, points[number - 1]) for number in range(max(done, 1), stop)]
    declared = [Trial({}, cell.lead)] if done == 0 else []
    return declared + [Trial(values, variant(cell.lead, **values)) for values in of_points]


def conclude(workdir: pathlib.Path, plans: list[Plan], say: Callable[[str], None]) -> None:
    """Prints the best trial of each cell and how it did with the other seeds, beside the run as declared."""
    say('\n'.join(['tuned (`bsresearch advise` names a batch size from these runs):', *text(workdir, plans)]))


def text(workdir: pathlib.Path, plans: list[Plan]) -> list[str]:
    """A line for each cell: what won, and the test metric (or updates) at the end of its runs and of those declared."""
    lines, searched = [], _searched(workdir, cells(plans))
    named = _differing([cell.lead for cell, _ in searched])
    for cell, trials in searched:
        target = cell.lead.stop_at_target
        winner, metric = best(trials), 'step' if target else section(cell.lead)['by'].replace('validation_', 'test_')
        won = [winner.run, *runs_of(again(cell, winner))]
        what = 'updates' if target else metric
        ends = [[_result(workdir, plan).final(metric) for plan in runs] for runs in (won, cell.plans)]
        values = ', '.join(f'{field} {number:g}' for field, number in winner.values.items()) or 'as declared'
        lost, how = sum(np.isneginf(trial.score) for trial in trials), f'short of {target}' if target else 'diverged'
        fields = ', '.join(f'{field} {value}' for field, value in named[cell.lead.id].items())
        of_cell = f'B = {cell.lead.batch_size}' + (f' ({fields})' if fields else '')
        lines.append(
            f'  {of_cell}: {values}; {what} {_mean(ends[0])}, as declared {_mean(ends[1])}; '
            f'{len(trials)} trials, {lost} {how}'
        )
    return lines


def _differing(leads: Sequence[Plan]) -> dict[str, dict[str, Any]]:
    """Run → the declared fields in which the cells differ, beside batch size and length."""
    outside = ('batch_size', 'stop_at_target', *edit.LENGTHS)
    flat = {
        lead.id: {k: v for k, v in flatten(lead.declared).items() if k not in outside and not k.startswith('tune.')}
        for lead in leads
    }
    every = dict.fromkeys(field for fields in flat.values() for field in fields)
    vary = [field for field in every if len({canonical(fields.get(field)) for fields in flat.values()}) > 1]
    return {run: {field: fields[field] for field in vary if fields.get(field) is not None}
            for run, fields in flat.items()}  # fmt: skip


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f'{np.mean(known):.4g} (n = {len(known)})' if known else 'none'


def _searched(workdir: pathlib.Path, all_cells: list[Cell]) -> list[tuple[Cell, list[Trial]]]:
    """The trials of each cell, read from finished records."""
    generator = search_all(all_cells)
    stage = next(generator)
    while True:
        plans = runs_of(stage)
        try:
            stage = generator.send({plan.id: _result(workdir, plan) for plan in plans})
        except StopIteration as end:
            return end.value


def _result(workdir: pathlib.Path, plan: Plan) -> Result:
    directory = paths.run_dir(workdir, plan.study, plan.id)
    return Result(str(records.status(directory).get('status')), rows=records.merged(directory))
