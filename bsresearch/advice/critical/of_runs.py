"""B_simple and B_noise of runs while their loss is around the one that they are to come to.

A noise scale depends on the loss and on the temperature ε/B, so only the rate counts at which a batch size came to the
target first. It is measured while the loss lies within a factor of AROUND of the target, not where it is first as low:
there it is so by chance, and |G|² is low with it (on Fashion-MNIST B_simple came out twice as large). The ratio of
means over runs, each one the mean of its measurements, with Fieller's interval (analysis/ratio.py); batch sizes differ
in it, which makes that wider.
"""

import numpy as np
import pandas as pd

from bsresearch.advice.critical.sizes import SCALES, Size
from bsresearch.analysis import of_runs, ratio
from bsresearch.analysis.quantities.branched import noise
from bsresearch.analysis.study import Study

OF_RUNS = ' of the runs'
AROUND = 1.15


def scales(study: Study, arrivals: pd.DataFrame, metric: str, target: float) -> list[Size]:
    """Those that were measured; none where the target is no loss.

    Args:
      arrivals: a row per run: run, batch_size, learning_rate, epochs (at its target), reached.
    """
    if not metric.endswith('_loss') or not target > 0:
        return []
    best, scales = _best(arrivals), []
    for column, (name, formula) in SCALES.items():
        means = [_while_around(study, str(run), column, metric, target) for run in best['run']]
        pairs = np.array([pair for pair in means if pair is not None])
        if len(pairs):
            of_means = ratio.of_pairs(pairs[:, 0], pairs[:, 1])
            definition = (
                f'{formula} of {len(pairs)} of {len(best)} runs while their loss is within {100 * (AROUND - 1):.0f} % '
                'of the target, at the best rate of each batch size; 95 % interval'
            )
            scales.append(Size(name + OF_RUNS, of_means.value, of_means.low, of_means.high, definition))
    return scales


def _best(arrivals: pd.DataFrame) -> pd.DataFrame:
    """The runs that arrived, of each batch size those of the rate at which all did so soonest."""
    rates = arrivals['learning_rate'].round(12)
    epochs = arrivals['epochs'].where(arrivals['reached'], np.inf)
    means = epochs.groupby([arrivals['batch_size'], rates]).mean()
    winners = means[np.isfinite(means)].groupby(level=0).idxmin()
    cells = pd.Series(list(zip(arrivals['batch_size'], rates, strict=True)), arrivals.index)
    return arrivals[cells.isin(list(winners)) & arrivals['reached']]


def _while_around(study: Study, run: str, column: str, metric: str, target: float) -> tuple[float, float] | None:
    """(numerator, denominator), means of a run's measurements; its loss is taken between its evaluations."""
    names, rows = list(noise.SCALES[column]), study.rows[run]
    if not set(names) <= set(rows):
        return None
    evaluated, known = of_runs.evaluations(study, run, metric), rows.dropna(subset=names)
    losses = np.interp(known['epoch'], evaluated['epoch'], evaluated[metric], left=np.inf, right=np.inf)
    near = known[(losses < target * AROUND) & (losses > target / AROUND)]
    if not len(near):
        return None
    above, below = (float(near[name].mean()) for name in names)
    return above, below
