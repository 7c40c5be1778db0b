"""Jobs of a grid as they stand in a workdir: groups and probes, how far each is and why it does not go on.

A group is described by its group.json, a probe by `plan.json` in its directory. Beside it job.json holds what was last
said of it: {state: running | stopped | failed | waiting | left out, error, host, pid, slurm, step, …}, and log.txt what
its processes printed. Who works on it now is told by the lease alone.
"""

import contextlib
import os
import pathlib
import socket
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from bsresearch.launching import environment, fitting, forecast, groups, probing, runner
from bsresearch.launching.console import Console
from bsresearch.launching.groups import ReplicaGroup
from bsresearch.launching.jobs import work
from bsresearch.planning.probe import Probe
from bsresearch.store import leases, paths, records, standing
from bsresearch.store.paths import RESTORE, Damaged
from bsresearch.store.standing import LEFT_OUT
from bsresearch.store.steps import latest_step
from bsresearch.train.saving import branching

STATES = ('done', 'running', 'failed', 'stopped', 'to do', LEFT_OUT)
TOKEN = 'launch.json'
# A file that another host wrote just now may be seen late.
TOKEN_SECONDS = 30.0


class NotShared(RuntimeError):
    """The workdir is not the one that the launcher wrote into."""


class JobState(NamedTuple):
    """Where a job stands. reason: of what it does not go on, or may not, '' otherwise. step, total: its own updates, or
    blocks. owner: what the lease of a running one says.
    """

    name: str
    reason: str
    step: int
    total: int
    owner: dict[str, Any] | None = None


class GridJob(NamedTuple):
    """A group to train, or a probe to make.

    Attributes:
      name: <study>/<id>. directory: of its lease, its log and its job.json. run_directories: of its metas.
      start, total, unit: it is `total` updates or blocks long, counted from `start`. saved: how far it is stored.
      title: what it is. work: how much it is (jobs/work.py). without_start: its state where its start diverged.
      check: looks for what it begins with; ValueError: it is not there yet, restore.Diverged: it never will be.
      make: takes it to its end, or to where a signal stops it; its lease is held by the caller.
    """

    name: str
    directory: pathlib.Path
    run_directories: Sequence[pathlib.Path]
    start: int
    total: int
    unit: str
    saved: Callable[[], int]
    title: Callable[[], str]
    without_start: str
    check: Callable[[leases.Watch], None]
    make: Callable[[Console, Sequence[int], leases.Lease], None]
    work: Callable[[], float]

    def metas(self) -> list[dict[str, Any]]:
        """Of its runs, or of the probe."""
        return [records.status(directory) for directory in self.run_directories]

    def said(self) -> dict[str, Any]:
        """What job.json says."""
        return paths.read_json(self.directory / 'job.json') or {}

    def note(self, **facts: Any) -> None:
        """Merges facts into job.json."""
        paths.write_json(self.directory / 'job.json', self.said() | facts)

    def begin(self) -> None:
        """This process works on it now; what an earlier one said is forgotten."""
        number = os.environ.get('SLURM_ARRAY_JOB_ID')
        slurm = f'{number}_{os.environ["SLURM_ARRAY_TASK_ID"]}' if number else os.environ.get('SLURM_JOB_ID')
        facts = {'state': 'running', 'host': socket.gethostname(), 'pid': os.getpid(), 'slurm': slurm}
        paths.write_json(self.directory / 'job.json', facts | {'started': time.time()})


def of_group(workdir: pathlib.Path, group: ReplicaGroup) -> GridJob:
    """The job that trains a group."""
    plan, runs = group.plans[0], len(group.plans)

    def title() -> str:
        diverged = sum(group.meta(p).get('status') == 'diverged' for p in group.plans)
        and_diverged = f' ({diverged} diverged)' if diverged else ''
        rates = sorted({p.policy.learning_rate for p in group.plans})
        rate = ' to '.join(f'{v:.4g}' for v in dict.fromkeys([rates[0], rates[-1]]))
        return f'B = {plan.batch_size}, learning rate {rate}, {runs} run{"s" if runs > 1 else ""}{and_diverged}'

    def check(watch: leases.Watch) -> None:
        for unfinished in groups.unfinished(workdir, group.plans):
            branching.check(workdir, unfinished, watch)

    def make(console: Console, caught: Sequence[int], lease: leases.Lease) -> None:
        fitting.check(group.plans, group.strategy)  # it was formed where this memory was not known
        console.expect(forecast.Forecast(console.say).outlook(workdir, group.plans))
        runner.train(group, console, caught, lease)

    return GridJob(
        name=f'{plan.study}/{group.id}', directory=group.directory,
        run_directories=[group.run_directory(p) for p in group.plans],
        start=plan.start, total=plan.length.total_steps - plan.start, unit='updates',
        saved=lambda: latest_step(group.directory / 'checkpoints') or 0,
        title=title, without_start='failed', check=check, make=make, work=lambda: work.of_group(group.plans),
    )  # fmt: skip


