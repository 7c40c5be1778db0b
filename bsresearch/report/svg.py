"""Intervals against the bounds that a claim gives them, as small drawings inside a page: the rows of a forest figure.

Rows of one unit share a scale. It covers all centres and bounds; an interval that goes on beyond ends in an arrow.
"""

import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from bsresearch.analysis.quantity import Unit
from bsresearch.analysis.verdicts import Interval

WIDTH, LINE, THIN, FOOT = 380, 17, 9, 15  # CSS pixels: of a drawing, an interval, one of many, the numbers below
CHARACTER = 5.2  # CSS pixels of a label's character, at most
LONG_ROW = 8  # intervals beyond which lines are thin, and labels stand in the folded numbers alone
PARENT = re.compile(r'\w+/(?=\w+@)')  # of a branch, told in the folded numbers
FARTHEST = 3.0  # median half widths that an interval is followed beyond its centre
TICKS = 4


class Line(NamedTuple):
    """One interval with its name, in a unit; `places`: of a set of places instead. difference: of two numbers."""

    label: str
    interval: Interval
    unit: Unit
    difference: bool
    places: tuple[float, ...] = ()

    @property
    def ends(self) -> tuple[float, float]:
        """Its low and high, the centre where there are none."""
        low, centre, high = self.interval.low, self.interval.centre, self.interval.high
        return (centre if np.isnan(low) else low), (centre if np.isnan(high) else high)


class Scale(NamedTuple):
    """From numbers to pixels of a drawing `width` wide; ticks as numbers with their text."""

    low: float
    high: float
    width: int
    ticks: tuple[tuple[float, str], ...]

    def x(self, value: float) -> float:
        """In pixels, within the drawing."""
        share = (value - self.low) / (self.high - self.low)
        return round(float(np.clip(share, 0.0, 1.0)) * (self.width - 8) + 4, 1)


def scale(lines: Sequence[Line], bounds: Sequence[float], width: int = WIDTH) -> Scale | None:
    """Of all lines, which have one unit; None where no number is known.

    Args:
      bounds: between which claims say the numbers lie; infinite ones are left out.
    """
    unit, difference = lines[0].unit, lines[0].difference
    known = [line for line in lines if np.isfinite(line.interval.centre)]
    if not known:
        return None
    edges = [float(b) for b in bounds if np.isfinite(b)] + ([0.0] if difference else [])
    centres = np.array([line.interval.centre for line in known])
    ends = np.array([line.ends for line in known])
    halves = np.abs(ends - centres[:, None])
    halves = halves[np.isfinite(halves) & (halves > 0)]
    reach = FARTHEST * (float(np.median(halves)) if len(halves) else 0.0)
    low = min([*np.maximum(ends[:, 0], centres - reach), *edges])
    high = max([*np.minimum(ends[:, 1], centres + reach), *edges])
    margin = 0.08 * (high - low) or max(abs(low), 1e-9) * 0.05
    if difference or unit.exp:
        low, high = low - margin, high + margin
    else:
        low, high = max(low - margin, unit.low), min(high + margin, unit.high)
    return Scale(low, high, width, tuple(_ticks(low, high, unit)))


