"""Every interval of every claim against the bounds that it would have to lie between (shaded), and the verdict.

Claims in one unit share an axis, which reaches as far as bounds and centres do: an interval that goes on beyond it
ends in an arrow.
"""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import statements
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantity import Unit
from bsresearch.analysis.statements import Judged, Verdicts
from bsresearch.analysis.study import Study
from bsresearch.report import plotting
from bsresearch.report.figures import panels

ROW = 0.17  # inches
LABEL = 44  # characters of a contrast's name; of a longer one its ends
SHADE, LINE = '0.9', '0.25'
REACH = 0.6  # of the span of centres and bounds, beyond them


class Row(NamedTuple):
    """An interval in its unit as it is drawn. claim: '' after the first of one."""

    claim: str
    name: str
    text: str
    centre: float
    low: float
    high: float
    least: float
    most: float
    verdict: str


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws it.

    Raises:
      ValueError: no claim was measured.
    """
    judged = [v if isinstance(v, Verdicts) else statements.judge(v, study) for v in figure.options['claims']]
    return of_verdicts({v.statement.key: v for v in judged}, figure, out)


def of_verdicts(
    judged: dict[str, Verdicts], figure: Figure, out: pathlib.Path, notes: Sequence[str] = ()
) -> list[pathlib.Path]:
    """Draws verdicts by their names: a panel for each unit."""
    by_unit: dict[Unit, list[Row]] = {}
    for name, verdicts in judged.items():
        for unit in dict.fromkeys(_scale(one) for one in verdicts.judged):
            of_unit = [one for one in verdicts.judged if _scale(one) == unit and not np.isnan(one.interval.centre)]
            by_unit.setdefault(unit, []).extend(_rows(name, verdicts, of_unit, unit))
    by_unit = {unit: rows for unit, rows in by_unit.items() if rows}
    if not by_unit:
        raise ValueError('none of the claims was measured: nothing to draw')
    counts = [len(rows) + 1.5 for rows in by_unit.values()]
    phrases = [*notes, 'dots: means over seeds (medians where runs did not arrive) with 95 % intervals; shaded: where '
               'the claim says that they lie']  # fmt: skip
    height = ROW * sum(counts) / len(counts) + 0.35
    text = [*([figure.title] if figure.title else []), *phrases]
    with plotting.figure(len(by_unit), 1, text, height=height, ratios=counts, wide=2.0) as (fig, axes):
        for (unit, rows), [ax] in zip(by_unit.items(), axes, strict=True):
            _panel(ax, unit, rows)
        parts = [pd.DataFrame(rows).assign(unit=unit.level.strip()) for unit, rows in by_unit.items()]
        table = pd.concat(parts, ignore_index=True)
        return plotting.save(fig, table.assign(claim=table['claim'].replace('', np.nan).ffill()), out, figure.name)


def _scale(one: Judged) -> Unit:
    """What may share an axis: a level in per cent and a difference in points may not."""
    unit = one.unit
    suffix = unit.level if one.contrast.level else unit.difference
    return unit._replace(level=suffix, difference=suffix, decimals=None, digits=3, low=-np.inf, high=np.inf)


def _rows(name: str, verdicts: Verdicts, judged: Sequence[Judged], unit: Unit) -> list[Row]:
    least, most = panels.shown(unit, np.array([verdicts.statement.low, verdicts.statement.high])).tolist()
    rows = []
    for i, one in enumerate(judged):
        ends = [float(v) for v in panels.shown(unit, np.array(one.interval[:3]))]
        claim = f'{name}: {verdicts.verdict}' if i == 0 else ''
        rows.append(Row(claim, one.part.label, one.text, ends[0], ends[1], ends[2], least, most, one.verdict))
    return rows


def _panel(ax: plotting.Axes, unit: Unit, rows: Sequence[Row]) -> None:
    """Rows from the top; names on the left, numbers and verdicts on the right."""
    left, right = _reach(unit, rows)
    for y, row in enumerate(rows):
        least, most = max(row.least, left), min(row.most, right)
        ax.fill_between([least, most], y - 0.5, y + 0.5, color=SHADE, linewidth=0, zorder=1)
        low, high = (left if row.low < left else row.low), (right if row.high > right else row.high)
        if not np.isnan(row.low):
            ax.plot([low, high], [y, y], color=LINE, linewidth=1.1, zorder=3)
            for end, beyond, marker in ((left, row.low < left, '<'), (right, row.high > right, '>')):
                if beyond:
                    ax.plot(end, y, color=LINE, marker=marker, markersize=3, clip_on=False, zorder=3)
        ax.plot(np.clip(row.centre, left, right), y, color=LINE, marker='o', markersize=3.2, zorder=4, clip_on=False)
        edge = ax.get_yaxis_transform()
        ax.text(1.01, y, f'{row.text}, {row.verdict}', transform=edge, va='center')
        name = row.name if len(row.name) <= LABEL else f'{row.name[: LABEL // 2]}…{row.name[-LABEL // 2 :]}'
        ax.text(-0.01, y, '   '.join(filter(None, (row.claim, name))), transform=edge, va='center', ha='right')
        if row.claim:
            ax.axhline(y - 0.5, color='0.8', linewidth=0.4, zorder=0)
    if unit.exp or (not np.isinf([left, right]).any() and left > 0 and right / left > 50):
        ax.set_xscale('log')
        plotting.plain_log_ticks(ax.xaxis, float(np.log10(right / left)))
    ax.set_xlim(left, right)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_yticks([])
    ax.spines['left'].set_visible(False)
    ax.grid(visible=False, axis='y')
    ax.set_xlabel(unit.level.strip() or 'as it is')


def _reach(unit: Unit, rows: Sequence[Row]) -> tuple[float, float]:
    """The ends of the axis."""
    marks = np.array([m for row in rows for m in (row.centre, row.least, row.most) if np.isfinite(m)])
    ends = np.array([m for row in rows for m in (row.low, row.high) if np.isfinite(m)])
    marks, ends = (marks[marks > 0], ends[ends > 0]) if unit.exp else (marks, ends)
    marks, ends = (np.log(marks), np.log(ends)) if unit.exp else (marks, ends)
    span = float(np.ptp(marks)) or float(abs(marks[0])) or 1.0
    low, high = marks.min(), marks.max()
    reach = np.clip([*ends, low - 0.05 * span, high + 0.05 * span], low - REACH * span, high + REACH * span)
    left, right = float(reach.min()), float(reach.max())
    return (float(np.exp(left)), float(np.exp(right))) if unit.exp else (left, right)
