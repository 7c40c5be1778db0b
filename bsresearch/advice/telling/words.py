"""How quantities of an advice are named and written, and its sentences, for the page and the JSON alike."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from bsresearch.advice.answer import Advice, NextRun, Quantity
from bsresearch.advice.fits import regions
from bsresearch.advice.rules import Price
from bsresearch.advice.table import EPOCHS, STEPS, Runs

AIMS = {'time': 'least time to the target', 'examples': 'fewest examples to the target',
        'energy': 'least energy to the target', 'accuracy': 'best {metric} at the end'}  # fmt: skip
UNITS = (('days', 86400), ('h', 3600), ('min', 60), ('s', 1))
Form = Callable[[float], str]


class Told(NamedTuple):
    """A quantity as it is told: its name, the quantity in its unit, how a number of it is written."""

    name: str
    quantity: Quantity
    form: Form

    @property
    def text(self) -> str:
        """`30 (27 to 34)`."""
        return f'{self.form(self.quantity.choice)} ({span(self.quantity, self.form)})'


def number(value: float) -> str:
    """Three digits, thousands grouped."""
    if not math.isfinite(value):
        return '∞' if value > 0 else '–'
    return f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.3g}'


def in_unit(seconds: float) -> Form:
    """How times of that size are written."""
    unit, size = next((u, s) for u, s in UNITS if seconds >= 2 * s or s == 1)
    return lambda value: f'{number(value / size)} {unit}'


def span(quantity: Quantity, form: Form) -> str:
    """`27 to 34`."""
    return f'{form(quantity.low)} to {form(quantity.high)}'


def rate(value: float) -> str:
    """Of a learning rate."""
    return f'{value:.2g}'


def aim(advice: Advice, goal: str) -> str:
    """What a goal asks for."""
    return AIMS[goal].format(metric=advice.runs.metric)


def told(
    expected: Mapping[str, Quantity], batch_size: float, runs: Runs, price_per_hour: float | None = None
) -> list[Told]:
    """What is expected at a batch size, in the units of the table.

    `price_per_hour`: the cost is told too, where the time is.
    """
    parts = []
    for name, quantity in expected.items():
        if name == 'length':
            if runs.told == STEPS:
                parts.append(Told('steps', quantity.times(1 / batch_size), number))
            parts.append(Told(runs.unit, quantity, number))
        elif name == 'seconds':
            parts.append(Told('time', quantity, in_unit(quantity.choice)))
            if price_per_hour is not None:
                parts.append(Told('cost', quantity.times(price_per_hour / 3600), number))
        elif name == 'joules':
            parts.append(Told('energy', quantity, lambda joules: f'{number(joules / 1000)} kJ'))
        else:
            parts.append(Told(runs.metric, quantity.times(1 if runs.falling else -1), '{:.4g}'.format))
    return parts


def held_fixed(advice: Advice) -> list[str]:
    """What was alike in the runs, the rate first."""
    runs, rates = advice.runs, advice.runs.learning_rate
    if rates is None:
        first = 'learning rate: not in the table, taken as one rule for all batch sizes'
    elif runs.several_rates:
        first = 'learning rate: tuned for each batch size among those tried'
        if advice.rates_refused:
            first = f'learning rate: the best tried at each batch size; no other can be told: {advice.rates_refused}'
    elif runs.searched:
        first = 'learning rate: at each batch size the one that won its search'
    elif len(np.unique(rates)) == 1:
        first = f'one learning rate, {rates[0]:g}, at every batch size'
    else:
        slope = np.polyfit(np.log(runs.batch_size), np.log(rates), 1)[0]
        first = f'one learning rate at each batch size, about ∝ B^{slope:.2f}'
    return [first, *runs.held]


def would_change(advice: Advice) -> list[str]:
    """For what reasons another batch size would be named."""
    reasons, size, tried = [], advice.batch_size, advice.runs.sizes
    for goal, other in advice.others.items():
        if not other.low <= size.choice <= other.high:
            reasons.append(f'another goal: {aim(advice, goal)} is at B = {other.choice:g}')
    for end, word in ((tried[0], 'smaller'), (tried[-1], 'larger')):
        if end in (size.low, size.high):
            reasons.append(f'{word} batch sizes: B = {end:g}, at the end of those tried, is as good')
    if advice.row.edge:
        reasons.append(f'other rates: the one that is named is about the {advice.row.edge} tried there')
    if not (advice.runs.several_rates or advice.runs.searched):
        reasons.append('a rate tuned for each batch size: each is judged at the one that it had')
    if advice.goal in ('time', 'energy'):
        reasons.append('another device: the length to the target stays, its time does not')
    if advice.goal != 'accuracy':
        reasons.append('another target: small batches may come first to one and last to the next')
    return reasons


def next_runs(advice: Advice) -> list[str]:
    """Which runs to make, with what they are expected to gain and to take."""
    if not advice.next_runs:
        return ['none is expected to find a better batch size; more seeds at those that are as good narrow their range']
    return [_next_run(advice, run) for run in advice.next_runs]


def _next_run(advice: Advice, run: NextRun) -> str:
    gain = f'{100 * run.gain:.2g} % of the cost'
    if advice.goal == 'accuracy':
        gain = f'{run.gain:.1g} of {advice.runs.metric}'
    parts = [part for part in told(run.expected, run.batch_size, advice.runs) if part.name != advice.runs.metric]
    takes = [part.form(part.quantity.choice) + (f' {part.name}' if part.form is number else '') for part in parts]
    where = f'B = {run.batch_size:g}' + ('' if math.isnan(run.rate) else f', lr {rate(run.rate)}')
    return (
        f'{where}: expected to save {gain}; takes {", ".join(takes)}' if takes else f'{where}: expected to save {gain}'
    )


def findings(advice: Advice) -> list[str]:
    """What else the runs tell: of the length and the throughput against B, of rules for the rate."""
    sentences = []
    if advice.growth is not None:
        sentences.append(f'length against B: {advice.growth.law.text}')
        sentences.append(f'steps against B: {regions.text(advice.growth.stretches)}')
    if (fast := advice.throughput) is not None:
        knee = f'{fast.knee:g}' if fast.low == fast.high else f'{fast.knee:g} ({fast.low:g} to {fast.high:g})'
        sentences.append(
            f'throughput: largest at B = {fast.fastest:g}, {number(fast.speedup)} times that of the smallest; 90 % of '
            f'it from B = {knee} on'
        )
    if advice.prices:
        prices = '; '.join(_price(advice, price) for price in advice.prices)
        start = f'rules for the rate, from that at B = {advice.runs.sizes[0]:g}'
        sentences.append(f'{start}, against the advised rates: {prices}')
    return sentences


def _price(advice: Advice, price: Price) -> str:
    form = '{:+.2g}'.format if advice.goal == 'accuracy' else lambda x: f'{100 * math.expm1(x):+.0f} %'
    untold = f', at {price.untold} outside of the rates tried' if price.untold else ''
    if math.isinf(price.worst):
        return f'{price.rule} diverges at B = {price.worst_at:g}{untold}'
    return f'{price.rule} {form(price.mean)} in the mean, {form(price.worst)} at B = {price.worst_at:g}{untold}'


def notes(advice: Advice) -> list[str]:
    """What keeps the page from being read plainly."""
    runs, sentences = advice.runs, list(advice.runs.notes)
    if runs.timed and not runs.several_rates and len(runs.sizes) == len(runs.batch_size):
        sentences.append(
            'one run at each batch size: how much runs differ was not measured; it is taken from how far they lie off '
            'their curve, and as about 10 %'
        )
    if runs.timed and (short := int((~runs.reached).sum())):
        sentences.append(
            f'{short} of {len(runs.reached)} runs did not reach the target: each counts as longer than it went'
        )
    if runs.unit == EPOCHS and (counted := runs.granularity[runs.reached]).any():
        every = 'whole' if (counted == 1).all() else f'counted in evaluations, {number(np.median(counted))} apart'
        sentences.append(f'epochs are {every}: ranges of them are rounded outwards')
    if runs.timed and runs.several_rates and not advice.rates_refused:
        sentences.append(
            'at each batch size the runs of its best rate count: the best of several looks better than it is'
        )
    return sentences
