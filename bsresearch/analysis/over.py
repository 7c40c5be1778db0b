"""Quantities with an axis reduced to its best value; by a law: fitted.py, to a range: stable.py.

The best is chosen once for all replicates, by the mean over them of a validation metric. Where validation and test set
share a replicate's noise, which a flat optimum turns into luck, intervals of what was chosen alone would cover 75 to
95 %. So every number has a twin: each half of the replicates in the cell that the other half chose. An interval is the
union of both; it covers 94 % at least, for up to 15 cells and noise that is all shared, and is the plain one where
both halves choose alike (tests/test_choice_coverage.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels
from bsresearch.analysis.axis_labels import rank, words
from bsresearch.analysis.quantity import Array, Quantity, combine
from bsresearch.analysis.study import ABSENT, PARTS, Study
from bsresearch.core import lookup

VALIDATION = 'validation_accuracy'
FEWEST_TO_CHOOSE = 5  # replicates: below, the halves choose by one or two


class _Group(NamedTuple):
    """The cells that differ in some axes alone: their rows, in the order of the axes, and their values of each axis."""

    rows: np.ndarray
    values: tuple[tuple[Any, ...], ...]


def _groups(axes: Sequence[str], index: pd.MultiIndex) -> dict[tuple[Any, ...], _Group]:
    """What cells have in common → the cells.

    Raises:
      ValueError: there is no such axis.
    """
    names = list(index.names)
    for axis in axes:
        if axis not in names[len(PARTS) :]:
            raise ValueError(f'no axis {axis!r} is left; {lookup.nearest(axis, names[len(PARTS) :])}')
    places, rows = [names.index(axis) for axis in axes], {}
    for row, cell in enumerate(index):
        values = tuple(cell[place] for place in places)
        if ABSENT not in values:
            key = tuple(part for place, part in enumerate(cell) if place not in places)
            rows.setdefault(key, []).append((values, row))
    ordered = {key: sorted(cells, key=lambda cell: [rank(v) for v in cell[0]]) for key, cells in rows.items()}
    return {
        key: _Group(np.array([row for _, row in cells]), tuple(zip(*(values for values, _ in cells), strict=True)))
        for key, cells in ordered.items()
    }


def _frame(rows: Mapping[tuple[Any, ...], np.ndarray], axes: Sequence[str], like: pd.DataFrame) -> pd.DataFrame:
    """(cells without the axes, replicates)."""
    index = pd.MultiIndex.from_tuples(list(rows), names=[name for name in like.index.names if name not in axes])
    return pd.DataFrame(np.array(list(rows.values())).reshape(len(rows), -1), index, like.columns)


def reduce_axis(axis: str, array: Array, of: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]) -> Array:
    """An array without an axis.

    Args:
      of: values of the axis (k,), low and high (k, n), and which end is asked, −1 or 1 → (n,).
    """

    def reduced(a: Array) -> Array:
        low, high, groups = a.low.to_numpy(float), a.high.to_numpy(float), _groups((axis,), a.low.index)
        frames = [
            _frame({
                key: of(np.array(g.values[0], float), low[g.rows], high[g.rows], end) for key, g in groups.items()
            }, (axis,), a.low)
            for end in (-1, 1)
        ]  # fmt: skip
        return Array(frames[0], frames[1], pd.Series(0.0, frames[0].index))

    whole = combine(reduced, array)
    place = array.names.index(axis)
    without = lambda cell: cell[:place] + cell[place + 1 :]
    remarks: dict[tuple[Any, ...], str] = {}
    for cell, remark in array.remarks.items():
        remarks[without(cell)] = '; '.join(filter(None, (remarks.get(without(cell), ''), remark)))
    return whole._replace(edges=frozenset(map(without, array.edges)), remarks=remarks)


def mapped_along(axis: str, array: Array, of: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]) -> Array:
    """An array of the same cells, whose values along an axis are made of all of them together.

    Args:
      of: as of `reduce_axis`, → (k, n).
    """

    def mapped(a: Array) -> Array:
        low, high = a.low.to_numpy(float), a.high.to_numpy(float)
        ends = [np.full(low.shape, np.nan), np.full(low.shape, np.nan)]
        for g in _groups((axis,), a.low.index).values():
            for values, end in zip(ends, (-1, 1), strict=True):
                values[g.rows] = of(np.array(g.values[0], float), low[g.rows], high[g.rows], end)
        frames = [pd.DataFrame(values, a.low.index, a.low.columns) for values in ends]
        return Array(frames[0], frames[1], pd.Series(0.0, a.low.index))

    return combine(mapped, array)


class Choice(NamedTuple):
    """places: (n,) rows of the chosen cell, by replicate; None where it is not known. edge, remark: of all of them."""

    places: np.ndarray | None
    edge: bool
    remark: str


def best_over(
    axis: str | Sequence[str], quantity: Quantity, by: Quantity | None = None, *, as_source: bool = False
) -> Quantity:
    """A quantity at the value of the axis (or of several together) that is best by another one, chosen once for all.

    Args:
      by: what is best, by its mean over replicates; on a validation set. as_source: chosen by the quantity itself, as
        a source did; its sentence says so.

    Raises:
      ValueError: neither is given, the test set would choose, or which is better is not said.
    """
    axes = (axis,) if isinstance(axis, str) else tuple(axis)
    axes_text = ' and '.join(map(words, axes))
    judge = judge_of(f'best_over({axis!r}, {quantity.name})', quantity, by, as_source=as_source)
    sign = 1.0 if judge.higher_is_better else -1.0

    def of(study: Study) -> Array:
        whole, judged = quantity.of(study), judge.of(study)
        if whole.halves is not None or judged.halves is not None:
            raise ValueError(f'best_over({axis!r}, …) of what was chosen already: name all axes in one best_over')
        table = without_diverged(study, judged.low * sign)
        scores, groups = table.to_numpy(float), _groups(axes, table.index)
        choices = {key: choice(axes_text, key, group.values, scores[group.rows]) for key, group in groups.items()}
        known = {key: group for key, group in groups.items() if choices[key].places is not None}
        of_all = {key: group.rows[choices[key].places] for key, group in known.items()}
        of_halves = {key: group.rows[by_other_half(scores[group.rows])] for key, group in known.items()}
        array, halves = (picked(whole, table, axes, {k: rows.get(k) for k in groups}) for rows in (of_all, of_halves))
        edges = frozenset(key for key, choice in choices.items() if choice.edge)
        remarks = {key: choice.remark for key, choice in choices.items()}
        return array._replace(halves=halves, edges=edges, remarks=remarks)

    of_validation = judge.metrics[:1] != () and judge.metrics[0].startswith('validation_')
    by_what = 'by validation' if of_validation else f'by {judge.name}'
    chosen = 'as the source chose, on the test set' if as_source and by is None else by_what
    metrics = tuple(dict.fromkeys((*quantity.metrics, *judge.metrics)))
    return replace(
        quantity, of=of, name=f'{quantity.name} at the best {axes_text} {chosen}', metrics=metrics,
        reduces=(*quantity.reduces, *axes),
    )  # fmt: skip


def judge_of(what: str, quantity: Quantity, by: Quantity | None, *, as_source: bool) -> Quantity:
    """What the best is chosen by: `by`, or the quantity itself where a source chose so.

    Raises:
      ValueError: neither is given, the test set would choose, or which is better is not said.
    """
    judge = quantity if by is None else by
    if (by is None or any(metric.startswith('test_') for metric in by.metrics)) and not as_source:
        raise ValueError(
            f'{what}: what the best is chosen by is missing; give by=…, a quantity on a validation set, or '
            'as_source=True where the source chose on the test set'
        )
    if judge.higher_is_better is None:
        raise ValueError(
            f'{what}: whether more {judge.name} is better is not known; '
            f'say it: .named({judge.name!r}, higher_is_better=True)'
        )
    return judge


def picked(
    whole: Array, like: pd.DataFrame, axes: Sequence[str], rows: Mapping[tuple[Any, ...], np.ndarray | None]
) -> Array:
    """What each replicate has in its row of a table with the cells of `like`; NaN where the row is not known."""
    low, high = (end.reindex(index=like.index, columns=like.columns).to_numpy(float) for end in whole[:2])
    counted, replicates = whole.rounding.reindex(like.index).to_numpy(float), np.arange(low.shape[1])
    nothing = np.full(len(replicates), np.nan)
    ends = [
        _frame({key: nothing if r is None else end[r, replicates] for key, r in rows.items()}, axes, like)
        for end in (low, high)
    ]
    rounding = [0.0 if r is None else counted[r].mean() for r in rows.values()]
    return Array(ends[0], ends[1], pd.Series(rounding, ends[0].index))


def without_diverged(study: Study, judged: pd.DataFrame) -> pd.DataFrame:
    """−∞ where a run diverged and so has no number, NaN where it is unfinished; of what was reduced nothing is lost."""
    unknown = judged.isna()
    if list(judged.index.names) != study.parts or not unknown.to_numpy().any():
        return judged
    gone = study.table(lambda run: float(study.status(run) == 'diverged')).reindex_like(judged)
    return judged.mask(unknown & (gone == 1.0), -np.inf)


def choice(axes: str, key: tuple[Any, ...], values: tuple[tuple[Any, ...], ...], scores: np.ndarray) -> Choice:
    """The best of k cells by their (k, n) scores; values: (k,) of each axis."""
    where = ' '.join(str(k) for k in key if k != ABSENT)
    unfinished, n = int(np.isnan(scores).sum()), scores.shape[1]
    unknown = f'{where}: the best {axes} is not known: '
    if unfinished:
        return Choice(None, False, f'{unknown}{unfinished} of {scores.size} runs are unfinished or missing')
    if len(scores) > 1 and n < FEWEST_TO_CHOOSE:
        return Choice(None, False, f'{unknown}{n} replicates, of {FEWEST_TO_CHOOSE} that a choice needs')
    means = scores.mean(axis=1)
    best = int(np.argmax(means))
    if np.isneginf(means[best]):
        return Choice(None, False, f'{unknown}runs diverged at every value')
    at_edge = any(_on_edge(of_axis, best) for of_axis in values)
    at = ', '.join(axis_labels.text(of_axis[best]) for of_axis in values)
    edge = ', on the edge of what was tried' if at_edge else ''
    return Choice(np.full(n, best), at_edge, f'{where}: best {axes} {at}{edge}')


def _on_edge(values: Sequence[Any], place: int) -> bool:
    """Whether it is the least or largest number; of words and sections there are no edges."""
    return isinstance(values[place], Real) and values[place] in (min(values), max(values))


def by_other_half(scores: np.ndarray) -> np.ndarray:
    """(n,) which of (k, n) cells is the best by the half of the replicates that each is not in; never where -inf is."""
    scores = np.where(np.isneginf(scores).any(axis=1, keepdims=True) | np.isnan(scores), -np.inf, scores)
    first = scores.shape[1] // 2
    if not first:
        return np.zeros(scores.shape[1], int)
    of_first, of_second = (int(np.argmax(half.mean(axis=1))) for half in (scores[:, :first], scores[:, first:]))
    return np.repeat([of_second, of_first], [first, scores.shape[1] - first])
