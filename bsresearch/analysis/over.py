"""Quantities with one axis reduced: the best value, the place of an optimum, a stable range, an exponent.

Choosing by the mean over all replicates and comparing what was chosen, paired, covers 93 to 96 % where validation and
test set share up to half of a replicate's noise; a level told by itself is the mean of values whose cell was chosen on
the other replicates (tests/test_choice_coverage.py).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special

from bsresearch.analysis import axis_labels, summary
from bsresearch.analysis.quantity import PLAIN, Array, Quantity, exact
from bsresearch.analysis.study import ABSENT, Study

VALIDATION = 'validation_accuracy'
FEWEST_TO_CHOOSE = 5  # replicates of a study that chooses


def _along(axis: str, table: pd.DataFrame) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The cells that differ in an axis alone, with what they have in common; in the order of the axis.

    Raises:
      ValueError: the study has no such axis.
    """
    if axis not in table.index.names:
        raise ValueError(f'no axis {axis!r} is left; there are: {", ".join(table.index.names)}')
    others = [name for name in table.index.names if name != axis]
    for key, cells in table.groupby(level=others, sort=False):
        there = cells[cells.index.get_level_values(axis) != ABSENT]
        if len(there):
            yield key if isinstance(key, tuple) else (key,), there.sort_index(level=axis, sort_remaining=False)


