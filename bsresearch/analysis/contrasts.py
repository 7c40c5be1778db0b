"""What one interval of a statement is made of: a number for each replicate, from the cells that it names.

    minus('small', 'large')        steps('small', 'middle', 'large')        to_number('batch', 0.816)

Each function returns a tuple of contrasts: a statement takes their sum. A cell is named by a selector: the name of an
arm, `'large/switch_small@2'` (a branch and its declared epoch), or `at('all', batch_size=64)`. A selector that leaves
an axis open is refused. A contrast may have a quantity of its own instead of the statement's.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels, verdicts
from bsresearch.analysis.over import not_told_from_best, without_diverged
from bsresearch.analysis.quantity import TIMES, Array, Quantity, Unit
from bsresearch.analysis.study import ABSENT, ALL, PARTS, Study
from bsresearch.analysis.verdicts import Part
from bsresearch.core import lookup

TAU, PLACE = Unit(decimals=2), Unit(digits=6)


class Selector(NamedTuple):
    """Which cell: an arm, a branch with its declared point, values of axes."""

    arm: str = ALL
    branch: str = ''
    point: float | str = ABSENT
    axes: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        """'large/switch_small@2, batch size 64'."""
        at = '' if self.point == ABSENT else f'@{self.point:g}'
        name = f'{self.arm}/{self.branch}{at}' if self.branch else '' if self.arm == ALL and self.axes else self.arm
        values = [f'{axis.replace("_", " ")} {axis_labels.text(value)}' for axis, value in self.axes]
        return ', '.join([*([name] if name else []), *values])


def at(arm: str = ALL, *, branch: str = ABSENT, point: float | str = ABSENT, **axes: Any) -> Selector:
    """A cell by its parts; the name of an arm may hold branch and point: 'large/switch_small@2'."""
    if '/' in arm:
        arm, _, branch = arm.partition('/')
        branch, _, epoch = branch.partition('@')
        point = float(epoch) if epoch else point
    return Selector(arm, branch, point, tuple(axes.items()))


Cell = str | Selector


def _selector(cell: Cell) -> Selector:
    return at(cell) if isinstance(cell, str) else cell


class Values(NamedTuple):
    """A number for each replicate, between low and high, and the variance that counting adds to it."""

    low: pd.Series
    high: pd.Series
    rounding: float = 0.0

    def minus(self, other: 'Values') -> 'Values':
        """Replicate by replicate, of those that both have."""
        with np.errstate(invalid='ignore'):
            low, high = (a.astype(float) - b.astype(float) for a, b in ((self.low, other.high), (self.high, other.low)))
        # ∞ − ∞ is not known: anything.
        unknown = low.isna() & high.isna() & self.low.notna() & other.low.reindex(low.index).notna()
        return Values(low.mask(unknown, -np.inf), high.mask(unknown, np.inf), self.rounding + other.rounding)


class Numbers(NamedTuple):
    """The numbers of a quantity in a study, for contrasts to pick from."""

    array: Array
    study: Study
    few: bool = False

    def cell(self, selector: Selector) -> tuple[Any, ...]:
        """The key of the one cell that a selector names.

        Raises:
          LookupError: there is none. ValueError: it leaves an axis open, or names one that is not there.
        """
        index = self.array.low.index
        names = list(index.names)
        axes = dict(selector.axes)
        for axis in axes:
            if axis not in names:
                raise ValueError(f'{selector}: no axis {axis!r} is left; {lookup.nearest(axis, names)}')
        wanted = dict(zip(PARTS, selector[:3], strict=True)) | axes
        keep = np.ones(len(index), bool)
        for name, value in wanted.items():
            if name in names:
                keep &= np.asarray(index.get_level_values(name) == value)
        cells = index[keep]
        if not len(cells):
            raise LookupError(f'{selector} has no runs')
        if len(cells) > 1:
            left = [name for name in names if cells.get_level_values(name).nunique() > 1]
            raise ValueError(f'{selector} leaves {", ".join(left)} open: name its value, or reduce it (best_over, …)')
        return cells[0]

    def pick(self, selector: Selector, *, left_out: bool = False) -> Values:
        """The numbers of a cell; `left_out`: of what was chosen, those of a level told by itself."""
        key, array = self.cell(selector), self.array
        if left_out and array.left_out is not None:
            values = array.left_out.loc[key]
            return Values(values, values, float(array.rounding.loc[key]))
        return Values(array.low.loc[key], array.high.loc[key], float(array.rounding.loc[key]))


class Contrast(NamedTuple):
    """One part of a statement.

    Attributes:
      label: what is compared. cells: what it reads, for what was lost and held fixed. of: numbers → the part, or
        several alike (one for each batch size of a probe).
      quantity: its own, None for the statement's. level: it is a number itself and no difference of two.
      unit: its own, None for the quantity's.
    """

    label: str
    cells: tuple[Selector, ...]
    of: Callable[[Numbers], Part | Sequence[Part]]
    quantity: Quantity | None = None
    level: bool = False
    unit: Unit | None = None


Contrasts = tuple[Contrast, ...]


def _part(label: str, values: Values, numbers: Numbers) -> Part:
    return Part(label, values.low.to_numpy(float), values.high.to_numpy(float), numbers.few, values.rounding)


def alone(*cells: Cell, label: str = '', quantity: Quantity | None = None) -> Contrasts:
    """Each cell's own numbers; of what was chosen, chosen on the other replicates."""

    def one(selector: Selector) -> Contrast:
        name = label or str(selector)
        of = lambda numbers: _part(name, numbers.pick(selector, left_out=True), numbers)
        return Contrast(name, (selector,), of, quantity, level=True)

    return tuple(one(_selector(cell)) for cell in cells)


