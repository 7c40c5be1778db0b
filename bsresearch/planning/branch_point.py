"""Where a branch begins: a run found on disk, and an update of it."""

import pathlib
from collections.abc import Mapping
from typing import Any

from bsresearch.core import lookup
from bsresearch.planning import branch
from bsresearch.planning.plan import Plan
from bsresearch.store import paths
from bsresearch.store.paths import RESTORE, Damaged

UNITS = ('step', 'epoch', 'examples')


def plan_of(directory: pathlib.Path) -> Plan:
    """The plan of a run, from what was written down when its group was made.

    Raises:
      ValueError: there is no such run (those beside it are listed), or it was written under another schema.
      Damaged: what was written is not what is there.
    """
    meta = paths.read_json(directory / 'meta.json')
    if meta is None or 'group' not in meta:
        near = sorted(p.parent.name for p in directory.parent.glob('*/config.json'))
        beside = lookup.nearest(directory.name, near) if near else 'nor beside it: give <workdir>/<study>/<run id>'
        raise ValueError(f'no run in {directory}; {beside}')
    paths.check_schema(directory.parent.parent)
    group = paths.group_dir(directory.parent.parent, directory.parent.name, meta['group']) / 'group.json'
    stored = paths.read_json(group)
    if stored is None:
        raise Damaged(f'{directory} belongs to group {meta["group"]}, whose group.json is missing; {RESTORE}')
    try:
        plan = Plan.from_json(stored['plans'][meta['index']])
        stored_id = plan.id
    except (KeyError, IndexError, TypeError, ValueError) as e:
        raise Damaged(f'{group} is damaged ({type(e).__name__}: {e}); {RESTORE}') from e
    if stored_id != directory.name:
        raise Damaged(f'{group} has run {stored_id} where {directory}/meta.json places {directory.name}; {RESTORE}')
    return plan


def point(where: str) -> tuple[pathlib.Path, Plan, int]:
    """'<directory of a run>@epoch:2' (or step:…, examples:…) → the directory, its run's plan and the update.

    Raises:
      ValueError: not of that form, no run there, or a point past its end; those near it are listed by `restore.check`.
    """
    text, _, at = where.rpartition('@')
    unit, _, number = at.partition(':')
    digits = number.replace('.', '', 1) if unit == 'epoch' else number
    if not text or unit not in UNITS or not digits.isdigit():
        raise ValueError(f'--branch_from={where}: write <directory of a run>@epoch:2, @step:100 or @examples:5000')
    directory = pathlib.Path(text)
    parent = plan_of(directory)
    length = parent.length
    if unit == 'step':
        step = int(number)
    else:
        examples = length.examples_of(epochs=float(number)) if unit == 'epoch' else int(number)
        if examples > length.total_examples:
            raise ValueError(
                f'--branch_from={where}: run {parent.id} ends at epoch {length.epoch_at(length.total_steps):g}'
            )
        step = length.step_at(examples)
    return directory, parent, step


def by_hand(where: str, workdir: pathlib.Path | None, overrides: Mapping[str, Any]) -> tuple[Plan, dict[str, Any]]:
    """The plan of a branch given by hand, and the config that its parent was declared with.

    Args:
      where: as of `point`. workdir: of the branch. overrides: dotted path → value.

    Raises:
      ValueError: as `point` and branch.branch; an override that one branch cannot have.
    """
    axes = [name for name in overrides if name.startswith('sweep.')]
    if axes:
        raise ValueError(f'--branch_from makes one run; config.{axes[0]} is an axis: use config.study=reload')
    parts = {f'branch.{part}': part for part in branch.PARTS}
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
    return branch.branch(parent, parent_directory, step, changes, state), parent.declared
