"""Quantities of the course of a run, or of what was measured along it: growth, noise scale, range tests, expectations.

As those of of_runs.py: a run that is unfinished has no number, and one that diverged none unless it is said.
"""

from collections.abc import Callable

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


def power_over_logarithm(metric: str = 'distance') -> Quantity:
    """AIC of a + b·ln t minus that of c·t^p: positive where the power law is nearer (growth.py)."""
    difference = lambda t, y: growth.logarithm(t, y).aic - growth.power(t, y).aic
    return _of_course(metric, f'AIC of a logarithm minus that of a power law of the {words(metric)}', difference)


def _of_course(metric: str, name: str, of_course: Callable[[np.ndarray, np.ndarray], float]) -> Quantity:
    def of_rows(rows: pd.DataFrame) -> float:
        rows = rows[rows['step'] > 0]
        if len(rows) < growth.FEWEST:
            return np.nan
        return float(of_course(rows['step'].to_numpy(float), rows[metric].to_numpy(float)))

    return at_end(metric, name, of_rows, unit=PLAIN)


def relative_change(metric: str) -> Quantity:
    """Last over first evaluation, minus 1."""
    of_rows = lambda rows: float(rows[metric].iloc[-1] / rows[metric].iloc[0] - 1)
    return at_end(metric, f'change of the {words(metric)}', of_rows, unit=SHARE)


def noise_scale_in(window: int, of: int = 5) -> Quantity:
    """B_simple = mean(tr Σ)/mean(|G|²) over one of `of` equal windows of a run's measurements (noise_scale.py).

    ∞ where the mean of |G|² is not positive: larger than can be told. window: from 0, or from the end below 0.
    """

    def of_run(study: Study, run: str) -> float:
        points = noise_scale.estimates(study.rows[run])
        if study.status(run) != 'done' or len(points) < of:
            return np.nan
        part = points.iloc[np.array_split(np.arange(len(points)), of)[window]]
        return ratio.of_means(part['trace'].mean(), part['square'].mean())

    def measured(study: Study) -> Array:
        check(study, noise_scale.SQUARE)
        return exact(study.table(lambda run: of_run(study, run)))

    place = f'window {window + 1}' if window >= 0 else 'the last window' if window == -1 else f'window {window}'
    return Quantity(measured, f'B_simple in {place} of {of}', EXAMPLES, (noise_scale.SQUARE, noise_scale.TRACE))


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
