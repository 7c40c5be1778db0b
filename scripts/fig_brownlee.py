"""Brownlee's study (config.study=brownlee): flavours of gradient descent, the panel of batch sizes, volatility.

    bsresearch fig brownlee --workdir=runs/brownlee [--last=50] [--threshold=0.8] [--out=<directory>]

  fig_brownlee_flavours     accuracy against epochs of batch, stochastic (two learning rates) and mini-batch descent
  fig_brownlee_panel        accuracy against epochs of every mini-batch size at one learning rate
  fig_brownlee_volatility   standard deviation of the test accuracy over the last epochs, and epochs to the threshold,
                            against batch size

Thin lines are single runs, of the smallest seed; a mean over seeds hides how a run jumps. Reads records only. Writes
.pdf, .png and .csv (the plotted numbers) into <workdir>/figures. Time: seconds.
"""

import pathlib

import numpy as np
import pandas as pd
from absl import flags

from bsresearch.analysis import arms, brownlee, command, held_fixed, summary, unreached
from bsresearch.analysis.brownlee import Arm, Roles
from bsresearch.analysis.quantities import volatility
from bsresearch.report import figures, plotting

COLORS: dict[str, plotting.Color] = dict(zip(('train', 'test'), plotting.distinct(2), strict=True))
BEGIN = 10.0  # epochs from which on all points are within the axes
METRICS = {split: f'{split}_accuracy' for split in COLORS}


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_float('last', None, 'epochs at the end whose volatility is shown; default: a quarter of the run')
    flags.DEFINE_float('threshold', brownlee.THRESHOLD, 'test accuracy that epochs are counted to')
    flags.DEFINE_string('out', None, 'directory of the figures; default: <workdir>/figures')


def draw(
    workdir: pathlib.Path, out: pathlib.Path, last: float | None = None, threshold: float = brownlee.THRESHOLD
) -> list[pathlib.Path]:
    """Draws the figures; returns their paths.

    Raises:
      FileNotFoundError: no runs of the study.
      ValueError: they vary in more than batch size, learning rate and seeds, or were not evaluated; as
        `volatility.of_runs`.
    """
    loaded = brownlee.load(workdir)
    runs = volatility.of_runs(loaded, METRICS['test'], threshold, last)
    missing = [m for m in METRICS.values() if m not in loaded.rows or not loaded.rows[m].notna().any()]
    if missing:
        raise unreached.lacking(loaded, 'evaluate', missing, workdir)
    roles = brownlee.roles(loaded.runs)
    panel = {f'B = {size}': (size, roles.rate) for size in _mini_batches(roles)}
    return figures.each(
        lambda: _courses(loaded, roles.flavours(), out, 'fig_brownlee_flavours'),
        lambda: _courses(loaded, panel, out, 'fig_brownlee_panel'),
        lambda: _volatility(loaded, runs, roles, (threshold, last), out),
    )


def _mini_batches(roles: Roles) -> list[int]:
    """The panel without the full batch, which is a flavour."""
    return [size for size in roles.panel if not roles.full or size < roles.full[0]]


def _held(loaded: arms.Arms, shown: list[Arm]) -> list[str]:
    """What was held fixed over some arms."""
    runs, rows = (pd.concat([brownlee.of_arm(table, arm) for arm in shown]) for table in (loaded.runs, loaded.rows))
    return held_fixed.describe(loaded._replace(runs=runs, rows=rows, panels=[]))


