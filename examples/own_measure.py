"""A measurement of one's own: how often two batches agree on the signs of the gradient.

    bsresearch run --config=quickstart --config.measure.signs.function=examples/own_measure.py:gradient_signs \
        --config.measure.signs.every_epochs=1 --workdir=runs/signs

Some optimizers move a weight by the sign of its gradient (signSGD, Lion; Adam nearly). Where two independent batches
agree on half of the signs, a batch of that size tells such an optimizer nothing; where they agree on all, a larger one
brings nothing. Bernstein et al. 2018 (arXiv:1802.04434) bound its progress by the probability of a wrong sign.
"""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from bsresearch.measure import Context, Measure, PyTree


def gradient_signs(*, batch_size: int = 256) -> Measure:
    """The measurement: `gradient_sign_agreement`, in [0, 1], over the weights that either gradient moves.

    Args:
      batch_size: examples in each of the two batches.
    """
    if batch_size < 1:
        raise ValueError(f'batch_size={batch_size}: at least 1')

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        def signs(rows: slice) -> jax.Array:
            part = jax.tree.map(lambda x: x[rows], context.batch)
            _, gradient = context.gradient(context.params, part)
            return jnp.sign(ravel_pytree(gradient)[0])

        first, second = signs(slice(batch_size)), signs(slice(batch_size, None))
        agreement = jnp.mean(first * second > 0, where=(first != 0) | (second != 0))
        return state, {'gradient_sign_agreement': agreement}

    return Measure(init=lambda params: (), update=update, batch_size=2 * batch_size, unit=batch_size)
