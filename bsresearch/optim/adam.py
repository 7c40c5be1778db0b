"""Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1), weight decay added to the gradient as in torch.optim.Adam.

The config's `momentum` is β₁. Bias corrections use the current β₁, as torch and optax do.
"""

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
            decay(hyper),
            optax.scale_by_adam(hyper.momentum, beta2, epsilon),
            optax.scale(-hyper.learning_rate),
        )

    return transform
