"""Whether the names in a findings module are those of its study: cells, axes, fields, columns of records, probes."""

import ast
import difflib
import pathlib
from collections.abc import Collection, Iterator, Sequence
from types import ModuleType
from typing import NamedTuple

import pandas as pd

from bsresearch.analysis import courses, recorded
from bsresearch.analysis.cells import CONTROL
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.selectors import Selector, to_selector
from bsresearch.analysis.statements import Statement
from bsresearch.analysis.study import ABSENT, ALL, PARTS

SHORTEST = 4
ALIKE = 0.7  # how much of two names has to be the same for one to be suggested
OPTIONS = ('x', 'y', 'by', 'panel')  # of the general figures, that name a field
GENERAL = ('curves', 'versus', 'heat', 'pareto', 'ridge', 'best_of')
POSITION = 'x of curves'


class Recorded(NamedTuple):
    """What the runs of a study record, or will.

    Attributes:
      runs: a row per run, a column per resolved field. fields: that a figure may name beside those.
      columns: that are there whatever the fields say, as of measurements of a user's own; None where those are not
        known before a run is made.
      probes: kinds that are made; None where that depends on results. classes: whether there is an accuracy.
    """

    runs: pd.DataFrame
    fields: Collection[str] = ()
    columns: Collection[str] | None = ()
    probes: Collection[str] | None = None
    classes: bool = True


class Known(NamedTuple):
    """What a study has.

    Attributes:
      arms: none for a study without, whose one arm is `all`. branch_arms: but the control. axes: fields.
      recorded: None where that is not to be looked at.
    """

    arms: Collection[str]
    branch_arms: Collection[str] = ()
    axes: Collection[str] = ()
    recorded: Recorded | None = None


class _Reading(NamedTuple):
    """What a claim or a figure reads.

    of: it, in words. about: of each of these one member is enough. fields: (what for, name) of those that it names; a
    position in training, where it is for POSITION.
    """

    of: str
    key: str
    cells: list[Selector]
    axes: list[str]
    about: list[Sequence[str | Quantity]]
    fields: list[tuple[str, str]]


def check(module: ModuleType, known: Known) -> list[str]:
    """Checks what claims and figures name.

    Returns:
      which of them are about what this study has not got or does not record, a line for each such thing: it may be a
      part of a larger one, and a measurement may be left out on purpose.

    Raises:
      ValueError: a name that is nearly one of the study's, or of a column or field that there is not; one line, with
        file and line.
    """
    missing: dict[str, list[tuple[str, str]]] = {}  # why → (which, where)
    for one in _readings(module):
        for what, name, allowed, text in _named(one, known):
            if name in allowed:
                continue
            where = place(module, text, name, one.key)
            if near := next((other for other in allowed if _mistyped(name, other)), None):
                raise ValueError(f'{where}: {one.of}: no {what} {name!r}; did you mean {near!r}?')
            missing.setdefault(f'no {what} {name} here{_perhaps(name, allowed)}', []).append((one.of, where))
        if known.recorded is not None:
            _check_fields(module, one, known, known.recorded)
            for group in one.about:
                reasons = [_unasked(module, one, about, known.recorded) for about in group]
                if reasons and all(reasons):
                    missing.setdefault(reasons[0], []).append((one.of, place(module, one.key)))
    reasons_missing = {
        why: (', '.join(dict.fromkeys(of for of, _ in places)), places[0][1]) for why, places in missing.items()
    }
    return [f'not measured: {which} ({where}): {why}' for why, (which, where) in reasons_missing.items()]


def _readings(module: ModuleType) -> Iterator[_Reading]:
    """Of every claim and figure."""
    for statement in module.CLAIMS:
        yield _of_claim(statement)
    for number, figure in enumerate(module.FIGURES):
        of = f'figure {figure.name or number}'
        cells = [to_selector(cell) for option in ('cells', 'ends_of') for cell in figure.options.get(option, ())]
        together = figure.kind in ('curves', 'schedule')  # which draw what there is
        about: list[Sequence[str | Quantity]] = [figure.about] if together else [(one,) for one in figure.about]
        rules = figure.options.get('rules', {}).values()
        about += [(rule,) for rule in rules if isinstance(rule, Quantity)]
        yield from (_of_claim(rule)._replace(of=of) for rule in rules if isinstance(rule, Statement))
        axes = [axis for one in figure.about if isinstance(one, Quantity) for axis in one.reduces]
        options = figure.options if figure.kind in GENERAL else {}
        fields = [
            (POSITION if (figure.kind, o) == ('curves', 'x') else o, options[o]) for o in OPTIONS if options.get(o)
        ]
        yield _Reading(of, figure.name or figure.kind, cells, axes, about, fields)


