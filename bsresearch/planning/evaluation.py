"""What is evaluated beside losses and accuracies, checked against data and loss before anything is made."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bsresearch.core import lookup
from bsresearch.data.select import Dataset
from bsresearch.data.splits import Split
from bsresearch.models import losses

METRICS = ('auc', 'calibration_error')


def check(config: Mapping[str, Any], loss: str, data: Dataset) -> None:
    """Refuses an evaluation of no split, a batch larger than each, and metrics that the data or the loss have none of.

    Args:
      config: with `evaluate` completed. loss: its name.

    Raises:
      ValueError: one line with the cure.
    """
    evaluated = {k: split for k, split in data.named().items() if config['evaluate'].get(k, True)}
    if not evaluated:
        raise ValueError(
            'config.evaluate.train=False and config.evaluate.test=False leave nothing to evaluate; use one of them, or '
            'config.data.validation=0.1'
        )
    size, largest = config['evaluate']['batch_size'], max(len(split.labels) for split in evaluated.values())
    if size is not None and size > largest:
        raise ValueError(
            f'config.evaluate.batch_size={size}: the largest split that is evaluated has {largest} examples; use at '
            'most so many, or None to let the engine choose'
        )
    metrics = config['evaluate']['metrics']
    for metric in metrics:
        if metric not in METRICS:
            raise ValueError(f'config.evaluate.metrics={metrics}: {metric!r}; {lookup.nearest(metric, METRICS)}')
    classes = losses.classifies(loss, data.num_outputs)
    if 'calibration_error' in metrics and not classes:
        raise ValueError(
            f'config.evaluate.metrics={metrics}: calibration_error is of the probability of the class that is told, '
            f'and loss.name={loss} has none; leave it out, or use --config.loss.name=cross_entropy'
        )
    if 'auc' in metrics:
        if not classes and loss not in losses.OF_LABELS:
            raise ValueError(
                f'config.evaluate.metrics={metrics}: auc is of classes or labels, and under loss.name={loss} outputs '
                'are neither; leave it out, or use data with classes and --config.loss.name=cross_entropy'
            )
        _check_both(metrics, evaluated, data.num_outputs)


def _check_both(metrics: tuple[str, ...], evaluated: Mapping[str, Split], num_outputs: int) -> None:
    """Raises ValueError unless in each split that is evaluated some examples have each label, and some have not."""
    for name, split in evaluated.items():
        labels, total = split.labels, len(split.labels)
        counts = labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=num_outputs)
        bad = np.flatnonzero((counts == 0) | (counts == total))
        if len(bad):
            all_or_none = 'all' if counts[bad[0]] else 'none'
            raise ValueError(
                f'config.evaluate.metrics={metrics}: auc compares examples with a label and '
                f'without it, and {all_or_none} of the {total} in the {name} split have label {bad[0]}; leave it out, '
                'or have both there: a larger data.validation or data.fraction, other data.classes'
            )
