"""Loss of the noisy quadratic model: mean ± standard error of the runs on the line that the recurrence predicts.

    bsresearch fig noisy_quadratic --workdir=runs/noisy_quadratic [--out=<directory>]

A colour per batch size, a column per learning rate and momentum; line: expectation over draws from the population
(theory/noisy_quadratic.py), points: runs, dotted: its limit t → ∞. For constant learning rate and momentum, and runs
of at most one epoch with a set of their own. Prints the deviations in standard errors. Reads records only. Writes
fig_noisy_quadratic.pdf, .png and .csv (the plotted numbers) into <workdir>/figures. Time: seconds.
"""

import pathlib
from typing import Any

import numpy as np
import pandas as pd
from absl import flags

from bsresearch.analysis import command
from bsresearch.analysis.quantities import noisy_quadratic
from bsresearch.report import plotting
from bsresearch.store import records

BY = ['learning_rate', 'momentum', 'batch_size']


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'directory of the figure; default: <workdir>/figures')


def compare(workdir: pathlib.Path) -> pd.DataFrame:
    """One row per arm and evaluated update: n, mean, standard error, expected, limit, deviation in standard errors.

    Raises:
      FileNotFoundError: no runs. ValueError: runs of another model, a schedule, or of more than an epoch.
    """
    runs = records.runs(workdir)
    _check(runs)
    losses = records.load(workdir)[['run', 'step', 'test_loss']].dropna()
    losses = losses.merge(runs[['run', *BY]], on='run')
    table = losses.groupby([*BY, 'step'])['test_loss'].agg(n='count', mean='mean', standard_error='sem').reset_index()
    curves = {
        tuple(run[b] for b in BY): noisy_quadratic.predicted(run) for run in runs.drop_duplicates(BY).to_dict('records')
    }
    arms = list(zip(*(table[b] for b in BY), strict=True))
    table['expected'] = [curves[arm][0][step] for arm, step in zip(arms, table['step'], strict=True)]
    table['limit'] = [curves[arm][1] for arm in arms]
    # At the start all runs are the same.
    known = table['standard_error'] > 0
    table['deviation'] = ((table['mean'] - table['expected']) / table['standard_error']).where(known)
    return table


def _check(runs: pd.DataFrame) -> None:
    # Each run has a set of its own; what else varies would be averaged over.
    known = {*BY, *records.ALWAYS, *records.SPLIT_SEEDS, 'data.random_state', 'total_examples'}
    if others := [c for c in records.varying(runs) if c not in known]:
        raise ValueError(f'the runs differ in {", ".join(others)} too; use a workdir of its own for each value')
    if (open_ := int((runs['status'] != 'done').sum())) > 0:
        raise ValueError(f'{open_} of {len(runs)} runs diverged or are not finished; the mean of the others is another')


def draw(workdir: pathlib.Path, out: pathlib.Path) -> tuple[list[pathlib.Path], pd.DataFrame]:
    """Draws the figure; returns its paths and the plotted table."""
    table = compare(workdir)
    colors = plotting.palette(table['batch_size'].tolist())
    arms: list[Any] = list(table[table['step'] > 0].groupby(BY[:2]))
    sets = table['n'].unique().tolist()
    notes = ['line: recurrence (no fit)', f'points: mean ± standard error of {sets[0]} runs', 'dotted: limit t → ∞']
    with plotting.figure(1, len(arms), notes) as (fig, [row]):
        for ax, ((rate, momentum), mine) in zip(row, arms, strict=True):
            ax.set_title(f'learning rate {rate:g}, momentum {momentum:g}')
            for size, color in colors.items():
                points = mine[mine['batch_size'] == size]
                ax.plot(points['step'], points['expected'], color=color)
                ax.errorbar(points['step'], points['mean'], points['standard_error'], color=color, linestyle='none',
                            marker='o', markersize=2.5, capsize=1.5, linewidth=0.7)  # fmt: skip
                ax.axhline(points['limit'].iloc[0], color=color, linestyle=':', linewidth=0.8)
            plotting.x_axis(ax, 'updates')
        row[0].set_yscale('log')
        row[0].set_ylabel('loss ½ Σ h θ²')
        plotting.legends(fig, row, colors, {}, [[] for _ in row])
        return plotting.save(fig, table, out, 'fig_noisy_quadratic'), table


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    files, table = draw(workdir, pathlib.Path(out) if out else workdir / 'figures')
    known = table['deviation'].dropna()
    print(f'{len(known)} points; deviations in standard errors: mean {known.mean():.2f}, root mean square '
          f'{np.sqrt((known**2).mean()):.2f}, largest {known.abs().max():.2f}')  # fmt: skip
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_noisy_quadratic', main)