def _ticks(low: float, high: float, unit: Unit) -> list[tuple[float, str]]:
    """Round numbers in the unit that readers see, which for logarithms are those of 1, 2 and 5."""
    if unit.exp:
        decades = np.arange(np.floor(low / np.log(10)), np.ceil(high / np.log(10)) + 1)
        steps = (1.0, 2.0, 5.0) if high - low < np.log(200) else (1.0,)
        places = np.array([s * 10.0**d for d in decades for s in steps])
        if high - low > np.log(1.5):
            kept = places[(np.log(places) >= low) & (np.log(places) <= high)]
            kept = kept[:: -(-len(kept) // TICKS)] if len(kept) else kept
            return [(float(np.log(v)), f'{v:,g}') for v in kept]
        low, high = np.exp(low), np.exp(high)
        return [(float(np.log(v)), _short(v)) for v in _round_places(low, high) if v > 0]
    return [(v / unit.scale, _short(v)) for v in _round_places(low * unit.scale, high * unit.scale)]


def _round_places(low: float, high: float) -> list[float]:
    raw = (high - low) / TICKS
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * min((s for s in (1, 2, 2.5, 5, 10) if s * power >= raw), default=10)
    return [float(step * i) for i in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _short(value: float) -> str:
    return f'{value:,.6g}'.replace('-', '−')


def draw(lines: Sequence[Line], bounds: tuple[float, float], on: Scale, *, numbered: bool = True) -> str:
    """An SVG of intervals of one unit; what lies between the bounds is shaded. numbered: with its scale in numbers."""
    labelled = len(lines) <= LONG_ROW
    each = LINE if labelled else THIN
    above = each * len(lines)
    low, high = (on.x(b) if np.isfinite(b) else edge for b, edge in zip(bounds, (0.0, on.width), strict=True))
    box = f'viewBox="0 0 {on.width} {above + FOOT * numbered}"'
    parts = [f'<svg class="intervals" {box} role="img" aria-label="{_spoken(lines)}">']
    if np.isfinite(bounds).any():
        parts.append(f'<rect class="claimed" x="{low}" y="0" width="{max(high - low, 0):.1f}" height="{above}"/>')
    for value, text in on.ticks:
        x, kind = on.x(value), ' zero' if value == 0 and lines[0].difference else ''
        anchor = 'start' if x < 20 else 'end' if x > on.width - 20 else 'middle'
        parts.append(f'<line class="tick{kind}" x1="{x}" x2="{x}" y1="0" y2="{above}"/>')
        parts += (
            [f'<text class="number" x="{x}" y="{above + 11}" text-anchor="{anchor}">{text}</text>'] if numbered else []
        )
    for i, line in enumerate(lines):
        parts += _line(line, each * (i + 0.5), on, labelled)
    return ''.join([*parts, '</svg>'])


def _spoken(lines: Sequence[Line]) -> str:
    return escape('; '.join(line.label for line in lines))


def _line(line: Line, y: float, on: Scale, labelled: bool) -> list[str]:
    if not np.isfinite(line.interval.centre):
        return [_text(line.label, 4, on.width - 4, y, on.width, 'not measured')] if labelled else []
    low, high = line.ends
    parts = [f'<g><title>{escape(line.label)}</title>']
    if line.places:
        parts += [f'<circle class="dot" cx="{on.x(p)}" cy="{y}" r="3.4"/>' for p in line.places]
    else:
        parts.append(f'<line class="interval" x1="{on.x(low)}" x2="{on.x(high)}" y1="{y}" y2="{y}"/>')
        parts += [_arrow(on.x(on.low), y, -1)] if low < on.low else []
        parts += [_arrow(on.x(on.high), y, 1)] if high > on.high else []
        beyond = not on.low <= line.interval.centre <= on.high
        parts += [] if beyond else [f'<circle class="dot" cx="{on.x(line.interval.centre)}" cy="{y}" r="3.4"/>']
    parts.append('</g>')
    return [*parts, *([_text(line.label, on.x(low), on.x(high), y, on.width)] if labelled and line.label else [])]


def _arrow(x: float, y: float, side: int) -> str:
    return f'<path class="dot" d="M{x - 6 * side} {y - 3.5}L{x} {y}L{x - 6 * side} {y + 3.5}Z"/>'


def _text(label: str, left: float, right: float, y: float, width: int, after: str = '') -> str:
    """A label beside its interval, where there is more room; cut where there is not enough."""
    label = PARENT.sub('', label).replace('_', ' ')
    label = f'{label}: {after}' if after else label
    room = {'start': width - right - 12, 'end': left - 12}
    if after:
        room = {'start': float(width), 'end': 0.0}
    side = 'start' if room['start'] >= min(room['end'], len(label) * CHARACTER) else 'end'
    count = int(room[side] / CHARACTER)
    if count < 4:
        return ''
    text = label if len(label) <= count else f'{label[: count - 1].rstrip()}…'
    x = (4 if after else right + 7) if side == 'start' else left - 7
    return f'<text class="label" x="{x:.1f}" y="{y + 3.5}" text-anchor="{side}">{escape(text)}</text>'