def minus(a: Cell, b: Cell, *, label: str = '', quantity: Quantity | None = None) -> Contrasts:
    """A − b, paired by replicate; of a logarithm the ratio."""
    first, second = _selector(a), _selector(b)
    name = label or f'{first} − {second}'
    of = lambda numbers: _part(name, numbers.pick(first).minus(numbers.pick(second)), numbers)
    return (Contrast(name, (first, second), of, quantity),)


def ratio(a: Cell, b: Cell, *, label: str = '', quantity: Quantity | None = None) -> Contrasts:
    """A over b, of a quantity that is a logarithm."""
    return minus(a, b, label=label or f'{_selector(a)} over {_selector(b)}', quantity=quantity)


def steps(*cells: Cell) -> Contrasts:
    """Each cell minus the next."""
    return tuple(c for a, b in itertools.pairwise(cells) for c in minus(a, b))


def against(cells: Sequence[Cell], other: Cell) -> Contrasts:
    """Each of the cells minus one other."""
    return tuple(c for cell in cells for c in minus(cell, other))


def to_number(cell: Cell, number: float, *, quantity: Quantity | None = None) -> Contrasts:
    """A cell's own numbers minus one that a source gives."""
    selector = _selector(cell)
    shown = quantity.unit.show(number) if quantity else f'{number:g}'
    name = f'{selector} − {shown}'

    def of(numbers: Numbers) -> Part:
        values = numbers.pick(selector, left_out=True)
        return _part(name, Values(values.low - number, values.high - number, values.rounding), numbers)

    return (Contrast(name, (selector,), of, quantity),)


def interaction(a: Cell, b: Cell, c: Cell, d: Cell, *, label: str = '') -> Contrasts:
    """(a − b) − (c − d)."""
    four = tuple(map(_selector, (a, b, c, d)))
    name = label or f'({four[0]} − {four[1]}) − ({four[2]} − {four[3]})'

    def of(numbers: Numbers) -> Part:
        first, second, third, fourth = map(numbers.pick, four)
        return _part(name, first.minus(second).minus(third.minus(fourth)), numbers)

    return (Contrast(name, four, of),)


