"""Schedules and batch-size schedules against each other, each at its best peak learning rate: mean and 95 % interval.

    bsresearch fig policies --workdir=runs/one_cycle [--out=<directory>]

Left column against epochs, right against updates (where the arms make different numbers of them): learning rate,
momentum and batch size as used, training loss, test accuracy. If several peaks were tried, the one of each policy is
chosen by the validation set, and fig_policies_peaks shows final accuracies against the peak. Reads records only. Writes
fig_policies.pdf, .png and .csv (the plotted numbers) into <workdir>/figures. Time: seconds.
"""

import pathlib
from typing import Literal

import pandas as pd
from absl import flags

from bsresearch.analysis import arms, command, policies, summary, unreached
from bsresearch.report import plotting

USED = {'learning_rate_used': 'learning rate', 'momentum_used': 'momentum', 'batch_size_used': 'batch size'}
MEASURED = {'train_loss': 'training loss', 'test_accuracy': 'test accuracy'}
# Accuracies worse than the best by more are off the axis of peaks.
NEAR = 0.06
X = {'epoch': 'epochs', 'step': 'updates made'}
Colors = dict[str, plotting.Color]


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'directory of the figures; default: <workdir>/figures')


def draw(workdir: pathlib.Path, out: pathlib.Path) -> tuple[list[pathlib.Path], str]:
    """Draws the figures; returns their paths and a report.

    Raises:
      FileNotFoundError: no runs.
      ValueError: nothing was evaluated, several peaks without a validation set, or more than schedules varies.
    """
    rows = policies.load(workdir)
    if 'train_loss' not in _measured(rows):
        raise unreached.lacking(arms.load(workdir), 'evaluate', ['train_loss'], workdir)
    # The arm with the most updates first: the others are compared with it.
    order = rows.groupby('policy')['step'].max().sort_index().sort_values(ascending=False, kind='stable').index
    colors = dict(zip(order, plotting.distinct(len(order)), strict=True))
    files, text = [], []
    chosen = rows
    if (rows.groupby('policy')['learning_rate'].nunique() > 1).any():
        if 'validation_accuracy' not in rows:
            raise ValueError(
                'several peak learning rates were tried but no validation set was held out to choose by '
                '(config.data.validation=0.1); the test set is not to be chosen by'
            )
        best = policies.best_peaks(rows, 'validation_accuracy')
        chosen = rows.merge(best[['policy', 'learning_rate']], on=['policy', 'learning_rate'])
        files += _peaks(rows, best, colors, out)
        text.append(f'peak learning rates, by validation accuracy:\n{_table(best)}')
    drawn = _courses(chosen, colors, out)
    metrics = [m for m in ('test_accuracy', 'test_loss', 'train_loss') if m in chosen]
    final = summary.final(chosen, metrics, ['policy', 'learning_rate'])
    columns = ['policy', 'learning_rate', 'metric', *summary.COUNTS, 'unfinished', *summary.VALUES]
    text.append(f'at the end:\n{_table(final[columns])}')
    text.append(_overlap(chosen, list(colors)))
    return files + drawn, '\n'.join(t for t in text if t)


def _table(frame: pd.DataFrame) -> str:
    return frame.to_string(index=False, float_format='{:.4g}'.format)


def _measured(rows: pd.DataFrame) -> list[str]:
    """What of MEASURED was: a regression has no accuracy."""
    return [m for m in MEASURED if m in rows and rows[m].notna().any()]


def _is_scheduled(rows: pd.DataFrame, name: str) -> bool:
    """Whether some run's value changes by its schedule; a batch that is short because an epoch ends is no change."""
    rows = rows[rows['grows']] if name == 'batch_size_used' else rows
    return rows[name].dropna().nunique() > 1


def _courses(rows: pd.DataFrame, colors: Colors, out: pathlib.Path) -> list[pathlib.Path]:
    """The columns of panels, a row each for what was used and what was measured."""
    used = [u for u in USED if u in rows and (u == 'learning_rate_used' or _is_scheduled(rows, u))]
    updates = rows.groupby('policy')['step'].max()
    positions = list(X) if updates.nunique() > 1 else ['epoch']
    table = []
    measured = _measured(rows)
    with plotting.figure(len(used) + len(measured), len(positions), _notes(rows)) as (fig, axes):
        for name, panels in zip([*used, *measured], axes, strict=True):
            panels[0].set_ylabel((USED | MEASURED)[name])
            for position, ax in zip(positions, panels, strict=True):
                if name in used:
                    plotting.held_axis(ax, rows[name].dropna().to_numpy(float), at_values=name == 'batch_size_used')
                points = summary.over_seeds(rows, position, name, ['policy'])
                if name in MEASURED and position == positions[0]:
                    plotting.y_axis(ax, MEASURED[name], points[points['epoch'] >= 1], _scale(name), None)
                for policy, color in colors.items():
                    mine = points[points['policy'] == policy]
                    if name in used:
                        ax.plot(mine[position], mine['mean'], drawstyle='steps-post', color=color)
                    else:
                        plotting.line(ax, mine, position, color)
                table.append(points.rename(columns={position: 'x'}).assign(axis=position))
        for position, ax in zip(positions, axes[-1], strict=True):
            plotting.x_axis(ax, X[position])
        fig.align_ylabels()
        plotting.list_below(fig, {f'{p} ({updates[p]:,} updates)': c for p, c in colors.items()})
        return plotting.save(fig, pd.concat(table, ignore_index=True), out, 'fig_policies')


