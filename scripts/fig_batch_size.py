"""Accuracy and loss in training, a colour per batch size: mean and 95 % interval over seeds. Train dashed, test solid.

    python -m scripts.fig_batch_size --workdir=runs/sweep [--x=epoch|updates|examples|seconds] [--out=<directory>]

Reads records only. Fields other than the batch size that vary (a learning rate) get a column of panels per value.
Writes batch_size.pdf, .png and .csv (the plotted numbers) into <workdir>/figures, or batch_size_<x>.* for another
axis than epochs. Time: seconds.
"""

import pathlib

import numpy as np
import pandas as pd
from absl import flags

from bsresearch import plotting
from bsresearch.analysis import arms, command, held_fixed, summary

Colors = dict[int, plotting.Color]

# Scale of the axis, and the range of possible values.
SCALES = {'accuracy': ('linear', (0.0, 1.0)), 'loss': ('log', None)}
STYLES = {'test': '-', 'train': '--'}
METRICS = tuple(f'{split}_{quantity}' for quantity in SCALES for split in STYLES)


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_enum('x', 'epoch', list(arms.POSITIONS), 'position on the x axis')
    flags.DEFINE_string('out', None, 'directory of the figure; default: <workdir>/figures')


def draw(workdir: pathlib.Path, x: str, out: pathlib.Path) -> tuple[list[pathlib.Path], pd.DataFrame]:
    """Draws the figure; returns its paths and the table of final values.

    Raises:
      FileNotFoundError: no runs.
      ValueError: nothing was evaluated.
    """
    loaded = arms.load(workdir)
    metrics = [m for m in METRICS if m in loaded.rows and loaded.rows[m].notna().any()]
    if not metrics:
        raise ValueError(f'the runs in {workdir} were recorded without evaluation: none has {", ".join(METRICS)}')
    column, x_label = arms.POSITIONS[x]
    points = pd.concat([summary.over_seeds(loaded.rows, column, m, loaded.by) for m in metrics], ignore_index=True)
    final = summary.final(loaded.rows, metrics, loaded.by)
    colors = plotting.palette(final['batch_size'].tolist())
    quantities = [q for q in SCALES if any(m.endswith(q) for m in metrics)]
    titles = held_fixed.titles(final.sort_values(loaded.panels) if loaded.panels else final, loaded.panels).unique()
    used = {split: style for split, style in STYLES.items() if any(m.startswith(split) for m in metrics)}
    with plotting.figure(len(quantities), len(titles), held_fixed.describe(loaded)) as (fig, axes):
        for ax, title in zip(axes[0], titles, strict=True):
            ax.set_title(title)
        for ax in axes[-1]:
            plotting.x_axis(ax, x_label)
        for row, quantity in zip(axes, quantities, strict=True):
            means = points.loc[points['metric'].str.endswith(quantity), 'mean']
            plotting.y_axis(row[0], quantity, means, *SCALES[quantity])
            for ax, title in zip(row, titles, strict=True):
                _panel(
                    ax,
                    *(t[held_fixed.titles(t, loaded.panels) == title] for t in (points, final)),
                    quantity,
                    column,
                    colors,
                )
        remarks = [_remarks(final[held_fixed.titles(final, loaded.panels) == title], colors) for title in titles]
        plotting.legends(fig, axes[-1], colors, used, remarks)
        return plotting.save(fig, points, out, 'batch_size' if x == 'epoch' else f'batch_size_{x}'), final


def _panel(ax: plotting.Axes, points: pd.DataFrame, final: pd.DataFrame, quantity: str, x: str, colors: Colors) -> None:
    """One quantity of one column."""
    for split, style in STYLES.items():
        metric = f'{split}_{quantity}'
        for arm in final[final['metric'] == metric].itertuples():
            line = points[(points['metric'] == metric) & (points['batch_size'] == arm.batch_size)]
            plotting.line(ax, line, x, colors[arm.batch_size], style)
            plotting.mark_divergence(ax, line, x, arm.diverged, colors[arm.batch_size])


def _remarks(final: pd.DataFrame, colors: Colors) -> list[plotting.Remark]:
    """Which runs of one column's arms are not in the lines to the end."""
    remarks = []
    for arm in final.drop_duplicates('batch_size').itertuples():
        for count, what, marker in ((arm.diverged, 'diverged', 'x'), (arm.unfinished, 'unfinished', '>')):
            if count:
                text = f'B = {arm.batch_size:,}: {count} of {arm.runs} {what}'
                remarks.append(plotting.Remark(text, colors[arm.batch_size], marker))
    return remarks


def report(final: pd.DataFrame) -> str:
    """Final values as text, a row per arm: mean ± half of the interval; n is the smallest of the metrics'."""
    fields = final.columns[: final.columns.get_loc('metric')].tolist()
    half = final['high'] - final['mean']
    words = lambda v, form: '–' if np.isnan(v) else format(v, form)
    value = [f'{words(m, ".4g")} ± {words(h, ".2g")}' for m, h in zip(final['mean'], half, strict=True)]
    shown = final.assign(value=value)
    arms_of = shown.groupby(fields, dropna=False)
    counts = arms_of[['n', 'runs', 'diverged', 'unfinished']].min()
    values = {metric: part.set_index(fields)['value'] for metric, part in shown.groupby('metric', sort=False)}
    table = counts.assign(**values).reset_index()
    return table[[*fields, *values, *counts]].to_string(index=False, float_format='{:g}'.format)


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS['out'].value
    files, final = draw(workdir, flags.FLAGS['x'].value, pathlib.Path(out) if out else workdir / 'figures')
    print(f'final values, over the n runs that came to their end:\n{report(final)}')
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_batch_size', main)
