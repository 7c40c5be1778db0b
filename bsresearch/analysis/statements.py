"""Statements: sentences of a source with bounds, put to a study; the kit gives verdict, numbers, n and what was lost.

    Statement('A1', 'takeaway 1', 'At equal epochs a larger batch ends lower.', TEST, steps('small', 'large'), low=0)

It holds where the interval of every contrast lies between `low` and `high` (verdicts.py). Equal, flat, nearly: both
bounds are given, the margin; that is two one-sided tests at 2.5 % each. Only what a contrast compares can cap its
verdict: with a run that diverged, and counts as nothing, it does not hold on the survivors alone; a cell that was
chosen on the edge of what was tried may be better elsewhere, so that where it is the worse nothing is decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bsresearch.analysis import verdicts
from bsresearch.analysis.contrasts import Contrast, Contrasts, Numbers, Selector
from bsresearch.analysis.quantity import Array, Quantity, Unit
from bsresearch.analysis.study import FINISHED, PARTS, TRAINED, Study
from bsresearch.analysis.verdicts import Interval, Part, Verdict


@dataclass(frozen=True)
class Statement:
    """A sentence to be tested.

    Attributes:
      key: short and unique in its findings. source: who says so, with the place. sentence: what, with the source's own
        numbers. quantity: of its contrasts. contrasts: what is compared. low, high: between which every one lies.
      conditions: the contrasts are conditions: `depends` where it holds under some and does not under others.
      held_fixed: where it compares at other lengths than the study. untested: why it is not put to the test.
      note: what a reader has to know of the number.
    """

    key: str
    source: str
    sentence: str
    quantity: Quantity | None = None
    contrasts: Contrasts = ()
    low: float = -np.inf
    high: float = np.inf
    conditions: bool = False
    held_fixed: tuple[str, ...] = ()
    untested: str = ''
    note: str = ''

    def __post_init__(self) -> None:
        """Refuses a statement that says nothing.

        Raises:
          ValueError: neither bounds and contrasts nor a reason.
        """
        if not self.untested and (
            self.quantity is None or not self.contrasts or not np.isfinite([self.low, self.high]).any()
        ):
            raise ValueError(
                f"statement {self.key!r} needs a quantity, contrasts and a bound (low or high), or untested='why'"
            )


class Judged(NamedTuple):
    """One part of a statement as it came out. sees: the smallest effect that it could have seen."""

    contrast: Contrast
    quantity: Quantity
    part: Part
    interval: Interval
    verdict: Verdict
    sees: float

    @property
    def unit(self) -> Unit:
        """The contrast's own, or the quantity's."""
        return self.contrast.unit or self.quantity.unit

    def show(self, value: float, *, unit: bool = True) -> str:
        """A number of this part; with its sign where it is a difference."""
        shown = self.unit.show(value, difference=not self.contrast.level, unit=unit)
        return f'+{shown}' if value > 0 and not self.contrast.level and not self.unit.exp else shown

    @property
    def text(self) -> str:
        """'+1.55 points (+1.38 to +1.72)'."""
        found = self.interval
        if not found.n:
            return 'not measured'
        ends = (self.show(end, unit=False) for end in (found.low, found.high))
        return self.show(found.centre) + ('' if np.isnan(found.low) else f' ({" to ".join(ends)})')


class Verdicts(NamedTuple):
    """A statement as it came out. remarks: what was lost or chosen, and how."""

    statement: Statement
    verdict: Verdict
    judged: tuple[Judged, ...]
    remarks: tuple[str, ...]


def judge(statement: Statement, study: Study) -> Verdicts:
    """Puts a statement to a study.

    Raises:
      ValueError: it names an axis that is not there, or leaves one open: a fault of the findings.
    """
    if statement.untested or statement.quantity is None:
        return Verdicts(statement, 'not measured', (), (statement.untested,))
    arrays: dict[int, Array | Exception] = {}
    judged, remarks = [], []
    for contrast in statement.contrasts:
        quantity = contrast.quantity or statement.quantity
        array = arrays.setdefault(id(quantity), _array(quantity, study))
        parts, told = _parts(contrast, quantity, array, study)
        remarks += told
        judged += [_judged(contrast, quantity, part) for part in parts]
    shared = verdicts.each([one.part for one in judged], statement.low, statement.high)
    capped = []
    for one, verdict in zip(judged, shared, strict=True):
        array = arrays[id(one.quantity)]
        told = _caps(one, array, study) if isinstance(array, Array) else ()
        capped.append('undecided' if verdict == 'holds' and told else verdict)
        remarks += told
    combined = verdicts.across(*capped) if statement.conditions else verdicts.together(*capped)
    remarks += [statement.note] if statement.note else []
    remarks += _lost(study, [cell for contrast in statement.contrasts for cell in contrast.cells])
    final = tuple(one._replace(verdict=verdict) for one, verdict in zip(judged, capped, strict=True))
    return Verdicts(statement, combined, final, tuple(dict.fromkeys(remarks)))


def _parts(
    contrast: Contrast, quantity: Quantity, array: Array | Exception, study: Study
) -> tuple[Sequence[Part], Sequence[str]]:
    """(parts of a contrast, remarks): one without values, with why, where there is nothing to make it of."""
    missing = (verdicts.of(contrast.label, np.empty(0)),)
    if isinstance(array, Exception):
        return missing, [str(array.args[0])]
    try:
        parts = contrast.of(Numbers(array, study, quantity.few))
    except LookupError as e:
        return missing, [str(e.args[0])]
    return (parts,) if isinstance(parts, Part) else parts or missing, array.remarks


def _judged(contrast: Contrast, quantity: Quantity, part: Part) -> Judged:
    return Judged(contrast, quantity, part, verdicts.interval(part), 'not measured', verdicts.smallest_effect(part))


def _array(quantity: Quantity, study: Study) -> Array | Exception:
    """What a quantity is; why it is not, where the records lack a metric or a probe."""
    try:
        return quantity.of(study)
    except LookupError as e:
        return e
    except ValueError as e:
        missing = [m for m in quantity.metrics if not any(m in rows for rows in study.rows.values())]
        if not missing:
            raise
        return e


def _runs(study: Study, selector: Selector) -> list[str]:
    """The runs that a selector is about; of all values of an axis that it does not name."""
    named = dict(zip(PARTS, selector[:3], strict=True)) | {a: v for a, v in selector.axes if a in study.axes}
    members = study.members[study.members['kind'].isin(TRAINED)]
    for part, value in named.items():
        members = members[members[part] == value]
    return list(members['id'].unique())


def _caps(one: Judged, array: Array, study: Study) -> tuple[str, ...]:
    """Why a contrast cannot hold."""
    told, contrast = [], one.contrast
    for selector in contrast.cells:
        gone = _count(study, selector, 'diverged')
        if gone and not one.quantity.diverged and not _reduced(array, study, selector):
            told.append(f'{selector}: {gone} diverged, so that it does not hold on the others alone')
    if len(contrast.cells) == 2 and not contrast.level:
        told += _worse_on_edge(one, array, study)
    return tuple(told)


def _reduced(array: Array, study: Study, selector: Selector) -> bool:
    """Whether an axis of the study was reduced, so that the cell is a chosen one."""
    return bool(set(study.axes) - set(array.names) - {axis for axis, _ in selector.axes})


def _worse_on_edge(one: Judged, array: Array, study: Study) -> list[str]:
    """The cell that is the worse one, where its best lies on the edge: it may be better beyond."""
    numbers, centre = Numbers(array, study), one.interval.centre
    better = -1.0 if one.quantity.higher_is_better is False else 1.0
    worse = one.contrast.cells[0] if centre * better < 0 else one.contrast.cells[1]
    if array.edges and numbers.cell(worse) in array.edges:
        return [f'{worse} is at its best on the edge of what was tried: it may be better beyond']
    return []


def _count(study: Study, selector: Selector, status: str) -> int:
    return int((study.runs.reindex(_runs(study, selector))['status'] == status).sum())


def _lost(study: Study, selectors: Sequence[Selector]) -> list[str]:
    """Runs that are not in the numbers, in words."""
    told = []
    for selector in dict.fromkeys(selectors):
        statuses = study.runs.reindex(_runs(study, selector))['status']
        unfinished, diverged = int((~statuses.isin(FINISHED)).sum()), int((statuses == 'diverged').sum())
        told += [f'{selector}: {diverged} of {len(statuses)} runs diverged'] if diverged else []
        told += [f'{selector}: {unfinished} of {len(statuses)} runs are unfinished'] if unfinished else []
    return told
