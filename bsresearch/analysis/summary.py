"""Mean and 95 % interval over the runs of an arm, which differ in their seeds alone.

Mean m and sample standard deviation s of n runs give Student's interval m ± t_{0.975, n−1}·√((s² + r)/n), with r the
variance that rounding adds to a value that was counted (resolution.py), 0 for others.  It is the interval of the mean
over independent, roughly normal runs, which differ in their seeds, on this one test set: another test set is not in it.
One run has none (NaN, not width 0), nor have values without any spread.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from bsresearch.store import older

LEVEL = 0.95
TO_TELL = 3  # replicates from which an interval is told: at two Student's t is 12.7 standard errors wide
ROUNDING = 1e-12  # relative


def varies(variance: np.ndarray | float, mean: np.ndarray | float) -> Any:
    """Whether there is a spread beyond float64's own rounding; without it an interval would decide on nothing."""
    return variance > (ROUNDING * np.abs(mean)) ** 2


def each(values: Sequence[float], show: Callable[[float], str]) -> str:
    """'0.45 and 0.53': too few replicates for an interval, each told; one number where they do not differ."""
    return ' and '.join(dict.fromkeys(map(show, values)))


def half_width(error: Any, freedom: Any, level: float = LEVEL) -> Any:
    """Half of Student's interval, t_{(1 + level)/2, freedom}·error, of an estimate with a standard error."""
    return special.stdtrit(freedom, (1 + level) / 2) * error


def interval(
    n: np.ndarray, mean: np.ndarray, std: np.ndarray, rounding: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the mean, of n values with sample standard deviation `std`; NaN where n < 2 or nothing varies.

    All (k,). rounding: variance that it adds to each value.
    """
    variance = np.where(n > 1, std**2 + rounding, 0.0)
    known = varies(variance, mean)
    width = np.full(len(n), np.nan)
    width[known] = half_width(np.sqrt(variance[known] / n[known]), n[known] - 1)
    return mean - width, mean + width


def check_plain(table: pd.DataFrame, metric: str) -> None:
    """Raises ValueError where a loss would be compared with one that holds label smoothing, or left out for it.

    An older version wrote such a row: it has no plain loss, but the training objective.
    """
    objective = older.objective_of(metric)
    if objective not in table:
        return
    missing = table[metric].isna() if metric in table else True
    if runs := sorted(table.loc[table[objective].notna() & missing, 'run'].unique()):
        raise ValueError(
            f'{metric} is not known for all of run{"s" * (len(runs) > 1)} {", ".join(runs)}: an older version recorded '
            f'the loss with label smoothing, which is {objective} now; run them anew in another workdir, or move them '
            'out of this one'
        )
