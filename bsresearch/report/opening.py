"""The first screen of a question: what was asked, the answer in one sentence, what was held fixed, and the figure."""

from collections.abc import Sequence
from html import escape

import numpy as np

from bsresearch.analysis import cells, summary
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import forest, markdown, pictures, provenance, web
from bsresearch.report.figures.drawing import Drawn
from bsresearch.report.inventory import Inventory
from bsresearch.report.markdown import Block, Piece, counted
from bsresearch.report.questions import Question

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
    question: Question, inventory: Inventory, headline: Drawn | None, intervals: Drawn | None, beside: Sequence[Drawn]
) -> list[Piece]:
    """From the heading to the forest.

    Args:
      inventory: of its study. intervals: of all claims, as a figure for Markdown. beside: small figures that stand
        below the cells of a sweep.
    """
    claims = question.of_claims
    rows = forest.block(question.rows, _note(question)) if question.rows else None
    few = rows is not None and not claims and len(question.rows) <= BESIDE
    column = [_tally(question)] if claims else [rows] if rows and few else []
    column += [pictures.block(drawn) for drawn in beside]
    side = [markdown.division('side', column)] if column else []
    top = [*_figure(question, headline), *side]
    kind = 'claims' if claims else 'cells'
    below = [Block(pictures.as_markdown(intervals), '')] if intervals else []
    below += [rows] if rows and not few else []
    return [
        _head(question, inventory),
        *([markdown.division(f'top {kind}', top)] if top else []),
        *map(markdown.escape, question.notes),
        *([f'## {kind.capitalize()}'] if below else []),
        *below,
    ]


def _head(question: Question, inventory: Inventory) -> Block:
    """Question, answer, and a line on how it was asked."""
    begins = BEGINS.get(question.verdict, '')
    facts = ' · '.join(_facts(question, inventory))
    source = question.source or f'Sweep {question.key}'
    html = [f'<header><p class="eyebrow">{escape(source)}</p><h1>{escape(question.text)}</h1>']
    text = [f'# {markdown.escape(question.text)}']
    if question.answer:
        mark = forest.badge(question.verdict) if question.verdict else ''
        verdict = escape(question.verdict)
        html.append(f'<p class="answer" data-verdict="{verdict}">{mark} {escape(question.answer)}</p>')
        text.append(f'{f"**{begins}** " if begins else ""}{markdown.escape(question.answer)}')
    if question.reason:
        html.append(f'<p class="reason"><b>{forest.SINCE}:</b> {escape(question.reason)}.</p>')
        text.append(f'**{forest.SINCE}:** {markdown.escape(question.reason)}.')
    html.append(f'<p class="held">{escape(facts)}</p></header>')
    text.append(markdown.escape(f'{source} · {facts}'))
    return Block('\n\n'.join(text), ''.join(html))


def _facts(question: Question, inventory: Inventory) -> list[str]:
    """What it was asked of, what was held fixed, n, size and time."""
    seconds = provenance.spent(inventory)['in all']
    gone = sum(run.status == 'diverged' for run in inventory.runs)
    runs = counted(len(inventory.runs), 'run') + (f' ({gone} diverged)' if gone else '')
    probes = counted(len(inventory.probes), 'probe') if inventory.probes else ''
    spent = f'{provenance.duration(seconds)} on {provenance.device(inventory)}' if seconds else ''
    described = _described(question.study) if question.study else []
    return [*described, ', '.join(filter(None, (runs, probes))), *([spent] if spent else [])]


def _described(study: Study) -> list[str]:
    """Of the runs from the start."""
    starts = _starts(study)
    return [*cells.described(study, starts), cells.replicates(study, starts)]


def _starts(study: Study) -> list[cells.Key]:
    """Cells of runs from the start: branches are longer."""
    return [key for key in cells.of(study) if key[1] == ABSENT] or cells.of(study)


def _note(question: Question) -> str:
    """How to read the forest; n once."""
    n = len(question.study.replicates) if question.study else 0
    trials = any(not np.isnan(line.interval.low) for row in question.rows for line in row.lines)
    alone = 'One seed: intervals are over trials' if trials else 'One seed: no intervals'
    seeds = cells.replicates(question.study, _starts(question.study)) if question.study else ''
    over = f'95 % intervals over {seeds} on this test set' if n > 1 else alone
    if not question.of_claims:
        over = f'both of {seeds} on this test set' if 1 < n < summary.TO_TELL else over
        return f'The cells of the sweep; {over[0].lower()}{over[1:]}.'
    if not any(row.lines for row in question.rows):
        return 'A row for each claim. Open one for its numbers and source.'
    later = any(row.reason or row.flag for row in question.rows)
    reasons = ' What was said or asked after the runs, their records seen, is marked so.' if later else ''
    return f'{over}; shaded: where the claim says they lie. Open a row for its numbers and source.{reasons}'


def _tally(question: Question) -> Block:
    """Counts of verdicts."""
    counts = forest.tally(question.rows)
    cards = ''.join(
        f'<li class="{verdict.replace(" ", "-")}"><b>{count}</b> <span>{forest.MARKS[verdict]} {verdict}</span></li>'
        for verdict, count in counts
    )
    text = ' · '.join(f'**{forest.MARKS[verdict]} {verdict}: {count}**' for verdict, count in counts)
    return Block(text, f'<ul class="tally" aria-label="verdicts on the claims">{cards}</ul>')


def _figure(question: Question, headline: Drawn | None) -> list[Block]:
    """The headline figure: curves that can be switched, and the PNG where scripts do not run."""
    figure, study = question.opening, question.study
    try:
        data = web.data(study, figure) if figure and study else None
    except ValueError as e:  # it names or needs what there is not
        why = f'{figure.name if figure else "the figure"} drew nothing: {e}'
        return [Block(markdown.escape(why), f'<p class="note">{escape(why)}</p>')]
    if figure is None or data is None:
        return [pictures.block(headline)] if headline else []
    still = f'<div class="still">{pictures.image(headline)}</div>' if headline else ''
    caption = pictures.caption(headline) if headline else escape(figure.title)
    html = (
        f'<figure class="curves"><div class="axes" role="group" aria-label="x axis"></div><div class="plots"></div>'
        f'<div class="legend" role="group" aria-label="curves"></div>{still}<figcaption>{caption}</figcaption>'
        f'<script type="application/json">{web.as_json(data)}</script></figure>'
    )
    return [Block(pictures.as_markdown(headline) if headline else '', html)]
