"""The hypothesis that Shen's article tests, a schematic: two steps, their sum, and one step of both examples."""

from typing import Any

import pandas as pd

from bsresearch.analysis.figures import Figure
from bsresearch.analysis.study import Study
from bsresearch.report import plotting
from bsresearch.report.figures import panels
from bsresearch.report.figures.panels import Sheet

OPTIONS: dict[str, Any] = {}
FIRST, BOTH, ONE, BELOW = (2.0, 2.2), (4.4, 0.7), (2.7, 0.08), (0.0, -0.35)
# Name, start, end, line, offset of the name in points.
ARROWS: tuple[tuple[str, tuple[float, float], tuple[float, float], plotting.LineStyle, tuple[int, int]], ...] = (
    ('g(1)', (0.0, 0.0), FIRST, '-', (-22, 2)),
    ('g(2)', FIRST, BOTH, '-', (5, 4)),
    ('g(1) + g(2)', (0.0, 0.0), BOTH, '--', (-12, 10)),
    ('g(1,2)', BELOW, ONE, ':', (0, -12)),
)


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it; the study has no part in it."""
    facts = ['schematic, no data', 'hypothesis: the step g(1,2) on a batch of both examples is shorter than the steps '
             'on one after the other']  # fmt: skip
    fig, [ax] = panels.grid(1, 1, facts, height=1.8)
    for name, start, end, style, offset in ARROWS:
        shape = {'arrowstyle': '-|>', 'color': '0.15', 'lw': 1.2, 'shrinkA': 0, 'shrinkB': 0, 'linestyle': style}
        ax.annotate('', end, start, arrowprops=shape)
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        ax.annotate(name, middle, offset, textcoords='offset points')
    ax.set_xlim(-0.3, 4.8)
    ax.set_ylim(-0.8, 2.4)
    ax.set_aspect('equal')
    ax.set_axis_off()
    columns = ['vector', 'x_start', 'y_start', 'x_end', 'y_end']
    return Sheet(fig, pd.DataFrame([(name, *start, *end) for name, start, end, *_ in ARROWS], columns=columns))
