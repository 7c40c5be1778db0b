"""The runs that an advice is made from, planned within a time: fast ones everywhere, then whole ones where it matters.

1. A few updates at every batch size: how fast each is.
2. Every batch size with FEW rates over the range of `config.tune.learning_rate`, a part of the whole length.
3. The whole length at rates around the best of each batch size, by a smooth surface over both (advice/rates.py).
4. The rate of each batch size that came to the target first (`config.tune.target`; without, what nearly all batch sizes
   come to), with the other seeds of the grid, a seed of all of them at a time.

Each stage takes its share of what is left of `config.tune.budget_minutes` by the times that the stages before took:
first it gets shorter or takes fewer rates, then it leaves out the batch sizes that take longest. Validation chooses.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from bsresearch.advice import rates
from bsresearch.advice.table import Refusal
from bsresearch.core.target import Target, better, first_as_good
from bsresearch.planning import search, targets
from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import Result, Results, Stages, Variant, variant
from bsresearch.studies import tune
from bsresearch.studies.tune import Cell

STUDY = 'advise'
SECTIONS = {'tune': ('learning_rate', 'by', 'budget_minutes', 'target')}
NO_TARGET = 'none'
PACE_UPDATES = 50
FEW = 6  # rates of the second stage
# Factors of the best rate, in the third: the first that fit.
AROUND = ((0.25, 0.5, 1.0, 2.0, 4.0), (0.5, 1.0, 2.0), (1.0,))
# Of the time that is left, what the second and the third stage may take.
COARSE_SHARE, WHOLE_SHARE = 0.4, 0.6
SHORTEST = 1 / 16  # of the whole length
# Evaluating and saving, beside the updates.
OVERHEAD = 1.5


class Tried(NamedTuple):
    """A run that was made: its batch size, rate, the length as a share of the whole, and its score (tune.score)."""

    batch_size: int
    rate: float
    share: float
    score: float


class Pace(NamedTuple):
    """Of a batch size. update: seconds. run: seconds of a run's own beside its updates, compiling among them."""

    update: float
    run: float


def check(plans: list[Plan]) -> None:
    """Refuses what cannot be advised on, before anything is trained.

    Raises:
      ValueError: a search that cannot be, one batch size, another axis than that, no time.
    """
    tune.check(plans)
    sizes = [cell.lead.batch_size for cell in tune.cells(plans)]
    if len(set(sizes)) < 2:
        raise ValueError(f'config.study={STUDY} compares batch sizes, and the grid has one, {sizes[0]}')
    if len(set(sizes)) < len(sizes):
        raise ValueError(
            f'config.study={STUDY}: the grid has other axes than batch_size and seeds; give those one value'
        )
    if not (minutes := tune.section(plans[0])['budget_minutes']) > 0:
        raise ValueError(f'config.tune.budget_minutes={minutes}: more than 0 is needed')
    for plan in plans:
        if (asked := tune.section(plan)['target']) not in ('', NO_TARGET):
            config = {'evaluate': plan.recording['evaluate'], 'data': plan.declared['data'], 'ema': plan.ema}
            targets.check(Target.of(asked, 'config.tune.target'), 'config.tune.target', config)


def stages(plans: list[Plan]) -> Stages:
    """As above."""
    all_cells = {cell.lead.batch_size: cell for cell in tune.cells(plans)}
    given = tune.section(plans[0])
    left = 60.0 * given['budget_minutes']
    pace_updates = lambda lead: min(PACE_UPDATES, lead.length.total_steps)  # a longer run counts as a whole one
    first = {size: _shorter(cell.lead, pace_updates(cell.lead)) for size, cell in all_cells.items()}
    results = yield list(first.values())
    pace = {size: _pace(results[one.plan.id]) for size, one in first.items()}
    left -= _took(first.values(), results)

    inside = search.ranges({**given, 'momentum': (), 'weight_decay': (), 'warmup_epochs': ()})[0]
    tried_rates = [inside.value((i + 0.5) / FEW) for i in range(FEW)]
    lengths = {size: cell.lead.length.total_steps for size, cell in all_cells.items()}
    share, sizes = _coarse(pace, lengths, COARSE_SHARE * left)
    coarse = [_run(all_cells[size].lead, rate, share) for size in sizes for rate in tried_rates]
    results = yield coarse
    tried = [_tried(one, results, share, given['by']) for one in coarse]
    left -= _took(coarse, results)

    best = _best_rates(tried, sizes)
    whole = _whole(best, pace, lengths, tried, WHOLE_SHARE * left)
    if not whole:
        return
    runs = [_run(all_cells[size].lead, rate, 1.0) for size, rate in whole]
    results = yield runs
    left -= _took(runs, results)

    repeats = _repeats(all_cells, _fastest(runs, results, given), pace, lengths, left)
    if repeats:
        yield repeats


def _pace(result: Result) -> Pace:
    last = result.rows[-1]
    return Pace(last['seconds'] / max(last['step'], 1), last['wall_seconds'])


def _took(members: Iterable[Variant], results: Results) -> float:
    """Seconds of a stage: runs of one batch size are one group, whose time each of them has."""
    walls: dict[int, float] = {}
    for one in members:
        rows = results[one.plan.id].rows
        wall = rows[-1]['wall_seconds'] if rows else 0.0
        walls[one.plan.batch_size] = max(wall, walls.get(one.plan.batch_size, 0.0))
    return sum(walls.values())


