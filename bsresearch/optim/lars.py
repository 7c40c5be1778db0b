"""LARS (You, Gitman & Ginsburg 2017, arXiv:1708.03888, algorithm 1), as optax.lars: SGD with a rate per tensor.

u = g + λw, r = η‖w‖/(‖u‖ + epsilon), v ← μv + ε·r·u, w ← w − v, per tensor, the learning rate inside the velocity. The
paper's r divides by ‖g‖ + λ‖w‖, which is no smaller: with weight decay the two part, by 21 % after 30 updates. With
`nesterov`, w ← w − (μv + ε·r·u). Where ‖w‖ or ‖u‖ is 0, r is 1.
"""

import optax

from bsresearch.optim import Hyper, Transform, adapt, check, decay

# Where the config gives none.
MOMENTUM = 0.9
HAS_MOMENTUM = True
LEARNING_RATE_RULE = 'linear'


def build(
    *,
    trust_coefficient: float = 0.001,
    epsilon: float = 0.0,
    nesterov: bool = False,
    not_adapted: tuple[str, ...] = ('bias', 'norm'),
    no_decay: tuple[str, ...] = (),
) -> Transform:
    """The transform of one update.

    Args:
      trust_coefficient: η.
      epsilon: added to ‖u‖.
      nesterov: Nesterov's look-ahead.
      not_adapted: groups of parameters with r = 1: 'bias', 'norm', or patterns of the path. They are decayed unless
        `no_decay` names them too, as most recipes do.
      no_decay: groups of parameters without weight decay.
    """
    check('(0, ∞)', trust_coefficient=trust_coefficient)
    check('[0, ∞)', epsilon=epsilon)

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        # The state holds −v.
        return optax.chain(
            decay(hyper, no_decay),
            adapt(trust_coefficient, epsilon, not_adapted),
            optax.scale(-hyper.learning_rate),
            optax.trace(decay=hyper.momentum, nesterov=nesterov),
        )

    return transform
