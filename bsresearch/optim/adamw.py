"""AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101): w ← w − ε(Adam direction + λw). The config's `momentum` is β₁."""

from bsresearch.optim import Complements, Hyper, PyTree, Transform, adam, moments

# Where the config gives none.
MOMENTUM = 0.9
HAS_MOMENTUM = True
LEARNING_RATE_RULE = 'sqrt'


def build(
    *,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    bias_correction: str = 'parity',
    no_decay: tuple[str, ...] = (),
) -> Transform:
    """The transform of one update.

    Args:
      beta2: decay of the second moment.
      epsilon: added to the root of the second moment, outside the root.
      bias_correction: of the first moment: parity | corrected (adam.py).
      no_decay: groups of parameters without weight decay: 'bias', 'norm', or patterns of the path.
    """
    return adam.build(
        beta2=beta2, epsilon=epsilon, bias_correction=bias_correction, decoupled=True, no_decay=no_decay
    )  # fmt: skip


def complements(course: moments.Course, **settings: object) -> Complements:
    """Adam's."""
    return adam.complements(course, **settings)  # pyright: ignore[reportArgumentType]


def precondition(opt_state: PyTree, gradient: PyTree, hyper: Hyper, *, epsilon: float, **settings: object) -> PyTree:
    """Adam's; the decoupled decay is no part of it."""
    return adam.precondition(opt_state, gradient, hyper, epsilon=epsilon, **settings)