def of_probe(workdir: pathlib.Path, probe: Probe) -> GridJob:
    """The job that makes a probe, which is written down with it."""
    folder, points = probing.describe(workdir, probe), ', '.join(f'{p.id} at {s:,}' for p, s in probe.points)

    make = lambda console, caught, _: probing.make(workdir, probe, console, caught, {}, '1/1')
    return GridJob(
        name=f'{probe.study}/{probe.id}', directory=folder, run_directories=[folder],
        start=0, total=probe.kind.blocks, unit='blocks', saved=lambda: len(list(folder.glob('arrays/block-*.npz'))),
        title=lambda: f'probe {probe.name} of {points}', without_start=LEFT_OUT,
        check=lambda _: probing.check(workdir, probe), make=make, work=lambda: work.of_probe(probe),
    )  # fmt: skip


def find(workdir: pathlib.Path, name: str) -> GridJob:
    """The job of a name.

    Raises:
      ValueError: the workdir has none of that name.
    """
    study, _, member = name.partition('/')
    for job in load(workdir, study or '-', member or '-'):
        return job
    raise ValueError(f'no group or probe {name!r} in {workdir}; --status lists them')


def load(workdir: pathlib.Path, study: str = '*', member: str = '*') -> list[GridJob]:
    """All jobs of a workdir, or those of the names: groups first, sorted by name.

    Raises:
      ValueError: it holds runs of another schema. Damaged: a description is not what was written.
    """
    paths.check_schema(workdir)
    described = sorted(workdir.glob(f'{study}/groups/{member}/group.json'))
    of_groups = [of_group(workdir, groups.load(file.parent)) for file in described]
    return [*of_groups, *(of_probe(workdir, _probe(f)) for f in sorted(workdir.glob(f'{study}/{member}/plan.json')))]


def _probe(path: pathlib.Path) -> Probe:
    """The probe of a plan.json.

    Raises:
      Damaged: it is not what was written.
    """
    try:
        probe = Probe.from_json(paths.read_json(path))
        probe_id = probe.id
    except (KeyError, TypeError) as e:
        raise Damaged(f'{path} is damaged ({type(e).__name__}: {e}); {RESTORE}') from e
    if probe_id != path.parent.name:
        raise Damaged(f'{path} is damaged (it describes another probe than it was made for); {RESTORE}')
    return probe


def state(job: GridJob, watch: leases.Watch | None = None) -> JobState:
    """Where it stands, from what lies in the workdir; `watch` as of standing.of."""
    there = standing.of(job.directory, job.metas(), job.saved(), job.start, watch)
    step = job.total if there.name == 'done' else there.step - job.start
    return JobState(there.name, there.reason, step, job.total, there.owner)


def counted(states: Iterable[JobState]) -> str:
    """How many are in which state: '3 done, 1 failed'."""
    counts = Counter(state.name for state in states)
    return ', '.join(f'{counts[name]} {name}' for name in STATES if counts[name])


def retry(job: GridJob) -> bool:
    """Makes a failed job to do again, from its checkpoints; whether it was one."""
    if state(job).name != 'failed':
        return False
    for directory, meta in zip(job.run_directories, job.metas(), strict=True):
        if meta.get('status') == 'failed':
            environment.update(directory, {'status': 'running', 'error': None})
    (job.directory / 'job.json').unlink(missing_ok=True)
    return True


def token(workdir: pathlib.Path) -> str:
    """What a job must find in the workdir; written by its first launch."""
    paths.claim_workdir(workdir)
    if not (workdir / TOKEN).exists():
        unlinked = workdir / f'{TOKEN}.{uuid.uuid4().hex}.tmp'
        paths.write_json(unlinked, {'token': uuid.uuid4().hex, 'host': socket.gethostname(), 'written': time.time()})
        with contextlib.suppress(FileExistsError):  # of two launches at once the first one's stays
            os.link(unlinked, workdir / TOKEN)
        unlinked.unlink()
    return paths.read_json(workdir / TOKEN, 'token')['token']


def check_token(workdir: pathlib.Path, wanted: str) -> None:
    """Raises NotShared unless the launcher wrote into this very directory; writes nothing."""
    deadline = time.monotonic() + TOKEN_SECONDS
    while (launch := paths.read_json(workdir / TOKEN, 'token')) is None and time.monotonic() < deadline:
        time.sleep(1.0)
    if launch is None or launch['token'] != wanted:
        there = 'is of another launch' if launch else 'is missing'
        raise NotShared(
            f'on host {socket.gethostname()} {workdir} is not the directory that the launcher wrote into ({TOKEN} '
            f'{there}): --workdir must lie on a disk that all hosts share, under the same path'
        )
