"""Metrics in training: panels by metric and a field, a colour per cell, mean and 95 % interval over replicates."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, courses, of_runs
from bsresearch.analysis.cells import Key
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantity import PLAIN, Unit
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import colours, plotting
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels

MOST_POINTS = 60  # of two replicates, along x
WORDS = {'distance': 'distance ‖θ − θ₀‖', 'parameter_norm': 'norm of the weights ‖θ‖'}
EVALUATED = ('test_', 'train_', 'validation_')


class Panel(NamedTuple):
    """A panel: its metric, the value of the panels' field, and the courses of its cells."""

    metric: str
    value: Any
    courses: dict[Key, pd.DataFrame]


class Prepared(NamedTuple):
    """What a figure of curves shows, before it is drawn.

    panels: in rows of `columns`. field: a panel per value, '' for none. present: the cells of any panel.
    looks, labels: of cells. places: of the panels, row by row; a metric of several begins in a row of its own.
    """

    panels: list[Panel]
    columns: int
    field: str
    present: list[Key]
    looks: dict[Key, Look]
    labels: dict[Key, str]
    places: list[int]

    def centres(self, panel: Panel) -> np.ndarray:
        """The means that set a panel's y axis: those of all panels of its kind.

        At the initial weights everything is at chance: that is drawn, but does not set the axis.
        """
        alike = [p for p in self.panels if _kind(p.metric) == _kind(panel.metric) != ''] or [panel]
        skipped = lambda key, course: panel.metric.startswith(EVALUATED) and key[1] == ABSENT and len(course) > 2
        means = [c['mean'].to_numpy()[int(skipped(key, c)) :] for p in alike for key, c in p.courses.items()]
        return np.concatenate(means)

    def title(self, panel: Panel) -> str:
        """The value that a panel is of."""
        return cells.named(self.field, panel.value) if self.field else ''


