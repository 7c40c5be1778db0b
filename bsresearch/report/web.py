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
import pandas as pd

from bsresearch.analysis import cells, courses
from bsresearch.analysis.cells import Key
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.of_runs import better, unit_of
from bsresearch.analysis.study import Study
from bsresearch.report import colours

KIND = 'curves'
FEWEST = 3  # replicates for a band: of two it would hide the lines
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
    """What page.js draws: panels, cells with their looks, and for each cell and panel the curve; None for no curves.

    Each curve has the four positions of its points, and mean, low and high in the unit that readers see.
    """
    metrics = [m for m in figure.about if isinstance(m, str)]
    if figure.kind != KIND or not metrics:
        return None
    labels, looks = cells.labels(study), colours.looks(study)
    since = bool(figure.options.get('since_branch'))
    drawn = [
        {'label': labels[key], 'colour': looks[key].colour, 'dash': _dash(looks[key].dash), 'curves': curves}
        for key in cells.pick(study, figure.options.get('cells', ()))
        if any(curves := [_curve(study, key, metric, since) for metric in metrics])
    ]
    return (
        {'x': figure.options['x'], 'panels': [_panel(metric) for metric in metrics], 'cells': drawn} if drawn else None
    )


def _dash(dash: Any) -> str | list[int]:
    return DASHES[dash] if isinstance(dash, str) else list(dash[1])


def _panel(metric: str) -> dict[str, Any]:
    unit = unit_of(metric)
    words = metric.replace('_', ' ')
    return {'title': f'{words}, {unit.level.strip()}' if unit.level else words, 'log': better(metric) is False}


def _curve(study: Study, key: Key, metric: str, since_branch: bool) -> dict[str, list[float | None]]:
    """Empty where the cell has no such metric."""
    by_position = {x: courses.of(study, key, metric, x, since_branch=since_branch) for x in courses.POSITIONS}
    table = by_position['epochs']
    kept = _thinned(len(table))
    scale, banded = unit_of(metric).scale, (table['n'] >= FEWEST).to_numpy(bool)
    columns = {x: by_position[x]['x'] for x in courses.POSITIONS if len(by_position[x]) == len(table)}
    columns |= {'mean': table['mean'] * scale, **{end: (table[end] * scale).where(banded) for end in ('low', 'high')}}
    return (
        {name: [_number(v) for v in pd.Series(values).iloc[kept]] for name, values in columns.items()}
        if len(table)
        else {}
    )


def _thinned(count: int) -> np.ndarray:
    """Places of at most MOST points, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST)).round().astype(int)) if count else np.array([], int)


def _number(value: float) -> float | None:
    """To six digits; JSON has no NaN."""
    return float(f'{value:.6g}') if math.isfinite(value) else None


def as_json(data: dict[str, Any]) -> str:
    """Inside a script element, which nothing in it can close."""
    return json.dumps(data, ensure_ascii=False, separators=(',', ':')).replace('</', '<\\/')
