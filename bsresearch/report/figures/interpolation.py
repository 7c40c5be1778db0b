"""Loss and accuracy between two solutions (measure/probes/interpolation.py), as Keskar et al. 2017 draw them.

A column per path; training solid, test dashed; mean and 95 % interval over pairs of runs.
"""

from typing import Any

from bsresearch.analysis.figures import Figure
from bsresearch.analysis.of_runs import unit_of
from bsresearch.analysis.quantities import interpolation
from bsresearch.analysis.study import Study
from bsresearch.report.colours import ARMS, DASHES, Look
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet

OPTIONS: dict[str, Any] = {}
PANELS = ('loss', 'accuracy')
SPLITS = {'train': Look(ARMS[0], DASHES[0]), 'test': Look(ARMS[2], DASHES[1])}


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it."""
    table = interpolation.table(interpolation.of_study(study))
    paths = table['path'].unique().tolist()
    drawn = [(panel, path) for panel in PANELS if table['metric'].str.endswith(panel).any() for path in paths]
    n = int(table['n'].max())
    notes = ['α = 0: smaller batch, α = 1: larger', f'{n} pair{"s" * (n > 1)}' + ('; bands: 95 % interval' * (n > 1))]
    fig, axes = panels.grid(len(drawn), len(paths), [figure.title, *notes])
    for (panel, path), ax in zip(drawn, axes, strict=True):
        rows, unit = table[table['metric'].str.endswith(panel)], unit_of(f'train_{panel}')
        scales.limits(ax, unit, unit.scaled(rows['mean']), log=panel == 'loss')
        for split, look in SPLITS.items():
            points = rows[(rows['path'] == path) & (rows['metric'] == f'{split}_{panel}')]
            panels.line(ax, points['alpha'], unit.scaled(points['mean']), look)
            low, high = points['low'].clip(lower=unit.low), points['high'].clip(upper=unit.high)
            panels.band(ax, points['alpha'], unit.scaled(low), unit.scaled(high), look)
        for end in (0, 1):
            ax.axvline(end, color='0.6', linewidth=0.6)
        ax.set_ylabel(panels.label(panel, unit))
        ax.set_title(path if panel == drawn[0][0] else '')
        ax.set_xlabel('α')
    panels.legend(fig, SPLITS)
    return Sheet(fig, table)


def text(study: Study) -> str:
    """What stands at the ends of each pair, and between."""
    return interpolation.text(interpolation.of_study(study))
