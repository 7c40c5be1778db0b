"""Jobs of a grid as they stand in a workdir: groups and probes, how far each is and why it does not go on.

A group is described by its group.json, a probe by `plan.json` in its directory. Beside it job.json holds what was last
said of it: {state: running | stopped | failed | waiting | left out, error, host, pid, slurm, step, …}, and log.txt what
its processes printed. Who works on it now is told by the lease alone.
"""

import os
import pathlib
import socket
import time
import uuid
from typing import Any, NamedTuple

from bsresearch.launching import groups
from bsresearch.launching.groups import ReplicaGroup
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.store import leases, paths
from bsresearch.store.paths import RESTORE, Damaged
from bsresearch.store.steps import latest_step

LEFT_OUT = 'left out'  # a probe of a run that diverged before its point
STATES = ('done', 'running', 'failed', 'stopped', 'to do', LEFT_OUT)
TOKEN = 'launch.json'
# A file that another host wrote just now may be seen late.
TOKEN_SECONDS = 30.0


class NotShared(RuntimeError):
    """The workdir is not the one that the launcher wrote into."""


class Item(NamedTuple):
    """A job: `what` is its ReplicaGroup or its Probe; directory: of its lease, its log and its job.json."""

    workdir: pathlib.Path
    name: str
    directory: pathlib.Path
    what: ReplicaGroup | Probe

    @property
    def plan(self) -> Plan:
        """Of its first run, or of the first run it looks at."""
        return self.what.plans[0] if isinstance(self.what, ReplicaGroup) else self.what.points[0][0]


class State(NamedTuple):
    """Where a job stands. reason: of what it does not go on, or may not, '' otherwise. step, total: own updates, or
    blocks.
    """

    name: str
    reason: str
    step: int
    total: int
    owner: dict[str, Any] | None


def token(workdir: pathlib.Path) -> str:
    """What a job must find in the workdir; written by its first launch."""
    paths.claim_workdir(workdir)
    found = paths.read_json(workdir / TOKEN, 'token')
    if found is None:
        own = workdir / f'{TOKEN}.{uuid.uuid4().hex}.tmp'
        paths.write_json(own, {'token': uuid.uuid4().hex, 'host': socket.gethostname(), 'written': time.time()})
        try:
            os.link(own, workdir / TOKEN)  # of two launches at once the first one's stays
        except FileExistsError:
            pass
        finally:
            own.unlink()
        found = paths.read_json(workdir / TOKEN, 'token')
    return found['token']


def check_token(workdir: pathlib.Path, wanted: str) -> None:
    """Raises NotShared unless the launcher wrote into this very directory; writes nothing."""
    deadline, found = time.monotonic() + TOKEN_SECONDS, None
    while found is None:
        found = paths.read_json(workdir / TOKEN, 'token')
        if found is None and time.monotonic() > deadline:
            break
        time.sleep(0.0 if found else 1.0)
    if found is None or found['token'] != wanted:
        there = 'is of another launch' if found else 'is missing'
        raise NotShared(
            f'on host {socket.gethostname()} {workdir} is not the directory that the launcher wrote into ({TOKEN} '
            f'{there}): --workdir must lie on a disk that all hosts share, under the same path'
        )


def of_group(workdir: pathlib.Path, group: ReplicaGroup) -> Item:
    """A group's."""
    return Item(workdir, f'{group.plans[0].study}/{group.id}', group.directory, group)


def of_probe(workdir: pathlib.Path, probe: Probe) -> Item:
    """A probe's, which is written down with it."""
    directory = paths.run_dir(workdir, probe.study, probe.id)
    if not (directory / 'plan.json').exists():
        directory.parent.mkdir(exist_ok=True)
        directory.mkdir(exist_ok=True)
        paths.write_json(directory / 'plan.json', probe.to_json())
    return Item(workdir, f'{probe.study}/{probe.id}', directory, probe)


def find(workdir: pathlib.Path, name: str) -> Item:
    """The job of a name.

    Raises:
      ValueError: the workdir has none of that name.
    """
    study, _, own = name.partition('/')
    for item in load(workdir, study or '-', own or '-'):
        return item
    raise ValueError(f'no group or probe {name!r} in {workdir}; --status lists them')


def load(workdir: pathlib.Path, study: str = '*', own: str = '*') -> list[Item]:
    """All jobs of a workdir: groups first, sorted by name."""
    found = [of_group(workdir, groups.load(p.parent)) for p in sorted(workdir.glob(f'{study}/groups/{own}/group.json'))]
    for path in sorted(workdir.glob(f'{study}/{own}/plan.json')):
        found.append(of_probe(workdir, _probe(path)))
    return found


