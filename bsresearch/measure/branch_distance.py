"""L2 distance from the weights that a branch began with, ‖θ_t − θ_s‖₂; from θ_0 for a run without a parent.

Subtracted and summed in float32 at least. Beside `distance`, which a branch goes on measuring from θ_0.
"""

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, PyTree, difference, layers, squared_norm


def build(*, per_layer: bool = False) -> Measure:
    """The measurement.

    Args:
      per_layer: also `branch_distance/<layer>` for each top-level module.
    """

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        moved = layers(difference(context.params, context.branch_params))
        squares = {name: squared_norm(tree) for name, tree in moved.items()}
        metrics = {'branch_distance': jnp.sqrt(sum(squares.values()))}
        if per_layer:
            metrics |= {f'branch_distance/{name}': jnp.sqrt(square) for name, square in squares.items()}
        return state, metrics

    return Measure(init=lambda params: (), update=update)
