"""Quantities of the course of a run, or of what was measured along it: growth, noise scale, range tests, expectations.

As those of of_runs.py: a run that is unfinished has no number, and one that diverged none unless it is said.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from bsresearch.analysis import ratio
from bsresearch.analysis.axis_labels import words
from bsresearch.analysis.of_runs import at_end, check, final
from bsresearch.analysis.quantities import growth, lr_range, noise_scale, noisy_quadratic
from bsresearch.analysis.quantity import EXAMPLES, PLAIN, SHARE, Array, Quantity, exact
from bsresearch.analysis.study import FINISHED, Study


def growth_exponent(metric: str = 'distance') -> Quantity:
    """The p of c·t^p, fitted to a run's course over updates t (growth.py)."""
    return _of_course(metric, f'growth exponent of the {words(metric)}', lambda t, y: growth.power(t, y).second)


def logarithmic_slope(metric: str = 'distance', *, share: float = 1.0) -> Quantity:
    """The b of a + b·ln t, fitted to the first share of a run's course over updates t (growth.py)."""
    return _of_course(
        metric, f'slope of the {words(metric)} in ln t', lambda t, y: growth.logarithm(t, y).second, share
    )


def power_over_logarithm(metric: str = 'distance', *, share: float = 1.0) -> Quantity:
    """AIC of a + b·ln t minus that of c·t^p: positive where the power law is nearer (growth.py).

    share: of the run, from its beginning.
    """
    difference = lambda t, y: growth.logarithm(t, y).aic - growth.power(t, y).aic
    return _of_course(metric, f'AIC of a logarithm minus that of a power law of the {words(metric)}', difference, share)


def _of_course(
    metric: str, name: str, of_course: Callable[[np.ndarray, np.ndarray], float], share: float = 1.0
) -> Quantity:
    def of_rows(rows: pd.DataFrame) -> float:
        rows = rows[(rows['step'] > 0) & (rows['step'] <= share * rows['step'].iloc[-1])]
        if len(rows) < growth.FEWEST:
            return np.nan
        return float(of_course(rows['step'].to_numpy(float), rows[metric].to_numpy(float)))

    return at_end(metric, name, of_rows, unit=PLAIN)


def at_level(metric: str, by: str, value: float) -> Quantity:
    """What a metric is when another one, recorded with it, first falls to a value: at one loss, whatever the run.

    Linear in the logarithm of the other between the two records around it; none of a run that begins or ends beside it.
    """

    def of_rows(rows: pd.DataFrame) -> float:
        both = rows[rows[by].notna()]
        below = np.flatnonzero(both[by] <= value)
        if not len(below) or not below[0]:
            return np.nan
        near = both.iloc[[below[0], below[0] - 1]]
        return float(np.interp(np.log(value), np.log(near[by].to_numpy(float)), near[metric].to_numpy(float)))

    return at_end(metric, f'{words(metric)} at a {words(by)} of {value:g}', of_rows, beside=(by,))


def relative_change(metric: str) -> Quantity:
    """Last over first evaluation, minus 1."""
    of_rows = lambda rows: float(rows[metric].iloc[-1] / rows[metric].iloc[0] - 1)
    return at_end(metric, f'change of the {words(metric)}', of_rows, unit=SHARE)


def noise_scale_in(window: int, of: int = 5) -> Quantity:
    """B_simple over one of `of` equal windows of a run's measurements (noise_scale.py).

    window: from 0, or from the end below 0.
    """

    def part(_: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
        return points.iloc[np.array_split(np.arange(len(points)), of)[window]] if len(points) >= of else points[:0]

    place = f'window {window + 1}' if window >= 0 else 'the last window' if window == -1 else f'window {window}'
    return _noise_scale(part, f'{place} of {of}')


def noise_scale_between(first: float, last: float) -> Quantity:
    """B_simple over a run's measurements between two epochs, both included."""
    part = lambda _, points: points[points['epoch'].between(first, last)]
    return _noise_scale(part, f'epochs {first:g} to {last:g}')


def noise_scale_while(metric: str, high: float, low: float) -> Quantity:
    """B_simple over a run's measurements while a loss falls from `high` to `low`: at one loss, whatever the run.

    From the first evaluation at `high` or below up to the first at `low` or below; none of a run that came to neither.
    """

    def part(rows: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
        evaluated = rows[rows[metric].notna()] if metric in rows else rows[:0]
        ends = [evaluated.loc[evaluated[metric] <= value, 'step'].min() for value in (high, low)]
        return points[points['step'].between(*ends)]  # none where an end is NaN

    name = f'while the {words(metric)} falls from {high:g} to {low:g}'
    return replace(_noise_scale(part, name), metrics=(noise_scale.SQUARE, noise_scale.TRACE, metric))


def _noise_scale(part: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame], when: str) -> Quantity:
    """Mean(tr Σ)/mean(|G|²) of a part of the measurements; ∞ where the mean of |G|² is not positive: not to be told.

    part: rows of a run and the measurements among them → those that count.
    """

    def of_run(study: Study, run: str) -> float:
        if study.status(run) != 'done':
            return np.nan
        rows = study.rows[run]
        chosen = part(rows, noise_scale.estimates(rows))
        return ratio.of_means(chosen['trace'].mean(), chosen['square'].mean()) if len(chosen) else np.nan

    def measured(study: Study) -> Array:
        check(study, noise_scale.SQUARE)
        return exact(study.table(lambda run: of_run(study, run)))

    return Quantity(measured, f'B_simple, {when}', EXAMPLES, (noise_scale.SQUARE, noise_scale.TRACE))


def over_expected_loss() -> Quantity:
    """The test loss at the end over what the noisy quadratic's recurrence expects there, minus 1."""

    def of(study: Study) -> Array:
        losses = final('test_loss').of(study)
        field_of = study.runs.rename_axis('run').to_dict('index')
        expected = {
            cell: noisy_quadratic.predicted(field_of[study.runs_of(cell)[0]])[0][-1] for cell in losses.low.index
        }
        return exact(losses.low.div(pd.Series(expected), axis=0) - 1)

    return Quantity(of, 'test loss over its expectation, minus 1', SHARE, ('test_loss',))


def range_test_reading(reading: str) -> Quantity:
    """A rate that a learning-rate range test suggests (lr_range.Suggestions); its end by divergence is no loss."""

    def of_run(study: Study, run: str) -> float:
        if study.status(run) not in FINISHED or not lr_range.has_updates(study, run):
            return np.nan
        *_, suggestions = lr_range.of_run(study, run)
        rate = getattr(suggestions, reading)
        return np.nan if rate is None else rate

    of = lambda study: exact(study.table(lambda run: of_run(study, run)))
    return Quantity(of, f'{words(reading)} of the range test', diverged=True)
