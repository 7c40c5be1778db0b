"""Measured quantities, one per file: `build(…) -> Measure`, and when they are measured (core/when.py).

The signature of `build` is the schema of `config.measure.<name>`; a setting that cannot be is a ValueError naming it.
Files without a `build` are what several of them are made of.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bsresearch.core import lookup, own_part

PyTree = Any


class Context(NamedTuple):
    """What a measurement may look at: θ_t, before update t.

    step: () int32.
    params, initial_params: θ_t and θ_0, any pytree of arrays.
    batch: (inputs, labels) of n training examples drawn with replacement for this measurement alone; None unless the
      measure declares `batch_size` n. Its stream is its own: measuring disturbs nothing.
    gradient: (params, batch) → (mean loss, gradient) in training mode, without augmentation or dropout.
    hyper: the hyperparameters update t will use (optim.Hyper); those of the last update at the end of the run. None in
      a loop that does not tell them.
    losses: (params, batch) → (n,) losses, in the same mode.
    whole: all N training examples, as `batch` has them; None unless the measure declares `whole`.
    key: () typed key of this measurement at t, for random directions.
    propose: gradient → θ_{t+1} − θ_t if update t had this gradient (clipped, weight decay and slots as they are).
    branch_params: the weights that a branch began with; θ_0 for a run without a parent.
    precondition: gradient → P · gradient, P the optimizer's diagonal at t, fixed; None where the optimizer has none.
    """

    step: jax.Array
    params: PyTree
    initial_params: PyTree
    batch: Any
    gradient: Callable[[PyTree, Any], tuple[jax.Array, PyTree]]
    hyper: Any
    losses: Callable[[PyTree, Any], jax.Array] | None = None
    whole: Any = None
    key: Any = None
    propose: Callable[[PyTree], PyTree] | None = None
    precondition: Callable[[PyTree], PyTree] | None = None
    branch_params: PyTree = None


class Measure(NamedTuple):
    """A measurement as pure functions for one replica.

    init: params → mstate, a tree of arrays that is checkpointed with the run (() if there is nothing to carry).
    update: (mstate, Context) → (mstate, {metric name: () array}).
    stateless: whether it can be made later from a checkpoint alone.
    batch_size: examples to draw for `Context.batch`; 0 for none.
    unit: examples of its smallest gradient call, a whole number of batch-norm groups; 0: batch_size.
    whole: whether it reads the whole training set.
    per_example: whether it takes examples apart, which batch norm in training mode does not allow.
    statistics: what batch norm normalizes by, 'batch' (training mode) or 'running' (the averages of evaluation).
    preconditioned: whether it needs `Context.precondition`, which some optimizers lack.
    host: whether `update` calls SciPy or the like: it is then not compiled itself, gets arrays, and calls the context's
      functions, which are.
    vectors: of the size of the weights that it keeps while it works, where there are many.
    """

    init: Callable[[PyTree], PyTree]
    update: Callable[[PyTree, Context], tuple[PyTree, dict[str, jax.Array]]]
    stateless: bool = True
    batch_size: int = 0
    unit: int = 0
    whole: bool = False
    per_example: bool = False
    statistics: str = 'batch'
    preconditioned: bool = False
    host: bool = False
    vectors: int = 0


def builder(name: str, settings: Mapping[str, Any]) -> tuple[Callable[..., Measure], dict[str, Any]]:
    """The `build` of a measurement's section, and its settings; a section with `function` is one of a user's own.

    Args:
      settings: of the section, without its points.

    Raises:
      ValueError: no such measurement, with the nearest names; or as own_part.function.
    """
    if 'function' not in settings:
        return lookup.module(__name__, 'build', name, 'measurement').build, dict(settings)
    own = own_part.function(str(settings['function']), 'measurement')
    return own, {field: value for field, value in settings.items() if field != 'function'}


STATISTICS = ('batch', 'running')


def check_statistics(statistics: str, field: str) -> None:
    """Raises ValueError unless `statistics` is one of STATISTICS."""
    if statistics not in STATISTICS:
        raise ValueError(f'{field}={statistics!r}; {lookup.nearest(statistics, STATISTICS)}')


def mean_gradient(context: Context, params: PyTree, data: Any, size: int) -> tuple[jax.Array, PyTree]:
    """(mean loss, gradient) over all N examples of `data`, `size` at a time; the last call takes what is left."""
    total = num_examples(data)
    whole, left = divmod(total, size)
    cut = lambda x: x[: whole * size].reshape(whole, size, *x.shape[1:])

    def add(sums: PyTree, part: Any) -> tuple[PyTree, None]:
        return jax.tree.map(lambda s, x: s + size * x, sums, context.gradient(params, part)), None

    # Of a whole call: batch norm takes no part of a group.
    shapes = jax.eval_shape(context.gradient, params, jax.tree.map(lambda x: x[:size], data))
    sums = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    if whole:
        sums, _ = jax.lax.scan(add, sums, jax.tree.map(cut, data))
    if left:
        rest = context.gradient(params, jax.tree.map(lambda x: x[whole * size :], data))
        sums = jax.tree.map(lambda s, x: s + left * x, sums, rest)
    return jax.tree.map(lambda s: s / total, sums)


def layers(params: PyTree) -> dict[str, PyTree]:
    """The top-level modules of a parameter tree, by name: what `per_layer` metrics are split by.

    Those of a list or tuple are called 0, 1, …, those of a module by its fields; a bare array is the one layer `array`.
    What holds no array is left out.
    """
    parts, _ = jax.tree_util.tree_flatten_with_path(params, is_leaf=lambda node: node is not params)
    return {path_of(keys) or 'array': part for keys, part in parts if jax.tree.leaves(part)}


def path_of(keys: Sequence[Any]) -> str:
    """The names on the path of a leaf or module, joined by '/'; '' at the top."""
    return jax.tree_util.keystr(tuple(keys), simple=True, separator='/')


def num_examples(data: PyTree) -> int:
    """How many there are: the first axis of every leaf."""
    return len(jax.tree.leaves(data)[0])


def needed(context: Context, field: str, measurement: str) -> Any:
    """A part of the context that a loop may leave out.

    Raises:
      ValueError: it is left out.
    """
    if (part := getattr(context, field)) is None:
        raise ValueError(f'{measurement} needs `{field}` in its context, which this loop does not give')
    return part


def wide(x: jax.Array) -> jax.Array:
    """`x` in its own precision or float32, whichever is higher."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def difference(a: PyTree, b: PyTree) -> PyTree:
    """A − b, leaf by leaf, in float32 at least: in bfloat16 an update of 1e-3 on 1.0 vanishes."""
    return jax.tree.map(lambda x, y: wide(x) - wide(y), a, b)


def dot(a: PyTree, b: PyTree) -> Float[Array, '']:
    """aᵀb over all leaves, in float32 at least."""
    parts = jax.tree.map(lambda x, y: jnp.vdot(wide(x), wide(y)), a, b)
    return sum(jax.tree.leaves(parts), start=jnp.zeros((), jnp.float32))


def squared_norm(tree: PyTree) -> Float[Array, '']:
    """Σ x² over all leaves, in float32 at least."""
    leaves: Sequence[jax.Array] = [wide(x) for x in jax.tree.leaves(tree)]
    return sum((jnp.vdot(x, x).real for x in leaves), start=jnp.zeros((), jnp.float32))
