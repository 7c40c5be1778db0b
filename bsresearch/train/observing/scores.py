"""Metrics of a whole split's outputs, on the host in float64: the area under the ROC curve, and calibration."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int, Num

# Of the calibration error, as Guo et al. have them.
BINS = 15


def of_split(
    values: Mapping[str, Num[np.ndarray, 'N *outputs']], labels: Num[np.ndarray, 'N *labels'], metrics: tuple[str, ...]
) -> dict[str, float]:
    """What is reported of a split: means over its examples, and `metrics` of its outputs.

    Args:
      values: of each example; `outputs` (N, C) where there are metrics. labels: int32 classes, or 0 and 1 for each; not
        read without metrics.
      metrics: of planning/evaluation.py:METRICS.
    """
    row = {quantity: float(v.sum() / len(v)) for quantity, v in values.items() if quantity != 'outputs'}
    if not metrics:
        return row
    outputs = values['outputs']
    if 'auc' in metrics:
        row |= auc(outputs, labels, softmax='accuracy' in values)
    if 'calibration_error' in metrics:
        row['calibration_error'] = calibration_error(outputs, labels)
    return row


def auc(outputs: Float[np.ndarray, 'N C'], labels: Int[np.ndarray, 'N *labels'], *, softmax: bool) -> dict[str, float]:
    """P(score of an example with the label > score of one without it) + ½ P(equal): `sklearn.metrics.roc_auc_score`.

    Args:
      outputs: logits. labels: (N,) classes, or (N, C) of 0 and 1.
      softmax: whether outputs are of classes that exclude each other. The score of the second of two is then the
        difference of the logits, that of one of more the log of its softmax probability; else it is the logit.

    Returns:
      Of two classes `auc`. Of others `auc/<label>`, one against the rest, and `auc`, their mean. NaN where an output is
      not finite.
    """
    from sklearn.metrics import roc_auc_score  # Here: seconds to import, and only this needs it.

    has = labels if labels.ndim == 2 else labels[:, None] == np.arange(outputs.shape[1])
    if softmax and outputs.shape[1] == 2:
        outputs, has, softmax = outputs[:, 1:] - outputs[:, :1], has[:, 1:], False
    if np.isfinite(outputs).all():
        scores = _log_softmax(outputs) if softmax else outputs
        each = [float(roc_auc_score(has[:, c], scores[:, c])) for c in range(scores.shape[1])]
    else:
        each = [np.nan] * outputs.shape[1]
    if len(each) == 1:
        return {'auc': each[-1]}
    return {'auc': float(np.mean(each))} | {f'auc/{c}': value for c, value in enumerate(each)}


def calibration_error(outputs: Float[np.ndarray, 'N C'], labels: Int[np.ndarray, ' N']) -> float:
    """Σ_m |B_m|/N · |accuracy(B_m) − confidence(B_m)| over 15 equal bins ((m − 1)/15, m/15] of the top probability.

    Confidence is the softmax probability of the class that is told, the first of equal ones; NaN where an output is not
    finite.

    Reference: Guo et al. 2017, arXiv:1706.04599, eq. 3, with M = 15 as in their section 5.
    """
    if not np.isfinite(outputs).all():
        return float('nan')
    predicted = outputs.argmax(1)
    confidence = np.exp(_log_softmax(outputs)[np.arange(len(predicted)), predicted])
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, (predicted == labels) - confidence, BINS)  # sums first: |B_m| cancels
    return float(np.abs(gaps).sum() / len(predicted))


def _log_softmax(outputs: Float[np.ndarray, 'N C']) -> Float[np.ndarray, 'N C']:
    shifted = outputs - outputs.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
