"""What figures of several kinds share: a grid of panels, numbers as readers see them, lines, points and the legend.

Of n = 2 the two values are drawn as points and no interval: Student's t at one degree of freedom is 12.7 standard
errors wide. A single one is a line or a point alone. A cross stands where a replicate diverged.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, summary
from bsresearch.analysis.cells import Key
from bsresearch.analysis.quantity import Unit
from bsresearch.analysis.study import Study
from bsresearch.report import plotting
from bsresearch.report.colours import Look
from bsresearch.report.plotting import Axes

PANEL_WIDTH, PANEL_HEIGHT = 3.5, 1.9  # inches
LINE_HEIGHT = 0.14
CHARACTERS = 66  # of note text that fit a panel's width
COLUMNS = 4  # panels side by side
MOST = 24  # entries of a legend
MOST_LOST = 6  # of them cells that are not whole, told one by one
LABEL = 36  # characters along a y axis
MEANS = 'mean and 95 % interval over {n}'
ENDS = ['low', 'high']


class Sheet(NamedTuple):
    """A figure that is drawn but not saved, and the numbers that it shows."""

    figure: plotting.Figure
    numbers: pd.DataFrame


def grid(
    places: int | Sequence[int],
    columns: int,
    phrases: Sequence[str],
    *,
    height: float = PANEL_HEIGHT,
    ratios: Sequence[float] | None = None,
    wide: float = 1.0,
) -> tuple[plotting.Figure, list[Axes]]:
    """A figure of panels under its title and notes, `columns` side by side.

    Args:
      places: how many panels, or which places in the grid have one. phrases: what is written above ('' is left out).
      height: of a panel in inches. ratios: of the rows' heights. wide: of a panel, in PANEL_WIDTH.
    """
    places = range(places) if isinstance(places, int) else places
    columns = min(columns, len(places))
    rows = max(places) // columns + 1
    lines = filled([phrase for phrase in phrases if phrase], int(CHARACTERS * columns * wide))
    size = (PANEL_WIDTH * columns * wide, height * rows + LINE_HEIGHT * len(lines))
    fig = plotting.Figure(figsize=size, layout='constrained')
    if lines:
        fig.suptitle('\n'.join(lines), color='0.25', linespacing=1.25)
    axes = fig.subplots(rows, columns, squeeze=False, height_ratios=ratios).ravel().tolist()
    for place in set(range(len(axes))) - {*places}:
        axes[place].remove()
    return fig, [axes[place] for place in places]


def filled(phrases: Sequence[str], width: int) -> list[str]:
    """Lines of whole phrases with '; ' between; only a phrase longer than the width is broken."""
    lines: list[str] = []
    for phrase in phrases:
        if lines and len(lines[-1]) + 2 + len(phrase) <= width:
            lines[-1] += f'; {phrase}'
        else:
            lines += textwrap.wrap(phrase, width)
    return lines


def label_once(fig: plotting.Figure) -> None:
    """Takes away the label of an axis where the panel below, or the one to the left, has the same."""
    spans = {ax: span for ax in fig.axes if (span := ax.get_subplotspec())}
    at = {(span.rowspan.start, span.colspan.start): ax for ax, span in spans.items()}
    for (row, column), ax in sorted(at.items()):
        below = at.get((row + 1, column))
        if below is not None and below.get_xlabel() == ax.get_xlabel():
            ax.set_xlabel('')
    for (row, column), ax in sorted(at.items(), reverse=True):
        left = at.get((row, column - 1))
        if left is not None and left.get_ylabel() == ax.get_ylabel():
            ax.set_ylabel('')
    fig.align_ylabels()


def label(name: str, unit: Unit) -> str:
    """'test accuracy (%)'."""
    suffix = unit.level.strip()
    return textwrap.fill(f'{name} ({suffix})' if suffix and suffix not in name else name, LABEL)


def readable(table: pd.DataFrame, unit: Unit, centre: str) -> pd.DataFrame:
    """Centre and ends in the unit that readers see; no ends of too few replicates to tell one; `values` alike."""
    numbers = table[[centre, *ENDS]].astype(float)
    numbers[ENDS] = numbers[ENDS].where(table['n'] >= summary.TO_TELL)
    table = table.assign(**{name: unit.scaled(numbers[name].to_numpy()) for name in numbers})
    if 'values' in table:
        table['values'] = [tuple(unit.scaled(np.array(values))) for values in table['values']]
    return table


def line(ax: Axes, x: Any, y: Any, look: Look, **more: Any) -> None:
    """A line, points, or both, as their look is."""
    ax.plot(x, y, color=look.colour, linestyle=look.dash, marker=look.marker, **more)


def band(ax: Axes, x: Any, low: Any, high: Any, look: Look) -> None:
    """An interval along a line, cut where a logarithmic axis ends; none where an end is not known."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    low = np.maximum(low, ax.get_ylim()[0]) if ax.get_yscale() == 'log' else low
    ax.fill_between(x, low, high, color=look.colour, alpha=0.15, linewidth=0)


