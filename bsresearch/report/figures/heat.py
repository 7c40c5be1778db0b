"""A quantity over two axes: the mean of each cell, the best of each column ringed, edges flagged, diverged ones marked.

Shades are grey, as colours have meanings of their own; a number in each cell. A ring is dashed where the best lies on
the edge of what was tried: it may be better beyond. A cell with a run that diverged is never the best, and a column
with an unfinished run has none.
"""

from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels, cells, points
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.core import lookup
from bsresearch.report import plotting
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet

SHADES = plotting.shades('Greys', 0.03, 0.55)  # black figures stay legible on it
WHOLE = 5  # columns beyond which a per cent has one decimal
ROOM = 3  # columns beyond which of how many runs some diverged is not told
MOST_NUMBERS = 9  # columns beyond which cells bear no numbers


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it, a panel for each value of what else varies."""
    (quantity,) = (q for q in figure.about if isinstance(q, Quantity))
    x, y = figure.options['x'], figure.options['y']
    table = points.of(study, quantity)
    names = list(table.columns[: table.columns.get_loc('key')])
    for axis in (x, y):
        if axis not in names:
            raise ValueError(f'heat map of {quantity.name}: no axis {axis!r} is left; {lookup.nearest(axis, names)}')
    table = table[(table[x] != ABSENT) & (table[y] != ABSENT)]
    others = [name for name in names if name not in (x, y)]
    groups = [_with_best(group, quantity, x, y) for _, group in table.groupby(others, sort=False)]
    whole = pd.concat(groups)
    labels = points.labels(study, others)
    shades = quantity.unit.scaled(whole['centre'].to_numpy(float))
    shades = shades[np.isfinite(shades)]
    phrases = [figure.title, *panels.notes(study, cells.of(study), 'mean over {n}, on this test set')]
    height = max(0.9 + 0.24 * table[y].nunique(), 1.6)
    fig, axes = panels.grid(len(groups), panels.COLUMNS, [*phrases, *_ringed(quantity, whole)], height=height)
    for group, ax in zip(groups, axes, strict=True):
        image = _panel(ax, quantity, group, x, y, (shades.min(), shades.max()) if len(shades) else (0.0, 1.0))
        key = tuple(group[name].iloc[0] for name in others)
        ax.set_title(labels.get(key, '') if len(groups) > 1 else '')
    bar = fig.colorbar(image, ax=axes, pad=0.02)
    bar.set_label(panels.label(quantity.name, quantity.unit))
    bar.outline.set_linewidth(0.4)
    panels.legend(fig, {}, {'runs that diverged': 'x'} if whole['diverged'].any() else {})
    columns = [*names, 'centre', 'low', 'high', 'n', 'runs', 'diverged', 'unfinished', 'best', 'edge']
    numbers = whole[columns].assign(unit=quantity.unit.level.strip())
    for column in ('centre', 'low', 'high'):
        numbers[column] = quantity.unit.scaled(numbers[column].to_numpy(float))
    return Sheet(fig, numbers)


def _with_best(group: pd.DataFrame, quantity: Quantity, x: str, y: str) -> pd.DataFrame:
    """With `best`, the best of its column, and `edge`, that this is the first or last value of y there."""
    group = group.assign(best=False, edge=False)
    if quantity.higher_is_better is None:
        return group
    sign = 1.0 if quantity.higher_is_better else -1.0
    for _, column in group.groupby(x, sort=False):
        if column['unfinished'].any():
            continue
        column = column.sort_values(y)
        score = sign * column['centre'].to_numpy(float)
        score = np.where((column['diverged'] > 0) | np.isnan(score), -np.inf, score)
        if np.isfinite(score).any():
            at = int(np.argmax(score))
            group.loc[column.index[at], 'best'] = True
            group.loc[column.index[at], 'edge'] = at in (0, len(column) - 1)
    return group


def _panel(
    ax: plotting.Axes, quantity: Quantity, rows: pd.DataFrame, x: str, y: str, scale: tuple[float, float]
) -> Any:
    """Cells one beside another, whatever their values; returns the image."""
    across, up = sorted(rows[x].unique()), sorted(rows[y].unique())
    shades = np.full((len(up), len(across)), np.nan)
    for row in rows.to_dict('records'):
        shades[up.index(row[y]), across.index(row[x])] = quantity.unit.scaled(row['centre'])
    image = ax.pcolormesh(np.where(np.isfinite(shades), shades, np.nan), cmap=SHADES, vmin=scale[0], vmax=scale[1])
    ax.grid(visible=False)
    for row in rows.to_dict('records'):
        place = (across.index(row[x]) + 0.5, up.index(row[y]) + 0.5)
        if len(across) <= MOST_NUMBERS:
            unit = quantity.unit._replace(decimals=quantity.unit.decimals and (1 if len(across) > WHOLE else 2))
            number = unit.show(row['centre'], unit=False) if not np.isnan(row['centre']) else ''
            counted = f'{row["diverged"]} of {row["runs"]} ×' if len(across) <= ROOM else f'{row["diverged"]} ×'
            gone = counted if row['diverged'] else ''
            ax.text(*place, '\n'.join(filter(None, (number, gone))), ha='center', va='center', linespacing=1.0)
        elif row['diverged']:
            ax.plot(*place, marker='x', color='black', markersize=4)
        if row['best']:
            box = (place[0] - 0.46, place[1] - 0.44)
            ax.add_patch(plotting.rounded(box, 0.92, 0.88, '--' if row['edge'] else '-'))
    ax.set_xticks(np.arange(len(across)) + 0.5, [scales.tick(v) for v in across])
    ax.set_yticks(np.arange(len(up)) + 0.5, [scales.tick(v) for v in up])
    ax.tick_params(length=0)
    ax.set_xlabel(axis_labels.of_field(x))
    ax.set_ylabel(axis_labels.of_field(y))
    return image


def _ringed(quantity: Quantity, whole: pd.DataFrame) -> list[str]:
    if quantity.higher_is_better is None:
        return []
    edge = '; dashed where on the edge of what was tried' if whole['edge'].any() else ''
    return [f'ringed: {"highest" if quantity.higher_is_better else "lowest"} of each column{edge}']
