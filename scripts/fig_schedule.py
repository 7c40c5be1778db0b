"""What each update would use: learning rate, momentum, batch size, weight decay, effective rate, noise temperature.

    bsresearch run --config=one_cycle --dry_run --schedule_csv=schedule.csv
    bsresearch fig schedule --csv=schedule.csv [--out=<directory>] [--x=epoch|updates|examples]

A line per distinct schedule: runs that differ in their seeds share one; a later line is thinner, so that equal ones
show. Momentum, batch size and weight decay are drawn where they vary, the effective rate lr/(1 − momentum) where there
is momentum. Values are held from update to update, and drawn so. With several schedules it prints how far their noise
temperatures agree. Writes fig_schedule.pdf, .png and .csv (the plotted numbers), or fig_schedule_<x>.* for another axis
than epochs, next to the table. Time: seconds, for a million updates too.
"""

import pathlib

import numpy as np
import pandas as pd
from absl import flags

from bsresearch.analysis import command
from bsresearch.analysis.quantities import noise_temperature
from bsresearch.analysis.quantities.noise_temperature import Schedule
from bsresearch.report import plotting

LABELS = {
    'lr': 'learning rate',
    'momentum': 'momentum',
    'batch_size': 'batch size',
    'weight_decay': 'weight decay',
    'effective_lr': 'effective rate\nε/(1 − m)',
    'noise_temperature': 'noise temperature\nεN/(B(1 − m))',
}
POSITIONS = {'epoch': ('epoch', 'epochs'), 'updates': ('step', 'updates so far'), 'examples': ('examples', 'examples')}
FLAT = 1.35 / plotting.PANEL_HEIGHT  # these panels are many, and simple


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('csv', None, 'the table that a run wrote with --dry_run --schedule_csv=<file>')
    flags.DEFINE_enum('x', 'epoch', list(POSITIONS), 'position on the x axis')
    flags.DEFINE_string('out', None, 'directory of the figure; default: that of the table')


def draw(table: pd.DataFrame, x: str, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws the figure from `noise_temperature.read`; its paths."""
    found = noise_temperature.schedules(table)
    shown = _shown(table)
    position, label = POSITIONS[x]
    colors, drawn = plotting.distinct(len(found)), []
    with plotting.figure(len(shown), 1) as (fig, axes):
        fig.set_figheight(fig.get_figheight() - (1 - FLAT) * plotting.PANEL_HEIGHT * len(shown))
        for name, [ax] in zip(shown, axes, strict=True):
            ax.set_ylabel(LABELS[name])
            plotting.held_axis(ax, table[name].to_numpy(), at_values=name == 'batch_size')
            for place, (schedule, color) in enumerate(zip(found, colors, strict=True)):
                line = _line(schedule, name, position)
                width = 1.0 + (1.8 if len(found) < 6 else 0.6) * (1 - (place + 1) / len(found))
                ax.plot(line['x'], line['value'], drawstyle='steps-post', color=color, linewidth=width)
                drawn.append(line.assign(schedule=schedule.name, quantity=name))
        fig.align_ylabels()
        plotting.x_axis(axes[-1][0], label)
        plotting.list_below(fig, {legend(s): c for s, c in zip(found, colors, strict=True)})
        numbers = pd.concat(drawn, ignore_index=True)[['schedule', 'quantity', 'x', 'value']]
        return plotting.save(fig, numbers.rename(columns={'x': position}), out, _slug(x))


def _slug(x: str) -> str:
    return 'fig_schedule' if x == 'epoch' else f'fig_schedule_{x}'


def _shown(table: pd.DataFrame) -> list[str]:
    """The quantities that say something."""
    varying = lambda name: table[name].nunique() > 1
    says = {n: varying(n) for n in ('momentum', 'batch_size', 'weight_decay')}
    says['effective_lr'] = not (table['effective_lr'] == table['lr']).all()
    return [n for n in LABELS if says.get(n, True) and table[n].notna().any()]


def _line(schedule: Schedule, name: str, position: str) -> pd.DataFrame:
    """Positions and values where the value changes, and at the end; thinned to what a panel can show."""
    rows = schedule.rows
    x, y = rows[position].to_numpy(), rows[name].to_numpy()
    changes = np.flatnonzero(np.append(True, (y[1:] != y[:-1]) & ~(np.isnan(y[1:]) & np.isnan(y[:-1]))))
    x, y = np.append(x[changes], _end(schedule, position)), np.append(y[changes], y[-1])
    kept = plotting.thin(x, y)
    return pd.DataFrame({'x': x[kept], 'value': y[kept]})


def _end(schedule: Schedule, position: str) -> float:
    """Where the last update ends."""
    last = schedule.rows.iloc[-1]
    if position == 'step':
        return last['step'] + 1
    return schedule.end * (last['epoch'] / last['examples'] if position == 'epoch' and last['examples'] else 1.0)


def legend(schedule: Schedule) -> str:
    """Run, batch sizes and peak of a schedule."""
    sizes = schedule.rows['batch_size'].agg(['min', 'max']).astype(int).unique()
    return f'{schedule.name}: B {"–".join(f"{b:,}" for b in sizes)}, peak lr {schedule.rows["lr"].max():.4g}'


def report(compared: pd.DataFrame, most: int = 15) -> str:
    """How far noise temperatures agree, as text; of more than `most` pairs those with the first schedule."""
    rest = len(compared)
    if rest > most:
        compared = compared[compared['a'] == compared['a'].iloc[0]]
    rest -= len(compared)
    formats = {c: '{:.2g}'.format for c in ('largest', 'median')}
    formats |= {'agree': '{:.2%}'.format, 'updates_ratio': '{:.3g}'.format, 'examples': '{:,}'.format}
    text = compared.to_string(index=False, formatters=formats, na_rep='–')
    return text + (f'\n… and {rest} pairs without the first schedule' if rest else '')


def main() -> None:
    """Flags to values."""
    if not flags.FLAGS.csv:
        raise ValueError('--csv=<file> is needed: what a run wrote with --dry_run --schedule_csv=<file>')
    csv, x = pathlib.Path(flags.FLAGS.csv), flags.FLAGS.x
    out = pathlib.Path(flags.FLAGS.out) if flags.FLAGS.out else csv.parent
    if (out / f'{_slug(x)}.csv').resolve() == csv.resolve():
        raise ValueError(f'--csv={csv} is where the plotted numbers would go; name another --out')
    table = noise_temperature.read(csv)
    files = draw(table, x, out)
    compared = noise_temperature.compare(table)
    if len(compared):
        within = f'agree: the share where it is at most {noise_temperature.AGREE:g}'
        print(f'relative difference of noise temperatures over the examples both cover ({within}):\n{report(compared)}')
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_schedule', main)
