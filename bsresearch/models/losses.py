"""Per-example losses and their weighted sum. Who divides does so once, by the examples counted, after all sums."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Num

from bsresearch.core import own_part

# Of labels that are each there or not, whatever the others are.
OF_LABELS = ('sigmoid_cross_entropy',)
# Losses of real targets, of labels, or of none: no output is the one class, and there is no accuracy.
WITHOUT_CLASSES = ('squared_error', 'sum_of_outputs', *OF_LABELS)
# What the training objective has beside the plain loss, and the value that leaves it out.
OBJECTIVE_ALONE = {'label_smoothing': 0.0}


def classifies(name: str, num_outputs: int) -> bool:
    """Whether outputs under the loss of that name are classes; under one of a user's own several are."""
    return num_outputs > 1 if own_part.is_path(name) else name not in WITHOUT_CLASSES


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of a loss's settings, those of the loss that evaluations report: without what only the training objective has."""
    return {k: OBJECTIVE_ALONE.get(k, v) for k, v in settings.items()}


def cross_entropy(
    outputs: Float[Array, 'B C'], labels: Num[Array, 'B *labels'], *, label_smoothing: float = 0.0
) -> Float[Array, 'B']:
    """Softmax cross-entropy in nats.

    Args:
      outputs: (B, C) logits.
      labels: (B,) integers.
      label_smoothing: ε of the targets (1 − ε)·onehot + ε/C, in [0, 1): of the training objective alone. Losses of
        whole splits are reported without it (train/observing/evaluate.py), losses of updates and measurements with it.

    Returns:
      (B,), not averaged.
    """
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f'loss.name=cross_entropy needs classes, not {labels.dtype} labels; use --config.loss.name=squared_error'
        )
    if labels.ndim != 1:
        raise ValueError(
            f'loss.name=cross_entropy needs one class an example, not {labels.shape[1]} labels; use '
            '--config.loss.name=sigmoid_cross_entropy'
        )
    if not 0 <= label_smoothing < 1:
        raise ValueError(f'loss.label_smoothing={label_smoothing}: must lie in [0, 1)')
    if label_smoothing == 0:
        return optax.softmax_cross_entropy_with_integer_labels(outputs, labels)
    onehot = jax.nn.one_hot(labels, outputs.shape[-1], dtype=outputs.dtype)
    return optax.softmax_cross_entropy(outputs, optax.smooth_labels(onehot, label_smoothing))


def sigmoid_cross_entropy(outputs: Float[Array, 'B C'], labels: Num[Array, 'B *labels']) -> Float[Array, 'B']:
    """Σ_c −y_c log σ(f_c) − (1 − y_c) log(1 − σ(f_c)): binary cross-entropies in nats, summed over the labels.

    Args:
      outputs: (B, C) logits f, one for each label.
      labels: (B, C) integers y, 1 where an example has the label and 0 where not; or (B,) classes, each a label of its
        own (one against the rest).

    Returns:
      (B,), not averaged.
    """
    if not jnp.issubdtype(labels.dtype, jnp.integer) or labels.shape not in (outputs.shape, outputs.shape[:1]):
        raise ValueError(
            f'loss.name=sigmoid_cross_entropy needs {outputs.shape[-1]} labels of 0 or 1 an example, or classes, not '
            f'{labels.dtype}{list(labels.shape[1:])}; use --config.loss.name=squared_error for targets'
        )
    if labels.ndim == 1:
        labels = jax.nn.one_hot(labels, outputs.shape[-1], dtype=outputs.dtype)
    return optax.sigmoid_binary_cross_entropy(outputs, labels.astype(outputs.dtype)).sum(-1)


def squared_error(outputs: Float[Array, 'B C'], labels: Num[Array, 'B *labels']) -> Float[Array, 'B']:
    """½(f − y)², so that the Hessian of a linear model is E[xxᵀ].

    Args:
      outputs: (B, 1) predictions f.
      labels: (B,) real targets y.

    Returns:
      (B,), not averaged.
    """
    if outputs.shape[-1] != 1 or not jnp.issubdtype(labels.dtype, jnp.floating):
        raise ValueError(
            f'loss.name=squared_error needs one output and real-valued labels, not {outputs.shape[-1]} outputs and '
            f'{labels.dtype} labels; use --config.loss.name=cross_entropy, or data with targets'
        )
    return 0.5 * (outputs[:, 0] - labels) ** 2


def sum_of_outputs(outputs: Float[Array, 'B C'], labels: Num[Array, 'B *labels']) -> Float[Array, 'B']:
    """Σ_c of an example's outputs, for a model whose outputs are the loss itself (models/quadratic.py).

    Args:
      outputs: (B, C).
      labels: (B,), not used.

    Returns:
      (B,), not averaged.
    """
    del labels
    return outputs.sum(-1)


def weighted_sum(losses: Float[Array, 'B'], weights: Float[Array, 'B']) -> Float[Array, '']:
    """Σ w_i l_i; padding has weight 0, also where its loss is not finite."""
    return jnp.where(weights > 0, losses * weights, 0).sum()