def _of_claim(statement: Statement) -> _Reading:
    quantities = [contrast.quantity or statement.quantity for contrast in statement.contrasts]
    about: list[Sequence[str | Quantity]] = [(quantity,) for quantity in quantities if quantity is not None]
    about += [(contrast.reads,) for contrast in statement.contrasts if contrast.reads]
    axes = [axis for quantity in quantities if quantity is not None for axis in quantity.reduces]
    cells = [cell for contrast in statement.contrasts for cell in contrast.cells]
    fields = [(contrast.label, contrast.along) for contrast in statement.contrasts if contrast.along]
    return _Reading(f'claim {statement.key!r}', statement.key, cells, axes, about, fields)


def _named(one: _Reading, known: Known) -> Iterator[tuple[str, str, list[str], str]]:
    """(what it is, name, what there is, as it stands in the file) of each arm, branch and axis."""
    for cell in one.cells:
        yield 'arm', cell.arm, [*known.arms] or [ALL], str(cell)
        yield 'branch', cell.branch, [ABSENT, CONTROL, *known.branch_arms], str(cell)
        yield from (('axis', axis, [*known.axes], axis) for axis, _ in cell.axes)
    yield from (('axis', axis, [*known.axes], axis) for axis in one.axes)


def _check_fields(module: ModuleType, one: _Reading, known: Known, there: Recorded) -> None:
    """Raises ValueError where what should be a field, or a position in training, is none."""
    fields = [*PARTS, *known.axes, *there.runs, *there.fields]
    for what, name in one.fields:
        if name not in (courses.POSITIONS if what == POSITION else fields):
            kind, every, allowed = (
                ('position in training', [*courses.POSITIONS], [*courses.POSITIONS]) if what == POSITION
                else ('field', fields, ['arm', *known.axes])
            )  # fmt: skip
            raise ValueError(
                f'{place(module, name, one.key)}: {one.of}: {what}: no {kind} {name!r}; {_cure(name, every, allowed)}'
            )


def _unasked(module: ModuleType, one: _Reading, about: str | Quantity, there: Recorded) -> str:
    """Why what it is about will not be measured, with the cure; '' where it will.

    Raises:
      ValueError: a column that nothing records, with file and line.
    """
    for column in (about,) if isinstance(about, str) else about.metrics:
        if there.columns is not None and {column, column.partition('/')[0]} & {*there.columns}:
            continue
        if recorded.section_of(column) is None:
            if there.columns is None:
                continue
            have = sorted(c for c in recorded.COLUMNS if recorded.section_of(c) and not recorded.cure(there.runs, c))
            cure = _cure(column, [*recorded.COLUMNS, *there.columns], [*have, *there.columns])
            raise ValueError(f'{place(module, column, one.key)}: {one.of}: no run records {column!r}; {cure}')
        if cure := recorded.cure(there.runs, column):
            return f'{column} is not recorded; set {cure}'
        if column.endswith('_accuracy') and not there.classes:
            return f'{column} is not recorded: outputs under this loss are no classes'
    probe = '' if isinstance(about, str) else about.probe
    if probe and there.probes is not None and probe not in there.probes:
        return f'no {probe} probe is made; set config.probe.name={probe}'
    return ''


def _mistyped(name: str, meant: str) -> bool:
    """Whether they differ in one letter or in the order of letters; of short names and of numbers each is its own."""
    changes = difflib.SequenceMatcher(None, name, meant, autojunk=False).get_opcodes()
    apart = max(sum(b - a for tag, *ends in changes if tag != 'equal' for a, b in [ends[k : k + 2]]) for k in (0, 2))
    return _numbered_alike(name, meant) and len(name) >= SHORTEST and (apart <= 1 or sorted(name) == sorted(meant))


def _numbered_alike(name: str, other: str) -> bool:
    return [c for c in name if c.isdigit()] == [c for c in other if c.isdigit()]


def _perhaps(name: str, allowed: Sequence[str]) -> str:
    """'; did you mean …?' where something has nearly that name."""
    alike = [other for other in allowed if other and _numbered_alike(name, other)]
    close = difflib.get_close_matches(name, alike, n=1, cutoff=ALIKE)
    return f'; did you mean {close[0]!r}?' if close else ''


def _cure(name: str, every: Collection[str], told: Collection[str]) -> str:
    """The nearest of all there are, or else those that are told."""
    close = difflib.get_close_matches(name, every, n=1)
    return f'did you mean {close[0]!r}?' if close else f'allowed: {", ".join(told)}'


def place(module: ModuleType, *names: str) -> str:
    """'mine.py, line 8', the first that has one of these names as a text or an argument, the first of them that is."""
    file = pathlib.Path(str(module.__file__))
    try:
        nodes = list(ast.walk(ast.parse(file.read_text(encoding='utf-8'))))
    except (OSError, SyntaxError):
        return file.name
    is_it = lambda node, name: getattr(node, 'value', None) == name or getattr(node, 'arg', None) == name
    lines = [[node.lineno for node in nodes if isinstance(node, ast.Constant | ast.keyword) and is_it(node, name)]
             for name in names]  # fmt: skip
    return next((f'{file.name}, line {min(of_name)}' for of_name in lines if of_name), file.name)
