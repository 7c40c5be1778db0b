"""What figures of several kinds share: a grid of panels, axes in a quantity's unit, intervals, marks and the legend.

Of n = 2 the two values are drawn as points and no interval: Student's t at one degree of freedom is 12.7 standard
errors wide. A single one is a line or a point alone. A cross stands where a replicate diverged.
"""

import contextlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels, cells
from bsresearch.analysis.cells import Key
from bsresearch.analysis.quantity import Unit
from bsresearch.analysis.study import Study
from bsresearch.report import plotting
from bsresearch.report.colours import Look
from bsresearch.report.plotting import Axes

COLUMNS = 4  # panels side by side
MOST = 24  # entries of a legend
LABEL = 36  # characters along a y axis
MEANS = 'mean and 95 % interval over {n}'
TO_TELL = 3  # replicates from which an interval is drawn


@contextlib.contextmanager
def grid(
    count: int, columns: int, notes: Sequence[str], title: str = '', height: float | None = None
) -> Iterator[tuple[plotting.Figure, list[Axes]]]:
    """A figure of `count` panels under its title and notes, `columns` side by side; spare ones are not there."""
    columns = min(columns, count)
    rows = -(-count // columns)
    text = [*([title] if title else []), *notes]
    with plotting.figure(rows, columns, text, height=height or plotting.PANEL_HEIGHT) as (fig, axes):
        flat = [ax for row in axes for ax in row]
        for ax in flat[count:]:
            ax.remove()
        yield fig, flat[:count]


def tick(value: Any) -> str:
    """A value of an axis in three digits: 1,024; 0.000488; adam."""
    is_number = isinstance(value, float) and not value.is_integer()
    return f'{value:.3g}' if is_number else axis_labels.text(value)


def shown(unit: Unit, values: np.ndarray) -> np.ndarray:
    """Numbers as an axis has them: accuracies in per cent, a logarithm as what it is the logarithm of."""
    return (np.exp(values) if unit.exp else np.asarray(values, float)) * unit.scale


def label(name: str, unit: Unit) -> str:
    """'test accuracy (%)'."""
    suffix = unit.level.strip()
    return textwrap.fill(f'{name} ({suffix})' if suffix and suffix not in name else name, LABEL)


def span(unit: Unit, values: np.ndarray, *, log: bool = False) -> tuple[float, float] | None:
    """The ends of an axis, by the centres with a margin, as far as is possible; None where no number is known."""
    values = shown(unit, np.asarray(values, float).ravel())
    values = values[np.isfinite(values) & ((values > 0) | (not log))]
    if not len(values):
        return None
    values = np.log10(values) if log else values
    margin = 0.08 * (np.ptp(values) or abs(values[0]) * 0.1 or 1.0)
    low, high = float(values.min() - margin), float(values.max() + margin)
    if log:
        return 10**low, 10**high
    # A little beyond, so that a line at the bound is seen.
    slack = 0.02 * (high - low)
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
        plotting.plain_log_ticks(ax.yaxis, float(np.log10(ends[1] / ends[0])))


def limits_with_ends(ax: Axes, unit: Unit, points: pd.DataFrame, *, log: bool = False) -> None:
    """The y axis of single points: with their intervals, as far as these reach no farther than the points lie apart."""
    centre = np.array([*points['centre'], *(v for values in points['values'] for v in values)], float)
    centre = centre[np.isfinite(centre)]
    if not len(centre):
        return
    ends = points.loc[points['n'] >= TO_TELL, ['low', 'high']].to_numpy(float).ravel()
    ends = ends[np.isfinite(ends)]
    reach = np.ptp(centre) or np.inf
    ends = np.clip(ends, centre.min() - reach, centre.max() + reach)
    limits(ax, unit, np.concatenate([centre, ends[ends > 0] if log else ends]), log=log)


def band(ax: Axes, unit: Unit, x: np.ndarray, low: np.ndarray, high: np.ndarray, look: Look) -> None:
    """An interval along a line, cut where a logarithmic axis ends."""
    low, high = shown(unit, low), shown(unit, high)
    low = np.maximum(low, ax.get_ylim()[0]) if ax.get_yscale() == 'log' else low
    ax.fill_between(x, low, high, color=look.colour, alpha=0.15, linewidth=0)


def crosses(ax: Axes, x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, look: Look) -> None:
    """Where replicates diverged."""
    ax.plot(x, y, color=look.colour, marker='x', markersize=5, linestyle='none', markeredgewidth=1.3, zorder=5)


def handle(look: Look, text: str, *, line: bool = True, marker: bool = False, filled: bool = True) -> plotting.Line2D:
    """An entry of the legend."""
    return plotting.Line2D(
        [], [], color=look.colour, linestyle=look.dash if line else 'none', label=text,
        marker=look.marker if marker else '', markerfacecolor=look.colour if filled else 'white',
    )  # fmt: skip


def lost(study: Study, keys: Sequence[Key], labels: Mapping[Key, str]) -> dict[str, str]:
    """'B = 64, lr 1: 1 diverged of 3' → the marker for it, of cells that are not whole."""
    said = {}
    for key in keys:
        statuses = [study.status(run) for run in study.runs_of(key)]
        gone, going = statuses.count('diverged'), sum(s not in ('done', 'diverged') for s in statuses)
        parts = [f'{count} {what}' for count, what in ((gone, 'diverged'), (going, 'unfinished')) if count]
        if parts:
            said[f'{labels[key]}: {" and ".join(parts)} of {len(statuses)}'] = 'x' if gone else '>'
    return said


def unlike(handles: Sequence[plotting.Line2D]) -> list[plotting.Line2D]:
    """One of each name."""
    first: dict[str, plotting.Line2D] = {}
    for one in handles:
        first.setdefault(str(one.get_label()), one)
    return list(first.values())


def legend(fig: plotting.Figure, handles: Sequence[plotting.Line2D], remarks: Mapping[str, str] | None = None) -> None:
    """Below all, in columns as wide as its longest entry; the figure grows by it. remarks: text → marker."""
    mark: dict[str, Any] = {'color': '0.2', 'linestyle': 'none', 'markerfacecolor': 'white'}
    every = [*handles, *(plotting.Line2D([], [], marker=m, label=text, **mark) for text, m in (remarks or {}).items())]
    if not every:
        return
    if len(every) > MOST:
        rest = plotting.Line2D([], [], linestyle='none', label=f'… and {len(every) - MOST + 1} more')
        every = [*every[: MOST - 1], rest]
    longest = max(len(str(h.get_label())) for h in every) + 4
    fit = int(fig.get_figwidth() / plotting.PANEL_WIDTH * plotting.CHARACTERS)
    columns = min(max(fit // longest, 1), len(every))
    fig.legend(handles=every, loc='outside lower center', ncols=columns)
    fig.set_figheight(fig.get_figheight() + plotting.LINE_HEIGHT * -(-len(every) // columns) + 0.2)


def notes(study: Study, keys: Sequence[Key], how: str = MEANS) -> list[str]:
    """Phrases above the panels: task, what is held fixed, replicates and how they are summarised ({n})."""
    few = all(len(study.runs_of(key)) < TO_TELL for key in keys)
    n = cells.replicates(study, keys)
    return [*cells.described(study, keys), n if few else how.format(n=n)]
