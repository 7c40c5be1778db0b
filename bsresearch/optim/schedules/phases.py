"""Shapes of a few phases without cycles: warm-up–stable–decay and the learning-rate range test."""

import numpy as np

from bsresearch.core.units import Span, exact
from bsresearch.optim.schedules.shape import between, check_choice, check_final, check_range, to_last, wrong

DECAYS = {
    'linear': lambda p: 1 - p,
    'cosine': lambda p: (1 + np.cos(np.pi * p)) / 2,
    'sqrt': lambda p: 1 - np.sqrt(p),
}


def warmup_stable_decay(
    t: np.ndarray,
    span: Span,
    *,
    warmup_fraction: float = 0.0,
    decay_fraction: float = 0.2,
    final: float = 0.0,
    decay: str = 'linear',
) -> np.ndarray:
    """(t + 1)/W for t < W; 1 for t < S; then final + (1 − final)·d(p) with p = (t + 1 − S)/(T − S).

    d is 1 − p, (1 + cos πp)/2 or 1 − √p (Hägele et al., 2024). The rise takes all of its W updates, update W − 1
    is at the peak; the decay takes all of its T − S, the last is exactly at `final`. W and S are the first updates
    with so much of the schedule's examples seen. optax has none; its joins start a rise at 0, where an
    update moves nothing, and reach the end at update T, which no run uses.

    Args:
      warmup_fraction: of the rise, of the schedule's examples.
      decay_fraction: of the decay, of the schedule's examples.
      final: value at the last update, a fraction of the peak.
      decay: linear | cosine | sqrt.
    """
    check_range('warmup_fraction', warmup_fraction, '[0, 1)')
    check_range('decay_fraction', decay_fraction, '(0, 1)', 'to decay throughout, use linear or cosine')
    check_final(final)
    check_choice('decay', decay, DECAYS)
    if exact(warmup_fraction) + exact(decay_fraction) > 1:
        cure = f'with schedule.warmup_fraction={warmup_fraction} that is more than the whole run; the sum is at most 1'
        raise wrong('decay_fraction', decay_fraction, cure)
    rise = span.step_of('schedule.warmup_fraction', fraction=exact(warmup_fraction))
    fall = span.step_of('schedule.decay_fraction', fraction=1 - exact(decay_fraction))
    if fall == span.steps:
        raise wrong('decay_fraction', decay_fraction, f'less than one of {span.steps} updates; make it larger')
    falling = final + (1 - final) * DECAYS[decay](np.clip((t + 1 - fall) / (span.steps - fall), 0, 1))
    return np.where(t < rise, (t + 1) / max(rise, 1), np.where(t < fall, 1.0, falling))


def range_test(t: np.ndarray, span: Span, *, start: float = 1e-6, kind: str = 'exponential') -> np.ndarray:
    """From `start` at the first update to exactly 1 at the last: start^(1 − p) or a line in p, p = t/(T − 1).

    Smith (2017, arXiv:1506.01186) is linear; fastai's lr_find is exponential and reads p = t/T. optax has none.

    Args:
      start: first value, a fraction of the peak.
      kind: exponential | linear.
    """
    check_choice('kind', kind, ('exponential', 'linear'))
    check_range('start', start, '(0, 1)', 'a fraction of the peak, which is learning_rate')
    p = to_last(t, span, 'range_test')
    return np.float_power(start, 1 - p) if kind == 'exponential' else between(start, 1.0, p)
