"""The columns of a table of runs that have a part in an advice, and what they cannot hold."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from bsresearch.advice.table import EPOCHS, EXAMPLES, STEPS, Refusal

RATES = re.compile(r'lr|eta|((max|peak|base)_)?(lr|learning_?rate)', re.IGNORECASE)


class Columns(NamedTuple):
    """Names of columns, '' where there is none; the fields are flags of `bsresearch advise`."""

    batch_size: str
    learning_rate: str = ''
    steps: str = ''
    epochs: str = ''
    examples: str = ''
    seconds: str = ''
    joules: str = ''
    watts: str = ''
    loss: str = ''
    run: str = ''
    reached: str = ''

    @property
    def length(self) -> tuple[str, str]:
        """The unit of the length to the target, and its column; '' where there is none."""
        units = [unit for unit in (STEPS, EPOCHS, EXAMPLES) if getattr(self, unit)]
        if len(units) > 1:
            raise ValueError(f'--{units[0]} and --{units[1]}: the length of a run is one column')
        if not units and not self.loss:
            raise ValueError(
                'which column says how long a run took to its target? Give --steps, --epochs or --examples; where '
                'there is no target, --loss: what each run ended with'
            )
        return (units[0], getattr(self, units[0])) if units else ('', '')


def first_row(rows: pd.DataFrame, bad: np.ndarray) -> str:
    """`row 3` of the file, the first of those that are meant."""
    return f'row {rows.index[int(np.flatnonzero(bad)[0])] + 1}'


def is_whole(values: np.ndarray) -> bool:
    """Whether all that are known are whole numbers."""
    known = values[np.isfinite(values)]
    return bool((known == np.round(known)).all())


def check_rates(rows: pd.DataFrame, columns: Columns, size: np.ndarray) -> None:
    """Raises Refusal for rates that differ at one batch size without being named."""
    for name in [] if columns.learning_rate else rows.columns:
        if RATES.fullmatch(name) and name not in columns:
            several = rows.groupby(size)[name].nunique()
            if (several > 1).any():
                raise Refusal(
                    f'{name} has {several.max()} values at B = {several.idxmax():g} and was not named: runs of '
                    f'different rates do not repeat one another; give --learning_rate={name}'
                )


def check_repeated(rows: pd.DataFrame, columns: Columns) -> None:
    """Raises Refusal for two rows of one batch size, rate and run."""
    if not columns.run:
        return
    key = [name for name in (columns.batch_size, columns.learning_rate, columns.run) if name]
    again = rows.duplicated(key).to_numpy()
    if not again.any():
        return
    j = int(np.flatnonzero(again)[0])
    i = int(np.flatnonzero((rows[key] == rows[key].iloc[j]).all(axis=1))[0])
    others = [n for n in rows.columns if n not in columns and str(rows[n].iloc[i]) != str(rows[n].iloc[j])]
    run = ', '.join(f'{name} {rows[name].iloc[j]}' for name in key)
    cure = 'take one out'
    if others:
        cure = f'they differ in {others[0]}: --where={others[0]}={rows[others[0]].iloc[i]} keeps one'
    raise Refusal(f'rows {rows.index[i] + 1} and {rows.index[j] + 1} are one run twice ({run}); {cure}')


def check_unit(rows: pd.DataFrame, unit: str, name: str, length: np.ndarray, size: np.ndarray) -> None:
    """Raises Refusal for lengths that cannot be in the unit that they were given in."""
    if unit == EXAMPLES and (less := length < size).any():
        raise Refusal(
            f'--examples={name}: {first_row(rows, less)} has {length[less][0]:g} examples, less than one update of B = '
            f'{size[less][0]:g}; give --steps={name} or --epochs={name} if they are those'
        )
    if unit in (STEPS, EXAMPLES) and not is_whole(length):
        broken = np.isfinite(length) & (length != np.round(length))
        raise Refusal(
            f'--{unit}={name}: {first_row(rows, broken)} has {length[broken][0]:g}, and {unit} are whole; give '
            f'--epochs={name} if they are those'
        )
