"""How distance grows: planted laws are recovered and told apart."""

import numpy as np
import pytest

from bsresearch.analysis.quantities import growth

T = np.unique(np.geomspace(1, 20000, 60).round())


def test_planted_laws_are_recovered_and_told_apart():
    """Closed form without noise; with 1 % noise the parameters to a few per cent, and the nearer law by AIC."""
    rng = np.random.default_rng(0)
    log, power = 0.4 + 0.6 * np.log(T), 0.3 * T**0.32
    found = growth.logarithm(T, log)
    assert (found.first, found.second) == pytest.approx((0.4, 0.6), rel=1e-9)
    found = growth.power(T, power)
    assert (found.first, found.second) == pytest.approx((0.3, 0.32), rel=1e-4)
    for truth, nearer in ((log, growth.logarithm), (power, growth.power)):
        noisy = truth * (1 + 0.01 * rng.normal(size=len(T)))
        fits = {f: f(T, noisy) for f in (growth.logarithm, growth.power)}
        assert min(fits, key=lambda f: fits[f].aic) is nearer
    assert growth.power(T, 0.3 * (T * 64) ** 0.32).second == pytest.approx(0.32, rel=1e-4)  # whatever t counts


def test_aic_is_its_definition():
    values = 0.3 * T**0.32 + np.random.default_rng(1).normal(size=len(T)) * 0.1
    found = growth.logarithm(T, values)
    slope, intercept = np.polyfit(np.log(T), values, 1)
    rss = ((values - intercept - slope * np.log(T)) ** 2).sum()
    assert found.second == pytest.approx(slope)
    assert found.aic == pytest.approx(len(T) * np.log(rss / len(T)) + 6)
