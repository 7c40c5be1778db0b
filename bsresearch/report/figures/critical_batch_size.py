"""The branched critical batch size B* at each rate, B_simple and B_noise against examples seen; the losses behind B*.

<name>         medians over replicates with their ranges (why no t interval: quantities/branched/critical.py); an
               arrow where the largest batch tried is only a lower bound, or B an upper one; dotted, of a single rate,
               B* at half and twice the tolerance
<name>_losses  a panel per point with the loss of each branch minus its control's, a line per replicate; filled where it
               is within the tolerance of the lowest smaller batch (band: median over replicates); one for each rate,
               <name>_losses_held, <name>_losses_tuned

Options tolerance: nats by which a loss may exceed the lowest of smaller batches, raised to what scatter makes of it
unless raised=False. rate: rule, held or tuned alone.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantities.branched import critical, rates, words
from bsresearch.analysis.quantities.branched.critical import FACTORS, TOLERANCE, CriticalBatchSizes
from bsresearch.analysis.study import Study
from bsresearch.report import plotting
from bsresearch.report.colours import ARMS, Look, nth
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet

OPTIONS: dict[str, Any] = {'tolerance': TOLERANCE, 'raised': True, 'rate': ''}
LOSSES = 'The losses of the branches, less their control’s, that B* was read off, with '
LOOKS = {
    rates.RULE: Look(ARMS[0], '-', 'o'), rates.HELD: Look(ARMS[1], '-', '^'), rates.TUNED: Look(ARMS[4], '-', 'D'),
    'noise_scale': Look(ARMS[2], '--', 's'), 'curvature_noise_scale': Look(ARMS[5], '--', 'P'),
}  # fmt: skip
NAMES = {rate: f'B*, {meaning}' for rate, meaning in rates.MEANINGS.items()} | {
    'noise_scale': 'B_simple = tr Σ/|G|²', 'curvature_noise_scale': 'B_noise = tr(HΣ)/GᵀHG',
}  # fmt: skip
SIDEWAYS = 1.05  # neighbouring rates stand this factor apart, so that none hides another
COLUMNS = 2


def parts(study: Study, figure: Figure) -> list[Figure]:
    """B* itself, and the losses of each rate."""
    every = [figure]
    for sizes in _found(study, figure.options):
        name = f'{figure.name}_losses' + ('' if sizes.rate == rates.RULE else f'_{sizes.rate}')
        title = LOSSES + rates.MEANINGS[sizes.rate]
        every.append(figure._replace(name=name, title=title, options=figure.options | {'of': sizes.rate}))
    return every


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws one of them."""
    of_rates = _found(study, figure.options)
    of_losses = [sizes for sizes in of_rates if sizes.rate == figure.options.get('of')]
    return _losses(of_losses[0], figure.title) if of_losses else _sizes(of_rates, figure.title)


def text(study: Study) -> str:
    """B* and the noise scales at every point, and what to know about them."""
    return words.text(critical.of_rates(study))


def _found(study: Study, options: Mapping[str, Any]) -> list[CriticalBatchSizes]:
    asked = rates.RATES if not options['rate'] else (options['rate'],)
    return critical.of_rates(study, options['tolerance'], asked=asked, raised=options['raised'])


