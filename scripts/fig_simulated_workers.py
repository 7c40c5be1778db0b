"""Test accuracy and training loss at the end against the number of workers, a colour per rule of the learning rate.

    bsresearch fig simulated_workers --workdir=runs/workers [--out=<directory>]

Mean and 95 % interval over seeds. Workers are a batch's batch-norm groups; one worker, where no rule changes anything,
belongs to every rule. Prints how far each number of workers is from the fewest, with Welch's 95 % interval. Reads
records only. Writes fig_simulated_workers.pdf, .png and .csv (the plotted numbers). Time: seconds.
"""

import pathlib
from typing import Literal

import numpy as np
import pandas as pd
from absl import flags

from bsresearch.analysis import command, held_fixed
from bsresearch.analysis.quantities import simulated_workers
from bsresearch.report import plotting

Scale = Literal['linear', 'log']
PANELS: dict[str, tuple[str, Scale, tuple[float, float] | None]] = {
    simulated_workers.TEST: ('test accuracy', 'linear', (0.0, 1.0)),
    simulated_workers.TRAIN: ('training loss', 'log', None),
}
APART = 1.04  # between the arms at one number of workers


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'directory of the figure; default: <workdir>/figures')


def draw(workdir: pathlib.Path, out: pathlib.Path) -> tuple[list[pathlib.Path], str]:
    """Draws the figure; returns its paths and the numbers as text.

    Raises:
      FileNotFoundError, ValueError: as `simulated_workers.find`.
    """
    found = simulated_workers.find(workdir)
    final = found.final
    colors = dict(zip(sorted(final['arm'].unique()), plotting.distinct(final['arm'].nunique()), strict=True))
    shown = [metric for metric in PANELS if metric in set(final['metric'])]
    notes = [phrase.replace('of each column', 'of each colour') for phrase in held_fixed.describe(found.loaded)]
    with plotting.figure(1, len(shown), notes, height=plotting.PANEL_HEIGHT) as (fig, [axes]):
        for metric, ax in zip(shown, axes, strict=True):
            _panel(ax, final[final['metric'] == metric], metric, colors)
        lost = final[final['metric'] == shown[0]].groupby('arm')[['diverged', 'unfinished', 'runs']].sum()
        plotting.list_below(fig, {_named(str(arm), lost.loc[arm]): color for arm, color in colors.items()})
        files = plotting.save(fig, final, out, 'fig_simulated_workers')
    return files, _report(found)


def _panel(ax: plotting.Axes, ends: pd.DataFrame, metric: str, colors: dict[str, plotting.Color]) -> None:
    """One quantity at the end of training."""
    label, scale, within = PANELS[metric]
    plotting.y_axis(ax, label, ends, scale, within)
    plotting.batch_axis(ax, ends['workers'].to_numpy(), linear=False)
    ax.set_xlabel('workers')
    for place, (arm, color) in enumerate(colors.items()):
        mine = ends[(ends['arm'] == arm) & ends['mean'].notna()].sort_values('workers')
        x = mine['workers'] * APART ** (place - (len(colors) - 1) / 2)
        half = np.array([mine['mean'] - mine['low'], mine['high'] - mine['mean']])
        # One run has no interval; on a logarithmic axis none reaches below 0.
        most = 0.999 * mine['mean'].to_numpy() if scale == 'log' else np.inf
        half[0] = np.minimum(half[0], most)
        ax.errorbar(x, mine['mean'], np.nan_to_num(half), color=color, marker='o', capsize=2.0)


def _named(arm: str, lost: pd.Series) -> str:
    parts = [f'{lost[what]} of {lost["runs"]} runs {what}' for what in ('diverged', 'unfinished') if lost[what]]
    return f'{arm} ({", ".join(parts)})' if parts else arm


def _report(found: simulated_workers.SimulatedWorkers) -> str:
    table = lambda frame: frame.to_string(index=False, float_format='{:.4g}'.format)
    text = f'at the end:\n{table(found.final)}'
    if not len(found.differences):
        return f'{text}\nno differences: at least two finished runs are needed at two numbers of workers'
    return f'{text}\ntest accuracy, difference from the fewest workers, 95 % interval:\n{table(found.differences)}'


def main() -> None:
    """Flags to values."""
    workdir = command.workdir()
    files, text = draw(workdir, command.out('figures'))
    print(text)
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_simulated_workers', main)
