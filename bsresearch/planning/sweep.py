"""Grids: a declared config with arms and axes → one declared config per run → Plans → replica groups.

`config.sweep.<field>` holds the values of an axis as a tuple; axes multiply. `config.sweep.zip.<field>` holds axes that
advance together and count as one. The values of an axis may be whole sections ({'name': 'step', 'at_fractions': …}).
A command-line override of a field that is an axis, or lies in a section that is one, removes that axis. Arms (arms.py)
multiply with the axes.
"""

import contextlib
import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bsresearch.core import kinds, own_part
from bsresearch.core.field import unknown_field
from bsresearch.core.flat import flatten, value_at
from bsresearch.planning import arms, branch_arms, edit, question, resolve, schema, seconds
from bsresearch.planning.arms import Arm
from bsresearch.planning.axes import Axis, multiplied, swept, together, union
from bsresearch.planning.plan import Plan
from bsresearch.planning.question import Question, Row


class Grid(NamedTuple):
    """What a config asks for.

    plans: the runs. rows: of their cells and replicates. question: what is asked of them, None where the config names
    neither findings nor arms. notes: lines for whoever launches them.
    """

    plans: list[Plan]
    rows: list[Row]
    question: Question | None
    notes: list[str]


def _check_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Raises ValueError for a field that the config has not."""
    for name in sorted({path.split('.')[0] for path in overrides}):
        if name not in config:
            raise unknown_field(name, config)


def expand(declared: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> list[Plan]:
    """All runs of a declared config; arguments and errors as `grid`."""
    return grid(declared, overrides).plans


def grid(
    declared: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    pick: Sequence[str] = (),
    on_disk: Mapping[str, Mapping[str, Any]] | None = None,
    calibration: Mapping[str, float] | None = None,
) -> Grid:
    """All runs of a declared config, with their cells.

    Args:
      declared: a complete config as nested dicts, with `sweep`.
      overrides: dotted path → value, from the command line. pick: names of arms; all of them without any.
      on_disk: id → declared config of runs; those that are an arm's at other values of its axes or replicates are
        among the runs too.
      calibration: as in `seconds.in_updates`.

    Raises:
      ValueError, FileNotFoundError: as `resolve.resolve`; also two runs that would be the same, and an arm that cannot
        be, or a name or an override of none.
    """
    overrides = dict(overrides or {})
    config = _checked(declared, overrides)
    all_arms = arms.parse(config.get('arms', {}), overrides)
    picked = all_arms.picked(pick)
    fixed = {p: v for p, v in overrides.items() if not p.startswith(('sweep.', 'arms.'))}
    notes = arms.check_overrides(picked, fixed)
    axes = swept(config, overrides)
    base = edit.assign(config | {'sweep': {}}, fixed)
    resolve.check_fields(base)
    branch_arms.check(base['branch'].get('arms', {}), all_arms.known)
    plain = {name: value for name, value in base.items() if name not in schema.QUESTION}
    # Where an override takes a member of the zip away, rows of what is left may repeat.
    zipped = edit.with_alternatives(together(flatten(config['sweep'])))
    shared = multiplied(axes, collapse=bool(zipped & edit.with_alternatives(overrides)))
    all_axes = flatten(config['sweep']) | axes
    replicates = question.replicates_of(base['replicates'], all_arms, all_axes)
    runs: list[tuple[str, dict[str, Any], Plan]] = []
    paces = calibration or {}
    for name, arm in (picked.arms or {arms.ALL: Arm({}, {})}).items():
        arms.check_axes(name, arm, axes)
        of_arm = edit.assign(plain, arm.changes, anew=True)
        branching = branch_arms.of_arm(plain['branch'].get('arms', {}), picked.names(name))
        edit.set_field(of_arm, 'branch.arms', branching)
        try:
            runs += [(name, *run) for run in _runs(of_arm, arm, multiplied(arm.axes) + shared, fixed, paces)]
            known = {plan.id for *_, plan in runs}
            others = {run: config for run, config in (on_disk or {}).items() if run not in known}
            fields = [*axes, *arm.axes, *question.fields_of(replicates)]
            runs += [(name, *run) for run in _recognized(of_arm, fields, others, paces)]
        except seconds.Uncalibrated:
            raise
        except ValueError as e:
            raise (ValueError(f'arm {name}: {e}') if picked.arms else e) from None
    arms.check_different(runs)
    asked = question.of(base, all_arms, replicates, axes)
    rows = [question.row(asked, plan, name, changes) for arm, changes, plan in runs for name in picked.names(arm)]
    plans = [plan for _, _, plan in runs]
    return Grid(plans, rows, asked if asked.findings or all_arms.arms else None, notes)


def _checked(declared: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the config with every field of a study's question; it and the overrides are checked."""
    kinds.check_plain('config', declared)
    kinds.check_plain('config', overrides)
    config = copy.deepcopy({name: schema.known()[name] for name in schema.QUESTION} | dict(declared))
    resolve.check_fields(config)
    _check_overrides(config, overrides)
    return config


def _runs(
    declared: dict[str, Any], arm: Arm, axes: Sequence[Axis], fixed: Mapping[str, Any], calibration: Mapping[str, float]
) -> Iterator[tuple[dict[str, Any], Plan]]:
    """The runs of an arm, each with the changes that it takes from the axes.

    Args:
      declared: the config of the arm. fixed: the command line's overrides. calibration: as in `grid`.
    """
    for changes, one in _declared(declared, arm, axes, fixed, calibration):
        yield changes, resolve.resolve(one)


def _declared(
    declared: dict[str, Any], arm: Arm, axes: Sequence[Axis], fixed: Mapping[str, Any], calibration: Mapping[str, float]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The changes and the config of each; where networks of a user's own are tried, all lengths are checked before."""
    runs = []
    for combination in itertools.product(*axes):
        changes = union(combination)
        # Fields given for a section whose name is an axis are given for each of its values.
        renamed = tuple(f'{s}.' for s in schema.PARTS if f'{s}.name' in changes)
        again = {p: v for p, v in fixed.items() if p.startswith(renamed) and p not in changes and not arm.keeps(p)}
        one = seconds.in_updates(edit.assign(edit.assign(declared, changes), again), calibration)
        runs.append((changes, one))
    for _, one in runs if any(own_part.is_path(str(one['model'].get('name'))) for _, one in runs) else ():
        resolve.outline(one)
    return runs


def _recognized(
    declared: dict[str, Any],
    axes: Iterable[str],
    on_disk: Mapping[str, Mapping[str, Any]],
    calibration: Mapping[str, float],
) -> Iterator[tuple[dict[str, Any], Plan]]:
    """Those of the runs on disk that the config of an arm gives with their own values of its axes."""
    for run, config in on_disk.items():
        changes = {}
        for field in (axis.removeprefix('zip.') for axis in axes):
            with contextlib.suppress(KeyError, TypeError):  # it has no such field
                changes[field] = value_at(config, field)
        with contextlib.suppress(ValueError):  # of another arm, or made for another question
            plan = resolve.resolve(seconds.in_updates(edit.assign(declared, changes), calibration))
            if plan.id == run:
                yield changes, plan


def groups(plans: list[Plan]) -> list[list[Plan]]:
    """Plans that can share a compiled program, at most `max_replicas` together, in the order of their first member."""
    shared: dict[str, list[Plan]] = {}
    for plan in plans:
        shared.setdefault(plan.static_key(), []).append(plan)
    parts = []
    for members in shared.values():
        size = members[0].execution['max_replicas']
        parts += [members[i : i + size] for i in range(0, len(members), size)]
    return parts
