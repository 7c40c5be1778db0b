"""Loss of the noisy quadratic model: mean ± standard error of the runs on the line that the recurrence predicts.

A panel per learning rate and momentum; line: expectation over draws from the population (theory/noisy_quadratic.py),
points: runs, dotted: its limit t → ∞.
"""

from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantities import noisy_quadratic
from bsresearch.analysis.quantity import LOSS
from bsresearch.analysis.study import Study
from bsresearch.report import colours
from bsresearch.report.colours import Look, nth
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet
from bsresearch.report.plotting import Axes

OPTIONS: dict[str, Any] = {}


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it."""
    table = noisy_quadratic.compare(study)
    after = table[table['step'] > 0]
    looks = {size: nth(colour, 0) for size, colour in colours.of_values(study, 'batch_size').items()}
    notes = ['line: recurrence (no fit)', f'points: mean ± standard error of {table["n"].min()} runs',
             'dotted: limit t → ∞']  # fmt: skip
    settings = list(dict.fromkeys(table['setting']))
    fig, axes = panels.grid(len(settings), panels.COLUMNS, [figure.title, *notes], height=2.3)
    for setting, ax in zip(settings, axes, strict=True):
        scales.limits(ax, LOSS, after[['mean', 'expected', 'limit']].to_numpy(), log=True)
        ax.set_title(setting)
        for size, points in after[after['setting'] == setting].groupby('batch_size'):
            _size(ax, points, looks[size])
        scales.position(ax, 'updates', after['step'].to_numpy())
        ax.set_ylabel('loss ½ Σ h θ²')
    panels.legend(fig, {f'B = {size:,}': look for size, look in looks.items()})
    return Sheet(fig, table)


def text(study: Study) -> str:
    """How far the runs lie from the recurrence."""
    known = noisy_quadratic.compare(study)['deviation'].dropna()
    return (
        f'{len(known)} points; deviations in standard errors: mean {known.mean():.2f}, root mean square '
        f'{np.sqrt((known**2).mean()):.2f}, largest {known.abs().max():.2f}'
    )


def _size(ax: Axes, points: pd.DataFrame, look: Look) -> None:
    """The runs of one batch size on their line."""
    panels.line(ax, points['step'], points['expected'], look.line)
    ax.errorbar(points['step'], points['mean'], points['standard_error'], color=look.colour, linestyle='none',
                marker=look.marker, markersize=2.5, capsize=1.5, linewidth=0.7)  # fmt: skip
    ax.axhline(points['limit'].iloc[0], color=look.colour, linestyle=':', linewidth=0.8)
