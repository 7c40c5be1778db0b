"""Volatility and epochs to a threshold by brute force."""

import math
import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from fake_records import write_run
from scipy import stats

from bsresearch.analysis import arms
from bsresearch.analysis.quantities import volatility


def test_deviation_is_the_textbooks():
    """Independent: the standard library's; the residuals of numpy's least-squares line."""
    rng = np.random.default_rng(0)
    t, v = np.arange(151.0, 201.0), rng.normal(0.8, 0.02, 50)
    assert volatility.deviation(t, v) == pytest.approx(statistics.stdev(v.tolist()), rel=1e-12)
    residuals = v - np.polyval(np.polyfit(t, v, 1), t)
    assert volatility.deviation(t, v, detrend=True) == pytest.approx(math.sqrt((residuals**2).sum() / 48), rel=1e-9)
    # Closed form: a line is all trend, ± 1 around one is not.
    assert volatility.deviation(t, 0.01 * t, detrend=True) == pytest.approx(0, abs=1e-12)
    assert volatility.deviation(t, 0.01 * t) == pytest.approx(0.01 * math.sqrt(50 * 51 / 12), rel=1e-9)
    assert math.isnan(volatility.deviation(t[:1], v[:1]))
    assert math.isnan(volatility.deviation(t[:2], v[:2], detrend=True))


def test_first_at_is_the_first():
    rng = np.random.default_rng(1)
    for values in rng.uniform(size=(50, 12)):
        epochs = np.arange(12.0)
        brute = next((e for e, v in zip(epochs, values, strict=True) if v >= 0.9), math.inf)
        assert volatility.first_at(epochs, values, 0.9) == brute
    assert volatility.first_at(np.array([3.0]), np.array([0.9]), 0.9) == 3.0


def one(workdir: pathlib.Path, values: Sequence[float | None], seed: int, **fields: Any) -> None:
    fields = {'status': 'done', **fields}
    write_run(workdir, seed=seed, values={'test_accuracy': values}, total_examples=8 * 64, **fields)


def test_not_reached_is_not_missing(tmp_path: pathlib.Path):
    """Eight epochs, the window their last two: reached; never; gone before and after it got there; still running."""
    one(tmp_path, [0, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.5, 0.7], 0)
    one(tmp_path, [0.1] * 9, 1)
    one(tmp_path, [0.1, 0.2], 2, status='diverged', diverged_step=6)
    one(tmp_path, [0.1, 0.2, 0.85], 3, status='diverged', diverged_step=9)
    one(tmp_path, [0.1, 0.2], 4, status='running')
    one(tmp_path, [0.1, 0.8], 5, status='running')
    loaded = arms.load(tmp_path)
    table = volatility.of_runs(loaded, 'test_accuracy', 0.8).sort_values('seed')
    assert table['outcome'].tolist() == ['done', 'done', 'diverged', 'diverged', 'unfinished', 'unfinished']
    np.testing.assert_equal(table['epochs_to'].to_numpy(), [1, np.inf, np.inf, 2, np.nan, 1])
    np.testing.assert_allclose(table['volatility'], [0.2 / math.sqrt(2), 0, *[np.nan] * 4], atol=1e-12)
    np.testing.assert_allclose(table['level'], [0.6, 0.1, *[np.nan] * 4])
    assert table['final'].iloc[0] == 0.7
    assert table['until'].tolist() == [8] * 6
    longer = volatility.of_runs(loaded, 'test_accuracy', 0.8, last=3).sort_values('seed')
    assert longer['volatility'].iloc[0] == pytest.approx(statistics.stdev([0.1, 0.5, 0.7]))
    arm = volatility.over_seeds(table, loaded.by).set_index('quantity')
    assert arm.loc['epochs_to', ['runs', 'n', 'diverged', 'unfinished', 'censored']].tolist() == [6, 3, 2, 2, 2]
    assert math.isnan(arm.loc['epochs_to', 'mean'])
    assert arm.loc['epochs_to', 'median'] == 2
    assert arm.loc['volatility', 'n'] == 2


def test_a_value_at_the_update_that_diverged_does_not_count(tmp_path: pathlib.Path):
    one(tmp_path, [0.1, 0.9], 0, status='diverged', diverged_step=4)
    assert volatility.of_runs(arms.load(tmp_path), 'test_accuracy', 0.8)['epochs_to'].tolist() == [np.inf]


def test_over_seeds_is_students_interval(tmp_path: pathlib.Path):
    """Independent library, on the final accuracies of one arm."""
    values = 0.812 + 0.0011 * (np.arange(6) - 2.5)
    for seed, value in enumerate(values):
        one(tmp_path, [0.1, *[value] * 8], seed)
    loaded = arms.load(tmp_path)
    table = volatility.of_runs(loaded, 'test_accuracy', 0.8)
    (row,) = volatility.over_seeds(table, loaded.by).query('quantity == "final"').to_dict('records')
    low, high = stats.t.interval(0.95, 5, values.mean(), stats.sem(values))
    assert (row['mean'], row['low'], row['high']) == pytest.approx((0.812, low, high), rel=1e-6)


@pytest.mark.parametrize('last', [0.0, -1.0, 9.0])
def test_a_window_outside_the_run_is_refused(last: float):
    with pytest.raises(ValueError, match=rf'last {last:g} epochs of a run of 8: allowed are more than 0 and at most 8'):
        volatility.window(8.0, last)
