"""Distance from the initial weights relative to their length, ‖θ_t − θ_0‖₂/‖θ_0‖₂, of all parameters and per layer.

Makes networks and layers of different size comparable. Undefined, NaN, where ‖θ_0‖ = 0. Subtracted and summed in
float32 at least. Norms are divided, not squares: the layers' values do not add up to the total.
Reference: Hoffer et al. 2017 (arXiv:1705.08741), section 3, for the distance itself.
"""

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, PyTree, difference, layers, squared_norm


def build(*, per_layer: bool = True) -> Measure:
    """The measurement: `relative_distance`.

    Args:
      per_layer: also `relative_distance/<layer>` for each top-level module.
    """

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        moved = layers(difference(context.params, context.initial_params))
        squares = {name: squared_norm(tree) for name, tree in moved.items()}
        first = {name: squared_norm(tree) for name, tree in layers(context.initial_params).items()}
        ratio = lambda a, b: jnp.where(b > 0, jnp.sqrt(a / b), jnp.nan)
        metrics = {'relative_distance': ratio(sum(squares.values()), sum(first.values()))}
        if per_layer:
            metrics |= {f'relative_distance/{name}': ratio(squares[name], first[name]) for name in squares}
        return state, metrics

    return Measure(init=lambda params: (), update=update)
