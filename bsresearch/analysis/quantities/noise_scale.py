"""Records of measure.noise_scale → B_simple along a run, with intervals (ratio.py).

Over a window of measurements in time order, B_simple = mean(S)/mean(|G|²), never the mean of ratios. The population's
form has |G|² − S/N below, as the examples themselves are a sample. A mean of |G|² that is not positive gives no batch
size: B_simple is ∞, larger than can be told, and the fraction of negative estimates stands beside it.
"""

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, ratio, summary, unreached
from bsresearch.analysis.once import once
from bsresearch.analysis.study import Study

SQUARE, TRACE = 'noise_gradient_square', 'noise_trace'


def estimates(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows in which |G|² and S were measured, in time order, as columns `square` and `trace` beside their own."""
    if SQUARE not in rows or TRACE not in rows:
        return rows[:0].assign(square=pd.Series(dtype=float), trace=pd.Series(dtype=float))
    measured = rows[rows[SQUARE].notna() & rows[TRACE].notna()].sort_values('step', ignore_index=True)
    return measured.assign(square=measured[SQUARE].astype(float), trace=measured[TRACE].astype(float))


def along_run(square: np.ndarray, trace: np.ndarray, epoch_size: int) -> dict[str, float]:
    """B_simple of measurements along a run.

    Args:
      square, trace: (n,) estimates of |G|² and S in time order, not smoothed. epoch_size: N, training examples.

    Returns:
      noise_scale, low, high: of the training set, with its interval. population: of the population it is a sample of.
      negative: fraction of the estimates of |G|² that are below 0.
    """
    simple, below = ratio.along_run(trace, square), square.mean() - trace.mean() / epoch_size
    population = ratio.of_means(trace.mean(), below)
    interval = {'noise_scale': simple.value, 'low': simple.low, 'high': simple.high}
    return interval | {'population': population, 'negative': float((square < 0).mean())}


@once
def windows(study: Study, count: int = 5) -> pd.DataFrame:
    """Each run's measurements cut into `count` windows of equally many.

    Returns:
      one row per run and window: run, the parts of its cell, replicate, batch_size, step, examples, epoch, seconds (of
      the window's middle measurement), n, noise_scale, low, high (∞: no upper end; NaN: fewer than 20 measurements),
      population (B_simple of the population), negative (fraction of estimates of |G|² below 0), gradient_square, trace
      (means), train_loss (the mean of those recorded inside).

    Raises:
      ValueError: no run measured it, or older rows hold another loss (`summary.check_plain`).
    """
    of_runs = [(member, study.rows[member.run]) for member in cells.members(study)]
    if not any(len(estimates(rows)) for _, rows in of_runs):
        raise unreached.lacking(study, SQUARE)
    windows_of_runs = []
    for (key, replicate, run), rows in of_runs:
        if 'train_loss' in rows:
            summary.check_plain(rows, 'train_loss')
        points, facts = estimates(rows), study.runs.loc[run]
        names = {'run': run} | cells.parts(study, key) | {'replicate': replicate}
        names |= {'batch_size': int(facts['batch_size'])}
        for part in np.array_split(np.arange(len(points)), min(count, len(points)) or 1):
            if len(part):
                windows_of_runs.append(names | _window(rows, points.loc[part], int(facts['epoch_size'])))
    return pd.DataFrame(windows_of_runs)


def _window(rows: pd.DataFrame, window: pd.DataFrame, epoch_size: int) -> dict[str, float]:
    """What a run has in a window of measurements; rows: all of the run."""
    square, trace = window['square'].to_numpy(), window['trace'].to_numpy()
    middle = window.iloc[len(window) // 2]
    inside = rows[(rows['step'] >= window['step'].min()) & (rows['step'] <= window['step'].max())]
    return (
        {column: middle[column] for column in ('step', 'examples', 'epoch', 'seconds')}
        | {'n': len(window)}
        | along_run(square, trace, epoch_size)
        | {'gradient_square': square.mean(), 'trace': trace.mean()}
        | {'train_loss': inside['train_loss'].mean() if 'train_loss' in inside else np.nan}
    )


def text(value: float, low: float, high: float) -> str:
    """B_simple with its interval: '470 (395 to 672)', '> 395' where it has no upper end, '470' without an interval.

    'no |G|²' where its mean is told to be negative, so that no B_simple is small enough.
    """
    if np.isinf(low):
        return 'no |G|²'
    if np.isnan(low):
        return f'{value:.4g}'
    return f'> {low:.4g}' if np.isinf(high) else f'{value:.4g} ({low:.4g} to {high:.4g})'
