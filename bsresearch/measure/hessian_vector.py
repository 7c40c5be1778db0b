"""Products of the Hessian of the mean loss with a vector, forward over reverse, without the Hessian.

H v = d/dr ∇L(θ + r v) at r = 0 (Pearlmutter 1994, Neural Computation 6(1)): a tangent pushed through the gradient,
about two gradients' time. Exact, up to the network's kinks (a ReLU's second derivative is 0 where it has one). H is
that of the loss alone, without weight decay, which would add λ to every eigenvalue.
"""

from collections.abc import Callable

import jax

from bsresearch.measure import Context, PyTree, mean_gradient


def product(context: Context, data: PyTree, size: int) -> Callable[[PyTree], PyTree]:
    """The map v → H v at θ_t, for a tree like the parameters.

    Args:
      data: all n examples whose mean loss it is. size: examples at a time: the memory is that of two gradients of so
        many, and changes no number beyond rounding.
    """
    gradient = lambda params: mean_gradient(context, params, data, size)[1]
    # Through the scan over parts: of each the tangent is taken before the next is read.
    return lambda vector: jax.jvp(gradient, (context.params,), (vector,))[1]


def unit(batch_size: int, micro_batch_size: int, field: str) -> int:
    """Examples of a gradient call.

    Args:
      batch_size: of the measurement; 0: the whole training set, whose last call takes what is left.
      field: the measurement's section, for the error.

    Raises:
      ValueError: a size out of range.
    """
    if batch_size < 0 or micro_batch_size < 1:
        raise ValueError(f'{field}: batch_size={batch_size} must be at least 0, micro_batch_size={micro_batch_size} 1')
    return min(batch_size, micro_batch_size) if batch_size else micro_batch_size