def _index(cells: list[tuple[Any, ...]], axis: str, names: list[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_tuples(cells, names=[name for name in names if name != axis])


def _reduced(axis: str, values: pd.DataFrame, of: Callable[[pd.DataFrame], dict[str, float]]) -> pd.DataFrame:
    """(cells without the axis, replicates): what a function makes of (values of the axis, replicates)."""
    reduced = {key: of(cells) for key, cells in _along(axis, values)}
    return pd.DataFrame(list(reduced.values()), _index(list(reduced), axis, list(values.index.names)), values.columns)


def best_over(axis: str, quantity: Quantity, by: Quantity | None = None, *, as_source: bool = False) -> Quantity:
    """A quantity at the value of the axis that is best by another one, chosen once for all replicates.

    Args:
      by: what is best, by its mean over replicates; on a validation set. as_source: chosen by the quantity itself, as
        a source did; its sentence says so.

    Raises:
      ValueError: neither is given.
    """
    if by is None and not as_source:
        raise ValueError(
            f'best_over({axis!r}, {quantity.name}): what the best is chosen by is missing; give by=…, a quantity on a '
            'validation set, or as_source=True where the source chose on the test set'
        )
    judge = by or quantity
    sign = -1.0 if judge.higher_is_better is False else 1.0

    def of(study: Study) -> Array:
        whole, judged = quantity.of(study), judge.of(study).low * sign
        # A run that diverged is never the best, and one that is unfinished could be.
        judged = without_diverged(study, judged)
        low, high, left_out, rounding, edges, remarks = {}, {}, {}, {}, set(), []
        for key, cells in _along(axis, judged):
            places = list(cells.index)
            at, told = _choice(axis, key, cells)
            remarks.append(told)
            missing = dict.fromkeys(judged.columns, np.nan)
            low[key] = missing if at is None else whole.low.loc[places[at]].to_dict()
            high[key] = missing if at is None else whole.high.loc[places[at]].to_dict()
            rounding[key] = 0.0 if at is None else whole.rounding.loc[places[at]]
            left_out[key] = missing if at is None else leave_one_out(cells, whole.low.loc[places])
            if at in (0, len(places) - 1):
                edges.add(key)
        index = _index(list(low), axis, list(judged.index.names))
        frame = lambda rows: pd.DataFrame(list(rows.values()), index, judged.columns)
        return Array(
            frame(low), frame(high), pd.Series(list(rounding.values()), index), frame(left_out), frozenset(edges),
            tuple(remarks),
        )  # fmt: skip

    chosen = 'as the source chose, on the test set' if as_source and by is None else f'by {judge.name}'
    metrics = tuple(dict.fromkeys((*quantity.metrics, *judge.metrics)))
    return replace(quantity, of=of, name=f'{quantity.name} at the best {_words(axis)} {chosen}', metrics=metrics)


def _words(axis: str) -> str:
    return axis.replace('_', ' ')


def without_diverged(study: Study, judged: pd.DataFrame) -> pd.DataFrame:
    """−∞ where a run diverged and so has no number; where it is unfinished NaN stays."""
    gone = study.table(lambda run: float(study.status(run) == 'diverged')).reindex_like(judged)
    return judged.mask(judged.isna() & (gone == 1.0), -np.inf)


def _choice(axis: str, key: tuple[Any, ...], cells: pd.DataFrame) -> tuple[int | None, str]:
    """(place of the best along the axis or None, remark)."""
    values = cells.to_numpy(float)
    at, where = cells.index.get_level_values(axis), ' '.join(str(k) for k in key if k != ABSENT)
    if np.isnan(values).any():
        return None, f'{where}: the best {_words(axis)} is not known: {int(np.isnan(values).sum())} runs are unfinished'
    means = values.mean(axis=1)
    best = int(np.argmax(means))
    edge = ', on the edge of what was tried' if best in (0, len(means) - 1) else ''
    return best, f'{where}: best {_words(axis)} {axis_labels.text(at[best])}{edge}'


def leave_one_out(judged: pd.DataFrame, values: pd.DataFrame) -> dict[str, float]:
    """Of each replicate its value in the cell that is the best of the others; both (cells, replicates)."""
    scores = judged.to_numpy(float)
    with np.errstate(invalid='ignore'):
        total = scores.sum(axis=1, keepdims=True) - scores
    return {r: float(values.iat[int(np.nanargmax(total[:, i])), i]) for i, r in enumerate(judged.columns)}


def stable_range(axis: str, quantity: Quantity, above: float) -> Quantity:
    """How wide the range of an axis is in which runs train: log₂(largest/smallest value with a quantity above a floor).

    One number per replicate; a run that diverged or ends at or below the floor has not trained. ∞ is not known beyond
    the axis: where an end of the range is an end of the axis the number is censored from below.
    """

    def of(study: Study) -> Array:
        values = quantity.of(study)
        trained = without_diverged(study, values.low)
        ends = {False: {}, True: {}}
        for key, cells in _along(axis, trained):
            x = np.log2(cells.index.get_level_values(axis).to_numpy(float))
            for at_edge, rows in ends.items():
                rows[key] = {r: _width(x, cells[r].to_numpy(float), above, open_end=at_edge) for r in cells}
        index = _index(list(ends[False]), axis, list(trained.index.names))
        low, high = (pd.DataFrame(list(rows.values()), index, trained.columns) for rows in ends.values())
        return exact(low)._replace(high=high)

    name = f'stable range of {_words(axis)}'
    return replace(quantity, of=of, name=name, unit=PLAIN._replace(level=' octaves', difference=' octaves'),
                   higher_is_better=True, diverged=True)  # fmt: skip


def _width(x: np.ndarray, values: np.ndarray, above: float, *, open_end: bool) -> float:
    if np.isnan(values).any():
        return float('nan')
    trained = np.flatnonzero(values > above)
    if not len(trained):
        return 0.0
    if open_end and (trained[0] == 0 or trained[-1] == len(x) - 1):
        return float('inf')
    return float(x[trained[-1]] - x[trained[0]])


def exponent(axis: str, quantity: Quantity) -> Quantity:
    """The p of quantity ∝ axis^p, by least squares in logarithms; one per replicate, NaN with fewer than two values."""

    def of(study: Study) -> Array:
        return exact(_reduced(axis, quantity.of(study).low, lambda cells: _slopes(axis, cells)))

    return replace(quantity, of=of, name=f'exponent of {quantity.name} in {_words(axis)}', unit=PLAIN)


def _slopes(axis: str, cells: pd.DataFrame) -> dict[str, float]:
    x = np.log(cells.index.get_level_values(axis).to_numpy(float))
    if len(x) < 2:
        return dict.fromkeys(cells.columns, np.nan)
    x = x - x.mean()
    with np.errstate(divide='ignore', invalid='ignore'):
        return {r: float(np.log(cells[r].to_numpy(float)) @ x / (x @ x)) for r in cells}


def not_told_from_best(values: np.ndarray, level: float = summary.LEVEL) -> np.ndarray:
    """Which of (k, n) cells, paired in n replicates, cannot be told from the best: multiple comparisons with the best.

    Cell i stays where max_{j≠i} m_j − m_i < d·s·√(2/n), s² the residual variance pooled over cells and replicates
    ((k − 1)(n − 1) degrees of freedom), d the one-sided Dunnett quantile: the set holds the best in 95 % at least
    (Hsu 1984; simulated: 96 %). All cells stay where n < 2 or nothing varies; k = 1 is its own best.

    Returns:
      (k,) bool.
    """
    k, n = values.shape
    if k == 1 or n < 2:
        return np.ones(k, bool)
    means = values.mean(axis=1)
    rest = values - means[:, None] - values.mean(axis=0) + values.mean()
    freedom = (k - 1) * (n - 1)
    variance = (rest**2).sum() / freedom
    if not summary.varies(variance, float(np.abs(means).max())):
        return means == means.max()
    others = np.where(np.eye(k, dtype=bool), -np.inf, means[None, :]).max(axis=1)
    return others - means < dunnett(k - 1, freedom, level) * np.sqrt(2 * variance / n)


def dunnett(cells: int, freedom: int, level: float = summary.LEVEL) -> float:
    """One-sided critical value of max over `cells` of (Z_j − Z_0)/√2, studentized: Dunnett 1955 with equal n.

    P = ∫∫ Φ(√2·d·s + z)^cells φ(z) dz dF(s), s² ~ χ²_ν/ν; Gauss–Hermite in z, the midpoint rule in F's quantiles.
    """
    z, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    shares = (np.arange(400) + 0.5) / 400
    s = np.sqrt(special.chdtri(freedom, 1 - shares) / freedom)

    def excess(d: float) -> float:
        inner = special.ndtr(np.sqrt(2) * d * s[:, None] + z[None, :]) ** cells
        return float((inner @ weights).mean()) - level

    return float(optimize.brentq(excess, 0.0, 50.0))
