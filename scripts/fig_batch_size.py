"""Accuracy and loss in training, a colour per batch size: mean and 95 % interval over seeds. Train dashed, test solid.

    bsresearch fig batch_size --workdir=runs/sweep [--x=epoch|updates|examples|seconds] [--out=<directory>]

Reads records only. Fields other than the batch size that vary (a learning rate) get a column of panels per value.
Writes batch_size.pdf, .png and .csv (the plotted numbers) into <workdir>/figures, or batch_size_<x>.* for another
axis than epochs. Time: seconds.
"""

import pathlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from absl import flags

from bsresearch.analysis import arms, command, held_fixed, summary, unreached
from bsresearch.report import plotting

# Scale of the axis, and the range of possible values.
SCALES: dict[str, tuple[Literal['linear', 'log'], tuple[float, float] | None]] = {
    'accuracy': ('linear', (0.0, 1.0)),
    'loss': ('log', None),
}
STYLES: dict[str, plotting.LineStyle] = {'test': '-', 'train': '--'}
METRICS = tuple(f'{split}_{quantity}' for quantity in SCALES for split in STYLES)
Colors = dict[int, plotting.Color]


class Column(NamedTuple):
    """A column of panels: its arms along x (`summary.over_seeds`), and at their end (`summary.final`)."""

    title: str
    points: pd.DataFrame
    final: pd.DataFrame


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
        raise unreached.lacking(loaded, 'evaluate', METRICS, workdir)
    position, label = arms.POSITIONS[x]
    columns = _columns(loaded, position, metrics)
    points = pd.concat([c.points for c in columns], ignore_index=True)
    colors = plotting.palette(loaded.runs['batch_size'].tolist())
    quantities = [q for q in SCALES if any(m.endswith(q) for m in metrics)]
    with plotting.figure(len(quantities), len(columns), held_fixed.describe(loaded)) as (fig, axes):
        for quantity, row in zip(quantities, axes, strict=True):
            plotting.y_axis(row[0], quantity, points.loc[points['metric'].str.endswith(quantity)], *SCALES[quantity])
        for column, stack in zip(columns, zip(*axes, strict=True), strict=True):
            stack[0].set_title(column.title)
            plotting.x_axis(stack[-1], label)
            for quantity, ax in zip(quantities, stack, strict=True):
                _panel(ax, column, quantity, position, colors)
        splits = [split for split in STYLES if any(m.startswith(split) for m in metrics)]
        remarks = [_remarks(c.final, colors) for c in columns]
        plotting.legends(fig, axes[-1], colors, {split: STYLES[split] for split in splits}, remarks)
        files = plotting.save(fig, points, out, 'batch_size' if x == 'epoch' else f'batch_size_{x}')
    return files, pd.concat([c.final for c in columns], ignore_index=True)


def _columns(loaded: arms.Arms, position: str, metrics: Sequence[str]) -> list[Column]:
    columns = []
    for title, rows in held_fixed.panels(loaded):
        points = [summary.over_seeds(rows, position, m, loaded.by) for m in metrics]
        columns.append(Column(title, pd.concat(points), summary.final(rows, metrics, loaded.by)))
    return columns


def _panel(ax: plotting.Axes, column: Column, quantity: str, x: str, colors: Colors) -> None:
    """One quantity of one column."""
    for split, style in STYLES.items():
        metric = f'{split}_{quantity}'
        for arm in column.final[column.final['metric'] == metric].to_dict('records'):
            own = (column.points['metric'] == metric) & (column.points['batch_size'] == arm['batch_size'])
            plotting.line(ax, column.points[own], x, colors[arm['batch_size']], style)
            plotting.mark_divergence(ax, column.points[own], x, arm['diverged'], colors[arm['batch_size']])


def _remarks(final: pd.DataFrame, colors: Colors) -> list[plotting.Remark]:
    """Which runs of one column's arms are not in the lines to the end."""
    remarks = []
    for arm in final.drop_duplicates('batch_size').to_dict('records'):
        size = arm['batch_size']
        for what, marker in (('diverged', 'x'), ('unfinished', '>')):
            if arm[what]:
                text = f'B = {size:,}: {arm[what]} of {arm["runs"]} {what}'
                remarks.append(plotting.Remark(text, colors[size], marker))
    return remarks


def _value(mean: float, half: float) -> str:
    if np.isnan(mean):
        return '–'
    return f'{mean:.4g} ± –' if np.isnan(half) else f'{mean:.4g} ± {half:.2g}'


def report(final: pd.DataFrame) -> str:
    """Final values as text, a row per arm: mean ± half of the interval; n is the smallest of the metrics'."""
    fields = final.columns[: final.columns.get_loc('metric')].tolist()
    half = final['high'] - final['mean']
    shown = final.assign(value=[_value(m, h) for m, h in zip(final['mean'], half, strict=True)])
    table = shown.groupby(fields, dropna=False)[[*summary.COUNTS, 'unfinished']].min()
    for place, (metric, part) in enumerate(shown.groupby('metric', sort=False)):
        table.insert(place, str(metric), part.set_index(fields)['value'])
    return table.reset_index().to_string(index=False, float_format='{:g}'.format)


def main() -> None:
    """Flags to values."""
    workdir = command.workdir()
    files, final = draw(workdir, flags.FLAGS.x, command.out('figures'))
    print(f'final values, over the n runs that came to their end:\n{report(final)}')
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_batch_size', main)
