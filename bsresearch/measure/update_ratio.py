"""Size of the optimizer's next update beside the weights, ‖Δw‖/‖w‖ at θ_t, in total and per layer.

Δw = θ_{t+1} − θ_t as the optimizer would make it with the gradient of this measurement's own batch: clipped, with
weight decay, momentum and second moments as they stand, at update t's hyperparameters. No augmentation, no dropout.
The batch's size matters: for SGD, E‖Δw‖² has the noise's ε² tr Σ/B in it. A layer of zero weights gives inf.
"""

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, PyTree, check_statistics, layers, needed, squared_norm


def build(*, batch_size: int = 256, statistics: str = 'batch', per_layer: bool = True) -> Measure:
    """The measurement: `update_ratio`.

    Args:
      batch_size: examples in the batch; the run's own batch size gives the size of its updates.
      statistics: what batch norm normalizes by, batch | running.
      per_layer: also `update_ratio/<layer>` for each top-level module.
    """
    if batch_size < 1:
        raise ValueError(f'measure.update_ratio.batch_size={batch_size}: at least 1')
    check_statistics(statistics, 'measure.update_ratio.statistics')

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        _, gradient = context.gradient(context.params, context.batch)
        moved = needed(context, 'propose', 'update_ratio')(gradient)
        ratio = lambda a, b: jnp.sqrt(squared_norm(a) / squared_norm(b))
        metrics = {'update_ratio': ratio(moved, context.params)}
        if per_layer:
            weights = layers(context.params)
            metrics |= {f'update_ratio/{name}': ratio(tree, weights[name]) for name, tree in layers(moved).items()}
        return state, metrics

    return Measure(init=lambda params: (), update=update, batch_size=batch_size, statistics=statistics)
