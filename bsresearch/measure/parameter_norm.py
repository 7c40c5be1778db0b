"""L2 norm of the weights, ‖θ_t‖₂, over all parameters and per layer."""

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, PyTree, layers, squared_norm


def build(*, per_layer: bool = False) -> Measure:
    """The measurement: `parameter_norm`.

    Args:
      per_layer: also `parameter_norm/<layer>` for each top-level module.
    """

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        squares = {name: squared_norm(tree) for name, tree in layers(context.params).items()}
        metrics = {'parameter_norm': jnp.sqrt(sum(squares.values()))}
        if per_layer:
            metrics |= {f'parameter_norm/{name}': jnp.sqrt(square) for name, square in squares.items()}
        return state, metrics

    return Measure(init=lambda params: (), update=update)
