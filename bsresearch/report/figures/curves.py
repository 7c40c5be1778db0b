"""Metrics in training: panels by metric and a field, a colour per cell, mean and 95 % interval over replicates."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels, cells, courses, of_runs
from bsresearch.analysis.cells import Key
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantity import PLAIN, Unit
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import colours, plotting
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet

REACH, FEW = 2.0, 0.02  # how far an axis goes beyond its points for bands; the share of their ends that may lie beyond
LONGER = 1.5  # times, at most, that the initial weights may make an axis longer
HIDDEN = 5.0  # times that an axis shared with other panels may be longer than one of a panel's own
VALUES = ['value_1', 'value_2']  # of two replicates, drawn as points
SHORT = 4  # evaluations, the first of which is a part of the picture
MOST_POINTS = 60  # of two replicates, along x
WORDS = {'distance': 'distance ‖θ − θ₀‖', 'parameter_norm': 'norm of the weights ‖θ‖'}
EVALUATED = ('test_', 'train_', 'validation_')


class Panel(NamedTuple):
    """A panel: its metric, the value of the panels' field, and the courses of its cells, readable."""

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

    def reach(self, panel: Panel, *, log: bool) -> np.ndarray:
        """What sets a panel's y axis: the points of all panels of its kind, and the ends of their bands.

        All panels of accuracies share theirs, all of losses, and those of any other metric, but one that would be small
        on it has its own.
        """
        kind = _kind(panel.metric)
        shared = _reach([p for p in self.panels if _kind(p.metric) == kind], log=log)
        if panel.metric.startswith(EVALUATED):
            return shared
        of_panel = _reach([panel], log=log)
        return shared if HIDDEN * _length(of_panel, log=log) >= _length(shared, log=log) else of_panel

    def title(self, panel: Panel) -> str:
        """The value that a panel is of."""
        return cells.named(self.field, panel.value) if self.field else ''


