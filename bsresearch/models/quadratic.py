"""The noisy quadratic model (Zhang et al. 2019, arXiv:1907.04164): a loss whose every moment is known."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from bsresearch.models import layers
from bsresearch.theory.noisy_quadratic import spectrum


class Quadratic(nn.Module):
    """l_i(θ) = ½ Σ_k h_k θ_k² − ξ_i·θ, ξ_i the flattened example."""

    num_outputs: int
    exponent: float
    start: float
    dtype: str

    @nn.compact
    def __call__(
        self, x: jax.Array, *, train: bool, weights: jax.Array | None = None, keys: jax.Array | None = None
    ) -> jax.Array:
        """(B, num_outputs), each l_i/num_outputs; arguments as in `models.apply`."""
        del train, weights, keys
        xi = x.reshape(x.shape[0], -1).astype(self.dtype)
        wide = layers.weight_dtype(self.dtype)
        theta = self.param('theta', nn.initializers.constant(self.start), xi.shape[1:], wide).astype(self.dtype)
        h = jnp.asarray(spectrum(xi.shape[1], self.exponent), self.dtype)
        loss = 0.5 * (h * theta**2).sum() - xi @ theta
        return jnp.broadcast_to(loss[:, None] / self.num_outputs, (x.shape[0], self.num_outputs))


def build(num_outputs: int, *, exponent: float = 1.0, start: float = 1.0, dtype: str = 'float32') -> nn.Module:
    """The model: gradient h∘θ − ξ_i, Hessian diag(h), h_k = k^−exponent. For loss.name=sum_of_outputs.

    Args:
      exponent: of the curvature's decay; the paper's is 1.
      start: θ_0, the same in every coordinate, whatever the seed.
      dtype: of the computation.
    """
    if exponent < 0:
        raise ValueError(f'model.exponent={exponent}: must be at least 0')
    return Quadratic(num_outputs, float(exponent), float(start), dtype)
