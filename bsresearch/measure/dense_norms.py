"""Gradient norms of nets of dense layers, without forming a gradient.

A layer a_i = h_i W + b, with δ_i = ∂l_i/∂a_i, has ∂l_i/∂W = h_i δ_iᵀ and ∂l_i/∂b = δ_i, so for one example
  |g_i|² = Σ_layers |δ_i|²(|h_i|² + 1)                          (Goodfellow 2015, arXiv:1510.01799)
and for a sum over examples, with two B×B matrices of inner products in place of the gradient,
  |Σ_i g_i|² = Σ_layers Σ_ij (δ_iᵀδ_j)(h_iᵀh_j + 1).
The ones are the bias's, 0 for a layer without. The h are seen, and the δ had as the gradient with respect to zeros
added to the a, by intercepting flax's `nn.Dense`: any function that applies such a net will do. All weights must be
those of dense layers, each used once, on inputs of (B, features); others, batch norm's too, are refused.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from bsresearch.measure import PyTree


class Layer(NamedTuple):
    """What a dense layer saw of a batch.

    inputs: (B, I) h. errors: (B, O) δ_i, the derivative of what was differentiated. bias: () 1, or 0 without one.
    """

    inputs: Float[Array, 'B I']
    errors: Float[Array, 'B O']
    bias: Float[Array, '']


def tapped(function: Callable[[], Any], offsets: dict[str, jax.Array]) -> tuple[Any, dict[str, jax.Array]]:
    """`function()` with `offsets` added to the outputs of its dense layers, and the layers' inputs; both by path.

    A layer without an offset is left as it is. Differentiated with respect to offsets of 0, it gives the δ.

    Raises:
      ValueError: a dense layer is used twice, or on inputs that are not (B, features).
    """
    inputs: dict[str, jax.Array] = {}

    def tap(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], context: Any) -> Any:
        outputs = call(*args, **kwargs)
        if not isinstance(context.module, nn.Dense) or context.method_name != '__call__':
            return outputs
        path = '/'.join(context.module.path)
        if path in inputs:
            raise ValueError(f'the dense layer {path} is used more than once; take the gradient itself')
        if args[0].ndim != 2:
            raise ValueError(f'the dense layer {path} has inputs of shape {args[0].shape}, not (B, features)')
        inputs[path] = args[0]
        return outputs + offsets[path] if path in offsets else outputs

    with nn.intercept_methods(tap):
        value = function()
    return value, inputs


def zero_offsets(function: Callable[[], Any], params: PyTree) -> dict[str, jax.Array]:
    """(B, O) zeros for the output of every dense layer that `function()` calls; nothing is computed.

    Raises:
      ValueError: weights that are no dense layer's, named; or a layer for which the identity does not hold.
    """
    _, inputs = jax.eval_shape(lambda: tapped(function, {}))
    layers = {path: _of(params, path) for path in inputs}
    others = [
        name
        for keys, _ in jax.tree_util.tree_leaves_with_path(params)
        if (name := jax.tree_util.keystr(keys, simple=True, separator='/')).rpartition('/')[0] not in layers
    ]
    if others:
        raise ValueError(
            f'{", ".join(others)}: no weights of dense layers, which the identity for gradient norms is for; '
            'take the gradients themselves (measure/moments.py)'
        )
    like = {path: own['kernel'] for path, own in layers.items()}
    return {path: jnp.zeros((inputs[path].shape[0], w.shape[1]), w.dtype) for path, w in like.items()}


def _of(params: PyTree, path: str) -> PyTree:
    """The weights of a layer."""
    for name in path.split('/'):
        params = params[name]
    return params


def layers(params: PyTree, inputs: dict[str, jax.Array], errors: dict[str, jax.Array]) -> dict[str, Layer]:
    """The layers by path, in the weights' precision, from what `tapped` saw and the derivatives by its offsets."""
    by_path = {}
    for path, h in inputs.items():
        weights = _of(params, path)
        dtype = weights['kernel'].dtype
        by_path[path] = Layer(h.astype(dtype), errors[path].astype(dtype), jnp.full((), 'bias' in weights, dtype))
    return by_path


def of_losses(losses: Callable[[PyTree, Any], jax.Array], params: PyTree, batch: Any) -> dict[str, Layer]:
    """The layers of a batch, δ_i being that of each example's own loss.

    Args:
      losses: (params, batch) → (B,) losses of a net of dense layers.
    """
    function = lambda: losses(params, batch)

    def total(offsets: dict[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
        values, inputs = tapped(function, offsets)
        return values.sum(), inputs

    errors, inputs = jax.grad(total, has_aux=True)(zero_offsets(function, params))
    return layers(params, inputs, errors)


def _squares(x: Float[Array, 'B D']) -> Float[Array, 'B']:
    return (x * x).sum(1)


def example_squares(seen: dict[str, Layer]) -> dict[str, Float[Array, 'B']]:
    """|g_i|² of each layer, (B,), by path; their sum is the whole net's."""
    return {path: _squares(x.errors) * (_squares(x.inputs) + x.bias) for path, x in seen.items()}


def batch_square(seen: dict[str, Layer]) -> Float[Array, '']:
    """|Σ_i g_i|², of the gradient of what was differentiated: of a mean loss, where the δ are a mean loss's.

    B²(I + O) multiplications a layer, against B·I·O for the gradient: worth it for B well below the widths.
    """
    gram = lambda x: jnp.einsum('id,jd->ij', x, x)
    parts = [(gram(x.errors) * (gram(x.inputs) + x.bias)).sum() for x in seen.values()]
    return sum(parts, start=jnp.zeros((), jnp.float32))
