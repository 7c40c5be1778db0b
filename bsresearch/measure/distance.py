"""L2 distance from the initial weights, ‖θ_t − θ_0‖₂, over all parameters and per layer.

Subtracted and summed in float32 at least: in bfloat16 an update of 1e-3 on 1.0 vanishes. The squares of the layers add
up to the square of the total. Reference: Hoffer et al. 2017 (arXiv:1705.08741), section 3, who follow one tensor.
"""

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, PyTree, difference, layers, squared_norm


def build(*, per_layer: bool = True) -> Measure:
    """The measurement: `distance`.

    Args:
      per_layer: also `distance/<layer>` for each top-level module.
    """

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        moved = layers(difference(context.params, context.initial_params))
        squares = {name: squared_norm(tree) for name, tree in moved.items()}
        metrics = {'distance': jnp.sqrt(sum(squares.values()))}
        if per_layer:
            metrics |= {f'distance/{name}': jnp.sqrt(square) for name, square in squares.items()}
        return state, metrics

    return Measure(init=lambda params: (), update=update)
