"""Keskar et al.'s sharpness at θ_t: how far the training loss rises within a small box around the weights, in percent.

  φ(ε, A) = 100 (max_{y ∈ C} f(x + A y) − f(x))/(1 + f(x)),   C: |y_i| ≤ ε(|(A⁺x)_i| + 1)
(2017, arXiv:1609.04836, equations 3 and 4), x = θ_t, A = I or n × p with independent standard normal entries, drawn
anew each time; f is the mean training objective (with label smoothing, if there is any) in training mode, without
augmentation and dropout. The scale of a random A is part of the result, and the paper does not give it.

φ is of a point and not of a function: with ReLUs a layer times α > 0 and the next one's weights divided by α give the
same outputs and another φ (Dinh et al. 2017, arXiv:1703.04933, theorem 2). `rescale` measures φ there. Several boxes of
one run are measurements of several names: `config.measure.<any name>.function=bsresearch.measure.sharpness:build`.

The paper maximizes inexactly, by 10 iterations of L-BFGS-B, and no code was published: here SciPy's (10 corrections, no
other stopping rule) from y = 0, on y as it stands, in float64 around float32 gradients. The maximum is the largest loss
of all that were evaluated, f(x) among them: a lower bound of the true one. What is minimized is −c f, and c decides how
far 10 iterations get: with c = 1 the first step is −∇f, too short near a minimum. Found on a 784-64-64-10 network with
loss 7e-5: φ(5e-4) = 12.3 with c = 1, 16.2 with c such that the first step is as long as C's diagonal (`first_step` 1),
16.2 after 100 iterations, 15.1 for 10 diagonals and more; in variables y_i scaled to C = [−1, 1]ⁿ and c = 1, on one
with loss 0.29, 0.5 instead of 14.8. The rounding of f in float32 ends the search only where nothing is left to gain.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from scipy import optimize

from bsresearch.measure import Context, Measure, PyTree, check_statistics, hessian_vector, num_examples

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


def rescaled(params: PyTree, factor: float) -> PyTree:
    """Weights of the same function: the first layer's times `factor`, the second layer's kernel divided by it.

    Raises:
      ValueError: other layers than kernels with biases, which may not pass a factor on: batch norm does not.
    """
    layers = list(params) if isinstance(params, Mapping) else []
    plain = lambda layer: isinstance(layer, Mapping) and sorted(layer) == ['bias', 'kernel']
    if len(layers) < 2 or not all(plain(params[name]) for name in layers):
        raise ValueError(
            f'measure.sharpness: rescale={factor:g} is for two layers or more of kernel and bias each, with ReLUs '
            'between, as model.name=mlp without batch norm; leave it at 1'
        )
    first, second = ({**params[layer]} for layer in layers[:2])
    first = {name: factor * array for name, array in first.items()}
    return {**params, layers[0]: first, layers[1]: {**second, 'kernel': second['kernel'] / factor}}


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
    statistics: str = 'batch',
    rescale: float = 1.0,
    name: str = 'sharpness',
) -> Measure:
    """The measurement: `sharpness` in percent; the losses f(x) and the largest, and how often f was evaluated.

    Args:
      epsilon: ε, the box's size.
      subspace: p, columns of A (100 in the paper), 4 bytes for each and each weight; 0: A = I.
      batch_size: examples drawn for it; 0: the whole training set, as published. micro_batch_size: of them at a time.
      iterations: of L-BFGS-B. first_step: of it, in lengths of C's diagonal; 0: c = 1.
      statistics: batch norm's: 'batch', of training; 'running', of evaluation: one function, whatever its groups.
      rescale: α, by which the first layer is multiplied and the second divided beforehand; 1: weights as they are.
      name: of the column, and what the others begin with.
    """
    field = 'measure.sharpness'
    check_statistics(statistics, f'config.{field}.statistics')
    unit = hessian_vector.unit(batch_size, micro_batch_size, field)
    if not (epsilon > 0 and rescale > 0) or iterations < 1 or subspace < 0 or first_step < 0:
        raise ValueError(
            f'{field}: epsilon={epsilon} and rescale={rescale} must be positive, iterations={iterations} at least 1, '
            f'subspace={subspace} and first_step={first_step} at least 0'
        )
    moved = lambda params: params if rescale == 1 else rescaled(params, rescale)

    def init(params: PyTree) -> PyTree:
        moved(params)  # refuses what it cannot
        return ()

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, Any]]:
        x = flatten(moved(context.params))
        loss = mean_loss(context, context.batch if batch_size else context.whole, unit)
        a = subspace_of(context.key, len(x), subspace) if subspace else None

        def around(y: Vector) -> tuple[float, Vector]:
            value, slope = loss(x + (y if a is None else a @ y.astype(np.float32)))
            return value, slope if a is None else (slope.astype(np.float32) @ a).astype(np.float64)

        within = x if a is None else coordinates(a, x)
        search = maximize(around, epsilon * (np.abs(within) + 1), iterations, first_step)
        return state, {
            name: np.float64(100 * (search.largest - search.start) / (1 + search.start)),
            f'{name}_loss': np.float64(search.start),
            f'{name}_maximum_loss': np.float64(search.largest),
            f'{name}_evaluations': np.int64(search.evaluations),
        }

    return Measure(
        init, update, batch_size=batch_size, unit=unit, whole=not batch_size, statistics=statistics, host=True
    )
