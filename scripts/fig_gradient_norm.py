"""Gradient norm against batch size (probes/gradient_norm.py): three figures per run and learning rate of the walk.

    python -m scripts.fig_gradient_norm --workdir=runs/gradient_norm [--linear] [--out=<directory>]

  fig_gradient_norm             mean ± standard deviation over trials of the walking and frozen norm and of the
                                displacement, root mean square of the single-batch norm; a colour per checkpoint
  fig_gradient_norm_normalized  walking norms scaled so that all means coincide with that of the largest batch
  fig_gradient_norm_ridges      per batch size: histograms of the norms, raw and normalized, and of the entries

Prints the laws fitted to the mean squares. `--linear`: batch sizes on a linear axis, as in Shen's figures. Reads
records only. Writes .pdf, .png and .csv (the plotted numbers) into <workdir>/figures; the η of the walk is in the file
names where there are several, a number where other settings differ. Time: seconds.
"""

import itertools
import pathlib

import numpy as np
import pandas as pd
from absl import flags

from bsresearch import plotting
from bsresearch.analysis import command, gradient_norm
from bsresearch.analysis.gradient_norm import Found

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


def notes(found: list[Found]) -> list[str]:
    """What holds for a whole figure."""
    f = found[0]
    return [
        f'parameters: {f.parameters}',
        f'η of the walk = {f.learning_rate:g}',
        f'{len(f.norms["walking"])} trials of {f.samples} examples {"with" if f.with_replacement else "without"} '
        f'replacement (seed {f.seed}), the same for every B',
        f'run {f.run}',
    ]


def means(found: list[Found], linear: bool, out: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    """Mean ± standard deviation of each statistic."""
    table = gradient_norm.table(found)
    colors = plotting.distinct(len(found))
    with plotting.figure(len(PANELS), 1, [*notes(found), 'bars: standard deviation over trials']) as (fig, axes):
        for (name, label), [ax] in zip(PANELS.items(), axes, strict=True):
            ax.set_ylabel(label)
            for f, color in zip(found, colors, strict=True):
                mine = table[(table['epoch'] == f.epoch)]
                x, y = mine['batch_size'], mine[f'{name}_{"rms" if name == "single" else "mean"}']
                ax.errorbar(x, y, mine[f'{name}_std'], color=color, marker='o', markersize=2.5, capsize=1.5)
                if name == 'single':
                    ax.plot(x, mine['single_rms_predicted'], color='0.2', linestyle='--', linewidth=0.8)
            if name in ('single', 'displacement'):
                limits = table[f'{name}_{"rms" if name == "single" else "mean"}']
                plotting.y_axis(ax, label, pd.DataFrame({'mean': limits}), 'log', None)
            else:
                ax.set_ylim(bottom=0)
            plotting.batch_axis(ax, table['batch_size'].to_numpy(), linear)
        axes[-1][0].set_xlabel('batch size B')
        fig.align_ylabels()
        names = dict(zip([f.title for f in found], colors, strict=True))
        plotting.list_below(fig, names | {'single-batch: r.m.s.; dashed: √(‖∇L‖² + tr Σ/B), no fit': '0.2'})
        return plotting.save(fig, table, out, f'fig_gradient_norm{suffix}')


def normalized(found: list[Found], linear: bool, out: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    """Norms scaled by mean(largest B)/mean(B): equal means, the spread is what is left."""
    colors, rows = plotting.distinct(len(found)), []
    with plotting.figure(1, 1, [*notes(found), 'bars: standard deviation over trials']) as (fig, [[ax]]):
        for place, (f, color) in enumerate(zip(found, colors, strict=True)):
            scaled = gradient_norm.normalized(f)
            mean, std = scaled.mean(axis=0), scaled.std(axis=0, ddof=1) if len(scaled) > 1 else None
            shift = 1 + 0.03 * place if not linear else 1
            ax.errorbar(f.batch_sizes * shift, mean, std, color=color, marker='o', markersize=2.5, capsize=1.5)
            rows.append(pd.DataFrame({'epoch': f.epoch, 'batch_size': f.batch_sizes, 'mean': mean, 'std': std}))
        plotting.batch_axis(ax, found[0].batch_sizes, linear)
        ax.set_ylim(bottom=0)
        ax.set_xlabel('batch size B')
        ax.set_ylabel('walking norm,\nscaled to equal means')
        plotting.list_below(fig, dict(zip([f.title for f in found], colors, strict=True)))
        return plotting.save(fig, pd.concat(rows), out, f'fig_gradient_norm_normalized{suffix}')


def ridges(found: list[Found], out: pathlib.Path, suffix: str) -> list[pathlib.Path]:
    """Histograms: a column per checkpoint; norms, normalized norms, entries of the walking gradient."""
    rows = []
    with plotting.figure(3, len(found), notes(found), height=3.2) as (fig, axes):
        for column, f in enumerate(found):
            colors = plotting.palette(f.batch_sizes.tolist())
            scaled = gradient_norm.normalized(f)
            for row, (label, values) in enumerate((('walking norm', f.norms['walking']), ('normalized norm', scaled))):
                edges = _edges(values)
                heights = [_density(v[np.isfinite(v)], edges) for v in values.T]
                plotting.ridge(axes[row][column], edges, heights, colors)
                axes[row][column].set_xlabel(label)
                rows += [_rows(f, label, b, edges, h) for b, h in zip(f.batch_sizes, heights, strict=True)]
            edges, heights = gradient_norm.entry_densities(f)
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


def _rows(f: Found, what: str, size: int, edges: np.ndarray, density: np.ndarray) -> pd.DataFrame:
    shown = density > 0
    facts = {'epoch': f.epoch, 'histogram': what, 'batch_size': int(size)}
    return pd.DataFrame(facts | {'low': edges[:-1][shown], 'high': edges[1:][shown], 'density': density[shown]})


def draw(workdir: pathlib.Path, linear: bool, out: pathlib.Path) -> tuple[list[pathlib.Path], str]:
    """Draws all figures; returns their paths and the text of the fits.

    Raises:
      FileNotFoundError: no finished probes.
    """
    found, files = gradient_norm.load(workdir), []
    by = lambda f: (f.run, f.settings, f.learning_rate)
    groups = [list(group) for _, group in itertools.groupby(sorted(found, key=by), key=by)]
    for number, group in enumerate(groups):
        rates = len({by(g[0])[-1] for g in groups}) == len(groups)
        suffix = '' if len(groups) == 1 else f'_{group[0].learning_rate:g}' if rates else f'_{number}'
        files += means(group, linear, out, suffix) + normalized(group, linear, out, suffix) + ridges(group, out, suffix)
    return files, gradient_norm.text(found)


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
