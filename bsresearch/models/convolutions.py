"""Convolutions of any network at the speed of matrix products on a CPU.

There the weight gradient of XLA's convolution within a loop is single-threaded: 10 to 30 times slower than outside it.
So a traced function is run with each `conv_general_dilated` in its place as shifted slices, one product, and a sum of
shifted parts of it, and it is this that is differentiated. On other platforms XLA's own stays.
"""

import contextlib
import contextvars
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

CONVOLUTION = 'conv_general_dilated'
# Bytes of patches that are fast to work on (a ResNet-8 at 8 examples, the package's cnn at 16 to 32): measured.
CACHE = 6 * 2**20
INLINED = ('jit', 'pjit', 'closed_call', 'core_call')
# Calls whose bodies are rewritten in their place: primitive → the parameters that hold them. Not custom_jvp and
# custom_vjp, whose derivatives are their authors'.
BODIES = {
    'scan': ('jaxpr',), 'while': ('cond_jaxpr', 'body_jaxpr'), 'cond': ('branches',), 'checkpoint': ('jaxpr',),
    'remat2': ('jaxpr',),
}  # fmt: skip


_SPLIT = contextvars.ContextVar('split', default=True)


class Convolutions(NamedTuple):
    """Convolutions of a function.

    products: those that become products on a CPU. kept: that stay XLA's own there. patches: bytes that the slices of
    the largest product take for an example.
    """

    products: int
    kept: int
    patches: int

    @property
    def in_cache(self) -> int | None:
        """A power of two of examples whose patches stay in a CPU's cache; None without convolutions."""
        return _in_cache(self.patches) if self.patches else None


@contextlib.contextmanager
def in_one_piece() -> Iterator[None]:
    """What is traced meanwhile has no loop over parts of a batch, whose operations XLA would count once."""
    token = _SPLIT.set(False)
    try:
        yield
    finally:
        _SPLIT.reset(token)


def count(program: core.ClosedJaxpr) -> Convolutions:
    """The convolutions that a traced function comes to."""
    return _count(program.jaxpr)


def _count(jaxpr: Any, reached: bool = True) -> Convolutions:
    """`reached`: whether what calls the jaxpr is rewritten."""
    products = kept = patches = 0
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        if name == CONVOLUTION:
            rewritten = reached and eqn.params['batch_group_count'] == 1
            products, kept = products + rewritten, kept + (not rewritten)
            of_one = _patches(eqn.invars[1].aval, eqn.outvars[0].aval, eqn.params) if rewritten else 0
            patches = max(patches, of_one)
            continue
        reaches = reached and name in (*INLINED, *BODIES)
        for body in jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_body):
            if _is_body(body):
                inner = _count(getattr(body, 'jaxpr', body), reaches)
                products, kept = products + inner.products, kept + inner.kept
                patches = max(patches, inner.patches)
    return Convolutions(products, kept, patches)


def _patches(kernel: Any, out: Any, params: dict[str, Any]) -> int:
    """Bytes of the slices that a convolution is made a product of, for an example; with those that are summed after."""
    places, (slices, after, features) = params['dimension_numbers'][2], _sizes(kernel, params)
    each = slices + features if after else slices
    return each * math.prod(out.shape[axis] for axis in places[2:]) * kernel.dtype.itemsize


def _sizes(kernel: Any, params: dict[str, Any]) -> tuple[int, bool, int]:
    """Of a product: numbers that go into a place of the output, whether `rows_after`, numbers that come out for it.

    rows_after: each row of the window has its own outputs, all of one product, which are summed after it, shifted.
    Then slices have the window's other axes alone: of 3×3 and C channels 3C numbers go in where else 9C do, and 3F come
    out for F. That is so where it is less in all by a third (measured: 16 to 16 channels gain, 32 to 64 do not), but
    not in half precision, which would be rounded before the sum.
    """
    rhs = params['dimension_numbers'][1]
    first, *rest = [kernel.shape[axis] for axis in rhs[2:]] or [1]  # without a window a single row
    slices, features = math.prod(rest) * kernel.shape[rhs[1]] * params['feature_group_count'], kernel.shape[rhs[0]]
    steps = (*params['window_strides'][:1], *params['lhs_dilation'][:1])
    plain = {params['feature_group_count'], *steps} == {1}
    less = 3 * (slices + first * features) <= 2 * (first * slices + features)
    rows_after = plain and less and kernel.dtype.itemsize >= 4
    return (slices, True, first * features) if rows_after else (first * slices, False, features)


