"""Branches of the study `reload`: what each change does after the branch point, beside the control without one.

    bsresearch fig reload --workdir=runs/reload [--out=<directory>]

  fig_reload_curves  accuracy and loss against epochs after the branch, a column per branch point (at most 4 of them)
  fig_reload_ends    accuracy and loss at the end of the branches against the branch point

Mean and 95 % interval over seeds; train dashed, test solid. Reads records only. Writes .pdf, .png and .csv (the plotted
numbers) into <workdir>/figures. Time: seconds.
"""

import pathlib

import numpy as np
import pandas as pd
from absl import flags

from bsresearch.analysis import arms, command, summary, unreached
from bsresearch.report import figures, plotting

STUDY, POINT, SINCE = 'reload', 'parent.epoch', 'epochs after the branch'
QUANTITIES = {'accuracy': 'linear', 'loss': 'log'}
STYLES: dict[str, plotting.LineStyle] = {'test': '-', 'train': '--'}
METRICS = tuple(f'{split}_{quantity}' for quantity in QUANTITIES for split in STYLES)
MOST = 4  # columns of curves that a page holds


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'directory of the figures; default: <workdir>/figures')


def load(workdir: pathlib.Path) -> tuple[pd.DataFrame, list[str]]:
    """Rows of all branches with `arm`, what sets it apart beside the point, and SINCE; the metrics there are.

    Raises:
      FileNotFoundError: no runs of the study. ValueError: no branches among them, or nothing evaluated.
    """
    loaded = arms.load(workdir, STUDY)
    if POINT not in loaded.runs or loaded.runs[POINT].isna().all():
        raise ValueError(f'{workdir} holds no branches yet: let `bsresearch run` come to its second stage')
    # Where the length tells the point, it is not among the fields that tell arms apart.
    rows = loaded.rows.drop(columns=POINT, errors='ignore').merge(loaded.runs[['run', POINT]], on='run')
    fields = [c for c in loaded.by if not c.startswith('parent.') and c != 'total_epochs']
    fields = [c for c in fields if c not in ('total_examples', 'total_updates')]
    made = loaded.runs[loaded.runs[POINT].notna()].set_index('run')
    lengths = ((made['total_examples'] - made['parent.examples']) / made['epoch_size']).round(2)
    parents = rows[rows[POINT].isna()][fields].drop_duplicates()
    rows = rows[rows[POINT].notna()]
    metrics = [m for m in METRICS if m in rows and rows[m].notna().any()]
    if not metrics:
        raise unreached.lacking(loaded, 'evaluate', METRICS, workdir, made.index)
    same = lambda row: len(parents) == 1 and all(row[f] == parents.iloc[0][f] for f in fields)
    short = {'batch_size': 'B', 'learning_rate': 'lr'}
    name = lambda row: ', '.join(f'{short.get(f, f)} = {row[f]:g}' if isinstance(row[f], int | float | np.number)
                                 else f'{short.get(f, f)} = {row[f]}' for f in fields)  # fmt: skip
    differ = lengths.nunique() > 1  # where one was made by hand
    length = lambda row: f', {lengths[row["run"]]:g} epochs' if differ else ''
    named = rows.apply(lambda row: name(row) + length(row) + (' (no change)' if same(row) else ''), axis=1)
    return rows.assign(
        arm=named, **{SINCE: (rows['epoch'] - rows.groupby('run')['epoch'].transform('min')).round(6)}
    ), metrics


def _quantities(metrics: list[str]) -> dict[str, str]:
    """Of QUANTITIES what was recorded: a regression has no accuracy."""
    return {q: scale for q, scale in QUANTITIES.items() if any(m.endswith(q) for m in metrics)}


def _look(table: pd.DataFrame) -> dict[str, plotting.Color]:
    names = sorted(table['arm'].unique(), key=lambda n: ('no change' not in n, n))
    return dict(zip(names, plotting.distinct(len(names)), strict=True))


