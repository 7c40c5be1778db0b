"""Quantities against an axis, or a field that arms set: mean and 95 % interval over replicates, a line per setting."""

import pathlib
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, points
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import colours, plotting
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels

JOINING = '#6b6b6b'  # a line through points of several colours
FEW = 8  # values along x that all have a tick
EDGE = 1.25  # from the ends of a logarithmic axis
APART = 1.03  # lines side by side on a logarithmic axis


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws them.

    Raises:
      ValueError: a name is unknown, or the records lack a quantity's metric.
    """
    x, panel = figure.options['x'], _panel(study, figure.options)
    quantities = [q for q in figure.about if isinstance(q, Quantity)]
    tables = {q.name: _table(study, q, figure.options | {'panel': panel}) for q in quantities}
    every = pd.concat(tables.values(), ignore_index=True)
    keys = cells.pick(study, figure.options['cells'])
    values = [v for v in cells.values(study, panel) if v in set(every['panel'])] if panel else ['']
    drawn = [(q, v) for q in quantities for v in values]
    notes, remarks = panels.notes(study, keys), _remarks(study, quantities, every)
    columns = len(values) if panel else min(len(quantities), 2)
    with panels.grid(len(drawn), min(columns, panels.COLUMNS), notes, figure.title, height=2.3) as (fig, axes):
        handles: list[plotting.Line2D] = []
        for (quantity, value), ax in zip(drawn, axes, strict=True):
            table = tables[quantity.name]
            places = _x_axis(ax, x, every['x'])
            log = quantity.metrics[:1] != () and quantity.metrics[0].endswith('_loss') and quantity.unit.scale == 1.0
            panels.limits_with_ends(ax, quantity.unit, table, log=log)
            ax.set_ylabel(panels.label(quantity.name, quantity.unit))
            ax.set_title(cells.named(panel, value) if panel else '')
            handles += _lines(ax, quantity, table[table['panel'] == value] if panel else table, places)
        panels.legend(fig, panels.unlike(handles), remarks)
        return plotting.save(fig, _written(quantities, tables, x), out, figure.name)


def _table(study: Study, quantity: Quantity, options: dict[str, Any]) -> pd.DataFrame:
    """`points.of` with x, panel, line (what its line has in common), label and look."""
    table = points.of(study, quantity)
    names = list(table.columns[: table.columns.get_loc('key')])
    kept = set(cells.pick(study, options['cells']))
    table = table[[bool(kept & set(points.matching(study, names, key))) for key in table['key']]]
    x, panel = options['x'], options['panel']
    by = options['by'] or _own_by(study, names, [x, panel])
    for field in filter(None, (x, panel, by)):
        cells.check_field(study, field)
    of = lambda field: [points.value(study, names, key, field) if field else '' for key in table['key']]
    lines = [_line(study, names, key, x) for key in table['key']]
    table = table.assign(x=of(x), panel=of(panel), line=lines, by=of(by))
    looks = _looks(study, names, table, by)
    return table.assign(look=[looks[key] for key in table['key']], label=_labels(study, names, table, by, (x, panel)))[
        table['x'] != ABSENT
    ]


def _panel(study: Study, options: dict[str, Any]) -> str:
    """That which is asked for; the arms where colours and x are those of axes."""
    of_axes = {options['x'], options['by']} <= set(study.axes)
    return options['panel'] or ('arm' if of_axes and 'arm' in cells.varying(study) else '')


def _own_by(study: Study, names: Sequence[str], told: Sequence[str]) -> str:
    """The first part beside x and panel that varies; of arms that x tells apart none."""
    free = [f for f in cells.varying(study) if f in names and f not in (*told, 'branch', 'point')]
    return next((f for f in free if f != 'arm' or told[0] in names), '')


def _line(study: Study, names: list[str], key: cells.Key, x: str) -> tuple[Any, ...]:
    """What points of a line share: all but x, which may be a field that arms set."""
    if x in names:
        return points.by_names(names, x)(key)
    return (cells.families(study, x).get(key[0], key[0]), *key[1:])


def _looks(study: Study, names: list[str], table: pd.DataFrame, by: str) -> dict[cells.Key, Look]:
    """Of each point: the colour of its cell, or of its value of `by`; lines of one colour differ in dash and marker."""
    of_cells, of_values = colours.looks(study), colours.of_values(study, by) if by else {}
    lines: dict[tuple[str, Any], list[Any]] = {}
    tables = {}
    for key, line, value, panel in zip(table['key'], table['line'], table['by'], table['panel'], strict=True):
        look = of_cells[points.matching(study, names, key)[0]]
        if by:
            colour = of_values.get(value, colours.NONE)
            alike = lines.setdefault((colour, panel), [])
            if line not in alike:
                alike.append(line)
            i = alike.index(line)
            look = Look(colour, colours.DASHES[i % len(colours.DASHES)], colours.MARKERS[i % len(colours.MARKERS)])
        tables[key] = look
    return tables


def _labels(study: Study, names: list[str], table: pd.DataFrame, by: str, told: tuple[str, str]) -> list[str]:
    """'' where the axis tells the cell already."""
    others = [f for f in cells.varying(study) if f in names and f != by]
    if by and not set(others) - {*told}:
        return [cells.named(by, value) if value != ABSENT else '' for value in table['by']]
    if set(others) <= {*told}:
        return [''] * len(table)
    labels = points.labels(study, names, told)
    return [labels[key] for key in table['key']]


def _x_axis(ax: plotting.Axes, x: str, values: pd.Series) -> dict[Any, float]:
    """Value → its place: logarithmic where numbers span factors, words one after another."""
    known = list(dict.fromkeys(values))
    numbers = [float(v) for v in known if isinstance(v, Real) and not isinstance(v, bool)]
    ax.set_xlabel(
        'branch point (epochs)' if x == 'point' else x.removesuffix('.name').replace('_', ' ').replace('.', ' ')
    )
    if len(numbers) < len(known):
        ax.set_xticks(range(len(known)), [cells.named('.name', v) for v in known])
        return {v: float(i) for i, v in enumerate(known)}
    numbers = numbers or [1.0]
    if x.endswith('batch_size') and len(numbers) > FEW:
        plotting.batch_axis(ax, np.array(numbers), linear=False)
    elif min(numbers) > 0 and (max(numbers) / min(numbers) >= 5 or x.endswith('batch_size')):
        plotting.log_x_axis(ax, ax.get_xlabel(), sorted(numbers) if len(numbers) <= FEW else ())
        if len(numbers) <= FEW:
            ax.set_xticks(sorted(numbers), [panels.tick(v) for v in sorted(known)])
    if ax.get_xscale() == 'log':
        ax.set_xlim(min(numbers) / EDGE, max(numbers) * EDGE)
    return {v: float(v) for v in known}


def _lines(ax: plotting.Axes, quantity: Quantity, table: pd.DataFrame, places: dict[Any, float]) -> list[Any]:
    """Each line with its points; the handles of the legend."""
    handles, groups = [], list(table.groupby('line', sort=False))
    for i, (_, line) in enumerate(groups):
        line = line.assign(place=line['x'].map(places)).sort_values('place')
        shift = i - (len(groups) - 1) / 2
        place = line['place'].to_numpy(float)
        place = place * APART**shift if ax.get_xscale() == 'log' else place
        looks = list(line['look'])
        through = looks[0].colour if len({look.colour for look in looks}) == 1 else JOINING
        centre = panels.shown(quantity.unit, line['centre'].to_numpy(float))
        finite = np.where(np.isfinite(centre), centre, np.nan)
        ax.plot(place, finite, color=through, linestyle=looks[0].dash, linewidth=0.9, zorder=2)
        for at, row, look, y in zip(place, line.to_dict('records'), looks, centre, strict=True):
            _point(ax, quantity, at, row, look, y)
        one = len({*line['label']}) == 1 or len({look.colour for look in looks}) == 1
        named = [(looks[0], line['label'].iloc[0])] if one else list(zip(looks, line['label'], strict=True))
        joined = one and len(line) > 1
        handles += [panels.handle(look, text, line=joined, marker=True) for look, text in named if text]
    return handles


def _point(ax: plotting.Axes, quantity: Quantity, at: float, row: dict[Any, Any], look: Look, y: float) -> None:
    """A centre with its interval, or two values; an arrow for ∞ or from a bound, a cross if runs diverged."""
    marked = {'color': look.colour, 'linestyle': 'none', 'zorder': 3}
    face = 'white' if row['edge'] else look.colour
    bottom, top = ax.get_ylim()
    if np.isinf(y):
        ax.plot(at, top if y > 0 else bottom, marker='^' if y > 0 else 'v', clip_on=False, **marked)
    pair = panels.shown(quantity.unit, np.array(row['values'])) if row['n'] == 2 else np.array([y])
    size = 3.2 if row['n'] == 2 else 4.2
    pair = pair[np.isfinite(pair)]
    ax.plot([at] * len(pair), pair, marker=look.marker, markersize=size, markerfacecolor=face, **marked)
    low, high = panels.shown(quantity.unit, np.array([row['low'], row['high']]))
    if row['n'] >= panels.TO_TELL and not np.isnan(low) and np.isfinite(y):
        # A logarithmic axis has no place at or below 0.
        low = max(low, bottom) if ax.get_yscale() == 'log' else low
        ends = [bottom if np.isinf(low) else low, top if np.isinf(high) else high]
        ax.plot([at, at], ends, color=look.colour, linewidth=1.1, zorder=2)
    if 2 * row['censored'] > row['n']:
        ax.annotate(
            '', (at, y), (0, 13), textcoords='offset points', arrowprops={'arrowstyle': '<-', 'color': look.colour}
        )
    if row['diverged']:
        panels.crosses(ax, [at], [y if np.isfinite(y) else bottom], look)


def _remarks(study: Study, quantities: Sequence[Quantity], every: pd.DataFrame) -> dict[str, str]:
    """What diverged or is unfinished, and how values were chosen: text → marker."""
    lost = every[(every['diverged'] > 0) | (every['unfinished'] > 0)]
    cells_of = [cell for key in dict.fromkeys(lost['key']) for cell in cells.of(study) if set(key) <= set(cell)]
    said = panels.lost(study, list(dict.fromkeys(cells_of)), cells.labels(study))
    if every['edge'].any():
        said['chosen on the edge of what was tried: it may be better beyond'] = 'o'
    if (2 * every['censored'] > every['n']).any():
        said['at least: most runs did not come to an end of it'] = '^'
    return said


def _written(quantities: Sequence[Quantity], tables: dict[str, pd.DataFrame], x: str) -> pd.DataFrame:
    """The plotted numbers in the axis's unit, a row for each point."""
    parts = []
    for q in quantities:
        table = tables[q.name]
        told = table['n'] >= panels.TO_TELL
        ends = {c: panels.shown(q.unit, table[c].where(told).to_numpy(float)) for c in ('low', 'high')}
        pairs = [panels.shown(q.unit, np.array(v)) if len(v) == 2 else (np.nan, np.nan) for v in table['values']]
        numbers = table.assign(
            quantity=q.name, unit=q.unit.level.strip(), centre=panels.shown(q.unit, table['centre'].to_numpy(float)),
            **ends, value_1=[p[0] for p in pairs], value_2=[p[1] for p in pairs],
        ).drop(columns=['key', 'values', 'look', 'line', 'by', 'panel', 'label'])  # fmt: skip
        parts.append(numbers.rename(columns={'x': x}) if x not in table else numbers.drop(columns='x'))
    return pd.concat(parts, ignore_index=True)
