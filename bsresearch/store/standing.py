"""Where a run, a group or a probe stands: the one answer of `status`, reports, tables and exports.

What is finished or failed says so in its meta.json, which a process that was stopped or killed leaves at `running`: of
what is not, the lease tells who works on it, and job.json and the checkpoints how it was left.
"""

import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bsresearch.store import leases, paths
from bsresearch.store.steps import latest_step

FINISHED = ('done', 'diverged')
LEFT_OUT = 'left out'  # a probe of a run that diverged before its point
NOT_STARTED = 'not started'  # a run without a meta.json


class Standing(NamedTuple):
    """name: done | running | failed | stopped | to do | left out. reason: why it does not go on, or may not; '' else.

    step: how far it is stored, in updates of its whole length, or blocks. owner: what the lease of a running one says.
    """

    name: str
    reason: str = ''
    step: int = 0
    owner: dict[str, Any] | None = None


def of(
    directory: pathlib.Path,
    metas: Sequence[Mapping[str, Any]],
    saved: int,
    start: int = 0,
    watch: leases.Watch | None = None,
) -> Standing:
    """Of a group or a probe.

    Args:
      directory: of its lease and its job.json. metas: of its runs, or its own. saved: how far it is stored; start: from
        where it is its own. watch: has looked at its lease before, and so may know whether another host's process
        lives; by one look that cannot be told, and it counts as running.
    """
    said = paths.read_json(directory / 'job.json') or {}
    lease = (watch or leases.Watch()).look(directory)
    if all(meta.get('status') in FINISHED for meta in metas):
        return Standing('done')
    errors = [m.get('error') or 'its meta.json tells no reason' for m in metas if m.get('status') == 'failed']
    step = max(saved, said.get('step', 0), start)
    name, reason = said.get('state', 'to do'), said.get('error', '')
    if lease is not None and lease.state != leases.DEAD:
        return Standing('running', _silent(lease), step, lease.owner)
    if name == 'failed' or errors:
        return Standing('failed', reason or errors[0], step)
    if lease is not None:
        return Standing('stopped', f'{lease.name} ended without a word: killed, or out of memory', step)
    if name == 'waiting':
        return Standing('to do', reason, step)
    if name in ('stopped', LEFT_OUT):
        return Standing(name, reason, step)
    # Its lease was given up, and nothing said.
    return Standing('stopped', 'after a checkpoint', step) if step > start else Standing('to do', '', step)


def name(directory: pathlib.Path, meta: Mapping[str, Any]) -> str:
    """Of a run or a probe by its own meta: done | diverged, or that of the group that trains it.

    directory: its own. meta: {} where there is none.
    """
    status = meta.get('status', NOT_STARTED)
    if status in FINISHED:
        return status
    if (directory / 'plan.json').exists():  # a probe
        return of(directory, [meta], len(list(directory.glob('arrays/block-*.npz')))).name
    if 'group' not in meta:  # an older version's, or never begun
        return status
    group = paths.group_dir(directory.parent.parent, directory.parent.name, meta['group'])
    lineage = paths.read_json(directory / 'lineage.json') or {}
    return of(group, [meta], latest_step(group / 'checkpoints') or 0, int(lineage.get('step', 0))).name


def _silent(lease: leases.Sight) -> str:
    """What makes it doubtful that a lease's owner lives; '' if nothing does."""
    age = None if lease.owner is None else time.time() - lease.owner['beat']
    if lease.state == leases.ALIVE or (age is not None and abs(age) < leases.STALE_SECONDS):
        return ''
    beat = '' if age is None else f', whose clock says {abs(age):,.0f} s {"ago" if age > 0 else "ahead"}'
    return (
        f'silent? {lease.name}{beat}: one look cannot tell; a launch watches it for {leases.STALE_SECONDS:.0f} s '
        'and goes on if it gives no sign of life'
    )


def ended_before(meta: Mapping[str, Any], step: int) -> bool:
    """Whether a run has no weights at an update: it had diverged by then, or stopped at its target before."""
    diverged, stopped = meta.get('diverged_step'), meta.get('stopped_step')
    return (diverged is not None and diverged <= step) or (stopped is not None and stopped < step)
