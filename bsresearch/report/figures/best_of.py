"""What the best of k trials of a search comes to, against k: median, and the middle half of all choices of k."""

from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, searched
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantities import best_of
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import colours
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet

QUARTERS = {'low': 0.25, 'centre': 0.5, 'high': 0.75}


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it, a panel for each quantity and each arm."""
    by, also = figure.options['by'], figure.options['also']
    quantities = [q for q in figure.about if isinstance(q, Quantity)]
    table = pd.concat([_table(study, quantity, by, also) for quantity in quantities], ignore_index=True)
    table = table[table['arm'].isin(figure.options['arms'] or table['arm'])]
    if table.empty:
        raise ValueError('no cell has two trials that came to their end')
    places = [(q, arm) for q in quantities for arm in dict.fromkeys(table.loc[table['quantity'] == q.name, 'arm'])]
    looks = colours.of_values(study, by)
    phrases = [figure.title, *cells.described(study, cells.of(study)), 'median and middle half over choices of k']
    fig, axes = panels.grid(len(places), min(len(places), panels.COLUMNS), phrases, height=2.3)
    named = {}
    for (quantity, arm), ax in zip(places, axes, strict=True):
        rows = table[(table['quantity'] == quantity.name) & (table['arm'] == arm)]
        finite = rows[np.isfinite(rows['centre'])]
        wide = len(finite) > 0 and finite['centre'].min() > 0 and finite['centre'].max() > 10 * finite['centre'].min()
        scales.limits(ax, quantity.unit, finite['centre'].to_numpy(float), log=wide)
        ax.set_xlabel('trials k')
        ax.set_ylabel(panels.label(quantity.name, quantity.unit))
        ax.set_title(arm if arm != 'all' else '')
        for value, line in finite.groupby('by', sort=False):
            look = colours.nth(looks.get(value, colours.NONE), 0)
            panels.band(ax, line['k'], line['low'], line['high'].clip(upper=ax.get_ylim()[1]), look)
            panels.line(ax, line['k'], line['centre'], look)
            named.setdefault(cells.named(by, value), look)
    panels.legend(fig, named)
    return Sheet(fig, table)


def _table(study: Study, quantity: Quantity, by: str, also: tuple[str, ...]) -> pd.DataFrame:
    """quantity, arm, by, k, and the quarters of the best of k."""
    names = [name for name in study.parts if name not in (*searched.SEARCHED, *also)]
    rows: list[dict[str, Any]] = []
    for key, scores in searched.scores_of(study, quantity, also=also).items():
        cell = dict(zip(names, key, strict=True))
        if len(scores) < 2 or cell.get(by, ABSENT) == ABSENT:
            continue
        sign = 1.0 if quantity.higher_is_better else -1.0
        for k in range(1, len(scores) + 1):
            ends = {name: sign * best_of.quantile(sign * scores, k, share) for name, share in QUARTERS.items()}
            values = {name: float(quantity.unit.scaled(value)) for name, value in ends.items()}
            values |= {'low': min(values['low'], values['high']), 'high': max(values['low'], values['high'])}
            rows.append({'quantity': quantity.name, 'arm': cell['arm'], 'by': cell[by], 'k': k} | values)
    return pd.DataFrame(rows, columns=['quantity', 'arm', 'by', 'k', *QUARTERS])
