"""Where a metric of a run is best, and what it took to come there: known only of a run that has passed it.

A run that is still improving when it ends has no best to be told: where its best evaluation lies later than
1/`BEYOND` of it, the best is censored, as good as what was seen or better, and what it takes as much as that or more.
A run that was stopped at its best so far would else be compared with one that has overfitted. The best of several noisy
evaluations is a little too good, by more where there are more of them.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bsresearch.analysis import pace
from bsresearch.analysis.axis_labels import words
from bsresearch.analysis.of_runs import EFFORTS, check, evaluations, unit_of
from bsresearch.analysis.quantity import Array, Quantity, exact
from bsresearch.analysis.study import Study
from bsresearch.core.target import better

BEYOND = 1.25  # a run is followed for a quarter of the way to its best beyond it
Ends = tuple[float, float]


def optimum_of(metric: str) -> Quantity:
    """The best evaluation of a run that has passed it; of one that has not, between that and the best there can be.

    Raises:
      ValueError: the metric has no best.
    """
    higher = _higher(metric)

    def ends(seen: float, _: float, passed: bool) -> Ends:
        if passed:
            return seen, seen
        return (seen, unit_of(metric).high) if higher else (unit_of(metric).low, seen)

    return _of_optimum(metric, f'{"maximum" if higher else "minimum"} of {words(metric)}', ends, 'step')


def to_optimum(effort: str, metric: str) -> Quantity:
    """Updates, examples, epochs or seconds to the best evaluation of a run: of one that has not passed it at least so.

    It is told to one interval between evaluations; seconds are updates times the pace of a batch size (pace.py).

    Raises:
      ValueError: an unknown effort, or a metric that has no best.
    """
    if effort not in EFFORTS:
        raise ValueError(f'to_optimum({effort!r}): there are {", ".join(EFFORTS)}')
    column, unit = EFFORTS[effort]
    name = f'{effort} to the {"maximum" if _higher(metric) else "minimum"} of {words(metric)}'
    ends = lambda _, place, passed: (place, place if passed else np.inf)
    return replace(_of_optimum(metric, name, ends, column), unit=unit, higher_is_better=False)


def _higher(metric: str) -> bool:
    if (higher := better(metric)) is None:
        raise ValueError(f'{metric} has no best; take an accuracy or a loss')
    return higher


def _of_optimum(metric: str, name: str, ends: Callable[[float, float, bool], Ends], column: str) -> Quantity:
    """ends: the best value, its place in a column of the records, whether it was passed → what the number lies between.

    A run that diverged has no number.
    """
    sign = 1.0 if better(metric) else -1.0

    def of_run(study: Study, run: str) -> Ends:
        rows = evaluations(study, run, metric)
        if study.status(run) != 'done' or not len(rows):
            return np.nan, np.nan
        at = int((sign * rows[metric]).to_numpy(float).argmax())
        step, places = rows['step'].to_numpy(float), pace.places(study, run, rows, column)
        return ends(float(rows[metric].iloc[at]), float(places[at]), bool(step[-1] >= BEYOND * step[at]))

    def of(study: Study) -> Array:
        check(study, metric)
        between = {run: of_run(study, run) for run in study.runs.index}
        low, high = (study.table(lambda run, i=i: between[run][i]) for i in range(2))
        return exact(low)._replace(high=high)

    return Quantity(of, name, unit_of(metric), (metric,), higher_is_better=better(metric))
