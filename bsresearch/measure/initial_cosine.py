"""Cosine between the weights and the initial ones, ⟨θ_t, θ_0⟩/(‖θ_t‖₂‖θ_0‖₂), of all parameters and per layer.

1 at the start, 0 once nothing of θ_0 is left. Near 1 it resolves no angle below 5e-4 in float32: `angular_distance`
does. Undefined, NaN, where a norm is 0. Products are summed in float32 at least.
"""

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, PyTree, dot, layers, squared_norm


def build(*, per_layer: bool = True) -> Measure:
    """The measurement: `initial_cosine`.

    Args:
      per_layer: also `initial_cosine/<layer>` for each top-level module.
    """

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        products = {}
        now, first = layers(context.params), layers(context.initial_params)
        for name in now:
            products[name] = jnp.stack(
                [dot(now[name], first[name]), squared_norm(now[name]), squared_norm(first[name])]
            )
        metrics = {'initial_cosine': _cosine(sum(products.values(), jnp.zeros(3, jnp.float32)))}
        if per_layer:
            metrics |= {f'initial_cosine/{name}': _cosine(three) for name, three in products.items()}
        return state, metrics

    return Measure(init=lambda params: (), update=update)


def _cosine(products: jax.Array) -> jax.Array:
    """Of (⟨a, b⟩, |a|², |b|²), (3,)."""
    inner, a, b = products
    return jnp.where((a > 0) & (b > 0), inner / (jnp.sqrt(a) * jnp.sqrt(b)), jnp.nan)
