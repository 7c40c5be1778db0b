"""What each cell used at every update: a panel per field that says something, held from update to update."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, courses
from bsresearch.analysis.cells import Key
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.of_runs import evaluations
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import colours
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet
from bsresearch.report.plotting import Axes


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it against epochs and, where cells make different numbers of them, updates."""
    keys, at = _at_the_middle(study)
    fields = [str(f) for f in figure.about]
    used = {f: {key: values for key in keys if len(values := _values(study, key, f))} for f in fields}
    drawn_fields = [f for f in fields if used[f] and (f == fields[0] or _varies(used[f].values()))]
    if not drawn_fields:
        raise ValueError(
            f'no update recorded {" or ".join(fields)}; ask for it: --config.scalars.every_steps=1 (bsresearch fields)'
        )
    totals = {int(study.runs.at[run, 'total_updates']) for key in keys for run in study.runs_of(key)}
    positions = ['epochs', 'updates'] if len(totals) > 1 else ['epochs']
    looks, labels = colours.looks(study), cells.labels(study)
    places = [(field, position) for field in drawn_fields for position in positions]
    phrases = [figure.title, *cells.described(study, keys), *at]
    fig, axes = panels.grid(len(places), len(positions), phrases, height=1.5)
    parts = []
    for (field, position), ax in zip(places, axes, strict=True):
        column, label = courses.POSITIONS[position]
        ax.set_ylabel(field.removesuffix('_used').replace('_', ' '))
        ax.set_xlabel(label)
        lines = {key: held(of_cell[column], of_cell['value']) for key, of_cell in used[field].items()}
        every = np.concatenate([of_cell['value'].to_numpy(float) for of_cell in used[field].values()])
        draw_held(ax, every, [(looks[key], line) for key, line in lines.items()], at_values=field == 'batch_size_used')
        parts += [cells.behind(cells.parts(study, key) | {'field': field, 'against': position}, line)
                  for key, line in lines.items()]  # fmt: skip
    panels.legend(fig, {labels[key]: looks[key].line for key in used[drawn_fields[0]]})
    return Sheet(fig, pd.concat(parts, ignore_index=True))


def held(x: pd.Series, y: pd.Series) -> pd.DataFrame:
    """(x, value) where a value begins, and the last: what lies between is the same; thinned to what is seen."""
    place, value = x.to_numpy(float), y.to_numpy(float)
    same = (value[1:] == value[:-1]) | (np.isnan(value[1:]) & np.isnan(value[:-1]))
    kept = np.flatnonzero(np.append(True, ~same) | (np.arange(len(value)) == len(value) - 1))
    place, value = place[kept], value[kept]
    thin = panels.thin(place, value)
    return pd.DataFrame({'x': place[thin], 'value': value[thin]})


def draw_held(
    ax: Axes, values: np.ndarray, lines: list[tuple[Look, pd.DataFrame]], *, at_values: bool, thickest: float = 2.8
) -> None:
    """Steps from value to value; a later line is thinner, so that equal ones show. values: of all lines, unthinned."""
    scales.held(ax, values, at_values)
    for order, (look, line) in enumerate(lines, 1):
        width = 1.0 + (thickest - 1.0) * (1 - order / len(lines))
        panels.line(ax, line['x'], line['value'], look.line, drawstyle='steps-post', linewidth=width)


def _at_the_middle(study: Study) -> tuple[list[Key], list[str]]:
    """(cells, notes): those at the middle value of every axis of numbers that colours do not tell, if it has three."""
    keys, notes = cells.of(study), []
    for axis in study.axes:
        values = cells.values(study, axis)
        if axis == colours.coloured(study) or len(values) < 3 or isinstance(values[0], str):
            continue
        middle = values[len(values) // 2]
        keys = [key for key in keys if cells.value(study, key, axis) in (middle, ABSENT)]
        notes.append(f'at {cells.named(axis, middle)}')
    return keys, notes


def _values(study: Study, key: Key, field: str) -> pd.DataFrame:
    """Of the cell's first replicate that has any: a schedule is the same for all of them."""
    for run in study.runs_of(key):
        rows = evaluations(study, run, field)
        if len(rows):
            values = _scheduled_sizes(study, run, rows) if field == 'batch_size_used' else rows[field]
            return rows[['step', 'epoch']].assign(value=values)
    return pd.DataFrame(columns=['step', 'epoch', 'value'])


def _scheduled_sizes(study: Study, run: str, rows: pd.DataFrame) -> np.ndarray:
    """By the run's schedule: a batch that is short because an epoch ends is no change."""
    facts = study.runs.loc[run]
    changes = facts.get('batch_changes')
    changes = changes if isinstance(changes, tuple) else ()
    sizes = np.array([facts['batch_size'], *(size for _, size in changes)], float)
    return sizes[np.searchsorted([at for at, _ in changes], rows['examples'].to_numpy(float), 'right')]


def _varies(of_cells: Iterable[pd.DataFrame]) -> bool:
    return len({v for values in of_cells for v in values['value']}) > 1
