"""Trace of the Hessian of the training loss at θ_t, tr H = E[vᵀHv] for v of independent signs ±1.

Hutchinson 1990 (Communications in Statistics 19(2)): of all v with E[vvᵀ] = I and independent coordinates, signs have
the least variance, 2 Σ_{i≠j} H_ij² (Gaussians: 2 ‖H‖²_F). Mean over m probes and its standard error s/√m; the error is
that of the probes, given the examples. Divided by the number of weights it is the mean curvature.
"""

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, PyTree, dot, hessian_vector


def signs(key: jax.Array, like: PyTree) -> PyTree:
    """A tree of independent ±1 with the shapes and dtypes of `like`."""
    leaves, structure = jax.tree.flatten(like)
    drawn = [jax.random.rademacher(jax.random.fold_in(key, i), x.shape, x.dtype) for i, x in enumerate(leaves)]
    return jax.tree.unflatten(structure, drawn)


def build(*, probes: int = 16, batch_size: int = 1024, micro_batch_size: int = 256) -> Measure:
    """The measurement: `hessian_trace`, `hessian_trace_standard_error`.

    Args:
      probes: m, random vectors; each costs a Hessian-vector product.
      batch_size: examples drawn for it; 0: the whole training set. micro_batch_size: of them at a time.
    """
    unit = hessian_vector.unit(batch_size, micro_batch_size, 'measure.hessian_trace')
    if probes < 2:
        raise ValueError(f'measure.hessian_trace.probes={probes}: at least 2, for a standard error')

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        product = hessian_vector.product(context, context.batch if batch_size else context.whole, unit)

        def quadratic(key: jax.Array) -> jax.Array:
            v = signs(key, context.params)
            return dot(v, product(v))

        products = jax.lax.map(quadratic, jax.random.split(context.key, probes))
        error = products.std(ddof=1) / jnp.sqrt(probes).astype(products.dtype)
        return state, {'hessian_trace': products.mean(), 'hessian_trace_standard_error': error}

    return Measure(lambda params: (), update, batch_size=batch_size, unit=unit, whole=not batch_size)
