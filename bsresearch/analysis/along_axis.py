"""Contrasts along an axis, whether a quantity rises with it and where it is best, and along courses of training."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from bsresearch.analysis import verdicts
from bsresearch.analysis.axis_labels import words
from bsresearch.analysis.best_sets import Along, RatioOfPlaces
from bsresearch.analysis.contrasts import Contrast, Contrasts, Numbers
from bsresearch.analysis.over import without_diverged
from bsresearch.analysis.quantity import TIMES, Unit
from bsresearch.analysis.selectors import Cell, Selector, to_selector
from bsresearch.analysis.study import ABSENT, ALL
from bsresearch.analysis.verdicts import Part
from bsresearch.core import lookup

TAU, PLACE = Unit(decimals=2), Unit(digits=6)


def trend(axis: str, cells: Sequence[Cell] = (), *, within: Cell = ALL) -> Contrasts:
    """Kendall's τ of the quantity in an axis, by replicate: −1 to 1; few values, so a sign test decides.

    Args:
      cells: arms whose runs differ in that field; without, all values of the axis within one arm (`within`).
    """
    selectors = tuple(map(to_selector, cells))

    def of(numbers: Numbers) -> Part:
        places = list(selectors) or _along(numbers, axis, to_selector(within))
        x = np.array([_value(numbers, axis, selector) for selector in places], float)
        values = [numbers.pick(selector) for selector in places]
        low, high = (np.array([getattr(v, end).to_numpy(float) for v in values]) for end in ('low', 'high'))
        taus = np.array([_tau(x, low[:, i], high[:, i]) for i in range(low.shape[1])]).T
        return Part(f'τ in {words(axis)}', taus[0], taus[1], few=True)

    cells_read = selectors or (to_selector(within),)
    return (Contrast(f'trend in {words(axis)}', cells_read, of, level=True, unit=TAU, along=axis),)


def _along(numbers: Numbers, axis: str, within: Selector) -> list[Selector]:
    index = numbers.array.low.index
    if axis not in index.names:
        raise ValueError(f'no axis {axis!r} is left; there are: {", ".join(index.names)}')
    of_arm = index[index.get_level_values('arm') == within.arm]
    there = sorted(value for value in of_arm.get_level_values(axis).unique() if value != ABSENT)
    return [within._replace(axes=(*within.axes, (axis, value))) for value in there]


def _value(numbers: Numbers, axis: str, selector: Selector) -> float:
    """Of a cell on an axis, or of the field that its arm's runs have."""
    key = numbers.cell(selector)
    if axis in numbers.array.names:
        return float(key[numbers.array.names.index(axis)])
    study = numbers.study
    if axis not in study.runs:
        raise ValueError(
            f'no axis and no field {axis!r}; {lookup.nearest(axis, [*study.axes, *study.runs], "bsresearch fields")}'
        )
    members = study.members[(study.members['arm'] == selector.arm) & (study.members['kind'] == 'run')]
    values = study.runs.loc[members['id'], axis].unique()
    if len(values) != 1:
        raise LookupError(f'{selector.arm} has {len(values)} values of {axis}')
    return float(values[0])


