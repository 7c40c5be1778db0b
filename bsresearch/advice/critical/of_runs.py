"""B_simple and B_noise of runs at the loss that they are to come to, at the best rate of each batch size.

A noise scale depends on the loss and on the temperature ε/B, so only the rate counts at which a batch size came to the
target first, and of each run the measurement next to its arrival. The ratio of means over runs, with Fieller's interval
(analysis/ratio.py); batch sizes differ in it, which makes that wider.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bsresearch.advice.critical.sizes import SCALES, Size
from bsresearch.analysis import ratio
from bsresearch.analysis.quantities.branched import noise
from bsresearch.analysis.study import Study

OF_RUNS = ' of the runs'
NEAR = 0.1  # a measurement is at most this part of the way to the target from it


def scales(study: Study, arrivals: pd.DataFrame) -> list[Size]:
    """Those that were measured.

    Args:
      arrivals: a row per run: run, batch_size, learning_rate, epochs (at its target), reached.
    """
    best = _best(arrivals)
    found = []
    for column, (name, formula) in SCALES.items():
        pairs = [pair for row in best.itertuples() if (pair := _near(study.rows[str(row.run)], row.epochs, column))]
        if pairs:
            told = ratio.of_pairs(*np.array(pairs, float).T)
            where = f'where {len(pairs)} of {len(best)} runs came there, at the best rate of each batch size'
            definition = f'{formula} {where}; 95 % interval'
            found.append(Size(name + OF_RUNS, told.value, told.low, told.high, definition))
    return found


def _best(arrivals: pd.DataFrame) -> pd.DataFrame:
    """The runs that arrived, of each batch size those of the rate at which all did so soonest."""
    rates = arrivals['learning_rate'].round(12)
    epochs = arrivals['epochs'].where(arrivals['reached'], np.inf)
    means = epochs.groupby([arrivals['batch_size'], rates]).mean()
    winners = means[np.isfinite(means)].groupby(level=0).idxmin()
    cells = pd.Series(list(zip(arrivals['batch_size'], rates, strict=True)), arrivals.index)
    return arrivals[cells.isin(list(winners)) & arrivals['reached']]


def _near(rows: pd.DataFrame, epoch: float, column: str) -> Sequence[float] | None:
    """(numerator, denominator) of the measurement next to an epoch."""
    names = list(noise.SCALES[column])
    if not set(names) <= set(rows):
        return None
    known = rows.dropna(subset=names)
    away = (known['epoch'] - epoch).abs()
    if not len(known) or away.min() > NEAR * epoch:
        return None
    return known.iloc[int(away.to_numpy().argmin())][names].tolist()
