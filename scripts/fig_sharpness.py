"""Sharpness against batch size, training loss and epochs; below it the largest eigenvalue of the Hessian.

    bsresearch fig sharpness --workdir=runs/sharpness [--out=<directory>]

A colour per batch size. Left: at the end of training, mean and 95 % interval over seeds. Middle: through training, a
line per run. Right: mean and interval; dashed, 2(1 + μ)/η where it was recorded, above which gradient descent is not
stable. Reads records only. Writes fig_sharpness.pdf, .png and .csv (the plotted numbers). Time: seconds.
"""

import pathlib

import numpy as np
import pandas as pd
from absl import flags
from matplotlib.axes import Axes

from bsresearch.analysis import command, held_fixed, summary
from bsresearch.analysis.quantities import sharpness
from bsresearch.report import plotting

LABELS = {sharpness.SHARPNESS: 'sharpness φ (%)', sharpness.EIGENVALUE: 'largest eigenvalue\nof the Hessian'}


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'directory of the figure; default: <workdir>/figures')


def draw(workdir: pathlib.Path, out: pathlib.Path) -> tuple[list[pathlib.Path], pd.DataFrame]:
    """Draws the figure; returns its paths and the values at the end of training.

    Raises:
      FileNotFoundError: no runs. ValueError: none measured the sharpness.
    """
    found = sharpness.measured(workdir)
    by, points = found.loaded.by, found.points
    colors = plotting.palette(points['batch_size'].tolist())
    notes = held_fixed.describe(found.loaded)
    late = sharpness.unconverged(points)
    notes += [f'{late:.0%} of the eigenvalues had not converged'] if late else []
    tables = []
    with plotting.figure(len(found.shown), 3, notes) as (fig, axes):
        for metric, (at_end, against_loss, through) in zip(found.shown, axes, strict=True):
            ends = found.final[found.final['metric'] == metric]
            mine = points[points[metric].notna()]
            limits = pd.concat([mine[metric], ends['low'].clip(lower=mine[metric].min() / 2), ends['high']])
            plotting.y_axis(at_end, LABELS[metric], pd.DataFrame({'mean': limits}), 'log', None)
            tables.append(ends.assign(panel='end'))
            _ends(at_end, ends, colors)
            tables.append(mine[['run', *by, 'epoch', 'loss', metric]].assign(panel='loss'))
            for size, color in colors.items():
                for _, run in mine[mine['batch_size'] == size].groupby('run'):
                    against_loss.plot(run['loss'], run[metric], color=color, marker='o', markersize=2.0, linewidth=0.7)
            tables.append(_through(through, points, metric, by, colors))
        plotting.log_x_axis(axes[-1][0], 'batch size', list(colors))
        plotting.log_x_axis(axes[-1][1], 'training loss')
        plotting.x_axis(axes[-1][2], 'epochs')
        fig.align_ylabels()
        plotting.legends(fig, axes[-1], colors, {}, [[] for _ in axes[-1]])
        return plotting.save(fig, pd.concat(tables), out, 'fig_sharpness'), found.final


def _ends(ax: Axes, ends: pd.DataFrame, colors: dict[int, plotting.Color]) -> None:
    for size, color in colors.items():
        row = ends[ends['batch_size'] == size]
        half = np.array([row['mean'] - row['low'], row['high'] - row['mean']])
        # One run has no interval; on a logarithmic axis none reaches below 0.
        half = np.nan_to_num(np.minimum(half, 0.999 * row['mean'].to_numpy()[None, :]))
        ax.errorbar(row['batch_size'], row['mean'], half, color=color, marker='o', capsize=2.0)


def _through(
    ax: Axes, points: pd.DataFrame, metric: str, by: list[str], colors: dict[int, plotting.Color]
) -> pd.DataFrame:
    """Means over seeds against epochs; those of the stability limit beside the eigenvalue."""
    tables = []
    limit = metric == sharpness.EIGENVALUE and sharpness.LIMIT in points and points[sharpness.LIMIT].notna().any()
    styles: dict[str, plotting.LineStyle] = {metric: '-'}
    if limit:
        styles[sharpness.LIMIT] = '--'
    for name, style in styles.items():
        table = summary.over_seeds(points, 'epoch', name, by)
        for size, color in colors.items():
            plotting.line(ax, table[table['batch_size'] == size], 'epoch', color, style)
        tables.append(table.assign(panel='epoch'))
    return pd.concat(tables)


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    files, final = draw(workdir, pathlib.Path(out) if out else workdir / 'figures')
    print(final.to_string(index=False, float_format='{:.4g}'.format))
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_sharpness', main)
