"""The branched critical batch size B* and B_simple against examples seen, and the losses B* was read off.

<name>         medians over replicates with their ranges (why no t interval: quantities/critical_batch_size.py); an
               arrow where the largest batch tried is only a lower bound, or B an upper one; dotted, B* at half and
               twice the tolerance
<name>_losses  a panel per point with the loss of each branch minus its control's, a line per replicate; filled where it
               is within the tolerance of the lowest smaller batch (band: median over replicates)

Option tolerance: nats by which a loss may exceed the lowest of smaller batches.
"""

import itertools
import pathlib
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels
from bsresearch.analysis.figures import Figure, options
from bsresearch.analysis.quantities import critical_batch_size
from bsresearch.analysis.quantities.critical_batch_size import FACTORS, TOLERANCE, CriticalBatchSizes
from bsresearch.analysis.study import Study
from bsresearch.report import figures, plotting
from bsresearch.report.colours import ARMS, DASHES, MARKERS, Look
from bsresearch.report.figures import panels

OPTIONS: dict[str, Any] = {'tolerance': TOLERANCE}
BRANCHED, NOISE = 'B* of the branches', 'B_simple = tr Σ/|G|² of their parent'
LOOKS = {BRANCHED: Look(ARMS[0], '-', 'o'), NOISE: Look(ARMS[2], '-', 's')}
COLUMNS = 2


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws both.

    Raises:
      ValueError: no branches, or a bad tolerance. FiguresFailed: one could not be drawn.
    """
    sizes = critical_batch_size.find(study, options(figure, OPTIONS)['tolerance'])
    return figures.each(lambda: _against_examples(sizes, figure, out), lambda: _losses(sizes, figure, out))


def text(study: Study) -> str:
    """B* and B_simple at every point, and what to know about them."""
    return critical_batch_size.text(critical_batch_size.find(study))


def _arms(table: pd.DataFrame, by: list[str]) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each arm, named by what differs between them."""
    differing = [c for c in by if table[c].nunique(dropna=False) > 1]
    if not differing:
        return [('', table)]
    words = lambda values: ', '.join(f'{c} {axis_labels.text(v)}' for c, v in zip(differing, values, strict=True))
    return [(words(values), rows) for values, rows in table.groupby(differing, dropna=False)]


def _notes(sizes: CriticalBatchSizes, title: str) -> list[str]:
    seeds = sorted({sizes.seeds['runs'].min(), sizes.seeds['runs'].max()})
    tried, window = sorted(sizes.losses['k'].unique()), sorted(sizes.losses['window'].unique())
    return [
        *([title] if title else []),
        f'tolerance {sizes.tolerance:g} nats',
        f'window {"–".join(f"{w:,.0f}" for w in window)} examples',
        f'k tried: {", ".join(f"{k:g}" for k in tried)}',
        f'median and range of n = {"–".join(map(str, seeds))} seeds',
    ]


