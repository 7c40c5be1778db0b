"""Gradient norm against batch size (probes/gradient_norm.py): three figures per cell, settings and rate of the walk.

<name>             mean ± standard deviation over trials of the walking and frozen norm and of the displacement, root
                   mean square of the single-batch norm; a colour per checkpoint
<name>_normalized  walking norms scaled so that all means coincide with that of the largest batch
<name>_ridges      per batch size: histograms of the norms, raw and normalized, and of the entries

Of several replicates the first two show the mean, with a thin line for each, the third the first alone; the tables have
all. The η of the walk is in the file names where there are several, a number where other settings differ. Option
linear: batch sizes on a linear axis, as in Shen's figures.
"""

import functools
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import cells
from bsresearch.analysis.figures import Figure, options
from bsresearch.analysis.quantities import gradient_entries, gradient_norm
from bsresearch.analysis.quantities.gradient_norm import GradientNorms
from bsresearch.analysis.quantity import LOSS
from bsresearch.analysis.study import Study
from bsresearch.report import colours, figures, plotting
from bsresearch.report.colours import MARKERS, Look
from bsresearch.report.figures import panels

OPTIONS: dict[str, Any] = {'linear': False}
PANELS = {
    'walking': 'walking\n‖(B/n) Σ g(w_k; b_k)‖',
    'frozen': 'frozen\n‖(B/n) Σ g(w*; b_k)‖',
    'single': 'single-batch, r.m.s.\n‖g(w*; b)‖',
    'displacement': 'displacement\n‖w_{K+1} − w*‖',
}
LOGARITHMIC = ('single', 'displacement')
PREDICTED = Look('#333333', '--', '')


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws all of them.

    Raises:
      ValueError: no finished probes. FiguresFailed: some could not be drawn.
    """
    linear = options(figure, OPTIONS)['linear']
    by = lambda probe: (probe.cell, probe.settings, probe.learning_rate)
    groups = [list(group) for _, group in itertools.groupby(gradient_norm.of_study(study), key=by)]
    rates = len({group[0].learning_rate for group in groups}) == len(groups)
    labels, calls = cells.labels(study), []
    for number, probes in enumerate(groups):
        suffix = '' if len(groups) == 1 else f'_{probes[0].learning_rate:g}' if rates else f'_{number}'
        facts = _notes(probes, labels.get(probes[0].cell, '') if len({group[0].cell for group in groups}) > 1 else '')
        title = [figure.title] if figure.title else []
        given = (probes, [*title, *facts], linear, out)
        calls += [functools.partial(_means, *given, f'{figure.name}{suffix}'),
                  functools.partial(_normalized, *given, f'{figure.name}_normalized{suffix}'),
                  functools.partial(_ridges, *given, f'{figure.name}_ridges{suffix}')]  # fmt: skip
    return figures.each(*calls)


def text(study: Study) -> str:
    """The laws fitted to the mean squares, and whether the identities hold."""
    return gradient_norm.text(gradient_norm.of_study(study))


def _notes(probes: Sequence[GradientNorms], cell: str) -> list[str]:
    """What holds for a whole figure."""
    first, runs = probes[0], sorted({probe.run for probe in probes})
    return [
        *([cell] if cell else []),
        f'parameters: {first.parameters}',
        f'η of the walk = {first.learning_rate:g}',
        f'{len(first.norms["walking"])} trials of {first.samples} examples '
        f'{"with" if first.with_replacement else "without"} replacement (seed {first.seed}), the same for every B',
        f'run {first.run}' if len(runs) == 1 else f'mean over {len(runs)} seeds, thin: each of them',
    ]


def _looks(probes: Sequence[GradientNorms]) -> dict[float, tuple[Look, str]]:
    """Epoch of a checkpoint → how it is drawn, and its name."""
    titles = {probe.epoch: probe.title for probe in sorted(probes, key=lambda probe: probe.epoch)}
    drawn = zip(titles.items(), colours.of_points(list(titles)).values(), itertools.cycle(MARKERS), strict=False)
    return {epoch: (Look(colour, '-', marker), title) for (epoch, title), colour, marker in drawn}


def _handles(looks: Mapping[float, tuple[Look, str]]) -> list[plotting.Line2D]:
    return [panels.handle(look, title, marker=True) for look, title in looks.values()]


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    """Over replicates: the mean of means, the root mean square of the rest; a row per epoch and batch size."""
    columns = [c for c in table if c.endswith(('_mean', '_std', '_rms', '_predicted'))]
    square = lambda x: np.sqrt(np.mean(np.square(x.to_numpy())))
    how = {c: 'mean' if c.endswith('_mean') else square for c in columns}
    return table.groupby(['epoch', 'batch_size'], sort=True)[columns].agg(how).reset_index()


def _of_runs(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of each run, where there are several."""
    return [rows for _, rows in table.groupby('run')] if table['run'].nunique() > 1 else []