def _in_cache(patches: int) -> int:
    return 2 ** max(0, math.floor(math.log2(CACHE / patches)))


def _is_body(value: Any) -> bool:
    return isinstance(value, core.Jaxpr | core.ClosedJaxpr)


def fast(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, of trees of arrays, with its convolutions as products on a CPU."""

    def call(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        outputs = _run(closed.jaxpr, closed.consts, jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), outputs)

    return call


def _run(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    """What a jaxpr gives for these arguments, its convolutions rewritten."""
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))
    read = lambda v: v.val if isinstance(v, core.Literal) else values[v]
    for eqn in jaxpr.eqns:
        values.update(zip(eqn.outvars, _outputs(eqn, [read(v) for v in eqn.invars]), strict=True))
    return [read(v) for v in jaxpr.outvars]


def _outputs(eqn: Any, inputs: list[Any]) -> Sequence[Any]:
    name, params = eqn.primitive.name, eqn.params
    if name == CONVOLUTION:
        return [_convolution(inputs[0], inputs[1], params)]
    bodies = (*INLINED, *BODIES)
    if name in bodies and CONVOLUTION in str(eqn):
        if name in INLINED:
            body = params['jaxpr'] if 'jaxpr' in params else params['call_jaxpr']
            return _run(body.jaxpr, body.consts, inputs)
        params = {k: _rewritten(v) if k in BODIES[name] else v for k, v in params.items()}
        eqn = eqn.replace(params=params)
    outputs = eqn.primitive.bind(*inputs, **eqn.primitive.get_bind_params(eqn.params))
    return outputs if eqn.primitive.multiple_results else [outputs]


def _rewritten(body: Any) -> Any:
    """A body of a call: a jaxpr, closed or not, or several."""
    if isinstance(body, tuple):
        return tuple(map(_rewritten, body))
    closed = hasattr(body, 'consts')
    inner, consts = (body.jaxpr, body.consts) if closed else (body, ())
    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype, weak_type=v.aval.weak_type) for v in inner.invars]
    rewritten = jax.make_jaxpr(functools.partial(_run_on, inner, consts))(*shapes)
    return rewritten if closed else rewritten.jaxpr


def _run_on(jaxpr: Any, consts: Sequence[Any], *args: Any) -> list[Any]:
    return _run(jaxpr, consts, args)


def _convolution(inputs: jax.Array, kernel: jax.Array, params: dict[str, Any]) -> jax.Array:
    own = lambda x, k: lax.conv_general_dilated_p.bind(x, k, **params)
    if params['batch_group_count'] != 1:
        return own(inputs, kernel)
    return lax.platform_dependent(inputs, kernel, cpu=functools.partial(as_product, params=params), default=own)


def as_product(inputs: jax.Array, kernel: jax.Array, *, params: dict[str, Any]) -> jax.Array:
    """A convolution as shifted slices and one matrix product; of depthwise ones as a sum of scaled slices.

    Of a batch whose slices leave the cache, part by part; and for the derivative they are made again, which is faster
    than reading them from memory (of a ResNet-8 at 128 examples by a third).

    Args:
      inputs, kernel: as `lax.conv_general_dilated` takes them, with any number of spatial axes. params: its own;
        `batch_group_count` 1.
    """
    of = functools.partial(_product, params=params)
    from_axis, to_axis = params['dimension_numbers'][0][0], params['dimension_numbers'][2][0]
    patches = _patches(kernel, jax.eval_shape(of, inputs, kernel), params)
    part = _in_cache(patches) if patches else inputs.shape[from_axis]
    whole = inputs.shape[from_axis] // part * part
    if whole <= part or not _SPLIT.get():
        return of(inputs, kernel)
    of_rows = lambda rows: jnp.moveaxis(of(jnp.moveaxis(rows, 0, from_axis), kernel), to_axis, 0)
    rows = jnp.moveaxis(inputs, from_axis, 0)
    outputs = lax.map(jax.checkpoint(of_rows), rows[:whole].reshape(-1, part, *rows.shape[1:]))
    outputs = outputs.reshape(whole, *outputs.shape[2:])
    if whole < len(rows):
        outputs = jnp.concatenate([outputs, of_rows(rows[whole:])])
    return jnp.moveaxis(outputs, 0, to_axis)


def _product(inputs: jax.Array, kernel: jax.Array, *, params: dict[str, Any]) -> jax.Array:
    """`as_product` of a batch as it is."""
    lhs, rhs, out = params['dimension_numbers']
    x = jnp.transpose(inputs, (lhs[0], *lhs[2:], lhs[1]))  # (N, *space, C)
    k = jnp.transpose(kernel, (*rhs[2:], rhs[1], rhs[0]))  # (*window, C / groups, F)
    padding = [(low, high, d - 1) for (low, high), d in zip(params['padding'], params['lhs_dilation'], strict=True)]
    (_, rows_after, outputs), zero = _sizes(kernel, params), jnp.zeros((), x.dtype)
    rows, around = k.shape[0], padding[:1]
    if rows_after:
        k, padding[0] = jnp.moveaxis(k, 0, -2).reshape(1, *k.shape[1:-1], outputs), (0, 0, 0)
    x = lax.pad(x, zero, [(0, 0, 0), *padding, (0, 0, 0)])
    window, strides, spread = k.shape[:-2], params['window_strides'], params['rhs_dilation']
    extent = [(w - 1) * d for w, d in zip(window, spread, strict=True)]
    size = [max(0, (n - e - 1) // s + 1) for n, e, s in zip(x.shape[1:-1], extent, strides, strict=True)]
    patches = [_slice(x, place, size, strides, spread) for place in _places(window)]
    groups = params['feature_group_count']
    product = functools.partial(_grouped if groups > 1 else _whole, patches, k, groups, params['precision'])
    y = product().reshape(x.shape[0], *size, outputs)
    if rows_after:
        y = lax.pad(y, zero, [(0, 0, 0), *around, *[(0, 0, 0)] * len(size)])
        starts, height = [i * spread[0] for i in range(rows)], max(0, y.shape[1] - (rows - 1) * spread[0])
        parts = zip(starts, jnp.split(y, rows, -1), strict=True)
        y = functools.reduce(jnp.add, (part[:, start : start + height] for start, part in parts))
    back = [0] * y.ndim
    for place, axis in enumerate((out[0], *out[2:], out[1])):
        back[axis] = place
    wanted = params['preferred_element_type']
    return jnp.transpose(y, back).astype(wanted or y.dtype)


def _places(window: Sequence[int]) -> list[tuple[int, ...]]:
    """Of the entries of a window, in order."""
    places: list[tuple[int, ...]] = [()]
    for width in window:
        places = [(*place, i) for place in places for i in range(width)]
    return places


def _slice(
    x: jax.Array, place: Sequence[int], size: Sequence[int], strides: Sequence[int], spread: Sequence[int]
) -> jax.Array:
    """What one entry of the window sees: (N, *size, C)."""
    start = [i * d for i, d in zip(place, spread, strict=True)]
    stop = [b + (n - 1) * s + 1 if n else b for b, n, s in zip(start, size, strides, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))


def _whole(patches: list[jax.Array], k: jax.Array, groups: int, precision: Any) -> jax.Array:
    """(N · size, F)."""
    del groups
    rows = jnp.concatenate(patches, -1) if len(patches) > 1 else patches[0]
    kernel = k.reshape(-1, k.shape[-1])
    rows = rows.reshape(-1, len(kernel))
    if len(kernel) < k.shape[-1]:
        return jnp.dot(rows, kernel, precision=precision)
    # Its derivative is then made with its longer side last, which is up to 1.8 times as fast; XLA would undo it.
    across = lax.optimization_barrier(kernel.T)
    return lax.dot_general(rows, across, (((1,), (1,)), ((), ())), precision=precision)


def _grouped(patches: list[jax.Array], k: jax.Array, groups: int, precision: Any) -> jax.Array:
    """The same for groups of channels, each with kernels of its own: (N · size, groups, F / groups)."""
    depth, each = k.shape[-2], k.shape[-1] // groups
    kernels = k.reshape(-1, depth, groups, each)
    if depth == 1:
        scaled = (p.reshape(-1, groups, 1) * kernels[i] for i, p in enumerate(patches))
        return functools.reduce(jnp.add, scaled)
    rows = jnp.stack([p.reshape(-1, groups, depth) for p in patches], 1)
    return jnp.einsum('nwgc,wcgf->ngf', rows, kernels, precision=precision)