def prepare(study: Study, figure: Figure) -> Prepared:
    """Panels, cells and their looks.

    Raises:
      ValueError: no run has any of the metrics, or a name is unknown.
    """
    options, keys = figure.options, cells.pick(study, figure.options['cells'])
    metrics = [str(m) for m in figure.about if _recorded(study, str(m))]
    if not metrics:
        of_runs.check(study, str(figure.about[0]))
    field = options['panel'] or _own_panels(study, keys, options['by'])
    values = [v for v in cells.values(study, field) if v != ABSENT] if field else ['']
    of = lambda metric, value: Panel(metric, value, _courses(study, keys, metric, field, value, options))
    columns = min(len(values) if len(values) > 1 else 2 if len(metrics) != 3 else 3, panels.COLUMNS)
    per_metric = -(-len(values) // columns) * columns if len(values) > 1 else 1
    every = {i * per_metric + j: of(m, v) for i, m in enumerate(metrics) for j, v in enumerate(values)}
    filled_panels = {place: panel for place, panel in every.items() if panel.courses}
    drawn = list(filled_panels.values())
    present = [key for key in keys if any(key in panel.courses for panel in drawn)]
    labels = cells.labels(cells.only(study, set(present).__contains__), [field])
    looks = colours.looks(study, options['by'], field)
    return Prepared(drawn, columns, field, present, looks, labels, list(filled_panels))


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws them.

    Raises:
      ValueError: no run has any of the metrics, or a name is unknown.
    """
    options, prepared = figure.options, prepare(study, figure)
    drawn, columns, _, present, looks, labels, places = prepared
    remarks = panels.lost(study, present, cells.labels(study))
    how = panels.MEANS + (', on this test set' if any(panel.metric.startswith('test_') for panel in drawn) else '')
    with panels.grid(max(places) + 1, columns, panels.notes(study, present, how), figure.title) as (fig, axes):
        for place in set(range(len(axes))) - set(places):
            axes[place].remove()
        for place, panel in zip(places, drawn, strict=True):
            ax, first = axes[place], panel.metric == drawn[0].metric
            title = prepared.title(panel) if first else ''
            _axes(ax, panel, prepared.centres(panel), options, title, last=place + columns not in places)
            for key, course in panel.courses.items():
                _curve(ax, study, key, panel.metric, course, looks[key], options)
            for key, value in _references(study, options, panel.metric).items():
                ax.axhline(value, color=looks[key].colour, linestyle=':', linewidth=0.9)
        ends = [panels.handle(looks[key]._replace(dash=':'), f'end of {labels.get(key) or cells.labels(study)[key]}')
                for key in cells.pick(study, options['ends_of']) if options['ends_of']]  # fmt: skip
        panels.legend(
            fig, panels.unlike([*(panels.handle(looks[key], labels[key]) for key in present), *ends]), remarks
        )
        return plotting.save(fig, table(study, drawn, options), out, figure.name)


def _recorded(study: Study, metric: str) -> bool:
    return any(metric in rows and rows[metric].notna().any() for rows in study.rows.values())


def _own_panels(study: Study, keys: Sequence[Key], by: str) -> str:
    """What colours do not tell gets panels: an axis, or the arms where colours are those of an axis."""
    told = by or colours.coloured(study)
    varying = cells.varying(cells.only(study, set(keys).__contains__))
    axes = [field for field in varying if field in study.axes and field != told]
    return next(iter(axes), 'arm' if told in study.axes and 'arm' in varying else '')


def _courses(
    study: Study, keys: Sequence[Key], metric: str, field: str, value: Any, options: dict[str, Any]
) -> dict[Key, pd.DataFrame]:
    """Of the cells of a panel, as far as x has a place on the axis."""
    courses_of_panel = {}
    for key in keys:
        if field and cells.value(study, key, field) != value:
            continue
        course = courses.of(study, key, metric, **_along(options))
        course = course[course['x'] > 0] if options['x'] == 'updates' else course
        if len(course):
            courses_of_panel[key] = course
    return courses_of_panel


def _along(options: dict[str, Any]) -> dict[str, Any]:
    """What a course is asked for."""
    return {name: options[name] for name in ('x', 'since_branch', 'relative')}


def _kind(metric: str) -> str:
    """What shares a y axis: accuracies, losses; '' of what has one of its own in each panel."""
    return metric.rpartition('_')[2] if metric.startswith(EVALUATED) else ''


def is_log(metric: str, options: dict[str, Any]) -> bool:
    """Whether its axis is logarithmic."""
    return options['log'] or metric.endswith(('_loss', '_objective'))


def label(metric: str, options: dict[str, Any]) -> str:
    """Of the y axis, with the unit."""
    words = WORDS.get(metric, metric.replace('_', ' '))
    return panels.label(f'{words} over its first value' if options['relative'] else words, unit_of(metric, options))


def unit_of(metric: str, options: dict[str, Any]) -> Unit:
    """Of its axis."""
    return PLAIN if options['relative'] else of_runs.unit_of(metric)


def _axes(
    ax: plotting.Axes, panel: Panel, centres: np.ndarray, options: dict[str, Any], title: str, *, last: bool
) -> None:
    unit = unit_of(panel.metric, options)
    panels.limits(ax, unit, centres, log=is_log(panel.metric, options))
    ax.set_ylabel(label(panel.metric, options))
    along = courses.POSITIONS[options['x']][1]
    plotting.x_axis(ax, along)
    if ax.get_xscale() == 'log':
        ends = np.array([c['x'].iloc[i] for c in panel.courses.values() for i in (0, -1)])
        plotting.plain_log_ticks(ax.xaxis, float(np.log10(ends.max() / ends.min())))
    ax.set_xlabel((f'{along} since the branch point' if options['since_branch'] else along) if last else '')
    if title:
        ax.set_title(title)


def _curve(
    ax: plotting.Axes, study: Study, key: Key, metric: str, course: pd.DataFrame, look: Look, options: dict[str, Any]
) -> None:
    unit, x = unit_of(metric, options), course['x'].to_numpy()
    mean = panels.shown(unit, course['mean'].to_numpy())
    ax.plot(x, mean, color=look.colour, linestyle=look.dash)
    told = course['n'].to_numpy() >= panels.TO_TELL
    panels.band(ax, unit, x[told], course['low'].to_numpy()[told], course['high'].to_numpy()[told], look)
    pairs = _pairs(study, key, metric, course, options)
    dots = {'color': look.colour, 'marker': '.', 'markersize': 2.5, 'linestyle': 'none'}
    for replicate in pairs:
        ax.plot(pairs.index, panels.shown(unit, pairs[replicate].to_numpy()), **dots)
    gone = int(sum(study.status(run) == 'diverged' for run in study.runs_of(key)))
    after = np.append(course['diverged'].to_numpy()[1:], gone)
    at = after > course['diverged'].to_numpy()
    panels.crosses(ax, x[at], mean[at], look)


def _pairs(study: Study, key: Key, metric: str, course: pd.DataFrame, options: dict[str, Any]) -> pd.DataFrame:
    """(x, replicates) where there are just two."""
    two = course[course['n'] == 2]['x'].to_numpy()
    if not len(two):
        return pd.DataFrame()
    values = courses.values(study, key, metric, **_along(options))
    return values.loc[two[:: -(-len(two) // MOST_POINTS)]]


def _references(study: Study, options: dict[str, Any], metric: str) -> dict[Key, float]:
    """Cell → the mean of its last values, of those whose end is marked."""
    if not options['ends_of']:
        return {}
    ends = {}
    for key in cells.pick(study, options['ends_of']):
        course = courses.of(study, key, metric)
        if len(course) and np.isfinite(course['mean'].iloc[-1]):
            ends[key] = float(panels.shown(unit_of(metric, options), course['mean'].to_numpy()[-1]))
    return ends


def table(study: Study, drawn: Sequence[Panel], options: dict[str, Any]) -> pd.DataFrame:
    """The plotted numbers in the axis's unit, a row for each cell, metric and x; of two replicates both values."""
    parts = []
    for panel in drawn:
        unit = unit_of(panel.metric, options)
        for key, course in panel.courses.items():
            names = dict(zip(study.parts, key, strict=True)) | {'metric': panel.metric, 'unit': unit.level.strip()}
            ends = course[['low', 'high']].where(course['n'] >= panels.TO_TELL)
            course = course.assign(low=ends['low'], high=ends['high'])
            course = course.assign(**{c: panels.shown(unit, course[c].to_numpy()) for c in ('mean', 'low', 'high')})
            pairs = _pairs(study, key, panel.metric, course, options).reindex(course['x'])
            values = panels.shown(unit, np.sort(pairs.to_numpy(float), axis=1)) if len(pairs.columns) else None
            both = (np.nan, np.nan) if values is None else (values[:, 0], values[:, 1])
            course = course.rename(columns={'x': options['x']}).assign(value_1=both[0], value_2=both[1])
            parts.append(pd.DataFrame(names, index=course.index).join(course))
    return pd.concat(parts, ignore_index=True)
