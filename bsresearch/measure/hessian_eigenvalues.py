"""Largest eigenvalues of the Hessian of the training loss at θ_t, by Lanczos, and the line of the edge of stability.

After m products with a random start, the eigenvalues μ of the m × m tridiagonal T = QᵀHQ are Rayleigh–Ritz values of H.
For a pair (μ, s) of T, ‖H Qs − μ Qs‖ = β_m |s_m| without another product, and H has an eigenvalue within that of μ
(Golub & Van Loan 2013, section 10.1). Steps are made until that is below `tolerance`·|μ_1| for all that are asked
for, or `max_products` are spent: `hessian_residual` > tolerance says that they have not converged. Each vector is
orthogonalized twice against all before it. Largest means by value, not by magnitude; a multiple eigenvalue is found
once. (matfree 0.6.3 gives NaN or false eigenvalues where H has few distinct ones, and cannot stop at a residual.)

`stability_limit`: on a quadratic, w ← w − η∇L diverges iff an eigenvalue exceeds 2/η, and v ← μv + ∇L, w ← w − ηv iff
it exceeds 2(1 + μ)/η; Nesterov's form of it, 2(1 + μ)/(η(1 + 2μ)) (Cohen et al. 2021, arXiv:2103.00065, section 2 and
appendix B). It is about full-batch training with these optimizers (`sgd` has μ = 0): minibatch training stays below it.
For Adam and its kin the preconditioned Hessian decides, which is not measured: runs with an optimizer whose diagonal
the engine knows have no such metric; for others (LARS, LAMB, Lion) set it to none. Weight decay λ lowers it by λ. η and
μ are those of update t.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from bsresearch.core import lookup
from bsresearch.measure import Context, Measure, PyTree, hessian_vector

LIMITS: dict[str, Callable[[jax.Array], jax.Array]] = {
    'momentum': lambda mu: 2 * (1 + mu),
    'nesterov': lambda mu: 2 * (1 + mu) / (1 + 2 * mu),
}


class Lanczos(NamedTuple):
    """basis: (m, P) orthonormal rows; diagonal, off: (m,) of T, off[i] = β_{i+1}; count: () steps made.

    values, residuals: (k,) the largest so far, falling, and ‖H u − μ u‖ of each.
    """

    basis: Float[Array, 'm p']
    diagonal: Float[Array, ' m']
    off: Float[Array, ' m']
    count: Int[Array, '']
    values: Float[Array, ' k']
    residuals: Float[Array, ' k']


def _orthogonal(basis: jax.Array, vector: jax.Array) -> jax.Array:
    """What of a vector is orthogonal to all rows; once leaves rounding errors of the size of what was removed."""
    for _ in range(2):
        vector = vector - basis.T @ (basis @ vector)
    return vector


def _ritz(diagonal: jax.Array, off: jax.Array, count: jax.Array, number: int) -> tuple[jax.Array, jax.Array]:
    """Largest eigenvalues of the leading `count` × `count` part of T, and their residuals."""
    used = jnp.arange(len(diagonal)) < count
    off = jnp.where(used, off, 0)
    # Rows not yet made stand below every eigenvalue (Gershgorin), coupled to none.
    lowest = -jnp.abs(diagonal).max() - 2 * off.max()
    beside = jnp.where(used[1:], off[:-1], 0)
    matrix = jnp.diag(jnp.where(used, diagonal, lowest)) + jnp.diag(beside, 1) + jnp.diag(beside, -1)
    values, vectors = jnp.linalg.eigh(matrix)
    last = jnp.take(off, count - 1)
    return values[::-1][:number], last * jnp.abs(jnp.take(vectors, count - 1, axis=0))[::-1][:number]


def lanczos(
    product: Callable[[Array], Array], start: Float[Array, ' p'], key: Array, number: int, most: int, tolerance: float
) -> Lanczos:
    """Steps until the `number` largest have residuals of at most tolerance·|largest|, or `most` are made.

    Args:
      product: v → H v. start: (P,) not zero. key: of the directions with which it goes on when H leaves the space of
        those before invariant.
      number: k, eigenvalues asked for. most: m, products at most. tolerance: relative to the largest eigenvalue.

    Raises:
      ValueError: more eigenvalues than weights.
    """
    if number > len(start):
        raise ValueError(f'{number} eigenvalues of a Hessian of {len(start)} weights')
    most = min(most, len(start))

    def step(s: Lanczos) -> Lanczos:
        i = s.count
        applied = product(s.basis[i])
        alpha = s.basis[i] @ applied
        # Rows not yet made are 0.
        rest = _orthogonal(s.basis, applied)
        beta = jnp.linalg.norm(rest)
        diagonal = s.diagonal.at[i].set(alpha)
        size = jnp.abs(diagonal).max() + s.off.max()
        over = beta <= 100 * jnp.finfo(start.dtype).eps * size
        beta = jnp.where(over, 0, beta)
        fresh = lambda: _orthogonal(s.basis, jax.random.normal(jax.random.fold_in(key, i), start.shape, start.dtype))
        following = jax.lax.cond(over, fresh, lambda: rest)
        following = following / jnp.maximum(jnp.linalg.norm(following), jnp.finfo(start.dtype).tiny)
        off = s.off.at[i].set(beta)
        basis = s.basis.at[i + 1].set(following, mode='drop')
        return Lanczos(basis, diagonal, off, i + 1, *_ritz(diagonal, off, i + 1, number))

    def unfinished(s: Lanczos) -> jax.Array:
        open_ = (s.residuals > tolerance * jnp.abs(s.values[0])).any()
        return (s.count < most) & ((s.count < number) | open_)

    zero = jnp.zeros((most,), start.dtype)
    basis = jnp.zeros((most, len(start)), start.dtype).at[0].set(start / jnp.linalg.norm(start))
    none = jnp.full((number,), jnp.inf, start.dtype)
    return jax.lax.while_loop(unfinished, step, Lanczos(basis, zero, zero, jnp.int32(0), none, none))


def build(
    *,
    number: int = 1,
    batch_size: int = 1024,
    micro_batch_size: int = 256,
    max_products: int = 40,
    tolerance: float = 1e-3,
    stability_limit: str = 'momentum',
) -> Measure:
    """The measurement: `hessian_eigenvalue/<i>`, `hessian_residual` of them all relative to the largest eigenvalue,
    `hessian_products` made, `stability_limit`.

    Args:
      number: of eigenvalues, the largest.
      batch_size: examples drawn for it; 0: the whole training set. micro_batch_size: of them at a time.
      max_products: at most so many Hessian-vector products; as many vectors of the size of the weights are kept.
      tolerance: of the residuals, relative to the largest eigenvalue.
      stability_limit: momentum (any μ, and 0) | nesterov | none.
    """
    field = 'measure.hessian_eigenvalues'
    unit = hessian_vector.unit(batch_size, micro_batch_size, field)
    if not 1 <= number <= max_products:
        raise ValueError(f'{field}.number={number}: at least 1, at most max_products={max_products}')
    if not 0 < tolerance < 1:
        raise ValueError(f'{field}.tolerance={tolerance}: must lie in (0, 1)')
    if stability_limit not in (*LIMITS, 'none'):
        raise ValueError(
            f'{field}.stability_limit={stability_limit!r}; {lookup.nearest(stability_limit, (*LIMITS, "none"))}'
        )

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        data = context.batch if batch_size else context.whole
        product = hessian_vector.product(context, data, unit)
        flat, unravel = ravel_pytree(context.params)
        first, further = jax.random.split(context.key)
        start = jax.random.normal(first, flat.shape, flat.dtype)
        times_hessian = lambda v: ravel_pytree(product(unravel(v)))[0]
        spectrum = lanczos(times_hessian, start, further, number, max_products, tolerance)
        metrics = {f'hessian_eigenvalue/{i}': spectrum.values[i] for i in range(number)}
        metrics['hessian_residual'] = spectrum.residuals.max() / jnp.abs(spectrum.values[0])
        metrics['hessian_products'] = spectrum.count
        if stability_limit != 'none' and context.precondition is None and context.hyper is not None:
            rate, momentum = context.hyper.learning_rate, context.hyper.momentum
            metrics['stability_limit'] = LIMITS[stability_limit](momentum) / rate
        return state, metrics

    return Measure(
        lambda params: (), update, batch_size=batch_size, unit=unit, whole=not batch_size, vectors=max_products
    )
