"""One meaning per colour in a whole report, and how each cell of a study is drawn.

Batch sizes are dark to light along viridis, evenly in log₂ B; another axis of numbers has a map of its own; everything
without an order (arms, branch arms, words) takes the next of ARMS, six colours that stay apart from viridis and from
one another for every kind of colour blindness (ΔE above 20 in Machado et al. 2009's simulations). What shares a
colour, as points of a branch or values of a second axis, differs in dash and marker.
"""

import itertools
from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

from bsresearch.analysis import cells
from bsresearch.analysis.cells import Key
from bsresearch.analysis.once import once
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.report import plotting

ARMS = ('#d55e00', '#b526e0', '#640000', '#e0a3f8', '#df9f60', '#000000')
# Of axes of numbers but the batch size: a map and the part of it that is legible on white.
RAMPS = (('YlOrBr', 0.4, 0.9), ('PuRd', 0.4, 0.9), ('Greys', 0.4, 0.9))
NONE = '#8a8a8a'  # without a value of the field
DASHES = ('-', '--', ':', '-.', (0, (6, 1, 1, 1, 1, 1)))
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X')
Dash = Any  # a name, or (offset, (on, off, …)) in line widths


class Look(NamedTuple):
    """How a cell is drawn: '#rrggbb', matplotlib's line style and marker."""

    colour: str
    dash: Dash = '-'
    marker: str = ''

    @property
    def line(self) -> 'Look':
        """Without its marker."""
        return self._replace(marker='')

    @property
    def point(self) -> 'Look':
        """Without its line."""
        return self._replace(dash='none')


def nth(colour: str, count: int) -> Look:
    """The look of what has a colour in common with `count` others before it: another dash and marker."""
    return Look(colour, DASHES[count % len(DASHES)], MARKERS[count % len(MARKERS)])


def looks(study: Study, by: str = '', panel: str = '') -> dict[Key, Look]:
    """Cell → how it is drawn; no two in a panel are alike, up to 35 of a colour.

    by: a field with a colour per value instead. panel: one with a panel per value.

    Raises:
      ValueError: there is no such field.
    """
    colours = _of_meanings(study, by)
    if by:
        colours |= {(by, v): colour for v, colour in of_values(study, by).items()} | {(by, ABSENT): NONE}
    drawn: dict[Key, Look] = {}
    taken: dict[tuple[str, Any], int] = {}
    # Parents before branches, and of these the last point first: a solid line is the main one.
    for key in sorted(cells.of(study), key=lambda k: (k[1] != ABSENT, -k[2] if isinstance(k[2], Real) else 0.0)):
        colour = colours[(by, cells.value(study, key, by)) if by else _meaning(study, key)]
        place = (colour, cells.value(study, key, panel) if panel else '')
        count = taken.get(place, 0)
        taken[place] = count + 1
        drawn[key] = nth(colour, count)
    return {key: drawn[key] for key in cells.of(study)}


def of_values(study: Study, field: str) -> dict[Any, str]:
    """Value of a part, an axis or a field of runs → '#rrggbb'."""
    colours = _of_meanings(study, field)
    sizes = _sizes_of_arms(study) if field == 'arm' else {}
    return {v: colours['batch_size', sizes[v]] if v in sizes else colours[field, v] for v in cells.values(study, field)}


@once
def coloured(study: Study) -> str:
    """What the colours of cells tell, but of branches: the batch size where it is an axis, arms, or the first axis."""
    field = primary(study)
    one_arm = len({key[0] for key in cells.of(study)}) == 1
    return field if field and (one_arm or field == 'batch_size') else 'arm'


def of_points(points: Sequence[float]) -> dict[float, str]:
    """Points of a run, such as epochs of checkpoints → '#rrggbb', dark to light from the last to the first."""
    return dict(zip(points, _ramp(RAMPS[1], len(points)), strict=True))


def primary(study: Study) -> str:
    """The field that gives cells of one arm their colours: the batch size, or else the first axis that varies."""
    varying = [axis for axis in study.axes if len(cells.values(study, axis)) > 1]
    return 'batch_size' if 'batch_size' in varying else varying[0] if varying else ''


def _meaning(study: Study, key: Key) -> tuple[str, Any]:
    """What the colour of a cell stands for: a field and its value."""
    arm, branch = key[:2]
    if branch != ABSENT:
        return ('branch', branch)
    field = coloured(study)
    if field != 'arm' and (v := cells.value(study, key, field)) != ABSENT:
        return (field, v)
    size = _sizes_of_arms(study).get(arm)
    return ('arm', arm) if size is None else ('batch_size', size)


@once
def _sizes_of_arms(study: Study) -> dict[str, int]:
    """Arm → batch size, of arms that differ from others in that, and in what follows from it."""
    families: dict[Any, dict[str, int]] = {}
    for arm, family in cells.families(study, 'batch_size').items():
        size = cells.settings(study, arm).get('batch_size')
        if size is not None:
            families.setdefault(family, {})[arm] = int(size)
    return {arm: size for family in families.values() if len(set(family.values())) > 1 for arm, size in family.items()}


def _of_meanings(study: Study, extra: str = '') -> dict[tuple[str, Any], str]:
    """(field, value) → colour, the same for every figure of a study; `extra`: a field of runs that is no axis."""
    sizes = _sizes_of_arms(study)
    colours: dict[tuple[str, Any], str] = {}
    of_axes = {axis: cells.values(study, axis) for axis in study.axes}
    every_size = sorted({*sizes.values(), *(v for v in of_axes.get('batch_size', []))})
    if extra == 'batch_size' and not every_size:
        every_size = cells.values(study, 'batch_size')
    if every_size:
        colours |= {('batch_size', size): colour for size, colour in plotting.palette(every_size).items()}
    ramps = iter(RAMPS)
    words = [('arm', arm) for arm in [*study.declared, *cells.values(study, 'arm')] if arm not in sizes]
    words += [('branch', branch) for branch in cells.branches(study)] if cells.values(study, 'branch') else []
    extra_fields = [extra] if extra and extra not in ('arm', 'branch') else []
    fields = dict.fromkeys([a for a in study.axes if len(of_axes[a]) > 1] + extra_fields)
    for field in fields:
        values = cells.values(study, field)
        if field != 'batch_size' and all(isinstance(v, Real) and not isinstance(v, bool) for v in values):
            colours |= {(field, v): c for v, c in zip(values, _ramp(next(ramps, RAMPS[-1]), len(values)), strict=True)}
        elif field != 'batch_size':
            words += [(field, v) for v in values]
    return colours | dict(zip(dict.fromkeys(words), itertools.cycle(ARMS)))


def _ramp(ramp: tuple[str, float, float], count: int) -> list[str]:
    """Colours along a part of a map."""
    name, low, high = ramp
    return plotting.along(name, [low + (high - low) * i / max(count - 1, 1) for i in range(count)])
