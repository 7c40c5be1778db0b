"""The branched critical batch size B* and B_simple against examples seen, and the losses B* was read off.

    bsresearch fig critical_batch_size --workdir=runs/critical_batch_size [--tolerance=0.01] [--out=<directory>]

First figure: medians over seeds with their ranges (why no t interval: quantities/critical_batch_size.py); an arrow
where the largest batch tried is only a lower bound, or B an upper one; dotted, B* at half and twice the tolerance.
Second: a panel per point with the loss of each branch minus its control's, a line per seed; filled where it is within
the tolerance of the lowest smaller batch (band: median over seeds). Reads records only. Writes
fig_critical_batch_size and fig_critical_batch_size_losses as .pdf, .png and .csv (the plotted numbers). Time:
seconds.
"""

import pathlib

import numpy as np
import pandas as pd
from absl import flags
from matplotlib.ticker import EngFormatter, FixedLocator, NullLocator, StrMethodFormatter

from bsresearch.analysis import command, held_fixed
from bsresearch.analysis.quantities.critical_batch_size import FACTORS, TOLERANCE, CriticalBatchSizes, find, text
from bsresearch.report import figures, plotting

BRANCHED, NOISE = 'B* of the branches', 'B_simple = tr Σ/|G|² of their parent'
COLORS = dict(zip((BRANCHED, NOISE), plotting.distinct(2), strict=True))
COLUMNS = 2


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_float('tolerance', TOLERANCE, 'nats by which a loss may exceed the lowest of smaller batches')
    flags.DEFINE_string('out', None, 'directory of the figures; default: <workdir>/figures')


def draw(workdir: pathlib.Path, out: pathlib.Path, tolerance: float = TOLERANCE) -> tuple[list[pathlib.Path], str]:
    """Draws both figures; returns their paths and a report.

    Raises:
      FileNotFoundError: no runs. ValueError: no branches, or a bad tolerance.
    """
    found = find(workdir, tolerance)
    return figures.each(lambda: _against_examples(found, out), lambda: _losses(found, out)), text(found)


