"""Levels of a quantity at several batch sizes, from few runs that may be rounded or censored: draws of a posterior.

Model, in natural logarithms: run i at batch size B_j has y_i = l_j + e_i, e_i ~ N(0, s_j²), of which an interval
[low_i, high_i] is known: a point, (ln(n − 1), ln n] of a whole number n, (ln n, ∞) of a run that had not reached its
target after n (censored: it never leaves the data). The levels l are Gaussian with a mean and a covariance that the
parameter of their shape sets (curve.py, hyperbola.py), on a grid with its weights. Spreads differ from batch size to
batch size around one that they share: s_j² ~ scaled inverse χ²(4, s²), so that 95 % are from 0.6·s to 2.9·s, and ln s
is around ln `spread`, uncertain by a factor of 3 (one standard deviation).

Drawn by Gibbs sampling (Gelman et al., Bayesian Data Analysis, 3rd ed., chapters 11 and 15): the parameter, given the
runs with the levels integrated out; levels; hidden y; spreads. Chains run side by side from one fixed stream of
numbers, so that one table gives one answer; 2,048 draws place an end of a 95 % interval to about 1 % of probability.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

CHAINS, BURN_IN, KEPT = 32, 48, 64
# Of the spreads around the shared one, in degrees of freedom.
FREEDOM = 4.0
# Of the shared spread over the expected one.
FACTORS = 2.0 ** np.arange(-4, 5, 0.5)


class Sample(NamedTuple):
    """Runs. place: (n,) which point of the shape each was at. low, high: (n,) ln of what is known; ±∞ where nothing."""

    place: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def middle(self) -> np.ndarray:
        """(n,) somewhere within what is known; near the end that there is, where there is one."""
        with np.errstate(invalid='ignore'):
            middle = np.log((np.exp(self.low) + np.exp(self.high)) / 2)
        return np.where(np.isinf(self.high), self.low + 0.1, middle)


class Shape(NamedTuple):
    """A Gaussian prior of the levels for each value of a parameter.

    parameter: (g,). weight: (g,) log of the prior weight. mean: (g, k). covariance: (g, k, k).
    """

    parameter: np.ndarray
    weight: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray


class Draws(NamedTuple):
    """level: (d, k) at every point. spread: (d, k) standard deviation of runs there. parameter: (d,) of the shape."""

    level: np.ndarray
    spread: np.ndarray
    parameter: np.ndarray


def draw(shape: Shape, sample: Sample, spread: float, seed: int = 0) -> Draws:
    """Draws of the posterior.

    Args:
      shape: over all points, also those without a run. spread: standard deviation between runs that is expected
        where they do not tell it themselves. seed: of the stream of numbers.
    """
    rng = np.random.default_rng(seed)
    seen, place = np.unique(sample.place, return_inverse=True)
    prior, hidden = _Prior(shape, seen), _Hidden(sample, place)
    variance = np.full((CHAINS, len(seen)), spread**2)
    mean, scatter = hidden.known
    kept: list[tuple[np.ndarray, ...]] = []
    for sweep in range(BURN_IN + KEPT):
        which, level = prior.update(rng, mean, variance / hidden.count)
        mean, scatter = hidden.update(rng, level, variance)
        shared = _shared(rng, variance, spread)
        squares = scatter + hidden.count * (mean - level) ** 2
        variance = (FREEDOM * shared + squares) / rng.chisquare(FREEDOM + hidden.count, variance.shape)
        if sweep >= BURN_IN:
            everywhere = FREEDOM * shared / rng.chisquare(FREEDOM, (CHAINS, shape.mean.shape[1]))
            everywhere[:, seen] = variance
            kept.append((prior.everywhere(rng, which, level), np.sqrt(everywhere), shape.parameter[which]))
    return Draws(*(np.concatenate(parts) for parts in zip(*kept, strict=True)))


class _Hidden:
    """The values y of runs, as their mean and their sum of squares around it, (chains, k), at each of k points.

    Attributes:
      count: (k,) runs. known: mean and sum of squares of the middles of what is known.
    """

    def __init__(self, sample: Sample, place: np.ndarray):
        self._member = np.eye(place.max() + 1)[place]  # (n, k)
        self._low, self._high = sample.low, sample.high
        self._exact = bool((sample.low == sample.high).all())
        self.count = self._member.sum(axis=0)
        self.known = self._moments(np.broadcast_to(sample.middle, (1 if self._exact else CHAINS, len(place))))

    def update(
        self, rng: np.random.Generator, level: np.ndarray, variance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Given levels and variances, (chains, k) each; nothing is drawn where all runs are known exactly."""
        if self._exact:
            return self.known
        centre, scale = level @ self._member.T, np.sqrt(variance) @ self._member.T
        return self._moments(truncated(rng, centre, scale, self._low, self._high))

    def _moments(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = y @ self._member / self.count
        scatter = (y - mean @ self._member.T) ** 2 @ self._member
        return np.broadcast_to(mean, (CHAINS, len(self.count))), scatter


def _shared(rng: np.random.Generator, variance: np.ndarray, spread: float) -> np.ndarray:
    """(chains, 1) shared s² given the (chains, k) variances: on a grid, by ∏ s^ν exp(−ν·s²/(2·s_j²)) and its weight."""
    squares = (spread * FACTORS) ** 2
    rate = FREEDOM / 2 * (1 / variance).sum(axis=1, keepdims=True)
    log_weight = (
        FREEDOM / 2 * variance.shape[1] * np.log(squares) - rate * squares - (np.log(FACTORS) / np.log(3)) ** 2 / 2
    )
    return squares[np.argmax(log_weight + rng.gumbel(size=log_weight.shape), axis=1)][:, None]


class _Prior:
    """A shape, prepared: `seen` are the points with runs."""

    def __init__(self, shape: Shape, seen: np.ndarray):
        self._shape, self._seen = shape, seen
        self._unseen = np.setdiff1d(np.arange(shape.mean.shape[1]), seen)
        within, cross, beyond = (
            shape.covariance[np.ix_(np.arange(len(shape.weight)), *places)]
            for places in ((seen, seen), (self._unseen, seen), (self._unseen, self._unseen))
        )
        self._within, self._root = within, np.linalg.cholesky(within)
        self._mean = shape.mean[:, seen]
        self._regression = cross @ np.linalg.inv(within)
        rest = beyond - self._regression @ np.swapaxes(cross, 1, 2)
        self._rest = np.linalg.cholesky(rest + 1e-10 * np.eye(len(self._unseen)))

    def update(self, rng: np.random.Generator, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parameter (chains,) and levels (chains, seen), from the means of runs and the variances of these."""
        residual = mean[:, None] - self._mean  # (chains, g, seen)
        log_weight = self._shape.weight + _log_density(self._within, variance, residual)
        which = np.argmax(log_weight + rng.gumbel(size=log_weight.shape), axis=1)
        # Matheron's rule: a draw of the prior, corrected by what it misses of the data.
        own = self._within[which]
        prior = (self._root[which] @ rng.normal(size=(*mean.shape, 1)))[..., 0]
        noise = np.sqrt(variance) * rng.normal(size=mean.shape)
        total = own + variance[..., None] * np.eye(mean.shape[1])
        missing = np.linalg.solve(total, (residual[np.arange(len(mean)), which] - prior - noise)[..., None])
        return which, self._mean[which] + prior + (own @ missing)[..., 0]

    def everywhere(self, rng: np.random.Generator, which: np.ndarray, level: np.ndarray) -> np.ndarray:
        """(chains, k) levels at all points, given those at the seen ones."""
        mean = self._shape.mean[which]
        whole = np.empty_like(mean)
        whole[:, self._seen] = level
        above = (self._regression[which] @ (level - mean[:, self._seen])[..., None])[..., 0]
        free = (self._rest[which] @ rng.normal(size=(len(level), len(self._unseen), 1)))[..., 0]
        whole[:, self._unseen] = mean[:, self._unseen] + above + free
        return whole


def _log_density(covariance: np.ndarray, variance: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Of N(residual; 0, Σ = covariance + diag(variance)), the ln but for a constant, (chains, g): −rᵀΣ⁻¹r/2 − ln|Σ|/2.

    By eliminating Σ, bordered by r, for all chains and parameters at once: what is left in the corner is −rᵀΣ⁻¹r, and
    the product of pivots is |Σ|.

    Args:
      covariance: (g, k, k). variance: (chains, k). residual: (chains, g, k).
    """
    size = variance.shape[1]
    bordered = np.zeros((size + 1, size + 1, *residual.shape[:2]))
    bordered[:size, :size] = covariance.transpose(1, 2, 0)[:, :, None]
    bordered[range(size), range(size)] += variance.T[..., None]
    bordered[:size, size] = bordered[size, :size] = residual.transpose(2, 0, 1)
    for i in range(size):
        below = bordered[i + 1 :, i]
        bordered[i + 1 :, i + 1 :] -= (below / bordered[i, i])[:, None] * below
    pivots = bordered[range(size), range(size)]
    return (bordered[size, size] - np.log(pivots).sum(axis=0)) / 2


def truncated(
    rng: np.random.Generator, mean: np.ndarray, scale: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Normal draws within [low, high]; where that is a point, or has next to no probability, its nearer end."""
    a, b = (low - mean) / scale, (high - mean) / scale
    mirrored = a > 0  # so that the tail is a lower one, in which no digits are lost
    below, above = np.where(mirrored, -b, a), np.where(mirrored, -a, b)
    p, q = special.ndtr(below), special.ndtr(above)
    z = special.ndtri(p + rng.random(p.shape) * (q - p))
    z = np.where(q > p, np.clip(z, below, above), np.where(above < 0, above, below))
    return mean + scale * np.where(mirrored, -z, z)
