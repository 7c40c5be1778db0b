"""SGD with momentum, learning rate outside the velocity: v ← μv + g + λw, w ← w − εv, as in torch and optax.

With `nesterov`, w ← w − ε(g + λw + μv). With `learning_rate_inside` (Sutskever et al. 2013; Keras), v ← μv + ε(g + λw),
w ← w − v, and with both w ← w − (μv + ε(g + λw)). Inside and outside differ as soon as ε changes.
"""

import optax

from bsresearch.optim import Hyper, Transform, decay, descend

# Where the config gives none.
MOMENTUM = 0.9
HAS_MOMENTUM = True
LEARNING_RATE_RULE = 'linear'


def build(
    *,
    nesterov: bool = False,
    learning_rate_inside: bool = False,
    decoupled: bool = False,
    no_decay: tuple[str, ...] = (),
) -> Transform:
    """The transform of one update.

    Args:
      nesterov: Nesterov's look-ahead, in torch's form.
      learning_rate_inside: each gradient enters the velocity times its own update's learning rate.
      decoupled: λw is not part of the velocity; the step gains −ελw (SGDW, Loshchilov & Hutter 2019).
      no_decay: groups of parameters without weight decay: 'bias', 'norm', or patterns of the path.
    """

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        velocity = optax.trace(decay=hyper.momentum, nesterov=nesterov)
        if not learning_rate_inside:
            return descend(hyper, velocity, decoupled=decoupled, no_decay=no_decay)
        # The state holds −v.
        step = (optax.scale(-hyper.learning_rate), velocity)
        if not decoupled:
            return optax.chain(decay(hyper, no_decay), *step)
        shrink = None if hyper.weight_decay is None else -hyper.learning_rate * hyper.weight_decay
        return optax.chain(*step, decay(hyper._replace(weight_decay=shrink), no_decay))

    return transform
