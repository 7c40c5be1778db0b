"""All critical batch sizes that runs to a target and branches of the same task tell, and where they disagree."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from bsresearch.advice.answer import Advice
from bsresearch.advice.critical import branches, disagreement, sizes
from bsresearch.advice.critical.branches import Branches
from bsresearch.advice.critical.disagreement import Disagreement, Facts
from bsresearch.advice.critical.sizes import Size
from bsresearch.advice.table import Refusal

NO_BRANCHES = 'no branches there: --config=critical_batch_size makes them; --branches names another workdir'


class SideBySide(NamedTuple):
    """place: where the branches begin. lacking: why there are no branches, else ''."""

    sizes: list[Size]
    place: str
    disagreements: list[Disagreement]
    lacking: str = ''


def of(
    advice: Advice, fields: pd.DataFrame | None = None, measured: Sequence[Size] = (), read: Branches | None = None
) -> SideBySide:
    """Of the runs of an advice.

    Args:
      fields: resolved ones of the runs. measured: their noise scales. read: branches of the same task.
    """
    beside, place = [], ''
    if advice.growth is not None:
        beside += sizes.of_law(advice.growth.law, float(advice.growth.sizes[0]))
    if read is not None:
        beside += sizes.of_branches(read)
        place = f'branches at epoch {read.epoch:.3g} of their parents, where {read.metric} is {read.value:.3g}'
    beside += measured
    return SideBySide(beside, place, disagreement.of(beside, _facts(advice, read, fields)))


def of_workdir(
    advice: Advice, fields: pd.DataFrame, measured: Sequence[Size], folder: pathlib.Path, target: tuple[str, float]
) -> SideBySide:
    """The same with the branches in a workdir.

    Args:
      target: metric and value to which the runs came.

    Raises:
      FileNotFoundError, Damaged: of the workdir.
    """
    try:
        read, lacking = branches.read(folder, *target, fields), NO_BRANCHES
    except Refusal as refusal:
        read, lacking = None, str(refusal)
    return of(advice, fields, measured, read)._replace(lacking='' if read else lacking)


def _facts(advice: Advice, read: Branches | None, fields: pd.DataFrame | None) -> Facts:
    values = lambda name: [] if fields is None or name not in fields else list(fields[name].dropna().unique())
    optimizers = values('optimizer.name')
    return Facts(
        optimizer=optimizers[0] if len(optimizers) == 1 else '',
        momentum=any(values('momentum')),
        tuned=advice.runs.several_rates,
        differing=read.differing if read else (),
    )


def lines(found: SideBySide, target: str = '') -> list[str]:
    """For the page; none where there is nothing."""
    if not found.sizes:
        return []
    head = f'critical batch sizes in examples{f", to {target}" if target else ""}'
    names = max(len(size.name) for size in found.sizes)
    numbers = max((len(size.told) for size in found.sizes if not size.refusal), default=0)
    return [
        '',
        f'{head}{f"; {found.place}" if found.place else ""}:',
        *(f'  {size.name:{names}}  {_told(size, numbers)}' for size in found.sizes),
        *(f'  {line}' for line in disagreement.lines(found.disagreements)),
        *([f'  {found.lacking}'] if found.lacking else []),
    ]


def _told(size: Size, width: int) -> str:
    return size.told if size.refusal else f'{size.told:{width}}  {size.definition}'


def as_json(found: SideBySide) -> dict[str, Any]:
    """For programs."""
    plain = lambda value: float(value) if math.isfinite(value) else None
    numbers = ('value', 'low', 'high')
    return {
        'critical_batch_sizes': [
            size._asdict() | {name: plain(getattr(size, name)) for name in numbers} | {'refusal': size.refusal or None}
            for size in found.sizes
        ],
        'branches': found.place or None,
        'disagreements': [one._asdict() for one in found.disagreements],
    }
