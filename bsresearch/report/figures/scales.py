"""Axes of a figure: where they end, whether they are logarithmic, where their ticks stand."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels
from bsresearch.analysis.quantity import Unit
from bsresearch.report import plotting
from bsresearch.report.plotting import Axes, Axis

PLAIN = '{x:,.10g}'  # 0.05; 1,024
TEXT = 0.08  # of the length of an axis: a tick's text
MARKER = 0.04  # of the height of an axis: half of a marker


def tick(value: Any) -> str:
    """A value of an axis in three digits: 1,024; 0.000488; adam."""
    is_number = isinstance(value, float) and not value.is_integer()
    return f'{value:.3g}' if is_number else axis_labels.text(value)


def log_ticks(axis: Axis, low: float = 1.0, high: float = 1.0) -> None:
    """Ticks of a logarithmic axis as 0.1, 0.2, 0.5; over more than two decades with three powers of ten at these."""
    powers = np.floor(np.log10(high)) - np.ceil(np.log10(low)) + 1
    axis.set_major_locator(plotting.LogLocator(subs=(1.0,) if high > 100 * low and powers >= 3 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(plotting.StrMethodFormatter(PLAIN))
    axis.set_minor_formatter(plotting.NullFormatter())


def _more_ticks(axis: Axis, low: float, high: float) -> None:
    """A logarithmic axis cannot be read off one tick, and hardly off two: then they stand evenly."""
    within = lambda ticks: [float(tick) for tick in ticks if 0 < low <= tick <= high]
    if len(within(axis.get_majorticklocs())) < 3:
        ticks_at(axis, within(plotting.MaxNLocator(5).tick_values(low, high)))


def ticks_at(axis: Axis, values: Sequence[float]) -> None:
    """Ticks at some values alone."""
    axis.set_major_locator(plotting.FixedLocator(list(values)))
    axis.set_minor_locator(plotting.NullLocator())
    axis.set_major_formatter(plotting.StrMethodFormatter(PLAIN))


def log_x(ax: Axes, values: Sequence[float] = ()) -> None:
    """A logarithmic x axis, with ticks at `values` that lie apart, or at 1, 2 and 5 times powers of ten."""
    ax.set_xscale('log')
    if len(values):
        ticks_at(ax.xaxis, apart(values))
    else:
        log_ticks(ax.xaxis)


def apart(values: Sequence[float]) -> list[float]:
    """Of positive values those whose texts along a logarithmic axis do not touch: the smallest, and upwards."""
    kept: list[float] = []
    least = TEXT * np.log(max(values) / min(values))
    for value in sorted(values):
        if not kept or np.log(value / kept[-1]) > least:
            kept.append(value)
    return kept


def powers_of_two(batch_sizes: np.ndarray) -> Sequence[float]:
    """At most six ticks for batch sizes; all of them where they are no powers of two."""
    powers = [b for b in sorted({int(b) for b in batch_sizes}) if b & (b - 1) == 0]
    return powers[:: -(-len(powers) // 6)] if len(powers) > 1 else batch_sizes.tolist()


def position(ax: Axes, label: str, values: np.ndarray) -> None:
    """An x axis of positions in training. Updates at different batch sizes are orders of magnitude apart: log."""
    ax.set_xlabel(label)
    if label == 'examples':
        ax.xaxis.set_major_formatter(plotting.EngFormatter(sep=''))
    values = values[values > 0]
    if label == 'updates' and len(values):
        ax.set_xscale('log')
        log_ticks(ax.xaxis, float(values.min()), float(values.max()))


def held(ax: Axes, values: np.ndarray, at_values: bool = False) -> None:
    """The y axis of values held for many updates: logarithmic if they grow or fall by factors.

    That is: by 10 in at most 50 values (steps), or by 20 with the median below a quarter of the largest.  With
    `at_values` up to 6 of them are the ticks.
    """
    values = values[np.isfinite(values)]
    levels = np.unique(values)
    if not len(levels):
        return
    ratio = levels[-1] / levels[0] if levels[0] > 0 else 1.0
    if (ratio >= 10 and len(levels) <= 50) or (ratio >= 20 and np.median(values) < levels[-1] / 4):
        ax.set_yscale('log')
        log_ticks(ax.yaxis, float(max(levels[0], levels[-1] * 1e-4)), float(levels[-1]))
    if at_values and len(levels) <= 6:
        ticks_at(ax.yaxis, levels.tolist())


def span(unit: Unit, values: np.ndarray, *, log: bool = False) -> tuple[float, float] | None:
    """The ends of an axis in its unit, by the centres with a margin, as far as is possible; None without a number."""
    values = np.asarray(values, float).ravel()
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not len(values):
        return None
    values = np.log10(values) if log else values
    margin = 0.08 * (np.ptp(values) or abs(values[0]) * 0.1 or 1.0)
    low, high = float(values.min() - margin), float(values.max() + margin)
    if log:
        return 10**low, 10**high
    # A little beyond, so that a marker at the bound is seen whole.
    slack = MARKER * (high - low)
    return max(low, unit.low * unit.scale - slack), min(high, unit.high * unit.scale + slack)


def limits(ax: Axes, unit: Unit, values: np.ndarray, *, log: bool = False) -> None:
    """The y axis, by the centres with a margin: bands may go beyond, and neither goes beyond what is possible."""
    log = log or unit.exp
    if log:
        ax.set_yscale('log')
    ends = span(unit, values, log=log)
    if ends is None:
        return
    ax.set_ylim(*ends)
    if log:
        log_ticks(ax.yaxis, *ends)
        _more_ticks(ax.yaxis, *ends)


def limits_with_ends(ax: Axes, unit: Unit, points: pd.DataFrame, *, log: bool = False) -> None:
    """The y axis of single points: with their intervals, as far as these reach no farther than the points lie apart."""
    centre = np.array([*points['centre'], *(v for values in points['values'] for v in values)], float)
    centre = centre[np.isfinite(centre)]
    if not len(centre):
        return
    ends = points[['low', 'high']].to_numpy(float).ravel()
    ends = ends[np.isfinite(ends)]
    reach = np.ptp(centre) or np.inf
    ends = np.clip(ends, centre.min() - reach, centre.max() + reach)
    limits(ax, unit, np.concatenate([centre, ends[ends > 0] if log else ends]), log=log)
