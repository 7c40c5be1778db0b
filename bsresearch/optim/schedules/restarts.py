"""SGDR: cosine with warm restarts (Loshchilov & Hutter 2017, arXiv:1608.03983), its cycles counted in integers."""

import functools
import math
from typing import NamedTuple

import numpy as np

from bsresearch.core.kinds import check_points
from bsresearch.core.units import Span, exact
from bsresearch.optim.schedules.shape import check_choice, check_final, check_range, needed_length, wrong


class Cycles(NamedTuple):
    """Where cycles start, and how long they are, in updates.

    first, multiplier: of cycles declared in updates. edges: starts of cycles declared in epochs, each the first update
    with so many epochs seen, and the end of the last; they may differ by an update. Empty for the others.
    """

    first: int
    multiplier: int
    edges: tuple[int, ...] = ()

    def starts(self, stop: int) -> list[int]:
        """Starts of the cycles before update `stop`: first·(mⁱ − 1)/(m − 1), first·i where m = 1, or the edges."""
        if self.edges:
            return [edge for edge in self.edges if edge < stop]
        if self.multiplier == 1:
            return list(range(0, stop, self.first))
        starts, length = [0], self.first
        while starts[-1] + length < stop:
            starts.append(starts[-1] + length)
            length *= self.multiplier
        return starts

    def length(self, cycle: int) -> int:
        """Updates in a cycle."""
        if self.edges:
            return self.edges[cycle + 1] - self.edges[cycle]
        return self.first * self.multiplier**cycle


