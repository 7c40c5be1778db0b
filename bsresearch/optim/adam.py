"""Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1), weight decay added to the gradient as in torch.optim.Adam.

The config's `momentum` is β₁, which may change from update to update. The first moment after t updates is divided by
1 − β₁ᵗ with the current β₁, as torch and optax do (`parity`), or by 1 − ∏β₁ over the updates so far (`corrected`):
right for every course of β₁, so that under a constant gradient the update is ε. While β₁ is constant the two are one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bsresearch.optim import Array, Complements, Hyper, PyTree, Transform, check, descend, moments, scaled

# Where the config gives none.
MOMENTUM = 0.9
HAS_MOMENTUM = True
LEARNING_RATE_RULE = 'sqrt'
CORRECTIONS = ('parity', 'corrected')


class Corrected(NamedTuple):
    """adam: counts and moments, as `parity` keeps them. product: () ∏β₁ over the updates so far, to be looked at."""

    adam: optax.ScaleByAdamState
    product: Array


def complements(
    course: moments.Course, *, beta2: float, bias_correction: str = 'parity', **settings: object
) -> Complements:
    """1 − β₁ and the corrections of both moments."""
    del settings
    parity = bias_correction == 'parity'
    first = moments.remainder(course.beta1, course.updates) if parity else -np.expm1(course.log_products())
    second, before = (moments.remainder(beta2, course.updates - shift) for shift in (0, 1))
    return Complements(1 - course.beta1, first, second, before)


def scale_by_moments(hyper: Hyper, beta2: float, epsilon: float) -> optax.GradientTransformation:
    """m̂/(√v̂ + epsilon), the state as `optax.scale_by_adam` has it; what the moments are divided by is the host's."""

    def init(params: PyTree) -> optax.ScaleByAdamState:
        zeros = lambda: jax.tree.map(jnp.zeros_like, params)
        return optax.ScaleByAdamState(jnp.zeros((), jnp.int32), zeros(), zeros())

    def update(
        updates: PyTree, state: optax.ScaleByAdamState, params: PyTree = None
    ) -> tuple[PyTree, optax.ScaleByAdamState]:
        del params
        given = moments.complements(hyper)
        mu = moments.average(state.mu, updates, hyper.momentum, given.momentum)
        nu = moments.average_squares(state.nu, updates, beta2)
        direction = lambda m, v: (m / given.first) / (jnp.sqrt(v / given.second) + epsilon)
        return jax.tree.map(direction, mu, nu), optax.ScaleByAdamState(state.count + 1, mu, nu)

    return optax.GradientTransformation(init, update)


def _corrected(hyper: Hyper, beta2: float, epsilon: float) -> optax.GradientTransformation:
    """The same with ∏β₁ in the state."""
    parity = scale_by_moments(hyper, beta2, epsilon)

    def init(params: PyTree) -> Corrected:
        return Corrected(parity.init(params), jnp.ones((), jnp.result_type(hyper.momentum)))

    def update(updates: PyTree, state: Corrected, params: PyTree = None) -> tuple[PyTree, Corrected]:
        updates, adam = parity.update(updates, state.adam, params)
        return updates, Corrected(adam, 1 - moments.complements(hyper).first)

    return optax.GradientTransformation(init, update)


def build(
    *,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    bias_correction: str = 'parity',
    decoupled: bool = False,
    no_decay: tuple[str, ...] = (),
) -> Transform:
    """The transform of one update.

    Args:
      beta2: decay of the second moment.
      epsilon: added to the root of the second moment, outside the root.
      bias_correction: of the first moment: parity | corrected.
      decoupled: λw is added to Adam's direction, not to the gradient (which is AdamW).
      no_decay: groups of parameters without weight decay: 'bias', 'norm', or patterns of the path.
    """
    check('[0, 1)', beta2=beta2)
    check('(0, ∞)', epsilon=epsilon)
    if bias_correction not in CORRECTIONS:
        raise ValueError(f'optimizer.bias_correction={bias_correction!r}: allowed are {", ".join(CORRECTIONS)}')
    direction = _corrected if bias_correction == 'corrected' else scale_by_moments

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        return descend(hyper, direction(hyper, beta2, epsilon), decoupled=decoupled, no_decay=no_decay)

    return transform


def precondition(opt_state: PyTree, gradient: PyTree, hyper: Hyper, *, epsilon: float, **settings: object) -> PyTree:
    """P · gradient with P = 1/(√v̂ + epsilon), v̂ = v/(1 − β₂ᵗ) after t updates; 0 where v is (`scaled`)."""
    del settings
    second = optax.tree.get(opt_state, 'ScaleByAdamState').nu
    correction = moments.complements(hyper).second_before
    return scaled(gradient, jax.tree.map(lambda v: v / correction, second), epsilon)
