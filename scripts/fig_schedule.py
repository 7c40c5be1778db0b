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

from bsresearch.analysis import cells, command
from bsresearch.analysis.quantities import noise_temperature
from bsresearch.analysis.quantities.noise_temperature import Schedule
from bsresearch.report import plotting
from bsresearch.report.colours import ARMS, nth
from bsresearch.report.figures import drawing, panels, scales
from bsresearch.report.figures.panels import Sheet
from bsresearch.report.figures.schedule import draw_held, held

LABELS = {
    'lr': 'learning rate',
    'momentum': 'momentum',
    'batch_size': 'batch size',
    'weight_decay': 'weight decay',
    'effective_lr': 'effective rate\nε/(1 − m)',
    'noise_temperature': 'noise temperature\nεN/(B(1 − m))',
}
POSITIONS = {'epoch': ('epoch', 'epochs'), 'updates': ('step', 'updates so far'), 'examples': ('examples', 'examples')}
HEIGHT = 1.35  # inches: these panels are many, and simple


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('csv', None, 'the table that a run wrote with --dry_run --schedule_csv=<file>')
    flags.DEFINE_enum('x', 'epoch', list(POSITIONS), 'position on the x axis')
    flags.DEFINE_string('out', None, 'directory of the figure; default: that of the table')


def draw(table: pd.DataFrame, x: str) -> Sheet:
    """Draws the figure from `noise_temperature.read`."""
    schedules, quantities = noise_temperature.schedules(table), _varying(table)
    position, label = POSITIONS[x]
    looks = [nth(ARMS[i % len(ARMS)], i // len(ARMS)).line for i in range(len(schedules))]
    fig, axes = panels.grid(len(quantities), 1, [], height=HEIGHT)
    parts = []
    for quantity, ax in zip(quantities, axes, strict=True):
        ax.set_ylabel(LABELS[quantity])
        lines = [_line(schedule, quantity, position) for schedule in schedules]
        draw_held(ax, table[quantity].to_numpy(), list(zip(looks, lines, strict=True)),
                  at_values=quantity == 'batch_size', thickest=2.8 if len(lines) < 6 else 1.6)  # fmt: skip
        scales.position(ax, label, np.concatenate([line['x'] for line in lines]))
        parts += [cells.behind({'schedule': schedule.name, 'quantity': quantity}, line)
                  for schedule, line in zip(schedules, lines, strict=True)]  # fmt: skip
    panels.legend(fig, {legend(schedule): look for schedule, look in zip(schedules, looks, strict=True)})
    return Sheet(fig, pd.concat(parts, ignore_index=True).rename(columns={'x': position}))


def _slug(x: str) -> str:
    return 'fig_schedule' if x == 'epoch' else f'fig_schedule_{x}'


def _varying(table: pd.DataFrame) -> list[str]:
    """The quantities that say something."""
    varying = lambda name: table[name].nunique() > 1
    says = {n: varying(n) for n in ('momentum', 'batch_size', 'weight_decay')}
    says['effective_lr'] = not (table['effective_lr'] == table['lr']).all()
    return [n for n in LABELS if says.get(n, True) and table[n].notna().any()]


def _line(schedule: Schedule, quantity: str, position: str) -> pd.DataFrame:
    """Positions and values where the value changes, and where the last update ends."""
    x, y = schedule.rows[position], schedule.rows[quantity]
    return held(pd.concat([x, pd.Series([_end(schedule, position)])]), pd.concat([y, y.tail(1)]))


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
    with plotting.styled():
        files = drawing.save(draw(table, x), out, _slug(x)).result()
    compared = noise_temperature.compare(table)
    if len(compared):
        within = f'agree: the share where it is at most {noise_temperature.AGREE:g}'
        print(f'relative difference of noise temperatures over the examples both cover ({within}):\n{report(compared)}')
    for file in files:
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('fig_schedule', main)
