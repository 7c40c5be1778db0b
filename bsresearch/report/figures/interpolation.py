"""Loss and accuracy between two solutions (measure/probes/interpolation.py), as Keskar et al. 2017 draw them.

A column per path; training solid, test dashed; mean and 95 % interval over pairs of runs.
"""

import pathlib
from typing import Any

import numpy as np

from bsresearch.analysis.figures import Figure, options
from bsresearch.analysis.of_runs import unit_of
from bsresearch.analysis.quantities import interpolation
from bsresearch.analysis.study import Study
from bsresearch.report import plotting
from bsresearch.report.colours import ARMS, DASHES, Look
from bsresearch.report.figures import panels

OPTIONS: dict[str, Any] = {}
PANELS = ('loss', 'accuracy')
SPLITS = {'train': Look(ARMS[0], DASHES[0], ''), 'test': Look(ARMS[2], DASHES[1], '')}


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws it.

    Raises:
      ValueError: no finished probes, or probes on different α or of different arms.
    """
    options(figure, OPTIONS)
    table = interpolation.table(interpolation.of_study(study))
    paths = table['path'].unique().tolist()
    drawn = [p for p in PANELS if table['metric'].str.endswith(p).any()]
    n = int(table['n'].max())
    notes = ['α = 0: smaller batch, α = 1: larger', f'{n} pair{"s" * (n > 1)}' + ('; bands: 95 % interval' * (n > 1))]
    with panels.grid(len(drawn) * len(paths), len(paths), notes, figure.title) as (fig, axes):
        for place, ax in enumerate(axes):
            panel, path = drawn[place // len(paths)], paths[place % len(paths)]
            rows = table[table['metric'].str.endswith(panel)]
            unit = unit_of(f'train_{panel}')
            panels.limits(ax, unit, rows['mean'].to_numpy(float), log=panel == 'loss')
            for split, look in SPLITS.items():
                points = rows[(rows['path'] == path) & (rows['metric'] == f'{split}_{panel}')]
                alpha, mean, low, high = points[['alpha', 'mean', 'low', 'high']].to_numpy(float).T
                ax.plot(alpha, panels.shown(unit, mean), color=look.colour, linestyle=look.dash)
                panels.band(ax, unit, alpha, np.maximum(low, unit.low), np.minimum(high, unit.high), look)
            for end in (0, 1):
                ax.axvline(end, color='0.6', linewidth=0.6)
            if place % len(paths) == 0:
                ax.set_ylabel(panels.label(panel, unit))
            ax.set_title(path if place < len(paths) else '')
            ax.set_xlabel('α' if place >= len(axes) - len(paths) else '')
        panels.legend(fig, [panels.handle(look, split) for split, look in SPLITS.items()])
        return plotting.save(fig, table, out, figure.name)


def text(study: Study) -> str:
    """What stands at the ends of each pair, and between."""
    return interpolation.text(interpolation.of_study(study))