def trend(axis: str, cells: Sequence[Cell] = (), *, within: Cell = ALL) -> Contrasts:
    """Kendall's τ of the quantity in an axis, by replicate: −1 to 1; few values, so a sign test decides.

    Args:
      cells: arms whose runs differ in that field; without, all values of the axis within one arm (`within`).
    """
    selectors = tuple(map(_selector, cells))

    def of(numbers: Numbers) -> Part:
        places = list(selectors) or _along(numbers, axis, _selector(within))
        x = np.array([_value(numbers, axis, selector) for selector in places], float)
        values = [numbers.pick(selector) for selector in places]
        low, high = (np.array([getattr(v, end).to_numpy(float) for v in values]) for end in ('low', 'high'))
        taus = np.array([_tau(x, low[:, i], high[:, i]) for i in range(low.shape[1])]).T
        return Part(f'τ in {axis.replace("_", " ")}', taus[0], taus[1], few=True)

    return (
        Contrast(f'trend in {axis.replace("_", " ")}', selectors or (_selector(within),), of, level=True, unit=TAU),
    )


def _along(numbers: Numbers, axis: str, within: Selector) -> list[Selector]:
    index = numbers.array.low.index
    if axis not in index.names:
        raise ValueError(f'no axis {axis!r} is left; there are: {", ".join(index.names)}')
    mine = index[index.get_level_values('arm') == within.arm]
    there = sorted(value for value in mine.get_level_values(axis).unique() if value != ABSENT)
    return [within._replace(axes=(*within.axes, (axis, value))) for value in there]


def _value(numbers: Numbers, axis: str, selector: Selector) -> float:
    """Of a cell on an axis, or of the field that its arm's runs have."""
    key = numbers.cell(selector)
    if axis in numbers.array.names:
        return float(key[numbers.array.names.index(axis)])
    study = numbers.study
    members = study.members[(study.members['arm'] == selector.arm) & (study.members['kind'] != 'probe')]
    (value,) = study.runs.loc[members['id'], axis].unique()
    return float(value)


