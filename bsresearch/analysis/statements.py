"""Statements: sentences of a source with bounds, put to a study; the kit gives verdict, numbers, n and what was lost.

    Statement('A1', 'takeaway 1', 'At equal epochs a larger batch ends lower.', TEST, steps('small', 'large'), low=0)

It holds where the interval of every contrast lies between `low` and `high` (verdicts.py). Equal, flat, nearly: both
bounds are given, the margin; that is two one-sided tests at 2.5 % each. Differs: `differs_from` is given, 0 of a
difference or of the logarithm of a ratio; it holds where the interval lies on one side of it, and is else undecided.
Only what a contrast compares can cap its verdict: with a run that diverged, and counts as nothing, it does not hold on
the survivors alone. A cell that was chosen on the edge of what was tried may be better beyond: its contrast is open to
that side, so that nothing is decided where it is the worse, nor that it is equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bsresearch.analysis import equal_terms, undecided, verdicts
from bsresearch.analysis.contrasts import Contrast, Contrasts, Numbers, Selector
from bsresearch.analysis.quantity import TIMES, Array, Quantity, Unit
from bsresearch.analysis.study import FINISHED, Study
from bsresearch.analysis.verdicts import Interval, Part, Verdict

# What makes a claim fail, or leaves it open: how it was trained and compared; how many seeds, examples, updates; what
# was learned; how a number was read.
REASONS = ('protocol', 'size', 'data', 'estimator')


@dataclass(frozen=True)
class Statement:
    """A sentence to be tested.

    Attributes:
      key: short and unique in its findings. source: who says so, with the place. sentence: what, with the source's own
        numbers. quantity: of its contrasts. contrasts: what is compared. low, high: between which every one lies.
        differs_from: in their place, what none of them is.
      conditions: the contrasts are conditions: `depends` where it holds under some and does not under others.
      held_fixed: where it compares at other lengths than the study. untested: why it is not put to the test.
      note: what a reader has to know of the number. reason: what was said of it once the records had been seen: why it
        came out so, which of a claim that does not hold begins with what it lies in ('size: …', REASONS). later: the
        sentence itself was added only then.
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
    differs_from: float | None = None
    reason: str = ''
    later: bool = False

    def __post_init__(self) -> None:
        """Refuses a statement that says nothing, or not what it seems to.

        Raises:
          ValueError: neither bounds and contrasts nor a reason; a ratio of what is no logarithm.
        """
        if not self.untested and (self.quantity is None or not self.contrasts or not np.isfinite(self.bounds).any()):
            raise ValueError(
                f'statement {self.key!r} needs a quantity, contrasts and a bound (low, high or differs_from), or '
                "untested='why'"
            )
        if self.differs_from is not None and np.isfinite([self.low, self.high]).any():
            raise ValueError(f'statement {self.key!r}: differs_from stands in place of low and high; take them out')
        for contrast in self.contrasts:
            quantity = contrast.quantity or self.quantity
            if contrast.of_logarithm and quantity is not None and not quantity.unit.exp:
                raise ValueError(
                    f'statement {self.key!r}: a ratio ({contrast.label}) is of a logarithm: give log(quantity), with '
                    'bounds that are logarithms; or minus(a, b) for the difference'
                )

    @property
    def bounds(self) -> tuple[float, float]:
        """(low, high); twice what it differs from."""
        return (self.low, self.high) if self.differs_from is None else (self.differs_from, self.differs_from)


