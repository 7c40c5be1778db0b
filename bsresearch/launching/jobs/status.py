"""What a workdir says of its grid: every group and probe, how far it is, and why it does not go on."""

import pathlib
import time
from collections import Counter
from collections.abc import Sequence

from bsresearch.launching import groups
from bsresearch.launching.groups import ReplicaGroup
from bsresearch.launching.jobs import jobs
from bsresearch.store import paths, probe_records, records


def text(workdir: pathlib.Path) -> str:
    """A line or two for each group and probe, and how many are in which state.

    Raises:
      ValueError: the workdir holds none.
    """
    items = _items(workdir)
    states = [jobs.state(item) for item in items]
    width = max(len(item.name) for item in items)
    lines = []
    for item, state in zip(items, states, strict=True):
        lines.append(f'{item.name:<{width}}  {state.name:<8}  {_far(item, state)}  {_what(item)}{_where(item, state)}')
        if state.reason:
            lines.append(f'{"":<{width}}  {state.reason}{_log(item, state)}')
    counted = Counter(state.name for state in states)
    told = ', '.join(f'{counted[name]} {name}' for name in jobs.STATES if counted[name])
    apart = [p.parent for p in sorted(workdir.glob('*/*/probe.json')) if not p.with_name('plan.json').exists()]
    pending = [d.name for d in apart if probe_records.status(d).get('status') != 'done']
    if pending:
        lines.append(f'probes that an older main.py began, not finished: {", ".join(pending)}; its command goes on')
    return '\n'.join([*lines, f'{len(items)} jobs: {told}'])


def retry(workdir: pathlib.Path) -> list[str]:
    """Makes what failed to do again, from its checkpoints; the names.

    Raises:
      ValueError: the workdir holds nothing.
    """
    return [item.name for item in _items(workdir) if jobs.retry(item)]


def _items(workdir: pathlib.Path) -> list[jobs.Item]:
    if not workdir.is_dir():
        raise ValueError(f'--workdir={workdir}: no such directory; name what a launch was given')
    paths.check_schema(workdir)
    items = jobs.load(workdir)
    _check_groups(workdir, items)
    if not items:
        raise ValueError(f'--workdir={workdir} holds no groups and no probes; name what a launch was given')
    return items


def _check_groups(workdir: pathlib.Path, items: Sequence[jobs.Item]) -> None:
    """Raises Damaged if a run points to a group that has no group.json."""
    there = {item.directory for item in items}
    for file in sorted(workdir.glob('*/*/config.json')):
        name = records.status(file.parent).get('group')
        if name is not None and (directory := paths.group_dir(workdir, file.parent.parent.name, name)) not in there:
            groups.load(directory)


def _far(item: jobs.Item, state: jobs.State) -> str:
    unit = 'updates' if isinstance(item.what, ReplicaGroup) else 'blocks'
    return f'{state.step:>9,} of {state.total:,} {unit}'


def _what(item: jobs.Item) -> str:
    if not isinstance(item.what, ReplicaGroup):
        return f'probe {item.what.section["name"]} of {", ".join(f"{p.id} at {s:,}" for p, s in item.what.points)}'
    plans = item.what.plans
    ends = Counter(item.what.meta(p).get('status') for p in plans)
    diverged = f' ({ends["diverged"]} diverged)' if ends['diverged'] else ''
    return f'B = {plans[0].batch_size}, {len(plans)} run{"s" if len(plans) > 1 else ""}{diverged}'


def _where(item: jobs.Item, state: jobs.State) -> str:
    if state.owner is None:
        return ''
    where = f'  on {state.owner["host"]} (process {state.owner["pid"]}{_slurm(item)}'
    if state.reason:  # its clock, or it, is not to be trusted
        return f'{where})'
    return f'{where}, heartbeat {max(0.0, time.time() - state.owner["beat"]):.0f} s ago)'


def _slurm(item: jobs.Item) -> str:
    """The Slurm job that was at it last."""
    said = paths.read_json(item.directory / 'job.json') or {}
    return f', Slurm job {said["slurm"]}' if said.get('slurm') else ''


def _log(item: jobs.Item, state: jobs.State) -> str:
    log = item.directory / 'log.txt'
    return f'{_slurm(item)} (see {log})' if state.name in ('failed', 'stopped') and log.exists() else ''
