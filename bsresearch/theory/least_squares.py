"""Linear regression with an intercept, l_i = ½(x_iᵀw + b − y_i)²: gradient, covariance and Hessian at any (w, b).

The intercept is the last coordinate: θ = (w, b), x̃ = (x, 1), and the gradient of an example is x̃r, r = x̃ᵀθ − y.
"""

import numpy as np
from jaxtyping import Float, Num

from bsresearch.theory.noise_scale import Population, finite


def training_set(
    inputs: Num[np.ndarray, 'N inputs'], targets: Num[np.ndarray, 'N'], theta: Float[np.ndarray, 'd']
) -> Population:
    """Exactly that of N examples: inputs (N, d), targets (N,), theta (d + 1,)."""
    x = np.concatenate([np.asarray(inputs, np.float64), np.ones((len(inputs), 1))], axis=1)
    residual = x @ theta - np.asarray(targets, np.float64)
    return finite(x * residual[:, None], x.T @ x / len(x))


def gaussian(
    variances: Float[np.ndarray, 'inputs'],
    truth: Float[np.ndarray, 'inputs'],
    noise: float,
    theta: Float[np.ndarray, 'd'],
) -> Population:
    """That of x ~ N(0, Λ), Λ = diag(variances), y = xᵀw* + ε with ε ~ N(0, noise²).

    With δ = w − w* and τ = δᵀΛδ + noise² + b²: G = (Λδ, b), H = diag(Λ, 1), and by Isserlis' theorem
      E[ggᵀ] = [[τΛ + 2Λδ(Λδ)ᵀ, 2bΛδ], [·, τ]].

    Args:
      variances, truth: Λ's diagonal, w*; (d,). noise: standard deviation of ε. theta: (w, b), (d + 1,).
    """
    b = theta[-1]
    pull = variances * (theta[:-1] - truth)  # Λδ
    tau = (theta[:-1] - truth) @ pull + noise**2 + b**2
    second = np.block(
        [
            [tau * np.diag(variances) + 2 * np.outer(pull, pull), 2 * b * pull[:, None]],
            [2 * b * pull[None, :], np.array([[tau]])],
        ]
    )
    gradient = np.append(pull, b)
    return Population(gradient, second - np.outer(gradient, gradient), np.diag(np.append(variances, 1.0)))
