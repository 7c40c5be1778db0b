"""Gradient norm against batch size (probes/gradient_norm.py): three pictures per cell, settings and rate of the walk.

<name>             mean ± standard deviation over trials of the walking and frozen norm and of the displacement, root
                   mean square of the single-batch norm; a colour per checkpoint
<name>_normalized  walking norms scaled so that all means coincide with that of the largest batch
<name>_ridges      per batch size: histograms of the norms, raw and normalized, and of the entries

Of several replicates the first two show the mean, with a thin line for each, the third the first alone; the tables have
all. The η of the walk is in the file names where there are several, a number where other settings differ. Option
linear: batch sizes on a linear axis, as in Shen's figures.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import cells
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantities import gradient_entries, gradient_norm
from bsresearch.analysis.quantities.gradient_norm import GradientNorms
from bsresearch.analysis.quantity import LOSS
from bsresearch.analysis.study import Study
from bsresearch.report import colours, plotting
from bsresearch.report.colours import MARKERS, Look
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet

OPTIONS: dict[str, Any] = {'linear': False}
# Suffix of a picture's name → what it shows.
CAPTIONS = {
    '': 'walking, frozen and single-batch norm and the displacement, mean and standard deviation over trials',
    '_normalized': 'the walking norm scaled to equal means, so that its spread over trials is seen',
    '_ridges': 'how the walking norm, as it is and scaled, and the entries of the gradient are distributed',
}
PANELS = {
    'walking': 'walking\n‖(B/n) Σ g(w_k; b_k)‖',
    'frozen': 'frozen\n‖(B/n) Σ g(w*; b_k)‖',
    'single': 'single-batch, r.m.s.\n‖g(w*; b)‖',
    'displacement': 'displacement\n‖w_{K+1} − w*‖',
}
LOGARITHMIC = ('single', 'displacement')
SCALED = 'walking norm,\nscaled to equal means'
PREDICTED = Look('#333333', '--')
BARS = 'bars: standard deviation over trials'


def parts(study: Study, figure: Figure) -> list[Figure]:
    """Three pictures for each group of probes that may be compared."""
    groups = _groups(study)
    rates = len({probes[0].learning_rate for probes in groups}) == len(groups)
    pictures = []
    for group, probes in enumerate(groups):
        suffix = '' if len(groups) == 1 else f'_{probes[0].learning_rate:g}' if rates else f'_{group}'
        for kind, caption in CAPTIONS.items():
            title = f'{figure.title}: {caption}' if figure.title else f'{caption[0].upper()}{caption[1:]}'
            options = figure.options | {'group': group, 'picture': kind}
            pictures.append(figure._replace(name=f'{figure.name}{kind}{suffix}', title=title, options=options))
    return pictures


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws one of the pictures."""
    groups, linear = _groups(study), figure.options['linear']
    probes = groups[figure.options['group']]
    several = len({group[0].cell for group in groups}) > 1
    phrases = [figure.title, cells.labels(study).get(probes[0].cell, '') if several else '', *_notes(probes)]
    if figure.options['picture'] == '_ridges':
        return _ridges(probes, phrases)
    if figure.options['picture'] == '_normalized':
        return _normalized(probes, [*phrases, BARS], linear)
    return _means(probes, [*phrases, BARS], linear)


def text(study: Study) -> str:
    """The laws fitted to the mean squares, and whether the identities hold."""
    return gradient_norm.text(gradient_norm.of_study(study))


def _groups(study: Study) -> list[list[GradientNorms]]:
    by = lambda probe: (probe.cell, probe.settings, probe.learning_rate)
    return [list(group) for _, group in itertools.groupby(gradient_norm.of_study(study), key=by)]