class Judged(NamedTuple):
    """One part of a statement as it came out.

    sees: the smallest effect that it could have seen. why: it is undecided; '' where it is not, or that is not known.
    """

    contrast: Contrast
    quantity: Quantity
    part: Part
    interval: Interval
    verdict: Verdict
    sees: float
    why: str = ''

    @property
    def unit(self) -> Unit:
        """The contrast's own, or the quantity's."""
        return self.contrast.unit or self.quantity.unit

    def show(self, value: float, *, unit: bool = True) -> str:
        """A number of this part; with its sign where it is a difference."""
        number = self.unit.show(value, difference=not self.contrast.level, unit=unit)
        return f'+{number}' if value > 0 and not self.contrast.level and not self.unit.exp else number

    def bound(self, value: float) -> str:
        """A bound of this part: '0', '+2 points', '1 times'."""
        return self.show(value) if value or self.unit.exp else '0'

    @property
    def smallest(self) -> str:
        """The smallest effect that it could have seen, in words; of a logarithm a factor. '' where none is known."""
        unit = TIMES if self.unit.exp else self.unit
        return '' if np.isnan(self.sees) else unit.show(self.sees, difference=True)

    @property
    def text(self) -> str:
        """'+1.55 points (+1.38 to +1.72)'; where the estimate itself is infinite, what the finite end says."""
        estimate = self.interval
        if not estimate.n:
            return 'not measured'
        if np.isneginf(estimate.low) and np.isposinf(estimate.high):
            return 'any number is possible'
        if np.isinf(estimate.centre):
            return (
                f'at most {self.show(estimate.high)}' if estimate.centre < 0 else f'at least {self.show(estimate.low)}'
            )
        # Of two replicates an interval reaches beyond what a level can be.
        low, high = (-np.inf, np.inf) if not self.contrast.level else (self.unit.low, self.unit.high)
        ends = (self.show(min(max(end, low), high), unit=False) for end in (estimate.low, estimate.high))
        return self.show(estimate.centre) + ('' if np.isnan(estimate.low) else f' ({" to ".join(ends)})')


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
    if unequal := equal_terms.differing(statement.held_fixed or study.held_fixed, statement.contrasts, study):
        return Verdicts(statement, 'not measured', (), (unequal,))
    judged, remarks, lost = [], [], []
    bounds = int(np.isfinite(statement.bounds).sum())
    for contrast in statement.contrasts:
        quantity = contrast.quantity or statement.quantity
        for part, of_part in _parts(contrast, quantity, _array(quantity, study), study):
            remarks += of_part
            lost.append(_lost_on_the_way(contrast, quantity, part, study))
            estimate, sees = verdicts.interval(part, bounds=bounds), verdicts.smallest_effect(part)
            judged.append(Judged(contrast, quantity, part, estimate, 'not measured', sees))
    parts = [one.part for one in judged]
    shared: list[Verdict] = verdicts.each(parts, statement.low, statement.high)
    if statement.differs_from is not None:
        shared = [verdicts.differing(part, statement.differs_from) for part in parts]
    capped: list[Verdict] = ['undecided' if v == 'holds' and gone else v for v, gone in zip(shared, lost, strict=True)]
    combined = verdicts.across(*capped) if statement.conditions else verdicts.together(*capped)
    remarks += [*filter(None, lost), *([statement.note] if statement.note else [])]
    remarks += _lost(study, [cell for contrast in statement.contrasts for cell in contrast.cells])
    why = lambda one, gone: gone or undecided.why(one.part, one.interval, statement.bounds, one.bound)
    final = tuple(
        one._replace(verdict=verdict, why=why(one, gone) if verdict == 'undecided' else '')
        for one, verdict, gone in zip(judged, capped, lost, strict=True)
    )
    return Verdicts(statement, combined, final, tuple(dict.fromkeys(remarks)))


def _parts(
    contrast: Contrast, quantity: Quantity, array: Array | str, study: Study
) -> list[tuple[Part, Sequence[str]]]:
    """The parts of a contrast with remarks: one without values, with why, where there is nothing to make it of."""
    missing = verdicts.of(contrast.label, np.empty(0))
    if isinstance(array, str):
        return [(missing, [array])]
    try:
        parts = contrast.of(Numbers(array, study, quantity.few, quantity.higher_is_better))
        if isinstance(parts, Part):
            parts = [_with_choice(parts, contrast, quantity, array, study)]
    except LookupError as e:
        return [(missing, [str(e.args[0])])]
    meant = [text for cell, text in array.remarks.items() if _compares(contrast, cell, array.names)]
    return [(part, [*meant, *_of_choice(part)]) for part in parts or [missing]]


