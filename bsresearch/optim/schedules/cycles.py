"""Cyclical learning rates of Smith (2017), with cyclic momentum and the paper's decay-only control."""

import numpy as np

from bsresearch.core.units import Span
from bsresearch.optim.schedules.shape import (
    Paired,
    check_choice,
    check_momenta,
    check_range,
    length_of,
    needed_length,
    wrong,
)

MODES = ('triangular', 'triangular2', 'exp_range', 'decay')


def _decay_only(t: np.ndarray, up: int) -> np.ndarray:
    """1 → 0 in a straight line over `up` updates, 0 after."""
    return np.maximum(0, up - t) / up


def _triangles(t: np.ndarray, up: int, down: int, mode: str, gamma: float) -> np.ndarray:
    """s·f: s rises 0 → 1 over `up` updates and falls over `down`; f = 1, 2^−cycle or gamma^t."""
    cycle, inside = np.divmod(t, up + down)
    s = np.where(inside <= up, inside / up, (up + down - inside) / down)
    if mode == 'triangular2':
        return np.ldexp(s, -cycle)
    return s * np.float_power(gamma, t) if mode == 'exp_range' else s


def cyclical(
    t: np.ndarray,
    span: Span,
    *,
    mode: str = 'triangular',
    base: float = 0.1,
    up_epochs: float | None = None,
    up_steps: int | None = None,
    down_epochs: float | None = None,
    down_steps: int | None = None,
    gamma: float = 1.0,
    cycle_momentum: bool = True,
    base_momentum: float = 0.8,
    max_momentum: float = 0.9,
) -> Paired:
    """CyclicLR of torch: base + (1 − base)·s·f and momentum max − (max − base)·s·f.

    s is a triangle of `up` + `down` updates; f is 1 (triangular), 2^−c in cycle c from 0 (triangular2) or gamma^t
    (exp_range: of the schedule's update, not the cycle's). The peak is met only while f = 1. Cycles are counted in
    integers. `decay` is the control of Smith (2017, arXiv:1506.01186): from the peak to the base over `up` updates,
    then the base, momentum at its maximum. A run shorter than one cycle is refused, which torch allows. optax has none.

    Args:
      mode: triangular | triangular2 | exp_range | decay.
      base: lowest value, a fraction of the peak.
      up_epochs, up_steps: the rise; give one.
      down_epochs, down_steps: the fall; at most one, without it as long as the rise.
      gamma: of exp_range.
      cycle_momentum: whether the momentum follows; without it, it is left alone.
      base_momentum, max_momentum: at s·f = 1 and 0; not used without `cycle_momentum`.
    """
    check_choice('mode', mode, MODES)
    check_range('base', base, '(0, 1)', 'a fraction of the peak')
    check_range('gamma', gamma, '(0, 1]', 'the peak must not grow')
    if gamma != 1 and mode != 'exp_range':
        raise wrong('gamma', gamma, f'schedule.mode={mode!r} does not use it; leave it at 1 or set mode=exp_range')
    check_momenta(base_momentum=base_momentum, max_momentum=max_momentum)
    up, down = needed_length(span, 'up', up_epochs, up_steps), length_of(span, 'down', down_epochs, down_steps)
    if mode == 'decay':
        if down is not None:
            raise wrong('mode', repr(mode), 'it has no fall after a rise; leave schedule.down_* out')
        if up >= span.steps:
            raise ValueError(
                f'schedule.up_*: {up} of {span.steps} updates: the base would never be reached; shorten it, or train '
                f'for at least {up + 1} updates'
            )
        share, mirrored = _decay_only(t, up), np.zeros(len(t))
    else:
        down = up if down is None else down
        if up + down > span.steps:
            raise ValueError(
                f'schedule.up_* and down_*: a cycle of {up} + {down} updates would never end in a run of {span.steps}; '
                f'shorten it (two equal parts: schedule.up_steps={max(1, span.steps // 2)}), or train for at least '
                f'{up + down} updates'
            )
        share = mirrored = _triangles(t, up, down, mode, gamma)
    momentum = max_momentum - (max_momentum - base_momentum) * mirrored
    return Paired(base + (1 - base) * share, momentum if cycle_momentum else None)