def _notes(probes: Sequence[GradientNorms]) -> list[str]:
    """What holds for a whole figure."""
    first, runs = probes[0], sorted({probe.run for probe in probes})
    return [
        f'parameters: {first.parameters}',
        f'η of the walk = {first.learning_rate:g}',
        f'{len(first.norms["walking"])} trials of {first.samples} examples '
        f'{"with" if first.with_replacement else "without"} replacement (seed {first.seed}), the same for every B',
        f'run {first.run}' if len(runs) == 1 else f'mean over {len(runs)} seeds, thin: each of them',
    ]


def _looks(probes: Sequence[GradientNorms]) -> dict[float, Look]:
    """Epoch of a checkpoint → how it is drawn."""
    epochs = sorted({probe.epoch for probe in probes})
    drawn = zip(colours.of_points(epochs).items(), itertools.cycle(MARKERS), strict=False)
    return {epoch: Look(colour, '-', marker) for (epoch, colour), marker in drawn}


def _named(probes: Sequence[GradientNorms]) -> dict[str, Look]:
    titles, looks = {probe.epoch: probe.title for probe in probes}, _looks(probes)
    return {titles[epoch]: look for epoch, look in looks.items()}


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    """Over replicates: the mean of means, the root mean square of the rest; a row per epoch and batch size."""
    columns = [c for c in table if c.endswith(('_mean', '_std', '_rms', '_predicted'))]
    square = lambda x: np.sqrt(np.mean(np.square(x.to_numpy())))
    how = {c: 'mean' if c.endswith('_mean') else square for c in columns}
    return table.groupby(['epoch', 'batch_size'], sort=True)[columns].agg(how).reset_index()


def _with_pooled(table: pd.DataFrame, pooled: pd.DataFrame) -> pd.DataFrame:
    """With what is drawn of several runs, as rows of run 'all'."""
    return pd.concat([table, pooled.assign(run='all')], ignore_index=True) if table['run'].nunique() > 1 else table


def _against_size(
    ax: plotting.Axes, table: pd.DataFrame, pooled: pd.DataFrame, value: str, std: str, look: Look, shift: float = 1.0
) -> None:
    """A statistic at one checkpoint: what is pooled with its spread over trials, and of several runs each."""
    x, spread = pooled['batch_size'] * shift, pooled[std]
    spread = spread if spread.notna().any() else None  # of one trial there is none
    ax.errorbar(x, pooled[value], spread, color=look.colour, marker=look.marker, markersize=2.5, capsize=1.5)
    if table['run'].nunique() > 1:
        for _, run in table.groupby('run'):
            panels.line(ax, run['batch_size'] * shift, run[value], look.line, linewidth=0.4, alpha=0.7)


def _size_axis(ax: plotting.Axes, sizes: np.ndarray, linear: bool) -> None:
    if not linear:
        scales.log_x(ax, scales.powers_of_two(sizes))
    ax.set_xlabel('batch size B')


def _means(probes: Sequence[GradientNorms], phrases: Sequence[str], linear: bool) -> Sheet:
    """Mean ± standard deviation of each statistic."""
    table = gradient_norm.table(list(probes))
    pooled = _pooled(table)
    fig, axes = panels.grid(len(PANELS), 2, phrases, height=2.1)
    for (statistic, label), ax in zip(PANELS.items(), axes, strict=True):
        value = f'{statistic}_{"rms" if statistic == "single" else "mean"}'
        for epoch, look in _looks(probes).items():
            points = pooled[pooled['epoch'] == epoch]
            _against_size(ax, table[table['epoch'] == epoch], points, value, f'{statistic}_std', look)
            if statistic == 'single':
                panels.line(ax, points['batch_size'], points['single_rms_predicted'], PREDICTED, linewidth=0.8)
        if statistic in LOGARITHMIC:
            scales.limits(ax, LOSS, table[value].to_numpy(float), log=True)
        else:
            ax.set_ylim(bottom=0)
        ax.set_ylabel(label)
        _size_axis(ax, table['batch_size'].to_numpy(), linear)
    expected = {'single-batch as expected, √(‖∇L‖² + tr Σ/B), no fit': PREDICTED}
    panels.legend(fig, _named(probes) | expected)
    return Sheet(fig, _with_pooled(table, pooled))


