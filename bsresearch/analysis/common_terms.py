"""Other readings of the same runs: where the shortest of them ends, in whatever is to be equal; each at its best rate.

`at_common('updates', metric, 'small', 'large')` compares runs of equal epochs at equal updates: the small batch is read
where the large one ended. Schedules that are as long as their runs are then at unequal stages.
"""

from collections.abc import Mapping, Sequence

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
    rows = evaluations(study, run, metric)
    if x == 'seconds':
        return rows['step'].to_numpy(float) * pace.of_run(study, run)
    return rows[POSITIONS[x][0]].to_numpy(float)


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
        whole, table = quantity.of(study), over.without_diverged(study, judge.of(study).low * sign)
        if whole.halves is not None:
            raise ValueError('best_of_arms(…) of what was chosen already')
        chosen, halves, remarks, edges = dict[Key, list[Key]](), dict[Key, list[Key]](), dict[Key, str](), set[Key]()
        for arm, others in arms.items():
            key, *cells = _cell(table, arm), *(_cell(table, other) for other in others)
            cells = sorted(cells, key=lambda cell: _rate(study, cell))
            scores = table.loc[cells].to_numpy(float)
            choice = over.choice('rate', (arm,), (tuple(_rate(study, cell) for cell in cells),), scores)
            remarks[key] = choice.remark
            edges |= {key} if choice.edge else set()
            chosen[key] = [] if choice.places is None else [cells[i] for i in choice.places]
            halves[key] = [] if choice.places is None else [cells[i] for i in over.by_other_half(scores)]
        halved = _with(whole, halves)
        return _with(whole, chosen)._replace(halves=halved, edges=frozenset(edges), remarks=remarks)

    metrics = tuple(dict.fromkeys((*quantity.metrics, *judge.metrics)))
    return Quantity(
        of, f'{quantity.name} at the best rate', quantity.unit, metrics, quantity.few, quantity.higher_is_better,
        quantity.diverged,
    )  # fmt: skip


def _cell(table: pd.DataFrame, arm: str) -> Key:
    """Raises LookupError where an arm has no cell or several."""
    cells = [key for key in table.index if key[0] == arm and not key[1]]
    if len(cells) != 1:
        raise LookupError(f'{arm} has {len(cells) or "no"} cells; best_of_arms takes arms of one')
    return cells[0]


def _rate(study: Study, cell: Key) -> float:
    return float(study.runs.at[study.runs_of(cell)[0], RATE])


def _with(array: Array, cells: Mapping[Key, Sequence[Key]]) -> Array:
    """Each replicate of a cell with the numbers of another; none where that is not known."""
    place = {key: row for row, key in enumerate(array.low.index)}
    low, high, rounding = (np.array(table, float) for table in (array.low, array.high, array.rounding))
    before, replicates = (low.copy(), high.copy(), rounding.copy()), np.arange(low.shape[1])
    for cell, of_replicates in cells.items():
        rows = [place[one] for one in of_replicates]
        for end, source in zip((low, high), before[:2], strict=True):
            end[place[cell]] = source[rows, replicates] if rows else np.nan
        rounding[place[cell]] = before[2][rows].mean() if rows else 0.0
    index, columns = array.low.index, array.low.columns
    return Array(pd.DataFrame(low, index, columns), pd.DataFrame(high, index, columns), pd.Series(rounding, index))
