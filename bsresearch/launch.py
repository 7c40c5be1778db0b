"""The runner: takes a stage (a list of Plans) to its end on this machine. Finished runs are left alone, others go on.

A group's members and how it is executed are fixed when it is made (groups.py); who asks for one of its runs later
continues the whole group as it was.
"""

import contextlib
import pathlib
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax

from bsresearch import groups, meta, precision, probing, resolve
from bsresearch.console import Console
from bsresearch.groups import Group
from bsresearch.plan import Plan, canonical
from bsresearch.probe import Probe
from bsresearch.store import leases, paths
from bsresearch.train import backfill, branching, layout, loop, processes
from bsresearch.train.profile import Profiler
from bsresearch.train.session import Session


class Stopped(Exception):
    """A signal asked for an end; everything reached is saved."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """SIGTERM and SIGINT, once: noted in the list, for the loop to leave cleanly. A second one acts as usual."""
    caught: list[int] = []

    def note(number: int, _: Any) -> None:
        caught.append(number)
        signal.signal(number, before[number])

    before: dict[int, Any] = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def launch(
    workdir: pathlib.Path,
    stage: Sequence[Plan] | Sequence[Probe],
    console: Console,
    profiler: Profiler | None = None,
) -> None:
    """Runs a stage to its end: plans or probes. `profiler`: traces the first group it is given to.

    Raises:
      Stopped: by a signal, everything reached being saved.
      leases.Owned: another live process makes one of them.
    """
    processes.share(lambda: paths.check_schema(workdir))
    _launch(workdir, stage, console, profiler)
    # The next stage, in any process, reads what this one wrote.
    processes.share(lambda: None)


def _launch(
    workdir: pathlib.Path, stage: Sequence[Plan] | Sequence[Probe], console: Console, profiler: Profiler | None
) -> None:
    probes = [p for p in stage if isinstance(p, Probe)]
    if probes:
        with signals() as caught:
            # Each is a matter of one device.
            processes.share(lambda: probing.launch(workdir, probes, console, caught))
        _stop_if(caught)
        return
    _train_all(workdir, [p for p in stage if isinstance(p, Plan)], console, profiler)


def _train_all(workdir: pathlib.Path, plans: Sequence[Plan], console: Console, profiler: Profiler | None) -> None:
    """The runs of a stage that are not finished, group by group."""
    todo = processes.share(lambda: groups.unfinished(workdir, plans))
    unfinished = {p.id for p in todo}
    finished = [p for p in plans if p.id not in unfinished]
    if finished:
        console.say(f'{len(finished)} of {len(plans)} runs are finished already and are left alone')
        _measure_later(workdir, finished, console)
    if not todo:
        return
    formed = processes.share(lambda: _formed(workdir, plans, todo, console))
    with signals() as caught:
        for number, group in enumerate(formed, 1):
            with _leased(group) as lease:
                train(group, console, caught, lease, (number, len(formed)), profiler)
            _stop_if(caught)


def _formed(workdir: pathlib.Path, plans: Sequence[Plan], todo: Sequence[Plan], console: Console) -> list[Group]:
    for plan in todo:
        branching.check(workdir, plan)
    paths.claim_workdir(workdir)
    return groups.form(workdir, plans, console.say)


@contextlib.contextmanager
def _leased(group: Group) -> Iterator[leases.Lease | None]:
    """Process 0 holds the lease for all."""
    lease = processes.share_here(lambda: leases.Lease(group.directory).__enter__())
    try:
        yield lease
    finally:
        if lease is not None:
            lease.__exit__(None, None, None)


def _stop_if(caught: Sequence[int]) -> None:
    """Raises Stopped if a signal came to any process."""
    numbers = [int(part) for part in processes.gather(str(caught[0] if caught else 0).encode())]
    if any(numbers):
        raise Stopped(max(numbers))


def _measure_later(workdir: pathlib.Path, finished: Sequence[Plan], console: Console) -> None:
    """Measurements that finished runs are now asked for."""
    if jax.process_count() > 1:
        console.say('  measurements added to finished runs are made without --multihost')
        return
    seen: set[str] = set()
    for plan in finished:
        name = groups.status(workdir, plan)['group']
        if name in seen:
            continue
        seen.add(name)
        group = groups.load(paths.group_dir(workdir, plan.study, name)).placed(plan)
        if group.ended and canonical(plan.recording) != canonical(group.plans[0].recording):
            later = ('measure', 'measure_preset', 'evaluate', 'probe')
            kept = {k: v for k, v in group.plans[0].recording.items() if k not in later}
            if canonical(kept) != canonical({k: plan.recording[k] for k in kept}):
                console.say('  what was recorded per update, and kept, stays as it was; measurements can be added')
            directories = [group.run_directory(p) for p in group.plans]
            with leases.Lease(group.directory):
                backfill.run(group.plans, plan, group.directory, directories, group.strategy, console)


@precision.held
def train(
    group: Group,
    console: Console,
    caught: Sequence[int],
    lease: leases.Lease | None,
    place: tuple[int, int] = (1, 1),
    profiler: Profiler | None = None,
) -> None:
    """One group, from where it stands; its runs' metas say how it ended.

    Args:
      caught: signals that came; the first stops the training. lease: held by the caller, in process 0.
      place: (number of the group, how many groups), for the console.
      profiler: called before the first update.
    """
    if processes.share(lambda: group.ended):
        return
    plan, mesh = group.plans[0], layout.choose(group.plans)
    console.start_group(group.plans, group.strategy, *place, mesh)
    dataset = resolve.dataset(plan.data)
    if dataset.checksum != plan.data_checksum:
        raise ValueError(f'data set {plan.data["name"]} changed since group {group.id} was started; restore it')
    if processes.leads():
        for member in group.plans:
            meta.begin(group.run_directory(member), member, console.say, str(mesh))

    def should_stop() -> bool:
        if lease is not None and lease.lost:
            # No last checkpoint: the other host writes there now.
            raise leases.Owned(f'{group.directory} was taken over by another host while this one was silent')
        return processes.anywhere(bool(caught))

    directories = [group.run_directory(p) for p in group.plans]
    session = Session(group.plans, dataset, group.directory, directories, group.strategy, console, mesh)
    try:
        outcome = loop.run(session, should_stop, profiler)
        if processes.leads():
            _end(group, session, outcome)
        console.end_group(session.clock.summary(), outcome.finished)
    except (OSError, leases.Owned):
        raise
    except Exception as e:
        if processes.left(e):
            raise processes.Left(str(e)) from e
        for member in group.plans if processes.leads() else ():
            meta.update(group.run_directory(member), {'status': 'failed', 'error': f'{type(e).__name__}: {e}'})
        raise
    finally:
        session.close()


def _end(group: Group, session: Session, outcome: loop.Outcome) -> None:
    """Writes how each run ended, or that it goes on."""
    facts = {
        'seconds': session.clock.summary(),
        'seconds_per_update': session.recorder.pace,
        'measuring': session.measuring.spent,
        'step': outcome.step,
        'ended': time.time(),
    }
    for plan, watch in zip(group.plans, session.watches, strict=True):
        status = ('done' if watch.alive else 'diverged') if outcome.finished else 'running'
        own = {
            'status': status,
            'error': None,
            'diverged_step': watch.state['step'],
            'diverged_reason': watch.state['reason'],
        }
        if not watch.alive:
            own['step'] = watch.state['step']
        meta.update(group.run_directory(plan), facts | own)
