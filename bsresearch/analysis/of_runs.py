"""Quantities of single runs: what a metric came to, how soon it reached a target, how unsteady it stayed.

A run that is unfinished has no number (NaN). Of one that diverged each quantity says what it counts as: `diverged`, a
number (chance, ∞); without, it has none, and what compares it can no longer hold. Every function returns a Quantity.
"""

import functools
from collections.abc import Callable

import numpy as np
import pandas as pd

from bsresearch.analysis import resolution, summary, unreached
from bsresearch.analysis.axis_labels import words
from bsresearch.analysis.once import once
from bsresearch.analysis.quantities import volatility
from bsresearch.analysis.quantity import (
    AREA,
    DISTANCE,
    EPOCHS,
    EXAMPLES,
    LOSS,
    PERCENT,
    PLAIN,
    SECONDS,
    UPDATES,
    Array,
    Quantity,
    Unit,
    exact,
)  # fmt: skip
from bsresearch.analysis.study import Study
from bsresearch.core.target import better, first_as_good
from bsresearch.store import older

# Position column and unit of what it takes to come to a target.
EFFORTS = {
    'updates': ('step', UPDATES), 'examples': ('examples', EXAMPLES), 'epochs': ('epoch', EPOCHS),
    'seconds': ('seconds', SECONDS),
}  # fmt: skip


def unit_of(metric: str) -> Unit:
    """Accuracies and calibration errors in per cent; AUCs, in [0, 1], distances, norms and losses as they are."""
    metric = metric.partition('/')[0]
    if metric.endswith(('_accuracy', '_calibration_error')):
        return PERCENT
    if metric.endswith('_auc'):
        return AREA
    return (
        DISTANCE if metric.endswith(('distance', '_norm', 'sharpness')) else LOSS if better(metric) is False else PLAIN
    )


@once
def evaluations(study: Study, run: str, metric: str) -> pd.DataFrame:
    """The rows of a run that have a metric, in order, without those from its divergence on.

    Raises:
      ValueError: older rows hold another loss (`summary.check_plain`).
    """
    rows = study.rows[run]
    if metric.endswith('_loss') and older.objective_of(metric) in rows:
        summary.check_plain(rows, metric)
    return rows[rows[metric].notna()] if metric in rows else rows.iloc[:0]


def at_end(
    metric: str, name: str, of_rows: Callable[[pd.DataFrame], float], diverged: float | None = None,
    unit: Unit | None = None, beside: tuple[str, ...] = (), whole: bool = False,
) -> Quantity:  # fmt: skip
    """A number of the evaluations of each run that came to its end.

    beside: metrics that it reads too. whole: it has none where the metric was not finite at the last evaluation.
    """

    def of(study: Study) -> Array:
        for read in (metric, *beside):
            check(study, read)

        def of_run(run: str) -> float:
            rows = evaluations(study, run, metric)
            lost = whole and len(rows) and rows['step'].iloc[-1] < _last_evaluated(study, run, metric.split('_')[0])
            return of_rows(rows) if len(rows) and not lost else np.nan

        values = study.table(_of_finished(study, of_run, diverged))
        return exact(values, _rounding(study, metric, values))

    unit, counts = unit or unit_of(metric), diverged is not None
    return Quantity(of, name, unit, (metric, *beside), higher_is_better=better(metric), diverged=counts)


def _of_finished(study: Study, of_run: Callable[[str], float], diverged: float | None) -> Callable[[str], float]:
    """A number of each run that came to its end, and what one counts as that diverged."""

    def number(run: str) -> float:
        if study.status(run) == 'diverged':
            return np.nan if diverged is None else diverged
        return of_run(run) if study.status(run) == 'done' else np.nan

    return number


@once
def _last_evaluated(study: Study, run: str, split: str) -> float:
    """The last update at which a split was evaluated, whatever came of it."""
    rows = study.rows[run]
    metrics = [c for c in rows if c.endswith(('_loss', '_accuracy')) and c.split('_')[0] == split]
    return rows.loc[rows[metrics].notna().any(axis=1), 'step'].max() if metrics else -np.inf


def check(study: Study, metric: str) -> None:
    """Raises ValueError where no run has a metric, with why."""
    if metric not in study.recorded:
        raise unreached.lacking(study, metric)


def _rounding(study: Study, metric: str, values: pd.DataFrame) -> pd.Series:
    """The variance that counting adds to one evaluation, by cell: N is read off the evaluations of the cell's runs."""
    if not metric.endswith(resolution.COUNTED):
        return pd.Series(0.0, values.index)
    every = lambda runs: [v for run in runs if run in study.rows for v in evaluations(study, run, metric)[metric]]
    return pd.Series([resolution.variance(metric, every(study.runs_of(cell))) for cell in values.index], values.index)


@functools.cache  # one for all who ask, so that it is computed once for a study
def final(metric: str, *, diverged: float | None = None) -> Quantity:
    """The last evaluation; none where that was not finite, whatever came before."""
    last = lambda rows: float(rows[metric].iloc[-1])
    return at_end(metric, f'{words(metric)} at the end', last, diverged, whole=True)


def start(metric: str) -> Quantity:
    """The first evaluation of runs that came to their end: at the initial weights, or where a branch begins."""
    return at_end(metric, f'{words(metric)} at the start', lambda rows: float(rows[metric].iloc[0]))