def _normalized(probes: Sequence[GradientNorms], phrases: Sequence[str], linear: bool) -> Sheet:
    """Norms scaled by mean(largest B)/mean(B): equal means, the spread is what is left."""
    rows = []
    for probe in probes:
        scaled = gradient_norm.normalized(probe)
        mean, std = scaled.mean(axis=0), scaled.std(axis=0, ddof=1) if len(scaled) > 1 else np.nan
        names = {'run': probe.run, 'epoch': probe.epoch, 'batch_size': probe.batch_sizes}
        rows.append(pd.DataFrame(names | {'scaled_mean': mean, 'scaled_std': std}))
    table = pd.concat(rows)
    pooled = _pooled(table)
    fig, [ax] = panels.grid(1, 1, phrases)
    for place, (epoch, look) in enumerate(_looks(probes).items()):
        shift = 1 if linear else 1 + 0.03 * place
        of_runs, of_all = (each[each['epoch'] == epoch] for each in (table, pooled))
        _against_size(ax, of_runs, of_all, 'scaled_mean', 'scaled_std', look, shift)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(SCALED)
    _size_axis(ax, probes[0].batch_sizes, linear)
    panels.legend(fig, _named(probes))
    numbers = _with_pooled(table, pooled).rename(columns={'scaled_mean': 'mean', 'scaled_std': 'std'})
    return Sheet(fig, numbers)


def _ridges(probes: Sequence[GradientNorms], phrases: Sequence[str]) -> Sheet:
    """Histograms of the first run, a column per checkpoint: norms, normalized norms, entries of the gradient."""
    rows, runs = [], len({probe.run for probe in probes})
    probes = [probe for probe in probes if probe.run == probes[0].run]
    first = [f'the first of {runs} seeds'] if runs > 1 else []
    fig, axes = panels.grid(3 * len(probes), len(probes), [*phrases, *first], height=2.4)
    for column, probe in enumerate(probes):
        looks = {f'{b:,}': colour for b, colour in plotting.palette(probe.batch_sizes.tolist()).items()}
        histograms = {
            'walking norm': _histogram(probe.norms['walking']),
            'normalized norm': _histogram(gradient_norm.normalized(probe)),
            'entry': gradient_entries.densities(probe.counts, probe.edges, probe.largest),
        }
        axes[column].set_title(probe.title)
        for (name, (edges, heights)), ax in zip(histograms.items(), axes[column :: len(probes)], strict=True):
            panels.ridges(ax, edges, heights, looks, log=name == 'entry')
            ax.set_ylabel('batch size B')
            ax.set_xlabel('entry of the walking gradient (density, log scale)' if name == 'entry' else name)
            rows += [_rows(probe, name, b, edges, h) for b, h in zip(probe.batch_sizes, heights, strict=True)]
    return Sheet(fig, pd.concat(rows))


def _histogram(values: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """(edges, densities per batch size) of the norms that are finite, (trials, batch sizes): finer with more trials."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    margin = max(1e-3 * abs(high), 1e-12) if high == low else 0.0
    edges = np.linspace(low - margin, high + margin, 2 + min(80, max(10, 3 * int(len(values) ** 0.5))))
    known = [of_size[np.isfinite(of_size)] for of_size in values.T]
    return edges, [np.histogram(v, edges)[0] / max(len(v), 1) / np.diff(edges) for v in known]


def _rows(probe: GradientNorms, what: str, size: Any, edges: np.ndarray, density: np.ndarray) -> pd.DataFrame:
    there = density > 0
    names = {'run': probe.run, 'epoch': probe.epoch, 'histogram': what, 'batch_size': int(size)}
    return pd.DataFrame(names | {'low': edges[:-1][there], 'high': edges[1:][there], 'density': density[there]})
