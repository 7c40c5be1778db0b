"""A smooth surface over (ln B, ln rate), from noisy cells: a Gaussian process with its hyperparameters weighed.

z(x, y) = plane + s·g + noise, g with the kernel exp(−(Δx/a)²/2 − (Δy/b)²/2), noise of variance ρ·s²/n in a mean of n
runs. a, b and ρ are on a grid, weighed by the restricted likelihood, in which the plane and s² are integrated out
(Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, sections 2.7 and 5.4). The grid: what changes with
B or the rate does so over factors from 2 to 64; noise has from a thousandth of the surface's own variance to all of it.
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy import linalg

LENGTHS = np.log(2) * np.array([1.0, 2.0, 4.0, 6.0])
NOISE = 10.0 ** np.arange(-3.0, 1.0)
# Numerical: of the kernel's own variance.
JITTER = 1e-8


class Component(NamedTuple):
    """One setting of the hyperparameters, fitted."""

    lengths: tuple[float, float]
    ratio: float
    variance: float
    root: np.ndarray
    solved: np.ndarray
    plane: np.ndarray
    plane_root: np.ndarray
    whitened: np.ndarray


class Surface(NamedTuple):
    """points: (n, 2) of the cells, centred at `centre`. components with their weights, (c,)."""

    points: np.ndarray
    centre: np.ndarray
    components: list[Component]
    weights: np.ndarray

    @property
    def noise(self) -> float:
        """Standard deviation of a single run around the surface."""
        variances = [c.variance * c.ratio for c in self.components]
        return float(np.sqrt(np.average(variances, weights=self.weights)))

    def draws(self, at: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
        """(count, m) of the surface at (m, 2) points (ln B, ln rate)."""
        rng, parts = np.random.default_rng(seed), []
        numbers = rng.multinomial(count, self.weights)
        for component, number in zip(self.components, numbers, strict=True):
            if number:
                mean, covariance = self._of(component, at - self.centre)
                root = np.linalg.cholesky(covariance + component.variance * 1e-6 * np.eye(len(at)))
                parts.append(mean + rng.normal(size=(number, len(at))) @ root.T)
        return np.concatenate(parts)

    def mean(self, at: np.ndarray) -> np.ndarray:
        """(m,) at (m, 2) points."""
        return np.einsum('c,cm->m', self.weights, [self._of(c, at - self.centre)[0] for c in self.components])

    def _of(self, component: Component, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cross = _kernel(self.points, at, component.lengths)  # (n, m)
        white = linalg.solve_triangular(component.root, cross, lower=True)
        mean = _plane(at) @ component.plane + cross.T @ component.solved
        rest = _plane(at).T - component.whitened.T @ white  # (3, m)
        vague = linalg.solve_triangular(component.plane_root, rest, lower=True)
        own = _kernel(at, at, component.lengths)
        return mean, component.variance * (own - white.T @ white + vague.T @ vague)


def fit(points: np.ndarray, values: np.ndarray, runs: np.ndarray) -> Surface:
    """Through (n,) values at (n, 2) points (ln B, ln rate), means of `runs`; n ≥ 5, which must not lie on one line."""
    centre = points.mean(axis=0)
    shifted = points - centre
    fitted = [_component(shifted, values, runs, (a, b), ratio)
              for a, b, ratio in itertools.product(LENGTHS, LENGTHS, NOISE)]  # fmt: skip
    log_weight = np.array([weight for weight, _ in fitted])
    weight = np.exp(log_weight - log_weight.max())
    # What has next to no weight is left out: less than a thousandth of the best.
    kept = weight > 1e-3
    components = [component for (_, component), keep in zip(fitted, kept, strict=True) if keep]
    return Surface(shifted, centre, components, weight[kept] / weight[kept].sum())


def _plane(points: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(points)), points])


def _kernel(first: np.ndarray, second: np.ndarray, lengths: tuple[float, float]) -> np.ndarray:
    scaled = (first[:, None] - second[None]) / np.array(lengths)
    return np.exp(-(scaled**2).sum(axis=-1) / 2)


def _component(
    points: np.ndarray, values: np.ndarray, runs: np.ndarray, lengths: tuple[float, float], ratio: float
) -> tuple[float, Component]:
    """Log restricted likelihood, and the fit."""
    n = len(points)
    root = linalg.cholesky(_kernel(points, points, lengths) + np.diag(ratio / runs + JITTER), lower=True)
    whitened = linalg.solve_triangular(root, _plane(points), lower=True)
    white = linalg.solve_triangular(root, values, lower=True)
    plane_root = linalg.cholesky(whitened.T @ whitened, lower=True)
    plane = linalg.cho_solve((plane_root, True), whitened.T @ white)
    residual = white - whitened @ plane
    freedom = n - 3
    variance = max(float(residual @ residual) / freedom, np.finfo(float).tiny)  # of a plane without noise it is 0
    weight = -freedom * np.log(variance) / 2 - np.log(np.diag(root)).sum() - np.log(np.diag(plane_root)).sum()
    solved = linalg.solve_triangular(root, residual, lower=True, trans='T')
    return float(weight), Component(lengths, ratio, variance, root, solved, plane, plane_root, whitened)
