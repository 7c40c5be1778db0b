"""The noisy quadratic model: what SGD with momentum does in expectation, exactly, for any ε_t, μ_t and B_t.

Loss L(θ) = ½ Σ_k h_k θ_k², gradient of a batch h_k θ_k − ξ̄_k, ξ independent with variance c_k. Per coordinate, with the
learning rate outside the velocity v,
  v ← μv + hθ + η, θ ← θ − εv,   η = −ξ̄ of variance c/B.
As (θ, v) ← A(θ, v) + qη with A = [[1 − εh, −εμ], [h, μ]] and q = (−ε, 1), the mean m and the covariance P follow
  m ← Am + qE[η],   P ← APAᵀ + (c/B)qqᵀ,   E[L] = ½ Σ h(m₁² + P₁₁).
Drawn without replacement from N examples with mean ξ̄ and variances S (divisor N − 1), as in a run of at most one
epoch, batches are correlated, Cov(η_s, η_t) = S(1{s = t}/B_t − 1/N): P loses (S/N)rrᵀ, r ← Ar + q, and E[η] = −ξ̄.
Reference: Zhang et al. 2019 (arXiv:1907.04164), section 3.1; there plain SGD and heavy ball at constant ε, μ, B.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Moments(NamedTuple):
    """Of θ_0 … θ_T. mean, variance: (T + 1, d)."""

    mean: Float[np.ndarray, 'steps d']
    variance: Float[np.ndarray, 'steps d']


def spectrum(dimension: int, exponent: float) -> Float[np.ndarray, 'd']:
    """k^−exponent for k = 1 … d; the paper's curvature and noise have exponent 1."""
    return np.arange(1, dimension + 1, dtype=np.float64) ** -exponent


def moments(
    curvature: Float[np.ndarray, 'd'],
    noise: Float[np.ndarray, 'd'],
    start: Float[np.ndarray, 'd'],
    learning_rate: Float[np.ndarray, 'T'],
    momentum: Float[np.ndarray, 'T'],
    batch_size: Int[np.ndarray, 'T'],
    *,
    num_examples: int | None = None,
    mean_noise: Float[np.ndarray, 'd'] | float = 0.0,
) -> Moments:
    """Mean and variance of every θ_t, from θ_0 = `start` at rest.

    Args:
      curvature, noise, start: h, c (variance of one example's ξ), θ_0; (d,).
      learning_rate, momentum, batch_size: ε_t, μ_t, B_t of update t; (T,).
      num_examples: N, where the batches of the run are disjoint parts of N examples (`noise`: divisor N − 1); None:
        independent draws.
      mean_noise: ξ̄ over those N examples, (d,); 0 for the population.

    Raises:
      ValueError: the run needs more than N examples.
    """
    if num_examples is not None and batch_size.sum() > num_examples:
        raise ValueError(f'a run of {batch_size.sum()} examples is more than one epoch of {num_examples}')
    d = len(curvature)
    push = -np.broadcast_to(np.asarray(mean_noise, np.float64), (d,))
    m = np.stack([np.asarray(start, np.float64), np.zeros(d)], axis=1)  # (d, 2): (θ, v) of each coordinate
    r, p = np.zeros((d, 2)), np.zeros((d, 2, 2))
    shared = 0.0 if num_examples is None else 1 / num_examples
    means, variances = [m[:, 0]], [p[:, 0, 0]]
    for e, mu, size in zip(learning_rate, momentum, batch_size, strict=True):
        a = np.empty((d, 2, 2))
        a[:, 0, 0], a[:, 0, 1], a[:, 1, 0], a[:, 1, 1] = 1 - e * curvature, -e * mu, curvature, mu
        q = np.array([-e, 1.0])
        m = np.einsum('kij,kj->ki', a, m) + push[:, None] * q
        r = np.einsum('kij,kj->ki', a, r) + q
        p = np.einsum('kij,kjl,kml->kim', a, p, a) + (noise / size)[:, None, None] * np.outer(q, q)
        means.append(m[:, 0])
        variances.append(p[:, 0, 0] - shared * noise * r[:, 0] ** 2)
    return Moments(np.array(means), np.array(variances))


def expected_loss(curvature: Float[np.ndarray, 'd'], found: Moments) -> Float[np.ndarray, 'steps']:
    """E[L(θ_t)] = ½ Σ h E[θ²], (T + 1,): the loss without the term of the noise."""
    return 0.5 * (found.mean**2 + found.variance) @ curvature


def steady_loss(
    curvature: Float[np.ndarray, 'd'],
    noise: Float[np.ndarray, 'd'],
    learning_rate: float,
    momentum: float,
    batch_size: int,
) -> float:
    """E[L] as t → ∞ at constant ε, μ, B: ½ Σ εc(1 + μ)/(B(1 − μ)(2(1 + μ) − εh)).

    Raises:
      ValueError: ε too large, εh ≥ 2(1 + μ) for some h: it diverges.
    """
    room = 2 * (1 + momentum) - learning_rate * curvature
    if (room <= 0).any():
        raise ValueError(
            f'learning rate {learning_rate:g} with momentum {momentum:g} diverges at curvature {curvature.max():g}; '
            f'it must stay below {2 * (1 + momentum) / curvature.max():g}'
        )
    return float((0.5 * learning_rate * noise * (1 + momentum) / (batch_size * (1 - momentum) * room)).sum())
