"""Every replicate as a point of two quantities, a colour per cell; the cells that no other beats in both are joined."""

import pathlib

import numpy as np
import pandas as pd

from bsresearch.analysis import cells
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.study import Study
from bsresearch.report import colours, plotting
from bsresearch.report.figures import panels

WIDE = 10.0  # a ratio beyond which an axis is logarithmic


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws it.

    Raises:
      ValueError: the records lack a metric, or no run has both.
    """
    across, up = (q for q in figure.about if isinstance(q, Quantity))
    table = _replicates(study, across, up)
    if table.empty:
        raise ValueError(f'no run has both {across.name} and {up.name}')
    looks, labels = colours.looks(study, figure.options['by']), cells.labels(study)
    keys = [key for key in cells.of(study) if key in set(table['key'])]
    joined = frontier(table.groupby('key', sort=False)[['x', 'y']].mean(), across.higher_is_better, up.higher_is_better)
    notes = panels.notes(study, keys, 'a point for each of {n}, at its end')
    with panels.grid(1, 1, notes, figure.title, height=2.9) as (fig, [ax]):
        panels.limits(ax, up.unit, table['y'].to_numpy())
        for key in keys:
            rows, look = table[table['key'] == key], looks[key]
            x, y = panels.shown(across.unit, rows['x'].to_numpy()), panels.shown(up.unit, rows['y'].to_numpy())
            ax.plot(x, y, color=look.colour, marker=look.marker, markersize=4, linestyle='none', zorder=3)
        if len(joined) > 1:
            x, y = panels.shown(across.unit, joined['x'].to_numpy()), panels.shown(up.unit, joined['y'].to_numpy())
            ax.plot(x, y, color='0.45', linewidth=0.8, drawstyle='default', zorder=2)
        x = panels.shown(across.unit, table['x'].to_numpy())
        if x.min() > 0 and x.max() / x.min() > WIDE:
            plotting.log_x_axis(ax, '')
        ax.set_xlabel(panels.label(across.name, across.unit))
        ax.set_ylabel(panels.label(up.name, up.unit))
        handles = [panels.handle(looks[key], labels[key], line=False, marker=True) for key in keys]
        line = plotting.Line2D([], [], color='0.45', linewidth=0.8, label='means that no other cell beats in both')
        panels.legend(fig, [*handles, *([line] if len(joined) > 1 else [])], panels.lost(study, keys, labels))
        names = pd.DataFrame([dict(zip(study.parts, key, strict=True)) for key in table['key']])
        numbers = {across.name: panels.shown(across.unit, table['x'].to_numpy()),
                   up.name: panels.shown(up.unit, table['y'].to_numpy())}  # fmt: skip
        best = table['key'].isin(joined.index).to_numpy()
        written = names.assign(replicate=table['replicate'].to_numpy(), **numbers, unbeaten=best)
        return plotting.save(fig, written, out, figure.name)


def _replicates(study: Study, across: Quantity, up: Quantity) -> pd.DataFrame:
    """key, replicate, x, y of all that have both, finite."""
    a, b = across.of(study).low, up.of(study).low
    rows = [
        {'key': key, 'replicate': r, 'x': float(a.at[key, r]), 'y': float(b.at[key, r])}
        for key in cells.of(study) if key in a.index and key in b.index for r in a.columns.intersection(b.columns)
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
