"""Runs of the noisy quadratic model beside what its recurrence predicts (theory/noisy_quadratic.py).

For constant learning rate and momentum, and runs of at most one pass over a set of their own, whose draws are
independent. Zhang et al. 2019 (arXiv:1907.04164), section 3.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from bsresearch.theory import noisy_quadratic


def predicted(run: Mapping[Hashable, Any]) -> tuple[np.ndarray, float]:
    """(T + 1,) expected losses of a run with these config fields, and their limit.

    Raises:
      ValueError: another model, a schedule, or more than one pass over the set.
    """
    _check(run)
    dimension, size = int(run['data.dimension']), int(run['batch_size'])
    h = noisy_quadratic.spectrum(dimension, float(run['model.exponent']))
    c = float(run['data.noise']) * noisy_quadratic.spectrum(dimension, float(run['data.noise_exponent']))
    sizes = np.full(-(-int(run['total_examples']) // size), size)
    sizes[-1] = int(run['total_examples']) - size * (len(sizes) - 1)
    rate, momentum = float(run['learning_rate']), float(run['momentum'])
    constant = lambda x: np.full(len(sizes), x)
    start = np.full(dimension, float(run['model.start']))
    moments = noisy_quadratic.moments(h, c, start, constant(rate), constant(momentum), sizes)
    return noisy_quadratic.expected_loss(h, moments), noisy_quadratic.steady_loss(h, c, rate, momentum, size)


def _check(run: Mapping[Hashable, Any]) -> None:
    plain = {'model.name': 'quadratic', 'data.name': 'noisy_quadratic', 'schedule.name': 'constant',
             'momentum_schedule.name': 'constant', 'batch_schedule.name': 'constant', 'warmup.examples': 0,
             'weight_decay': 0}  # fmt: skip
    for field, value in plain.items():
        if run[field] != value:
            raise ValueError(f'{field} is {run[field]!r}; {value!r} is needed for the recurrence')
    if run['total_examples'] > run['epoch_size']:
        raise ValueError('a run passes over its set more than once: its draws are not independent')