def _arms(table: pd.DataFrame, by: list[str]) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each arm, named by what differs between them."""
    told = [c for c in by if table[c].nunique(dropna=False) > 1]
    if not told:
        return [('', table)]
    named = lambda values: ', '.join(f'{c} {held_fixed.text(v)}' for c, v in zip(told, values, strict=True))
    return [(named(values), rows) for values, rows in table.groupby(told, dropna=False)]


def _notes(found: CriticalBatchSizes) -> list[str]:
    seeds = sorted({found.seeds['runs'].min(), found.seeds['runs'].max()})
    tried = sorted(found.losses['k'].unique())
    window = sorted(found.losses['window'].unique())
    return [
        f'tolerance {found.tolerance:g} nats',
        f'window {"–".join(f"{w:,.0f}" for w in window)} examples',
        f'k tried: {", ".join(f"{k:g}" for k in tried)}',
        f'median and range of n = {"–".join(map(str, seeds))} seeds',
    ]


def _against_examples(found: CriticalBatchSizes, out: pathlib.Path) -> list[pathlib.Path]:
    parts = _arms(found.seeds, found.by)
    dotted = ' and '.join(f'{factor * found.tolerance:g}' for factor in FACTORS.values())
    notes = [*_notes(found), 'arrow: of some seeds only a bound', f'dotted: at a tolerance of {dotted} nats']
    with plotting.figure(1, len(parts), notes, height=2.4) as (fig, [axes]):
        for (title, rows), ax in zip(parts, axes, strict=True):
            ax.set_title(title)
            ax.set_yscale('log', base=2)
            shown = rows[rows['examples'] > 0]  # a logarithmic axis has no 0
            color = COLORS[BRANCHED]
            _line(ax, shown, 'critical', 'lowest', 'highest', COLORS[BRANCHED], 'o')
            for name in FACTORS:
                ax.plot(shown['examples'], shown[f'critical_{name}'], color=color, linestyle=':', linewidth=0.8)
            for row in shown.to_dict('records'):
                for bound, factor in (('at_least', 1.7), ('at_most', 1 / 1.7)):
                    if row[bound]:
                        y = row['highest' if bound == 'at_least' else 'lowest']
                        arrow = {'arrowstyle': '->', 'color': color, 'linewidth': 0.9, 'shrinkA': 0, 'shrinkB': 0}
                        ax.annotate('', (row['examples'], y * factor), (row['examples'], y), arrowprops=arrow)
            if np.isfinite(shown['noise_scale']).any():
                names = ('noise_scale', 'noise_scale_lowest', 'noise_scale_highest')
                _line(ax, shown.replace(np.inf, np.nan), *names, COLORS[NOISE], 's')
            plotting.log_x_axis(ax, 'examples seen at the branch point')
            ax.xaxis.set_major_formatter(EngFormatter(sep=''))
            low, high = ax.get_ylim()
            ax.set_ylim(low / 1.6, high * 1.6)
            ax.yaxis.set_major_formatter(StrMethodFormatter('{x:,.0f}'))
        axes[0].set_ylabel('batch size (examples)')
        measured = found.seeds['noise_scale'].notna().any()
        names = (BRANCHED, NOISE if measured else 'B_simple was not measured')
        plotting.list_below(fig, dict(zip(names, COLORS.values(), strict=True)))
        return plotting.save(fig, found.seeds, out, 'fig_critical_batch_size')


def _line(
    ax: plotting.Axes, rows: pd.DataFrame, middle: str, low: str, high: str, color: plotting.Color, marker: str
) -> None:
    """Medians joined, with bars over the range."""
    y = rows[middle]
    half = np.array([y - rows[low], rows[high] - y]).clip(min=0)
    ax.errorbar(rows['examples'], y, half, color=color, marker=marker, markersize=3.5, capsize=2, elinewidth=0.7)


def _losses(found: CriticalBatchSizes, out: pathlib.Path) -> list[pathlib.Path]:
    """A panel per arm and point."""
    keys = ['run', 'step']
    control = found.losses[found.losses['k'] == 1].set_index(keys)['loss'].rename('control')
    table = found.losses.join(control, on=keys)
    # Of a diverged control nothing can be subtracted; its branches are in the table.
    table = table.assign(excess=table['loss'] - table['control'].where(np.isfinite(table['control'])))
    table = table.assign(best_excess=table['best_smaller'] - table['control'].where(np.isfinite(table['control'])))
    panels = [
        (f'{title}{", " if title else ""}epoch {rows["epoch"].iloc[0]:.3g}', rows)
        for title, part in _arms(table, found.by)
        for _, rows in part.groupby('step')
    ]
    count = -(-len(panels) // COLUMNS)
    notes = [*_notes(found)[:2], 'filled: within the tolerance of the lowest smaller batch', 'a line per seed']
    with plotting.figure(count, min(COLUMNS, len(panels)), notes, height=1.5) as (fig, axes):
        flat = [ax for row in axes for ax in row]
        limits = _limits(table, found.tolerance)
        for (title, rows), ax in zip(panels, flat, strict=False):
            ax.set_title(title)
            _panel(ax, rows, found.tolerance, limits)
        for ax in flat[len(panels) :]:
            ax.set_visible(False)
        for ax in flat[max(0, len(panels) - COLUMNS) : len(panels)]:
            ax.set_xlabel('batch size k·B of the branch')
        for row in axes:
            row[0].set_ylabel('loss − control (nats)')
        fig.align_ylabels()
        return plotting.save(fig, table, out, 'fig_critical_batch_size_losses')


def _limits(table: pd.DataFrame, tolerance: float) -> tuple[float, float]:
    """Of the y axis: all finite differences, and the band."""
    excess = table['excess'][np.isfinite(table['excess'])]
    low, high = min(excess.min(), 0.0) if len(excess) else 0.0, max(excess.max(), 0.0) if len(excess) else 0.0
    return low - tolerance, 1.5 * high + 2 * tolerance


def _panel(ax: plotting.Axes, rows: pd.DataFrame, tolerance: float, limits: tuple[float, float]) -> None:
    ax.set_yscale('symlog', linthresh=tolerance, linscale=0.6)
    ax.set_ylim(*limits)
    decades = [t for t in (0.01, 0.1, 1.0, 10.0) if t >= tolerance * 0.999]
    ax.yaxis.set_major_locator(FixedLocator([-t for t in decades] + [0.0, *decades]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
    band = rows[np.isfinite(rows['best_excess'])].groupby('tried')['best_excess'].median()
    ax.fill_between(band.index, band, band + tolerance, color='0.5', alpha=0.25, linewidth=0)
    for (_, mine), color in zip(rows.groupby('seed'), plotting.distinct(rows['seed'].nunique()), strict=True):
        finite = mine[np.isfinite(mine['excess'])]
        ax.plot(finite['tried'], finite['excess'], color=color, linewidth=0.7)
        ax.plot(finite['tried'], finite['excess'], color=color, marker='o', markersize=3, linestyle='none',
                markerfacecolor='white', markeredgewidth=0.7)  # fmt: skip
        within = finite[finite['within']]
        ax.plot(within['tried'], within['excess'], color=color, marker='o', markersize=3, linestyle='none')
        gone = mine.loc[np.isinf(mine['loss']), 'tried']
        if len(gone):  # an empty line that is not clipped has no extent to lay out
            ax.plot(gone, [limits[1]] * len(gone), color=color, marker='x', linestyle='none', clip_on=False)
    plotting.batch_axis(ax, rows['tried'].to_numpy(), linear=False)


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    files, report = draw(workdir, pathlib.Path(out) if out else workdir / 'figures', flags.FLAGS.tolerance)
    print(report)
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_critical_batch_size', main)