def _arms(table: pd.DataFrame, by: list[str]) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each arm, named by what differs between them."""
    differing = [c for c in by if table[c].nunique(dropna=False) > 1]
    if not differing:
        return [('', table)]
    words = lambda values: ', '.join(f'{c} {axis_labels.text(v)}' for c, v in zip(differing, values, strict=True))
    return [(words(values), rows) for values, rows in table.groupby(differing, dropna=False)]


def _notes(sizes: CriticalBatchSizes) -> list[str]:
    def span(column: str, form: str) -> str:
        ends = {format(end, form): None for end in (sizes.losses[column].min(), sizes.losses[column].max())}
        return '–'.join(ends)

    return [f'tolerance {span("tolerance", ".3g")} nats', f'window {span("window", ",.0f")} examples']


def _sizes(found: list[CriticalBatchSizes], title: str) -> Sheet:
    """B* and noise scales against examples seen."""
    sizes = found[0]
    runs = sorted({sizes.seeds['runs'].min(), sizes.seeds['runs'].max()})
    notes = [*_notes(sizes), f'k tried: {", ".join(f"{k:g}" for k in sorted(sizes.losses["k"].unique()))}',
             f'median and range of n = {"–".join(map(str, runs))} seeds', 'arrow: of some seeds only a bound',
             'dotted: at half and twice the tolerance' if len(found) == 1 else 'rates stand side by side']  # fmt: skip
    arms = _arms(sizes.seeds, sizes.by)
    fig, axes = panels.grid(len(arms), COLUMNS, [title, *notes], height=2.4)
    for place, of_rate in enumerate(found):
        shift = SIDEWAYS ** (place - (len(found) - 1) / 2)
        for (_, rows), ax in zip(_arms(of_rate.seeds, of_rate.by), axes, strict=True):
            rows = rows[rows['examples'] > 0]  # a logarithmic axis has no 0
            _rate(ax, rows.assign(examples=rows['examples'] * shift), LOOKS[of_rate.rate], len(found) == 1)
    measured = [name for name in critical.noise.SCALES if sizes.seeds[name].notna().any()]
    for (name, rows), ax in zip(arms, axes, strict=True):
        ax.set_title(name)
        ax.set_yscale('log', base=2)
        for scale in measured:
            columns = (scale, f'{scale}_lowest', f'{scale}_highest')
            _medians(ax, rows[rows['examples'] > 0].replace(np.inf, np.nan), columns, LOOKS[scale])
        scales.log_x(ax)
        ax.set_xlabel('examples seen at the branch point')
        ax.xaxis.set_major_formatter(plotting.EngFormatter(sep=''))
        low, high = ax.get_ylim()
        ax.set_ylim(low / 1.6, high * 1.6)
        ax.yaxis.set_major_formatter(plotting.StrMethodFormatter(scales.PLAIN))
        ax.set_ylabel('batch size (examples)')
    panels.legend(fig, {NAMES[name]: LOOKS[name] for name in (*(one.rate for one in found), *measured)})
    return Sheet(fig, pd.concat([one.seeds.assign(rate=one.rate) for one in found], ignore_index=True))


def _rate(ax: plotting.Axes, rows: pd.DataFrame, look: Look, dotted: bool) -> None:
    """B* with its bounds, and at other tolerances."""
    _medians(ax, rows, ('critical', 'lowest', 'highest'), look)
    for name in FACTORS if dotted else ():
        panels.line(ax, rows['examples'], rows[f'critical_{name}'], Look(look.colour, ':'), linewidth=0.8)
    for row in rows.to_dict('records'):
        for bound, end, factor in (('at_least', 'highest', 1.7), ('at_most', 'lowest', 1 / 1.7)):
            if row[bound]:
                arrow = {'arrowstyle': '->', 'color': look.colour, 'linewidth': 0.9, 'shrinkA': 0, 'shrinkB': 0}
                ax.annotate('', (row['examples'], row[end] * factor), (row['examples'], row[end]), arrowprops=arrow)


def _medians(ax: plotting.Axes, rows: pd.DataFrame, names: tuple[str, str, str], look: Look) -> None:
    """Medians joined, with bars over the range."""
    middle, low, high = (rows[name] for name in names)
    half = np.array([middle - low, high - middle]).clip(min=0)
    ax.errorbar(rows['examples'], middle, half, color=look.colour, linestyle=look.dash, marker=look.marker,
                markersize=3.5, capsize=2, elinewidth=0.7)  # fmt: skip


def _losses(sizes: CriticalBatchSizes, title: str) -> Sheet:
    """A panel per arm and point."""
    keys = ['run', 'step']
    control = sizes.losses[sizes.losses['k'] == 1].set_index(keys)['loss'].rename('control')
    table = sizes.losses.join(control, on=keys)
    # Of a diverged control nothing can be subtracted; its branches are in the table.
    known = table['control'].where(np.isfinite(table['control']))
    table = table.assign(excess=table['loss'] - known, best_excess=table['best_smaller'] - known)
    drawn = [
        (f'{name}{", " if name else ""}epoch {rows["epoch"].iloc[0]:.3g}', rows)
        for name, part in _arms(table, sizes.by)
        for _, rows in part.groupby('step')
    ]
    notes = [*_notes(sizes), 'filled: within the tolerance of the lowest smaller batch', 'a line per seed']
    fig, axes = panels.grid(len(drawn), COLUMNS, [title, *notes], height=1.6)
    limits = _limits(table, float(table['tolerance'].max()))
    look = LOOKS[sizes.rate]
    for (name, rows), ax in zip(drawn, axes, strict=True):
        _panel(ax, rows, limits, look)
        ax.set_title(name)
        ax.set_xlabel('batch size k·B of the branch')
        ax.set_ylabel('loss − control (nats)')
    return Sheet(fig, table)


def _limits(table: pd.DataFrame, tolerance: float) -> tuple[float, float]:
    """Of the y axis: all finite differences, and the band."""
    excess = table['excess'][np.isfinite(table['excess'])]
    low, high = min(excess.min(), 0.0) if len(excess) else 0.0, max(excess.max(), 0.0) if len(excess) else 0.0
    return low - tolerance, 1.5 * high + 2 * tolerance


def _panel(ax: plotting.Axes, rows: pd.DataFrame, limits: tuple[float, float], look: Look) -> None:
    tolerance = float(rows['tolerance'].iloc[0])
    ax.set_yscale('symlog', linthresh=tolerance, linscale=0.6)
    ax.set_ylim(*limits)
    decades = [t for t in (0.01, 0.1, 1.0, 10.0) if t >= tolerance / 2]
    scales.ticks_at(ax.yaxis, [-t for t in decades] + [0.0, *decades])
    band = rows[np.isfinite(rows['best_excess'])].groupby('tried')['best_excess'].median()
    ax.fill_between(band.index, band, band + tolerance, color='0.5', alpha=0.25, linewidth=0)
    for i, (_, branches) in enumerate(rows.groupby('replicate')):
        _replicate(ax, branches, nth(look.colour, i), limits[1])
    scales.log_x(ax, scales.powers_of_two(rows['tried'].to_numpy()))


def _replicate(ax: plotting.Axes, branches: pd.DataFrame, look: Look, top: float) -> None:
    """The branches of one replicate; at the top those that diverged."""
    finite = branches[np.isfinite(branches['excess'])]
    panels.line(ax, finite['tried'], finite['excess'], look.line, linewidth=0.7)
    for kept, face in ((finite, 'white'), (finite[finite['within']], look.colour)):
        small = {'markersize': 3, 'markerfacecolor': face, 'markeredgewidth': 0.7}
        panels.line(ax, kept['tried'], kept['excess'], look.point, **small)
    gone = branches.loc[np.isinf(branches['loss']), 'tried']
    if len(gone):  # an empty line that is not clipped has no extent to lay out
        panels.crosses(ax, gone, [top] * len(gone), look, clip_on=False)
