"""One-cycle in Smith's own form, with the annihilation tail, and as optax computes it."""

import numpy as np

from bsresearch.core.units import Span
from bsresearch.optim.schedules.shape import Paired, between, check_momenta, check_range, wrong


def _smith_end(span: Span, cycle_fraction: float) -> int:
    """The even update where the cycle ends; the tail has at least one after it.

    Raises:
      ValueError: the cycle would be shorter than two updates.
    """
    check_range('cycle_fraction', cycle_fraction, '(0, 1)', 'the tail needs the rest')
    wanted = span.step_of('schedule.cycle_fraction', fraction=cycle_fraction)
    end = min(wanted, span.steps - 2) // 2 * 2
    if end < 2:
        cure = f'over {span.steps} updates leaves {end} for the cycle, which needs 2; take more of at least 4 updates'
        raise wrong('cycle_fraction', cycle_fraction, cure)
    return end


def one_cycle_smith(
    t: np.ndarray,
    span: Span,
    *,
    cycle_fraction: float = 0.9,
    div_factor: float = 10.0,
    tail_factor: float = 0.01,
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
) -> Paired:
    """Smith (2018): min → 1 → min in two equal straight lines over E updates, then straight to min·tail_factor.

    min = 1/div_factor. E is the first update with `cycle_fraction` of the schedule's examples seen, at most T − 2 and
    rounded down to an even number: the peak is update E/2, min is update E, min·tail_factor is the last update, each
    exactly. Momentum goes max → base → max and stays. Neither torch nor optax has a cycle of equal steps with a tail.

    Args:
      cycle_fraction: of the schedule's examples, "slightly smaller than the total".
      div_factor: peak/min.
      tail_factor: last value/min; "several orders of magnitude" in the paper.
      cycle_momentum: whether the momentum mirrors it; without it, it is left alone.
      base_momentum, max_momentum: at the peak and at the ends; not used without `cycle_momentum`.
    """
    check_range('div_factor', div_factor, '[1, inf)', 'the peak would lie below the start')
    check_range('tail_factor', tail_factor, '[0, 1]', 'the tail descends')
    check_momenta(base_momentum=base_momentum, max_momentum=max_momentum)
    end = _smith_end(span, cycle_fraction)
    low, half = 1 / div_factor, end // 2
    height = np.maximum(0, half - np.abs(t - half)) / half
    tail = np.clip((t - end) / (span.steps - 1 - end), 0, 1)
    factor = np.where(t < end, between(low, 1.0, height), between(low, low * tail_factor, tail))
    return Paired(factor, between(max_momentum, base_momentum, height) if cycle_momentum else None)


def one_cycle_optax(
    t: np.ndarray,
    span: Span,
    *,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    cosine: bool = True,
    pct_final: float = 0.85,
) -> np.ndarray:
    """optax.cosine_onecycle_schedule(T, 1, …) or linear_onecycle_schedule(T, 1, …), in float64.

    1/div → 1 at ⌊pct_start·T⌋ → 1/(div·final_div) at update T, which no run uses; the linear one is back at 1/div at
    ⌊pct_final·T⌋ (optax's docstring ends it at 1/final_div: its code does not). Momentum is left alone. Differs from
    torch's by up to 0.03 of the peak: `one_cycle`.

    Args:
      pct_start, pct_final: of the updates, to the peak and back; the latter is not used by the cosine.
      cosine: the one of cosines; without it the linear one.
      div_factor: peak/first value.
      final_div_factor: first value/value at update T.
    """
    check_range('pct_start', pct_start, '(0, 1)', 'a part rises and a part falls')
    check_range('pct_final', pct_final, '(0, 1)', 'a part of the updates')
    check_range('div_factor', div_factor, '[1, inf)', 'the peak would lie below the start')
    check_range('final_div_factor', final_div_factor * div_factor, '[1, inf)', 'the peak would lie below the end')
    steps = span.steps
    edges = [0, int(pct_start * steps), *([] if cosine else [int(pct_final * steps)]), steps]
    if sorted(set(edges)) != edges:
        cure = (
            f'over {steps} updates the phases of one_cycle_optax would end at updates {edges[1:]}; each must have one'
        )
        raise wrong('pct_start', pct_start, cure)
    levels = np.cumprod([1 / div_factor, div_factor, *([] if cosine else [1 / div_factor]), 1 / final_div_factor])
    if cosine:
        levels[-1] = levels[1] * (1 / (div_factor * final_div_factor))
    phase = np.searchsorted(edges, t, side='right') - 1
    start, end = np.array(edges)[phase], np.array(edges)[phase + 1]
    a, b, p = levels[phase], levels[phase + 1], (t - start) / (end - start)
    return b + (a - b) / 2 * (np.cos(np.pi * p) + 1) if cosine else (b - a) * p + a
