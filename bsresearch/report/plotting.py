"""Drawing, and the only matplotlib import: figures at column width, saved with the plotted numbers beside them.

No global state: figures are made inside `figure`, which carries the style, and are never shown on a screen.
"""

import contextlib
import os
import pathlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import matplotlib
import matplotlib.colors
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import EngFormatter, FixedLocator, LogLocator, NullFormatter, NullLocator, StrMethodFormatter

Color = tuple[float, float, float, float]
LineStyle = Literal['-', '--', ':', '-.']


PANEL_WIDTH, PANEL_HEIGHT = 3.5, 1.9  # inches
LINE_HEIGHT = 0.14
CHARACTERS = 66  # of note text that fit a panel's width
STYLE: Any = {
    'font.size': 7.5,
    'axes.titlesize': 7.5,
    'axes.labelsize': 7.5,
    'xtick.labelsize': 7,
    'ytick.labelsize': 7,
    'legend.fontsize': 7,
    'legend.frameon': False,
    'legend.handlelength': 1.6,
    'legend.columnspacing': 1.2,
    'axes.linewidth': 0.6,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.linewidth': 0.3,
    'grid.color': '0.85',
    'xtick.major.width': 0.6,
    'ytick.major.width': 0.6,
    'xtick.minor.width': 0.4,
    'ytick.minor.width': 0.4,
    'lines.linewidth': 1.1,
    'lines.markersize': 4.5,
    'savefig.dpi': 300,
    'pdf.fonttype': 42,  # text stays text
}


@contextlib.contextmanager
def figure(
    rows: int,
    columns: int,
    notes: Sequence[str] = (),
    height: float | None = None,
    ratios: Sequence[float] | None = None,
    wide: float = 1.0,
) -> Iterator[tuple[Figure, list[list[Axes]]]]:
    """A figure with rows of axes under the notes; styled inside.

    A column's x and a row's y are shared, unless `height` is given: that of a row in inches, all axes on their own.
    ratios: of the rows' heights. wide: of a panel, in PANEL_WIDTH.
    """
    with matplotlib.rc_context(STYLE):
        text = filled(notes, int(CHARACTERS * columns * wide))
        size = (PANEL_WIDTH * columns * wide, (height or PANEL_HEIGHT) * rows + LINE_HEIGHT * len(text))
        fig = Figure(figsize=size, layout='constrained')
        FigureCanvasAgg(fig)
        if text:
            fig.suptitle('\n'.join(text), fontsize=6.5, color='0.25', linespacing=1.25)
        sharex, sharey = (False, False) if height else ('col', 'row')
        heights = {'height_ratios': ratios} if ratios else None
        axes = fig.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=False, gridspec_kw=heights)
        yield fig, axes.tolist()


def filled(phrases: Sequence[str], width: int) -> list[str]:
    """Lines of whole phrases with '; ' between; only a phrase longer than the width is broken."""
    lines: list[str] = []
    for phrase in phrases:
        if lines and len(lines[-1]) + 2 + len(phrase) <= width:
            lines[-1] += f'; {phrase}'
        else:
            lines += textwrap.wrap(phrase, width)
    return lines


def palette(batch_sizes: Sequence[int]) -> dict[int, Color]:
    """A colour per batch size, from dark (small) to light, even in log₂ B."""
    sizes = sorted({int(b) for b in batch_sizes})
    place = np.log2(sizes) - np.log2(sizes[0])
    # The end of the map is too pale on white.
    place = 0.88 * place / place[-1] if len(sizes) > 1 else place
    return {b: matplotlib.colormaps['viridis'](float(p)) for b, p in zip(sizes, place, strict=True)}


def to_hex(color: Color | str) -> str:
    """'#rrggbb'."""
    return matplotlib.colors.to_hex(color)


def along(name: str, places: Sequence[float]) -> list[str]:
    """'#rrggbb' at places, 0 to 1, of a map of matplotlib's."""
    return [to_hex(matplotlib.colormaps[name](float(p))) for p in places]


def shades(name: str, low: float, high: float) -> Any:
    """A part of a map of matplotlib's, as a map."""
    return matplotlib.colors.LinearSegmentedColormap.from_list(name, along(name, list(np.linspace(low, high, 64))))


def rounded(corner: tuple[float, float], width: float, height: float, style: LineStyle) -> FancyBboxPatch:
    """A black ring around a cell of a grid."""
    shape = 'round,pad=0,rounding_size=0.15'
    return FancyBboxPatch(corner, width, height, shape, fill=False, linewidth=1.1, linestyle=style, zorder=4)


def distinct(count: int) -> list[Color]:
    """Colours for things without an order: matplotlib's ten, beyond that even along a map."""
    if count <= 10:
        return [matplotlib.colormaps['tab10'](i) for i in range(count)]
    return [matplotlib.colormaps['turbo'](float(p)) for p in np.linspace(0.05, 0.95, count)]


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


