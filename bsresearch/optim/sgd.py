"""Plain SGD: w ← w − ε(g + λw). No velocity is kept, so its state is empty."""

import optax

from bsresearch.optim import Hyper, Transform, decay

MOMENTUM = 0.0
HAS_MOMENTUM = False
LEARNING_RATE_RULE = 'linear'


def build(*, no_decay: tuple[str, ...] = ()) -> Transform:
    """The transform of one update.

    Args:
      no_decay: groups of parameters without weight decay: 'bias', 'norm', or patterns of the path.
    """

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        return optax.chain(decay(hyper, no_decay), optax.scale(-hyper.learning_rate))

    return transform