def point(ax: Axes, x: float, row: Mapping[Any, Any], look: Look) -> None:
    """A centre with its interval, or two values; an arrow for ∞ or from a bound, a cross if runs diverged.

    Args:
      row: of `points.of`, made `readable`. An edge has a white face.
    """
    y, look = row['centre'], look.point
    bottom, top = ax.get_ylim()
    if np.isinf(y):
        line(ax, x, top if y > 0 else bottom, look._replace(marker='^' if y > 0 else 'v'), clip_on=False, zorder=3)
    drawn = [v for v in (row['values'] if row['n'] == 2 else (y,)) if np.isfinite(v)]
    face = 'white' if row['edge'] else look.colour
    size = 3.2 if row['n'] == 2 else 4.2
    line(ax, [x] * len(drawn), drawn, look, markersize=size, markerfacecolor=face, zorder=3)
    if not np.isnan(row['low']) and np.isfinite(y):
        # A logarithmic axis has no place at or below 0.
        low = max(row['low'], bottom) if ax.get_yscale() == 'log' else row['low']
        ends = [bottom if np.isinf(low) else low, top if np.isinf(row['high']) else row['high']]
        ax.plot([x, x], ends, color=look.colour, linewidth=1.1, zorder=2)
    if 2 * row['censored'] > row['n']:
        arrow = {'arrowstyle': '<-', 'color': look.colour}
        ax.annotate('', (x, y), (0, 13), textcoords='offset points', arrowprops=arrow)
    if row['diverged']:
        crosses(ax, [x], [y if np.isfinite(y) else bottom], look, clip_on=False)


def thin(x: np.ndarray, y: np.ndarray, columns: int = 1500) -> np.ndarray:
    """Indices to draw instead of all: the first, last, lowest and highest point in each of `columns` strips of x.

    The line through them covers the same pixels where a strip is no wider than one.  Strips are even in x: for a
    logarithmic axis give log x.  Args: x (n,), rising; y (n,), NaN where there is none.
    """
    if len(x) <= 4 * columns:
        return np.arange(len(x))
    strip = np.minimum(((x - x[0]) / (np.ptp(x) or 1.0) * columns).astype(int), columns - 1)
    order = np.lexsort((y, strip))  # NaN comes last in its strip
    ends = np.flatnonzero(np.diff(strip, prepend=-1, append=columns))
    first, last = ends[:-1], ends[1:] - 1
    known = np.maximum(np.add.reduceat(~np.isnan(y), first) - 1, 0)
    return np.unique(np.concatenate([first, last, order[first], order[first + known]]))


def crosses(ax: Axes, x: Any, y: Any, look: Look, **more: Any) -> None:
    """Where replicates diverged."""
    line(ax, x, y, look.point._replace(marker='x'), markersize=5, markeredgewidth=1.3, zorder=5, **more)


