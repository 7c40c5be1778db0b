"""The cells of a study for a reader: their order, their names, their fields, and studies of some of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, NamedTuple

import pandas as pd

from bsresearch.analysis import axis_labels
from bsresearch.analysis.axis_labels import rank, words
from bsresearch.analysis.once import once
from bsresearch.analysis.selectors import Cell, to_selector
from bsresearch.analysis.study import ABSENT, ALL, FINISHED, PARTS, TRAINED, Study
from bsresearch.core import lookup
from bsresearch.core.flat import flatten

CONTROL = 'control'  # of every branch
UNSAID = ('none', 'constant', 'linear', 'sqrt')  # names that do not tell what they are names of
LENGTHS = {'epochs': 'total_epochs', 'updates': 'total_updates', 'examples': 'total_examples'}
# Sections of an arm that change no run's result.
BESIDE = ('branch', 'probe', 'measure', 'keep', 'record', 'norms', 'evaluate', 'scalars')
Key = tuple[Any, ...]  # arm, branch, point, axes: study.parts
SHORT = {'batch_size': 'B', 'learning_rate': 'lr', 'momentum': 'momentum', 'weight_decay': 'decay'}
CHOSEN = {'tuned': 'each tuned'}  # how a number is chosen, beside what is equal


@once
def of(study: Study) -> list[Key]:
    """All that have runs: arms in declared order, each followed by its branches, axes by value."""
    arms = list(study.declared) or [ALL]
    place = {arm: i for i, arm in enumerate([*arms, *sorted(set(study.members['arm']) - set(arms))])}
    of_branch = {name: i for i, name in enumerate([ABSENT, *branches(study)])}
    order = lambda key: (place[key[0]], *map(rank, key[2:3]), of_branch[key[1]], *map(rank, key[3:]))
    return sorted(dict.fromkeys(study.trained['cell']), key=order)


def parts(study: Study, key: Key) -> dict[str, Any]:
    """Arm, branch, point and axes of a cell by name."""
    return dict(zip(study.parts, key, strict=True))


def fields(study: Study, key: Key) -> dict[str, Any]:
    """Batch size, the parts that vary and the axes of a cell: what tells it in a table."""
    of_cell = parts(study, key)
    return {'batch_size': value(study, key, 'batch_size')} | {part: of_cell[part] for part in varying(study)}


def behind(names: Mapping[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    """A table behind columns that have one value each: what it is of."""
    return pd.DataFrame({name: [v] * len(table) for name, v in names.items()}, index=table.index).join(table)


class Member(NamedTuple):
    """A run of a cell."""

    key: Key
    replicate: str
    run: str


def members(study: Study) -> list[Member]:
    """The runs in the order of their cells; one that stands in several cells is of the first."""
    of_cells = dict(list(study.trained.groupby('cell', sort=False)))
    every = [Member(key, row.replicate, row.id) for key in of(study) for row in of_cells[key].itertuples()]
    return list({member.run: member for member in reversed(every)}.values())[::-1]


@once
def branches(study: Study) -> list[str]:
    """Branch arms: the control, then in declared order."""
    there = set(study.members['branch']) - {ABSENT}
    rest = [name for name in study.branch_arms if name != CONTROL]
    return [CONTROL, *rest, *sorted(there - {CONTROL, *rest})]


def pick(study: Study, chosen: Sequence[Cell]) -> list[Key]:
    """The cells that selectors name, in their order; all without. An axis that a selector leaves open may be any."""
    if not chosen:
        return of(study)
    wanted = [to_selector(cell).parts for cell in chosen]
    is_of = lambda key, parts: all(value(study, key, part) == v for part, v in parts.items())
    return list(dict.fromkeys(key for parts in wanted for key in of(study) if is_of(key, parts)))


def value(study: Study, key: Key, field: str) -> Any:
    """A part or axis of a cell, a field that its runs have in common, or one that its arm sets; '' where it has none.

    Raises:
      ValueError: no run has such a field.
    """
    if field in study.parts:
        return key[study.parts.index(field)]
    check_field(study, field)
    if field not in study.runs:
        return settings(study, key[0]).get(field, ABSENT)
    shared = set(study.runs.loc[study.runs_of(key), field].dropna().tolist())
    return shared.pop() if len(shared) == 1 else ABSENT


def check_field(study: Study, field: str) -> None:
    """Raises ValueError with the nearest name where neither a part nor a run has a field."""
    if field not in (known := field_names(study)):
        raise ValueError(f'there is no column {field!r}; {lookup.nearest_of(field, known, varying(study))}')


@once
def field_names(study: Study) -> dict[str, None]:
    """Parts, fields of runs and what arms set."""
    set_by_arms = [field for arm in study.declared for field in settings(study, arm)]
    return dict.fromkeys([*study.parts, *study.runs, *set_by_arms])


@once
def varying(study: Study) -> list[str]:
    """Parts and axes of which the study has several values."""
    return [p for i, p in enumerate(study.parts) if len({key[i] for key in of(study)}) > 1]


@once
def values(study: Study, field: str) -> list[Any]:
    """Those that cells have of a part, axis or field: numbers by size, words in the order of cells."""
    field_values = dict.fromkeys(value(study, key, field) for key in of(study))
    known = [v for v in field_values if v != ABSENT]
    if field == 'branch':
        return [v for v in branches(study) if v in known]
    return sorted(known) if all(isinstance(v, Real) for v in known) else known


@once
def settings(study: Study, arm: str) -> dict[str, Any]:
    """What an arm sets that may change a result, by dotted path; of one that is another's, what that sets."""
    changes = study.declared.get(arm, {})
    flat = flatten(study.declared.get(changes, {}) if isinstance(changes, str) else changes)
    return {field: v for field, v in flat.items() if field.partition('.')[0] not in BESIDE}


