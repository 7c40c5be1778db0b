"""How the evaluations of the last epochs are distributed, pooled over replicates: a ridge per value of a field."""

import pathlib

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels, cells, of_runs
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantities import volatility
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import colours, plotting
from bsresearch.report.figures import panels

BINS = 40
HIGH = 0.9  # of the distance between two ridges


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws it, a panel for each setting of what else varies.

    Raises:
      ValueError: no run has the metric, or there is no such field.
    """
    metric, by, last = str(figure.about[0]), figure.options['by'], figure.options['last']
    of_runs.check(study, metric)
    cells.check_field(study, by)
    unit, of_values = of_runs.unit_of(metric), colours.of_values(study, by)
    settings: dict[str, dict[float, np.ndarray]] = {}
    labels = cells.labels(study, [by])
    for key in cells.of(study):
        value = cells.value(study, key, by)
        numbers = _late(study, key, metric, last)
        if value != ABSENT and len(numbers):
            settings.setdefault(labels[key], {})[value] = panels.shown(unit, numbers)
    if not settings:
        raise ValueError(f'no run that came to its end has {metric} in its last epochs: nothing to draw')
    columns, parts = min(len(settings), panels.COLUMNS), []
    notes = panels.notes(study, cells.of(study), 'evaluations of the last epochs of {n}, on this test set')
    height = 0.8 + 0.3 * max(len(ridges) for ridges in settings.values())
    with panels.grid(len(settings), columns, notes, figure.title, height) as (fig, axes):
        for (name, ridges), ax in zip(settings.items(), axes, strict=True):
            edges = np.histogram_bin_edges(np.concatenate(list(ridges.values())), BINS)
            for place, (value, numbers) in enumerate(ridges.items()):
                density = np.histogram(numbers, edges, density=True)[0]
                look = {'color': of_values[value], 'alpha': 0.75, 'linewidth': 0}
                ax.stairs(place + HIGH * density / density.max(), edges, baseline=place, fill=True, **look)
                ax.plot(numbers.mean(), place, color='black', marker='|', markersize=5, zorder=3)
                rows = {'setting': name, by: value, 'low': edges[:-1], 'high': edges[1:], 'density': density}
                parts.append(pd.DataFrame(rows).assign(mean=numbers.mean(), n=len(numbers)))
            ax.set_yticks(range(len(ridges)), [axis_labels.text(v) for v in ridges])
            ax.set_title(name if len(settings) > 1 else '')
            ax.set_ylabel(by.replace('_', ' '))
            ax.set_xlabel(panels.label(metric.replace('_', ' '), unit))
        return plotting.save(fig, pd.concat(parts, ignore_index=True), out, figure.name)


def _late(study: Study, key: cells.Key, metric: str, last: float | None) -> np.ndarray:
    """The evaluations in the last epochs (None: a quarter) of the cell's finished runs."""
    samples = [np.empty(0)]
    for run in study.runs_of(key):
        total = float(study.runs.at[run, 'total_epochs'])
        rows = of_runs.evaluations(study, run, metric)
        if study.status(run) == 'done':
            late = rows['epoch'] > total - volatility.window(total, last)
            samples.append(rows.loc[late, metric].to_numpy(float))
    return np.concatenate(samples)
