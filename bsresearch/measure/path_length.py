"""Length of the path of the weights, Σ_k ‖θ_{t_k} − θ_{t_{k−1}}‖₂, over the points t_k at which it is measured.

The polygon from θ_0 through the measured points: with every_steps = 1 the sum of all updates' lengths, with fewer
points less, for a chord is shorter than what it cuts off. `path_straightness` = ‖θ_t − θ_0‖/length is 1 on a straight
line and about 1/√k after k steps of a random walk; undefined, NaN, before the first move.
The previous weights and the sum are checkpointed, so a resumed run goes on exactly. The sum is compensated (Kahan): its
error does not grow with the number of terms. Subtracted and summed in float32 at least.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bsresearch.measure import Context, Measure, PyTree, difference, layers, squared_norm


class Path(NamedTuple):
    """Where the path stands. length, lost: (1 + layers,), the whole network first; lost: low digits of the sums."""

    previous: PyTree
    length: Float[Array, 'n']
    lost: Float[Array, 'n']


def _norms(tree: PyTree) -> Float[Array, 'n']:
    """Norm of all, then of each top-level module."""
    squares = jnp.stack([squared_norm(part) for part in layers(tree).values()])
    return jnp.sqrt(jnp.concatenate([squares.sum(keepdims=True), squares]))


def build(*, per_layer: bool = False) -> Measure:
    """The measurement: `path_length`, `path_straightness`.

    Args:
      per_layer: also `path_length/<layer>` and `path_straightness/<layer>` of each top-level module.
    """
    # The weights themselves are donated to the next updates.
    copied = lambda params: jax.tree.map(jnp.copy, params)

    def init(params: PyTree) -> Path:
        zeros = jnp.zeros_like(_norms(params))
        return Path(copied(params), zeros, zeros)

    def update(state: Path, context: Context) -> tuple[Path, dict[str, jax.Array]]:
        term = _norms(difference(context.params, state.previous)) - state.lost
        length = state.length + term
        state = Path(copied(context.params), length, (length - state.length) - term)
        distance = _norms(difference(context.params, context.initial_params))
        straight = jnp.where(length > 0, distance / length, jnp.nan)
        names = ['', *(f'/{name}' for name in layers(context.params))] if per_layer else ['']
        metrics = {f'path_length{name}': length[i] for i, name in enumerate(names)}
        return state, metrics | {f'path_straightness{name}': straight[i] for i, name in enumerate(names)}

    return Measure(init=init, update=update, stateless=False)
