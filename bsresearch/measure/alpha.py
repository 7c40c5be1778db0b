"""Effective step size α of the optimizer's next update Δw: −1 no move, 0 to the minimum, 1 equally high beyond it.

Along w + τΔw/|Δw| the loss is fitted by a + bτ + cτ², to the mean loss and its slope at both ends, τ = 0 and τ = |Δw|,
with weights 1/variance over the examples; α = −2|Δw|c/b − 1, the step over the distance to the minimum, less 1; −1
where c < 0; below −1 where the update goes uphill (Schneider, Dangel & Hennig 2021, arXiv:2102.06604, Cockpit).
The update is the one the optimizer would make with this batch's gradient, and both ends are seen on this batch too, so
its noise looks like descent: α is below that of fresh data. No augmentation, no dropout.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bsresearch.measure import Context, Measure, PyTree, check_statistics, needed
from bsresearch.measure.moments import slopes


def effective_step(
    rise: Float[Array, ''],
    slope: Float[Array, '2'],
    loss_variance: Float[Array, '2'],
    slope_variance: Float[Array, '2'],
) -> Float[Array, '']:
    """α of the weighted least-squares parabola.

    In units of the step (τ from 0 to 1; α and the weights stay the same) a parabola has 2·rise = slope_0 + slope_1, the
    only condition on four numbers; least squares splits what is left of it by variance, and −2c/b − 1 becomes
    −slope_1/slope_0 of the fitted slopes b and b + 2c. Without any variance, all four weigh the same.

    Args:
      rise: mean loss at the end − at the start. slope: of the mean loss along Δw at start and end.
      loss_variance, slope_variance: at start and end.
    """
    spread = 4 * loss_variance.sum() + slope_variance.sum()
    known = spread > 0
    variance = jnp.where(known, slope_variance, jnp.ones_like(slope_variance))
    spread = jnp.where(known, spread, 10)
    left = 2 * rise - slope.sum()
    fitted = slope + variance * left / spread
    return jnp.where(fitted[1] < fitted[0], -jnp.ones_like(rise), -fitted[1] / fitted[0])


def build(*, batch_size: int = 256, statistics: str = 'batch') -> Measure:
    """The measurement: `alpha`.

    Args:
      batch_size: examples in the batch.
      statistics: what batch norm normalizes by: batch (refused where there is batch norm) | running.
    """
    if batch_size < 2:
        raise ValueError(f'measure.alpha.batch_size={batch_size}: a variance needs at least 2')
    check_statistics(statistics, 'measure.alpha.statistics')

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        losses_of = needed(context, 'losses', 'alpha')
        _, gradient = context.gradient(context.params, context.batch)
        move = needed(context, 'propose', 'alpha')(gradient)
        there = jax.tree.map(jnp.add, context.params, move)
        ends = [slopes(losses_of, params, move, context.batch) for params in (context.params, there)]
        losses, along = (jnp.stack(x) for x in zip(*ends, strict=True))
        variance = lambda x: x.var(axis=1, ddof=1)
        rise = (losses[1] - losses[0]).mean()
        return state, {'alpha': effective_step(rise, along.mean(1), variance(losses), variance(along))}

    return Measure(
        init=lambda params: (), update=update, batch_size=batch_size, per_example=True, statistics=statistics
    )  # fmt: skip
