"""Every replicate as a point of two quantities, a colour per cell; the cells that no other beats in both are joined."""

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, points
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.study import Study
from bsresearch.report import colours
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet

WIDE = 10.0  # a ratio beyond which an axis is logarithmic


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it."""
    across, up = (q for q in figure.about if isinstance(q, Quantity))
    table = _replicates(study, across, up)
    if table.empty:
        raise ValueError(f'no run has both {across.name} and {up.name}')
    names = across.of(study).names
    whole = {key: points.matching(study, names, key) for key in dict.fromkeys(table['key'])}
    keys, of_cells = list(whole), [cell for matching in whole.values() for cell in matching]
    full = colours.looks(study, figure.options['by'])
    looks, labels = {key: full[matching[0]] for key, matching in whole.items()}, points.labels(study, names)
    joined = frontier(table.groupby('key', sort=False)[['x', 'y']].mean(), across.higher_is_better, up.higher_is_better)
    x, y = across.unit.scaled(table['x']), up.unit.scaled(table['y'])
    phrases = [figure.title, *panels.notes(study, of_cells, 'a point for each of {n}, at its end')]
    fig, [ax] = panels.grid(1, 1, phrases, height=2.9)
    scales.limits(ax, up.unit, y, log=bool(y.min() > 0 and y.max() / y.min() > WIDE))
    for key in keys:
        of_cell = (table['key'] == key).to_numpy()
        panels.line(ax, x[of_cell], y[of_cell], looks[key].point, markersize=4, zorder=3)
    named = {labels[key]: looks[key].point for key in keys}
    if len(joined) > 1:
        unbeaten = Look('0.45')
        panels.line(ax, across.unit.scaled(joined['x']), up.unit.scaled(joined['y']), unbeaten, linewidth=0.8, zorder=2)
        named['means that no other cell beats in both'] = unbeaten
    if x.min() > 0 and x.max() / x.min() > WIDE:
        scales.log_x(ax)
    ax.set_xlabel(panels.label(across.name, across.unit))
    ax.set_ylabel(panels.label(up.name, up.unit))
    panels.legend(fig, named, panels.lost(study, of_cells, cells.labels(study)))
    parts = pd.DataFrame([dict(zip(names, key, strict=True)) for key in table['key']])
    best = table['key'].isin(joined.index).to_numpy()
    return Sheet(fig, parts.assign(replicate=table['replicate'], **{across.name: x, up.name: y}, unbeaten=best))


def _replicates(study: Study, across: Quantity, up: Quantity) -> pd.DataFrame:
    """key, replicate, x, y of all that have both, finite.

    Raises:
      ValueError: one of them has axes that the other has not.
    """
    a, b = across.of(study).low, up.of(study).low
    if list(a.index.names) != list(b.index.names):
        raise ValueError(f'{across.name} is of {", ".join(a.index.names)}, {up.name} of {", ".join(b.index.names)}')
    rows = [
        {'key': key, 'replicate': r, 'x': float(a.at[key, r]), 'y': float(b.at[key, r])}
        for key in a.index if key in b.index for r in a.columns.intersection(b.columns)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=['key', 'replicate', 'x', 'y'])
    return table[np.isfinite(table[['x', 'y']]).all(axis=1)].reset_index(drop=True)


def frontier(means: pd.DataFrame, x_higher: bool | None, y_higher: bool | None) -> pd.DataFrame:
    """The rows that no other beats in both, by x; none where a quantity has no best.

    Args:
      means: a row per cell: x, y. x_higher, y_higher: whether more is better; None where neither is.
    """
    if x_higher is None or y_higher is None:
        return means.iloc[:0]
    x, y = (s * means[c].to_numpy() for s, c in ((1 if x_higher else -1, 'x'), (1 if y_higher else -1, 'y')))
    beaten = [bool(((x >= a) & (y >= b) & ((x > a) | (y > b))).any()) for a, b in zip(x, y, strict=True)]
    return means[~np.array(beaten)].sort_values('x')
