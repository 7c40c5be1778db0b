"""Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1), weight decay added to the gradient as in torch.optim.Adam.

The config's `momentum` is β₁, which may change from update to update. The first moment after t updates is divided by
1 − β₁ᵗ with the current β₁, as torch and optax do (`parity`), or by 1 − ∏β₁ over the updates so far (`corrected`):
right for every course of β₁, so that under a constant gradient the update is ε. While β₁ is constant the two are one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from bsresearch.optim import Array, Hyper, PyTree, Transform, check, descend, scaled

# Where the config gives none.
MOMENTUM = 0.9
HAS_MOMENTUM = True
CORRECTIONS = ('parity', 'corrected')


class Corrected(NamedTuple):
    """adam: counts and moments, as `parity` keeps them. product: () ∏β₁ over the updates so far."""

    adam: optax.ScaleByAdamState
    product: Array


def _corrected(beta1: Array, beta2: float, epsilon: float) -> optax.GradientTransformation:
    """`optax.scale_by_adam` with the first moment's correction exchanged for 1 − ∏β₁."""
    parity = optax.scale_by_adam(beta1, beta2, epsilon)

    def init(params: PyTree) -> Corrected:
        return Corrected(parity.init(params), jnp.ones((), jnp.result_type(beta1)))

    def update(updates: PyTree, state: Corrected, params: PyTree = None) -> tuple[PyTree, Corrected]:
        updates, adam = parity.update(updates, state.adam, params)
        product = state.product * beta1
        factor = (1 - beta1**adam.count) / (1 - product)
        return jax.tree.map(lambda u: u * factor.astype(u.dtype), updates), Corrected(adam, product)

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
    moments = _corrected if bias_correction == 'corrected' else optax.scale_by_adam

    def transform(hyper: Hyper) -> optax.GradientTransformation:
        direction = moments(hyper.momentum, beta2, epsilon)
        return descend(hyper, direction, decoupled=decoupled, no_decay=no_decay)

    return transform


def precondition(opt_state: PyTree, gradient: PyTree, *, beta2: float, epsilon: float, **settings: object) -> PyTree:
    """P · gradient with P = 1/(√v̂ + epsilon), v̂ = v/(1 − β₂ᵗ) after t updates; 0 where v is (`scaled`)."""
    del settings
    adam = optax.tree.get(opt_state, 'ScaleByAdamState')
    # Before the first update v is 0, and so is P, whatever it is divided by.
    correction = 1 - beta2 ** jnp.maximum(adam.count, 1)
    return scaled(gradient, jax.tree.map(lambda v: v / correction.astype(v.dtype), adam.nu), epsilon)
