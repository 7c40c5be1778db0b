"""What each cell used at every update: a panel per field that says something, held from update to update."""

import pathlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, courses
from bsresearch.analysis.cells import Key
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.of_runs import evaluations
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import colours, plotting
from bsresearch.report.figures import panels


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws it against epochs and, where cells make different numbers of them, updates.

    Raises:
      ValueError: no update's values were recorded.
    """
    keys, at = _at_the_middle(study)
    fields = [str(f) for f in figure.about]
    used = {f: {key: _values(study, key, f) for key in keys} for f in fields}
    used = {f: {k: v for k, v in of_field.items() if len(v)} for f, of_field in used.items()}
    drawn_fields = [f for f in fields if used[f] and (f == fields[0] or _varies(used[f].values()))]
    if not drawn_fields:
        raise ValueError(
            f'no update recorded {" or ".join(fields)}; ask for it: --config.scalars.every_steps=1 (bsresearch fields)'
        )
    totals = {int(study.runs.at[run, 'total_updates']) for key in keys for run in study.runs_of(key)}
    positions = ['epochs', 'updates'] if len(totals) > 1 else ['epochs']
    looks, labels = colours.looks(study), cells.labels(study)
    parts = []
    with panels.grid(
        len(drawn_fields) * len(positions), len(positions), [*cells.described(study, keys), *at], figure.title, 1.5
    ) as (
        fig,
        axes,
    ):
        for i, ax in enumerate(axes):
            field, position = drawn_fields[i // len(positions)], positions[i % len(positions)]
            column, label = courses.POSITIONS[position]
            ax.set_ylabel(field.removesuffix('_used').replace('_', ' ') if position == positions[0] else '')
            every = np.concatenate([v['value'].to_numpy(float) for v in used[field].values()])
            plotting.held_axis(ax, every, at_values=field == 'batch_size_used')
            ax.set_xlabel(label if i >= len(axes) - len(positions) else '')
            for order, (key, values) in enumerate(used[field].items()):
                line = _held(values, column)
                # A later line is thinner, so that equal ones show.
                width = 1.0 + 1.8 * (1 - (order + 1) / len(used[field]))
                look = looks[key]
                ax.plot(
                    line[column],
                    line['value'],
                    drawstyle='steps-post',
                    color=look.colour,
                    linestyle=look.dash,
                    linewidth=width,
                )
                names = dict(zip(study.parts, key, strict=True)) | {'field': field, 'against': position}
                parts.append(
                    line.rename(columns={column: 'x'}).assign(**{n: [v] * len(line) for n, v in names.items()})
                )
        fig.align_ylabels()
        panels.legend(fig, [panels.handle(looks[key], labels[key]) for key in keys if key in used[drawn_fields[0]]])
        written = pd.concat(parts, ignore_index=True)[[*study.parts, 'field', 'against', 'x', 'value']]
        return plotting.save(fig, written, out, figure.name)


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


def _held(values: pd.DataFrame, column: str) -> pd.DataFrame:
    """Where a value begins, and the last: what lies between is the same; thinned to what a panel can show."""
    y = values['value'].to_numpy(float)
    kept = np.flatnonzero(np.append(True, y[1:] != y[:-1]) | (np.arange(len(y)) == len(y) - 1))
    x, y = values[column].to_numpy(float)[kept], y[kept]
    thin = plotting.thin(x, y)
    return pd.DataFrame({column: x[thin], 'value': y[thin]})
