"""The first screen of a question: what was asked, the answer in one sentence, what was held fixed, and the figure."""

import pathlib
from collections.abc import Sequence
from html import escape

import numpy as np

from bsresearch.analysis import cells
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import forest, made, markdown, pictures, web
from bsresearch.report.asked import Asked
from bsresearch.report.found import Found
from bsresearch.report.markdown import Block, Piece, counted
from bsresearch.report.pictures import Picture

# In place of a verdict's word, where it begins a sentence.
BEGINS = {
    'holds': 'It holds:',
    'does not hold': 'It does not hold:',
    'undecided': 'It is undecided:',
    'depends': 'It depends:',
    'not measured': 'It was not measured:',
}
BESIDE = 14  # rows of cells that stand beside the figure


def pieces(
    asked: Asked,
    found: Found,
    picture: Picture | None,
    intervals: Picture | None,
    beside: Sequence[Picture],
    out: pathlib.Path,
) -> list[Piece]:
    """From the heading to the forest.

    Args:
      picture: the headline figure. intervals: of all claims, as a figure for Markdown. beside: small figures that stand
        below the cells of a sweep.
    """
    claims = any(row.verdict for row in asked.rows)
    rows = forest.block(asked.rows, _note(asked)) if asked.rows else None
    figure = _figure(asked, picture, out)
    few = rows is not None and not claims and len(asked.rows) <= BESIDE
    side = _together([*([_tally(asked)] if claims else [rows] if rows and few else []),
                      *(pictures.block(p, out) for p in beside)])  # fmt: skip
    both = [block for block in (figure, side) if block]
    top = Block(
        '\n\n'.join(block.markdown for block in both),
        f'<div class="top {"claims" if claims else "cells"}">{"".join(block.html for block in both)}</div>',
    )
    below = [rows] if rows and not few else []
    below = [*([Block(pictures.as_markdown(intervals, out), '')] if intervals else []), *below]
    heading = ['## Claims' if claims else '## Cells'] if below else []
    return [_head(asked, found), *([top] if both else []), *map(markdown.escape, asked.faults), *heading, *below]


def _together(blocks: Sequence[Block]) -> Block | None:
    """Below one another."""
    if not blocks:
        return None
    html = ''.join(block.html for block in blocks)
    return Block('\n\n'.join(block.markdown for block in blocks), f'<div class="side">{html}</div>')


def _head(asked: Asked, found: Found) -> Block:
    """Question, answer, and a line on how it was asked."""
    begins = BEGINS.get(asked.verdict, '')
    facts = ' · '.join(_facts(asked, found))
    source = asked.source or f'Sweep {asked.key}'
    html = [f'<header><p class="eyebrow">{escape(source)}</p><h1>{escape(asked.question)}</h1>']
    text = [f'# {markdown.escape(asked.question)}']
    if asked.answer:
        mark = forest.badge(asked.verdict) if asked.verdict else ''
        html.append(f'<p class="answer" data-verdict="{escape(asked.verdict)}">{mark} {escape(asked.answer)}</p>')
        text.append(f'{f"**{begins}** " if begins else ""}{markdown.escape(asked.answer)}')
    html.append(f'<p class="held">{escape(facts)}</p></header>')
    text.append(markdown.escape(f'{source} · {facts}'))
    return Block('\n\n'.join(text), ''.join(html))


def _facts(asked: Asked, found: Found) -> list[str]:
    """What it was asked of, what was held fixed, n, size and time."""
    of = found.only(asked.of)
    told = _described(asked.study) if asked.study else []
    total = made.spent(of)
    whole = total['wall'] + total['probes']
    gone = sum(run.status == 'diverged' for run in of.runs)
    runs = counted(len(of.runs), 'run') + (f' ({gone} diverged)' if gone else '')
    size = [runs, *([counted(len(of.probes), 'probe')] if of.probes else [])]
    spent = f'{made.duration(whole)} on {made.common(of, "device") or "an unnamed device"}' if whole else ''
    return [*told, ', '.join(size), *([spent] if spent else [])]


def _described(study: Study) -> list[str]:
    """Of the runs from the start: branches are longer."""
    starts = [key for key in cells.of(study) if key[1] == ABSENT] or cells.of(study)
    return [*cells.described(study, starts), cells.replicates(study, starts)]


def _note(asked: Asked) -> str:
    """How to read the forest; n once."""
    n = asked.replicates
    trials = any(not np.isnan(line.interval.low) for row in asked.rows for line in row.lines)
    alone = 'One seed: intervals are over trials' if trials else 'One seed: no intervals'
    over = f'95 % intervals over n = {n} seeds on this test set' if n > 1 else alone
    if not any(row.verdict for row in asked.rows):
        return f'The cells of the sweep; {over[0].lower()}{over[1:]}.'
    if not any(row.lines for row in asked.rows):
        return 'A row for each claim. Open one for its numbers and source.'
    return f'{over}; shaded: where the claim says they lie. Open a row for its numbers and source.'


def _tally(asked: Asked) -> Block:
    """Counts of verdicts."""
    counts = forest.tally(asked.rows)
    cards = ''.join(
        f'<li class="{verdict.replace(" ", "-")}"><b>{count}</b> <span>{forest.MARKS[verdict]} {verdict}</span></li>'
        for verdict, count in counts
    )
    text = ' · '.join(f'**{forest.MARKS[verdict]} {verdict}: {count}**' for verdict, count in counts)
    return Block(text, f'<ul class="tally" aria-label="verdicts on the claims">{cards}</ul>')


def _figure(asked: Asked, picture: Picture | None, out: pathlib.Path) -> Block | None:
    """The headline figure: curves that can be switched, and the PNG where scripts do not run."""
    data = None
    if asked.study is not None and asked.headline < len(asked.figures):
        data = web.data(asked.study, asked.named[asked.headline])
    if data is None:
        return pictures.block(picture, out) if picture else None
    title = asked.figures[asked.headline].title
    still = f'<div class="still">{pictures.image(picture)}</div>' if picture else ''
    said = pictures.caption(picture, out) if picture else escape(title)
    html = (
        f'<figure class="curves"><div class="axes" role="group" aria-label="x axis"></div><div class="plots"></div>'
        f'<div class="legend" role="group" aria-label="curves"></div>{still}<figcaption>{said}</figcaption>'
        f'<script type="application/json">{web.as_json(data)}</script></figure>'
    )
    return Block(pictures.as_markdown(picture, out) if picture else '', html)
