"""Where a branch begins: a run found on disk, and an update of it."""

import pathlib

from bsresearch.core import lookup
from bsresearch.planning.plan import Plan
from bsresearch.store import paths
from bsresearch.store.paths import RESTORE, Damaged

UNITS = ('step', 'epoch', 'examples')


def plan_of(directory: pathlib.Path, asked: str = '') -> Plan:
    """The plan of a run, from what was written down when its group was made; `asked`: who named it, for the error.

    Raises:
      ValueError: there is no such run (those beside it are listed), or it was written under another schema.
      Damaged: what was written is not what is there.
    """
    meta = paths.read_json(directory / 'meta.json')
    if meta is None or 'group' not in meta:
        near = sorted(p.parent.name for p in directory.parent.glob('*/config.json'))
        beside = lookup.nearest(directory.name, near) if near else 'nor beside it: give <workdir>/<study>/<run id>'
        raise ValueError(f'{asked}no run in {directory}; {beside}')
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


def point(where: str, field: str = '--branch_from') -> tuple[pathlib.Path, Plan, int]:
    """'<directory of a run>@epoch:2' (or step:…, examples:…, end) → the directory, its run's plan and the update.

    Raises:
      ValueError: not of that form, no run there, or a point past its end; those near it are listed by `restore.check`.
    """
    text, _, at = where.rpartition('@')
    unit, _, number = at.partition(':')
    digits = number.replace('.', '', 1) if unit == 'epoch' else number
    if not text or (at != 'end' and (unit not in UNITS or not digits.isdigit())):
        raise ValueError(f'{field}={where}: write <directory of a run>@epoch:2, @step:100, @examples:5000 or @end')
    directory = pathlib.Path(text)
    parent = plan_of(directory, f'{field}={where}: ')
    length = parent.length
    if at == 'end':
        step = length.total_steps
    elif unit == 'step':
        step = int(number)
    else:
        examples = length.examples_of(epochs=float(number)) if unit == 'epoch' else int(number)
        if examples > length.total_examples:
            raise ValueError(f'{field}={where}: run {parent.id} ends at epoch {length.epoch_at(length.total_steps):g}')
        step = length.step_at(examples)
    return directory, parent, step
