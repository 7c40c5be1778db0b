"""The forest of a study: a row for each claim or cell with its intervals drawn, one number, and all numbers folded."""

import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from bsresearch.analysis import summary
from bsresearch.analysis.quantity import Unit
from bsresearch.analysis.statements import Judged, Verdicts
from bsresearch.analysis.verdicts import Verdict
from bsresearch.findings.sweep import Cell, Sweep
from bsresearch.report import markdown, svg
from bsresearch.report.markdown import Block

# In the order of a tally, with the mark that stands beside the word: no verdict is told by its colour alone.
MARKS: dict[Verdict, str] = {
    'holds': '✓',
    'does not hold': '✗',
    'undecided': '?',
    'depends': '↔',
    'not measured': '–',
}
SOURCES_NUMBERS = re.compile(r' *\([^()]*\d[^()]*\)')
CELL_WIDTH = 220  # CSS pixels of a cell's interval
SMALL = 5  # times that a shared scale may be longer than a row's own
LATER = 'asked after the first look at the records'
SINCE = 'Said after the runs'
LONG = 24  # rows of cells beyond which the rest is folded


class Row(NamedTuple):
    """A claim or a cell.

    Attributes:
      key, sentence, source: of a claim; of a cell its name. verdict: '' for a cell. why: it is undecided, '' where it
        is not, or that is not known.
      lines: its intervals. bounds: between which the claim says they lie.
      number: one, in words. phrases: each with its interval. numbers: all that is known of each; remarks: what was
        lost or chosen.
      note, reason: of a claim (analysis/statements.py). smallest: effect that its deciding number
        could have shown, in words. deciding: its phrase.
      flag: of a cell: that it is the highest, lies on an edge; of a claim that it was added when records had been seen.
    """

    key: str
    sentence: str
    verdict: Verdict | str = ''
    source: str = ''
    lines: tuple[svg.Line, ...] = ()
    bounds: tuple[float, float] = (-np.inf, np.inf)
    number: str = markdown.NONE
    phrases: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    flag: str = ''
    why: str = ''
    note: str = ''
    reason: str = ''
    smallest: str = ''
    deciding: str = ''

    @property
    def short(self) -> str:
        """The sentence without the numbers that a source has in brackets."""
        return SOURCES_NUMBERS.sub('', self.sentence)


def of_verdicts(verdicts: Verdicts, source: str, n: int) -> Row:
    """Of a statement as it came out.

    Args:
      source: of the findings, which is told once. n: replicates of the study, too; another n stands with its number.
    """
    statement, judged = verdicts.statement, verdicts.judged
    lines = tuple(svg.Line(j.part.label, j.interval, j.unit, not j.contrast.level, j.part.places) for j in judged)
    named = statement.source.removeprefix(source).lstrip(', ')  # which stands above all of them
    decisive = _decisive(verdicts)
    without_number = next((j.why for j in judged if j.why), '') or next(iter(verdicts.remarks), '')
    return Row(
        statement.key, statement.sentence, verdicts.verdict, named, lines, statement.bounds,
        decisive.show(decisive.interval.centre) if decisive else markdown.NONE,
        tuple(_phrase(j, n) for j in judged), tuple(_numbers(j, n) for j in judged), verdicts.remarks,
        flag=LATER if statement.later else '', why=decisive.why if decisive else without_number,
        note=statement.note, reason=statement.reason, smallest=decisive.smallest if decisive else '',
        deciding=_phrase(decisive, n) if decisive else '',
    )  # fmt: skip


def of_cell(cell: Cell, sweep: Sweep) -> Row:
    """Of a sweep: its number, and whether it is the best, or may be."""
    unit, n = sweep.quantity.unit if sweep.quantity else Unit(), cell.interval.n
    whole, line = _measured(cell, unit)
    place = sweep.chosen if cell.best else 'may be the best as well' if cell.alike else ''
    edges = ', '.join(cell.edges) if cell.best else ''
    return Row(
        '', cell.label, lines=(line,), number=unit.show(cell.interval.centre) if n else markdown.NONE,
        numbers=(f'{whole}, n = {n}' if n else 'not measured',), remarks=tuple(filter(None, (cell.lost, edges))),
        flag='; '.join(filter(None, (place, cell.lost))),
    )  # fmt: skip