def _seconds(pace: Pace, updates: float, runs: int) -> float:
    """What so many runs of a batch size are expected to take together."""
    return pace.run + runs * updates * pace.update * OVERHEAD


def _coarse(pace: Mapping[int, Pace], lengths: Mapping[int, int], limit: float) -> tuple[float, list[int]]:
    """The length as a share of the whole, and the batch sizes, that fit."""
    sizes, share = sorted(pace), 0.25
    takes = lambda: sum(_seconds(pace[size], share * lengths[size], FEW) for size in sizes)
    while takes() > limit and share > SHORTEST:
        share /= 2
    while takes() > limit and len(sizes) > 2:
        sizes.remove(max(sizes, key=lambda size: lengths[size] * pace[size].update))
    return share, sizes


def _run(lead: Plan, rate: float, share: float) -> Variant:
    if share == 1:
        return variant(lead, learning_rate=rate)
    return _shorter(lead, max(1, round(share * lead.length.total_steps)), learning_rate=rate)


def _shorter(lead: Plan, updates: int, **changes: float) -> Variant:
    """A run of fewer updates; its warm-up gets shorter with it."""
    share = updates / lead.length.total_steps
    warmup = {f'warmup.{unit}': value * share if unit == 'epochs' else round(value * share)
              for unit in ('epochs', 'examples', 'steps') if (value := lead.declared['warmup'].get(unit))}  # fmt: skip
    return variant(lead, **{'total_steps': updates}, **changes, **warmup)


def _tried(one: Variant, results: Results, share: float, by: str) -> Tried:
    return Tried(one.plan.batch_size, one.changes['learning_rate'], share, tune.score(results[one.plan.id], by))


def _best_rates(tried: list[Tried], sizes: list[int]) -> dict[int, float]:
    """The rate for each batch size: by a smooth surface; where there are too few points for one, the best tried."""
    columns = [np.array(column, float) for column in zip(*tried, strict=True)]
    scores = rates.cells(columns[0], columns[1], -columns[3])
    finite = scores.value[np.isfinite(scores.value)]
    try:
        named = rates.at(scores, np.array(sizes, float), float(np.ptp(finite)) / 4 if len(finite) else 0.0)
    except Refusal:
        of_size = lambda size: max((one for one in tried if one.batch_size == size), key=lambda one: one.score)
        return {size: of_size(size).rate for size in sizes}
    return dict(zip(sizes, map(float, named.choice), strict=True))


def _whole(
    best: Mapping[int, float], pace: Mapping[int, Pace], lengths: Mapping[int, int], tried: list[Tried], limit: float
) -> list[tuple[int, float]]:
    """Batch sizes and rates of the whole length that fit: fewer rates, then fewer batch sizes, without the worst."""
    score = {size: max(one.score for one in tried if one.batch_size == size) for size in best}
    sizes = sorted(best, key=lambda size: -score[size])
    takes = lambda around: sum(_seconds(pace[size], lengths[size], len(around)) for size in sizes)
    around = next((factors for factors in AROUND if takes(factors) <= limit), AROUND[-1])
    while takes(around) > limit and len(sizes) > 2:
        sizes.pop()
    rounded = lambda rate: float(f'{rate:.{search.DIGITS}g}')
    return [(size, rounded(best[size] * factor)) for size in sorted(sizes) for factor in around]


def _fastest(made: list[Variant], results: Results, given: Mapping[str, Any]) -> dict[int, float]:
    """The rate of each batch size whose run came to the target first; of equal ones the one that ended best."""
    tried = [_tried(one, results, 1.0, given['by']) for one in made]
    best = {size: max(one.score for one in tried if one.batch_size == size) for size in {t.batch_size for t in tried}}
    target = _target(given, list(best.values()))

    def arrived(one: Variant, trial: Tried) -> float:
        rows = [row for row in results[one.plan.id].rows if target and row.get(target.metric) is not None]
        if target is None or not rows or np.isneginf(trial.score):  # what came there and then diverged is none to use
            return math.inf
        values = [row[target.metric] for row in rows]
        there = first_as_good(values, target.value, better(target.metric) is not False)
        return math.inf if there is None else rows[there]['epoch']

    order = [(arrived(one, trial), -trial.score, trial) for one, trial in zip(made, tried, strict=True)]
    fastest = {size: min((x for x in order if x[2].batch_size == size), key=lambda x: x[:2])[2] for size in best}
    return {size: one.rate for size, one in fastest.items() if np.isfinite(one.score)}


def _target(given: Mapping[str, Any], scores: list[float]) -> Target | None:
    """What a run is to come to: the one asked for, or what the best runs of nearly all batch sizes end with."""
    if given['target']:
        return None if given['target'] == NO_TARGET else Target.of(given['target'])
    lowest = float(np.quantile(scores, 0.25, method='lower'))
    return Target(given['by'], lowest if better(given['by']) else -lowest)


def _repeats(
    all_cells: Mapping[int, Cell], best: Mapping[int, float], pace: Mapping[int, Pace], lengths: Mapping[int, int],
    left: float,
) -> list[Variant]:  # fmt: skip
    """A rate of each batch size with other seeds, a seed of all of them at a time, as long as they fit."""
    repeats: list[Variant] = []
    for number in range(1, max(len(cell.plans) for cell in all_cells.values())):
        sizes = [size for size in best if number < len(all_cells[size].plans)]
        takes = sum(_seconds(pace[size], lengths[size], number) for size in sizes)
        if takes > left:
            break
        repeats += [_run(all_cells[size].plans[number], best[size], 1.0) for size in sizes]
    return repeats
