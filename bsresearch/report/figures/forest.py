"""Every interval of every claim against the bounds that it would have to lie between (shaded), and the verdict.

Claims in one unit share an axis, that of the report's forest (svg.py): an interval that goes on beyond it ends in an
arrow. Numbers without a unit may be anything: each claim on them has an axis of its own.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import statements
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantity import Unit
from bsresearch.analysis.statements import Judged, Verdicts
from bsresearch.analysis.study import Study
from bsresearch.report import svg
from bsresearch.report.figures import panels
from bsresearch.report.figures.panels import Sheet
from bsresearch.report.plotting import Axes, NullLocator

ROW = 0.17  # inches
LABEL = 50  # characters on the left; of a longer name its ends
SHADE, LINE = '0.9', '0.25'
READING = (
    'dots: means over seeds (medians where runs did not arrive) with 95 % intervals; shaded: where the claim says that '
    'they lie'
)


class Row(NamedTuple):
    """An interval in its unit as it is drawn. claim: with its verdict; that of the interval is `verdict`."""

    claim: str
    name: str
    text: str
    centre: float
    low: float
    high: float
    least: float
    most: float
    verdict: str


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it."""
    judged = [v if isinstance(v, Verdicts) else statements.judge(v, study) for v in figure.options['claims']]
    return of_verdicts({v.statement.key: v for v in judged}, [figure.title])


def of_verdicts(judged: dict[str, Verdicts], phrases: list[str]) -> Sheet:
    """Draws verdicts by their names: a panel for each unit, and for each claim without one.

    Raises:
      ValueError: none was measured.
    """
    by_unit: dict[tuple[Unit, str], list[tuple[str, Verdicts, Judged]]] = {}
    for name, verdicts in judged.items():
        for one in verdicts.judged:
            measured = [] if np.isnan(one.interval.centre) else [(name, verdicts, one)]
            key = (unit := _unit(one)), '' if unit.level else verdicts.statement.key
            by_unit[key] = by_unit.get(key, []) + measured
    drawn = [(unit, of_unit, on) for (unit, _), of_unit in by_unit.items() if of_unit and (on := _scale(unit, of_unit))]
    if not drawn:
        raise ValueError('none of the claims was measured: nothing to draw')
    rows_of = [[_row(unit, *one) for one in of_unit] for unit, of_unit, _ in drawn]
    counts = [sum(_heights(_labels(rows))) + 1.5 for rows in rows_of]
    height = ROW * sum(counts) / len(counts) + 0.35
    fig, axes = panels.grid(len(drawn), 1, [*phrases, READING], height=height, ratios=counts, wide=2.0)
    tables = []
    for (unit, _, on), rows, ax in zip(drawn, rows_of, axes, strict=True):
        _panel(ax, unit, rows, on)
        tables.append(pd.DataFrame(rows).assign(unit=unit.level.strip()))
    return Sheet(fig, pd.concat(tables, ignore_index=True))


def _unit(one: Judged) -> Unit:
    """What may share an axis: a level in per cent and a difference in points may not."""
    unit = one.unit
    suffix = unit.level if one.contrast.level else unit.difference
    return unit._replace(level=suffix, difference=suffix, decimals=None, digits=3, low=-np.inf, high=np.inf)


def _scale(unit: Unit, of_unit: list[tuple[str, Verdicts, Judged]]) -> svg.Scale | None:
    lines = [svg.Line('', one.interval, unit, not one.contrast.level) for _, _, one in of_unit]
    bounds = [bound for _, verdicts, _ in of_unit for bound in verdicts.statement.bounds]
    return svg.scale(lines, bounds)


def _row(unit: Unit, name: str, verdicts: Verdicts, one: Judged) -> Row:
    ends = [*one.interval[:3], *verdicts.statement.bounds]
    centre, low, high, least, most = unit.scaled(np.array(ends)).tolist()
    claim = f'{name}: {verdicts.verdict}'
    return Row(claim, one.part.label, one.text, centre, low, high, least, most, one.verdict)


def _labels(rows: list[Row]) -> list[str]:
    """What stands on the left of each: the claim, above its intervals alone, and the name; on two lines if need be."""
    labels = []
    for above, row in zip([None, *rows], rows, strict=False):
        name = row.name if len(row.name) <= LABEL else f'{row.name[: LABEL // 2 - 1]}…{row.name[-LABEL // 2 :]}'
        parts = [*([row.claim] if above is None or above.claim != row.claim else []), name]
        one_line = '   '.join(parts)
        labels.append(one_line if len(one_line) <= LABEL else '\n'.join(parts))
    return labels


def _heights(labels: list[str]) -> list[int]:
    """In lines."""
    return [1 + label.count('\n') for label in labels]


def _panel(ax: Axes, unit: Unit, rows: list[Row], on: svg.Scale) -> None:
    """Rows from the top; names on the left, numbers and verdicts on the right, each beside the last line of a name."""
    left, right = unit.scaled(np.array([on.low, on.high])).tolist()
    edge, labels = ax.get_yaxis_transform(), _labels(rows)
    bottoms = np.cumsum(_heights(labels))
    for row, label, height, bottom in zip(rows, labels, _heights(labels), bottoms, strict=True):
        top, y = bottom - height, bottom - 0.5
        differs = row.least == row.most  # from that: it lies on either side
        least, most = (left, right) if differs else (max(row.least, left), min(row.most, right))
        ax.fill_between([least, most], top, bottom, color=SHADE, linewidth=0, zorder=1)
        if differs:
            ax.plot([row.least] * 2, [top, bottom], color='white', linewidth=2.0, zorder=2)
        if not np.isnan(row.low):
            ax.plot([max(row.low, left), min(row.high, right)], [y, y], color=LINE, linewidth=1.1, zorder=3)
            for end, beyond, marker in ((left, row.low < left, '<'), (right, row.high > right, '>')):
                if beyond:
                    ax.plot(end, y, color=LINE, marker=marker, markersize=3, clip_on=False, zorder=3)
        ax.plot(np.clip(row.centre, left, right), y, color=LINE, marker='o', markersize=3.2, zorder=4, clip_on=False)
        ax.text(1.025, y, f'{row.text}, {row.verdict}', transform=edge, va='center')
        for place, text in enumerate(label.split('\n')):
            ax.text(-0.01, top + place + 0.5, text, transform=edge, va='center', ha='right')
        if row.claim in label:
            ax.axhline(top, color='0.8', linewidth=0.4, zorder=0)
    _axis(ax, unit, on)
    ax.set_xlim(left, right)
    ax.set_ylim(bottoms[-1], 0)


def _axis(ax: Axes, unit: Unit, on: svg.Scale) -> None:
    """Ticks below; the rows need none."""
    ax.set_xscale('log' if unit.exp else 'linear')
    ax.set_xticks([float(unit.scaled(value)) for value, _ in on.ticks], [text for _, text in on.ticks])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_yticks([])
    ax.spines['left'].set_visible(False)
    ax.grid(visible=False, axis='y')
    ax.set_xlabel(unit.level.strip() or 'as it is')
