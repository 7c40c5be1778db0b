"""Sharpness against batch size, training loss and epochs; below it the largest eigenvalue of the Hessian.

Left: at the end of training, mean and 95 % interval over replicates. Middle: through training, a line per run. Right:
mean and interval; dotted, 2(1 + μ)/η where it was recorded, above which gradient descent is not stable.
"""

import pathlib
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, courses, points
from bsresearch.analysis.figures import Figure, options
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.quantities import sharpness
from bsresearch.analysis.quantity import LOSS, Quantity
from bsresearch.analysis.study import Study
from bsresearch.report import colours, plotting
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels

OPTIONS: dict[str, Any] = {}
LABELS = {sharpness.SHARPNESS: 'sharpness φ (%)', sharpness.EIGENVALUE: 'largest eigenvalue\nof the Hessian'}


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws it.

    Raises:
      ValueError: no run measured the sharpness.
    """
    options(figure, OPTIONS)
    measured = sharpness.measured(study)
    metrics = [m for m in LABELS if m in measured and measured[m].notna().any()]
    keys = list(dict.fromkeys(measured[study.parts].itertuples(index=False, name=None)))
    looks, names = colours.looks(study), cells.labels(study)
    late = sharpness.unconverged(measured)
    notes = [*panels.notes(study, keys), *([f'{late:.0%} of the eigenvalues had not converged'] if late else [])]
    tables = []
    with panels.grid(3 * len(metrics), 3, notes, figure.title, height=plotting.PANEL_HEIGHT) as (fig, axes):
        for row, metric in enumerate(metrics):
            at_end, against_loss, through = axes[3 * row : 3 * row + 3]
            values = measured[measured[metric].notna()]
            for ax in (at_end, against_loss, through):
                panels.limits(ax, LOSS, values[metric].to_numpy(float), log=True)
            at_end.set_ylabel(LABELS[metric])
            tables += [_ends(at_end, study, _final(metric), looks), _against_loss(against_loss, values, metric, looks)]
            tables += [_through(through, study, keys, name, looks) for name in _lines(measured, metric)]
        for ax, label in zip(axes[-3:], ('batch size', 'training loss', 'epochs'), strict=True):
            ax.set_xlabel(label)
        fig.align_ylabels()
        handles = [panels.handle(looks[key], names[key], marker=True) for key in keys]
        limit = _limit(Look(plotting.to_hex('0.35'), '-', ''))
        if sharpness.LIMIT in measured and measured[sharpness.LIMIT].notna().any():
            handles.append(panels.handle(limit, '2(1 + μ)/η'))
        panels.legend(fig, handles, panels.lost(study, keys, names))
        return plotting.save(fig, pd.concat(tables, ignore_index=True), out, figure.name)


def text(study: Study) -> str:
    """What the cells come to at the end."""
    measured, names = sharpness.measured(study), cells.labels(study)
    tables = []
    for metric in (m for m in (*LABELS, sharpness.LIMIT) if m in measured and measured[m].notna().any()):
        table = points.of(study, _final(metric))
        tables.append(table.assign(cell=[names[key] for key in table['key']], metric=metric))
    columns = ['cell', 'metric', 'runs', 'n', 'diverged', 'centre', 'low', 'high']
    return pd.concat(tables)[columns].to_string(index=False, float_format='{:.4g}'.format)


def _final(metric: str) -> Quantity:
    """None of these is below 0."""
    return final(metric).named(metric, LOSS)


def _lines(measured: pd.DataFrame, metric: str) -> list[str]:
    """What is drawn through training: the stability limit beside the eigenvalue."""
    limit = metric == sharpness.EIGENVALUE and sharpness.LIMIT in measured
    return [metric, sharpness.LIMIT] if limit and measured[sharpness.LIMIT].notna().any() else [metric]


def _limit(look: Look) -> Look:
    return look._replace(dash=':')


def _ends(ax: plotting.Axes, study: Study, quantity: Quantity, looks: dict[cells.Key, Look]) -> pd.DataFrame:
    """Mean and interval of each cell against its batch size; of two replicates the two values."""
    table = points.of(study, quantity)
    table = table.assign(batch_size=[cells.value(study, key, 'batch_size') for key in table['key']])
    plotting.log_x_axis(ax, '', sorted({*table['batch_size'].astype(float)}))
    for row in table.to_dict('records'):
        look = looks[row['key']]
        several = row['values'] if row['n'] == panels.TO_TELL - 1 else (row['centre'],)
        ax.plot([row['batch_size']] * len(several), several, color=look.colour, marker=look.marker, linestyle='none')
        if row['n'] >= panels.TO_TELL:
            low = max(row['low'], ax.get_ylim()[0])  # a logarithmic axis has no place at or below 0
            ax.plot([row['batch_size']] * 2, [low, row['high']], color=look.colour, linewidth=1.1)
    ends_told = table[['low', 'high']].where(table['n'] >= panels.TO_TELL)
    table = table.assign(low=ends_told['low'], high=ends_told['high']).rename(columns={'centre': 'mean'})
    columns = [*study.parts, 'batch_size', 'runs', 'n', 'diverged', 'mean', 'low', 'high']
    return table[[*dict.fromkeys(columns)]].assign(panel='end', metric=quantity.name)


def _against_loss(ax: plotting.Axes, values: pd.DataFrame, metric: str, looks: dict[cells.Key, Look]) -> pd.DataFrame:
    """A line per run."""
    plotting.log_x_axis(ax, '')
    parts = list(values.columns[1 : values.columns.get_loc('replicate')])
    for _, run in values.groupby('run', sort=False):
        look = looks[tuple(run[parts].iloc[0])]
        ax.plot(run['loss'], run[metric], color=look.colour, marker=look.marker, markersize=2.0, linewidth=0.7)
    columns = ['run', *parts, 'replicate', 'epoch', 'loss']
    return values[columns].assign(mean=values[metric], panel='loss', metric=metric)


def _through(
    ax: plotting.Axes, study: Study, keys: list[cells.Key], metric: str, looks: dict[cells.Key, Look]
) -> pd.DataFrame:
    """Means over replicates against epochs."""
    tables = []
    for key in keys:
        course = courses.of(study, key, metric)
        look = _limit(looks[key]) if metric == sharpness.LIMIT else looks[key]
        ax.plot(course['x'], course['mean'], color=look.colour, linestyle=look.dash)
        told = course['n'].to_numpy() >= panels.TO_TELL
        low, high = (np.where(told, course[end], np.nan) for end in ('low', 'high'))
        panels.band(ax, LOSS, course['x'].to_numpy(), low, high, look)
        names = dict(zip(study.parts, key, strict=True)) | {'panel': 'epoch', 'metric': metric}
        course = course.assign(low=low, high=high).rename(columns={'x': 'epoch'})
        tables.append(pd.DataFrame(names, index=course.index).join(course))
    return pd.concat(tables)