def _with_pooled(table: pd.DataFrame, pooled: pd.DataFrame) -> pd.DataFrame:
    """With what is drawn of several runs, as rows of run 'all'."""
    return pd.concat([table, pooled.assign(run='all')], ignore_index=True) if table['run'].nunique() > 1 else table


def _means(
    probes: Sequence[GradientNorms], notes: Sequence[str], linear: bool, out: pathlib.Path, name: str
) -> list[pathlib.Path]:
    """Mean ± standard deviation of each statistic."""
    table, looks = gradient_norm.table(list(probes)), _looks(probes)
    pooled = _pooled(table)
    with panels.grid(len(PANELS), 2, [*notes, 'bars: standard deviation over trials'], height=2.1) as (fig, axes):
        for (statistic, label), ax in zip(PANELS.items(), axes, strict=True):
            value = f'{statistic}_{"rms" if statistic == "single" else "mean"}'
            for epoch, (look, _) in looks.items():
                points = pooled[pooled['epoch'] == epoch]
                _bars(ax, points['batch_size'], points[value], points[f'{statistic}_std'], look)
                if statistic == 'single':
                    ax.plot(points['batch_size'], points['single_rms_predicted'], color=PREDICTED.colour,
                            linestyle=PREDICTED.dash, linewidth=0.8)  # fmt: skip
                for run in _of_runs(table[table['epoch'] == epoch]):
                    ax.plot(run['batch_size'], run[value], color=look.colour, linewidth=0.4, alpha=0.7)
            if statistic in LOGARITHMIC:
                panels.limits(ax, LOSS, table[value].to_numpy(float), log=True)
            else:
                ax.set_ylim(bottom=0)
            ax.set_ylabel(label)
            plotting.batch_axis(ax, table['batch_size'].to_numpy(), linear)
        for ax in axes[-2:]:
            ax.set_xlabel('batch size B')
        fig.align_ylabels()
        expected = panels.handle(PREDICTED, 'single-batch as expected, √(‖∇L‖² + tr Σ/B), no fit')
        panels.legend(fig, [*_handles(looks), expected])
        return plotting.save(fig, _with_pooled(table, pooled), out, name)


def _bars(ax: plotting.Axes, x: pd.Series, y: pd.Series, std: pd.Series, look: Look) -> None:
    spread = std if std.notna().any() else None  # of one trial there is none
    ax.errorbar(x, y, spread, color=look.colour, marker=look.marker, markersize=2.5, capsize=1.5)


