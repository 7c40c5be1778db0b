"""The advice on a table of runs: a batch size and a rate, what is as good, what a run costs, what to run next.

What cannot be told is refused in its place, with the reason (`Quantity.refusal`); a table that tells nothing is a
Refusal. Nothing is told beyond a factor of 2 outside of the batch sizes tried, and none outside is named.
"""

import math
from collections.abc import Sequence

import numpy as np

from bsresearch.advice import choice, estimates, growth, rates, rules, throughput
from bsresearch.advice.answer import Advice, NextRun, Quantity, Row
from bsresearch.advice.choice import Choice
from bsresearch.advice.estimates import BEYOND, Estimate, Estimates
from bsresearch.advice.rates import Rates
from bsresearch.advice.table import Refusal, Runs
from bsresearch.core import lookup

# Each goal, by the quantity of which the least is best; and the flags that name its column.
GOALS = {'time': 'seconds', 'examples': 'length', 'energy': 'joules', 'accuracy': 'loss'}
COLUMNS = {'time': '--seconds', 'examples': '--steps, --epochs or --examples', 'energy': '--joules or --watts',
           'accuracy': '--loss'}  # fmt: skip
# Costs nearer than that are no reason to change a batch size; of losses, the spread of a single run.
MARGIN = math.log(1.05)
LEVEL = 0.95
# Of the valley of losses over rates, as a share of the best; of lengths it is a factor of 2.
DEPTH = 0.05
NEXT_RUNS = 3
# As parts of that margin: gains of a run that are not worth naming it.
SLIGHT = 0.02


def advise(runs: Runs, goal: str | None = None, at: Sequence[float] = ()) -> Advice:
    """What to use.

    Args:
      goal: a key of GOALS; None: the first that the table can tell. at: batch sizes to be told of beside those tried.

    Raises:
      Refusal: the table tells nothing, or not what is asked. ValueError: a goal that there is not.
    """
    goal = _goal(runs, goal)
    _check(runs, goal)
    tried = runs.sizes
    near = [size for size in at if tried[0] / BEYOND <= size <= tried[-1] * BEYOND]
    edges = [max(tried[0] / BEYOND, 1.0), tried[-1] * BEYOND]  # where the next run may be
    sizes = np.unique(np.concatenate([estimates.candidates(tried), near, edges]))
    alike, tuned, refused = _tuned(runs, goal, sizes)
    estimated = estimates.of_runs(alike, sizes)
    if tuned is not None and goal == 'accuracy':
        estimated = estimated._replace(
            quantities={**estimated.quantities, 'loss': estimates.possible(tuned.reached, runs)}
        )
    chosen = {each: _choose(estimated, each) for each in GOALS if _nameable(estimated, each).any()}
    if goal not in chosen:
        raise Refusal(f'--goal={goal}: no batch size has both, a run that reached the target and its {GOALS[goal]}')
    best = chosen[goal]
    shown = {*tried, *near, *sizes[[best.named, best.low, best.high]]}
    rows = [_row(estimated, i, goal, best, tuned, runs, alike) for i in range(len(sizes)) if sizes[i] in shown]
    rows += [_beyond(size, tried) for size in at if size not in sizes]
    rows = _with_pareto(sorted(rows, key=lambda row: row.batch_size))
    size = lambda place: float(sizes[place])
    named = {each: Quantity(size(one.named), size(one.low), size(one.high)) for each, one in chosen.items()}
    return Advice(
        goal,
        named[goal],
        next(row for row in rows if row.batch_size == named[goal].choice),
        rows,
        {other: one for other, one in named.items() if other != goal},
        _next_runs(estimated, goal, tuned),
        growth.of(alike, estimated) if alike.timed else None,
        throughput.of(estimated),
        rules.prices(tuned) if tuned is not None else [],
        refused,
        runs,
    )


def _goal(runs: Runs, goal: str | None) -> str:
    has = {
        'time': runs.timed and bool(np.isfinite(runs.seconds).any()),
        'examples': runs.timed,
        'accuracy': bool(np.isfinite(runs.loss).any()),
        'energy': runs.timed and bool(np.isfinite(runs.joules).any()),
    }
    if goal is None:
        return next((name for name, able in has.items() if able), 'examples')
    if goal not in GOALS:
        raise ValueError(f'--goal={goal}: {lookup.nearest(goal, GOALS)}')
    if not has[goal] and (runs.timed or goal == 'accuracy' or not runs.told):
        column = COLUMNS[goal if runs.told or goal == 'accuracy' else 'examples']
        raise Refusal(f'--goal={goal}: no run tells it; name its column, {column}')
    return goal


def _check(runs: Runs, goal: str) -> None:
    """Raises Refusal where nothing can be compared."""
    useful = np.isfinite(runs.loss) if goal == 'accuracy' else runs.reached
    if not useful.any():
        known = runs.length[np.isfinite(runs.length)]
        far = f', the longest went to {known.max():,.0f} {runs.unit}' if len(known) else ''
        raise Refusal(f'none of {len(useful)} runs reached the target{far}: take a target that some reached, or train '
                      'longer')  # fmt: skip
    if len(runs.sizes) < 2:
        size = runs.sizes[0]
        others = f'{size // 2:g} and {2 * size:g}' if size > 1 else '2 and 4'
        raise Refusal(f'one batch size, B = {size:g}, and nothing to compare it with: train at B = {others} too')
    if len(sizes := np.unique(runs.batch_size[useful])) < 2:
        raise Refusal(f'only runs at B = {sizes[0]:g} reached the target: of those tried it is the one to use, by how '
                      'much cannot be told; train the others longer, or take an easier target')  # fmt: skip


