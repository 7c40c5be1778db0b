"""SGD with momentum, learning rate outside the velocity: v ← μv + g + λw, w ← w − εv, as in torch and optax.

With `nesterov`, w ← w − ε(g + λw + μv). (Sutskever's form has the learning rate inside the velocity; the two differ as
soon as ε changes.)
"""

import optax

from bsresearch.optim import Hyper, Transform, decay

# Where the config gives none.
MOMENTUM = 0.9


def build(*, nesterov: bool = False) -> Transform:
    """The transform of one update.

    Args:
      nesterov: Nesterov's look-ahead, in torch's form.
    """

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        return optax.chain(
            decay(hyper),
            optax.trace(decay=hyper.momentum, nesterov=nesterov),
            optax.scale(-hyper.learning_rate),
        )

    return transform
