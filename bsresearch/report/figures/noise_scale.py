"""B_simple through training with its 95 % interval, |G|² and tr Σ, and the training loss; a line per run.

A point is a window of measurements: the ratio of means with its interval (analysis/ratio.py; none below 20
measurements), an arrow up from the lower end where it has no upper one. Dotted: the population's form, which takes S/N
off |G|². Options: x, a position in training; windows, points per run.
"""

from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, courses, ratio
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantities import noise_scale
from bsresearch.analysis.quantity import LOSS
from bsresearch.analysis.study import Study
from bsresearch.report import colours
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet
from bsresearch.report.plotting import Axes

OPTIONS: dict[str, Any] = {'x': 'epochs', 'windows': 5}
PANELS = {
    'noise_scale': 'B_simple = tr Σ/|G|²\n(examples)',
    'gradient_square': '|G|²',
    'trace': 'tr Σ',
    'train_loss': 'training loss',
}


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it."""
    x, windows = figure.options['x'], figure.options['windows']
    courses.check_position(x)
    if windows < 1:
        raise ValueError(f'windows={windows}: at least 1 point per run is needed')
    table = noise_scale.windows(study, windows)
    position, label = courses.POSITIONS[x]
    cell_of = study.members.drop_duplicates('id').set_index('id')['cell']  # an arm without an axis has none there
    keys = list(dict.fromkeys(cell_of[run] for run in table['run']))
    looks, names = colours.looks(study), cells.labels(study)
    drawn = [p for p in PANELS if table[p].notna().any()]
    notes = [*cells.described(study, keys), f'points: windows of {_range(table["n"])} measurements', 'a line per run',
             _interval_note(table), 'dotted: of the population']  # fmt: skip
    fig, axes = panels.grid(len(drawn), 2, [figure.title, *notes])
    for name, ax in zip(drawn, axes, strict=True):
        ax.set_ylabel(PANELS[name])
        values = table[[name, 'low', 'high'] if name == 'noise_scale' else [name]]
        scales.limits(ax, LOSS, values.to_numpy(float), log=True)
        for name_of_run, run in table.groupby('run', sort=False):
            _run(ax, name, run, run[position], looks[cell_of[name_of_run]])
        scales.position(ax, label, table[position].to_numpy(float))
    below = table.groupby(table['run'].map(cell_of), sort=False)['negative'].mean()
    share = lambda key: f' ({below[key]:.0%} of |G|² estimates negative)' if below[key] else ''
    panels.legend(fig, {names[key] + share(key): looks[key] for key in keys})
    return Sheet(fig, table)


def text(study: Study) -> str:
    """B_simple of every window, with its interval."""
    table = noise_scale.windows(study, OPTIONS['windows'])
    ends = table[['noise_scale', 'low', 'high']].itertuples(index=False, name=None)
    parts = [part for part in study.parts if table[part].nunique() > 1]
    with_text = table.assign(noise_scale=[noise_scale.text(*row) for row in ends])
    columns = [*dict.fromkeys(['run', 'batch_size', *parts, 'replicate', 'step', 'epoch', 'n'])]
    numbers = ['noise_scale', 'population', 'negative', 'gradient_square', 'trace', 'train_loss']
    return with_text[[*columns, *numbers]].to_string(index=False, float_format='{:.4g}'.format)


def _run(ax: Axes, name: str, run: pd.DataFrame, x: pd.Series, look: Look) -> None:
    """A run's windows; a mean of |G|² below 0 has no place on a logarithmic axis, nor has ∞: the table tells."""
    y = run[name].where((run[name] > 0) & np.isfinite(run[name]))
    panels.line(ax, x, y, look, markersize=2.5)
    if name != 'noise_scale':
        return
    bounded = np.isfinite(run['high']) & (run['low'] > 0)
    half = np.array([y - run['low'], run['high'] - y])[:, bounded]
    bars = {'color': look.colour, 'linestyle': 'none', 'linewidth': 0.7}
    ax.errorbar(x[bounded], y[bounded], half, capsize=1.5, **bars)
    beyond = np.isinf(run['high']) & np.isfinite(run['low']) & (run['low'] > 0)
    ax.errorbar(x[beyond], run['low'][beyond], 0.3 * run['low'][beyond], lolims=True, marker='_', markersize=3, **bars)
    population = run['population'].where(np.isfinite(run['population']))
    panels.line(ax, x, population, Look(look.colour, ':'), linewidth=0.8)


def _interval_note(table: pd.DataFrame) -> str:
    if table['low'].isna().all():
        return f'no interval below {ratio.FEWEST_ALONG} measurements'
    return 'bars: 95 % interval (Fieller, cosine long-run covariance); arrow: no upper end'


def _range(values: pd.Series) -> str:
    return '–'.join(f'{v:,}' for v in sorted({values.min(), values.max()}))
