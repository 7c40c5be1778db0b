"""A quantity of every cell with its 95 % interval over replicates, and what was lost: what tables and figures show."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, verdicts
from bsresearch.analysis.cells import Key
from bsresearch.analysis.quantity import Array, Quantity
from bsresearch.analysis.study import ABSENT, Study


def of(study: Study, quantity: Quantity) -> pd.DataFrame:
    """The intervals of all cells that the quantity leaves, in the order of the study.

    Returns:
      a row for each: its names (arm, branch, point and the axes that are left), key (the tuple of these), centre, low,
      high (infinite or NaN as in verdicts.Interval), n, method, values (by replicate; of what was chosen each one's
      where the other half of them chose), censored (how many of them are bounds from below), runs, diverged,
      unfinished, and edge: it was chosen on the edge of its axis.

    Raises:
      ValueError: the records lack the quantity's metric.
    """
    array = quantity.of(study)
    rows = []
    for key in _ordered(study, array):
        part = _part(array, key, quantity)
        if array.halves is not None:
            part = _part(array.halves, key, quantity)._replace(halves=part)
        interval = verdicts.interval(part)
        censored = int((part.known.low != part.known.high).sum())
        low, high = np.fmax(interval.low, quantity.unit.low), np.fmin(interval.high, quantity.unit.high)
        low, high = (np.nan, np.nan) if np.isnan(interval.low) else (low, high)
        statuses = [study.status(run) for cell in matching(study, array.names, key) for run in study.runs_of(cell)]
        rows.append(
            dict(zip(array.names, key, strict=True))
            | {'key': key, 'centre': interval.centre, 'low': low, 'high': high}
            | {'n': interval.n, 'method': interval.method, 'values': tuple(part.known.low), 'censored': censored}
            | {'runs': len(statuses), 'diverged': statuses.count('diverged')}
            | {'unfinished': sum(s not in ('done', 'diverged') for s in statuses), 'edge': key in array.edges}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _part(array: Array, key: Key, quantity: Quantity) -> verdicts.Part:
    low, high = array.low.loc[key].to_numpy(float), array.high.loc[key].to_numpy(float)
    return verdicts.Part('', low, high, quantity.few, float(array.rounding.loc[key]))


def _ordered(study: Study, array: Array) -> list[Key]:
    """The array's cells in the order of the study's."""
    there = set(array.low.index)
    return [key for key in dict.fromkeys(map(_reduced(study, array.names), cells.of(study))) if key in there]


def _reduced(study: Study, names: list[str]) -> Callable[[Key], Key]:
    """Cell of the study → the same with some axes reduced."""
    places = [study.parts.index(name) for name in names]
    return lambda key: tuple(key[p] for p in places)


def matching(study: Study, names: list[str], key: Key) -> list[Key]:
    """The cells of a study that a cell with some axes reduced is made of."""
    reduced = _reduced(study, names)
    return [cell for cell in cells.of(study) if reduced(cell) == key]


def value(study: Study, names: list[str], key: Key, field: str) -> Any:
    """A part, an axis, or a field that the runs of a cell have in common; '' where they have not."""
    if field in names:
        return key[names.index(field)]
    field_values = {cells.value(study, cell, field) for cell in matching(study, names, key)}
    return field_values.pop() if len(field_values) == 1 else ABSENT


def labels(study: Study, names: list[str], without: Sequence[str] = ()) -> dict[Key, str]:
    """Cell with some axes reduced → its name (`cells.labels`)."""
    away, reduced = [axis for axis in study.axes if axis not in names], _reduced(study, names)
    return {reduced(key): text for key, text in cells.labels(study, (*away, *without)).items()}


def by_names(names: list[str], without: str = '') -> Callable[[Key], Key]:
    """Key → its parts but one axis."""
    kept = [i for i, name in enumerate(names) if name != without]
    return lambda key: tuple(key[i] for i in kept)
