"""AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101): w ← w − ε(Adam direction + λw). The config's `momentum` is β₁."""

import optax

from bsresearch.optim import Hyper, Transform, decay

# Where the config gives none.
MOMENTUM = 0.9


def build(*, beta2: float = 0.999, epsilon: float = 1e-8) -> Transform:
    """The transform of one update.

    Args:
      beta2: decay of the second moment.
      epsilon: added to the root of the second moment, outside the root.
    """

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        return optax.chain(
            optax.scale_by_adam(hyper.momentum, beta2, epsilon),
            decay(hyper),
            optax.scale(-hyper.learning_rate),
        )

    return transform
