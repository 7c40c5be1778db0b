"""A branch: a run that begins with another's state at a point, with changes. Its plan, every number resolved.

Its declared config is the parent's with the changes; its length is counted from the parent's beginning, so that the
branch without changes is its parent. For each part of the state it says what becomes of it:
  keep    counter and value go on,
  reset   as at update 0,
  rebase  the schedule's origin moves to the branch point.
"""

import pathlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bsresearch.core import lookup
from bsresearch.planning import edit, resolve, slots
from bsresearch.planning.branch_point import point
from bsresearch.planning.plan import Plan

# What a branch does not inherit: its parent's own probes and branches, its pace, since its batch may be another, and
# where its first weights came from.
NOT_INHERITED: dict[str, Any] = {
    'probe.at_steps': (), 'probe.at_epochs': (), 'branch.at_steps': (), 'branch.at_epochs': (), 'branch.arms': {},
    'seconds_per_update': None, 'init_from': '', 'init_new': (),
}  # fmt: skip
# Parts of the state, and what may become of them; the first is the default. Weights are always kept.
PARTS = {
    'stats': ('keep', 'reset'),  # the model's: batch norm's running averages
    'data': ('keep', 'reset'),  # the place in the example stream
    'random': ('keep', 'reset'),  # the place in the streams of augmentation and dropout
    'optimizer': ('keep', 'reset'),  # its slots
    'schedule': ('keep', 'rebase'),
    'average': ('keep', 'reset'),  # of the weights
    'measures': ('keep', 'reset'),  # what measurements remember: lengths of paths, moving averages
    'initial': ('keep', 'reset'),  # the weights that distances are measured from
}


def branch(
    parent: Plan,
    directory: str,
    step: int,
    changes: Mapping[str, Any],
    state: Mapping[str, str] | None = None,
    anew: bool = False,
) -> Plan:
    """The plan of a branch.

    Args:
      parent: the run. directory: its own. step: the update at whose θ the branch begins.
      changes: dotted path of the config → value. A length (`total_epochs`, …) counts from the parent's beginning.
      state: part → policy, where it is not the default; a changed kind of optimizer resets its slots.
      anew: a `name` among the changes starts its part anew, also where it is the parent's.

    Raises:
      ValueError: a point outside the parent, or changes that cannot be; as `resolve.resolve`.
    """
    length = parent.length
    if not parent.start <= step <= length.total_steps:
        raise ValueError(
            f'run {parent.id} has updates {parent.start} to {length.total_steps}; there is no point at update {step}'
        )
    declared = edit.assign(parent.declared, {**NOT_INHERITED, **changes}, anew)
    how = _policies(parent, declared, state or {})
    examples = length.examples_at(step)
    # A schedule that the parent kept is its own parent's still.
    grandparent = parent.parent
    scheduled = grandparent if grandparent and grandparent['state']['schedule'] == 'keep' else None
    info = {
        'run': parent.id,
        'study': parent.study,
        'directory': directory,
        'step': step,
        'examples': examples,
        'epoch': length.epoch_at(step),
        'batch_size': length.batch_size,
        'changes': tuple(c for c in length.changes if c[0] < examples),
        'schedule_length': scheduled['schedule_length'] if scheduled else asdict(length),
        'state': {'params': 'keep', **how},
        'slots': slots.kept(parent, step, how['optimizer']),
    }
    return resolve.resolve(declared, info)


def _policies(parent: Plan, declared: Mapping[str, Any], state: Mapping[str, str]) -> dict[str, str]:
    """Part of the state → what becomes of it in a branch with the config `declared`; arguments as `branch`."""
    how = {part: allowed[0] for part, allowed in PARTS.items()}
    optimizer, of_parent = declared['optimizer']['name'], parent.optimizer['name']
    if optimizer != of_parent:
        how['optimizer'] = 'reset'
    for part, policy in state.items():
        if part not in PARTS:
            raise ValueError(f'unknown part of the state {part!r}; {lookup.nearest(part, PARTS)}')
        if policy not in PARTS[part]:
            raise ValueError(f'branch.{part}={policy!r}; {lookup.nearest(policy, PARTS[part])}')
        how[part] = policy
    if how['optimizer'] == 'keep' and optimizer != of_parent:
        raise ValueError(f'optimizer {optimizer!r} cannot keep the slots of {of_parent!r}; reset them')
    growing = declared['batch_schedule']
    if how['schedule'] == 'rebase' and (growing['name'] == 'instead_of_decay' or growing.get('as_learning_rate')):
        raise ValueError(
            "branch.schedule='rebase' would move the learning rate's schedule away from the batch sizes that go with "
            f'it (batch_schedule.name={growing["name"]!r}, as_learning_rate={bool(growing.get("as_learning_rate"))}); '
            'keep it, or change batch_schedule to constant'
        )
    return how


def by_hand(where: str, workdir: pathlib.Path | None, overrides: Mapping[str, Any]) -> tuple[Plan, dict[str, Any]]:
    """The plan of a branch given by hand, and the config that its parent was declared with.

    Args:
      where: as of `point`. workdir: of the branch. overrides: dotted path → value.

    Raises:
      ValueError: as `point` and `branch`; an override that one branch cannot have.
    """
    axes = [name for name in overrides if name.startswith('sweep.')]
    if axes:
        raise ValueError(f'--branch_from makes one run; config.{axes[0]} is an axis: use config.study=reload')
    parts = {f'branch.{part}': part for part in PARTS}
    strange = [name for name in overrides if name.startswith(('branch.', 'probe.')) and name not in parts]
    if strange:
        raise ValueError(
            f'--branch_from makes one branch, and no probe of it; config.{strange[0]} is for a study that makes some, '
            f'with --config. What it takes is what becomes of the state: {", ".join(parts)}'
        )
    directory, parent, step = point(where)
    inside = workdir is not None and directory.resolve().parent.parent == workdir.resolve()
    parent_directory = f'{parent.study}/{parent.id}' if inside else str(directory.resolve())
    changes = {name: value for name, value in overrides.items() if name not in parts}
    state = {parts[name]: value for name, value in overrides.items() if name in parts}
    return branch(parent, parent_directory, step, changes, state), parent.declared
