"""Gradient norm against batch size (probes/gradient_norm.py): three figures per arm and learning rate of the walk.

    bsresearch fig gradient_norm --workdir=runs/gradient_norm [--linear] [--out=<directory>]

  fig_gradient_norm             mean ± standard deviation over trials of the walking and frozen norm and of the
                                displacement, root mean square of the single-batch norm; a colour per checkpoint
  fig_gradient_norm_normalized  walking norms scaled so that all means coincide with that of the largest batch
  fig_gradient_norm_ridges      per batch size: histograms of the norms, raw and normalized, and of the entries

Of several seeds the first two show the mean, with a thin line for each, the third the first seed alone; the tables have
every seed. Prints the laws fitted to the mean squares. `--linear`: batch sizes on a linear axis, as in Shen's figures.
Reads records only. Writes .pdf, .png and .csv (the plotted numbers) into <workdir>/figures; the η of the walk is in the
file names where there are several, a number where other settings differ. Time: seconds.
"""

import functools
import itertools
import pathlib

import numpy as np
import pandas as pd
from absl import flags

from bsresearch.analysis import command
from bsresearch.analysis.quantities import gradient_entries, gradient_norm
from bsresearch.analysis.quantities.gradient_norm import GradientNorms
from bsresearch.report import figures, plotting

PANELS = {
    'walking': 'walking\n‖(B/n) Σ g(w_k; b_k)‖',
    'frozen': 'frozen\n‖(B/n) Σ g(w*; b_k)‖',
    'single': 'single-batch\n‖g(w*; b)‖',
    'displacement': 'displacement\n‖w_{K+1} − w*‖',
}


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_bool('linear', False, 'batch sizes on a linear axis')
    flags.DEFINE_string('out', None, 'directory of the figures; default: <workdir>/figures')


def notes(found: list[GradientNorms]) -> list[str]:
    """What holds for a whole figure."""
    f, runs = found[0], sorted({f.run for f in found})
    return [
        f'parameters: {f.parameters}',
        f'η of the walk = {f.learning_rate:g}',
        f'{len(f.norms["walking"])} trials of {f.samples} examples {"with" if f.with_replacement else "without"} '
        f'replacement (seed {f.seed}), the same for every B',
        f'run {f.run}' if len(runs) == 1 else f'mean over {len(runs)} seeds, thin: each of them',
    ]


def pooled(table: pd.DataFrame) -> pd.DataFrame:
    """Over seeds: the mean of means, the root mean square of the rest; a row per epoch and batch size."""
    columns = [c for c in table if c.endswith(('_mean', '_std', '_rms', '_predicted'))]
    square = lambda x: np.sqrt(np.mean(np.square(x.to_numpy())))
    how = {c: 'mean' if c.endswith('_mean') else square for c in columns}
    return table.groupby(['epoch', 'batch_size'], sort=True)[columns].agg(how).reset_index()