def _probe(path: pathlib.Path) -> Probe:
    """The probe of a plan.json.

    Raises:
      Damaged: it is not what was written.
    """
    try:
        probe = Probe.from_json(paths.read_json(path))
        held = probe.id
    except (KeyError, TypeError) as e:
        raise Damaged(f'{path} is damaged ({type(e).__name__}: {e}); {RESTORE}') from e
    if held != path.parent.name:
        raise Damaged(f'{path} is damaged (it describes another probe than it was made for); {RESTORE}')
    return probe


def note(directory: pathlib.Path, facts: dict[str, Any]) -> None:
    """Merges facts into job.json."""
    path = directory / 'job.json'
    paths.write_json(path, (paths.read_json(path) or {}) | facts)


def begin(directory: pathlib.Path) -> None:
    """This process works on it now; what an earlier one said is forgotten."""
    number = os.environ.get('SLURM_ARRAY_JOB_ID')
    slurm = f'{number}_{os.environ["SLURM_ARRAY_TASK_ID"]}' if number else os.environ.get('SLURM_JOB_ID')
    facts = {'state': 'running', 'host': socket.gethostname(), 'pid': os.getpid(), 'slurm': slurm}
    paths.write_json(directory / 'job.json', facts | {'started': time.time()})


def state(item: Item, watch: leases.Watch | None = None) -> State:
    """Where it stands, from what lies in the workdir.

    `watch`: has looked at its lease before, and so may know whether another host's process lives; by one look that
    cannot be told, and it counts as running.
    """
    said, lease = paths.read_json(item.directory / 'job.json') or {}, (watch or leases.Watch()).look(item.directory)
    done, errors, total = _ends(item)
    begin = item.plan.start if isinstance(item.what, ReplicaGroup) else 0
    step = total if done else max(_saved(item) - begin, said.get('step', begin) - begin, 0)
    if done:
        return State('done', '', step, total, None)
    if lease is not None and lease.state != leases.DEAD:
        return State('running', _silent(lease), step, total, lease.owner)
    if said.get('state') == 'failed' or errors:
        return State('failed', said.get('error') or errors[0], step, total, None)
    if lease is not None:
        return State('stopped', f'{lease.name} ended without a word: killed, or out of memory', step, total, None)
    if said.get('state') in ('stopped', 'waiting', LEFT_OUT):
        return State('to do' if said['state'] == 'waiting' else said['state'], said['error'], step, total, None)
    return State('stopped', 'after a checkpoint', step, total, None) if step else State('to do', '', step, total, None)


def _silent(lease: leases.Sight) -> str:
    """What makes it doubtful that a lease's owner lives; '' if nothing does."""
    if lease.state == leases.ALIVE:
        return ''
    age = None if lease.owner is None else time.time() - lease.owner['beat']
    if age is not None and abs(age) < leases.STALE_SECONDS:
        return ''
    beat = '' if age is None else f', whose clock says {abs(age):,.0f} s {"ago" if age > 0 else "ahead"}'
    return (
        f'silent? {lease.name}{beat}: one look cannot tell; a launch watches it for {leases.STALE_SECONDS:.0f} s '
        'and goes on if it gives no sign of life'
    )


def _ends(item: Item) -> tuple[bool, list[str], int]:
    """Whether it came to its end; errors in its metas; how long it is, in updates or blocks."""
    if isinstance(item.what, ReplicaGroup):
        metas = [item.what.meta(p) for p in item.what.plans]
        total = item.plan.length.total_steps - item.plan.start
        done = all(m.get('status') in groups.FINISHED for m in metas)
    else:
        metas, total = [paths.read_json(item.directory / 'meta.json') or {}], item.what.kind.blocks
        done = metas[0].get('status') == 'done'
    errors = [m.get('error') or 'its meta.json tells no reason' for m in metas if m.get('status') == 'failed']
    return done, errors, total


def _saved(item: Item) -> int:
    """The update of the newest checkpoint, or how many blocks are stored."""
    if isinstance(item.what, ReplicaGroup):
        return latest_step(item.directory / 'checkpoints') or 0
    return len(list(item.directory.glob('arrays/block-*.npz')))


def retry(item: Item) -> bool:
    """Makes a failed job to do again, from its checkpoints; whether it was one."""
    if state(item).name != 'failed':
        return False
    group = item.what
    if isinstance(group, ReplicaGroup):
        for plan in group.plans:
            if group.meta(plan).get('status') == 'failed':
                facts = group.meta(plan) | {'status': 'running', 'error': None}
                paths.write_json(group.run_directory(plan) / 'meta.json', facts)
    (item.directory / 'job.json').unlink(missing_ok=True)
    return True