def _compares(contrast: Contrast, cell: Sequence[object], names: Sequence[str]) -> bool:
    return not contrast.cells or any(selector.is_of(cell, names) for selector in contrast.cells)


def _of_choice(part: Part) -> list[str]:
    """What a reader has to know of numbers that were chosen."""
    edge = part.along is not None and bool(part.along.places().beyond)
    edge_remarks = [f'{part.label}: on the edge of what was tried; the best may lie beyond'] if edge else []
    if part.open_low or part.open_high:
        edge_remarks.append(f'{part.label}: chosen on the edge of what was tried; it may be better beyond')
    if part.halves is not None:
        edge_remarks.append(
            f'{part.label}: the interval holds also what each half of the replicates has where the other chose'
        )
    return edge_remarks


def _with_choice(part: Part, contrast: Contrast, quantity: Quantity, array: Array, study: Study) -> Part:
    """A part of what was chosen: with its twin by the other half's choice, and open where it may be better beyond.

    A number by itself is centred on the twin: the mean over replicates that did not choose.
    """
    if array.edges and part.along is None:
        open_low, open_high = _open_ends(contrast, quantity, Numbers(array, study))
        part = part._replace(open_low=open_low, open_high=open_high)
    if array.halves is None:
        return part
    twin = contrast.of(Numbers(array.halves, study, quantity.few, quantity.higher_is_better))
    assert isinstance(twin, Part)
    twin = twin._replace(open_low=part.open_low, open_high=part.open_high)
    by_itself = len(contrast.cells) == 1 and part.along is None
    return twin._replace(halves=part) if by_itself else part._replace(halves=twin)


def _open_ends(contrast: Contrast, quantity: Quantity, numbers: Numbers) -> tuple[bool, bool]:
    """Whether a contrast may lie lower or higher: of a cell that was chosen on an edge the best is better or equal."""
    better = {True: 1, False: -1, None: 0}[quantity.higher_is_better]
    if not contrast.signs:
        return True, True
    signs = [
        s for cell, s in zip(contrast.cells, contrast.signs, strict=True) if numbers.cell(cell) in numbers.array.edges
    ]
    return any(s * better <= 0 for s in signs), any(s * better >= 0 for s in signs)


def _array(quantity: Quantity, study: Study) -> Array | str:
    """What a quantity is; why it is not, where the records lack a metric or a probe."""
    try:
        return quantity.of(study)
    except LookupError as e:
        return str(e.args[0])
    except ValueError as e:
        if study.recorded.issuperset(quantity.metrics):
            raise
        return str(e)


def _lost_on_the_way(contrast: Contrast, quantity: Quantity, part: Part, study: Study) -> str:
    """Why a contrast cannot hold: replicates are not in it whose runs diverged. '' where all are, or none did."""
    parts = [part] if part.halves is None else [part, part.halves]
    whole = part.along is not None or all(len(one.known.low) == len(one.low) for one in parts)
    if quantity.diverged or whole:
        return ''
    counts = {cell: int((equal_terms.runs_of(study, cell)['status'] == 'diverged').sum()) for cell in contrast.cells}
    gone = [f'{cell}: {count} diverged' for cell, count in counts.items() if count]
    return f'{", ".join(gone)}, so that it does not hold on the others alone' if gone else ''


def _lost(study: Study, selectors: Sequence[Selector]) -> list[str]:
    """Runs that are not in the numbers, in words."""
    lost_runs = []
    for selector in dict.fromkeys(selectors):
        statuses = equal_terms.runs_of(study, selector)['status'].tolist()
        unfinished, diverged = sum(s not in FINISHED for s in statuses), statuses.count('diverged')
        lost_runs += [f'{selector}: {diverged} of {len(statuses)} runs diverged'] if diverged else []
        lost_runs += [f'{selector}: {unfinished} of {len(statuses)} runs are unfinished'] if unfinished else []
    return lost_runs
