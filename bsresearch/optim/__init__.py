"""Optimizers. A file each with `build(…) -> Transform`; hyperparameters are inputs of every update, never state.

optax keeps injected hyperparameters and schedule counters in the optimizer's state, so a restored branch would go on
silently with its parent's; here the transform is made anew from the values of update t (traced, so nothing recompiles).

A file also says MOMENTUM, the config's `momentum` where none is given, HAS_MOMENTUM, whether it reads one at all, and
LEARNING_RATE_RULE, how ε suits k times the batch: linear in k where a step is the gradient (or its running sum) times
ε, sqrt where the step is divided by the gradient's scale.
It may have `precondition(opt_state, gradient, hyper, **settings) -> P · gradient`, P the diagonal its second moments
give, and `complements(course, **settings) -> Complements`, which its transform then gets in Hyper (moments.py).
"""

import fnmatch
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bsresearch.core import lookup

# jax.Array on the device, np.ndarray on the host.
Array = Any
PyTree = Any


class Complements(NamedTuple):
    """What lies between 1 and a decay, or a power of it, of one update: scalars (or (K,) tables), from float64.

    momentum: 1 − β₁. first, second: what the moments are divided by after the update, 1 − β₁ᵗ (or 1 − ∏β₁) and 1 − β₂ᵗ.
      second_before: the second moment's before the update. None where an optimizer has no such moment.
    """

    momentum: Array
    first: Array = None
    second: Array = None
    second_before: Array = None


class Hyper(NamedTuple):
    """Hyperparameters of one update, scalars (or (K,) tables of them).

    learning_rate: after schedule and scaling.
    momentum: μ; β₁ for Adam-like optimizers.
    weight_decay: λ; added to the gradient or to the step, as the optimizer's file says. None where no run of the group
      has any: the update then does not read the weights a second time.
    complements: None for an optimizer without `complements`.
    """

    learning_rate: Array
    momentum: Array
    weight_decay: Array
    complements: Complements | None = None


Transform = Callable[[Hyper], optax.GradientTransformation]
# Of an optimizer that does not say otherwise.
USUAL = {'MOMENTUM': 0.0, 'HAS_MOMENTUM': False, 'LEARNING_RATE_RULE': 'linear'}

# Groups of parameters by name, from the names on a parameter's path.
GROUPS: dict[str, Callable[[list[str]], bool]] = {
    'bias': lambda names: names[-1] == 'bias',
    'norm': lambda names: any(name.startswith('norm') for name in names[:-1]),
}
INTERVALS: dict[str, Callable[[float], bool]] = {
    '[0, 1)': lambda value: 0 <= value < 1,
    '(0, ∞)': lambda value: 0 < value < math.inf,
    '[0, ∞)': lambda value: 0 <= value < math.inf,
}


def member(name: str) -> Any:
    """The optimizer of a name: its `build`, MOMENTUM, HAS_MOMENTUM, LEARNING_RATE_RULE and what else it has.

    One of a user's own, by an import path, has no momentum unless its file says so.

    Raises:
      ValueError: no such optimizer, with the nearest names.
    """
    module = lookup.module(__name__, 'build', name, 'optimizer')
    for field, value in USUAL.items():
        vars(module).setdefault(field, value)
    return module


def built(name: str, settings: Mapping[str, Any], no_decay: tuple[str, ...] = ()) -> Transform:
    """The transform of an optimizer with its settings.

    Raises:
      ValueError: settings that it refuses, or groups without decay where it takes none.
    """
    build = member(name).build
    if 'no_decay' in lookup.keywords(build):
        return build(**settings, no_decay=no_decay)
    if no_decay:
        raise ValueError(f'config.no_decay={no_decay}: optimizer {name} takes no `no_decay`')
    return build(**settings)


def check(interval: str, **settings: float) -> None:
    """Raises ValueError, naming the setting, unless each lies in `interval` (of INTERVALS)."""
    for field, value in settings.items():
        if not INTERVALS[interval](value):
            raise ValueError(f'optimizer.{field}={value}: must lie in {interval}')


def path_of(keys: tuple[Any, ...]) -> str:
    """The names on a parameter's path, joined by '/'."""
    return jax.tree_util.keystr(keys, simple=True, separator='/')


def _matches(path: str, pattern: str) -> bool:
    return GROUPS[pattern](path.split('/')) if pattern in GROUPS else fnmatch.fnmatchcase(path, pattern)


