"""What a loop that is not the engine's hands over: weights, batch and loss, checked, and as a measurement's Context."""

import functools
import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from bsresearch.measure import Context, num_examples, path_of

PyTree = Any
LossFn = Callable[[PyTree, Any], jax.Array]
# A mean is the same over a batch that is twice there, a sum twice as large.
NEAR = 1e-3
ONLY_WEIGHTS = (
    'give the weights alone: flax linen variables["params"], nnx.state(model, nnx.Param), '
    'equinox.partition(model, equinox.is_inexact_array)[0]'
)


def whole(value: Any) -> Any:
    """A whole number, of NumPy too, as an int; anything else, and a bool, as None."""
    return int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else None


def check_concrete(name: str, *given: Any) -> None:
    """Raises ValueError inside jit, where there are no numbers to give back."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(given)):
        raise ValueError(f'{name} gives numbers, and compiles for itself: call it outside of jit; inside it is Monitor')


def check_params(params: PyTree) -> None:
    """Raises ValueError unless all leaves are arrays, or shapes, of floating-point numbers, and there are some."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    if not leaves:
        raise ValueError(f'params={str(params)[:60]!r} holds no arrays; {ONLY_WEIGHTS}')
    for keys, leaf in leaves:
        dtype = getattr(leaf, 'dtype', None)
        if dtype is None or not hasattr(leaf, 'shape') or not jnp.issubdtype(dtype, jnp.floating):
            what = dtype or type(leaf).__name__
            raise ValueError(
                f'params: leaf {path_of(keys) or "at the top"!r} is {what}, no float array; {ONLY_WEIGHTS}'
            )


def size_of(batch: Any) -> int:
    """The examples of a batch.

    Raises:
      ValueError: a leaf is no array, or the leaves have not all the same first axis.
    """
    leaves = jax.tree_util.tree_leaves_with_path(batch)
    shapes = {path_of(keys) or 'batch': getattr(leaf, 'shape', type(leaf).__name__) for keys, leaf in leaves}
    if lists := [f'{name} is of type {shape}' for name, shape in shapes.items() if isinstance(shape, str)]:
        raise ValueError(f'batch: its leaves need to be arrays, {lists[0]}; np.asarray makes one of a list')
    if not shapes or any(not shape for shape in shapes.values()) or len({shape[0] for shape in shapes.values()}) > 1:
        listed = ', '.join(f'{name}: {shape}' for name, shape in shapes.items()) or 'it has none'
        raise ValueError(f'batch: all its arrays need the same first axis, the examples; shapes {listed}')
    if not (size := num_examples(batch)):
        raise ValueError('batch: it holds 0 examples; at least 1 is needed')
    return size


def check_loss(loss_fn: LossFn, params: PyTree, batch: Any) -> None:
    """Raises ValueError unless the loss of a batch is a scalar; nothing is computed. Its own errors get a note."""
    try:
        out = jax.eval_shape(loss_fn, params, batch)
    except Exception as error:
        error.add_note('It came out of loss_fn(params, batch): the weights, and all arrays of a batch as one argument.')
        raise
    shape, dtype = getattr(out, 'shape', None), getattr(out, 'dtype', None)
    if shape == () and dtype is not None and jnp.issubdtype(dtype, jnp.floating):
        return
    returned = (
        f'{dtype}{list(shape)}' if shape is not None else f'{type(out).__name__} of {len(jax.tree.leaves(out))} arrays'
    )
    cure = 'end it with .mean()' if shape else 'return that alone, a float'
    raise ValueError(f'loss_fn returns {returned}; allowed: a scalar, the mean loss of the batch; {cure}')


def check_mean(loss_fn: LossFn, params: PyTree, batch: Any) -> None:
    """Raises ValueError where the loss is a sum over the batch: of examples given twice it is then twice as large."""

    def both(params: PyTree, batch: Any) -> tuple[jax.Array, jax.Array]:
        two = jax.tree.map(lambda x: jnp.asarray(x)[:2], batch)
        return loss_fn(params, two), loss_fn(params, jax.tree.map(lambda x: jnp.concatenate([x, x]), two))

    once, doubled = map(float, jax.jit(functools.partial(on_any_mesh, both, None))(params, batch))
    if abs(doubled - 2 * once) < NEAR * abs(once):
        raise ValueError(
            f'loss_fn sums over the batch: {once:.4g} of two examples, {doubled:.4g} of the same twice; allowed: '
            'the mean'
        )


def context(loss_fn: LossFn, params: PyTree, batch: Any, **more: Any) -> Context:
    """What a measurement may look at; `more`: fields beside params, batch, gradient and losses."""

    def losses(params: PyTree, batch: Any) -> jax.Array:
        alone = lambda example: loss_fn(params, jax.tree.map(lambda x: x[None], example))
        return jax.vmap(alone)(batch)

    fields = {'step': jnp.int32(0), 'initial_params': params, 'hyper': None} | more
    return Context(params=params, batch=batch, gradient=jax.value_and_grad(loss_fn), losses=losses, **fields)


def on_any_mesh(function: Callable[..., Any], like: Any, *arguments: Any) -> Any:
    """`function(*arguments)`, inside jit; where arrays lie over explicit axes of a mesh, XLA places what is computed.

    Args:
      like: a prefix of the result's tree whose leaves lie as the result's shall; None: on every device.
    """
    meshes = [jax.typeof(x).sharding.mesh for x in jax.tree.leaves(arguments)]
    explicit = [mesh for mesh in meshes if AxisType.Explicit in mesh.axis_types]
    if not explicit:
        return function(*arguments)
    everywhere = NamedSharding(explicit[0], PartitionSpec())

    def lies(x: Any) -> Any:
        where = None if x is None else jax.typeof(x).sharding
        return where if where is not None and where.mesh == explicit[0] else everywhere

    out = jax.tree.map(lies, like, is_leaf=lambda x: x is None)
    return jax.sharding.auto_axes(function, out_sharding=out)(*arguments)


def gathered(axis_name: str, x: jax.Array) -> jax.Array:
    """(devices · n, …) of all devices' (n, …), by a sum over them: shard_map then knows that all hold the same."""
    one = jax.lax.axis_index(axis_name)
    places = jnp.zeros((jax.lax.axis_size(axis_name), *x.shape), x.dtype)
    return jax.lax.psum(places.at[one].set(x), axis_name).astype(x.dtype).reshape(-1, *x.shape[1:])
