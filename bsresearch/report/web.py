"""Curves that a reader can switch in the page: means and intervals as JSON, drawn by page.js with BokehJS.

BokehJS is one file of the package `bokeh` (1.3 MB), put into the page: nothing is loaded from a network. Where scripts
do not run the PNG stays.
"""

import importlib.util
import json
import math
import pathlib
from typing import Any

import numpy as np

from bsresearch.analysis import courses
from bsresearch.analysis.cells import Key
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.study import Study
from bsresearch.report.figures import curves, scales
from bsresearch.report.figures.curves import Panel, Prepared

KIND = 'curves'
MOST = 400  # points of a curve
DASHES = {'-': 'solid', '--': 'dashed', ':': 'dotted', '-.': 'dotdash'}
LIBRARY = 'server/static/js/bokeh.min.js'


def library() -> str:
    """The text of BokehJS.

    Raises:
      FileNotFoundError: the package is not installed.
    """
    spec = importlib.util.find_spec('bokeh')
    if spec is None or spec.origin is None:
        raise FileNotFoundError('the package bokeh is missing: pip install -r requirements.txt')
    return (pathlib.Path(spec.origin).parent / LIBRARY).read_text(encoding='utf-8')


def data(study: Study, figure: Figure) -> dict[str, Any] | None:
    """What page.js draws, as the PNG of the same figure has it; None where the figure is none of curves.

    Returns:
      x: the position it begins with. columns: panels side by side. panels: y axis, its ends, a title.
      cells: an entry of the legend each, with a curve for each panel, {} where it has none. A curve has its points at
      every position, and mean, low and high in the unit that readers see.
    """
    if figure.kind != KIND:
        return None
    prepared, options = curves.prepare(study, figure), figure.options
    entries: dict[str, dict[str, Any]] = {}
    for place, panel in enumerate(prepared.panels):
        for key in panel.courses:
            label, look = prepared.labels[key], prepared.looks[key]
            empty = {'label': label, 'colour': look.colour, 'dash': _dash(look.dash)}
            entry = entries.setdefault(label, empty | {'curves': [{} for _ in prepared.panels]})
            entry['curves'][place] = _curve(study, key, panel.metric, options)
    web_panels = [_panel(prepared, panel, options) for panel in prepared.panels]
    since = ' since the branch point' if options['since_branch'] else ''
    names = {x: label + since for x, (_, label) in courses.POSITIONS.items()}
    return {
        'x': options['x'], 'names': names, 'columns': min(prepared.columns, len(web_panels)), 'panels': web_panels,
        'cells': list(entries.values())
    }  # fmt: skip


def _dash(dash: Any) -> str | list[int]:
    return DASHES[dash] if isinstance(dash, str) else list(dash[1])


def _panel(prepared: Prepared, panel: Panel, options: dict[str, Any]) -> dict[str, Any]:
    log, unit = curves.is_log(panel.metric, options), curves.unit_of(panel.metric, options)
    ends = scales.span(unit, prepared.reach(panel, log=log), log=log) or (0.0, 1.0)
    label = ' '.join(curves.label(panel.metric, options).split())
    return {'label': label, 'title': prepared.title(panel), 'log': log, 'ends': [_number(end) for end in ends]}


def _curve(study: Study, key: Key, metric: str, options: dict[str, Any]) -> dict[str, list[float | None]]:
    """At all positions, in the same order of points."""
    course = curves.readable_course(study, key, metric, options | {'x': 'epochs'})
    place = lambda x: courses.values(study, key, metric, x, since_branch=options['since_branch']).index.to_numpy()
    columns = {x: places for x in courses.POSITIONS if len(places := place(x)) == len(course)}
    columns |= {name: course[name].to_numpy() for name in ('mean', 'low', 'high')}
    kept = _thinned(len(course))
    return {name: [_number(v) for v in values[kept]] for name, values in columns.items()}


def _thinned(count: int) -> np.ndarray:
    """Places of at most MOST points, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(int)) if count else np.array([], int)


def _number(value: float) -> float | None:
    """To six digits; JSON has no NaN."""
    return float(f'{value:.6g}') if math.isfinite(value) else None


def as_json(data: dict[str, Any]) -> str:
    """Inside a script element, which nothing in it can close."""
    return json.dumps(data, ensure_ascii=False, separators=(',', ':')).replace('</', '<\\/')
