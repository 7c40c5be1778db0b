"""AdaGrad (Duchi, Hazan & Singer 2011, JMLR 12, figure 1, diagonal): s ← s + g², w ← w − ε·g/(√s + epsilon).

As torch.optim.Adagrad without lr_decay: epsilon is outside the root and s starts at 0. (optax.scale_by_rss has epsilon
inside the root, so the division is written here.)
"""

import jax
import jax.numpy as jnp
import optax

from bsresearch.optim import Hyper, PyTree, Transform, check, descend, scaled

MOMENTUM = 0.0
HAS_MOMENTUM = False
LEARNING_RATE_RULE = 'sqrt'


def _scale(initial: float, epsilon: float) -> optax.GradientTransformation:
    """Divides by √s + epsilon."""

    def init(params: PyTree) -> optax.ScaleByRssState:
        return optax.ScaleByRssState(jax.tree.map(lambda w: jnp.full_like(w, initial), params))

    def update(
        updates: PyTree, state: optax.ScaleByRssState, params: PyTree = None
    ) -> tuple[PyTree, optax.ScaleByRssState]:
        del params
        total = jax.tree.map(lambda s, g: s + g * g, state.sum_of_squares, updates)
        updates = jax.tree.map(lambda s, g: g / (jnp.sqrt(s) + epsilon), total, updates)
        return updates, optax.ScaleByRssState(total)

    return optax.GradientTransformation(init, update)


def build(
    *,
    initial_accumulator: float = 0.0,
    epsilon: float = 1e-10,
    decoupled: bool = False,
    no_decay: tuple[str, ...] = (),
) -> Transform:
    """The transform of one update.

    Args:
      initial_accumulator: s before the first update.
      epsilon: added to the root of s, outside the root.
      decoupled: λw is added beside the scaled gradient, not to the gradient.
      no_decay: groups of parameters without weight decay: 'bias', 'norm', or patterns of the path.
    """
    check('[0, ∞)', initial_accumulator=initial_accumulator)
    check('(0, ∞)', epsilon=epsilon)

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        return descend(hyper, _scale(initial_accumulator, epsilon), decoupled=decoupled, no_decay=no_decay)

    return transform


def precondition(opt_state: PyTree, gradient: PyTree, hyper: Hyper, *, epsilon: float, **settings: object) -> PyTree:
    """P · gradient with P = 1/(√s + epsilon); 0 where s is (`scaled`)."""
    del hyper, settings
    return scaled(gradient, optax.tree.get(opt_state, 'sum_of_squares'), epsilon)
