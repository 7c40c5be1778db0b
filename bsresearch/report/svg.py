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
BESIDE = 1.5  # a number that a claim says it differs from
ABOVE, GAP = 11, 8  # CSS pixels: of a label above its interval, between both
CHARACTER = 6.3  # CSS pixels of a label's character, at most
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
    reach = np.array([np.inf if line.places else reach for line in known])
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
        in_unit = np.log(unit.scale)  # a factor of what is shown is a term of its logarithm
        low, high = low + in_unit, high + in_unit
        decades = np.arange(np.floor(low / np.log(10)), np.ceil(high / np.log(10)) + 1)
        steps = (1.0, 2.0, 5.0) if high - low < np.log(200) else (1.0,)
        places = np.array([s * 10.0**d for d in decades for s in steps])
        kept = places[(np.log(places) >= low) & (np.log(places) <= high)]
        if len(kept) > 2 or len(steps) == 1:
            return [(float(np.log(v) - in_unit), f'{v:,g}') for v in kept[:: -(-len(kept) // TICKS)]]
        low, high = np.exp(low), np.exp(high)
        return [(float(np.log(v) - in_unit), _short(v)) for v in _round_places(low, high) if v > 0]
    return [(v / unit.scale, _short(v)) for v in _round_places(low * unit.scale, high * unit.scale)]


def _round_places(low: float, high: float) -> list[float]:
    raw = (high - low) / TICKS
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * min((s for s in (1, 2, 2.5, 5, 10) if s * power >= raw), default=10)
    return [float(step * i) for i in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _short(value: float) -> str:
    return f'{value:,.6g}'.replace('-', '−')


class _Label(NamedTuple):
    """Where a line's label stands: beside its interval, or above it where there is no room."""

    text: str
    x: float
    anchor: str
    above: bool = False


def _claimed(bounds: tuple[float, float], on: Scale) -> list[tuple[float, float]]:
    """Where the claim says that intervals lie, as (from, to): between the bounds, or on both sides of a number."""
    low, high = (on.x(b) if np.isfinite(b) else edge for b, edge in zip(bounds, (0.0, on.width), strict=True))
    if not np.isfinite(bounds).any():
        return []
    return [(low, high)] if bounds[0] < bounds[1] else [(0.0, low - BESIDE), (high + BESIDE, on.width)]


def draw(lines: Sequence[Line], bounds: tuple[float, float], on: Scale, *, numbered: bool = True) -> str:
    """An SVG of intervals of one unit; what lies between the bounds is shaded. numbered: with its scale in numbers."""
    labels = [_label(line, on) if line.label and len(lines) <= LONG_ROW else None for line in lines]
    each = LINE if len(lines) <= LONG_ROW else THIN
    heights = [each + ABOVE * bool(label and label.above) for label in labels]
    bottom = sum(heights)
    spoken = escape('; '.join(line.label for line in lines))
    box = f'viewBox="0 0 {on.width} {bottom + FOOT * numbered}"'
    parts = [f'<svg class="intervals" {box} role="img" aria-label="{spoken}">']
    for low, high in _claimed(bounds, on):
        parts.append(f'<rect class="claimed" x="{low}" y="0" width="{max(high - low, 0):.1f}" height="{bottom}"/>')
    for value, text in on.ticks:
        x, kind = on.x(value), ' zero' if value == 0 and lines[0].difference else ''
        parts.append(f'<line class="tick{kind}" x1="{x}" x2="{x}" y1="0" y2="{bottom}"/>')
        anchor = 'start' if x < 20 else 'end' if x > on.width - 20 else 'middle'
        parts += [_text('number', text, x, bottom + 11, anchor)] if numbered else []
    for place, (line, label) in enumerate(zip(lines, labels, strict=True)):
        y = sum(heights[: place + 1]) - each / 2
        parts.append(_interval(line, y, on))
        if label:
            parts.append(_text('label', label.text, label.x, y + 3.5 - ABOVE * label.above, label.anchor))
    return ''.join([*parts, '</svg>'])


def _text(kind: str, text: str, x: float, y: float, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _interval(line: Line, y: float, on: Scale) -> str:
    """Nothing where there is no finite number; its label says so."""
    if not np.isfinite(line.ends).any():
        return ''
    low, high = line.ends
    dots = line.places or (line.interval.centre,)
    parts = [] if line.places else [f'<line class="interval" x1="{on.x(low)}" x2="{on.x(high)}" y1="{y}" y2="{y}"/>']
    parts += [_arrow(on.x(on.low), y, -1)] if low < on.low else []
    parts += [_arrow(on.x(on.high), y, 1)] if high > on.high else []
    parts += [f'<circle class="dot" cx="{on.x(p)}" cy="{y}" r="3.4"/>' for p in dots if on.low <= p <= on.high]
    return f'<g><title>{escape(line.label)}</title>{"".join(parts)}</g>'


def _arrow(x: float, y: float, side: int) -> str:
    return f'<path class="dot" d="M{x - 6 * side} {y - 3.5}L{x} {y}L{x - 6 * side} {y + 3.5}Z"/>'


def _label(line: Line, on: Scale) -> _Label:
    text = PARENT.sub('', line.label).replace('_', ' ')
    if not np.isfinite(line.ends).any():
        infinite = {True: ': ∞', False: ': −∞'}[line.interval.centre > 0]
        return _Label(f'{text}{infinite if line.interval.n else ": not measured"}', 4, 'start')
    left, right = (on.x(end) for end in line.ends)
    needed = len(text) * CHARACTER
    if needed <= on.width - right - GAP:
        return _Label(text, right + GAP, 'start')
    if needed <= left - GAP:
        return _Label(text, left - GAP, 'end')
    return _Label(text, min(max((left + right) / 2, needed / 2), on.width - needed / 2), 'middle', above=True)
