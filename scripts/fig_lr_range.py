"""LR range tests: loss and accuracy against the learning rate, a colour per batch size, with the suggested bounds.

    bsresearch fig lr_range --workdir=runs/range [--out=<directory>]

Reads records only. Fields other than the batch size that vary (a weight decay) get a column of panels per value. The
loss of each update is faint, its smoothed form (fastai's) solid; accuracy is of the validation set, else of the test
set. A suggestion whose learning rate was not tested has no mark. Prints the table of suggestions; writes lr_range.pdf,
.png and .csv (the plotted numbers) into <workdir>/figures. Time: seconds.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from absl import flags

from bsresearch.analysis import arms, command, held_fixed
from bsresearch.analysis.quantities import lr_range
from bsresearch.report import plotting

LOSS_MARKS = {'valley': 'o', 'slide': '^', 'minimum': 's', 'steep': 'v'}
ACCURACY_MARKS = {'smith_base': '>', 'smith_slows': 'd', 'smith_max': '<'}
NAMES = {'minimum': 'minimum/10', 'smith_base': 'base (Smith)', 'smith_slows': 'slows', 'smith_max': 'max (Smith)'}


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'directory of the figure; default: <workdir>/figures')


def draw(workdir: pathlib.Path, out: pathlib.Path) -> tuple[list[pathlib.Path], pd.DataFrame]:
    """Draws the figure; returns its paths and `lr_range.table`.

    Raises:
      FileNotFoundError: no range tests. ValueError: none has records.
    """
    loaded = arms.load(workdir, lr_range.STUDY)
    runs = lr_range.load(workdir, loaded)
    columns = _columns(loaded, runs)
    accuracy = any(r.suggestions.accuracy for r in runs)
    log = all(lr_range.exponential(r.points['learning_rate'].to_numpy()) for r in runs)
    colors = plotting.palette([r.fields['batch_size'] for r in runs])
    with plotting.figure(1 + accuracy, len(columns), _notes(loaded, runs, log)) as (fig, axes):
        plotting.y_axis(axes[0][0], 'loss', _losses(runs), 'log', None)
        if accuracy:
            plotting.y_axis(axes[1][0], 'accuracy', _accuracies(runs), 'linear', (0.0, 1.0))
        for (title, part), stack in zip(columns, zip(*axes, strict=True), strict=True):
            stack[0].set_title(title)
            stack[-1].set_xlabel('learning rate')
            for ax in stack:
                ax.set_xscale('log' if log else 'linear')
            for run in part:
                color = colors[run.fields['batch_size']]
                _loss(stack[0], run, color, log)
                if accuracy:
                    _accuracy(stack[1], run, color)
        marks = LOSS_MARKS | (ACCURACY_MARKS if accuracy else {})
        plotting.legends(
            fig, axes[-1], colors, {}, [[] for _ in columns], {NAMES.get(k, k): m for k, m in marks.items()}
        )
        files = plotting.save(fig, _numbers(loaded, runs), out, 'lr_range')
    return files, lr_range.table(workdir)


def _columns(loaded: arms.Arms, runs: Sequence[lr_range.RangeTest]) -> list[tuple[str, list[lr_range.RangeTest]]]:
    ids = [(title, set(rows['run'])) for title, rows in held_fixed.panels(loaded)]
    columns = [(title, [r for r in runs if r.fields['run'] in of_column]) for title, of_column in ids]
    return [(title, part) for title, part in columns if part]


def _losses(runs: Sequence[lr_range.RangeTest]) -> pd.DataFrame:
    """What the loss axis has to hold: smoothed losses up to where they blow up, single ones only below that."""
    shown = pd.concat([r.points[: lr_range.cut(r.points['smoothed_loss'].to_numpy())] for r in runs])
    smoothed = shown['smoothed_loss']
    return pd.DataFrame({'mean': pd.concat([smoothed, shown['batch_loss'].clip(upper=smoothed.max())])})


def _accuracies(runs: Sequence[lr_range.RangeTest]) -> pd.DataFrame:
    values = [r.evaluated[r.suggestions.accuracy] for r in runs if r.suggestions.accuracy]
    return pd.DataFrame({'mean': pd.concat(values).astype(float)})


def _notes(loaded: arms.Arms, runs: Sequence[lr_range.RangeTest], log: bool) -> list[str]:
    """What was held fixed; the learning rate was not, and each line is one run."""
    rates = [r.points['learning_rate'] for r in runs]
    low, high = min(r.min() for r in rates), max(r.max() for r in rates)
    kept = [p for p in held_fixed.describe(loaded) if 'learning rate' not in p and 'interval' not in p]
    growth = 'by a factor' if log else 'by a summand'
    diverged = sum(r.fields['status'] == 'diverged' for r in runs)
    ended = [f'{diverged} of {len(runs)} runs diverged (×)'] if diverged else []
    source = sorted({r.suggestions.accuracy.replace('_', ' ') for r in runs} - {''})
    return [
        f'learning rate {low:.3g} to {high:.3g}, growing {growth} per update',
        *kept,
        *source,
        'a line per run',
        *ended,
    ]


def _loss(ax: plotting.Axes, run: lr_range.RangeTest, color: plotting.Color, log: bool) -> None:
    points = run.points
    rates, smoothed = points['learning_rate'].to_numpy(), points['smoothed_loss'].to_numpy()
    for name, alpha, width in (('batch_loss', 0.35, 0.4), ('smoothed_loss', 1.0, 1.1)):
        values = points[name].to_numpy()
        kept = plotting.thin(np.log(rates) if log else rates, values)
        ax.plot(rates[kept], values[kept], color=color, alpha=alpha, linewidth=width)
    if run.fields['status'] == 'diverged':
        last = np.flatnonzero(np.isfinite(smoothed))[-1:]
        # On the edge of the panel where the loss has left it.
        y = np.clip(smoothed[last], *ax.get_ylim())
        ax.plot(rates[last], y, color=color, marker='x', linestyle='none', markeredgewidth=1.2, clip_on=False)
    _marks(ax, run, LOSS_MARKS, rates, smoothed, color)


def _accuracy(ax: plotting.Axes, run: lr_range.RangeTest, color: plotting.Color) -> None:
    if run.suggestions.accuracy:
        known = run.evaluated[['learning_rate', run.suggestions.accuracy]].dropna()
        rates, accuracy = known.to_numpy(float).T
        ax.plot(rates, accuracy, color=color)
        _marks(ax, run, ACCURACY_MARKS, rates, accuracy, color)


def _marks(
    ax: plotting.Axes,
    run: lr_range.RangeTest,
    marks: dict[str, str],
    rates: np.ndarray,
    values: np.ndarray,
    color: plotting.Color,
) -> None:
    for name, marker in marks.items():
        rate = getattr(run.suggestions, name)
        if rate is not None and rates[0] <= rate <= rates[-1]:
            y = np.interp(rate, rates, values)
            ax.plot(rate, y, color=color, marker=marker, linestyle='none', markeredgecolor='0.15', markeredgewidth=0.6)


def _numbers(loaded: arms.Arms, runs: Sequence[lr_range.RangeTest]) -> pd.DataFrame:
    """Every update and every evaluation of every run."""
    tables = []
    for run in runs:
        evaluated = run.evaluated.drop(columns='learning_rate')
        together = run.points.merge(evaluated, on='step', how='outer').merge(
            run.evaluated[['step', 'learning_rate']], on='step', how='left', suffixes=('', '_there')
        )
        together['learning_rate'] = together['learning_rate'].fillna(together.pop('learning_rate_there'))
        for place, field in enumerate(['run', *loaded.by]):
            if field != 'learning_rate':
                together.insert(min(place, together.shape[1]), field, [run.fields[field]] * len(together))
        tables.append(together)
    return pd.concat(tables, ignore_index=True)


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    files, table = draw(workdir, pathlib.Path(out) if out else workdir / 'figures')
    print(f'suggested learning rates; edge: rules whose answer hangs on the tested range:\n{lr_range.text(table)}')
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_lr_range', main)
