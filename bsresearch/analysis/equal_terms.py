"""Whether what a statement compares has in common what is held fixed: equal epochs, one rate, one B per worker.

The names are those of `config.held_fixed`, or the statement's own. Of an axis that was reduced (every rate that was
tried) the values have to be the same ones. `target` and `tuned` say how a number is read or chosen: nothing to compare.
"""

import re
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels, cells
from bsresearch.analysis.contrasts import Contrast
from bsresearch.analysis.once import once
from bsresearch.analysis.selectors import Selector
from bsresearch.analysis.study import Study
from bsresearch.core.flat import flatten

READINGS = ('target', 'tuned')
CALIBRATED = 0.05  # relative: runs of equal seconds end at a whole update of a calibrated pace


@once
def runs_of(study: Study, selector: Selector) -> pd.DataFrame:
    """The runs that a selector is about; of all values of an axis that it does not name."""
    trained = study.trained
    of_cells = trained.loc[[selector.is_of(cell, study.parts) for cell in trained['cell']], 'id']
    return study.runs.reindex(of_cells.unique())


def differing(names: Iterable[str], contrasts: Iterable[Contrast], study: Study) -> str:
    """What is not held fixed in a contrast, in one line; '' where all is."""
    for contrast in contrasts:
        runs = {cell: runs_of(study, cell) for cell in contrast.cells}
        runs = {cell: table for cell, table in runs.items() if len(table)}
        for name in names if len(runs) > 1 else ():
            if difference := _differs(name, runs, study):
                return f'not at equal {axis_labels.words(name)}, which is held fixed: {difference}'
    return ''


def _differs(name: str, runs: dict[Selector, pd.DataFrame], study: Study) -> str:
    if name in READINGS:
        return ''
    values = {cell: _values(name, table, study, cell.arm) for cell, table in runs.items()}
    (first, expected), *others = values.items()
    if any(len(v) == 0 for v in values.values()):
        return f'it is not known of {next(cell for cell, v in values.items() if len(v) == 0)}'
    tolerance = _tolerance(name, pd.concat(list(runs.values())))
    for cell, of_cell in others:
        if not _same(expected, of_cell, tolerance):
            return f'{_text(expected)} of {first}, {_text(of_cell)} of {cell}'
    return ''


def _tolerance(name: str, runs: pd.DataFrame) -> Callable[[float], float]:
    """Of a number: a branch point is the first update at or after its epoch, so that there a batch may be between."""
    if name == 'examples after the branch':
        return lambda value: float(runs['batch_size'].max())
    return lambda value: (CALIBRATED if name == 'seconds' else 1e-6) * abs(value)


def _same(a: list, b: list, tolerance: Callable[[float], float]) -> bool:
    numbers = lambda x, y: isinstance(x, float) and isinstance(y, float)
    alike = lambda x, y: abs(x - y) <= tolerance(x) if numbers(x, y) else x == y
    return len(a) == len(b) and all(map(alike, a, b))


def _text(values: list) -> str:
    return ' and '.join(axis_labels.text(value) for value in values)


def _values(name: str, runs: pd.DataFrame, study: Study, arm: str) -> list:
    """All that runs have of it, in order; [] where it is not known of one."""
    if name in cells.LENGTHS:
        held = runs[cells.LENGTHS[name]]
    elif name == 'seconds':
        held = pd.Series([study.rows[run]['seconds'].max() if len(study.rows[run]) else np.nan for run in runs.index])
    elif name == 'examples after the branch':
        branched = runs['parent.epoch'].fillna(0.0) if 'parent.epoch' in runs else 0.0
        held = runs['total_examples'] - branched * runs['epoch_size']
    elif name == 'noise_temperature':
        held = runs['learning_rate'] * runs['epoch_size'] / (runs['batch_size'] * (1 - runs['momentum']))
    else:
        held = _of_fields(name, runs, study, arm)
    return [] if held is None or held.isna().any() else sorted(dict.fromkeys(map(_plain, held)), key=str)


def _of_fields(name: str, runs: pd.DataFrame, study: Study, arm: str) -> pd.Series | None:
    """A field, a section as a whole, or a product or quotient of fields; None where a run has not got it."""
    first, *rest = re.split(r'([/*])', name)
    numbers = _of_field(first, runs, study, arm)
    for sign, field in zip(rest[::2], rest[1::2], strict=True):
        other = _of_field(field, runs, study, arm)
        if numbers is None or other is None:
            return None
        numbers = numbers.astype(float) / other if sign == '/' else numbers.astype(float) * other
    return numbers


def _of_field(name: str, runs: pd.DataFrame, study: Study, arm: str) -> pd.Series | None:
    """As resolved, the rate as declared; what is not resolved (workers) as the arm or the base declares it."""
    if name == 'learning_rate' and 'declared_learning_rate' in runs:
        return runs['declared_learning_rate']
    if name in runs:
        return runs[name]
    section = [column for column in runs if column.startswith(f'{name}.')]
    if section:
        return runs[section].map(str).agg(' '.join, axis=1)
    declared = flatten(study.base) | (cells.settings(study, arm) if arm in study.declared else {})
    return pd.Series(declared[name], runs.index) if name in declared else None


def _plain(value: object) -> object:
    """Numbers as floats, all else as text."""
    return float(value) if isinstance(value, int | float | np.number) and not isinstance(value, bool) else str(value)