@once
def families(study: Study, field: str) -> dict[str, tuple[Any, ...]]:
    """Arm → what it has in common with the arms that differ from it in a field, and in numbers that follow from that.

    A rate that is scaled with the batch size follows from it, so that such arms are one family; where two of these
    have the same value of the field, all else has to be the same.
    """
    aliases = {arm: target for arm, target in study.declared.items() if isinstance(target, str)}
    arms = [arm for arm in study.declared if arm not in aliases]
    rest = {arm: {f: v for f, v in settings(study, arm).items() if f != field} for arm in arms}
    alike: dict[tuple[Any, ...], list[str]] = {}
    for arm, others in rest.items():
        shared = {f: '' if isinstance(v, Real) and not isinstance(v, bool) else repr(v) for f, v in others.items()}
        alike.setdefault(tuple(sorted(shared.items())), []).append(arm)
    family: dict[str, tuple[Any, ...]] = {}
    for shared, members in alike.items():
        given = [settings(study, arm).get(field) for arm in members]
        follows = len(set(given)) == len(given)
        family |= {arm: shared if follows else (shared, repr(sorted(rest[arm].items()))) for arm in members}
    return family | {arm: family[target] for arm, target in aliases.items() if target in family}


def only(study: Study, keep: Callable[[Key], bool]) -> Study:
    """The study of the cells that are kept, with the probes of their arms."""
    kept = study.members['cell'].map(keep) & study.members['kind'].isin(TRAINED)
    probes = (study.members['kind'] == 'probe') & study.members['arm'].isin(set(study.members.loc[kept, 'arm']))
    return replace(study, members=study.members[kept | probes].reset_index(drop=True))


def labels(study: Study, without: Sequence[str] = ()) -> dict[Key, str]:
    """Cell → its name: the arm with what it sets, the branch with its point, and the axes that vary.

    without: axes that are told elsewhere.
    """
    keys = of(study)
    arms, fields = {key[0] for key in keys}, {*varying(study)} - {*without}
    name_arm = len(arms) > 1 and 'arm' not in without
    return {key: _label(study, key, name_arm, fields) for key in keys}


