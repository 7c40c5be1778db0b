"""Optimizers. A file each with `build(…) -> Transform`; hyperparameters are inputs of every update, never state.

optax keeps injected hyperparameters and schedule counters in the optimizer's state, so a restored branch would go on
silently with its parent's; here the transform is made anew from the values of update t (traced, so nothing recompiles).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import optax

# jax.Array on the device, np.ndarray on the host.
Array = Any


class Hyper(NamedTuple):
    """Hyperparameters of one update, scalars (or (K,) tables of them).

    learning_rate: after schedule and scaling.
    momentum: μ; β₁ for Adam-like optimizers.
    weight_decay: coupled (added to the gradient) for SGD and Adam, decoupled for AdamW. None where no run of the group
      has any: the update then does not read the weights a second time.
    """

    learning_rate: Array
    momentum: Array
    weight_decay: Array


Transform = Callable[[Hyper], optax.GradientTransformation]


def decay(hyper: Hyper) -> optax.GradientTransformation:
    """Adds λw to what passes through; nothing where there is no weight decay."""
    return optax.identity() if hyper.weight_decay is None else optax.add_decayed_weights(hyper.weight_decay)
