"""Learning rates of layers: what an optimizer's update of a parameter is multiplied by.

The factor comes after everything else, so it is one of the learning rate, whatever the optimizer: of the gradient's
step and of a decoupled decay's alike. 0 freezes: not a bit of the weight moves. What is frozen still has a gradient,
which counts in norms and in clipping, and batch norm's running statistics still follow the data.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from bsresearch.optim import Hyper, Transform, check_groups, matches

PyTree = Any
FIELD = 'config.layer_rates'


def parse(texts: tuple[str, ...]) -> list[tuple[str, float]]:
    """(pattern, factor) of each 'pattern=factor'.

    Raises:
      ValueError: one that is not of that form, or a factor that is negative or not finite.
    """
    rates = []
    for text in texts:
        pattern, _, number = text.rpartition('=')
        try:
            factor = float(number)
        except ValueError:
            factor = math.nan
        if not pattern or not 0 <= factor < math.inf:
            raise ValueError(
                f"{FIELD}={texts}: {text!r}; write <pattern>=<factor>, a factor of at least 0: 'dense_0/*=0', 'bias=2'"
            )
        rates.append((pattern, factor))
    return rates


def factors(params: PyTree, texts: tuple[str, ...]) -> PyTree:
    """Of each parameter the factor of the last pattern that it matches, 1 without any; only paths are read."""
    tree = jax.tree.map(lambda _: 1.0, params)
    for pattern, factor in parse(texts):
        hit = matches(params, (pattern,))
        tree = jax.tree.map(lambda before, now, factor=factor: factor if now else before, tree, hit)
    return tree


def check(params: PyTree, texts: tuple[str, ...]) -> None:
    """Raises ValueError for a pattern that matches no parameter, or where nothing would be trained."""
    check_groups(params, tuple(pattern for pattern, _ in parse(texts)), FIELD, may_be_empty=False)
    if texts and not any(jax.tree.leaves(factors(params, texts))):
        raise ValueError(f'{FIELD}={texts} freezes every parameter; leave one at least to be trained')


def scaled(transform: Transform, texts: tuple[str, ...]) -> Transform:
    """An optimizer whose updates are multiplied so; its state is as without."""
    if not texts:
        return transform

    def of(hyper: Hyper) -> optax.GradientTransformation:
        inner = transform(hyper)

        def update(gradient: PyTree, state: Any, params: PyTree = None) -> tuple[PyTree, Any]:
            updates, state = inner.update(gradient, state, params)
            return jax.tree.map(_times, factors(updates, texts), updates), state

        return optax.GradientTransformation(inner.init, update)

    return of


def _times(factor: float, update: jax.Array) -> jax.Array:
    if factor == 0:
        return jnp.full_like(update, -0.0)  # w + (-0) is w for each w, also for -0; and 0 · NaN would be NaN
    return update if factor == 1 else update * jnp.asarray(factor, update.dtype)