def at_epoch(metric: str, epoch: float) -> Quantity:
    """The first evaluation at or after an epoch."""

    def of_rows(rows: pd.DataFrame) -> float:
        late = rows[rows['epoch'] >= epoch]
        return float(late[metric].iloc[0]) if len(late) else np.nan

    return at_end(metric, f'{words(metric)} at epoch {epoch:g}', of_rows)


def median_of_last(metric: str, count: int, *, diverged: float | None = None) -> Quantity:
    """The median of the last `count` evaluations."""
    of_rows = lambda rows: float(rows[metric].tail(count).median())
    return at_end(metric, f'{words(metric)}, median of the last {count} evaluations', of_rows, diverged)


def at_best(metric: str, by: str = 'validation_accuracy') -> Quantity:
    """The evaluation at which another metric of the same run was best, the first of several: early stopping.

    Raises:
      ValueError: `by` has no best.
    """
    higher = better(by)
    if higher is None:
        raise ValueError(f'at_best(by={by!r}): it has no best; take an accuracy or a loss')

    def of_rows(rows: pd.DataFrame) -> float:
        both = rows[rows[by].notna()] if by in rows else rows.iloc[:0]
        if not len(both):
            return np.nan
        return float(both[metric].iloc[int((both[by] if higher else -both[by]).to_numpy().argmax())])

    return at_end(metric, f'{words(metric)} at the best {words(by)}', of_rows, beside=(by,))


def best(metric: str, *, diverged: float | None = None) -> Quantity:
    """The best evaluation: high by choice, where the metric is one of a test set."""
    of_rows = lambda rows: float(rows[metric].min() if better(metric) is False else rows[metric].max())
    return at_end(metric, f'best {words(metric)}', of_rows, diverged)


def _late(study: Study, run: str, metric: str, last: float | None) -> pd.DataFrame:
    """The evaluations in the last epochs of a run; None: a quarter of it."""
    total, rows = float(study.runs.at[run, 'total_epochs']), evaluations(study, run, metric)
    return rows[rows['epoch'] > total - volatility.window(total, last)]


def level(metric: str, last: float | None = None, *, diverged: float | None = None) -> Quantity:
    """The mean of the evaluations in the last epochs (None: a quarter of the run)."""

    def of(study: Study) -> Array:
        check(study, metric)
        late = lambda run: _late(study, run, metric, last)[metric]
        values = study.table(_of_finished(study, lambda run: float(late(run).mean()), diverged))
        counts = study.table(_of_finished(study, lambda run: float(len(late(run))), None)).mean(axis=1)
        return exact(values, (_rounding(study, metric, values) / counts).fillna(0.0))

    name = f'{words(metric)}, mean over the last epochs'
    return Quantity(
        of, name, unit_of(metric), (metric,), higher_is_better=better(metric), diverged=diverged is not None
    )


def unsteadiness(metric: str, last: float | None = None, *, detrend: bool = False) -> Quantity:
    """The sample standard deviation of the evaluations in the last epochs (volatility.py); ∞ of a run that diverged."""

    def of(study: Study) -> Array:
        check(study, metric)

        def of_run(run: str) -> float:
            rows = _late(study, run, metric, last)
            return volatility.deviation(rows['epoch'].to_numpy(float), rows[metric].to_numpy(float), detrend=detrend)

        return exact(study.table(_of_finished(study, of_run, np.inf)))

    unit = unit_of(metric)._replace(level=unit_of(metric).difference, low=0.0, high=np.inf)
    return Quantity(of, f'volatility of {words(metric)}', unit, (metric,), higher_is_better=False, diverged=True)


def to_target(effort: str, metric: str, target: float) -> Quantity:
    """Updates, examples, epochs or seconds at the first evaluation that is as good as the target, or better.

    It is late by up to one interval between evaluations. A run that ended without, or diverged, is censored: above
    what it was followed to, and for one that diverged it is never (∞). Higher is better, but of losses.

    Raises:
      ValueError: an unknown effort.
    """
    if effort not in EFFORTS:
        raise ValueError(f'to_target({effort!r}): there are {", ".join(EFFORTS)}')
    column, unit = EFFORTS[effort]
    higher = better(metric) is not False

    def ends(study: Study, run: str) -> tuple[float, float, float]:
        """What it took, between two ends, and how long before its arrival the evaluation before lies."""
        rows = evaluations(study, run, metric)
        there = first_as_good(rows[metric].to_numpy(), target, higher)
        if there is not None:
            arrived = float(rows[column].iloc[there])
            return arrived, arrived, arrived - float(rows[column].iloc[there - 1]) if there else 0.0
        if study.status(run) == 'diverged':
            return np.inf, np.inf, np.nan
        if study.status(run) == 'done' and len(rows):
            return float(rows[column].iloc[-1]), np.inf, np.nan
        return np.nan, np.nan, np.nan

    def of(study: Study) -> Array:
        check(study, metric)
        between = {run: ends(study, run) for run in study.runs.index}
        low, high, late = (study.table(lambda run, i=i: between[run][i]) for i in range(3))
        # Arrivals are told at evaluations only: evenly since the one before.
        return Array(low, high, (late**2 / 12).mean(axis=1).fillna(0.0))

    target_text = unit_of(metric).show(target)
    return Quantity(
        of, f'{effort} to {target_text} {words(metric)}', unit, (metric,), higher_is_better=False, diverged=True
    )