def _notes(rows: pd.DataFrame) -> list[str]:
    n = int(rows.groupby(['arm', POINT])['run'].nunique().max())
    gone = rows.loc[rows['status'] == 'diverged', 'run'].nunique()
    notes = ['mean and 95 % interval over seeds, n = ' + str(n) if n > 1 else 'n = 1, no interval']
    return notes + ([f'{gone} branches diverged'] if gone else [])


def _legend(fig: plotting.Figure, colors: dict[str, plotting.Color]) -> None:
    """Below all, a line per arm and one per split; the figure grows by it."""
    handles = [plotting.Line2D([], [], color=c, label=name) for name, c in colors.items()]
    handles += [plotting.Line2D([], [], color='0.35', linestyle=s, label=name) for name, s in STYLES.items()]
    fig.legend(handles=handles, loc='outside lower center', ncols=2)
    fig.set_figheight(fig.get_figheight() + plotting.LINE_HEIGHT * -(-len(handles) // 2) + 0.2)


def _panels(ax: plotting.Axes, points: pd.DataFrame, quantity: str, x: str, colors: dict[str, plotting.Color]) -> None:
    for (arm, metric), line in points.groupby(['arm', 'metric']):
        if str(metric).endswith(quantity):
            plotting.line(ax, line.sort_values(x), x, colors[str(arm)], STYLES[str(metric).split('_')[0]])


def curves(rows: pd.DataFrame, metrics: list[str], out: pathlib.Path) -> list[pathlib.Path]:
    """A column per branch point."""
    colors, at = _look(rows), sorted(rows[POINT].unique())
    table = pd.concat([summary.over_seeds(rows, SINCE, m, ['arm', POINT]) for m in metrics], ignore_index=True)
    quantities = _quantities(metrics)
    with plotting.figure(len(quantities), len(at), _notes(rows)) as (fig, axes):
        for (quantity, scale), row in zip(quantities.items(), axes, strict=True):
            mine = table[table['metric'].str.endswith(quantity)]
            plotting.y_axis(row[0], quantity, mine, 'log' if scale == 'log' else 'linear', None)
            for point, ax in zip(at, row, strict=True):
                _panels(ax, mine[mine[POINT] == point], quantity, SINCE, colors)
        for point, ax, bottom in zip(at, axes[0], axes[-1], strict=True):
            ax.set_title(f'branched at epoch {point:g}')
            bottom.set_xlabel(SINCE)
        _legend(fig, colors)
        return plotting.save(fig, table, out, 'fig_reload_curves')


def ends(rows: pd.DataFrame, metrics: list[str], out: pathlib.Path) -> list[pathlib.Path]:
    """Against the branch point."""
    colors = _look(rows)
    table = summary.final(rows, metrics, ['arm', POINT])
    quantities = _quantities(metrics)
    with plotting.figure(len(quantities), 1, _notes(rows)) as (fig, axes):
        for (quantity, scale), (ax,) in zip(quantities.items(), axes, strict=True):
            mine = table[table['metric'].str.endswith(quantity)]
            plotting.y_axis(ax, f'{quantity} at the end', mine, 'log' if scale == 'log' else 'linear', None)
            _panels(ax, mine, quantity, POINT, colors)
            for (arm, _), line in mine.groupby(['arm', 'metric']):
                ax.plot(line[POINT], line['mean'], color=colors[str(arm)], marker='o', markersize=3, linestyle='none')
        axes[-1][0].set_xlabel('branch point (epoch of the parent)')
        _legend(fig, colors)
        return plotting.save(fig, table, out, 'fig_reload_ends')


def draw(workdir: pathlib.Path, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws both figures; the curves only where their columns fit.

    Raises:
      FileNotFoundError, ValueError: as `load`.
    """
    rows, metrics = load(workdir)
    few = rows[POINT].nunique() <= MOST
    return figures.each(
        lambda: curves(rows, metrics, out) if few else [],
        lambda: ends(rows, metrics, out),
    )


def main() -> None:
    """Flags to values."""
    workdir = command.workdir()
    for file in draw(workdir, command.out('figures')):
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_reload', main)