def matches(params: PyTree, patterns: tuple[str, ...]) -> PyTree:
    """Which parameters belong to any of the groups: the tree of `params` with a bool per leaf.

    Args:
      params: arrays or their shapes; only the paths are read.
      patterns: 'bias' (leaves of that name), 'norm' (all below a module whose name starts so), or glob patterns of the
        whole path, its names joined by '/' ('output/*'; '*' also stands for several names).
    """
    return jax.tree_util.tree_map_with_path(lambda keys, _: any(_matches(path_of(keys), p) for p in patterns), params)


def check_groups(params: PyTree, patterns: tuple[str, ...], field: str, *, may_be_empty: bool = True) -> None:
    """Raises ValueError for a glob pattern that no parameter matches; `field` is how the config names the patterns.

    may_be_empty: of 'bias' and 'norm', which a network without normalization has none of to spare.
    """
    paths = [path_of(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(params)]
    for pattern in patterns:
        if not (may_be_empty and pattern in GROUPS) and not any(_matches(path, pattern) for path in paths):
            raise ValueError(
                f'{field}={patterns}: {pattern!r} matches no parameter; '
                f'use {", ".join(map(repr, GROUPS))} or a glob pattern of {", ".join(paths)}'
            )


def decay(hyper: Hyper, no_decay: tuple[str, ...] = ()) -> optax.GradientTransformation:
    """Adds λw to what passes through, for all parameters but those of the groups `no_decay`; keeps no state.

    Where there is no weight decay, nothing. (optax.masked would wrap the state, in this case only.)
    """
    if hyper.weight_decay is None:
        return optax.identity()
    if not no_decay:
        return optax.add_decayed_weights(hyper.weight_decay)

    def add(updates: PyTree, params: PyTree) -> PyTree:
        one = lambda spared, u, w: u if spared else u + hyper.weight_decay * w
        return jax.tree.map(one, matches(params, no_decay), updates, params)

    return optax.stateless(add)


def descend(
    hyper: Hyper, direction: optax.GradientTransformation, *, decoupled: bool, no_decay: tuple[str, ...]
) -> optax.GradientTransformation:
    """A step along d with weight decay: w ← w − ε·d(g + λw), or decoupled w ← w − ε·(d(g) + λw).

    Args:
      direction: d, from gradients to what the learning rate multiplies.
      decoupled: the decay is not part of the gradient; its factor is ελ, with the scheduled learning rate
        (Loshchilov & Hutter 2019, arXiv:1711.05101).
      no_decay: groups without decay, as `matches` takes them.
    """
    weights = decay(hyper, no_decay)
    parts = (direction, weights) if decoupled else (weights, direction)
    return optax.chain(*parts, optax.scale(-hyper.learning_rate))


def scaled(gradient: PyTree, moments: PyTree, epsilon: float) -> PyTree:
    """P · gradient with P = 1/(√v + epsilon) of the second moments v, as they are before the update; v never changes.

    0 where v is: a coordinate that has had no gradient yet (all of them before the first update) has no scale, and
    1/epsilon would let it outweigh all others.
    """
    return jax.tree.map(
        lambda g, v: jnp.where(v > 0, g / (jnp.sqrt(v) + epsilon), 0).astype(g.dtype), gradient, moments
    )


def adapt(trust_coefficient: float, epsilon: float, not_adapted: tuple[str, ...]) -> optax.GradientTransformation:
    """Layer-wise rates: u ← u·η‖w‖/(‖u‖ + epsilon); u where ‖w‖ or ‖u‖ is 0 and in the groups `not_adapted`.

    NaN where ‖u‖ is not finite, also if all its entries are: divided by, it would leave zeros, and the run would stand
    still unseen.
    """
    ratio = optax.scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=epsilon)

    def update(updates: PyTree, state: Any, params: PyTree = None) -> tuple[PyTree, Any]:
        adapted, state = ratio.update(updates, state, params)
        known = lambda u, r: jnp.where(jnp.isfinite(jnp.linalg.norm(u.reshape(-1))), r, jnp.nan)
        return jax.tree.map(known, updates, adapted), state

    checked = optax.GradientTransformation(ratio.init, update)
    return optax.masked(checked, lambda tree: jax.tree.map(lambda spared: not spared, matches(tree, not_adapted)))
