"""Branch arms: which branches a run gets, by name.

`config.branch.arms.<name>` holds the changes of a branch, and of its own: `of`, the arms whose runs are branched (all
without it); `at_epochs`, `at_steps`, where (else those of `config.branch`); `state`, what becomes of parts of the state
(over those of `config.branch`). Each of `config.branch.batch_sizes` and `learning_rates` is a branch arm too. Wherever
one begins, so does the control, which changes nothing.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from bsresearch.core import kinds, lookup
from bsresearch.core.flat import flatten, nested
from bsresearch.measure.probes import POINTS
from bsresearch.planning import arms, branch, edit, recording, resolve, schema
from bsresearch.planning.plan import Plan

CONTROL = 'control'
SETTINGS = ('of', *POINTS, 'state')  # of a branch arm itself; its other fields are changes


class BranchArm(NamedTuple):
    """points: update → the epoch that was declared. changes: dotted path → value. state: part → policy."""

    name: str
    points: dict[int, float]
    changes: dict[str, Any]
    state: dict[str, str]


class Branch(NamedTuple):
    """A branch's plan, the name of its arm, and the epoch that was declared for the point where it begins."""

    plan: Plan
    name: str
    point: float


def check(section: Mapping[str, Any], names: Collection[str]) -> None:
    """Refuses branch arms that cannot be.

    Args:
      section: `config.branch.arms`. names: of the config's arms, aliases too.

    Raises:
      ValueError: that.
    """
    for name, given in section.items():
        where = f'config.branch.arms.{name}'
        arms.check_name(name, 'config.branch.arms')
        if name == CONTROL or not isinstance(given, Mapping):
            why = 'the control is always there' if name == CONTROL else 'a section of changes is needed'
            raise ValueError(f'{where}: {why}')
        for field in POINTS:
            kinds.check(f'{where}.{field}', given.get(field, ()), (), schema.hints()['branch'][field])
        kinds.check(f'{where}.of', given.get('of', ()), (), tuple[str, ...])
        for arm in given.get('of', ()):
            if arm not in names:
                raise ValueError(f'{where}.of={arm!r}: no such arm; {lookup.nearest(arm, names)}')
        kinds.check(f'{where}.state', given.get('state', {}), {}, dict)
        _check_changes(_changes(given), where)


def _check_changes(changes: Mapping[str, Any], where: str) -> None:
    for field in changes:
        first = field.split('.')[0]
        if field in edit.LENGTHS:
            raise ValueError(f'{where}.{field}: config.branch.more_epochs or more_examples says how long they train')
        if first in (*schema.QUESTION, 'study', 'sweep', 'branch', 'probe'):
            raise ValueError(f'{where}.{field}: a branch cannot change it; it has changes of what is trained')
    try:
        resolve.check_fields(nested(changes))
    except ValueError as e:
        raise ValueError(f'{where}: {e}') from e


def _changes(given: Mapping[str, Any]) -> dict[str, Any]:
    return flatten({k: v for k, v in given.items() if k not in SETTINGS})


def declared(section: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Branch arm → its changes by dotted path and its own fields; the control first; of a config's `branch`."""
    fields = {'batch_size': section['batch_sizes'], 'learning_rate': section['learning_rates']}
    single = {f'{field}={value}': {field: value} for field, values in fields.items() for value in values}
    settings = lambda given: {k: given[k] for k in SETTINGS if k in given}
    named = {name: settings(given) | _changes(given) for name, given in section['arms'].items()}
    return {CONTROL: {}, **single, **named} if single or named else {}


def of_arm(section: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """What of `config.branch.arms` branches off the runs of an arm that has these names."""
    applying = {name: given for name, given in section.items() if set(given.get('of') or names).intersection(names)}
    return {name: {k: v for k, v in given.items() if k != 'of'} for name, given in applying.items()}


def section_of(plan: Plan) -> dict[str, Any]:
    """`config.branch` of a run, with the arms that branch off it."""
    return {**plan.recording['branch'], 'arms': plan.declared.get('branch', {}).get('arms', {})}


def of_run(plan: Plan) -> list[BranchArm]:
    """Those of a run, the control first; none where it is no parent."""
    of_all = section_of(plan)
    usual = {part: of_all[part] for part in branch.PARTS if of_all[part] is not None}
    branch_arms = []
    for name, given in declared(of_all).items():
        points, where = {k: given[k] for k in POINTS if k in given}, f'config.branch.arms.{name}'
        at = {**dict.fromkeys(POINTS, ()), **points} if points else of_all
        steps = recording.declared_points(at, plan.length, where if points else 'config.branch')
        branch_arms.append(BranchArm(name, steps, _changes(given), usual | dict(given.get('state', {}))))
    control, *others = branch_arms or [None]
    if control is None:
        return []
    points = {step: epoch for arm in others for step, epoch in arm.points.items()}
    return [control._replace(points=points), *others] if points else []


def branches(plan: Plan, window: int) -> Iterator[Branch]:
    """All branches of a run, point by point.

    Args:
      window: examples that each trains on.

    Raises:
      ValueError: a branch that cannot be, or that is another one.
    """
    arms_of_run = of_run(plan)
    for step in sorted({step for arm in arms_of_run for step in arm.points}):
        names: dict[str, str] = {}
        until = plan.length.examples_at(step) + window
        for arm in arms_of_run:
            if step not in arm.points:
                continue
            changes = {**arm.changes, 'total_examples': until}
            one = branch.branch(plan, f'{plan.study}/{plan.id}', step, changes, arm.state, anew=True)
            other = names.setdefault(one.id, arm.name)
            if other != arm.name and arm.name in section_of(plan)['arms']:
                raise ValueError(
                    f'config.branch.arms.{arm.name} makes of run {plan.id} what its branch {other} is; say in `of` of '
                    'which arms it is, or change something'
                )
            yield Branch(one, arm.name, arm.points[step])
