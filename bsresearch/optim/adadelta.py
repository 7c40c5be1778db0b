"""AdaDelta (Zeiler 2012, arXiv:1212.5701, algorithm 1), as torch.optim.Adadelta.

s ← ρs + (1 − ρ)g², d = g·√(x + epsilon)/√(s + epsilon), x ← ρx + (1 − ρ)d², w ← w − εd; the paper's ε is 1.
"""

import jax
import jax.numpy as jnp
import optax

from bsresearch.optim import Hyper, PyTree, Transform, check, descend, moments

MOMENTUM = 0.0
HAS_MOMENTUM = False
LEARNING_RATE_RULE = 'sqrt'


def _scale(rho: float, epsilon: float) -> optax.GradientTransformation:
    """From g to d; the state as `optax.scale_by_adadelta` has it."""

    def init(params: PyTree) -> optax.ScaleByAdaDeltaState:
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)
        return optax.ScaleByAdaDeltaState(zeros(), zeros())

    def update(
        updates: PyTree, state: optax.ScaleByAdaDeltaState, params: PyTree = None
    ) -> tuple[PyTree, optax.ScaleByAdaDeltaState]:
        del params
        squares = moments.average_squares(state.e_g, updates, rho)
        ratio = lambda s, x: jnp.sqrt(x + epsilon) / jnp.sqrt(s + epsilon)
        updates = jax.tree.map(lambda g, s, x: ratio(s, x) * g, updates, squares, state.e_x)
        return updates, optax.ScaleByAdaDeltaState(squares, moments.average_squares(state.e_x, updates, rho))

    return optax.GradientTransformation(init, update)


def build(
    *,
    rho: float = 0.9,
    epsilon: float = 1e-6,
    decoupled: bool = False,
    no_decay: tuple[str, ...] = (),
) -> Transform:
    """The transform of one update.

    Args:
      rho: decay of both second moments.
      epsilon: added to both second moments, inside the roots; it also sets the size of the first steps.
      decoupled: λw is added beside the scaled gradient, not to the gradient.
      no_decay: groups of parameters without weight decay: 'bias', 'norm', or patterns of the path.
    """
    check('[0, 1)', rho=rho)
    check('(0, ∞)', epsilon=epsilon)

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        return descend(hyper, _scale(rho, epsilon), decoupled=decoupled, no_decay=no_decay)

    return transform
