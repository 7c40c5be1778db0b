"""Other readings of the same runs: where the shortest of them ends, in whatever is to be equal; each at its best rate.

`at_common('updates', metric, 'small', 'large')` compares runs of equal epochs at equal updates: the small batch is read
where the large one ended. Schedules that are as long as their runs are then at unequal stages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from bsresearch.analysis import over, pace
from bsresearch.analysis.axis_labels import text, words
from bsresearch.analysis.cells import Key
from bsresearch.analysis.courses import POSITIONS, check_position
from bsresearch.analysis.of_runs import check, evaluations, unit_of
from bsresearch.analysis.quantity import Array, Quantity, exact
from bsresearch.analysis.selectors import Cell, Selector, to_selector
from bsresearch.analysis.study import Study
from bsresearch.core.target import better

RATE = 'learning_rate'


def at_common(x: str, metric: str, *cells: Cell) -> Quantity:
    """A metric at the common horizon of some cells: where, in x, the first of their runs ends.

    Linear in ln x between the evaluations before and after; none where all of a run's lie beyond it, but that at its
    initial weights. Seconds are updates times the pace of a batch size (pace.py).

    Args:
      x: updates, examples, epochs or seconds. cells: that are compared; other cells are read there as well.
    """
    check_position(x)
    selectors = tuple(map(to_selector, cells))

    def of(study: Study) -> Array:
        check(study, metric)
        ends = [places[-1] for run in _runs(study, selectors) if len(places := _places(study, run, metric, x))]
        horizon = min(ends, default=np.nan)

        def of_run(run: str) -> float:
            return _between(study, run, metric, x, horizon) if study.status(run) == 'done' else np.nan

        values, remarks = study.table(of_run), {}
        for cell in values.index:
            early = values.loc[cell].isna().all() and all(study.status(run) == 'done' for run in study.runs_of(cell))
            remarks[cell] = f'read at {text(float(f"{horizon:.4g}"))} {x}'
            remarks[cell] += f', where {cell[0]} has no evaluation yet, or none any more' if early else ''
        return exact(values)._replace(remarks=remarks)

    name = f'{words(metric)} at equal {x}'
    return Quantity(of, name, unit_of(metric), (metric,), higher_is_better=better(metric))


def _runs(study: Study, selectors: Sequence[Selector]) -> list[str]:
    """Those of the cells that came to their end."""
    trained = study.trained
    chosen = [any(s.is_of(cell, study.parts) for s in selectors) for cell in trained['cell']]
    return [run for run in trained.loc[chosen, 'id'] if study.status(run) == 'done']


def _places(study: Study, run: str, metric: str, x: str) -> np.ndarray:
    """Where a metric of a run was evaluated, in x."""
    return pace.places(study, run, evaluations(study, run, metric), POSITIONS[x][0])


def _between(study: Study, run: str, metric: str, x: str, at: float) -> float:
    """A metric at a place between its evaluations after the start; NaN beyond them."""
    places, values = _places(study, run, metric, x), evaluations(study, run, metric)[metric].to_numpy(float)
    after = places > 0
    inside = after.any() and places[after][0] <= at * (1 + 1e-9) and at <= places[-1] * (1 + 1e-9)
    return float(np.interp(np.log(at), np.log(places[after]), values[after])) if inside else np.nan


def best_of_arms(
    arms: Mapping[str, Sequence[str]], quantity: Quantity, by: Quantity | None = None, *, as_source: bool = False
) -> Quantity:
    """A quantity in which an arm stands for several that differ in their rate: it has the numbers of the best of them.

    {'large': ('large', 'higher_rate')}. Chosen once for all replicates, as by `over.best_over`; an arm that stands for
    itself alone was not tuned, and is on the edge of what was tried.

    Args:
      by: what is best; on a validation set. as_source: chosen by the quantity itself, on the test set.

    Raises:
      ValueError: as `over.best_over`.
    """
    judge = over.judge_of(f'best_of_arms(…, {quantity.name})', quantity, by, as_source=as_source)
    sign = 1.0 if judge.higher_is_better else -1.0

    def of(study: Study) -> Array:
        whole, judged = quantity.of(study), judge.of(study)
        if whole.halves is not None or judged.halves is not None:
            raise ValueError(f'best_of_arms(…, {quantity.name}) of what was chosen already')
        table = over.without_diverged(study, judged.low * sign)
        rows_of = {key: np.full(table.shape[1], row) for row, key in enumerate(table.index)}
        of_all, of_halves = dict[Key, np.ndarray | None](rows_of), dict[Key, np.ndarray | None](rows_of)
        edges, remarks = set[Key](), dict[Key, str]()
        for arm, others in arms.items():
            key, cells = _cell(table, arm), [_cell(table, other) for other in others]
            cells = sorted(cells, key=lambda cell: _rate(study, cell))
            scores, rows = table.loc[cells].to_numpy(float), np.array([rows_of[cell][0] for cell in cells])
            choice = over.choice('rate', (arm,), (tuple(_rate(study, cell) for cell in cells),), scores)
            of_all[key] = None if choice.places is None else rows[choice.places]
            of_halves[key] = None if choice.places is None else rows[over.by_other_half(scores)]
            edges |= {key} if choice.edge else set()
            remarks[key] = choice.remark
        array, halves = (over.picked(whole, table, (), rows) for rows in (of_all, of_halves))
        return array._replace(halves=halves, edges=frozenset(edges), remarks=remarks)

    metrics = tuple(dict.fromkeys((*quantity.metrics, *judge.metrics)))
    return replace(quantity, of=of, name=f'{quantity.name} at the best rate', metrics=metrics)


def _cell(table: pd.DataFrame, arm: str) -> Key:
    """Raises LookupError where an arm has no cell or several."""
    cells = [key for key in table.index if key[0] == arm and not key[1]]
    if len(cells) != 1:
        raise LookupError(f'{arm} has {len(cells) or "no"} cells; best_of_arms takes arms of one')
    return cells[0]


def _rate(study: Study, cell: Key) -> float:
    return float(study.runs.at[study.runs_of(cell)[0], RATE])
