"""Quantities: a number of every cell and replicate, with a unit; arithmetic on them.

    final('test_accuracy', unit=PERCENT) − final('train_accuracy', unit=PERCENT)

A number that is only known to lie above what its run was followed to (updates to a target that it has not reached) is
censored: it stands as the two ends that it lies between, and arithmetic keeps them (interval arithmetic). A missing or
unfinished run is NaN, not measured.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis.once import once
from bsresearch.analysis.study import Study


class Unit(NamedTuple):
    """How a number is written: value × scale, with `decimals` after the point, or that many significant digits.

    level, difference: what stands after a number and after a difference of two. exp: the number is a logarithm, and
    what it is the logarithm of is shown.
    """

    level: str = ''
    difference: str = ''
    scale: float = 1.0
    decimals: int | None = None
    digits: int = 3
    exp: bool = False
    low: float = -np.inf
    high: float = np.inf

    def scaled(self, values: Any) -> np.ndarray:
        """Numbers as an axis has them: accuracies in per cent, a logarithm as what it is the logarithm of."""
        return (np.exp(values) if self.exp else np.asarray(values, float)) * self.scale

    def show(self, value: float, *, difference: bool = False, unit: bool = True) -> str:
        """'88.4 %', '−0.46 points', '3.44 times'."""
        if np.isnan(value):
            return 'none'
        scaled = float(self.scaled(value))
        if np.isinf(scaled):
            number = '∞' if scaled > 0 else '−∞'
        elif self.decimals is None:
            large = abs(scaled) > 10**self.digits - 0.5  # which `g` would write with an exponent
            number = f'{scaled:,.0f}' if large else f'{scaled:,.{self.digits}g}'
        else:
            number = f'{scaled:,.{self.decimals}f}'
        return f'{number}{(self.difference if difference else self.level) if unit else ""}'.replace('-', '−')


PLAIN = Unit()
PERCENT = Unit(' %', ' points', 100.0, 2, low=0.0, high=1.0)
SHARE = Unit(' %', ' %', 100.0)  # a relative change
TIMES = Unit(' times', ' times', exp=True)
EPOCHS, UPDATES = Unit(' epochs', ' epochs', low=0.0), Unit(' updates', ' updates', decimals=0, low=0.0)
EXAMPLES, SECONDS = Unit(' examples', ' examples', decimals=0, low=0.0), Unit(' s', ' s', low=0.0)
DISTANCE = LOSS = Unit(low=0.0)
AREA = Unit(low=0.0, high=1.0)


class Array(NamedTuple):
    """The numbers of a quantity.

    Attributes:
      low, high: (cells, replicates); the number lies between, and they are equal where it is known.
      rounding: (cells,) variance that counting adds to each number.
      halves: the same, each replicate's in the cell that the other half of them chose; None where nothing was chosen.
      edges: cells of which something was chosen on the edge of its axis.
      remarks: cell → how its number was chosen, or what is missing.
    """

    low: pd.DataFrame
    high: pd.DataFrame
    rounding: pd.Series
    halves: 'Array | None' = None
    edges: frozenset[tuple] = frozenset()
    remarks: Mapping[tuple[Any, ...], str] = {}

    @property
    def names(self) -> list[str]:
        """What names a cell."""
        return list(self.low.index.names)


def exact(values: pd.DataFrame, rounding: pd.Series | float = 0.0) -> Array:
    """Numbers that are known."""
    return Array(values, values, rounding if isinstance(rounding, pd.Series) else pd.Series(rounding, values.index))


def combine(of: Callable[..., Array], *arrays: Array) -> Array:
    """What a function makes of arrays of the same cells; of numbers that were chosen also of the other choice."""
    cells = dict.fromkeys(cell for a in arrays for cell in a.remarks)
    whole = of(*arrays)._replace(
        edges=frozenset().union(*(a.edges for a in arrays)),
        remarks={
            cell: '; '.join(dict.fromkeys(a.remarks[cell] for a in arrays if cell in a.remarks)) for cell in cells
        },
    )
    if all(a.halves is None for a in arrays):
        return whole
    return whole._replace(halves=of(*(a if a.halves is None else a.halves for a in arrays)))


def ends_of_difference(a_low: Any, a_high: Any, b_low: Any, b_high: Any) -> tuple[Any, Any]:
    """(low, high) of a − b, of Series or DataFrames; where ∞ − ∞ leaves an end unknown it lies at the infinite one."""
    with np.errstate(invalid='ignore'):
        low, high = a_low - b_high, a_high - b_low
    if not (np.isnan(low).to_numpy().any() or np.isnan(high).to_numpy().any()):
        return low, high
    known = (a_low.notna() & a_high.notna() & b_low.notna() & b_high.notna()).reindex_like(low).fillna(False)
    return low.mask(low.isna() & known, -np.inf), high.mask(high.isna() & known, np.inf)


def _difference(a: Array, b: Array) -> Array:
    low, high = ends_of_difference(a.low, a.high, b.low, b.high)
    return Array(low, high, a.rounding.add(b.rounding, fill_value=0.0))


def _quotient(a: Array, b: Array) -> Array:
    low, high = a.low / b.high, a.high / b.low
    relative = _relative_rounding(a).add(_relative_rounding(b), fill_value=0.0)
    return Array(low, high, relative * low.mean(axis=1) ** 2)


def _logarithm(a: Array) -> Array:
    with np.errstate(divide='ignore', invalid='ignore'):
        low = np.log(a.low)
        return Array(low, low if a.high is a.low else np.log(a.high), _relative_rounding(a))


def _relative_rounding(a: Array) -> pd.Series:
    """The variance that counting adds to a logarithm, to first order."""
    return (a.rounding / a.low.mean(axis=1) ** 2).where(a.rounding > 0, 0.0)


@dataclass(frozen=True)
class Quantity:
    """A number of every cell and replicate of a study.

    Attributes:
      of: study → Array, computed once for each study. name: in words, as an axis label. unit: of levels.
      metrics: columns of the records that it needs. few: it can take few values.
      higher_is_better: what a best value is; None where none is.
      diverged: whether it says what a run that diverged counts as; else such a run has no number.
      probe: the kind of probe that it is of, '' for none. reduces: axes that it takes together.
    """

    of: Callable[[Study], Array]
    name: str
    unit: Unit = PLAIN
    metrics: tuple[str, ...] = ()
    few: bool = False
    higher_is_better: bool | None = None
    diverged: bool = False
    probe: str = ''
    reduces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, 'of', once(self.of))

    def __sub__(self, other: 'Quantity') -> 'Quantity':
        unit = self.unit._replace(level=self.unit.difference, low=-np.inf, high=np.inf)
        return self._with(_difference, f'{self.name} − {other.name}', other, unit)

    def __truediv__(self, other: 'Quantity') -> 'Quantity':
        """Of positive quantities."""
        return self._with(_quotient, f'{self.name} / {other.name}', other, PLAIN)

    def _with(
        self, pair: Callable[[Array, Array], Array], name: str, other: 'Quantity', replace_unit: Unit
    ) -> 'Quantity':
        metrics = tuple(dict.fromkeys((*self.metrics, *other.metrics)))
        return replace(
            self, of=lambda study: combine(pair, self.of(study), other.of(study)), name=name, unit=replace_unit,
            metrics=metrics, few=self.few and other.few, higher_is_better=None,
            diverged=self.diverged and other.diverged, probe=self.probe or other.probe,
            reduces=(*self.reduces, *other.reduces),
        )  # fmt: skip

    def named(self, name: str, unit: Unit | None = None, *, higher_is_better: bool | None = None) -> 'Quantity':
        """The same under another name, in another unit, or with another direction."""
        better = self.higher_is_better if higher_is_better is None else higher_is_better
        return replace(self, name=name, unit=unit or self.unit, higher_is_better=better)


def logit(quantity: Quantity) -> Quantity:
    """ln(q/(1 − q)) of a share or an area in [0, 1]: a scale without a ceiling; ±∞ at its ends."""

    def of(a: Array) -> Array:
        with np.errstate(divide='ignore'):
            low, high = (np.log(end) - np.log1p(-end) for end in (a.low, a.high))
        middle = a.low.mean(axis=1)
        return Array(low, high, a.rounding / (middle * (1 - middle)).where(a.rounding > 0, 1.0) ** 2)

    whole = lambda study: combine(of, quantity.of(study))
    return replace(quantity, of=whole, name=f'logit of {quantity.name}', unit=PLAIN)


def log(quantity: Quantity) -> Quantity:
    """Its natural logarithm, so that differences are ratios, means geometric and intervals positive."""
    unit = quantity.unit._replace(exp=True, scale=1.0, decimals=None, difference=' times', low=-np.inf, high=np.inf)
    return replace(quantity, of=lambda study: combine(_logarithm, quantity.of(study)), unit=unit)
