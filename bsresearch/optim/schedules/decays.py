"""Monotone shapes in one formula: constant, linear, polynomial, cosine, exponential, inverse square root."""

import numpy as np

from bsresearch.core.units import Span
from bsresearch.optim.schedules.shape import between, check_final, check_range, needed_length, position, to_last


def constant(t: np.ndarray, span: Span) -> np.ndarray:
    """1."""
    del span
    return np.ones(len(t))


def linear(t: np.ndarray, span: Span, *, start: float = 1.0, final: float = 0.0) -> np.ndarray:
    """A straight line, start·(1 − p) + final·p with p = t/(T − 1): exactly `start` first and `final` last.

    Equals torch's LinearLR(start_factor, end_factor, total_iters=T − 1). optax.linear_schedule(…, T) reaches its end
    at update T, which no run uses.

    Args:
      start, final: fractions of the peak.
    """
    check_range('start', start, '[0, 1]', 'a fraction of the peak, which is learning_rate')
    check_final(final)
    return between(start, final, to_last(t, span, 'linear'))


def polynomial(t: np.ndarray, span: Span, *, power: float = 1.0, final: float = 0.0, ends: str = 'last') -> np.ndarray:
    """A power of the rest, final + (1 − final)(1 − p)^power.

    With `past` it equals torch's PolynomialLR(total_iters=T) (where final = 0) and optax.polynomial_schedule(1, final,
    power, T): the end lies one past the last update. With `last` the last update is at the end.

    Args:
      power: exponent.
      final: value at the end, a fraction of the peak.
      ends: `last`: p = t/(T − 1); `past`: p = t/T.
    """
    check_range('power', power, '(0, inf)')
    check_final(final)
    return final + (1 - final) * np.float_power(1 - position(t, span, 'polynomial', ends), power)


def cosine(t: np.ndarray, span: Span, *, final: float = 0.0, ends: str = 'last') -> np.ndarray:
    """Half a cosine, final + (1 − final)(1 + cos πp)/2.

    With `past` it equals torch's CosineAnnealingLR(T_max=T, eta_min=final·peak) and optax.cosine_decay_schedule(1, T,
    alpha=final): the end lies one past the last update. With `last` the last update is at the end.

    Args:
      final: value at the end, a fraction of the peak.
      ends: `last`: p = t/(T − 1); `past`: p = t/T.
    """
    check_final(final)
    return final + (1 - final) * (1 + np.cos(np.pi * position(t, span, 'cosine', ends))) / 2


def exponential(t: np.ndarray, span: Span, *, final: float = 0.01) -> np.ndarray:
    """A power, final^p with p = t/(T − 1): a straight line in log scale, exactly `final` at the last update.

    optax.exponential_decay(1, T, final) reaches it at update T, which no run uses.

    Args:
      final: value at the last update, a fraction of the peak.
    """
    check_range('final', final, '(0, 1]', 'a fraction of the peak; an exponential never reaches 0')
    return np.float_power(final, to_last(t, span, 'exponential'))


def inverse_sqrt(
    t: np.ndarray, span: Span, *, timescale_epochs: float | None = None, timescale_steps: int | None = None
) -> np.ndarray:
    """√(τ/max(t, τ)): 1 up to update τ, then falling as 1/√t.

    Behind a zero_based warm-up of τ updates from 0 it is min(t/τ, √(τ/t)), the schedule of Vaswani et al. (2017),
    eq. 3, with its step number at t (theirs starts at 1). optax has none.

    Args:
      timescale_epochs, timescale_steps: τ, give one.
    """
    scale = needed_length(span, 'timescale', timescale_epochs, timescale_steps)
    return np.sqrt(scale / np.maximum(t, scale))
