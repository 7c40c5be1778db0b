"""Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2): w ← w − ε(sign(β₁m + (1 − β₁)g) + λw), m ← β₂m + (1 − β₂)g.

As optax.lion. The decay is decoupled; the config's `momentum` is β₁, the weight of m in the sign and not m's own decay.
"""

import optax

from bsresearch.optim import Hyper, Transform, check, descend

# Where the config gives none.
MOMENTUM = 0.9
HAS_MOMENTUM = True


def build(*, beta2: float = 0.99, no_decay: tuple[str, ...] = ()) -> Transform:
    """The transform of one update.

    Args:
      beta2: decay of the moment that is kept.
      no_decay: groups of parameters without weight decay: 'bias', 'norm', or patterns of the path.
    """
    check('[0, 1)', beta2=beta2)

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        return descend(hyper, optax.scale_by_lion(hyper.momentum, beta2), decoupled=True, no_decay=no_decay)

    return transform
