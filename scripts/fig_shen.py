"""The figures of Shen's article but those of its probes: accuracy, recovery, distance, the hypothesis.

    bsresearch fig shen --workdir=runs/shen [--out=<directory>]

  fig_shen_compare_batch_size  accuracy and loss on the training and test set in training, a colour per batch size at
                               one learning rate
  fig_shen_compare_learning_rate  the same for the small batch, the large one, and the large one at a higher rate
  fig_shen_recovery            the branches of the large-batch run by epochs after its weights were loaded, with the
                               small batch from scratch; dotted: where the large-batch run itself ended
  fig_shen_distance            distance from the initial weights per epoch and per update, and the norm of the weights
                               over the initial one; other optimizers have panels of their own
  fig_shen_accuracy_against_distance  test accuracy and distance from the initial weights at the end of every run
  fig_shen_hypothesis          the hypothesis that the article tests: gradients in one batch compete; a schematic

Mean and 95 % interval over seeds. The figures of the gradient norm and of the line between two solutions are those of
scripts.fig_gradient_norm and scripts.fig_interpolation. Roles come from the recorded configs (analysis/shen.py); what
is missing is printed, and the rest drawn. Reads records only. Writes .pdf, .png and .csv (the plotted numbers) into
<workdir>/figures. Time: seconds.
"""

import pathlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from absl import flags
from matplotlib.colors import to_rgba

from bsresearch.analysis import command, shen
from bsresearch.analysis.shen import Arm, Study
from bsresearch.report import figures, plotting
from bsresearch.report.plotting import LineStyle

# The article's colours, darker where they are too pale on white.
ORANGE, PURPLE, BLUE, RED = map(to_rgba, ('#e8710a', '#7b3fa0', '#2264c7', '#c62828'))
CONTROL, GREEN, YELLOW = map(to_rgba, ('#9dbb00', '#1b5e20', '#d4a106'))
# Of several batches between the smallest and the largest, and of other optimizers' rates; from the start again beyond.
TEAL = tuple(map(to_rgba, ('#0b8f8f', '#5ab4ac', '#01665e', '#80cdc1')))
ADAM = tuple(map(to_rgba, ('#b3001b', '#e05780', '#7a4419', '#444444')))
SPLITS = ('test', 'train')
SCALES: dict[str, tuple[Literal['linear', 'log'], tuple[float, float] | None]] = {
    'accuracy': ('linear', (0.0, 1.0)),
    'loss': ('log', None),
}


class Curve(NamedTuple):
    """An arm with how it is drawn."""

    arm: Arm
    color: plotting.Color
    style: LineStyle = '-'


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'directory of the figures; default: <workdir>/figures')


def main_colors(study: Study) -> list[Curve]:
    """Arms from the start, in the article's colours."""
    own = {'small': ORANGE, 'large': PURPLE, 'higher rate': BLUE}
    curves = [Curve(a, own[a.role]) for a in study.arms if a.role in own]
    curves += [Curve(a, TEAL[i % len(TEAL)]) for i, a in enumerate(study.role('middle'))]
    return [*curves, *(Curve(a, ADAM[i % len(ADAM)]) for i, a in enumerate(study.role('other optimizer')))]


def branch_colors(study: Study) -> list[Curve]:
    """The branches: those of the last point solid, of earlier ones dashed; the small batch of those is dark green."""
    late = {'control': CONTROL, 'smaller batch': YELLOW, 'higher rate': PURPLE}
    last = max((a.branch_epoch or 0.0 for a in study.branches), default=0.0)
    curves = []
    for arm in study.branches:
        if arm.role in late:
            early = arm.branch_epoch != last
            color = GREEN if early and arm.role == 'smaller batch' else late[arm.role]
            curves.append(Curve(arm, color, '--' if early else '-'))
    return curves


