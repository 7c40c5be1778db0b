"""A target in a metric, `test_accuracy:0.95`: what a run is to come to, and which values are as good."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# How metrics of whole splits end that are better high, and better low.
HIGH, LOW = ('_accuracy', '_auc'), ('_loss', '_objective', '_calibration_error')


class Target(NamedTuple):
    """`test_accuracy:0.95`."""

    metric: str
    value: float

    @classmethod
    def of(cls, text: str, name: str = '--target') -> 'Target':
        """Raises ValueError, which names the field or flag, for what is none."""
        metric, colon, number = text.partition(':')
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if metric and math.isfinite(value):
            return cls(metric, value)
        cure = f'{number!r} is no number' if colon and metric else 'a target is <metric>:<value>, as test_accuracy:0.95'
        raise ValueError(f'{name}={text}: {cure}')


def better(metric: str) -> bool | None:
    """Whether a metric is better high (accuracies, AUCs) or low (losses, calibration errors); None where neither."""
    quantity = metric.partition('/')[0]  # behind it stands of which label
    return True if quantity.endswith(HIGH) else False if quantity.endswith(LOW) else None


def first_as_good(values: Sequence[float] | np.ndarray, target: float, higher: bool) -> int | None:
    """The place of the first value that is as good as the target, or better; None without one."""
    sign = 1.0 if higher else -1.0
    there = np.flatnonzero(sign * np.asarray(values, float) >= sign * target)
    return int(there[0]) if len(there) else None


def no_better(value: float, higher: bool) -> float:
    """To three digits, down where higher is better and up where lower is: what came to a value came to that."""
    rounded = float(f'{value:.3g}')
    digit = 10.0 ** (math.floor(math.log10(abs(value))) - 2) if value else 0.0
    if higher:
        return rounded - digit if rounded > value else rounded
    return rounded + digit if rounded < value else rounded
