"""AdaDelta (Zeiler 2012, arXiv:1212.5701, algorithm 1), as torch.optim.Adadelta.

s ← ρs + (1 − ρ)g², d = g·√(x + epsilon)/√(s + epsilon), x ← ρx + (1 − ρ)d², w ← w − εd; the paper's ε is 1.
"""

import optax

from bsresearch.optim import Hyper, Transform, check, descend

MOMENTUM = 0.0
HAS_MOMENTUM = False


def build(
    *,
    rho: float = 0.9,
    epsilon: float = 1e-6,
    decoupled: bool = False,
    no_decay: tuple[str, ...] = (),
) -> Transform:
    """The transform of one update.

    Args:
      rho: decay of both second moments.
      epsilon: added to both second moments, inside the roots; it also sets the size of the first steps.
      decoupled: λw is added beside the scaled gradient, not to the gradient.
      no_decay: groups of parameters without weight decay: 'bias', 'norm', or patterns of the path.
    """
    check('[0, 1)', rho=rho)
    check('(0, ∞)', epsilon=epsilon)

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        return descend(hyper, optax.scale_by_adadelta(rho, epsilon), decoupled=decoupled, no_decay=no_decay)

    return transform
