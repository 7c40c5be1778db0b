"""An advice as one page of text."""

import math
from collections.abc import Iterator

import numpy as np

from bsresearch.advice.answer import Advice, Row
from bsresearch.advice.telling import words


def text(advice: Advice, price_per_hour: float | None = None) -> str:
    """The page; its first line is the advice."""
    row, runs = advice.row, advice.runs
    expected = words.told(row.expected, row.batch_size, runs, price_per_hour)
    lines = [
        _first(advice),
        f'for the {words.aim(advice, advice.goal)}; from {len(runs.batch_size)} runs at {len(runs.sizes)} batch sizes',
        f'expected of a run: {" · ".join(f"{part.name} {part.text}" for part in expected)}',
        f'held fixed: {"; ".join(words.held_fixed(advice))}',
        *(f'would change the answer: {reason}' for reason in words.would_change(advice)),
        *(f'next run {i}: {told}' for i, told in enumerate(words.next_runs(advice), 1)),
        '',
        *_table(advice),
        '',
        *words.findings(advice),
        *(f'note: {note}' for note in words.notes(advice)),
    ]
    return '\n'.join(lines)


def _first(advice: Advice) -> str:
    size, rate = advice.batch_size, advice.row.rate
    line = f'use B = {size.choice:g} ({words.span(size, "{:g}".format)} as good)'
    if math.isnan(rate.choice):
        return line
    tried = advice.runs.learning_rate
    alone = tried is not None and len(np.unique(tried[advice.runs.batch_size == size.choice])) == 1
    as_good = words.span(rate, words.rate)
    if rate.low == rate.high:
        chosen = 'the one that won its search' if advice.runs.searched else 'the only one tried'
        as_good = chosen if alone else 'the best tried' if advice.rates_refused else 'no other is as good'
    return f'{line}, lr {words.rate(rate.choice)} ({as_good})'


def _table(advice: Advice) -> Iterator[str]:
    """A line for each batch size: what a run there is expected to take, with its 95 % interval."""
    heads = [part.name for part in words.told(advice.row.expected, 1.0, advice.runs)]
    rates = advice.runs.several_rates and not advice.rates_refused
    lines = [['B', 'runs', *heads, *(['lr'] if rates else []), 'dearer', '']]
    lines += [_cells(advice, row, rates) for row in advice.rows]
    widths = [max(len(line[i]) for line in lines if len(line) == len(lines[0])) for i in range(len(lines[0]))]
    for line in lines:
        yield '  '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip()


def _cells(advice: Advice, row: Row, rates: bool) -> list[str]:
    size = f'{row.batch_size:g}'
    if row.refusal:
        return [size, row.refusal]
    marks = {
        'named': row.batch_size == advice.batch_size.choice,
        'as good': row.as_good,
        'Pareto': row.pareto,
        'target not reached': row.runs > 0 and row.reached == 0 and advice.runs.timed,
    }
    counted = f'{row.reached}/{row.runs}' if advice.runs.timed and row.reached < row.runs else f'{row.runs}'
    rate = f'{words.rate(row.rate.choice)} ({words.span(row.rate, words.rate)}){" edge" if row.edge else ""}'
    dearer = f'{row.dearer:+.2g}' if advice.goal == 'accuracy' else f'{100 * row.dearer:+.0f} %'
    expected = [part.text for part in words.told(row.expected, row.batch_size, advice.runs)]
    remarks = ', '.join(word for word, holds in marks.items() if holds)
    return [size, counted, *expected, *([rate] if rates else []), dearer, remarks]
