"""The claims of kept studies that do not hold, or are open: with the reason that was found for each."""

from collections import Counter
from collections.abc import Sequence

from bsresearch.analysis.statements import REASONS
from bsresearch.report import markdown
from bsresearch.report.forest import MARKS, Row
from bsresearch.report.index import Kept

HEAD = """# Claims that do not hold here, or are open

Of the [studies](index.md) that are kept: every claim that does not hold, depends on a condition, is undecided or was
not measured, with its deciding number (95 % interval) and the reason that was found when the records had been seen.
The smallest effect is what a claim's number of seeds would have shown with 80 % power, as a distance from its bound.
Made by `python -m scripts.study_index`.

A reason begins with what it lies in: the **protocol** (how it was trained and compared), the **size** (how many seeds,
examples, updates), the **data** (what was learned) or the **estimator** (how a number was read).
"""
SECTIONS = {
    'does not hold': 'Does not hold',
    'depends': 'Holds under some conditions, and does not under others',
    'undecided': 'Undecided',
    'not measured': 'Not measured',
}
OTHER = 'none given'


def text(every: Sequence[Kept]) -> str:
    """The page."""
    rows = [(one.name, row) for one in every for row in one.question.rows]
    return '\n'.join([HEAD, _counts([row for _, row in rows]), *(_section(verdict, rows) for verdict in SECTIONS)])


def _kind(row: Row) -> str:
    kind = row.reason.partition(':')[0]
    return kind if kind in REASONS else OTHER


def _counts(rows: Sequence[Row]) -> str:
    """How many of each verdict have a reason of each kind; of those that hold the number alone."""
    counts = Counter((str(row.verdict), _kind(row)) for row in rows)
    kinds = [*REASONS, OTHER]
    lines = [
        [title, *(str(counts[verdict, kind] or '') for kind in kinds), str(sum(row.verdict == verdict for row in rows))]
        for verdict, title in SECTIONS.items()
    ]
    holds = ['Holds', *([''] * len(kinds)), str(sum(row.verdict == 'holds' for row in rows))]
    return _table(['claims', *kinds, 'all'], [holds, *lines])


def _section(verdict: str, rows: Sequence[tuple[str, Row]]) -> str:
    """A row for each claim of a verdict."""
    lines = [
        [
            f'[{markdown.escape(name)}]({name}/report.md)',
            markdown.escape(f'{row.short} ({row.flag})' if row.flag else row.short),
            markdown.escape(row.deciding), markdown.escape(row.smallest),
            markdown.escape(row.reason or '; '.join(filter(None, (row.note, row.why)))),
        ]
        for name, row in rows if row.verdict == verdict
    ]  # fmt: skip
    mark = next(mark for known, mark in MARKS.items() if known == verdict)
    heads = ['study', 'claim', 'number', 'smallest effect', 'reason']
    return f'## {mark} {SECTIONS[verdict]}\n\n{_table(heads, lines) if lines else "None."}'


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    written = [heads, ['---'] * len(heads), *lines]
    return ''.join(f'| {" | ".join(line)} |\n' for line in written)
