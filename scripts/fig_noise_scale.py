"""B_simple through training with its 95 % interval, |G|² and tr Σ, and the training loss; a colour per batch size.

    bsresearch fig noise_scale --workdir=runs/noise_scale [--x=epoch|updates|examples] [--windows=5]
        [--out=<directory>]

A point is a window of measurements: the ratio of means with its interval (analysis/ratio.py; none below 20
measurements), an arrow up from the lower end where it has no upper one. Dotted: the population's form, which takes S/N
off |G|². Reads records only. Writes fig_noise_scale.pdf, .png and .csv (the plotted numbers). Time: seconds.
"""

import pathlib

import numpy as np
import pandas as pd
from absl import flags

from bsresearch.analysis import arms, command, ratio
from bsresearch.analysis.quantities import noise_scale
from bsresearch.report import plotting

PANELS = {
    'noise_scale': 'B_simple = tr Σ/|G|²\n(examples)',
    'gradient_square': '|G|²',
    'trace': 'tr Σ',
    'train_loss': 'training loss',
}


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_enum('x', 'epoch', ['epoch', 'updates', 'examples'], 'position on the x axis')
    flags.DEFINE_integer('windows', 5, 'points per run', lower_bound=1)
    flags.DEFINE_string('out', None, 'directory of the figure; default: <workdir>/figures')


def draw(workdir: pathlib.Path, x: str, count: int, out: pathlib.Path) -> tuple[list[pathlib.Path], pd.DataFrame]:
    """Draws the figure; returns its paths and the plotted table.

    Raises:
      FileNotFoundError: no runs. ValueError: none measured the noise scale.
    """
    table = noise_scale.windows(workdir, count)
    position, label = arms.POSITIONS[x]
    colors = plotting.palette(table['batch_size'].tolist())
    shown = [p for p in PANELS if table[p].notna().any()]
    notes = [f'points: windows of {_range(table["n"])} measurements', _interval_note(table)]
    with plotting.figure(len(shown), 1, notes) as (fig, axes):
        for name, [ax] in zip(shown, axes, strict=True):
            ax.set_ylabel(PANELS[name])
            ax.set_yscale('log')
            for _, mine in table.groupby('run', sort=False):
                color = colors[int(mine['batch_size'].iloc[0])]
                # A negative mean of |G|² has no place on a logarithmic axis, nor has ∞; the table tells.
                y = mine[name].where((mine[name] > 0) & np.isfinite(mine[name]))
                ax.plot(mine[position], y, color=color, marker='o', markersize=2.5)
                if name == 'noise_scale':
                    _bars(ax, mine, mine[position], y, color)
                    population = mine['population'].where(np.isfinite(mine['population']))
                    ax.plot(mine[position], population, color=color, linestyle=':', linewidth=0.8)
        plotting.x_axis(axes[-1][0], label)
        fig.align_ylabels()
        negative = table.groupby('batch_size')['negative'].mean()
        named = {f'B = {b:,} ({negative[b]:.0%} of |G|² estimates negative)': c for b, c in colors.items()}
        plotting.list_below(fig, named)
        return plotting.save(fig, table, out, 'fig_noise_scale' if x == 'epoch' else f'fig_noise_scale_{x}'), table


def _bars(ax: plotting.Axes, mine: pd.DataFrame, x: pd.Series, y: pd.Series, color: plotting.Color) -> None:
    """The intervals of one run; where there is no upper end, an arrow up from the lower one."""
    bounded = np.isfinite(mine['high']) & (mine['low'] > 0)
    half = np.array([y - mine['low'], mine['high'] - y])[:, bounded]
    ax.errorbar(x[bounded], y[bounded], half, color=color, linestyle='none', capsize=1.5, linewidth=0.7)
    beyond = np.isinf(mine['high']) & np.isfinite(mine['low']) & (mine['low'] > 0)
    ax.errorbar(x[beyond], mine['low'][beyond], 0.3 * mine['low'][beyond], color=color, linestyle='none', lolims=True,
                marker='_', linewidth=0.7, markersize=3)  # fmt: skip


def _interval_note(table: pd.DataFrame) -> str:
    if table['low'].isna().all():
        return f'no interval below {ratio.FEWEST_ALONG} measurements'
    return 'bars: 95 % interval (Fieller, cosine long-run covariance); arrow: no upper end'


def _range(values: pd.Series) -> str:
    return '–'.join(f'{v:,}' for v in sorted({values.min(), values.max()}))


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    files, table = draw(workdir, flags.FLAGS.x, flags.FLAGS.windows, pathlib.Path(out) if out else workdir / 'figures')
    ends = table[['noise_scale', 'low', 'high']].itertuples(index=False, name=None)
    shown = table.drop(columns=['low', 'high']).assign(noise_scale=[noise_scale.text(*row) for row in ends])
    print(shown.to_string(index=False, float_format='{:.4g}'.format))
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_noise_scale', main)
