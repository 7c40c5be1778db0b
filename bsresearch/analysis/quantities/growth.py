"""How ‖θ_t − θ_0‖ grows: a + b·ln t (Hoffer et al. 2017, arXiv:1705.08741) against c·t^p (Shen's curves), by AIC.

Both are fitted to the distance itself by least squares, so that their AIC = n ln(RSS/n) + 2·3 are comparable; neither b
nor p depends on whether t counts updates, examples or epochs. Neighbouring points of a run are not independent: the AIC
tells which curve is nearer, its difference is no evidence ratio.
"""

from typing import NamedTuple

import numpy as np
from scipy import optimize

PARAMETERS = 3  # two of the curve, and the residual variance
FEWEST = 6


class Fit(NamedTuple):
    """A curve's two parameters (a, b or c, p), and its AIC."""

    first: float
    second: float
    aic: float


def _fit(first: float, second: float, values: np.ndarray, predicted: np.ndarray) -> Fit:
    rss = float(((values - predicted) ** 2).sum())
    aic = len(values) * float(np.log(rss / len(values))) + 2 * PARAMETERS if rss else -np.inf
    return Fit(float(first), float(second), aic)


def logarithm(t: np.ndarray, distance: np.ndarray) -> Fit:
    """Least squares of a + b·ln t; t, distance: (n,), t positive."""
    columns = np.stack([np.ones(len(t)), np.log(t)], axis=1)
    (a, b), *_ = np.linalg.lstsq(columns, distance, rcond=None)
    return _fit(a, b, distance, columns @ np.array([a, b]))


def power(t: np.ndarray, distance: np.ndarray) -> Fit:
    """Least squares of c·t^p in the distance itself, c in closed form for each p in [0, 2]."""
    # Scaled, so that no power overflows.
    scaled = t / t.max()

    def best(p: float) -> tuple[float, np.ndarray]:
        basis = scaled**p
        c = float(basis @ distance / (basis @ basis))
        return c, c * basis

    rss = lambda p: float(((distance - best(p)[1]) ** 2).sum())
    grid = np.linspace(0, 2, 81)
    start = grid[int(np.argmin([rss(p) for p in grid]))]
    minimum = optimize.minimize_scalar(rss, bounds=(max(0.0, start - 0.05), min(2.0, start + 0.05)), method='bounded')
    p = float(minimum.x)
    c, predicted = best(p)
    return _fit(c / t.max() ** p, p, distance, predicted)
