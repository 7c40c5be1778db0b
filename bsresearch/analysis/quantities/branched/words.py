"""B* at every point in words: a table for each rate, the noise scales beside it, and what to know about them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bsresearch.analysis.quantities.branched import noise, rates
from bsresearch.analysis.quantities.branched.critical import CriticalBatchSizes

NAMES = dict(zip(noise.SCALES, ('B_simple', 'B_noise'), strict=True))


def text(of_rates: Sequence[CriticalBatchSizes]) -> str:
    """Tables by arm and point: of each rate, and of the noise scales."""
    lines = []
    for sizes in of_rates:
        lines += [f'B* with {rates.MEANINGS[sizes.rate]}:', _table(sizes), *_factors(sizes), *remarks(sizes), '']
    lines += [
        'B*: median over seeds, and their range; ≥: the largest batch tried passes; <: none above B does; ½, 2, asked: '
        f'at half and twice the tolerance, and at {of_rates[0].tolerance:g} nats, which scatter may have raised',
        '',
        'B_simple = tr Σ/|G|² and B_noise = tr(HΣ)/GᵀHG of the parents near these points:',
        _noise(of_rates[0]),
        *_unmeasured(of_rates[0]),
    ]
    return '\n'.join(lines)


def cell(row: Mapping[Any, Any], end: str = '') -> str:
    """B* in words: ≥ where it is a lower bound, < the next one tried where there is only that."""
    value, bound, upper = (row[f'{column}{end}'] for column in ('critical', 'bound', 'upper'))
    if np.isnan(value):
        return '–'
    if bound == 'at most':
        return f'< {upper:,.0f}'
    return f'{"≥ " if bound == "at least" else "? " if bound else ""}{value:,.0f}'


def _between(row: Mapping[Any, Any], low: str, high: str) -> str:
    return '–' if np.isnan(row[low]) else f'{row[low]:,.0f} to {row[high]:,.0f}'


def _table(sizes: CriticalBatchSizes) -> str:
    rows = sizes.seeds.to_dict('records')
    columns = sizes.seeds[[*sizes.by, 'epoch', 'examples', 'control', 'scatter', 'tolerance']]
    columns = columns.rename(columns={'control': 'loss at k = 1'})
    columns['n'] = [f'{row["n"]} of {row["runs"]}' for row in rows]
    columns['B*'] = [cell(row) for row in rows]
    columns['range'] = [_between(row, 'lowest', 'highest') for row in rows]
    for name, end in (('½', 'half'), ('2', 'double'), ('asked', 'asked')):
        columns[name] = [cell(row, f'_{end}') for row in rows]
    columns['B*/B_simple'] = sizes.seeds['critical'] / sizes.seeds['noise_scale']
    return columns.to_string(index=False, float_format='{:,.4g}'.format, na_rep='–')


def _factors(sizes: CriticalBatchSizes) -> list[str]:
    """The rates that were chosen, over the parents', where they were."""
    if sizes.rate != rates.TUNED:
        return []
    medians = sizes.losses.groupby([*sizes.by, 'epoch', 'k'], dropna=False)['factor'].median().unstack('k')
    medians.columns = [f'k = {k:g}' for k in medians.columns]
    table = medians.reset_index().to_string(index=False, float_format='{:,.4g}'.format, na_rep='–')
    return ['the rate over that of the run, median over seeds:', table]


def _noise(sizes: CriticalBatchSizes) -> str:
    rows, columns = sizes.seeds.to_dict('records'), sizes.seeds[[*sizes.by, 'epoch', 'examples']].copy()
    for column, name in NAMES.items():
        columns[name] = sizes.seeds[column]
        columns[f'range of {name}'] = [_between(row, f'{column}_lowest', f'{column}_highest') for row in rows]
    return columns.to_string(index=False, float_format='{:,.4g}'.format, na_rep='–')


def remarks(sizes: CriticalBatchSizes) -> list[str]:
    """What keeps a table from being read plainly; one sentence each."""
    points, sentences = sizes.points, []
    whats = {'unfinished': 'are not finished: their points have no B*', 'diverged': 'diverged: they fail'}
    for name, what in whats.items():
        if points[name].sum():
            sentences.append(f'{points[name].sum()} of {points["branches"].sum()} branches {what}')
    if points['gap'].any():
        sentences.append(f'at {points["gap"].sum()} of {len(points)} points of a run a batch smaller than B* fails')
    if points['edges'].any():
        sentences.append(
            f'of {points["edges"].sum()} of {points["branches"].sum()} the best rate is the smallest or largest tried: '
            'their losses could be lower; try more, config.branch.factors'
        )
    if points['alone'].any():
        sentences.append(
            'one seed: each rate was chosen by the loss that it is judged by, which is too low by chance; give '
            '--config.sweep.seed=0,1,2'
        )
    if points['scatter'].isna().any():
        untold = f'{points["scatter"].isna().sum()} of {len(points)}'
        sentences.append(f'at {untold} points of a run scatter was not measured, which takes two seeds')
    return sentences


def _unmeasured(sizes: CriticalBatchSizes) -> list[str]:
    sentences = []
    for column, name in NAMES.items():
        missing = sizes.points[f'{column}_measurements'] == 0
        if missing.any():
            sentences.append(
                f'{name} was not measured near {missing.sum()} of {len(missing)} points of a run; ask for it there: '
                f'config.measure.{column}.at_epochs'
            )
    return sentences
