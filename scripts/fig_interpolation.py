"""Loss and accuracy between two solutions (measure/probes/interpolation.py), as Keskar et al. 2017 draw them.

    bsresearch fig interpolation --workdir=runs/interpolation [--out=<directory>]

A column per path; training solid, test dashed; mean and 95 % interval over seeds. Reads records only. Writes
fig_interpolation.pdf, .png and .csv (the plotted numbers) into <workdir>/figures. Time: seconds.
"""

import pathlib

from absl import flags

from bsresearch.analysis import command
from bsresearch.analysis.quantities import interpolation
from bsresearch.report import plotting

PANELS = ('loss', 'accuracy')
STYLES: dict[str, plotting.LineStyle] = {'train': '-', 'test': '--'}


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'directory of the figure; default: <workdir>/figures')


def draw(workdir: pathlib.Path, out: pathlib.Path) -> tuple[list[pathlib.Path], str]:
    """Draws the figure; returns its paths and what stands at the ends.

    Raises:
      FileNotFoundError: no finished probes. ValueError: probes on different α.
    """
    found = interpolation.load(workdir)
    table = interpolation.table(found)
    paths = table['path'].unique().tolist()
    panels: list[str] = [p for p in PANELS if table['metric'].str.endswith(p).any()]
    colors: dict[str, plotting.Color] = dict(zip(PANELS, plotting.distinct(len(PANELS)), strict=True))
    n = int(table['n'].max())
    notes = ['α = 0: smaller batch, α = 1: larger', f'{n} pair{"s" * (n > 1)}' + ('; bands: 95 % interval' * (n > 1))]
    with plotting.figure(len(panels), len(paths), notes) as (fig, axes):
        for panel, row in zip(panels, axes, strict=True):
            mine = table[table['metric'].str.endswith(panel)]
            plotting.y_axis(row[0], panel, mine, 'log' if panel == 'loss' else 'linear', None)
            for path, ax in zip(paths, row, strict=True):
                for split, style in STYLES.items():
                    points = mine[(mine['path'] == path) & (mine['metric'] == f'{split}_{panel}')]
                    if len(points):
                        plotting.line(ax, points, 'alpha', colors[panel], style)
                for end in (0, 1):
                    ax.axvline(end, color='0.6', linewidth=0.6)
        for path, ax in zip(paths, axes[0], strict=True):
            ax.set_title(path)
        for ax in axes[-1]:
            ax.set_xlabel('α')
        plotting.legends(fig, axes[-1], {}, STYLES, [[] for _ in paths])
        return plotting.save(fig, table, out, 'fig_interpolation'), interpolation.text(found)


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    files, text = draw(workdir, pathlib.Path(out) if out else workdir / 'figures')
    print(text)
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_interpolation', main)
