"""RMSprop as torch.optim.RMSprop: s ← αs + (1 − α)g², v ← μv + g/(√s + epsilon), w ← w − εv.

`centered` (Graves 2013, arXiv:1308.0850, equations 38 to 41) has √(s − a²) for √s, with a ← αa + (1 − α)g. The learning
rate is outside the velocity, where optax.rmsprop has it inside, and epsilon outside the root. No bias correction.
Reference: Hinton 2012, Neural Networks for Machine Learning, lecture 6e.
"""

import jax
import jax.numpy as jnp
import optax

from bsresearch.optim import Hyper, PyTree, Transform, check, descend, moments, scaled

# Where the config gives none. The velocity is kept also then: a schedule may raise the momentum later.
MOMENTUM = 0.0
HAS_MOMENTUM = True
LEARNING_RATE_RULE = 'sqrt'


def _scale(alpha: float, epsilon: float, centered: bool) -> optax.GradientTransformation:
    """Divides by √s + epsilon, or √(s − a²) + epsilon; the state as in optax's scale_by_rms, or scale_by_stddev."""

    def init(params: PyTree) -> PyTree:
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)
        return optax.ScaleByRStdDevState(zeros(), zeros()) if centered else optax.ScaleByRmsState(zeros())

    def update(updates: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        del params
        state = state._replace(nu=moments.average_squares(state.nu, updates, alpha))
        if centered:
            state = state._replace(mu=moments.average(state.mu, updates, alpha, 1 - alpha))
        one = lambda g, v: g / (jnp.sqrt(v) + epsilon)
        return jax.tree.map(one, updates, _second(state, centered)), state

    return optax.GradientTransformation(init, update)


def _second(state: PyTree, centered: bool) -> PyTree:
    return jax.tree.map(lambda s, a: s - a * a, state.nu, state.mu) if centered else state.nu


def build(
    *,
    alpha: float = 0.99,
    epsilon: float = 1e-8,
    centered: bool = False,
    decoupled: bool = False,
    no_decay: tuple[str, ...] = (),
) -> Transform:
    """The transform of one update.

    Args:
      alpha: decay of the second moment.
      epsilon: added to the root, outside it.
      centered: divides by an estimate of the gradient's standard deviation. As in torch, a gradient that stays constant
        until s − a² rounds below 0 gives NaN.
      decoupled: λw is added beside the velocity, not to the gradient.
      no_decay: groups of parameters without weight decay: 'bias', 'norm', or patterns of the path.
    """
    check('[0, 1)', alpha=alpha)
    check('(0, ∞)', epsilon=epsilon)

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        direction = optax.chain(_scale(alpha, epsilon, centered), optax.trace(decay=hyper.momentum))
        return descend(hyper, direction, decoupled=decoupled, no_decay=no_decay)

    return transform


def precondition(
    opt_state: PyTree, gradient: PyTree, hyper: Hyper, *, epsilon: float, centered: bool, **settings: object
) -> PyTree:
    """P · gradient with P = 1/(√v + epsilon), v = s or, if `centered`, s − a²; 0 where v is (`scaled`)."""
    del hyper, settings
    state = optax.tree.get(opt_state, 'ScaleByRStdDevState' if centered else 'ScaleByRmsState')
    return scaled(gradient, _second(state, centered), epsilon)