def _tau(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Kendall's τ_b between x and numbers that lie between low and high: its least and largest value.

    Pairs whose order is not known may have either; of known numbers both are the usual τ_b.
    """
    there = ~np.isnan(low)
    x, low, high = x[there], low[there], high[there]
    if len(x) < 3:
        return np.nan, np.nan
    i, j = np.triu_indices(len(x), 1)
    rising = np.sign(x[j] - x[i])
    above, below, tied = (
        low[j] > high[i],
        high[j] < low[i],
        (low[i] == high[i]) & (low[j] == high[j]) & (low[i] == low[j]),
    )
    known = rising * (above.astype(float) - below.astype(float))
    unknown = (~(above | below | tied) & (rising != 0)).sum()
    scale = np.sqrt((rising != 0).sum() * (~tied).sum())
    if not scale:
        return np.nan, np.nan
    return float((known.sum() - unknown) / scale), float((known.sum() + unknown) / scale)


class Places(NamedTuple):
    """Where a quantity is best along an axis: all that cannot be told from the best, it first; ends as in Part."""

    values: tuple[float, ...]
    open_low: bool
    open_high: bool


def optimum(axis: str, within: Cell = ALL, *, lowest: bool = False) -> Contrasts:
    """Where along an axis the quantity is best: the set of places that cannot be told from the best (over.py)."""
    selector, name = _selector(within), f'best {axis.replace("_", " ")}'

    def of(numbers: Numbers) -> Part:
        return _placed(name, _best_places(numbers, axis, selector, lowest=lowest), numbers)

    return (Contrast(name, (selector,), of, level=True, unit=PLACE),)


def optimum_over(axis: str, a: Cell, b: Cell, *, lowest: bool = False) -> Contrasts:
    """Ln of where a is best over where b is: of every pair of places that cannot be told from the best."""
    first, second = _selector(a), _selector(b)
    name = f'best {axis.replace("_", " ")}, {first} over {second}'

    def of(numbers: Numbers) -> Part:
        x, y = (_best_places(numbers, axis, selector, lowest=lowest) for selector in (first, second))
        ratios = tuple(float(np.log(i / j)) for i, j in itertools.product(x.values, y.values))
        return _placed(name, Places(ratios, x.open_low or y.open_high, x.open_high or y.open_low), numbers)

    return (Contrast(name, (first, second), of, unit=TIMES),)


def _placed(name: str, places: Places, numbers: Numbers) -> Part:
    """A part that is a set of places; not measured where there are none."""
    replicates = np.zeros(numbers.array.low.shape[1] if places.values else 0)
    edge = ', on the edge of what was tried' if places.open_low or places.open_high else ''
    ends = {'open_low': places.open_low, 'open_high': places.open_high}
    return verdicts.of(f'{name}{edge}', replicates, places=places.values, **ends)


def _best_places(numbers: Numbers, axis: str, selector: Selector, *, lowest: bool) -> Places:
    """None while a run is unfinished."""
    cells = _along(numbers, axis, selector)
    known = without_diverged(numbers.study, numbers.array.low) * (-1.0 if lowest else 1.0)
    values = np.array([known.loc[numbers.cell(cell)].to_numpy(float) for cell in cells])
    trained = np.isfinite(values).all(axis=1) if len(cells) else np.zeros(0, bool)
    if np.isnan(values).any() or not trained.any():
        return Places((), False, False)
    kept = np.zeros(len(values), bool)  # where a run diverged is never the best
    kept[trained] = not_told_from_best(values[trained])
    order = np.argsort(-values.mean(axis=1), kind='stable')
    best = tuple(float(dict(cells[i].axes)[axis]) for i in order if kept[i])
    return Places(best, bool(kept[0]), bool(kept[-1]))


def at_equal_updates(metric: str, a: Cell, b: Cell) -> Contrasts:
    """Ln of a metric of a over that of b at the first and at the last number of updates that both were measured at.

    Linear in the logarithms between measurements; of positive metrics, and of runs that came to their end.
    """
    first, second = _selector(a), _selector(b)

    def of(end: int) -> Callable[[Numbers], Part]:
        def part(numbers: Numbers) -> Part:
            courses = [_courses(numbers, selector, metric) for selector in (first, second)]
            steps = [[c['step'] for c in of_cell.values()] for of_cell in courses]
            span = max(s.min() for c in steps for s in c), min(s.max() for c in steps for s in c)
            if span[0] > span[1]:
                raise LookupError(f'{first} and {second} have no equal updates')
            logs = [{r: np.interp(np.log(span[end]), np.log(c['step']), np.log(c[metric])) for r, c in of_cell.items()}
                    for of_cell in courses]  # fmt: skip
            values = pd.Series(logs[0]) - pd.Series(logs[1])
            return verdicts.of(f'{first} over {second} at {span[end]:,.0f} updates', values.dropna())

        return part

    return tuple(Contrast(f'{first} over {second}', (first, second), of(end)) for end in (0, 1))


def _courses(numbers: Numbers, selector: Selector, metric: str) -> dict[str, pd.DataFrame]:
    """Replicate → the measurements of its run after update 0."""
    study = numbers.study
    members = study.members[study.members['cell'] == numbers.cell(selector)]
    done = members[[study.status(run) == 'done' for run in members['id']]]
    rows = {r: study.rows[run] for run, r in zip(done['id'], done['replicate'], strict=True)}
    courses = {r: c[c[metric].notna() & (c['step'] > 0)] for r, c in rows.items() if metric in c}
    if not courses:
        raise LookupError(f'{selector} has no run with {metric} that came to its end')
    return courses
