"""Keskar et al.'s sharpness at θ_t: how far the training loss rises within a small box around the weights, in percent.

  φ(ε, A) = 100 (max_{y ∈ C} f(x + A y) − f(x))/(1 + f(x)),   C: |y_i| ≤ ε(|(A⁺x)_i| + 1)
(2017, arXiv:1609.04836, equations 3 and 4), x = θ_t, A = I or n × p with independent standard normal entries, drawn
anew each time; f is the mean training objective (with label smoothing, if there is any) in training mode, without
augmentation and dropout. The scale of a random A is part of the result, and the paper does not give it.

The paper maximizes inexactly, by 10 iterations of L-BFGS-B, and no code was published: here SciPy's (10 corrections, no
other stopping rule) from y = 0, on y as it stands, in float64 around float32 gradients. The maximum is the largest loss
of all that were evaluated, f(x) among them: a lower bound of the true one. What is minimized is −c f, and c decides how
far 10 iterations get: with c = 1 the first step is −∇f, too short near a minimum. Found on a 784-64-64-10 network with
loss 7e-5: φ(5e-4) = 12.3 with c = 1, 16.2 with c such that the first step is as long as C's diagonal (`first_step` 1),
16.2 after 100 iterations, 15.1 for 10 diagonals and more; in variables y_i scaled to C = [−1, 1]ⁿ and c = 1, on one
with loss 0.29, 0.5 instead of 14.8. The rounding of f in float32 ends the search only where nothing is left to gain.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import optimize

from bsresearch.measure import Context, Measure, PyTree, hessian_vector, num_examples

Vector = np.ndarray


class Search(NamedTuple):
    """What a search saw: the value at its start, the largest, where that was, and the number of evaluations."""

    start: float
    largest: float
    at: Vector
    evaluations: int


def flatten(tree: PyTree) -> Vector:
    """(n,) float64 of all leaves."""
    return np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in jax.tree.leaves(tree)])


def unflatten(vector: Vector, like: PyTree) -> PyTree:
    """The tree of `like`, with its shapes and dtypes."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([x.size for x in leaves])
    parts = np.split(vector, ends[:-1])
    return structure.unflatten([p.reshape(x.shape).astype(x.dtype) for p, x in zip(parts, leaves, strict=True)])


def maximize(
    function: Callable[[Vector], tuple[float, Vector]], box: Vector, iterations: int, first_step: float
) -> Search:
    """Inexact maximum over |y_i| ≤ box_i from y = 0, by L-BFGS-B.

    Args:
      function: y → value and gradient, in float64.
      first_step: its length before it is cut to the box, in lengths of the box's diagonal; 0: that of the gradient.
    """
    value, slope = function(np.zeros(len(box)))
    best = Search(value, value, np.zeros(len(box)), 1)
    steepness = np.linalg.norm(slope)
    scale = float(first_step * np.linalg.norm(box) / steepness) if first_step and steepness > 0 else 1.0
    at_start: tuple[float, Vector] | None = (value, slope)

    def objective(y: Vector) -> tuple[float, Vector]:
        nonlocal best, at_start
        # SciPy asks for y = 0 first.
        value, slope = at_start or function(y)
        if at_start is None:
            best = best._replace(evaluations=best.evaluations + 1)
        at_start = None
        if value > best.largest:
            best = best._replace(largest=value, at=y.copy())
        return -scale * value, -scale * slope

    optimize.minimize(
        objective,
        np.zeros(len(box)),
        jac=True,
        method='L-BFGS-B',
        bounds=optimize.Bounds(-box, box),
        options={'maxiter': iterations, 'maxcor': 10, 'ftol': 0.0, 'gtol': 0.0},
    )
    return best


def subspace_of(key: Any, size: int, dimension: int) -> np.ndarray:
    """A: (size, dimension) float32, independent standard normal entries."""
    seed = np.random.SeedSequence(np.asarray(jax.random.key_data(key)).tolist())
    return np.random.Generator(np.random.PCG64(seed)).standard_normal((size, dimension), dtype=np.float32)


def coordinates(subspace: np.ndarray, x: Vector) -> Vector:
    """A⁺x, by the normal equations: a random A's columns are nearly orthogonal. It enters the box alone."""
    gram = (subspace.T @ subspace).astype(np.float64)
    return np.linalg.solve(gram, (x.astype(np.float32) @ subspace).astype(np.float64))


def mean_loss(context: Context, data: PyTree, size: int) -> Callable[[Vector], tuple[float, Vector]]:
    """Flat weights → (mean loss, flat gradient) over all of `data`, `size` examples a call, summed in float64."""
    total = num_examples(data)
    parts = [jax.tree.map(lambda v, i=i: v[i : i + size], data) for i in range(0, total, size)]

    def function(x: Vector) -> tuple[float, Vector]:
        params = unflatten(x, context.params)
        value, slope = 0.0, np.zeros(len(x))
        for part in parts:
            loss, gradient = context.gradient(params, part)
            share = num_examples(part) / total
            value += share * float(loss)
            slope += share * flatten(gradient)
        return value, slope

    return function


def build(
    *,
    epsilon: float = 1e-3,
    subspace: int = 0,
    batch_size: int = 0,
    micro_batch_size: int = 1024,
    iterations: int = 10,
    first_step: float = 1.0,
) -> Measure:
    """The measurement: `sharpness` in percent; the losses f(x) and the largest, and how often f was evaluated.

    Args:
      epsilon: ε, the box's size.
      subspace: p, columns of A (100 in the paper), 4 bytes for each and each weight; 0: A = I.
      batch_size: examples drawn for it; 0: the whole training set, as published. micro_batch_size: of them at a time.
      iterations: of L-BFGS-B. first_step: of it, in lengths of C's diagonal; 0: c = 1.
    """
    field = 'measure.sharpness'
    unit = hessian_vector.unit(batch_size, micro_batch_size, field)
    if not epsilon > 0 or iterations < 1 or subspace < 0 or first_step < 0:
        raise ValueError(
            f'{field}: epsilon={epsilon} must be positive, iterations={iterations} at least 1, subspace={subspace} and '
            f'first_step={first_step} at least 0'
        )

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, Any]]:
        x = flatten(context.params)
        loss = mean_loss(context, context.batch if batch_size else context.whole, unit)
        a = subspace_of(context.key, len(x), subspace) if subspace else None

        def around(y: Vector) -> tuple[float, Vector]:
            value, slope = loss(x + (y if a is None else a @ y.astype(np.float32)))
            return value, slope if a is None else (slope.astype(np.float32) @ a).astype(np.float64)

        within = x if a is None else coordinates(a, x)
        search = maximize(around, epsilon * (np.abs(within) + 1), iterations, first_step)
        return state, {
            'sharpness': np.float64(100 * (search.largest - search.start) / (1 + search.start)),
            'sharpness_loss': np.float64(search.start),
            'sharpness_maximum_loss': np.float64(search.largest),
            'sharpness_evaluations': np.int64(search.evaluations),
        }

    return Measure(lambda params: (), update, batch_size=batch_size, unit=unit, whole=not batch_size, host=True)
