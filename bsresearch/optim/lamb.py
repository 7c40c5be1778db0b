"""LAMB (You et al. 2020, arXiv:1904.00962, algorithm 2), as optax.lamb: Adam with a rate per tensor.

u = Adam direction + λw, w ← w − ε·u·‖w‖/‖u‖ per tensor; where ‖w‖ or ‖u‖ is 0, w ← w − ε·u. The decay is decoupled and
counts in the ratio; the paper's φ is the identity. The config's `momentum` is β₁.
"""

import optax

from bsresearch.optim import Complements, Hyper, Transform, adam, adapt, check, decay, moments

# Where the config gives none.
MOMENTUM = 0.9
HAS_MOMENTUM = True
LEARNING_RATE_RULE = 'sqrt'


def build(
    *,
    beta2: float = 0.999,
    epsilon: float = 1e-6,
    not_adapted: tuple[str, ...] = (),
    no_decay: tuple[str, ...] = (),
) -> Transform:
    """The transform of one update.

    Args:
      beta2: decay of the second moment.
      epsilon: added to the root of the second moment, outside the root.
      not_adapted: groups of parameters that take Adam's step: 'bias', 'norm', or patterns of the path.
      no_decay: groups of parameters without weight decay.
    """
    check('[0, 1)', beta2=beta2)
    check('(0, ∞)', epsilon=epsilon)

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        return optax.chain(
            adam.scale_by_moments(hyper, beta2, epsilon),
            decay(hyper, no_decay),
            adapt(1.0, 0.0, not_adapted),
            optax.scale(-hyper.learning_rate),
        )

    return transform


def complements(course: moments.Course, *, beta2: float, **settings: object) -> Complements:
    """Adam's."""
    del settings
    return adam.complements(course, beta2=beta2)
