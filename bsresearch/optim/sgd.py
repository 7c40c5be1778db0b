"""Plain SGD: w ← w − ε(g + λw). No velocity is kept, so its state is empty."""

import optax

from bsresearch.optim import Hyper, Transform, decay

MOMENTUM = 0.0


def build() -> Transform:
    """The transform of one update."""

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        return optax.chain(decay(hyper), optax.scale(-hyper.learning_rate))

    return transform