def _measured(cell: Cell, unit: Unit) -> tuple[str, svg.Line]:
    """In words and drawn: the mean with its interval, both of two replicates, one number where they do not differ."""
    interval, show = cell.interval, lambda value: unit.show(value, unit=False)
    number, several = unit.show(interval.centre), len({*cell.values}) > 1
    if several and interval.n < summary.TO_TELL:
        ends = interval._replace(low=min(cell.values), high=max(cell.values))
        return f'{summary.each(cell.values, show)}{unit.level}', svg.Line('', ends, unit, False, cell.values)
    if not several or np.isnan(interval.low):
        return number, svg.Line('', interval._replace(low=np.nan, high=np.nan), unit, False)
    return f'{number} ({show(interval.low)} to {show(interval.high)})', svg.Line('', interval, unit, False)


def _decisive(verdicts: Verdicts) -> Judged | None:
    """The part that the verdict hangs on: of those with the worst verdict the one nearest to a bound, or beyond it."""
    statement = verdicts.statement
    alike = [j for j in verdicts.judged if j.verdict == verdicts.verdict] or list(verdicts.judged)
    known = [j for j in alike if np.isfinite(j.interval.centre)]
    return min(known, key=lambda j: _room(j, *statement.bounds)) if known else None


def _room(judged: Judged, low: float, high: float) -> float:
    """How far from a bound, negative beyond it: the end of the interval of a part that holds, the centre of another."""
    estimate = judged.interval
    ends = np.array([estimate.low, estimate.high] if judged.verdict == 'holds' else [estimate.centre] * 2)
    ends = np.where(np.isnan(ends), estimate.centre, ends)
    if low == high:
        return float(np.abs(ends - low).min())
    return min([float(end - bound) * side for end, bound, side in zip(ends, (low, high), (1, -1), strict=True)
                if np.isfinite(bound)], default=np.inf)  # fmt: skip


def _phrase(judged: Judged, n: int) -> str:
    """'small − large: +3.47 points (+2.1 to +4.8)'; of a set of places all of them; n where it is not the study's."""
    places = ', '.join(judged.unit.show(p, unit=False) for p in judged.part.places)
    replicates = f', n = {judged.interval.n}' if judged.interval.n not in (0, n) else ''
    return f'{judged.part.label}: {f"one of {places}" if places else judged.text}{replicates}'


def _numbers(judged: Judged, n: int) -> str:
    """With its own verdict and the smallest distance from a bound that it would show with 80 % power."""
    sees = f'; could see {judged.smallest} from a bound' if judged.smallest else ''
    why = f' ({judged.why})' if judged.why else ''
    return f'{_phrase(judged, n)}: {judged.verdict}{why}{sees}'


def tally(rows: Sequence[Row]) -> list[tuple[Verdict, int]]:
    """Verdicts and how many, without those that none has."""
    verdicts = [row.verdict for row in rows]
    return [(verdict, verdicts.count(verdict)) for verdict in MARKS if verdict in verdicts]


Key = tuple[Unit, bool]  # unit, whether of differences
Scales = dict[Key, svg.Scale | None]


def _by_unit(row: Row) -> dict[Key, list[svg.Line]]:
    alike: dict[Key, list[svg.Line]] = {}
    for line in row.lines:
        alike.setdefault((line.unit, line.difference), []).append(line)
    return alike


def _scales(rows: Sequence[Row], width: int) -> list[Scales]:
    """For each row the scales of its drawings.

    Rows of one named unit share theirs, so that they can be compared; a claim that would be small on it has its own,
    and so has a number without a unit, which may be anything. Cells always share it.
    """
    row_scales = [{key: svg.scale(lines, row.bounds, width) for key, lines in _by_unit(row).items()} for row in rows]
    shared: Scales = {}
    claims = any(row.verdict for row in rows)
    named = lambda unit: bool(unit.level or unit.difference) or not claims
    for key in dict.fromkeys(key for scales in row_scales for key in scales if named(key[0])):
        lines = [line for row in rows for line in _by_unit(row).get(key, [])]
        bounds = [bound for row in rows if key in _by_unit(row) for bound in row.bounds]
        shared[key] = svg.scale(lines, bounds, width)
    if not claims:
        return [shared] * len(rows)
    return [{key: _large_enough(scale, shared.get(key)) for key, scale in scales.items()} for scales in row_scales]