def _label(study: Study, key: Key, name_arm: bool, fields: set[str]) -> str:
    arm, branch, point = key[:3]
    axes = [named(a, v) for a, v in zip(study.axes, key[3:], strict=True) if a in fields and v != ABSENT]
    if branch != ABSENT:
        when = '' if point == ABSENT else f' from epoch {axis_labels.text(point)}'
        parent = f'{words(arm)} → ' if name_arm else ''
        return ', '.join([f'{parent}{words(branch)}{when}', *axes])
    sets = [named(f, v) for f, v in settings(study, arm).items() if f in SHORT]
    sets = [text for text in sets if text != words(arm)]
    data_sets = f' ({", ".join(sets)})' if sets else ''
    return ', '.join([*([f'{words(arm)}{data_sets}'] if name_arm else []), *axes]) or words(
        arm if arm != ALL else study.name
    )


def named(field: str, given: Any) -> str:
    """'B = 64', 'lr 0.1', 'adam', 'momentum 0.9'."""
    text = ('off', 'on')[given] if isinstance(given, bool) else axis_labels.text(given)
    if field == 'batch_size':
        return f'B = {text}'
    if field in PARTS or (field.endswith('.name') and text not in UNSAID):
        return words(text)
    if field.endswith('.name'):
        return f'{axis_labels.of_field(field)} {words(text)}'
    return f'{SHORT.get(field, words(field).replace(".", " "))} {text}'


def described(study: Study, keys: Sequence[Key]) -> list[str]:
    """Phrases for a figure of these cells: task, what is held fixed."""
    runs = study.runs.loc[[run for key in keys for run in study.runs_of(key)]]
    runs = runs[~runs.index.duplicated()]
    task = ' on '.join(filter(None, (_one(runs, 'model.name', 'model.widths'), _one(runs, 'data.name'))))
    epochs = _one(runs, 'epoch_size')
    return [p for p in (f'{task} ({epochs} examples)' if epochs else task, _fixed(study, runs)) if p]


def replicates(study: Study, keys: Sequence[Key]) -> str:
    """'n = 3 seeds', 'n = 2 to 3 seeds'."""
    counts = sorted({len(study.runs_of(key)) for key in keys})
    noun = 'seed' if counts[-1:] == [1] else 'seeds'
    return f'n = {_span(counts)} {noun}{finished(study, keys)}' if counts else ''


def finished(study: Study, keys: Sequence[Key]) -> str:
    """' (1 to 2 of them finished)' where some runs of cells are not; '' else."""
    ended = [sum(study.status(run) in FINISHED for run in study.runs_of(key)) for key in keys]
    whole = all(count == len(study.runs_of(key)) for count, key in zip(ended, keys, strict=True))
    return '' if whole else f' ({_span(sorted(set(ended)))} of them finished)'


def _span(counts: Sequence[int]) -> str:
    """'3', '1 to 3' of rising counts."""
    return ' to '.join(f'{n}' for n in dict.fromkeys([counts[0], counts[-1]]))


def _one(runs: pd.DataFrame, *fields: str) -> str:
    """The values of fields that all runs share."""
    known = [runs[f].iloc[0] for f in fields if f in runs and runs[f].nunique(dropna=False) == 1]
    return ' '.join('-'.join(map(str, v)) if isinstance(v, tuple) else axis_labels.text(v) for v in known)


def _fixed(study: Study, runs: pd.DataFrame) -> str:
    """'equal epochs (30)': what is declared, else the first length that all runs share."""
    shared = {name: _one(runs, column) for name, column in LENGTHS.items()}
    if study.held_fixed:
        of_length = {name: f' ({value})' for name, value in shared.items() if value}
        return ', '.join(CHOSEN.get(name, f'equal {words(name)}{of_length.get(name, "")}') for name in study.held_fixed)
    return next((f'equal {name} ({v})' for name, v in shared.items() if v), 'unequal lengths')