def _rate(runs: Runs) -> np.ndarray:
    return np.full(len(runs.batch_size), np.nan) if runs.learning_rate is None else runs.learning_rate


def _tuned(runs: Runs, goal: str, sizes: np.ndarray) -> tuple[Runs, Rates | None, str]:
    """The runs that are compared; the rates, where some batch size has several, or why they cannot be told."""
    if not runs.several_rates:
        return runs, None, ''
    unreached = np.maximum(runs.low, runs.longest)  # one that stopped early has not come there early
    value = runs.loss if goal == 'accuracy' else np.where(runs.reached, np.log(runs.length), unreached)
    value = np.where(np.isposinf(runs.loss), np.inf, value)  # a rate that diverges is none to use
    rate, reached = _rate(runs), None if goal == 'accuracy' else runs.reached
    of_cells = rates.cells(runs.batch_size, rate, value, reached)
    try:
        if goal == 'accuracy':
            lowest = value[np.isfinite(value)].min()
            tuned = rates.at(of_cells, sizes, DEPTH * float(np.abs(lowest)))
        else:
            tuned = rates.at(of_cells, sizes, math.log(2), MARGIN)
    except Refusal as refusal:
        return runs.where(rates.best_tried(of_cells, runs.batch_size, rate)), None, str(refusal)
    return runs.where(tuned.near(runs.batch_size, rate)), tuned, ''


def _nameable(found: Estimates, goal: str) -> np.ndarray:
    """(k,) batch sizes that may be named: tried or between tried ones, with a run that reached the target."""
    name = GOALS[goal]
    if name not in found.quantities:
        return np.zeros(len(found.batch_size), bool)
    return found.candidate & found.within[name] & (found.reached | (goal == 'accuracy'))


def _cost(found: Estimates, goal: str) -> tuple[Estimate, float]:
    """In which differences are compared, ln of what is a length, time or energy; and what counts as none."""
    estimate = found.quantities[GOALS[goal]]
    if goal != 'accuracy':
        return Estimate(*map(np.log, estimate)), MARGIN
    least = 1e-9 * float(np.abs(estimate.mean).max())  # of losses that are all alike: what rounding makes
    return estimate, max(least, float(np.median((estimate.run - estimate.mean).std(axis=0)[found.tried])))


def _choose(found: Estimates, goal: str) -> Choice:
    cost, margin = _cost(found, goal)
    return choice.choose(cost.mean, _nameable(found, goal), margin, found.tried)


def _interval(estimate: Estimate, i: int) -> Quantity:
    """Of a single new run, with the mean of runs as what is expected of it."""
    low, high = np.quantile(estimate.run[:, i], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method='inverted_cdf')
    return Quantity(float(np.median(estimate.mean[:, i])), float(low), float(high))


def _row(found: Estimates, i: int, goal: str, best: Choice, tuned: Rates | None, runs: Runs, alike: Runs) -> Row:
    own = runs.batch_size == found.batch_size[i]
    return Row(
        float(found.batch_size[i]),
        int(own.sum()),
        int(runs.reached[own].sum()),
        bool(best.as_good[i]),
        float(best.dearer[i] if goal == 'accuracy' else np.expm1(best.dearer[i])),
        {name: _interval(estimate, i) for name, estimate in found.quantities.items()},
        _rate_at(alike, found.batch_size[i], tuned, i),
        tuned.edge[i] if tuned is not None else '',
    )


def _rate_at(runs: Runs, size: float, tuned: Rates | None, i: int) -> Quantity:
    """The rate at a batch size; runs: those that are compared."""
    if tuned is not None:
        return Quantity(float(tuned.choice[i]), float(tuned.low[i]), float(tuned.high[i]))
    if runs.learning_rate is None:
        return Quantity(refusal='the table has no learning rates')
    tried = np.unique(runs.learning_rate[runs.batch_size == size])
    if len(tried) == 1:
        return Quantity(float(tried[0]), float(tried[0]), float(tried[0]))
    return Quantity(refusal='several were tried, and none can be told' if len(tried) else 'no rate was tried there')


def _beyond(size: float, tried: np.ndarray) -> Row:
    times = max(size / tried[-1], tried[0] / size)
    reason = (
        f'B = {size:g} lies {times:.3g} times beyond the batch sizes tried, {tried[0]:g} to {tried[-1]:g}: nothing is '
        f'told beyond {BEYOND:g} times'
    )
    return Row(size, rate=Quantity(refusal=reason), refusal=reason)


def _with_pareto(rows: list[Row]) -> list[Row]:
    tried = [row for row in rows if row.runs and (row.reached or 'loss' in row.expected)]
    means = lambda row: np.array([quantity.choice for quantity in row.expected.values()])
    beaten = lambda row: any((means(o) <= means(row)).all() and (means(o) < means(row)).any() for o in tried)
    return [row._replace(pareto=row in tried and not beaten(row)) for row in rows]


def _next_runs(found: Estimates, goal: str, tuned: Rates | None) -> list[NextRun]:
    """What is expected to help most to name a better one, the best first."""
    cost, margin = _cost(found, goal)
    gains = choice.gains(cost.mean, cost.run, _nameable(found, goal) | ~found.candidate)
    ranked = [i for i in np.argsort(-gains, kind='stable') if gains[i] > SLIGHT * margin][:NEXT_RUNS]
    rate = lambda i: float(tuned.choice[i]) if tuned is not None else math.nan
    expected = lambda i: {name: _interval(estimate, i) for name, estimate in found.quantities.items()}
    return [NextRun(float(found.batch_size[i]), rate(i), float(gains[i]), expected(i)) for i in ranked]