@functools.lru_cache(maxsize=64)
def _edges(span: Span, epochs: float, multiplier: int) -> tuple[int, ...]:
    """Cycles of so many epochs, then multiples: 0, their ends, the last at or past the span's."""
    length, seen, before = exact(epochs), exact(0), span.length.examples_at(span.start)
    if multiplier == 1:
        check_points('schedule.first_cycle_epochs', epochs, int(span.examples / (length * span.epoch_examples)))
    edges = [0]
    while edges[-1] < span.steps:
        seen += length
        length *= multiplier
        examples = math.ceil(seen * span.epoch_examples)
        step = span.length.step_at(before + min(examples, span.examples)) - span.start
        beyond = max(0, examples - span.examples)
        edges.append(step + -(-beyond // span.length.batch_size_at(span.stop - 1)))
        if edges[-1] == edges[-2]:
            raise wrong('first_cycle_epochs', epochs, 'each cycle needs at least one update')
    return tuple(edges)


def _cycles(span: Span, first_epochs: float | None, first_steps: int | None, multiplier: int | float) -> Cycles:
    """The cycles of a span.

    Raises:
      ValueError: the first is longer than the span, or the multiplier is no whole number from 1.
    """
    if type(multiplier) is not int or multiplier < 1:
        raise wrong('cycle_multiplier', multiplier, 'a whole number from 1 is needed: cycles are whole updates')
    first = needed_length(span, 'first_cycle', first_epochs, first_steps)
    return Cycles(first, multiplier, () if first_epochs is None else _edges(span, first_epochs, multiplier))


def cycle_ends(
    span: Span,
    *,
    first_cycle_epochs: float | None = None,
    first_cycle_steps: int | None = None,
    cycle_multiplier: int | float = 1,
) -> list[int]:
    """The t within the span whose θ_t has just made a cycle's last update: where `warm_restarts` leaves a snapshot."""
    cycles = _cycles(span, first_cycle_epochs, first_cycle_steps, cycle_multiplier)
    check_points('schedule.first_cycle_*', cycles.first, span.steps // cycles.first if cycles.multiplier == 1 else 0)
    return cycles.starts(span.steps + 1)[1:]


def _locate(t: np.ndarray, cycles: Cycles, warmup_fraction: float) -> tuple[np.ndarray, ...]:
    """(cycle, update within it, its warm-up updates, its updates), the last two as float64: they may outgrow int64."""
    share = exact(warmup_fraction)
    if cycles.multiplier == 1 and not cycles.edges:
        index, inside = np.divmod(t, cycles.first)
        lengths = [cycles.first]
    else:
        starts = np.array(cycles.starts(int(t.max(initial=0)) + 1))
        index = np.searchsorted(starts, t, side='right') - 1
        inside, lengths = t - starts[index], [cycles.length(i) for i in range(len(starts))]
    rises = [-(-share.numerator * n // share.denominator) for n in lengths]
    kind = index if len(lengths) > 1 else np.zeros_like(index)
    return index, inside, np.array(rises, np.float64)[kind], np.array(lengths, np.float64)[kind]


def _check_room(cycles: Cycles, warmup_fraction: float, ends: str) -> None:
    """Raises ValueError unless every cycle has an update for each of warm-up, peak and, with `last`, end."""
    shortest = min(map(cycles.length, range(len(cycles.edges) - 1)), default=cycles.first)
    rise = int(-(-exact(warmup_fraction) * shortest // 1))
    needed = 2 if ends == 'last' else 1
    if shortest - rise < needed:
        raise ValueError(
            f'schedule.first_cycle_*: {shortest} updates with schedule.warmup_fraction={warmup_fraction} leave '
            f'{shortest - rise} for the cosine, which needs {needed} with schedule.ends={ends}; lengthen the cycle'
        )


def warm_restarts(
    t: np.ndarray,
    span: Span,
    *,
    first_cycle_epochs: float | None = None,
    first_cycle_steps: int | None = None,
    cycle_multiplier: int | float = 1,
    final: float = 0.0,
    peak_decay: float = 1.0,
    warmup_fraction: float = 0.0,
    ends: str = 'past',
) -> np.ndarray:
    """Cosines final + (dⁱ − final)(1 + cos πp)/2 in cycle i, which has first_cycle·multiplierⁱ updates.

    With `past`, p = u/L of a cycle's L updates and the defaults equal torch's CosineAnnealingWarmRestarts under plain
    .step(): `final` lies one past each cycle's last update and is never used. With `last`, p = u/(L − 1). A warm-up of
    W updates goes final + (dⁱ − final)·u/W, and the cosine takes the cycle's rest, from the peak at u = W; with `past`
    that equals optax.sgdr_schedule of cycles with init_value = end_value = final. Cycle starts are integers.

    Args:
      first_cycle_epochs, first_cycle_steps: length of the first cycle; give one. In epochs, every cycle ends with the
        first update that has seen its epochs, so that whole cycles fill whole epochs.
      cycle_multiplier: whole number; each cycle is so many times as long as the one before.
      final: lowest value, a fraction of the peak.
      peak_decay: d, each cycle's peak as a fraction of the one before.
      warmup_fraction: of each cycle's updates, rounded up.
      ends: past | last.
    """
    check_choice('ends', ends, ('past', 'last'))
    check_final(final)
    check_range('peak_decay', peak_decay, '(0, 1]')
    check_range('warmup_fraction', warmup_fraction, '[0, 1)', 'the rest is the cosine')
    cycles = _cycles(span, first_cycle_epochs, first_cycle_steps, cycle_multiplier)
    _check_room(cycles, warmup_fraction, ends)
    equal = cycles.multiplier == 1 and not cycles.edges
    number = (span.steps - 1) // cycles.first if equal else len(cycles.starts(span.steps)) - 1
    if peak_decay**number < final:
        cure = f'the peak of cycle {number}, {peak_decay**number:.3g}, would lie below schedule.final={final}'
        raise wrong('peak_decay', peak_decay, cure)
    cycle, u, rise, length = _locate(t, cycles, warmup_fraction)
    p = np.maximum(0, u - rise) / (length - rise - (ends == 'last'))
    # Without a warm-up no u lies below the rise; max(rise, 1) only keeps 0/0 out.
    level = np.where(u < rise, u / np.maximum(rise, 1), (1 + np.cos(np.pi * p)) / 2)
    return final + (np.float_power(peak_decay, cycle) - final) * level
