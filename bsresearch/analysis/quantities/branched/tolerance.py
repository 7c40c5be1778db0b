"""How far smoothed losses scatter, and the tolerance that a batch which costs nothing stays within.

At a point replicate r has s_r(k) = a_r + m(k) + e_r(k): a_r what all branches of its parent share, m(k) what a batch
costs, e scatter N(0, σ²) of the order of the data, which is the same for all k and in part cancels. The residuals of
rows' and columns' means give
  σ̂² = Σ residual²/ν,   ν = (R − 1)(K − 1),
of the K batches whose mean lies within CONTENDING of the lowest: means and residuals are independent, so that choosing
by means leaves σ̂ as it is, and what diverges somewhere is out. Evaluations take the whole training set: they add none.

A batch that costs nothing lies above the lowest of m smaller ones that cost nothing by at most c·σ̂ in 95 % of cases,
  ∫ f_ν(s) ∫ φ(x) Φ(x + c·s)^m dx ds = 0.95,   f_ν the density of σ̂/σ.
So the tolerance in force is the larger of the one asked for and c·σ̂: a batch that costs nothing fails by chance in 5 %
of cases at most. Simulated (tests/test_branched_tolerance.py): with 7 batches the largest passes in 97 % of points at 3
replicates, 96 % at 6 (more than 95 %, as the losses compared are among those that tell σ̂), 95 % where σ doubles from
the smallest batch to the largest, 93 % where rates are tuned (rates.py); if it costs twice the tolerance it fails in
97 %.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

CONTENDING = 0.1  # nats
LEVEL = 0.95
GRID = 400  # points of either integral, at equal probabilities


class Scatter(NamedTuple):
    """σ̂ in nats and its degrees of freedom ν; NaN and 0 where it cannot be told."""

    sigma: float
    degrees: int


def scatter(losses: np.ndarray) -> Scatter:
    """σ̂ of smoothed losses at one point, (R, K): replicates, batch sizes; NaN and ∞ are of none."""
    finite = losses[:, np.isfinite(losses).all(axis=0)]
    if finite.size == 0:
        return Scatter(np.nan, 0)
    means = finite.mean(axis=0)
    near = finite[:, means <= means.min() + CONTENDING]
    degrees = (near.shape[0] - 1) * (near.shape[1] - 1)
    if degrees == 0:
        return Scatter(np.nan, 0)
    residuals = near - near.mean(axis=0) - near.mean(axis=1, keepdims=True) + near.mean()
    return Scatter(float(np.sqrt((residuals**2).sum() / degrees)), degrees)


@functools.cache
def multiple(smaller: int, degrees: int) -> float:
    """c: how many σ̂ a free batch lies at most above the lowest of `smaller` free ones, in 95 % of cases."""
    at = (np.arange(GRID) + 0.5) / GRID
    ratio = np.sqrt(2 * special.gammaincinv(degrees / 2, at) / degrees)[:, None]
    x = special.ndtri(at)
    held = lambda c: float((special.ndtr(x + c * ratio) ** smaller).mean()) - LEVEL
    return float(optimize.brentq(held, 0.0, 1e4))


def in_force(asked: float, losses: np.ndarray) -> tuple[float, float]:
    """(tolerance, σ̂) in nats, of the losses (R, K) at one point; σ̂ NaN where it cannot be told."""
    spread = scatter(losses)
    if spread.degrees == 0:
        return asked, np.nan
    return max(asked, multiple(losses.shape[1] - 1, spread.degrees) * spread.sigma), spread.sigma
