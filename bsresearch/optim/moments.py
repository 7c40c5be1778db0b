"""Moments that an optimizer keeps, right also for a decay so near 1 that float32 cannot tell the two apart.

m ← βm + (1 − β)x needs 1 − β, and its correction 1 − βᵗ: what float32 leaves of them after subtracting from 1 may be
wrong by 40 %, or 0. So both are formed on the host in float64 (Complements), and β itself is only used where it is not
near 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bsresearch.optim import Array, Complements, Hyper, PyTree


class Course(NamedTuple):
    """What the complements of (K,) updates follow from; NumPy arrays.

    beta1: β₁ of each, float64. updates: since the optimizer's slots were empty, the update itself counted, int64.
    log_products: gives Σ log β₁ over those updates, float64.
    """

    beta1: np.ndarray
    updates: np.ndarray
    log_products: Callable[[], np.ndarray]


def remainder(decay: float | np.ndarray, updates: np.ndarray) -> np.ndarray:
    """1 − βᵗ, (K,) float64; t = 0 has no moment to correct, and gives 1."""
    with np.errstate(divide='ignore', invalid='ignore'):  # log 0, which is what it should be; and 0 · log 0
        return np.where(updates > 0, -np.expm1(updates * np.log(decay)), 1.0)


def average(old: PyTree, new: PyTree, decay: Array | float, complement: Array | float) -> PyTree:
    """β·old + (1 − β)·new, from β and 1 − β: as old + (1 − β)(new − old) where β is ½ or more.

    Below ½ that form would leave the rounding of a large `old` in a small result.
    """
    near = decay >= 0.5
    kept, drawn = jnp.where(near, 1.0, decay), jnp.where(near, complement, 0.0)
    cast = lambda factor, x: jnp.asarray(factor, x.dtype)
    one = lambda m, x: cast(kept, m) * m + (cast(complement, m) * x - cast(drawn, m) * m)
    return jax.tree.map(one, old, new)


def average_squares(old: PyTree, new: PyTree, decay: float) -> PyTree:
    """β·old + (1 − β)·new²."""
    return average(old, jax.tree.map(lambda x: x * x, new), decay, 1 - decay)


def complements(hyper: Hyper) -> Complements:
    """Those of an update.

    Raises:
      ValueError: there are none, and what 1 − β would leave on the device cannot be trusted.
    """
    if hyper.complements is None:
        raise ValueError(
            'this optimizer needs Hyper.complements, formed on the host in float64: slots.complements makes them'
        )
    return hyper.complements
