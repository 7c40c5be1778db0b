"""LR range tests: loss and accuracy against the learning rate, a line per run, with what each rule suggests.

A colour per batch size; what varies beside it has a column of panels per value. The loss of each update is faint, its
smoothed form (fastai's) solid; accuracy is of the validation set, else of the test set. A suggestion whose learning
rate was not tested has no mark.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels, cells
from bsresearch.analysis.figures import Figure, options
from bsresearch.analysis.quantities import lr_range
from bsresearch.analysis.quantities.lr_range import RangeTest
from bsresearch.analysis.quantity import LOSS, PERCENT
from bsresearch.analysis.study import Study
from bsresearch.report import colours, plotting
from bsresearch.report.colours import Look
from bsresearch.report.figures import panels

OPTIONS: dict[str, Any] = {}
LOSS_MARKS = {'valley': 'o', 'slide': '^', 'minimum': 's', 'steep': 'v'}
ACCURACY_MARKS = {'smith_base': '>', 'smith_slows': 'd', 'smith_max': '<'}
NAMES = {'minimum': 'minimum/10', 'smith_base': 'base (Smith)', 'smith_slows': 'slows', 'smith_max': 'max (Smith)'}


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws it.

    Raises:
      ValueError: no run has records, or one is no range test.
    """
    options(figure, OPTIONS)
    tests, titles = lr_range.load(study), cells.labels(study, ['batch_size'])
    size_of = {test.run: int(cells.value(study, test.cell, 'batch_size')) for test in tests}
    columns: dict[str, list[RangeTest]] = {}
    for test in tests:
        columns.setdefault(titles[test.cell], []).append(test)
    log = all(lr_range.exponential(test.points['learning_rate'].to_numpy()) for test in tests)
    looks = {size: Look(colour, '-', '') for size, colour in colours.of_values(study, 'batch_size').items()}
    rows = 1 + any(test.suggestions.accuracy for test in tests)
    with panels.grid(rows * len(columns), len(columns), _notes(study, tests, log), figure.title) as (fig, axes):
        for place, (title, part) in enumerate(columns.items()):
            stack = axes[place :: len(columns)]
            stack[0].set_title(title if len(columns) > 1 else '')
            stack[-1].set_xlabel('learning rate')
            for ax in stack:
                ax.set_xscale('log' if log else 'linear')
            panels.limits(stack[0], LOSS, _losses(tests), log=True)
            panels.limits(stack[-1], PERCENT, _accuracies(tests)) if rows > 1 else None
            for test in part:
                _loss(stack[0], study, test, looks[size_of[test.run]], log)
                if rows > 1:
                    _accuracy(stack[1], test, looks[size_of[test.run]])
        for ax, label in zip(axes[:: len(columns)], ('loss', 'accuracy (%)'), strict=False):
            ax.set_ylabel(label)
        marks = {NAMES.get(k, k): m for k, m in (LOSS_MARKS | (ACCURACY_MARKS if rows > 1 else {})).items()}
        panels.legend(fig, [panels.handle(look, f'B = {size:,}') for size, look in looks.items()],
                      marks | ({'diverged': 'x'} if _diverged(study, tests) else {}))  # fmt: skip
        return plotting.save(fig, _numbers(study, tests), out, figure.name)


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
    return pd.concat(values).to_numpy(float)


def _diverged(study: Study, tests: Sequence[RangeTest]) -> int:
    return sum(study.status(test.run) == 'diverged' for test in tests)


def _notes(study: Study, tests: Sequence[RangeTest], log: bool) -> list[str]:
    """What was held fixed; the learning rate was not, and each line is one run."""
    rates = [test.points['learning_rate'] for test in tests]
    low, high = min(r.min() for r in rates), max(r.max() for r in rates)
    gone = _diverged(study, tests)
    ended = [f'{gone} of {len(tests)} runs diverged (×)'] if gone else []
    source = sorted({test.suggestions.accuracy.replace('_', ' ') for test in tests} - {''})
    growth = f'growing by a {"factor" if log else "summand"} per update'
    task = cells.described(study, list(dict.fromkeys(test.cell for test in tests)))
    return [f'learning rate {axis_labels.text(low)} to {axis_labels.text(high)}, {growth}', *task, *source,
            'a line per run', *ended]  # fmt: skip


def _loss(ax: plotting.Axes, study: Study, test: RangeTest, look: Look, log: bool) -> None:
    rates, smoothed = test.points['learning_rate'].to_numpy(), test.points['smoothed_loss'].to_numpy()
    for name, alpha, width in (('batch_loss', 0.35, 0.4), ('smoothed_loss', 1.0, 1.1)):
        values = test.points[name].to_numpy()
        kept = plotting.thin(np.log(rates) if log else rates, values)
        ax.plot(rates[kept], values[kept], color=look.colour, alpha=alpha, linewidth=width)
    if study.status(test.run) == 'diverged':
        last = np.flatnonzero(np.isfinite(smoothed))[-1:]
        # On the edge of the panel where the loss has left it.
        y = np.clip(smoothed[last], *ax.get_ylim())
        ax.plot(rates[last], y, color=look.colour, marker='x', linestyle='none', markeredgewidth=1.2, clip_on=False)
    _marks(ax, test, LOSS_MARKS, rates, smoothed, look)


def _accuracy(ax: plotting.Axes, test: RangeTest, look: Look) -> None:
    if test.suggestions.accuracy:
        known = test.evaluated[['learning_rate', test.suggestions.accuracy]].dropna()
        rates, accuracy = known.to_numpy(float).T
        shown = panels.shown(PERCENT, accuracy)
        ax.plot(rates, shown, color=look.colour)
        _marks(ax, test, ACCURACY_MARKS, rates, shown, look)


def _marks(
    ax: plotting.Axes, test: RangeTest, marks: Mapping[str, str], rates: np.ndarray, values: np.ndarray, look: Look
) -> None:
    for name, marker in marks.items():
        rate = getattr(test.suggestions, name)
        if rate is not None and rates[0] <= rate <= rates[-1]:
            y = np.interp(rate, rates, values)
            edge = {'markeredgecolor': '0.15', 'markeredgewidth': 0.6}
            ax.plot(rate, y, color=look.colour, marker=marker, linestyle='none', **edge)


def _numbers(study: Study, tests: Sequence[RangeTest]) -> pd.DataFrame:
    """Every update and every evaluation of every run."""
    tables = []
    for test in tests:
        evaluated = test.evaluated.drop(columns='learning_rate')
        together = test.points.merge(evaluated, on='step', how='outer').merge(
            test.evaluated[['step', 'learning_rate']], on='step', how='left', suffixes=('', '_there')
        )
        together['learning_rate'] = together['learning_rate'].fillna(together.pop('learning_rate_there'))
        names = {'run': test.run} | cells.fields(study, test.cell) | {'replicate': test.replicate}
        tables.append(pd.DataFrame(names, index=together.index).join(together))
    return pd.concat(tables, ignore_index=True)