def grid(
    study: Study, curves: Sequence[Curve], x: str, label: str, out: pathlib.Path, slug: str, levels: Arm | None = None
) -> list[pathlib.Path]:
    """Accuracy and loss, test and train, from the first epoch on; `levels`: whose end is marked by a dotted line."""
    points = {
        (c.arm.name, m): c.arm.curve(m, x) for c in curves for m in (f'{s}_{q}' for q in SCALES for s in SPLITS)
    }  # fmt: skip
    points = {k: p[p[x] >= 1] for k, p in points.items()}
    table = pd.concat([p for p in points.values() if len(p)] or [pd.DataFrame()], ignore_index=True)
    if table.empty:
        return []
    ends = _ends(levels) if levels else {}
    with plotting.figure(len(SCALES), len(SPLITS), _notes(study, curves)) as (fig, axes):
        for quantity, row in zip(SCALES, axes, strict=True):
            plotting.y_axis(row[0], quantity, table[table['metric'].str.endswith(quantity)], *SCALES[quantity])
            for split, ax in zip(SPLITS, row, strict=True):
                for c in curves:
                    plotting.line(ax, points[c.arm.name, f'{split}_{quantity}'], x, c.color, c.style)
                if f'{split}_{quantity}' in ends:
                    ax.axhline(ends[f'{split}_{quantity}'], color=PURPLE, linestyle=':', linewidth=0.9)
        for split, ax in zip(SPLITS, axes[0], strict=True):
            ax.set_title(split)
        for ax in axes[-1]:
            ax.set_xlabel(label)
        marked = f'end of {levels.name}' if ends and levels else ''
        dotted = [plotting.Line2D([], [], color=PURPLE, linestyle=':', label=marked)] if marked else []
        _legend(fig, [*_lines(curves), *dotted], 3)
        rows = pd.DataFrame([{'arm': marked, 'metric': m, 'mean': v} for m, v in ends.items()])
        return plotting.save(fig, pd.concat([table, rows]) if ends else table, out, slug)


def _ends(arm: Arm) -> dict[str, float]:
    """Mean over seeds of every metric at the end, of those that have one."""
    means = {m: float(arm.final(m).mean()) for m in (f'{s}_{q}' for q in SCALES for s in SPLITS)}
    return {m: v for m, v in means.items() if np.isfinite(v)}


def _notes(study: Study, curves: Sequence[Curve]) -> list[str]:
    shown = [c.arm for c in curves]
    lost = [m for m in study.missing if any(m.startswith(f'{a.name}:') for a in shown)]
    return [*study.facts, *lost]


