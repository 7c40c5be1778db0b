"""How the evaluations of the last epochs are distributed, pooled over replicates: a ridge per value of a field."""

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels, cells, of_runs, points
from bsresearch.analysis.cells import Key
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantities import volatility
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import colours
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels
from bsresearch.report.figures.panels import Sheet

BINS = 40


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it, a panel for each setting of what else varies."""
    metric, by = str(figure.about[0]), figure.options['by']
    of_runs.check(study, metric)
    cells.check_field(study, by)
    unit, of_values = of_runs.unit_of(metric), colours.of_values(study, by)
    settings: dict[Key, dict[float, np.ndarray]] = {}
    labels: dict[Key, list[str]] = {}
    for key, label in cells.labels(study, [by]).items():
        value, setting = cells.value(study, key, by), _setting(study, key, by)
        late = _late(study, key, metric)
        if value != ABSENT and len(late):
            settings.setdefault(setting, {})[value] = unit.scaled(late)
            labels.setdefault(setting, []).append(label)
    if not settings:
        raise ValueError(f'no run that came to its end has {metric} in its last epochs: nothing to draw')
    how = 'evaluations of the last epochs of {n}, on this test set'
    height = 0.8 + 0.3 * max(len(ridges) for ridges in settings.values())
    phrases = [figure.title, *panels.notes(study, cells.of(study), how)]
    fig, axes = panels.grid(len(settings), panels.COLUMNS, phrases, height=height)
    parts = []
    for (setting, ridges), ax in zip(settings.items(), axes, strict=True):
        name = axis_labels.listed(list(dict.fromkeys(labels[setting])))
        edges = np.histogram_bin_edges(np.concatenate(list(ridges.values())), BINS)
        densities = [np.histogram(late, edges, density=True)[0] for late in ridges.values()]
        panels.ridges(ax, edges, densities, {axis_labels.text(v): of_values[v] for v in ridges}, log=False)
        for place, ((value, late), density) in enumerate(zip(ridges.items(), densities, strict=True)):
            panels.line(ax, late.mean(), place, Look('black', 'none', '|'), markersize=5, zorder=3)
            rows = {'setting': name, by: value, 'low': edges[:-1], 'high': edges[1:], 'density': density}
            parts.append(pd.DataFrame(rows).assign(mean=late.mean(), n=len(late)))
        ax.set_title(name if len(settings) > 1 else '')
        ax.set_ylabel(axis_labels.of_field(by))
        ax.set_xlabel(panels.label(axis_labels.words(metric), unit))
    return Sheet(fig, pd.concat(parts, ignore_index=True))


def _setting(study: Study, key: Key, by: str) -> Key:
    """What the ridges of a panel have in common: all but `by`, which may be a field that arms set."""
    if by in study.parts:
        return points.by_names(study.parts, by)(key)
    return (cells.families(study, by).get(key[0], key[0]), *key[1:])


def _late(study: Study, key: Key, metric: str) -> np.ndarray:
    """The evaluations in the last quarter of the cell's finished runs."""
    samples = [np.empty(0)]
    for run in study.runs_of(key):
        total = float(study.runs.at[run, 'total_epochs'])
        rows = of_runs.evaluations(study, run, metric)
        if study.status(run) == 'done':
            late = rows['epoch'] > total - volatility.window(total, None)
            samples.append(rows.loc[late, metric].to_numpy(float))
    return np.concatenate(samples)
