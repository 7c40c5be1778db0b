"""LR range tests: loss and accuracy against the learning rate, a line per run, with what each rule suggests.

A colour per batch size; what varies beside it has a column of panels per value. The loss of each update is faint, its
smoothed form (fastai's) solid; accuracy is of the validation set, else of the test set. A suggestion whose learning
rate was not tested has no mark.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels, cells
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantities import lr_range
from bsresearch.analysis.quantities.lr_range import RangeTest
from bsresearch.analysis.quantity import LOSS, PERCENT
from bsresearch.analysis.study import Study
from bsresearch.report import colours
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels, scales
from bsresearch.report.figures.panels import Sheet
from bsresearch.report.plotting import Axes

OPTIONS: dict[str, Any] = {}
LOSS_MARKS = {'valley': 'o', 'slide': '^', 'minimum': 's', 'steep': 'v'}
ACCURACY_MARKS = {'smith_base': '>', 'smith_slows': 'd', 'smith_max': '<'}
NAMES = {'minimum': 'minimum/10', 'smith_base': 'base (Smith)', 'smith_slows': 'slows', 'smith_max': 'max (Smith)'}


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it."""
    tests, titles = lr_range.load(study), cells.labels(study, ['batch_size'])
    columns: dict[str, list[RangeTest]] = {}
    for test in tests:
        columns.setdefault(titles[test.cell], []).append(test)
    log = all(lr_range.exponential(test.points['learning_rate'].to_numpy()) for test in tests)
    looks = {size: Look(colour) for size, colour in colours.of_values(study, 'batch_size').items()}
    marks, keys = LOSS_MARKS, list(dict.fromkeys(test.cell for test in tests))
    panel_rows = [('loss', LOSS, _losses(tests))]
    if any(test.suggestions.accuracy for test in tests):
        marks = LOSS_MARKS | ACCURACY_MARKS
        panel_rows.append(('accuracy (%)', PERCENT, _accuracies(tests)))
    phrases = [figure.title, *_notes(study, keys, tests, log)]
    fig, axes = panels.grid(len(panel_rows) * len(columns), len(columns), phrases)
    for place, (title, part) in enumerate(columns.items()):
        stack = axes[place :: len(columns)]
        stack[0].set_title(title if len(columns) > 1 else '')
        for ax, (label, unit, values) in zip(stack, panel_rows, strict=True):
            ax.set_xscale('log' if log else 'linear')
            scales.limits(ax, unit, values, log=unit == LOSS)
            ax.set_xlabel('learning rate')
            ax.set_ylabel(label)
        for test in part:
            look = looks[int(cells.value(study, test.cell, 'batch_size'))]
            _loss(stack[0], study, test, look, log)
            if test.suggestions.accuracy:
                _accuracy(stack[1], test, look)
    remarks = {NAMES.get(rule, rule): marker for rule, marker in marks.items()}
    remarks |= panels.lost(study, keys, cells.labels(study))
    panels.legend(fig, {f'B = {size:,}': look for size, look in looks.items()}, remarks)
    return Sheet(fig, _numbers(study, tests))


def text(study: Study) -> str:
    """What each rule suggests for each run."""
    table = lr_range.text(lr_range.table(study))
    return f'suggested learning rates; edge: rules whose answer hangs on the tested range:\n{table}'


def _losses(tests: Sequence[RangeTest]) -> np.ndarray:
    """What the loss axis has to hold: smoothed losses up to where they blow up, single ones only below that."""
    before_blow_up = pd.concat([t.points[: lr_range.cut(t.points['smoothed_loss'].to_numpy())] for t in tests])
    smoothed = before_blow_up['smoothed_loss']
    return np.concatenate([smoothed, before_blow_up['batch_loss'].clip(upper=smoothed.max())]).astype(float)


def _accuracies(tests: Sequence[RangeTest]) -> np.ndarray:
    values = [t.evaluated[t.suggestions.accuracy] for t in tests if t.suggestions.accuracy]
    return PERCENT.scaled(pd.concat(values))


def _notes(study: Study, keys: Sequence[cells.Key], tests: Sequence[RangeTest], log: bool) -> list[str]:
    """What was held fixed; the learning rate was not, and each line is one run."""
    rates = [test.points['learning_rate'] for test in tests]
    low, high = min(r.min() for r in rates), max(r.max() for r in rates)
    source = sorted({test.suggestions.accuracy.replace('_', ' ') for test in tests} - {''})
    growth = f'growing by a {"factor" if log else "summand"} per update'
    return [f'learning rate {axis_labels.text(low)} to {axis_labels.text(high)}, {growth}',
            *cells.described(study, keys), *source, 'a line per run']  # fmt: skip


def _loss(ax: Axes, study: Study, test: RangeTest, look: Look, log: bool) -> None:
    rates, smoothed = test.points['learning_rate'].to_numpy(), test.points['smoothed_loss'].to_numpy()
    for name, alpha, width in (('batch_loss', 0.35, 0.4), ('smoothed_loss', 1.0, 1.1)):
        values = test.points[name].to_numpy()
        kept = panels.thin(np.log(rates) if log else rates, values)
        panels.line(ax, rates[kept], values[kept], look, alpha=alpha, linewidth=width)
    if study.status(test.run) == 'diverged':
        last = np.flatnonzero(np.isfinite(smoothed))[-1:]
        # On the edge of the panel where the loss has left it.
        panels.crosses(ax, rates[last], np.clip(smoothed[last], *ax.get_ylim()), look, clip_on=False)
    _marks(ax, test, LOSS_MARKS, rates, smoothed, look)


def _accuracy(ax: Axes, test: RangeTest, look: Look) -> None:
    rates, accuracy = test.evaluated[['learning_rate', test.suggestions.accuracy]].dropna().to_numpy(float).T
    accuracy = PERCENT.scaled(accuracy)
    panels.line(ax, rates, accuracy, look)
    _marks(ax, test, ACCURACY_MARKS, rates, accuracy, look)


def _marks(
    ax: Axes, test: RangeTest, marks: Mapping[str, str], rates: np.ndarray, values: np.ndarray, look: Look
) -> None:
    for name, marker in marks.items():
        rate = getattr(test.suggestions, name)
        if rate is not None and rates[0] <= rate <= rates[-1]:
            y = np.interp(rate, rates, values)
            mark = look.point._replace(marker=marker)
            panels.line(ax, rate, y, mark, markeredgecolor='0.15', markeredgewidth=0.6)


def _numbers(study: Study, tests: Sequence[RangeTest]) -> pd.DataFrame:
    """Every update and every evaluation of every run."""
    tables = []
    for test in tests:
        evaluated = test.evaluated.rename(columns={'learning_rate': 'learning_rate_there'})
        table = test.points.merge(evaluated, on='step', how='outer')
        table['learning_rate'] = table['learning_rate'].fillna(table.pop('learning_rate_there'))
        names = {'run': test.run} | cells.fields(study, test.cell) | {'replicate': test.replicate}
        tables.append(cells.behind(names, table))
    return pd.concat(tables, ignore_index=True)