def _legend(fig: plotting.Figure, handles: Sequence[plotting.Line2D], ncols: int) -> None:
    """Below all; the figure grows by it."""
    ncols = min(ncols, len(handles))
    fig.legend(handles=handles, loc='outside lower center', ncols=ncols)
    fig.set_figheight(fig.get_figheight() + plotting.LINE_HEIGHT * -(-len(handles) // ncols) + 0.2)


def _lines(curves: Sequence[Curve]) -> list[plotting.Line2D]:
    branched = any(c.arm.branch_epoch is not None for c in curves)
    name = lambda a: f'{a.name}{" from scratch" if branched and a.branch_epoch is None else ""}'
    return [plotting.Line2D([], [], color=c.color, linestyle=c.style, label=name(c.arm)) for c in curves]


def distance(study: Study, curves: Sequence[Curve], out: pathlib.Path) -> list[pathlib.Path]:
    """Distance per epoch and per update, and the relative norm: a column for the parents' optimizer, one for others."""
    columns = [[c for c in curves if (c.arm.role == 'other optimizer') == other] for other in (False, True)]
    columns = [
        c for c in columns if any(a.arm.final('distance').size or a.arm.rows.get('distance') is not None for a in c)
    ]
    rows = [
        ('distance', 'epoch', 'epochs', '‖θ − θ₀‖', 'linear'), ('distance', 'step', 'updates', '‖θ − θ₀‖', 'log'),
        ('relative_norm', 'epoch', 'epochs', '‖θ‖ / ‖θ₀‖', 'linear'),
    ]  # fmt: skip
    parts = []
    if not columns:
        return []
    with plotting.figure(len(rows), len(columns), _notes(study, curves), height=1.8) as (fig, axes):
        for (metric, x, label, name, scale), row in zip(rows, axes, strict=True):
            for column, ax in zip(columns, row, strict=True):
                points = [c.arm.curve(metric, x, _relative) for c in column]
                points = [p[p[x] > 0] for p in points]
                if scale == 'log':
                    ax.set_xscale('log')
                together = pd.concat([p for p in points if len(p)] or [pd.DataFrame({'mean': []})])
                plotting.y_axis(ax, name, together, 'log' if scale == 'log' else 'linear', None)
                ax.set_xlabel(label)
                for c, p in zip(column, points, strict=True):
                    plotting.line(ax, p, x, c.color, c.style)
                parts += [p.assign(against=x) for p in points if len(p)]
        for column, ax in zip(columns, axes[0], strict=True):
            ax.set_title(' and '.join(sorted({c.arm.optimizer for c in column})))
        _legend(fig, _lines(curves), 3)
        return plotting.save(fig, pd.concat(parts, ignore_index=True), out, 'fig_shen_distance')


def _relative(rows: pd.DataFrame) -> pd.DataFrame:
    """With `relative_norm`, over that of the run's first row."""
    if 'parameter_norm' not in rows:
        return rows
    first = rows.sort_values('step').groupby('run')['parameter_norm'].transform('first')
    return rows.assign(relative_norm=rows['parameter_norm'] / first)


def against_distance(study: Study, curves: Sequence[Curve], out: pathlib.Path) -> list[pathlib.Path]:
    """A point for every run that came to its end."""
    shape = lambda a: 's' if a.role == 'other optimizer' else 'o' if a.branch_epoch is None else '^'
    look = lambda c: {
        'color': c.color, 'marker': shape(c.arm), 'markersize': 4, 'linestyle': 'none', 'markeredgewidth': 0.9,
        'markerfacecolor': 'none' if c.style == '--' else c.color,
    }  # fmt: skip
    parts = []
    for c in curves:
        ends = pd.concat([c.arm.final(m).rename(m) for m in ('distance', 'test_accuracy')], axis=1, join='inner')
        parts.append(ends.rename_axis('seed').reset_index().assign(arm=c.arm.name))
    table = pd.concat([p for p in parts if len(p)] or [pd.DataFrame()], ignore_index=True)
    if table.empty:
        return []
    with plotting.figure(1, 1, [*study.facts[:-1], 'a point for each seed, at its end'], height=2.6) as (fig, [[ax]]):
        for c, points in zip(curves, parts, strict=True):
            ax.plot(points['distance'], points['test_accuracy'], **look(c), zorder=3)
        plotting.log_x_axis(ax, 'distance from the initial weights ‖θ − θ₀‖')
        ax.set_ylabel('test accuracy')
        _legend(fig, [plotting.Line2D([], [], label=c.arm.name, **look(c)) for c in curves], 2)
        return plotting.save(fig, table, out, 'fig_shen_accuracy_against_distance')


def hypothesis(out: pathlib.Path) -> list[pathlib.Path]:
    """Two successive small-batch steps, their sum, and the one step of a batch of both examples."""
    first, both, one, below = (2.0, 2.2), (4.4, 0.7), (2.7, 0.08), (0.0, -0.35)
    arrows = [
        ('g(1)', (0.0, 0.0), first, BLUE, (-22, 2)), ('g(2)', first, both, RED, (5, 4)),
        ('g(1) + g(2)', (0.0, 0.0), both, (0.1, 0.1, 0.1, 1.0), (-12, 10)), ('g(1,2)', below, one, PURPLE, (0, -12)),
    ]  # fmt: skip
    facts = ['schematic, no data', 'hypothesis: the step g(1,2) on a batch of both examples is shorter than the steps '
             'on one after the other']  # fmt: skip
    with plotting.figure(1, 1, facts, height=1.8) as (fig, [[ax]]):
        for name, start, end, color, offset in arrows:
            shape = {'arrowstyle': '-|>', 'color': color, 'lw': 1.4, 'shrinkA': 0, 'shrinkB': 0}
            ax.annotate('', end, start, arrowprops=shape)
            middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
            ax.annotate(name, middle, offset, textcoords='offset points', color=color)
        ax.set_xlim(-0.3, 4.8)
        ax.set_ylim(-0.8, 2.4)
        ax.set_aspect('equal')
        ax.set_axis_off()
        columns = ['vector', 'x_start', 'y_start', 'x_end', 'y_end']
        table = pd.DataFrame([(name, *start, *end) for name, start, end, *_ in arrows], columns=columns)
        return plotting.save(fig, table, out, 'fig_shen_hypothesis')


def draw(workdir: pathlib.Path, out: pathlib.Path) -> tuple[list[pathlib.Path], str]:
    """Draws what the workdir has; returns the paths and what is missing.

    Raises:
      FileNotFoundError: no runs of the study. ValueError: runs that are no such study (shen.load).
    """
    study = shen.load(workdir)
    mains, branches = main_colors(study), branch_colors(study)
    of = lambda *roles: [c for c in mains if c.arm.role in roles]
    sizes = sorted(of('small', 'middle', 'large'), key=lambda c: c.arm.batch_size)
    (large,) = study.role('large')
    rates = [*of('small'), *of('large'), *of('higher rate')]
    again = [*of('small'), *branches] if branches else []
    arms = [*sizes, *of('higher rate', 'other optimizer')]
    files = figures.each(
        lambda: grid(study, sizes, 'epoch', 'epochs', out, 'fig_shen_compare_batch_size'),
        lambda: grid(study, rates, 'epoch', 'epochs', out, 'fig_shen_compare_learning_rate'),
        lambda: grid(study, again, 'since', 'epochs after resume', out, 'fig_shen_recovery', large) if again else [],
        lambda: distance(study, arms, out),
        lambda: against_distance(study, [*arms, *branches], out),
        lambda: hypothesis(out),
    )
    return files, '\n'.join(f'missing: {m}' for m in study.missing)


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    files, text = draw(workdir, pathlib.Path(out) if out else workdir / 'figures')
    print('\n'.join([*([text] if text else []), *map(str, files)]))


if __name__ == '__main__':
    define_flags()
    command.run('fig_shen', main)