def ridges(ax: Axes, edges: np.ndarray, heights: Sequence[np.ndarray], looks: Mapping[str, str], log: bool) -> None:
    """Histograms above one another, each scaled to its own highest bin.

    Args:
      edges: (n + 1,). heights: (n,) densities each. looks: name on the y axis → colour, in the order of `heights`.
        log: heights over four decades below the top.
    """
    for place, (density, colour) in enumerate(zip(heights, looks.values(), strict=True)):
        share = density / (density.max() or 1.0)
        height = np.clip(1 + np.log10(np.maximum(share, 1e-300)) / 4, 0, 1) if log else share
        ax.stairs(place + 0.9 * height, edges, baseline=place, fill=True, color=colour, alpha=0.75, linewidth=0)
        ax.axhline(place, color=colour, linewidth=0.4)
    ax.set_yticks(range(len(looks)), list(looks))


def lost(study: Study, keys: Sequence[Key], labels: Mapping[Key, str]) -> dict[str, str]:
    """'B = 64, lr 1: 1 diverged of 3' → the marker for it, of cells that are not whole; of many one entry for each."""
    remarks, cells_of = {}, {'x': 0, '>': 0}
    for key in keys:
        statuses = [study.status(run) for run in study.runs_of(key)]
        gone, going = statuses.count('diverged'), sum(s not in ('done', 'diverged') for s in statuses)
        parts = [f'{count} {what}' for count, what in ((gone, 'diverged'), (going, 'unfinished')) if count]
        if parts:
            marker = 'x' if gone else '>'
            remarks[f'{labels[key]}: {" and ".join(parts)} of {len(statuses)}'] = marker
            cells_of[marker] += 1
    if len(remarks) <= MOST_LOST:
        return remarks
    words = {'x': 'runs diverged', '>': 'runs are unfinished'}
    return {f'{words[marker]} in {count} of {len(keys)} cells': marker for marker, count in cells_of.items() if count}


def legend(fig: plotting.Figure, looks: Mapping[str, Look], remarks: Mapping[str, str] | None = None) -> None:
    """Below all, in columns as wide as its longest entry; the figure grows by it. remarks: text → marker."""
    handle = lambda text, look, face: plotting.Line2D(
        [], [], color=look.colour, linestyle=look.dash, marker=look.marker, markerfacecolor=face, label=text
    )
    entries = [handle(text, look, look.colour) for text, look in looks.items() if text]
    entries += [handle(text, Look('0.2', 'none', marker), 'white') for text, marker in (remarks or {}).items()]
    if not entries:
        return
    if len(entries) > MOST:
        rest = handle(f'… and {len(entries) - MOST + 1} more', Look('0.2', 'none', ''), 'white')
        entries = [*entries[: MOST - 1], rest]
    # Characters of a legend's text, which is larger than that of notes; those of a handle and the space beside it.
    fit, beside = int(fig.get_figwidth() / PANEL_WIDTH * CHARACTERS * plotting.SMALL / plotting.TEXT), 8
    for entry in entries:
        entry.set_label(textwrap.fill(str(entry.get_label()), max(fit - beside, CHARACTERS // 2)))
    lines = [str(entry.get_label()).split('\n') for entry in entries]
    longest = max(len(line) for of_entry in lines for line in of_entry) + beside
    columns = min(max(fit // longest, 1), len(entries))
    fig.legend(handles=entries, loc='outside lower center', ncols=columns)
    more = sum(map(len, lines)) - len(lines)
    fig.set_figheight(fig.get_figheight() + LINE_HEIGHT * (-(-len(entries) // columns) + more) + 0.2)


def notes(study: Study, keys: Sequence[Key], how: str = MEANS) -> list[str]:
    """Phrases above the panels: task, what is held fixed, replicates and how they are summarised ({n})."""
    few = all(len(study.runs_of(key)) < summary.TO_TELL for key in keys)
    n = cells.replicates(study, keys)
    return [*cells.described(study, keys), n if few else how.format(n=n)]
