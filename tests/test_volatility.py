"""Volatility by brute force."""

import math
import statistics

import numpy as np
import pytest

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


@pytest.mark.parametrize('last', [0.0, -1.0, 9.0])
def test_a_window_outside_the_run_is_refused(last: float):
    with pytest.raises(ValueError, match=rf'last {last:g} epochs of a run of 8: allowed are more than 0 and at most 8'):
        volatility.window(8.0, last)
