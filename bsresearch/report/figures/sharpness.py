"""Sharpness against batch size, training loss and epochs; below it the largest eigenvalue of the Hessian.

Left: at the end of training, mean and 95 % interval over replicates. Middle: through training, a line per run. Right:
mean and interval; dotted, 2(1 + μ)/η where it was recorded, above which gradient descent is not stable.
"""

from typing import Any

import pandas as pd

from bsresearch.analysis import cells, courses, points
from bsresearch.analysis.cells import Key
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.quantities import sharpness
from bsresearch.analysis.quantity import LOSS, Quantity
from bsresearch.analysis.study import Study
from bsresearch.report import colours
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet
from bsresearch.report.plotting import Axes

OPTIONS: dict[str, Any] = {}
LABELS = {sharpness.SHARPNESS: 'sharpness φ (%)', sharpness.EIGENVALUE: 'largest eigenvalue\nof the Hessian'}


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it."""
    measured = sharpness.measured(study)
    metrics = [metric for metric in LABELS if _was_measured(measured, metric)]
    keys = list(dict.fromkeys(measured[study.parts].itertuples(index=False, name=None)))
    looks, names = colours.looks(study), cells.labels(study)
    late = sharpness.unconverged(measured)
    notes = [*panels.notes(study, keys), f'{late:.0%} of the eigenvalues had not converged' if late else '']
    fig, axes = panels.grid(3 * len(metrics), 3, [figure.title, *notes])
    named, tables = {names[key]: looks[key] for key in keys}, []
    for metric, *row in zip(metrics, axes[::3], axes[1::3], axes[2::3], strict=True):
        values = measured[measured[metric].notna()]
        for ax, along in zip(row, ('batch size', 'training loss', 'epochs'), strict=True):
            scales.limits(ax, LOSS, values[metric].to_numpy(float), log=True)
            ax.set_xlabel(along)
            ax.set_ylabel(LABELS[metric])
        at_end, against_loss, through = row
        tables += [_ends(at_end, study, _final(metric), looks), _against_loss(against_loss, values, metric, looks)]
        tables += [_through(through, study, key, metric, looks[key].line) for key in keys]
        if metric == sharpness.EIGENVALUE and _was_measured(measured, sharpness.LIMIT):
            limits = [(key, looks[key].line._replace(dash=':')) for key in keys]
            tables += [_through(through, study, key, sharpness.LIMIT, look) for key, look in limits]
            named['2(1 + μ)/η'] = Look('#595959', ':')
    panels.legend(fig, named, panels.lost(study, keys, names))
    return Sheet(fig, pd.concat(tables, ignore_index=True))


def text(study: Study) -> str:
    """What the cells come to at the end."""
    measured, names = sharpness.measured(study), cells.labels(study)
    tables = []
    for metric in (m for m in (*LABELS, sharpness.LIMIT) if _was_measured(measured, m)):
        table = points.of(study, _final(metric))
        tables.append(table.assign(cell=[names[key] for key in table['key']], metric=metric))
    columns = ['cell', 'metric', 'runs', 'n', 'diverged', 'centre', 'low', 'high']
    return pd.concat(tables)[columns].to_string(index=False, float_format='{:.4g}'.format)


def _was_measured(measured: pd.DataFrame, metric: str) -> bool:
    return metric in measured and bool(measured[metric].notna().any())


def _final(metric: str) -> Quantity:
    """None of these is below 0."""
    return final(metric).named(metric, LOSS)


def _ends(ax: Axes, study: Study, quantity: Quantity, looks: dict[Key, Look]) -> pd.DataFrame:
    """Mean and interval of each cell against its batch size."""
    table = panels.readable(points.of(study, quantity), LOSS, 'centre')
    table = table.assign(batch_size=[cells.value(study, key, 'batch_size') for key in table['key']])
    scales.log_x(ax, sorted({*table['batch_size'].astype(float)}))
    for row in table.to_dict('records'):
        panels.point(ax, row['batch_size'], row, looks[row['key']])
    columns = [*study.parts, 'batch_size', 'runs', 'n', 'diverged', 'mean', 'low', 'high']
    table = table.rename(columns={'centre': 'mean'})[[*dict.fromkeys(columns)]]
    return table.assign(panel='end', metric=quantity.name)


def _against_loss(ax: Axes, values: pd.DataFrame, metric: str, looks: dict[Key, Look]) -> pd.DataFrame:
    """A line per run."""
    losses = values['loss'][values['loss'] > 0]
    ax.set_xscale('log')
    scales.log_ticks(ax.xaxis, float(losses.min()), float(losses.max()))
    parts = list(values.columns[1 : values.columns.get_loc('replicate')])
    for _, run in values.groupby('run', sort=False):
        panels.line(ax, run['loss'], run[metric], looks[tuple(run[parts].iloc[0])], markersize=2.0, linewidth=0.7)
    columns = ['run', *parts, 'replicate', 'epoch', 'loss']
    return values[columns].assign(mean=values[metric], panel='loss', metric=metric)


def _through(ax: Axes, study: Study, key: Key, metric: str, look: Look) -> pd.DataFrame:
    """Means over replicates against epochs."""
    course = panels.readable(courses.of(study, key, metric), LOSS, 'mean')
    panels.line(ax, course['x'], course['mean'], look)
    panels.band(ax, course['x'], course['low'], course['high'], look)
    of_cell = cells.parts(study, key) | {'panel': 'epoch', 'metric': metric}
    return cells.behind(of_cell, course.rename(columns={'x': 'epoch'}))
