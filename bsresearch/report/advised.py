"""The figure of an advice: what a run is expected to take against the batch size, the goal first."""

import pathlib

import numpy as np
import pandas as pd
from absl import logging

from bsresearch.advice.advise import GOALS
from bsresearch.advice.answer import Advice
from bsresearch.advice.telling import words
from bsresearch.advice.telling.words import Told
from bsresearch.report import plotting
from bsresearch.report.figures import panels, scales
from bsresearch.store import paths

BLUE, SHADE = '#2166ac', '0.9'
MOST = 3  # quantities


def draw(advice: Advice, stem: pathlib.Path, price_per_hour: float | None = None) -> list[pathlib.Path]:
    """Writes <stem>.pdf, .png and .csv: a panel for each quantity, with 95 % intervals of a new run; returns the files.

    Filled: batch sizes that were tried; ringed: the one that is named; shaded: those that are as good.
    """
    logging.set_verbosity(logging.WARNING)  # matplotlib's font subsetter says a hundred lines at INFO.
    with plotting.styled():
        named = words.told(advice.row.expected, advice.row.batch_size, advice.runs, price_per_hour)
        order = sorted(range(len(named)), key=lambda i: named[i].name not in _of_goal(advice))[:MOST]
        size = advice.batch_size
        phrases = [
            f'use B = {size.choice:g} ({words.span(size, "{:g}".format)} as good, shaded) for the '
            f'{words.aim(advice, advice.goal)}',
            'expected of a run, with its 95 % interval; hollow: not tried',
        ]
        fig, axes = panels.grid(len(order), len(order), phrases)
        for ax, place in zip(axes, order, strict=True):
            _panel(ax, advice, place, price_per_hour)
        stem.parent.mkdir(parents=True, exist_ok=True)
        files = plotting.render(fig, stem)
    paths.write_text(files[-1], _numbers(advice, price_per_hour).to_csv(index=False, lineterminator='\n'))
    return files


def _numbers(advice: Advice, price_per_hour: float | None) -> pd.DataFrame:
    rows = []
    for row in advice.rows:
        ends = {f'{part.name} {end}'.strip(): value
                for part in words.told(row.expected, row.batch_size, advice.runs, price_per_hour)
                for end, value in zip(('', 'low', 'high'), _ends(part), strict=True)}  # fmt: skip
        rows.append({'batch_size': row.batch_size, 'runs': row.runs, 'as_good': row.as_good} | ends)
    return pd.DataFrame(rows)


def _of_goal(advice: Advice) -> tuple[str, ...]:
    names = {'seconds': ('time',), 'length': ('steps', advice.runs.unit), 'joules': ('energy',)}
    return names.get(GOALS[advice.goal], (advice.runs.metric,))


def _panel(ax: plotting.Axes, advice: Advice, place: int, price_per_hour: float | None) -> None:
    rows = [row for row in advice.rows if not row.refusal and row.expected]
    parts = [words.told(row.expected, row.batch_size, advice.runs, price_per_hour)[place] for row in rows]
    values = np.array([_ends(part) for part in parts])
    sizes = np.array([row.batch_size for row in rows])
    ax.axvspan(advice.batch_size.low / 1.15, advice.batch_size.high * 1.15, color=SHADE, linewidth=0)
    for row, x, (middle, low, high) in zip(rows, sizes, values, strict=True):
        ax.plot([x, x], [low, high], color=BLUE, linewidth=1.0)
        ax.plot(x, middle, 'o', color=BLUE, markerfacecolor=BLUE if row.runs else 'white')
        if row.batch_size == advice.batch_size.choice:
            ax.plot(x, middle, 'o', color='black', markerfacecolor='none', markersize=9)
    scales.log_x(ax, scales.powers_of_two(sizes))
    if values.min() > 0 and parts[0].name != advice.runs.metric:
        ax.set_yscale('log')
        scales.log_ticks(ax.yaxis, *np.array([values.min(), values.max()]))
    ax.set_xlabel('batch size')
    ax.set_ylabel(f'{parts[0].name} (s)' if parts[0].name == 'time' else parts[0].name.replace('_', ' '))


def _ends(part: Told) -> tuple[float, float, float]:
    return part.quantity.choice, part.quantity.low, part.quantity.high
