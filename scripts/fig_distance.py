"""Distance from the initial weights and norm of the weights through training: mean and 95 % interval over seeds.

    bsresearch fig distance --workdir=runs/distance [--x=epoch|updates|examples] [--out=<directory>]

A colour per batch size; other fields that vary (learning rate, optimizer) get a column of panels each. Prints for each
arm the fits a + b·ln t and c·t^p and which is nearer by AIC. Reads records only. Writes fig_distance.pdf, .png and .csv
(the plotted numbers) into <workdir>/figures, or fig_distance_<x>.* for another axis than epochs. Time: seconds.
"""

import pathlib

import pandas as pd
from absl import flags

from bsresearch.analysis import arms, command, held_fixed, summary
from bsresearch.analysis.quantities import growth
from bsresearch.report import plotting

PANELS = {'distance': '‖θ − θ₀‖', 'parameter_norm': '‖θ‖'}


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_enum('x', 'epoch', ['epoch', 'updates', 'examples'], 'position on the x axis')
    flags.DEFINE_string('out', None, 'directory of the figure; default: <workdir>/figures')


def draw(workdir: pathlib.Path, x: str, out: pathlib.Path) -> tuple[list[pathlib.Path], str]:
    """Draws the figure; returns its paths and the table of fits.

    Raises:
      FileNotFoundError: no runs. ValueError: the distance was not measured often enough.
    """
    fits = growth.fits(workdir)
    loaded = arms.load(workdir)
    position, label = arms.POSITIONS[x]
    colors = plotting.palette(loaded.runs['batch_size'].tolist())
    shown = [p for p in PANELS if p in loaded.rows and loaded.rows[p].notna().any()]
    columns = held_fixed.panels(loaded)
    points = {
        (i, m): summary.over_seeds(rows, position, m, loaded.by) for i, (_, rows) in enumerate(columns) for m in shown
    }
    with plotting.figure(len(shown), len(columns), held_fixed.describe(loaded)) as (fig, axes):
        for metric, row in zip(shown, axes, strict=True):
            everything = pd.concat([points[i, metric] for i in range(len(columns))])
            plotting.y_axis(row[0], PANELS[metric], everything[everything[position] > 0], 'log', None)
            for i, ax in enumerate(row):
                for size, color in colors.items():
                    mine = points[i, metric]
                    plotting.line(ax, mine[(mine['batch_size'] == size) & (mine[position] > 0)], position, color)
        for (title, _), ax in zip(columns, axes[0], strict=True):
            ax.set_title(title)
        for ax in axes[-1]:
            plotting.x_axis(ax, label)
        plotting.legends(fig, axes[-1], colors, {}, [[] for _ in columns])
        files = plotting.save(
            fig, pd.concat(points.values()), out, 'fig_distance' if x == 'epoch' else f'fig_distance_{x}'
        )
    return files, growth.by_arm(fits, loaded.by).to_string(index=False, float_format='{:.3g}'.format)


def main() -> None:
    """Flags to values."""
    workdir = command.workdir()
    files, text = draw(workdir, flags.FLAGS.x, command.out('figures'))
    print(f'a + b·ln t (slope b) and c·t^p (exponent p), t in updates; power_better: of n runs, by AIC:\n{text}')
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_distance', main)