def _scale(name: str) -> Literal['log', 'linear']:
    return 'log' if name.endswith('loss') else 'linear'


def _notes(rows: pd.DataFrame) -> list[str]:
    seeds = rows.groupby('policy')['run'].nunique()
    counts = '–'.join(str(n) for n in sorted({seeds.min(), seeds.max()}))
    sizes = ', '.join(f'{b:,}' for b in sorted(rows['batch_size'].unique()))
    epochs = rows.groupby('policy')['epoch'].max().round().unique()
    length = f'equal epochs ({epochs[0]:g})' if len(epochs) == 1 else 'unequal epochs'
    peaks = rows.groupby('policy')['learning_rate'].first().unique()
    peak = f'peak learning rate {peaks[0]:g}' if len(peaks) == 1 else 'each policy at its best peak (validation)'
    return [
        length,
        f'first batch size {sizes}',
        peak,
        f'mean and 95 % interval over n = {counts} seeds, on this test set',
    ]


def _peaks(rows: pd.DataFrame, best: pd.DataFrame, colors: Colors, out: pathlib.Path) -> list[pathlib.Path]:
    """Final accuracies against the peak; diverged runs are counted, not averaged."""
    final = summary.final(rows, ['test_accuracy', 'validation_accuracy'], ['policy', 'learning_rate'])
    test = final[final['metric'] == 'test_accuracy']
    with plotting.figure(1, 1, ['final test accuracy; filled: the peak chosen by validation accuracy']) as (
        fig,
        [[ax]],
    ):
        ax.set_xscale('log')
        plotting.y_axis(ax, 'test accuracy', test[test['mean'] > test['mean'].max() - NEAR], 'linear', (0.0, 1.0))
        for place, (policy, color) in enumerate(colors.items()):
            mine = test[test['policy'] == policy].sort_values('learning_rate')
            x = mine['learning_rate'] * 1.05 ** (place - (len(colors) - 1) / 2)  # side by side
            half = (mine['high'] - mine['mean']).to_numpy()
            taken = (mine['learning_rate'] == best.set_index('policy')['learning_rate'][policy]).to_numpy()
            ax.errorbar(x, mine['mean'], half, color=color, marker='o', markerfacecolor='white', capsize=2)
            ax.plot(x[taken], mine['mean'][taken], color=color, marker='o', linestyle='none', zorder=4)
        ax.set_xlabel('peak learning rate')
        diverged = test.groupby('policy')['diverged'].sum()
        named = {p: f'{p}{f" ({diverged[p]} runs diverged)" if diverged[p] else ""}' for p in colors}
        plotting.list_below(fig, {named[p]: c for p, c in colors.items()})
        return plotting.save(fig, final, out, 'fig_policies_peaks')


def _overlap(rows: pd.DataFrame, arms: list[str]) -> str:
    """How often the arms' curves against epochs cannot be told apart."""
    lines = []
    for metric in _measured(rows):
        found = policies.differences(rows, metric, arms)
        for arm, mine in found.groupby('policy', sort=False):
            largest = mine.loc[mine['difference'].abs().idxmax()]
            lines.append(
                f'{metric} of {arm!r} minus {arms[0]!r}: the 95 % interval covers 0 at {mine["covers"].sum()} of '
                f'{len(mine)} epochs (n = {_range(mine)} runs); largest difference '
                f'{largest["difference"]:+.4g} at epoch {largest["epoch"]:g}'
            )
    ends = rows.groupby('policy')['step'].max()
    lines.append('updates: ' + ', '.join(f'{a} {ends[a]:,} ({ends[a] / ends[arms[0]]:.3g})' for a in arms))
    return '\n'.join(lines)


def _range(differences: pd.DataFrame) -> str:
    counts = differences[['n', 'n_reference']]
    return ' to '.join(str(n) for n in sorted({counts.to_numpy().min(), counts.to_numpy().max()}))


def main() -> None:
    """Flags to values."""
    workdir = command.workdir()
    files, text = draw(workdir, command.out('figures'))
    print(text)
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_policies', main)
