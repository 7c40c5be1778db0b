"""One-cycle as torch and fastai compute it, momentum mirroring the learning rate."""

import numpy as np

from bsresearch.core.units import Span
from bsresearch.optim.schedules.shape import Paired, check_choice, check_momenta, check_range, check_updates, wrong


def _anneal(strategy: str, ends: list[float], levels: list[float], t: np.ndarray) -> np.ndarray:
    """From levels[i] to levels[i + 1] over phase i, which starts where the last one ended, the first at 0.

    In torch's order of operations: the peak and the end are met to the last bit where torch meets them.
    """
    phase = np.searchsorted(ends, t, side='left')
    start, end = (np.array(edges)[phase] for edges in ([0.0, *ends[:-1]], ends))
    a, b = (np.array(edges)[phase] for edges in (levels[:-1], levels[1:]))
    p = (t - start) / (end - start)
    return b + (a - b) / 2 * (np.cos(np.pi * p) + 1) if strategy == 'cos' else (b - a) * p + a


def _torch_ends(steps: int, pct_start: float, three_phase: bool) -> list[float]:
    """The updates, as floats, where torch's phases end.

    Raises:
      ValueError: a phase has no length, lies before update 0 or after the last, or no update sees the cycle. torch
        divides by zero there, or starts in mid-fall, or goes through the cycle between two updates.
    """
    ends = [pct_start * steps - 1, steps - 1.0]
    if three_phase:
        ends.insert(1, 2 * pct_start * steps - 2)
    back = ends[1]
    if ends[0] <= 0 or back <= 1 or sorted(set(ends)) != ends:
        need = 'pct_start·updates > 1.5 and pct_start ≤ 0.5' if three_phase else 'pct_start·updates > 1, updates ≥ 3'
        listed = ', '.join(f'{e:g}' for e in ends)
        cure = f'over {steps} updates the phases of one_cycle would end at updates {listed}; needed are {need}'
        raise wrong('pct_start', pct_start, cure)
    return ends


def one_cycle(
    t: np.ndarray,
    span: Span,
    *,
    pct_start: float = 0.3,
    anneal_strategy: str = 'cos',
    three_phase: bool = False,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
) -> Paired:
    """OneCycleLR of torch: initial → 1 → min in two phases, or initial → 1 → initial → min in three.

    initial = 1/div_factor, min = initial/final_div_factor. Two phases end at pct_start·T − 1 and T − 1, three at
    pct_start·T − 1, 2·pct_start·T − 2 and T − 1; never rounded, so the peak is met exactly where pct_start·T is whole.
    Momentum goes max → base → max, and stays at max in the third phase. From a to b, with p from 0 to 1 over a phase:
    b + (a − b)(1 + cos πp)/2 or a + (b − a)p. optax's namesakes: `one_cycle_optax`.

    Args:
      pct_start: of the updates, spent rising.
      anneal_strategy: cos | linear.
      three_phase: fall back as long as the rise was, then on to the end; without it in one phase.
      three_phase: fall back as long as the rise was, then on to the end; without it in one phase.
      div_factor: peak/initial.
      final_div_factor: initial/min.
      cycle_momentum: whether the momentum mirrors it; without it, it is left alone.
      base_momentum, max_momentum: at the peak and at the ends; not used without `cycle_momentum`.
    """
    check_range('pct_start', pct_start, '(0, 1)', 'a part rises and a part falls')
    check_choice('anneal_strategy', anneal_strategy, ('cos', 'linear'))
    check_range('div_factor', div_factor, '[1, inf)', 'the peak would lie below the start')
    check_range('final_div_factor', final_div_factor, '(0, inf)')
    check_range('final_div_factor', final_div_factor * div_factor, '[1, inf)', 'the peak would lie below the end')
    check_momenta(base_momentum=base_momentum, max_momentum=max_momentum)
    ends = _torch_ends(span.steps, pct_start, three_phase)
    initial, back = 1 / div_factor, [1 / div_factor] if three_phase else []
    factor = _anneal(anneal_strategy, ends, [initial, 1.0, *back, initial / final_div_factor], t)
    if not cycle_momentum:
        return Paired(factor, None)
    momenta = [max_momentum, base_momentum, max_momentum, max_momentum][: len(ends) + 1]
    return Paired(factor, _anneal(anneal_strategy, ends, momenta, t))


def one_cycle_fastai(
    t: np.ndarray,
    span: Span,
    *,
    pct_start: float = 0.25,
    div: float = 25.0,
    div_final: float = 1e5,
    moms: tuple[float, ...] = (0.95, 0.85, 0.95),
    cycle_momentum: bool = True,
) -> Paired:
    """The fit_one_cycle of fastai: 1/div → 1 → 1/div_final, cosine both ways, update t at position t/T.

    The position 1 and so the final value are never used. fastai takes its positions in float32. optax's namesake:
    `one_cycle_optax`.

    Args:
      pct_start: of the updates, spent rising.
      div, div_final: peak/first value and peak/final value (torch's final_div_factor is relative to the first).
      cycle_momentum: whether the momentum mirrors it; without it, it is left alone.
      moms: momentum at the start, at the peak and at the end; not used without `cycle_momentum`.
    """
    check_range('pct_start', pct_start, '(0, 1)', 'a part rises and a part falls')
    check_range('div', div, '[1, inf)', 'the peak would lie below the start')
    check_range('div_final', div_final, '[1, inf)', 'the peak would lie below the end')
    if len(moms) != 3:
        raise wrong('moms', moms, 'three momenta are needed: at the start, at the peak, at the end')
    for momentum in moms:
        check_range('moms', momentum, '[0, 1)', 'at 1 the velocity never forgets')
    check_updates(span, 'one_cycle_fastai', 2)
    if (span.steps - 1) / span.steps <= pct_start:
        cure = f'none of {span.steps} updates would fall; the last lies at {(span.steps - 1) / span.steps:g}'
        raise wrong('pct_start', pct_start, cure)
    place, ends = t / span.steps, [pct_start, 1.0]
    factor = _anneal('cos', ends, [1 / div, 1.0, 1 / div_final], place)
    return Paired(factor, _anneal('cos', ends, list(moms), place) if cycle_momentum else None)