def _against_examples(sizes: CriticalBatchSizes, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    parts = _arms(sizes.seeds, sizes.by)
    dotted = ' and '.join(f'{factor * sizes.tolerance:g}' for factor in FACTORS.values())
    notes = [*_notes(sizes, figure.title), 'arrow: of some seeds only a bound', f'dotted: at {dotted} nats']
    with panels.grid(len(parts), min(COLUMNS, len(parts)), notes, height=2.4) as (fig, axes):
        for (title, rows), ax in zip(parts, axes, strict=True):
            ax.set_title(title)
            ax.set_yscale('log', base=2)
            _sizes(ax, rows[rows['examples'] > 0])  # a logarithmic axis has no 0
            plotting.log_x_axis(ax, 'examples seen at the branch point')
            ax.xaxis.set_major_formatter(plotting.EngFormatter(sep=''))
            low, high = ax.get_ylim()
            ax.set_ylim(low / 1.6, high * 1.6)
            ax.yaxis.set_major_formatter(plotting.StrMethodFormatter('{x:,.0f}'))
        axes[0].set_ylabel('batch size (examples)')
        measured = sizes.seeds['noise_scale'].notna().any()
        names = {BRANCHED: BRANCHED, NOISE: NOISE if measured else 'B_simple was not measured'}
        panels.legend(fig, [panels.handle(LOOKS[key], name, marker=True) for key, name in names.items()])
        return plotting.save(fig, sizes.seeds, out, figure.name)


def _sizes(ax: plotting.Axes, rows: pd.DataFrame) -> None:
    """B* with its bounds and other tolerances, and B_simple, of one arm."""
    look = LOOKS[BRANCHED]
    _line(ax, rows, ('critical', 'lowest', 'highest'), look)
    for name in FACTORS:
        ax.plot(rows['examples'], rows[f'critical_{name}'], color=look.colour, linestyle=':', linewidth=0.8)
    for row in rows.to_dict('records'):
        for bound, factor in (('at_least', 1.7), ('at_most', 1 / 1.7)):
            if row[bound]:
                y = row['highest' if bound == 'at_least' else 'lowest']
                arrow = {'arrowstyle': '->', 'color': look.colour, 'linewidth': 0.9, 'shrinkA': 0, 'shrinkB': 0}
                ax.annotate('', (row['examples'], y * factor), (row['examples'], y), arrowprops=arrow)
    if np.isfinite(rows['noise_scale']).any():
        names = ('noise_scale', 'noise_scale_lowest', 'noise_scale_highest')
        _line(ax, rows.replace(np.inf, np.nan), names, LOOKS[NOISE])


def _line(ax: plotting.Axes, rows: pd.DataFrame, names: tuple[str, str, str], look: Look) -> None:
    """Medians joined, with bars over the range."""
    middle, low, high = (rows[name] for name in names)
    half = np.array([middle - low, high - middle]).clip(min=0)
    ax.errorbar(rows['examples'], middle, half, color=look.colour, marker=look.marker, markersize=3.5, capsize=2,
                elinewidth=0.7)  # fmt: skip


def _losses(sizes: CriticalBatchSizes, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """A panel per arm and point."""
    keys = ['run', 'step']
    control = sizes.losses[sizes.losses['k'] == 1].set_index(keys)['loss'].rename('control')
    table = sizes.losses.join(control, on=keys)
    # Of a diverged control nothing can be subtracted; its branches are in the table.
    known = table['control'].where(np.isfinite(table['control']))
    table = table.assign(excess=table['loss'] - known, best_excess=table['best_smaller'] - known)
    drawn = [
        (f'{title}{", " if title else ""}epoch {rows["epoch"].iloc[0]:.3g}', rows)
        for title, part in _arms(table, sizes.by)
        for _, rows in part.groupby('step')
    ]
    within = 'filled: within the tolerance of the lowest smaller batch'
    notes = [*_notes(sizes, figure.title)[:-2], within, 'a line per seed']
    columns = min(COLUMNS, len(drawn))
    with panels.grid(len(drawn), columns, notes, height=1.6) as (fig, axes):
        limits = _limits(table, sizes.tolerance)
        for place, ((title, rows), ax) in enumerate(zip(drawn, axes, strict=True)):
            ax.set_title(title)
            _panel(ax, rows, sizes.tolerance, limits)
            ax.set_xlabel('batch size k·B of the branch' if place >= len(drawn) - columns else '')
            ax.set_ylabel('' if place % columns else 'loss − control (nats)')
        fig.align_ylabels()
        return plotting.save(fig, table, out, f'{figure.name}_losses')


def _limits(table: pd.DataFrame, tolerance: float) -> tuple[float, float]:
    """Of the y axis: all finite differences, and the band."""
    excess = table['excess'][np.isfinite(table['excess'])]
    low, high = min(excess.min(), 0.0) if len(excess) else 0.0, max(excess.max(), 0.0) if len(excess) else 0.0
    return low - tolerance, 1.5 * high + 2 * tolerance


def _panel(ax: plotting.Axes, rows: pd.DataFrame, tolerance: float, limits: tuple[float, float]) -> None:
    ax.set_yscale('symlog', linthresh=tolerance, linscale=0.6)
    ax.set_ylim(*limits)
    decades = [t for t in (0.01, 0.1, 1.0, 10.0) if t >= tolerance * 0.999]
    ax.yaxis.set_major_locator(plotting.FixedLocator([-t for t in decades] + [0.0, *decades]))
    ax.yaxis.set_minor_locator(plotting.NullLocator())
    ax.yaxis.set_major_formatter(plotting.StrMethodFormatter('{x:g}'))
    band = rows[np.isfinite(rows['best_excess'])].groupby('tried')['best_excess'].median()
    ax.fill_between(band.index, band, band + tolerance, color='0.5', alpha=0.25, linewidth=0)
    looks = zip(itertools.cycle(DASHES), itertools.cycle(MARKERS))
    for (_, branches), (dash, marker) in zip(rows.groupby('replicate'), looks, strict=False):
        _replicate(ax, branches, Look(LOOKS[BRANCHED].colour, dash, marker), limits[1])
    plotting.batch_axis(ax, rows['tried'].to_numpy(), linear=False)


def _replicate(ax: plotting.Axes, branches: pd.DataFrame, look: Look, top: float) -> None:
    """The branches of one replicate; at the top those that diverged."""
    finite = branches[np.isfinite(branches['excess'])]
    ax.plot(finite['tried'], finite['excess'], color=look.colour, linestyle=look.dash, linewidth=0.7)
    for kept, face in ((finite, 'white'), (finite[finite['within']], look.colour)):
        ax.plot(kept['tried'], kept['excess'], color=look.colour, marker=look.marker, markersize=3, linestyle='none',
                markerfacecolor=face, markeredgewidth=0.7)  # fmt: skip
    gone = branches.loc[np.isinf(branches['loss']), 'tried']
    if len(gone):  # an empty line that is not clipped has no extent to lay out
        ax.plot(gone, [top] * len(gone), color=look.colour, marker='x', linestyle='none', clip_on=False)