def _tau(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Kendall's τ_b between x and numbers that lie between low and high: its least and largest value.

    Pairs whose order is not known may have either; of known numbers both are the usual τ_b. NaN where one is missing.
    """
    if len(x) < 3 or np.isnan(low).any():
        return np.nan, np.nan
    i, j = np.triu_indices(len(x), 1)
    rising = np.sign(x[j] - x[i])
    above, below = low[j] > high[i], high[j] < low[i]
    tied = (low[i] == high[i]) & (low[j] == high[j]) & (low[i] == low[j])
    known = rising * (above.astype(float) - below.astype(float))
    unknown = (~(above | below | tied) & (rising != 0)).sum()
    scale = np.sqrt((rising != 0).sum() * (~tied).sum())
    if not scale:
        return np.nan, np.nan
    return float((known.sum() - unknown) / scale), float((known.sum() + unknown) / scale)


def optimum(axis: str, within: Cell = ALL) -> Contrasts:
    """Where along an axis the quantity is best: the set of places that cannot be told from the best (best_sets.py)."""
    selector, name = to_selector(within), f'best {words(axis)}'
    of = lambda numbers: _placed(name, _best(numbers, axis, selector), numbers)
    return (Contrast(name, (selector,), of, level=True, unit=PLACE, along=axis),)


def optimum_over(axis: str, a: Cell, b: Cell) -> Contrasts:
    """Ln of where a is best over where b is: of every pair of places that cannot be told from the best."""
    first, second = to_selector(a), to_selector(b)
    name = f'best {words(axis)}, {first} over {second}'

    def of(numbers: Numbers) -> Part:
        x, y = (_best(numbers, axis, selector) for selector in (first, second))
        return _placed(name, x and y and RatioOfPlaces(x, y), numbers)

    return (Contrast(name, (first, second), of, unit=TIMES, along=axis),)


def _placed(name: str, along: Along | RatioOfPlaces | None, numbers: Numbers) -> Part:
    return verdicts.of(name, np.full(numbers.array.low.shape[1], np.nan), along=along)


def _best(numbers: Numbers, axis: str, selector: Selector) -> Along | None:
    """The cells of an axis; None while a run is unfinished.

    Raises:
      ValueError: whether more is better is not known. LookupError: there are no cells.
    """
    if numbers.higher_is_better is None:
        raise ValueError(f'the best {words(axis)}: whether more is better is not known; .named(…, higher_is_better=…)')
    cells = [numbers.cell(place) for place in _along(numbers, axis, selector)]
    if not cells:
        raise LookupError(f'{selector} has no values of {axis}')
    array, sign = numbers.array, 1.0 if numbers.higher_is_better else -1.0
    ends = [without_diverged(numbers.study, sign * end).loc[cells] for end in (array.low, array.high)]
    low, high = (end.to_numpy(float) for end in (ends if sign > 0 else ends[::-1]))
    if np.isnan(low).any():
        return None
    x = np.array([cell[array.names.index(axis)] for cell in cells], float)
    at_edge = np.array([cell in array.edges for cell in cells])
    smallest = axis == 'batch_size' and x[0] == 1
    return Along(x, low, high, array.rounding.loc[cells].to_numpy(float), at_edge, first=smallest)


def at_equal_updates(metric: str, a: Cell, b: Cell) -> Contrasts:
    """Ln of a metric of a over that of b at the first and at the last number of updates that both were measured at.

    Linear in the logarithms between measurements; of positive metrics, and of runs that came to their end.
    """
    first, second = to_selector(a), to_selector(b)

    def of(end: int) -> Callable[[Numbers], Part]:
        def part(numbers: Numbers) -> Part:
            of_cells = [_courses(numbers, selector, metric) for selector in (first, second)]
            steps = [course['step'] for courses in of_cells for course in courses.values()]
            span = max(step.min() for step in steps), min(step.max() for step in steps)
            if span[0] > span[1]:
                raise LookupError(f'{first} and {second} have no equal updates')
            at = lambda course: np.interp(np.log(span[end]), np.log(course['step']), np.log(course[metric]))
            a_log, b_log = (pd.Series({r: at(course) for r, course in courses.items()}) for courses in of_cells)
            values = (a_log - b_log).reindex(numbers.study.replicates)
            return verdicts.of(f'{first} over {second} at {span[end]:,.0f} updates', values)

        return part

    return tuple(Contrast(f'{first} over {second}', (first, second), of(end), reads=metric) for end in (0, 1))


def _courses(numbers: Numbers, selector: Selector, metric: str) -> dict[str, pd.DataFrame]:
    """Replicate → the measurements of its run after update 0."""
    study = numbers.study
    members = study.members[study.members['cell'] == numbers.cell(selector)]
    done = members[[study.status(run) == 'done' for run in members['id']]]
    of_runs = {r: study.rows[run] for run, r in zip(done['id'], done['replicate'], strict=True)}
    courses = {r: rows[rows[metric].notna() & (rows['step'] > 0)] for r, rows in of_runs.items() if metric in rows}
    if not courses:
        raise LookupError(f'{selector} has no run with {metric} that came to its end')
    return courses
