"""Loss of the noisy quadratic model: mean ± standard error of the runs on the line that the recurrence predicts.

A panel per learning rate and momentum; line: expectation over draws from the population (theory/noisy_quadratic.py),
points: runs, dotted: its limit t → ∞.
"""

import pathlib
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis.figures import Figure, options
from bsresearch.analysis.quantities import noisy_quadratic
from bsresearch.analysis.quantity import LOSS
from bsresearch.analysis.study import Study
from bsresearch.report import colours, plotting
from bsresearch.report.colours import DASHES, MARKERS, Look
from bsresearch.report.figures import panels

OPTIONS: dict[str, Any] = {}


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws it.

    Raises:
      ValueError: runs that the recurrence is not for.
    """
    options(figure, OPTIONS)
    table = noisy_quadratic.compare(study)
    sizes = colours.of_values(study, 'batch_size')
    looks = {size: Look(colour, DASHES[0], MARKERS[0]) for size, colour in sizes.items()}
    counts = sorted({*table['n']})
    notes = ['line: recurrence (no fit)', f'points: mean ± standard error of {counts[0]} runs', 'dotted: limit t → ∞']
    settings = list(dict.fromkeys(table['setting']))
    columns = min(len(settings), panels.COLUMNS)
    with panels.grid(len(settings), columns, notes, figure.title, height=2.3) as (fig, axes):
        for setting, ax in zip(settings, axes, strict=True):
            rows = table[(table['setting'] == setting) & (table['step'] > 0)]
            # Panels of a row share the axis.
            panels.limits(ax, LOSS, table.loc[table['step'] > 0, ['mean', 'expected', 'limit']].to_numpy(), log=True)
            ax.set_title(setting)
            for size, points in rows.groupby('batch_size'):
                _size(ax, points, looks[size])
            plotting.x_axis(ax, 'updates')
        axes[0].set_ylabel('loss ½ Σ h θ²')
        panels.legend(fig, [panels.handle(look, f'B = {size:,}', marker=True) for size, look in looks.items()])
        return plotting.save(fig, table, out, figure.name)


def text(study: Study) -> str:
    """How far the runs lie from the recurrence."""
    known = noisy_quadratic.compare(study)['deviation'].dropna()
    return (
        f'{len(known)} points; deviations in standard errors: mean {known.mean():.2f}, root mean square '
        f'{np.sqrt((known**2).mean()):.2f}, largest {known.abs().max():.2f}'
    )


def _size(ax: plotting.Axes, points: pd.DataFrame, look: Look) -> None:
    """The runs of one batch size on their line."""
    ax.plot(points['step'], points['expected'], color=look.colour)
    ax.errorbar(points['step'], points['mean'], points['standard_error'], color=look.colour, linestyle='none',
                marker=look.marker, markersize=2.5, capsize=1.5, linewidth=0.7)  # fmt: skip
    ax.axhline(points['limit'].iloc[0], color=look.colour, linestyle=':', linewidth=0.8)
