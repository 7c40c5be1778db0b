"""Records of measure.noise_scale → B_simple along a run with intervals: ratio of means, moving-block bootstrap.

Over a window of measurements in time order, B_simple = mean(S)/mean(|G|²), never the mean of ratios. Neighbouring
points share most of their weights, so blocks of neighbours are drawn, numerator and denominator together (Künsch 1989).
The population's form has |G|² − S/N below, as the examples themselves are a sample.
"""

import pathlib
from typing import NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import arms, summary
from bsresearch.analysis.summary import LEVEL

SQUARE, TRACE = 'noise_gradient_square', 'noise_trace'
REPEATS = 2000


class Ratio(NamedTuple):
    """A ratio of means and its 95 % interval; NaN bounds where there are too few points or the ratio has no sign."""

    value: float
    low: float
    high: float


def ratio(numerator: np.ndarray, denominator: np.ndarray, seed: int = 0) -> Ratio:
    """mean(numerator)/mean(denominator) with a percentile interval by moving blocks of ⌈n^⅓⌉ neighbours.

    Args:
      numerator, denominator: (n,) in time order, in pairs. seed: of the resampling.

    Returns:
      bounds NaN for n < 8, and where so many resampled denominators are not positive that a bound is among them.
    """
    value = _over(numerator.mean(), denominator.mean())
    n = len(numerator)
    if n < 8:
        return Ratio(value, np.nan, np.nan)
    block = int(np.ceil(n ** (1 / 3)))
    starts = np.random.default_rng(seed).integers(0, n - block + 1, (REPEATS, -(-n // block)))
    rows = (starts[:, :, None] + np.arange(block)).reshape(REPEATS, -1)[:, :n]
    below = denominator[rows].mean(1)
    # A vanishing denominator is an infinite ratio, not a negative one.
    drawn = np.where(below > 0, numerator[rows].mean(1) / np.where(below > 0, below, 1.0), np.inf)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method='higher')
    known = lambda bound: float(bound) if np.isfinite(bound) else np.nan
    return Ratio(value, known(low), known(high))


def _over(a: float, b: float) -> float:
    return float(a / b) if b else float(np.inf)


def windows(workdir: pathlib.Path, count: int = 10) -> pd.DataFrame:
    """Each run's measurements cut into `count` windows of equally many.

    Returns:
      one row per run and window: run, batch_size and other fields that vary, step, examples, epoch (of the window's
      middle measurement), n, noise_scale, low, high, population (B_simple of the population), gradient_square, trace
      (means), negative (fraction of estimates of |G|² below 0), train_loss (the mean of those recorded inside).

    Raises:
      ValueError: no run measured it, or older rows hold another loss (`summary.check_plain`).
    """
    loaded = arms.load(workdir)
    if SQUARE not in loaded.rows or not loaded.rows[SQUARE].notna().any():
        raise ValueError(
            f'no run in {workdir} measured the noise scale; ask for it: --config.measure.noise_scale.every_epochs=1'
        )
    if 'train_loss' in loaded.rows:
        summary.check_plain(loaded.rows, 'train_loss')
    size = loaded.runs.set_index('run')['epoch_size']
    found = []
    for run, rows in loaded.rows.groupby('run', sort=False):
        rows = rows.sort_values('step')
        points = rows[rows[SQUARE].notna()].reset_index(drop=True)
        for part in np.array_split(np.arange(len(points)), min(count, len(points))):
            mine = points.loc[part]
            square, trace = mine[SQUARE].to_numpy(float), mine[TRACE].to_numpy(float)
            value = ratio(trace, square)
            middle = mine.iloc[len(mine) // 2]
            inside = rows[(rows['step'] >= mine['step'].min()) & (rows['step'] <= mine['step'].max())]
            found.append(
                {c: middle[c] for c in ('run', *loaded.by, 'step', 'examples', 'epoch')}
                | {'n': len(mine), 'noise_scale': value.value, 'low': value.low, 'high': value.high}
                | {'population': _over(trace.mean(), square.mean() - trace.mean() / size[run])}
                | {'gradient_square': square.mean(), 'trace': trace.mean(), 'negative': (square < 0).mean()}
                | {'train_loss': inside['train_loss'].mean() if 'train_loss' in inside else np.nan}
            )
    return pd.DataFrame(found)