def means(found: list[GradientNorms], linear: bool, out: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    """Mean ± standard deviation of each statistic."""
    table = gradient_norm.table(found)
    points, names = pooled(table), titles(found)
    colors = plotting.distinct(len(names))
    with plotting.figure(len(PANELS), 1, [*notes(found), 'bars: standard deviation over trials']) as (fig, axes):
        for (name, label), [ax] in zip(PANELS.items(), axes, strict=True):
            ax.set_ylabel(label)
            value = f'{name}_{"rms" if name == "single" else "mean"}'
            for epoch, color in zip(names, colors, strict=True):
                mine = points[points['epoch'] == epoch]
                x = mine['batch_size']
                ax.errorbar(x, mine[value], mine[f'{name}_std'], color=color, marker='o', markersize=2.5, capsize=1.5)
                if name == 'single':
                    ax.plot(x, mine['single_rms_predicted'], color='0.2', linestyle='--', linewidth=0.8)
                for _, seed in _seeds(table[table['epoch'] == epoch]):
                    ax.plot(seed['batch_size'], seed[value], color=color, linewidth=0.4, alpha=0.7)
            if name in ('single', 'displacement'):
                plotting.y_axis(ax, label, pd.DataFrame({'mean': table[value]}), 'log', None)
            else:
                ax.set_ylim(bottom=0)
            plotting.batch_axis(ax, table['batch_size'].to_numpy(), linear)
        axes[-1][0].set_xlabel('batch size B')
        fig.align_ylabels()
        legend = dict(zip(names.values(), colors, strict=True))
        plotting.list_below(fig, legend | {'single-batch: r.m.s.; dashed: √(‖∇L‖² + tr Σ/B), no fit': '0.2'})
        return plotting.save(fig, _with_pooled(table, points), out, f'fig_gradient_norm{suffix}')


def titles(found: list[GradientNorms]) -> dict[float, str]:
    """The name of each checkpoint, by its epoch."""
    return {f.epoch: f.title for f in sorted(found, key=lambda f: f.epoch)}


def _seeds(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each run, where there are several."""
    return [(str(run), rows) for run, rows in table.groupby('run')] if table['run'].nunique() > 1 else []


def _with_pooled(table: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """With what is drawn of several seeds, as rows of run 'all'."""
    return pd.concat([table, points.assign(run='all')], ignore_index=True) if table['run'].nunique() > 1 else table


def normalized(found: list[GradientNorms], linear: bool, out: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    """Norms scaled by mean(largest B)/mean(B): equal means, the spread is what is left."""
    rows = []
    for f in found:
        scaled = gradient_norm.normalized(f)
        mean, std = scaled.mean(axis=0), scaled.std(axis=0, ddof=1) if len(scaled) > 1 else np.nan
        facts = {'run': f.run, 'epoch': f.epoch, 'batch_size': f.batch_sizes}
        rows.append(pd.DataFrame(facts | {'scaled_mean': mean, 'scaled_std': std}))
    table, names = pd.concat(rows), titles(found)
    points, colors = pooled(table), plotting.distinct(len(names))
    with plotting.figure(1, 1, [*notes(found), 'bars: standard deviation over trials']) as (fig, [[ax]]):
        for place, (epoch, color) in enumerate(zip(names, colors, strict=True)):
            mine = points[points['epoch'] == epoch]
            shift = 1 + 0.03 * place if not linear else 1
            std = mine['scaled_std'] if mine['scaled_std'].notna().any() else None
            ax.errorbar(mine['batch_size'] * shift, mine['scaled_mean'], std, color=color, marker='o', markersize=2.5,
                        capsize=1.5)  # fmt: skip
            for _, seed in _seeds(table[table['epoch'] == epoch]):
                ax.plot(seed['batch_size'] * shift, seed['scaled_mean'], color=color, linewidth=0.4, alpha=0.7)
        plotting.batch_axis(ax, found[0].batch_sizes, linear)
        ax.set_ylim(bottom=0)
        ax.set_xlabel('batch size B')
        ax.set_ylabel('walking norm,\nscaled to equal means')
        plotting.list_below(fig, dict(zip(names.values(), colors, strict=True)))
        shown = _with_pooled(table, points).rename(columns={'scaled_mean': 'mean', 'scaled_std': 'std'})
        return plotting.save(fig, shown, out, f'fig_gradient_norm_normalized{suffix}')


def ridges(found: list[GradientNorms], out: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    """Histograms of the first run, a column per checkpoint: norms, normalized norms, entries of the gradient."""
    rows, runs = [], len({f.run for f in found})
    found = [f for f in found if f.run == found[0].run]
    facts = [*notes(found), *([f'the first of {runs} seeds'] if runs > 1 else [])]
    with plotting.figure(3, len(found), facts, height=3.2) as (fig, axes):
        for column, f in enumerate(found):
            colors = plotting.palette(f.batch_sizes.tolist())
            scaled = gradient_norm.normalized(f)
            for row, (label, values) in enumerate((('walking norm', f.norms['walking']), ('normalized norm', scaled))):
                edges = _edges(values)
                heights = [_density(v[np.isfinite(v)], edges) for v in values.T]
                plotting.ridge(axes[row][column], edges, heights, colors)
                axes[row][column].set_xlabel(label)
                rows += [_rows(f, label, b, edges, h) for b, h in zip(f.batch_sizes, heights, strict=True)]
            edges, heights = gradient_entries.densities(f.counts, f.edges, f.largest)
            plotting.ridge(axes[2][column], edges, heights, colors, log=True)
            axes[2][column].set_xlabel('entry of the walking gradient (density, log scale)')
            rows += [_rows(f, 'entry', b, edges, h) for b, h in zip(f.batch_sizes, heights, strict=True)]
            axes[0][column].set_title(f.title)
        return plotting.save(fig, pd.concat(rows), out, f'fig_gradient_norm_ridges{suffix}')


def _edges(values: np.ndarray) -> np.ndarray:
    """Of a histogram's bins: finer with more trials."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    margin = max(1e-3 * abs(high), 1e-12) if high == low else 0.0
    return np.linspace(low - margin, high + margin, 2 + min(80, max(10, 3 * int(len(values) ** 0.5))))


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Shares per unit of x; zeros where there are no values."""
    return np.histogram(values, edges)[0] / max(len(values), 1) / np.diff(edges)


def _rows(f: GradientNorms, what: str, size: int, edges: np.ndarray, density: np.ndarray) -> pd.DataFrame:
    shown = density > 0
    facts = {'epoch': f.epoch, 'histogram': what, 'batch_size': int(size)}
    return pd.DataFrame(facts | {'low': edges[:-1][shown], 'high': edges[1:][shown], 'density': density[shown]})


def draw(workdir: pathlib.Path, linear: bool, out: pathlib.Path) -> tuple[list[pathlib.Path], str]:
    """Draws all figures; returns their paths and the text of the fits.

    Raises:
      FileNotFoundError: no finished probes.
    """
    found, calls = gradient_norm.load(workdir), []
    arms = gradient_norm.arms(workdir)
    by = lambda f: (arms[f.run][0], f.settings, f.learning_rate)
    ordered = sorted(found, key=lambda f: (*by(f), arms[f.run][1], f.run, f.step))
    groups = [list(group) for _, group in itertools.groupby(ordered, key=by)]
    for number, group in enumerate(groups):
        rates = len({by(g[0])[-1] for g in groups}) == len(groups)
        suffix = '' if len(groups) == 1 else f'_{group[0].learning_rate:g}' if rates else f'_{number}'
        calls += [
            functools.partial(means, group, linear, out, suffix),
            functools.partial(normalized, group, linear, out, suffix),
            functools.partial(ridges, group, out, suffix),
        ]
    return figures.each(*calls), gradient_norm.text(found)


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    files, text = draw(workdir, flags.FLAGS.linear, pathlib.Path(out) if out else workdir / 'figures')
    print(text)
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_gradient_norm', main)