def _normalized(
    probes: Sequence[GradientNorms], notes: Sequence[str], linear: bool, out: pathlib.Path, name: str
) -> list[pathlib.Path]:
    """Norms scaled by mean(largest B)/mean(B): equal means, the spread is what is left."""
    rows = []
    for probe in probes:
        scaled = gradient_norm.normalized(probe)
        mean, std = scaled.mean(axis=0), scaled.std(axis=0, ddof=1) if len(scaled) > 1 else np.nan
        names = {'run': probe.run, 'epoch': probe.epoch, 'batch_size': probe.batch_sizes}
        rows.append(pd.DataFrame(names | {'scaled_mean': mean, 'scaled_std': std}))
    table, looks = pd.concat(rows), _looks(probes)
    pooled = _pooled(table)
    with panels.grid(1, 1, [*notes, 'bars: standard deviation over trials']) as (fig, [ax]):
        for place, (epoch, (look, _)) in enumerate(looks.items()):
            points = pooled[pooled['epoch'] == epoch]
            shift = 1 + 0.03 * place if not linear else 1
            _bars(ax, points['batch_size'] * shift, points['scaled_mean'], points['scaled_std'], look)
            for run in _of_runs(table[table['epoch'] == epoch]):
                ax.plot(run['batch_size'] * shift, run['scaled_mean'], color=look.colour, linewidth=0.4, alpha=0.7)
        plotting.batch_axis(ax, probes[0].batch_sizes, linear)
        ax.set_ylim(bottom=0)
        ax.set_xlabel('batch size B')
        ax.set_ylabel('walking norm,\nscaled to equal means')
        panels.legend(fig, _handles(looks))
        drawn = _with_pooled(table, pooled).rename(columns={'scaled_mean': 'mean', 'scaled_std': 'std'})
        return plotting.save(fig, drawn, out, name)


def _ridges(
    probes: Sequence[GradientNorms], notes: Sequence[str], linear: bool, out: pathlib.Path, name: str
) -> list[pathlib.Path]:
    """Histograms of the first run, a column per checkpoint: norms, normalized norms, entries of the gradient."""
    rows, runs = [], len({probe.run for probe in probes})
    probes = [probe for probe in probes if probe.run == probes[0].run]
    facts = [*notes, *([f'the first of {runs} seeds'] if runs > 1 else [])]
    with panels.grid(3 * len(probes), len(probes), facts, height=2.4) as (fig, axes):
        for column, probe in enumerate(probes):
            of_probe = axes[column :: len(probes)]
            palette = plotting.palette(probe.batch_sizes.tolist())
            norms = {'walking norm': probe.norms['walking'], 'normalized norm': gradient_norm.normalized(probe)}
            for (label, values), ax in zip(norms.items(), of_probe, strict=False):
                edges = _edges(values)
                heights = [_density(v[np.isfinite(v)], edges) for v in values.T]
                plotting.ridge(ax, edges, heights, palette)
                ax.set_xlabel(label)
                rows += [_rows(probe, label, b, edges, h) for b, h in zip(probe.batch_sizes, heights, strict=True)]
            edges, heights = gradient_entries.densities(probe.counts, probe.edges, probe.largest)
            plotting.ridge(of_probe[2], edges, heights, palette, log=True)
            of_probe[2].set_xlabel('entry of the walking gradient (density, log scale)')
            rows += [_rows(probe, 'entry', b, edges, h) for b, h in zip(probe.batch_sizes, heights, strict=True)]
            of_probe[0].set_title(probe.title)
        return plotting.save(fig, pd.concat(rows), out, name)


def _edges(values: np.ndarray) -> np.ndarray:
    """Of a histogram's bins: finer with more trials."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    margin = max(1e-3 * abs(high), 1e-12) if high == low else 0.0
    return np.linspace(low - margin, high + margin, 2 + min(80, max(10, 3 * int(len(values) ** 0.5))))


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Shares per unit of x; zeros where there are no values."""
    return np.histogram(values, edges)[0] / max(len(values), 1) / np.diff(edges)


def _rows(probe: GradientNorms, what: str, size: Any, edges: np.ndarray, density: np.ndarray) -> pd.DataFrame:
    there = density > 0
    names = {'run': probe.run, 'epoch': probe.epoch, 'histogram': what, 'batch_size': int(size)}
    return pd.DataFrame(names | {'low': edges[:-1][there], 'high': edges[1:][there], 'density': density[there]})
