"""Quantities against an axis, or a field that arms set: mean and 95 % interval over replicates, a line per setting."""

from collections import Counter
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels, cells, points
from bsresearch.analysis.cells import Key
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.of_runs import EFFORTS
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import colours, plotting
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet

JOINING = '#6b6b6b'  # a line through points of several colours
FEW = 8  # values along x that all have a tick
LETTERS = 40  # of words along an axis that lie side by side
EDGE = 1.25  # from the ends of a logarithmic axis
APART = 1.03  # lines side by side on a logarithmic axis


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws them."""
    x, panel = figure.options['x'], _panel(study, figure.options)
    quantities = [q for q in figure.about if isinstance(q, Quantity)]
    tables = {q.name: _table(study, q, figure.options | {'panel': panel}) for q in quantities}
    every = pd.concat(tables.values(), ignore_index=True)
    values = [v for v in cells.values(study, panel) if v in set(every['panel'])] if panel else ['']
    drawn = [(q, v) for q in quantities for v in values]
    columns = min(len(values) if panel else min(len(quantities), 2), panels.COLUMNS)
    phrases = [figure.title, *panels.notes(study, cells.pick(study, figure.options['cells']))]
    fig, axes = panels.grid(len(drawn), columns, phrases, height=2.3)
    named: dict[str, Look] = {}
    for (quantity, value), ax in zip(drawn, axes, strict=True):
        table = tables[quantity.name]
        places = _x_axis(ax, x, every['x'])
        scales.limits_with_ends(ax, quantity.unit, table, log=_in_logarithms(quantity))
        ax.set_ylabel(panels.label(quantity.name, quantity.unit))
        ax.set_title(cells.named(panel, value) if panel else '')
        for text, look in _lines(ax, table[table['panel'] == value] if panel else table, places):
            named.setdefault(text, look)
    panels.legend(fig, _in_order(named, every), _remarks(study, every))
    return Sheet(fig, _numbers(quantities, tables, x))


def _in_order(named: dict[str, Look], every: pd.DataFrame) -> dict[str, Look]:
    """Entries of a legend by size, where numbers tell lines apart."""
    of_label = dict(zip(every['label'], every['by'], strict=True))
    if not all(isinstance(of_label[text], Real) for text in named):
        return named
    return dict(sorted(named.items(), key=lambda entry: of_label[entry[0]]))


def _in_logarithms(quantity: Quantity) -> bool:
    """Losses, and what it takes to come to a target: factors count."""
    of_loss = quantity.metrics[:1] != () and quantity.metrics[0].endswith('_loss') and quantity.unit.scale == 1.0
    return of_loss or quantity.unit in (unit for _, unit in EFFORTS.values())


def _table(study: Study, quantity: Quantity, options: dict[str, Any]) -> pd.DataFrame:
    """`points.of`, readable, with x, panel, line (what its line has in common), label and look."""
    table = panels.readable(points.of(study, quantity), quantity.unit, 'centre')
    names = list(table.columns[: table.columns.get_loc('key')])
    kept = set(cells.pick(study, options['cells']))
    table = table[[bool(kept & set(points.matching(study, names, key))) for key in table['key']]]
    x, panel = options['x'], options['panel']
    by = options['by'] or _own_by(study, names, x, panel)
    for field in filter(None, (x, panel, by)):
        cells.check_field(study, field)
    of = lambda field: [points.value(study, names, key, field) if field else '' for key in table['key']]
    values = of(by)  # each has lines of its own
    lines = [(*_line(study, names, key, x), value) for key, value in zip(table['key'], values, strict=True)]
    table = table.assign(x=of(x), panel=of(panel), line=lines, by=values)
    table = table.assign(look=_looks(study, names, table, by), label=_labels(study, names, table, by, (x, panel)))
    return table[table['x'] != ABSENT]


def _panel(study: Study, options: dict[str, Any]) -> str:
    """That which is asked for; the arms where colours and x are those of axes."""
    of_axes = {options['x'], options['by']} <= set(study.axes)
    return options['panel'] or ('arm' if of_axes and 'arm' in cells.varying(study) else '')


def _own_by(study: Study, names: Sequence[str], x: str, panel: str) -> str:
    """The first part beside x and panel that varies; of arms that x tells apart none."""
    free = [f for f in cells.varying(study) if f in names and f not in (x, panel, 'branch', 'point')]
    return next((f for f in free if f != 'arm' or x in names), '')


def _line(study: Study, names: list[str], key: Key, x: str) -> tuple[Any, ...]:
    """What points of a line share: all but x, which may be a field that arms set."""
    if x in names:
        return points.by_names(names, x)(key)
    return (cells.families(study, x).get(key[0], key[0]), *key[1:])


def _looks(study: Study, names: list[str], table: pd.DataFrame, by: str) -> list[Look]:
    """Of each point: the colour of its cell, or of its value of `by`; lines of one colour differ in dash and marker."""
    if not by:
        of_cells = colours.looks(study)
        return [of_cells[points.matching(study, names, key)[0]] for key in table['key']]
    of_values = colours.of_values(study, by)
    lines: dict[tuple[str, Any], list[Any]] = {}
    looks = []
    for line, value, panel in zip(table['line'], table['by'], table['panel'], strict=True):
        colour = of_values.get(value, colours.NONE)
        alike = lines.setdefault((colour, panel), [])
        if line not in alike:
            alike.append(line)
        looks.append(colours.nth(colour, alike.index(line)))
    return looks


def _labels(study: Study, names: list[str], table: pd.DataFrame, by: str, axes: tuple[str, str]) -> list[str]:
    """'' where the axis tells the cell already."""
    others = [f for f in cells.varying(study) if f in names and f != by]
    if by and set(others) <= {*axes}:
        return [cells.named(by, value) if value != ABSENT else '' for value in table['by']]
    if set(others) <= {*axes}:
        return [''] * len(table)
    labels = points.labels(study, names, axes)
    if not by or 'arm' not in others or axes[0] in names:
        return [labels[key] for key in table['key']]
    arms = {line: list(dict.fromkeys(key[0] for key in rows['key'])) for line, rows in table.groupby('line')}
    alike = Counter(line[-1] for line in arms)
    label = lambda key, line: (
        labels[key] if len(arms[line]) == 1 else _shared(line[-1], arms[line], by, alone=alike[line[-1]] == 1)
    )  # fmt: skip
    return [label(key, line) for key, line in zip(table['key'], table['line'], strict=True)]


def _shared(value: Any, arms: Sequence[str], by: str, *, alone: bool) -> str:
    """Of a line through several arms: their value of `by`; their names too, where other lines have it or it is none."""
    names = axis_labels.listed(list(map(axis_labels.words, arms)))
    known = cells.named(by, value) if value != ABSENT else ''
    return known if known and alone else f'{known} ({names})' if known else names


def _x_axis(ax: plotting.Axes, x: str, values: pd.Series) -> dict[Any, float]:
    """Value → its place: logarithmic where numbers span factors, words one after another."""
    known = list(dict.fromkeys(values))
    numbers = sorted(float(v) for v in known if isinstance(v, Real) and not isinstance(v, bool))
    ax.set_xlabel('branch point (epochs)' if x == 'point' else axis_labels.of_field(x))
    if len(numbers) < len(known):
        words = [cells.named('.name', v) for v in known]
        slanted = {'rotation': 30, 'ha': 'right', 'rotation_mode': 'anchor'} if sum(map(len, words)) > LETTERS else {}
        ax.set_xticks(range(len(known)), words, **slanted)
        return {v: float(i) for i, v in enumerate(known)}
    few, of_sizes = len(numbers) <= FEW, x.endswith('batch_size')
    if numbers and numbers[0] > 0 and (of_sizes or numbers[-1] / numbers[0] >= 5):
        scales.log_x(ax, numbers if few else scales.powers_of_two(np.array(numbers)) if of_sizes else ())
        if few:
            ticks = scales.apart(numbers)
            ax.set_xticks(ticks, [scales.tick(v) for v in sorted(known) if float(v) in ticks])
        elif not of_sizes:
            scales.log_ticks(ax.xaxis, numbers[0], numbers[-1])
        ax.set_xlim(numbers[0] / EDGE, numbers[-1] * EDGE)
    return {v: float(v) for v in known}


def _lines(ax: plotting.Axes, table: pd.DataFrame, places: dict[Any, float]) -> list[tuple[str, Look]]:
    """Each line with its points; the entries of the legend."""
    entries, groups = [], list(table.groupby('line', sort=False))
    for i, (_, line) in enumerate(groups):
        line = line.assign(place=line['x'].map(places)).sort_values('place')
        shift = i - (len(groups) - 1) / 2
        place = line['place'].to_numpy(float)
        place = place * APART**shift if ax.get_xscale() == 'log' else place
        looks = list(line['look'])
        one_colour = len({look.colour for look in looks}) == 1
        through = Look(looks[0].colour if one_colour else JOINING, looks[0].dash)
        if one_colour or all(isinstance(v, Real) for v in places):  # words have no order that a line could follow
            panels.line(ax, place, line['centre'].where(np.isfinite(line['centre'])), through, linewidth=0.9, zorder=2)
        for at, row, look in zip(place, line.to_dict('records'), looks, strict=True):
            panels.point(ax, at, row, look)
        if one_colour or len({*line['label']}) == 1:
            entries.append((line['label'].iloc[0], looks[0] if len(line) > 1 else looks[0].point))
        else:
            entries += [(text, look.point) for text, look in zip(line['label'], looks, strict=True)]
    return entries


def _remarks(study: Study, every: pd.DataFrame) -> dict[str, str]:
    """What diverged or is unfinished, and how values were chosen: text → marker."""
    lost = every[(every['diverged'] > 0) | (every['unfinished'] > 0)]
    cells_of = [cell for key in dict.fromkeys(lost['key']) for cell in cells.of(study) if set(key) <= set(cell)]
    remarks = panels.lost(study, list(dict.fromkeys(cells_of)), cells.labels(study))
    if every['edge'].any():
        remarks['chosen on the edge of what was tried: it may be better beyond'] = 'o'
    if (2 * every['censored'] > every['n']).any():
        remarks['at least: most runs did not come to an end of it'] = '^'
    return remarks


def _numbers(quantities: Sequence[Quantity], tables: dict[str, pd.DataFrame], x: str) -> pd.DataFrame:
    """A row for each point."""
    parts = []
    for q in quantities:
        table = tables[q.name]
        pairs = [values if len(values) == 2 else (np.nan, np.nan) for values in table['values']]
        numbers = table.assign(
            quantity=q.name, unit=q.unit.level.strip(), value_1=[p[0] for p in pairs], value_2=[p[1] for p in pairs]
        ).drop(columns=['key', 'values', 'look', 'line', 'by', 'panel', 'label'])
        parts.append(numbers.rename(columns={'x': x}) if x not in table else numbers.drop(columns='x'))
    return pd.concat(parts, ignore_index=True)
