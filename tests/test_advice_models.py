"""The statistical models of an advice, against closed forms, other libraries and Monte Carlo."""

import numpy as np
import pytest
from scipy import stats

from bsresearch.advice import table
from bsresearch.advice.fits import curve, levels, surface
from bsresearch.advice.fits.levels import Sample, Shape


def test_levels_are_those_of_the_closed_form():
    """400 runs at two of three points tell their spread: (C⁻¹ + n/s²)⁻¹; the third follows by its covariance."""
    rng, spread, n = np.random.default_rng(0), 0.5, 400
    prior = 0.001 * np.array([[1.0, 0.8, 0.6], [0.8, 1.0, 0.8], [0.6, 0.8, 1.0]])
    shape = Shape(np.zeros(1), np.zeros(1), np.full((1, 3), 0.5), prior[None])
    place = np.repeat([0, 2], n)
    y = rng.normal(0.55, spread, 2 * n)
    draws = levels.draw(shape, Sample(place, y, y), spread)
    gain = prior[:, [0, 2]] @ np.linalg.inv(prior[np.ix_([0, 2], [0, 2])] + spread**2 / n * np.eye(2))
    mean = 0.5 + gain @ (np.array([y[:n].mean(), y[n:].mean()]) - 0.5)
    deviation = np.sqrt(np.diag(prior - gain @ prior[[0, 2]]))
    assert draws.level.mean(axis=0) == pytest.approx(mean, abs=0.1 * deviation.min())
    assert draws.level.std(axis=0) == pytest.approx(deviation, rel=0.08)
    assert draws.spread[:, [0, 2]].mean(axis=0) == pytest.approx([spread, spread], rel=0.06)


def test_hidden_values_are_truncated_normals():
    """Against SciPy's moments, in both tails; where next to nothing is left, the nearer end."""
    rng = np.random.default_rng(0)
    ends = [(-1.0, 0.5), (2.0, 3.0), (-np.inf, -2.0), (1.5, np.inf), (6.0, np.inf)]
    low, high = (np.repeat(np.array(end)[:, None], 20_000, axis=1) for end in zip(*ends, strict=True))
    drawn = levels.truncated(rng, np.zeros_like(low), np.ones_like(low), low, high)
    for (a, b), own in zip(ends, drawn, strict=True):
        true = stats.truncnorm(a, b)
        assert own.mean() == pytest.approx(true.mean(), abs=5 * true.std() / np.sqrt(len(own)))
        assert own.std() == pytest.approx(true.std(), rel=0.05)
    far = levels.truncated(rng, np.zeros(2), np.ones(2), np.array([50.0, -60.0]), np.array([60.0, -50.0]))
    assert far.tolist() == [50.0, -50.0]


def test_the_curve_has_the_covariance_of_an_integrated_walk():
    """Monte Carlo of the slope's random walk, without level, slope and quirk."""
    size = np.array([1.0, 4.0, 32.0])
    shape = curve.smooth(size, 0.0)
    i = int(np.argmax((shape.parameter == curve.ROUGHNESS) & (shape.covariance[:, 0, 0] > curve.ANYWHERE**2)))
    x = np.log(size)
    base = curve.ANYWHERE**2 + curve.SLOPE**2 * np.outer(x, x)
    found = (
        shape.covariance[i] - base - (shape.covariance[i, 0, 0] - curve.ANYWHERE**2) * np.eye(3)
    ) / shape.parameter[i] ** 2
    steps = 400
    grid = np.linspace(0, x[-1], steps + 1)
    walk = np.cumsum(np.random.default_rng(0).normal(size=(20_000, steps)) * np.sqrt(grid[1]), axis=1)
    integral = np.cumsum(walk, axis=1) * grid[1]
    own = integral[:, np.searchsorted(grid[1:], x[1:] - 1e-9)]
    assert found[1:, 1:] == pytest.approx(np.cov(own, rowvar=False), rel=0.05)
    assert found[0] == pytest.approx(np.zeros(3), abs=1e-9)


def test_the_surface_is_that_of_universal_kriging():
    """One setting of the hyperparameters against the linear system of kriging with a plane (Cressie 1993, 3.4.5)."""
    rng = np.random.default_rng(0)
    points, values, runs = rng.normal(size=(12, 2)), rng.normal(size=12), rng.integers(1, 4, 12)
    _, component = surface._component(points, values, runs, (0.8, 1.3), 0.1)
    at = rng.normal(size=(4, 2))
    mean, covariance = surface.Surface(points, np.zeros(2), [component], np.ones(1))._of(component, at)
    kernel = lambda a, b: np.exp(-(((a[:, None] - b[None]) / [0.8, 1.3]) ** 2).sum(axis=-1) / 2)
    plane = lambda p: np.column_stack([np.ones(len(p)), p])
    whole = np.block([[kernel(points, points) + np.diag(0.1 / runs + surface.JITTER), plane(points)],
                      [plane(points).T, np.zeros((3, 3))]])  # fmt: skip
    right = np.vstack([kernel(points, at), plane(at).T])
    weights = np.linalg.solve(whole, right)
    assert mean == pytest.approx(weights[:12].T @ values)
    assert covariance / component.variance == pytest.approx(kernel(at, at) - right.T @ weights)


def test_granularity_is_the_greatest_common_divisor():
    assert table.granularity([50, 100, 150, 250, 300, 450, 600, 700]) == 50
    assert table.granularity([50, 100]) == 0, 'too few to tell'
    assert table.granularity([1.5, *range(20)]) == 0