def plain_log_ticks(axis: Axis, decades: float) -> None:
    """Ticks of a logarithmic axis as 0.1, 0.2, 0.5; over more than two decades at powers of ten alone."""
    axis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(StrMethodFormatter('{x:,g}'))
    axis.set_minor_formatter(NullFormatter())


def held_axis(ax: Axes, values: np.ndarray, at_values: bool = False) -> None:
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
        plain_log_ticks(ax.yaxis, float(np.log10(levels[-1] / max(levels[0], levels[-1] * 1e-4))))
    if at_values and len(levels) <= 6:
        ax.yaxis.set_major_locator(FixedLocator(levels.tolist()))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter(StrMethodFormatter('{x:,g}'))


def x_axis(ax: Axes, label: str) -> None:
    """A column's x axis. Updates at different batch sizes are orders of magnitude apart: logarithmic."""
    ax.set_xlabel(label)
    if label == 'updates':
        ax.set_xscale('log')
    elif label == 'examples':
        ax.xaxis.set_major_formatter(EngFormatter(sep=''))


def batch_axis(ax: Axes, sizes: np.ndarray, linear: bool) -> None:
    """An x axis of batch sizes, logarithmic with powers of two as ticks unless `linear`."""
    if linear:
        return
    ax.set_xscale('log', base=2)
    powers = [b for b in sorted({int(b) for b in sizes}) if b & (b - 1) == 0]
    ax.xaxis.set_major_locator(FixedLocator(powers[:: -(-len(powers) // 6)] if len(powers) > 1 else sizes.tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(StrMethodFormatter('{x:,.0f}'))


def ridge(
    ax: Axes, edges: np.ndarray, heights: Sequence[np.ndarray], colors: Mapping[int, Color], log: bool = False
) -> None:
    """Histograms above one another, one per batch size, each scaled to its own highest bin; y names the batch sizes.

    Args:
      edges: (n + 1,). heights: (n,) densities, in the order of `colors`. log: heights over four decades below the top.
    """
    for place, (h, color) in enumerate(zip(heights, colors.values(), strict=True)):
        top = h.max() or 1.0
        shown = np.clip(1 + np.log10(np.maximum(h, 1e-300) / top) / 4, 0, 1) if log else h / top
        ax.stairs(place + 0.9 * shown, edges, baseline=place, fill=True, color=color, alpha=0.75, linewidth=0)
        ax.axhline(place, color=color, linewidth=0.4)
    ax.set_yticks(range(len(colors)), [f'{b:,}' for b in colors])
    ax.set_ylabel('batch size B')


def log_x_axis(ax: Axes, label: str, values: Sequence[float] = ()) -> None:
    """A column's logarithmic x axis, with ticks at `values`, or at 1, 2 and 5 times powers of ten."""
    ax.set_xlabel(label)
    ax.set_xscale('log')
    ax.xaxis.set_major_locator(FixedLocator(list(values)) if len(values) else LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(StrMethodFormatter('{x:,g}'))
    ax.xaxis.set_minor_formatter(NullFormatter())
    if len(values):
        ax.xaxis.set_minor_locator(NullLocator())


def list_below(fig: Figure, colors: Mapping[str, Any], most: int = 12) -> None:
    """A legend below all, one line per name; beyond `most` only their number."""
    handles = [Line2D([], [], color=c, label=name) for name, c in colors.items()]
    if len(handles) > most:
        rest = Line2D([], [], linestyle='none', label=f'… and {len(handles) - most + 1} more')
        handles = [*handles[: most - 1], rest]
    fig.legend(handles=handles, loc='outside lower center', ncols=1)
    fig.set_figheight(fig.get_figheight() + LINE_HEIGHT * len(handles) + 0.2)


def save(fig: Figure, table: pd.DataFrame, directory: pathlib.Path, slug: str) -> list[pathlib.Path]:
    """Writes `<slug>.pdf`, `.png` and `.csv` (the plotted numbers), each whole; equal input gives equal bytes.

    Returns:
      the three paths.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        writers = {
            'pdf': lambda path: fig.savefig(path, format='pdf', metadata={'CreationDate': None}),
            'png': lambda path: fig.savefig(path, format='png', metadata={'Software': None}),
            'csv': lambda path: table.to_csv(path, index=False, lineterminator='\n'),
        }
        done = []
        for suffix, write in writers.items():
            target = directory / f'{slug}.{suffix}'
            temporary = directory / f'.{slug}.{os.getpid()}.{suffix}.tmp'
            try:
                write(temporary)
                os.replace(temporary, target)
                fig.set_layout_engine('none')  # as it is now: laying it out again would take a third of the time
            finally:
                temporary.unlink(missing_ok=True)
            done.append(target)
    return done
