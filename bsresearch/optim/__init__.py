"""Optimizers. A file each with `build(…) -> Transform`; hyperparameters are inputs of every update, never state.

optax keeps injected hyperparameters and schedule counters in the optimizer's state, so a restored branch would go on
silently with its parent's; here the transform is made anew from the values of update t (traced, so nothing recompiles).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import optax


class Hyper(NamedTuple):
    """Hyperparameters of one update, scalars (or (K,) tables of them).

    learning_rate: after schedule and scaling.
    momentum: μ; β₁ for Adam-like optimizers.
    weight_decay: coupled (added to the gradient) for SGD and Adam, decoupled for AdamW.
    """

    learning_rate: jax.Array
    momentum: jax.Array
    weight_decay: jax.Array


Transform = Callable[[Hyper], optax.GradientTransformation]