def prepare(study: Study, figure: Figure) -> Prepared:
    """Panels, cells and their looks."""
    options, keys = figure.options, cells.pick(study, figure.options['cells'])
    metrics = [str(m) for m in figure.about if m in study.recorded]
    if not metrics:
        of_runs.check(study, str(figure.about[0]))
    field = options['panel'] or _own_panels(study, keys, options['by'])
    of_keys = {cells.value(study, key, field) for key in keys} if field else set()
    values = [v for v in cells.values(study, field) if v != ABSENT and v in of_keys] if field else ['']
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


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws them."""
    options, prepared = figure.options, prepare(study, figure)
    drawn, columns, _, present, looks, labels, places = prepared
    how = panels.MEANS + (', on this test set' if any(panel.metric.startswith('test_') for panel in drawn) else '')
    phrases = [figure.title, *panels.notes(study, present, how)]
    fig, axes = panels.grid(places, columns, phrases)
    for panel, ax in zip(drawn, axes, strict=True):
        _axes(ax, panel, prepared.reach(panel, log=is_log(panel.metric, options)), options)
        ax.set_title(prepared.title(panel) if panel.metric == drawn[0].metric else '')
        for key, course in panel.courses.items():
            _curve(ax, course, looks[key])
        for key, value in _ends(study, options, panel.metric).items():
            ax.axhline(value, color=looks[key].colour, linestyle=':', linewidth=0.9)
    lone = {key for key in present if all(len(panel.courses.get(key, ())) < 2 for panel in drawn)}
    named = {
        labels[key]: looks[key]._replace(dash='none', marker='o') if key in lone else looks[key].line for key in present
    }
    named |= {f'end of {labels.get(key) or cells.labels(study)[key]}': looks[key].line._replace(dash=':')
              for key in cells.pick(study, options['ends_of']) if options['ends_of']}  # fmt: skip
    panels.legend(fig, named, panels.lost(study, present, cells.labels(study)))
    return Sheet(fig, _numbers(study, drawn, options))


def _own_panels(study: Study, keys: Sequence[Key], by: str) -> str:
    """What colours do not tell gets panels: an axis, or the arms where colours are those of an axis."""
    coloured = by or colours.coloured(study)
    of_colours = [cells.value(study, key, coloured) for key in keys]
    if len({*of_colours}) == len(keys):  # colours tell every cell
        return ''
    varying = cells.varying(cells.only(study, set(keys).__contains__))
    everywhere = lambda field: all(cells.value(study, key, field) != ABSENT for key in keys)
    axes = [field for field in varying if field in study.axes and field != coloured and everywhere(field)]
    return next(iter(axes), 'arm' if coloured in study.axes and 'arm' in varying else '')


def _courses(
    study: Study, keys: Sequence[Key], metric: str, field: str, value: Any, options: dict[str, Any]
) -> dict[Key, pd.DataFrame]:
    """Of the cells of a panel, as far as x has a place on the axis."""
    courses_of_panel = {}
    for key in keys:
        if field and cells.value(study, key, field) != value:
            continue
        course = readable_course(study, key, metric, options)
        course = course[course['x'] > 0] if options['x'] == 'updates' else course
        if len(course):
            courses_of_panel[key] = course
    return courses_of_panel


def readable_course(study: Study, key: Key, metric: str, options: dict[str, Any]) -> pd.DataFrame:
    """`courses.of` in the axis's unit, with value_1 and value_2: the two values where there are just two, thinned."""
    along, unit = {name: options[name] for name in ('x', 'since_branch', 'relative')}, unit_of(metric, options)
    course = panels.readable(courses.of(study, key, metric, **along), unit, 'mean').set_index('x', drop=False)
    course[VALUES] = np.nan
    two = course.index[course['n'] == 2]
    two = two[:: -(-len(two) // MOST_POINTS)] if len(two) else two
    if len(two):
        values = courses.values(study, key, metric, **along).loc[two].to_numpy(float)
        course.loc[two, VALUES] = unit.scaled(np.sort(values, axis=1)[:, :2])
    gone = sum(study.status(run) == 'diverged' for run in study.runs_of(key))
    # A cross stands at the last x of what diverged.
    course['ends'] = np.append(course['diverged'].to_numpy()[1:], gone) > course['diverged'].to_numpy()
    return course.reset_index(drop=True)


def _kind(metric: str) -> str:
    """What shares a y axis: accuracies, losses, each other metric."""
    return metric.rpartition('_')[2] if metric.startswith(EVALUATED) else metric


def _reach(drawn: Sequence[Panel], *, log: bool) -> np.ndarray:
    """What sets the y axis of panels.

    At the initial weights all is at chance: of long courses that is left out if it would be over a third of the axis.
    """
    skipped = lambda panel, key, c: panel.metric.startswith(EVALUATED) and key[1] == ABSENT and len(c) > SHORT
    of_each = [(c, int(skipped(panel, key, c))) for panel in drawn for key, c in panel.courses.items()]
    whole = _room(pd.concat([c for c, _ in of_each]), log=log)
    later = _room(pd.concat([c.iloc[begin:] for c, begin in of_each]), log=log)
    return later if len(later) and _length(whole, log=log) > LONGER * _length(later, log=log) else whole


def _length(values: np.ndarray, *, log: bool) -> float:
    return float(np.ptp(np.log(values) if log else values)) if len(values) else 0.0


def _room(shown: pd.DataFrame, *, log: bool) -> np.ndarray:
    """All points, means and both values of two replicates, and of the ends of bands as many as there is room for.

    That is: without the few that lie farthest out, of single evaluations with a wide interval, and no farther from all
    points than REACH times these from one another.
    """
    points, ends = (shown[names].to_numpy(float).ravel() for names in (['mean', *VALUES], panels.ENDS))
    points, ends = (v[np.isfinite(v) & ((v > 0) | (not log))] for v in (points, ends))
    if not len(points):
        return points
    scaled = np.log if log else np.array
    points, ends = scaled(points), scaled(ends)
    if len(ends):
        room, (low, high) = REACH * np.ptp(points), np.quantile(ends, (FEW, 1 - FEW))
        ends = np.array([low, high]).clip(points.min() - room, points.max() + room)
    both = np.concatenate([points, ends])
    return np.exp(both) if log else both


def is_log(metric: str, options: dict[str, Any]) -> bool:
    """Whether its axis is logarithmic."""
    return options['log'] or metric.endswith(('_loss', '_objective'))


def label(metric: str, options: dict[str, Any]) -> str:
    """Of the y axis, with the unit."""
    words = WORDS.get(metric, axis_labels.words(metric))
    return panels.label(f'{words} over its first value' if options['relative'] else words, unit_of(metric, options))


def unit_of(metric: str, options: dict[str, Any]) -> Unit:
    """Of its axis."""
    return PLAIN if options['relative'] else of_runs.unit_of(metric)


def _axes(ax: plotting.Axes, panel: Panel, reach: np.ndarray, options: dict[str, Any]) -> None:
    scales.limits(ax, unit_of(panel.metric, options), reach, log=is_log(panel.metric, options))
    ax.set_ylabel(label(panel.metric, options))
    along = courses.POSITIONS[options['x']][1]
    scales.position(ax, along, np.concatenate([course['x'] for course in panel.courses.values()]))
    ax.set_xlabel(f'{along} since the branch point' if options['since_branch'] else along)


def _curve(ax: plotting.Axes, course: pd.DataFrame, look: Look) -> None:
    # One evaluation is a point: a line through it shows nothing.
    panels.line(
        ax, course['x'], course['mean'], look.line if len(course) > 1 else look._replace(dash='none', marker='o')
    )
    if len(course) == 1:
        ax.plot([course['x'].iloc[0]] * 2, course[panels.ENDS].iloc[0], color=look.colour, linewidth=1.1)
    panels.band(ax, course['x'], course['low'], course['high'], look)
    for value in VALUES:
        panels.line(ax, course['x'], course[value], look.point._replace(marker='.'), markersize=2.5)
    ends = course[course['ends']]
    panels.crosses(ax, ends['x'], ends['mean'], look)


def _ends(study: Study, options: dict[str, Any], metric: str) -> dict[Key, float]:
    """Cell → the mean of its last values, of those whose end is marked."""
    if not options['ends_of']:
        return {}
    ends = {key: courses.of(study, key, metric)['mean'].to_numpy() for key in cells.pick(study, options['ends_of'])}
    unit = unit_of(metric, options)
    return {key: float(unit.scaled(means[-1])) for key, means in ends.items() if len(means) and np.isfinite(means[-1])}


def _numbers(study: Study, drawn: Sequence[Panel], options: dict[str, Any]) -> pd.DataFrame:
    """A row for each cell, metric and x."""
    parts = []
    for panel in drawn:
        of_panel = {'metric': panel.metric, 'unit': unit_of(panel.metric, options).level.strip()}
        for key, course in panel.courses.items():
            parts.append(cells.behind(cells.parts(study, key) | of_panel, course.drop(columns='ends')))
    return pd.concat(parts, ignore_index=True).rename(columns={'x': options['x']})
