"""Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2): w ← w − ε(sign(β₁m + (1 − β₁)g) + λw), m ← β₂m + (1 − β₂)g.

As optax.lion. The decay is decoupled; the config's `momentum` is β₁, the weight of m in the sign and not m's own decay.
"""

import jax
import jax.numpy as jnp
import optax

from bsresearch.optim import Complements, Hyper, PyTree, Transform, check, descend, moments

# Where the config gives none.
MOMENTUM = 0.9
HAS_MOMENTUM = True
LEARNING_RATE_RULE = 'sqrt'


def _scale(hyper: Hyper, beta2: float) -> optax.GradientTransformation:
    """The sign of β₁m + (1 − β₁)g; the state as `optax.scale_by_lion` has it."""

    def init(params: PyTree) -> optax.ScaleByLionState:
        return optax.ScaleByLionState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    def update(
        updates: PyTree, state: optax.ScaleByLionState, params: PyTree = None
    ) -> tuple[PyTree, optax.ScaleByLionState]:
        del params
        mixed = moments.average(state.mu, updates, hyper.momentum, moments.complements(hyper).momentum)
        mu = moments.average(state.mu, updates, beta2, 1 - beta2)
        return jax.tree.map(jnp.sign, mixed), optax.ScaleByLionState(state.count + 1, mu)

    return optax.GradientTransformation(init, update)


def build(*, beta2: float = 0.99, no_decay: tuple[str, ...] = ()) -> Transform:
    """The transform of one update.

    Args:
      beta2: decay of the moment that is kept.
      no_decay: groups of parameters without weight decay: 'bias', 'norm', or patterns of the path.
    """
    check('[0, 1)', beta2=beta2)

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        return descend(hyper, _scale(hyper, beta2), decoupled=True, no_decay=no_decay)

    return transform


def complements(course: moments.Course, **settings: object) -> Complements:
    """1 − β₁; nothing is corrected."""
    del settings
    return Complements(1 - course.beta1)
