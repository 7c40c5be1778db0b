"""Closed forms of the gradient noise scale where the gradient, its covariance and the Hessian are known.

G = E[g_i], Σ = Cov(g_i), H at fixed weights. McCandlish, Kaplan et al. 2018 (arXiv:1812.06162), section 2.2, define
B_simple = tr Σ/|G|² and B_noise = tr(HΣ)/GᵀHG; for finite populations see Cochran, Sampling Techniques, chapter 2.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num


class Population(NamedTuple):
    """Per-example gradients at fixed weights.

    gradient: G, (d,). covariance: Σ, (d, d), of a finite set with divisor N − 1. hessian: H, (d, d).
    num_examples: N of a finite set; None for a distribution.
    """

    gradient: Float[np.ndarray, 'd']
    covariance: Float[np.ndarray, 'd d']
    hessian: Float[np.ndarray, 'd d']
    num_examples: int | None = None


def finite(gradients: Num[np.ndarray, 'N d'], hessian: Float[np.ndarray, 'd d']) -> Population:
    """A training set, from the gradients of its examples, (N, d)."""
    g = np.asarray(gradients, np.float64)
    return Population(g.mean(0), np.atleast_2d(np.cov(g, rowvar=False)), hessian, len(g))


def batch_square(p: Population, batch_size: int, *, replacement: bool) -> float:
    """E|g_B|² of a batch of B examples.

    From a distribution |G|² + tr Σ/B. From a set of N with replacement |G|² + tr Σ(1 − 1/N)/B, for Σ has the divisor
    N − 1; without, |G|² + tr Σ(1/B − 1/N), which is |G|² at B = N.
    """
    n, s = p.num_examples, float(np.trace(p.covariance))
    if n is None:
        share = 1 / batch_size
    elif replacement:
        share = (1 - 1 / n) / batch_size
    else:
        share = 1 / batch_size - 1 / n
    return float(p.gradient @ p.gradient) + s * share


def estimated_square(p: Population, *, replacement: bool) -> float:
    """What the estimate of |G|² from two batch sizes has as its mean: |G|², or |G|² − tr Σ/N without replacement.

    The second is an unbiased estimate for the distribution that the N examples come from.
    """
    n = p.num_examples
    square = float(p.gradient @ p.gradient)
    return square if n is None or replacement else square - float(np.trace(p.covariance)) / n


def estimated_trace(p: Population, *, replacement: bool) -> float:
    """What the estimate of tr Σ has as its mean: tr Σ, or with replacement from N examples tr Σ(1 − 1/N)."""
    n = p.num_examples
    trace = float(np.trace(p.covariance))
    return trace if n is None or not replacement else trace * (1 - 1 / n)


def simple(p: Population) -> float:
    """B_simple = tr Σ/|G|², in examples."""
    return float(np.trace(p.covariance) / (p.gradient @ p.gradient))


def with_curvature(p: Population) -> float:
    """B_noise = tr(HΣ)/GᵀHG, in examples; negative where H is indefinite enough."""
    return float(np.trace(p.hessian @ p.covariance) / (p.gradient @ p.hessian @ p.gradient))