def _large_enough(of_row: svg.Scale | None, shared: svg.Scale | None) -> svg.Scale | None:
    if of_row is None or shared is None:
        return of_row
    return shared if (of_row.high - of_row.low) * SMALL >= shared.high - shared.low else of_row


def _drawn(row: Row, scales: Scales, numbered: bool) -> str:
    """A drawing for each unit among a row's intervals."""
    draw = lambda lines, on: svg.draw(lines, row.bounds, on, numbered=numbered)
    return ''.join(draw(lines, on) for key, lines in _by_unit(row).items() if (on := scales[key]))


def block(rows: Sequence[Row], note: str) -> Block:
    """All rows with a line above that says how to read them."""
    claims = any(row.verdict for row in rows)
    scales = _scales(rows, svg.WIDTH if claims else CELL_WIDTH)
    # Cells share one scale: it stands below the last.
    row_lines = [_html(row, scales[i], claims or i == min(len(rows), LONG) - 1) for i, row in enumerate(rows)]
    if not claims and len(row_lines) > LONG:
        more = f'<summary>{len(row_lines) - LONG} more</summary>\n{chr(10).join(row_lines[LONG:])}'
        row_lines = [*row_lines[:LONG], f'<details class="more">{more}\n</details>']
    inside = '\n'.join(row_lines)
    html = f'<div class="rows"><p class="note">{escape(note)}</p>\n<div class="forest">\n{inside}\n</div></div>'
    return Block(_markdown(rows, note), html)


def badge(verdict: Verdict | str) -> str:
    """A verdict as word, mark and colour."""
    mark = MARKS[verdict]  # pyright: ignore[reportArgumentType]
    return f'<span class="verdict {verdict.replace(" ", "-")}">{mark} {escape(verdict)}</span>'


def _html(row: Row, scales: Scales, numbered: bool) -> str:
    mark = badge(row.verdict) if row.verdict else ''
    drawn = _drawn(row, scales, numbered) or escape('; '.join(row.phrases[:2]) + (' …' if len(row.phrases) > 2 else ''))
    key = f'<b class="key">{escape(row.key)}</b> ' if row.key else ''
    flag = f' <span class="flag">{escape(row.flag)}</span>' if row.flag else ''
    head = (
        f'<span class="mark">{mark}</span><span class="say">{key}{escape(row.short)}{flag}{_reason(row)}</span>'
        f'<span class="drawn">{drawn}</span><span class="one">{escape(row.number)}</span>'
    )
    kind = 'claim' if row.verdict else 'cell'
    if not (row.numbers or row.remarks or row.source):
        return f'<div class="row {kind}">{head}</div>'
    return f'<details class="row {kind}" data-key="{escape(row.key)}"><summary>{head}</summary>{_folded(row)}</details>'


def _reason(row: Row) -> str:
    return f'<small class="since">{SINCE}: {escape(row.reason)}</small>' if row.reason else ''


def _folded(row: Row) -> str:
    listed = lambda items, kind: (
        f'<ul class="{kind}">{"".join(f"<li>{escape(i)}</li>" for i in items)}</ul>' if items else ''
    )
    full = f'<p>{escape(row.sentence)}</p>' if row.sentence != row.short else ''
    source = f'<p class="source">{escape(row.source)}</p>' if row.source else ''
    return f'<div class="numbers">{full}{listed(row.numbers, "all")}{listed(row.remarks, "remarks")}{source}</div>'


def _markdown(rows: Sequence[Row], note: str) -> str:
    claims = [row for row in rows if row.verdict]
    if not claims:
        cells = [(row.sentence, '; '.join(row.numbers) or row.number, row.flag, '; '.join(row.remarks)) for row in rows]
        return markdown.table(note, ('cell', 'measured', '', 'remark'), cells)
    verdict = lambda row: f'{MARKS[row.verdict]} {row.verdict}'
    said = lambda row: f'{row.short} ({row.flag})' if row.flag else row.short
    heads = [(verdict(row), row.key, said(row), row.number, row.reason) for row in claims]
    numbers = [(row.key, row.sentence, row.source, '; '.join(row.numbers), '; '.join(row.remarks)) for row in claims]
    return '\n\n'.join([
        markdown.table(note, ('verdict', 'key', 'claim', 'number', SINCE.lower()), heads),
        markdown.table('All numbers', ('key', 'claim', 'source', 'measured', 'remark'), numbers, folded=True),
    ])  # fmt: skip