def _courses(loaded: arms.Arms, shown: dict[str, Arm], out: pathlib.Path, slug: str) -> list[pathlib.Path]:
    """A panel per arm, two in a row: one run thin, the mean over seeds with its interval."""
    if not shown:
        return []
    table = []
    notes = [*_held(loaded, list(shown.values())), 'thin: one run, of the smallest seed']
    with plotting.figure(-(-len(shown) // 2), min(2, len(shown)), notes) as (fig, axes):
        panels = [ax for row in axes for ax in row]
        for ax in panels[len(shown) :]:
            ax.set_visible(False)
        for (name, arm), ax in zip(shown.items(), panels[: len(shown)], strict=True):
            flavour = (
                f': B = {arm[0]}, learning rate {arm[1]:g}' if len({rate for _, rate in shown.values()}) > 1 else ''
            )
            ax.set_title(name + flavour)
            table.append(_course(ax, loaded, arm).assign(panel=name))
        points = pd.concat(table, ignore_index=True)
        # The start, at chance, would leave little room for what is compared.
        drawn = points.assign(mean=points['mean'].fillna(points['value']))
        late = drawn[drawn['epoch'] >= min(BEGIN, drawn['epoch'].max())]
        for ax, *rest in axes:
            plotting.y_axis(ax, 'accuracy', late, 'linear', (0.0, 1.0))
            for other in rest:
                other.set_ylim(ax.get_ylim())
        for ax in axes[-1]:
            plotting.x_axis(ax, 'epochs')
        plotting.list_below(fig, COLORS)
        return plotting.save(fig, points, out, slug)


def _course(ax: plotting.Axes, loaded: arms.Arms, arm: Arm) -> pd.DataFrame:
    """One arm's lines; what was drawn: means of `summary.over_seeds`, and rows with `run` and its `value`."""
    rows, mine = (brownlee.of_arm(table, arm) for table in (loaded.rows, loaded.runs))
    single = mine.sort_values('seed')['run'].iloc[0]
    found = []
    for split, metric in METRICS.items():
        mean = summary.over_seeds(rows, 'epoch', metric, ['batch_size', 'learning_rate'])
        one = rows[(rows['run'] == single) & rows[metric].notna()].sort_values('epoch')
        ax.plot(one['epoch'], one[metric], color=COLORS[split], linewidth=0.4, alpha=0.8)
        plotting.line(ax, mean, 'epoch', COLORS[split])
        plotting.mark_divergence(ax, mean, 'epoch', int((mine['status'] == 'diverged').sum()), COLORS[split])
        columns = ['run', 'batch_size', 'learning_rate', 'epoch', 'value']
        found += [mean, one.assign(value=one[metric])[columns].assign(metric=metric)]
    return pd.concat(found, ignore_index=True)


def _volatility(
    loaded: arms.Arms, runs: pd.DataFrame, roles: Roles, asked: tuple[float, float | None], out: pathlib.Path
) -> list[pathlib.Path]:
    """Both scores against batch size, a colour per learning rate."""
    threshold, last = asked
    by = ['learning_rate', 'batch_size']
    table = volatility.over_seeds(runs, by)
    rates = sorted(runs['learning_rate'].unique(), key=lambda rate: (rate != roles.rate, -rate))
    colors = dict(zip(rates, plotting.distinct(len(rates)), strict=True))
    window = volatility.window(float(loaded.runs['total_epochs'].max()), last)
    gone = int((runs['outcome'] == 'diverged').sum())
    until = float(runs['until'].max())
    notes = [*_held(loaded, [(b, r) for r, b in runs[by].drop_duplicates().itertuples(index=False)])]
    notes += [f'volatility over the last {window:g} epochs', 'dots: single runs']
    notes += [f'{gone} of {len(runs)} runs diverged (no volatility)'] if gone else []
    notes += [f'triangle: not reached in {until:g} epochs'] if np.isinf(runs['epochs_to']).any() else []
    with plotting.figure(1, 2, notes, height=2.4) as (fig, [[left, right]]):
        _score_axis(left, 'standard deviation of test accuracy', runs['volatility'])
        _score_axis(right, f'epochs to a test accuracy of {threshold:g}', runs['epochs_to'].clip(upper=1.3 * until))
        for rate, color in colors.items():
            _scores(left, runs, table, 'volatility', rate, color, None)
            _scores(right, runs, table, 'epochs_to', rate, color, until)
        for ax in (left, right):
            plotting.batch_axis(ax, runs['batch_size'].to_numpy(), False)
            ax.set_xlabel('batch size B')
        named = {f'learning rate {rate:g}': color for rate, color in colors.items()}
        plotting.list_below(fig, named)
        long = runs.melt([*by, 'run', 'outcome'], ['volatility', 'epochs_to'], 'quantity', 'value')
        return plotting.save(fig, pd.concat([table, long], ignore_index=True), out, 'fig_brownlee_volatility')


def _score_axis(ax: plotting.Axes, label: str, values: pd.Series) -> None:
    """Logarithmic where every value can be."""
    known = values.dropna()
    scale = 'log' if len(known) and (known > 0).all() else 'linear'
    plotting.y_axis(ax, label, pd.DataFrame({'mean': known}), scale, None)


def _scores(
    ax: plotting.Axes,
    runs: pd.DataFrame,
    table: pd.DataFrame,
    quantity: str,
    rate: float,
    color: plotting.Color,
    until: float | None,
) -> None:
    """Of one learning rate: dots per run, means with intervals; censored runs as triangles at their length `until`."""
    own = runs[runs['learning_rate'] == rate]
    ended = own[np.isfinite(own[quantity])]
    ax.plot(ended['batch_size'], ended[quantity], color=color, marker='.', markersize=3, linestyle='none', alpha=0.6)
    mean = table[(table['learning_rate'] == rate) & (table['quantity'] == quantity)]
    half = (mean['high'] - mean['mean']).fillna(0.0)
    ax.errorbar(mean['batch_size'], mean['mean'], half, color=color, marker='o', markersize=3, capsize=1.5)
    never = own[np.isinf(own[quantity])]
    if until is None:
        return
    for size, count in never.groupby('batch_size').size().items():
        ax.plot([size], [until], color=color, marker='^', linestyle='none')
        of = f'{count} of {(own["batch_size"] == size).sum()}'
        ax.annotate(of, (size, until), (5, 0), textcoords='offset points', va='center', fontsize=6.5)


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    directory = pathlib.Path(out) if out else workdir / 'figures'
    for file in draw(workdir, directory, flags.FLAGS.last, flags.FLAGS.threshold):
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_brownlee', main)
