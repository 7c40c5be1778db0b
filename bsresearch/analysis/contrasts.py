"""What one interval of a statement is made of: a number for each replicate, from the cells that it names.

    minus('small', 'large')        steps('small', 'middle', 'large')        to_number('batch', 0.816)

Each function returns a tuple of contrasts: a statement takes their sum. A selector that leaves an axis open is refused.
A contrast may have a quantity of its own instead of the statement's. Those along an axis or a course: along_axis.py;
of probes: of_probes.py.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from bsresearch.analysis.quantity import Array, Quantity, Unit, combine, ends_of_difference
from bsresearch.analysis.selectors import Cell, Selector, at, to_selector
from bsresearch.analysis.study import Study
from bsresearch.analysis.verdicts import Part
from bsresearch.core import lookup

__all__ = [
    'Cell', 'Contrast', 'Contrasts', 'Selector', 'against', 'alone', 'at', 'every', 'instead', 'interaction', 'minus',
    'ratio', 'steps', 'to_number',
]  # fmt: skip


class Values(NamedTuple):
    """A number for each replicate, between low and high, and the variance that counting adds to it."""

    low: pd.Series
    high: pd.Series
    rounding: float = 0.0

    def minus(self, other: 'Values') -> 'Values':
        """Replicate by replicate, of those that both have."""
        low, high = ends_of_difference(*(v.astype(float) for v in (self.low, self.high, other.low, other.high)))
        return Values(low, high, self.rounding + other.rounding)


class Numbers(NamedTuple):
    """The numbers of a quantity in a study, for contrasts to pick from."""

    array: Array
    study: Study
    few: bool = False
    higher_is_better: bool | None = None

    def cell(self, selector: Selector) -> tuple[Any, ...]:
        """The key of the one cell that a selector names.

        Raises:
          LookupError: there is none. ValueError: it leaves an axis open, or names one that is not there.
        """
        names = self.array.names
        for axis, _ in selector.axes:
            if axis not in names:
                raise ValueError(f'{selector}: no axis {axis!r} is left; {lookup.nearest(axis, names)}')
        cells = [key for key in self.array.low.index if selector.is_of(key, names)]
        if not cells:
            raise LookupError(f'{selector} has no runs')
        if len(cells) > 1:
            left = [name for name, values in zip(names, zip(*cells, strict=True), strict=True) if len({*values}) > 1]
            raise ValueError(f'{selector} leaves {", ".join(left)} open: name its value, or reduce it (best_over, …)')
        return cells[0]

    def pick(self, selector: Selector) -> Values:
        """The numbers of a cell."""
        key, array = self.cell(selector), self.array
        return Values(array.low.loc[key], array.high.loc[key], float(array.rounding.loc[key]))


class Contrast(NamedTuple):
    """One part of a statement.

    Attributes:
      label: what is compared. cells: what it reads, for what was lost and held fixed. of: numbers → the part, or
        several alike (one for each batch size of a probe).
      quantity: its own, None for the statement's. level: it is a number itself and no difference of two.
      unit: its own, None for the quantity's. signs: of the cells, where it is a sum of them with these; () else.
      along: axis or field of the cells that it reads too. reads: a metric whose courses it reads, and no quantity.
      of_logarithm: it is one only of a quantity that is a logarithm.
    """

    label: str
    cells: tuple[Selector, ...]
    of: Callable[[Numbers], Part | Sequence[Part]]
    quantity: Quantity | None = None
    level: bool = False
    unit: Unit | None = None
    signs: tuple[int, ...] = ()
    along: str = ''
    reads: str = ''
    of_logarithm: bool = False


Contrasts = tuple[Contrast, ...]


def _of_cells(
    cells: Sequence[Cell],
    signs: tuple[int, ...],
    of: Callable[..., Values],
    label: str,
    quantity: Quantity | None = None,
    level: bool = False,
) -> Contrast:
    """What a function makes of the numbers of some cells."""
    selectors = tuple(map(to_selector, cells))

    def part(numbers: Numbers) -> Part:
        values = of(*map(numbers.pick, selectors))
        return Part(label, values.low.to_numpy(float), values.high.to_numpy(float), numbers.few, values.rounding)

    return Contrast(label, selectors, part, quantity, level, signs=signs)


def alone(*cells: Cell, label: str = '', quantity: Quantity | None = None) -> Contrasts:
    """Each cell's own numbers."""
    names = [label or str(to_selector(cell)) for cell in cells]
    one = lambda cell, name: _of_cells((cell,), (1,), lambda values: values, name, quantity, level=True)
    return tuple(map(one, cells, names))


def minus(a: Cell, b: Cell, *, label: str = '', quantity: Quantity | None = None) -> Contrasts:
    """A − b, paired by replicate; of a logarithm the ratio."""
    name = label or f'{to_selector(a)} − {to_selector(b)}'
    return (_of_cells((a, b), (1, -1), Values.minus, name, quantity),)


def ratio(a: Cell, b: Cell, *, label: str = '', quantity: Quantity | None = None) -> Contrasts:
    """A over b, of a quantity that is a logarithm, `log(q)`; bounds are logarithms too: low=np.log(2) is twice."""
    differences = minus(a, b, label=label or f'{to_selector(a)} over {to_selector(b)}', quantity=quantity)
    return tuple(contrast._replace(of_logarithm=True) for contrast in differences)


def instead(quantity: Quantity, other: Quantity, cell: Cell) -> Quantity:
    """A quantity, but in one cell another one, so that a contrast has one on each side."""
    selector = to_selector(cell)

    def mixed(first: Array, second: Array) -> Array:
        cells = [key for key in first.low.index if selector.is_of(key, first.names)]
        tables = [table.copy() for table in first[:3]]
        for table, of_other in zip(tables, second[:3], strict=True):
            table.loc[cells] = of_other.reindex(cells)
        return Array(*tables)

    of = lambda study: combine(mixed, quantity.of(study), other.of(study))
    metrics = tuple(dict.fromkeys((*quantity.metrics, *other.metrics)))
    return replace(quantity, of=of, name=f'{quantity.name}, in {selector} {other.name}', metrics=metrics)


def steps(*cells: Cell) -> Contrasts:
    """Each cell minus the next."""
    return every(minus(a, b) for a, b in itertools.pairwise(cells))


def against(cells: Sequence[Cell], other: Cell) -> Contrasts:
    """Each of the cells minus one other."""
    return every(minus(cell, other) for cell in cells)


def every(several: Iterable[Contrasts]) -> Contrasts:
    """The contrasts of several, of each pair as in `every(minus(a, b) for a, b in pairs)`."""
    return tuple(itertools.chain.from_iterable(several))


def to_number(cell: Cell, number: float, *, quantity: Quantity | None = None) -> Contrasts:
    """A cell's own numbers minus one that a source gives."""
    number_text = quantity.unit.show(number) if quantity else f'{number:g}'
    apart = lambda values: values._replace(low=values.low - number, high=values.high - number)
    return (_of_cells((cell,), (1,), apart, f'{to_selector(cell)} − {number_text}', quantity),)


def interaction(a: Cell, b: Cell, c: Cell, d: Cell, *, label: str = '') -> Contrasts:
    """(a − b) − (c − d)."""
    name = label or '({} − {}) − ({} − {})'.format(*map(to_selector, (a, b, c, d)))
    of = lambda first, second, third, fourth: first.minus(second).minus(third.minus(fourth))
    return (_of_cells((a, b, c, d), (1, -1, -1, 1), of, name),)
