"""Studies and quantities without records: the arrays that contrasts read, planted."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis.quantity import PLAIN, Array, Quantity
from bsresearch.analysis.study import PARTS, Study

Cell = tuple[Any, ...]


def index(cells: Sequence[Cell], axes: Sequence[str] = ()) -> pd.MultiIndex:
    """Of (arm, branch, point, *axes)."""
    return pd.MultiIndex.from_tuples(cells, names=[*PARTS, *axes])


def table(values: Mapping[str, Any] | np.ndarray, cells: pd.Index | None = None) -> pd.DataFrame:
    """(cells, replicates): by arm, or an array with its cells."""
    if isinstance(values, Mapping):
        cells, values = index([(arm, '', '') for arm in values]), np.array(list(values.values()), float)
    return pd.DataFrame(values, cells, [str(i) for i in range(values.shape[1])])


def quantity(low: pd.DataFrame, high: pd.DataFrame | None = None, rounding: float = 0.0, **facts: Any) -> Quantity:
    """One that is these numbers whatever the study."""
    array = Array(low, low if high is None else high, pd.Series(rounding, low.index))
    return Quantity(**({'of': lambda study: array, 'name': 'planted', 'unit': PLAIN} | facts))


def study(
    cells: pd.Index, replicates: int, status: Mapping[tuple[Cell, int], str] | None = None,
    fields: Mapping[str, Mapping[str, Any]] | None = None, **facts: Any,
) -> Study:  # fmt: skip
    """A run per cell and replicate, all `done`.

    Args:
      status: (cell, replicate) → another one. fields: arm → fields of its runs. facts: of the Study.
    """
    axes = [name for name in cells.names if name not in PARTS]
    members, runs = [], []
    for number, cell in enumerate(cells):
        parts = dict(zip(cells.names, cell, strict=True))
        for replicate in range(replicates):
            run = f'run{number}-{replicate}'
            kind = 'branch' if parts['branch'] else 'run'
            members.append({'id': run, 'kind': kind, 'probe': '', 'replicate': str(replicate), **parts, 'cell': cell})
            own = {'run': run, 'status': (status or {}).get((cell, replicate), 'done')}
            runs.append(own | dict((fields or {}).get(parts['arm'], {})))
    names = tuple(str(i) for i in range(replicates))
    rows = dict.fromkeys((run['run'] for run in runs), pd.DataFrame({'step': [0], 'epoch': [0.0]}))
    whole = {'name': 'planted', 'members': pd.DataFrame(members), 'axes': tuple(axes), 'replicates': names}
    return Study(**(whole | {'runs': pd.DataFrame(runs).set_index('run'), 'rows': rows} | facts))
