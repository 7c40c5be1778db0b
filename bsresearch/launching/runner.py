"""The runner: takes a stage to its end on this machine. Finished runs are left alone, others go on.

A group's members and how it is executed are fixed when it is made (groups.py); who asks for one of its runs later
continues the whole group as it was.
"""

import contextlib
import pathlib
import time
from collections.abc import Iterator, Sequence

import jax

from bsresearch import loggers
from bsresearch.core import precision
from bsresearch.core.interrupts import Stopped, noted
from bsresearch.launching import environment, groups, probing
from bsresearch.launching.console import Console
from bsresearch.launching.groups import ReplicaGroup
from bsresearch.loggers import following
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import Stage, probes_of, runs_of
from bsresearch.store import leases, paths, presence, verify
from bsresearch.train import backfill, loop
from bsresearch.train.devices import layout, processes
from bsresearch.train.profiling.profile import Profiler
from bsresearch.train.saving import branching, restore
from bsresearch.train.session import Session


def launch(
    workdir: pathlib.Path,
    stage: Stage,
    console: Console,
    profiler: Profiler | None = None,
    stay: presence.Stay | None = None,
) -> None:
    """Runs a stage to its end: runs or probes.

    Args:
      profiler: traces the first group it is given to.
      stay: of the command, which knows the workdir once it is made, from stage to stage.

    Raises:
      Stopped: by a signal, everything reached being saved.
      leases.Owned: another live process makes one of them.
      presence.Gone: the workdir, or a directory in it, is not where it was.
    """
    if stay is None:
        with presence.Stay(workdir) as stay:
            launch(workdir, stage, console, profiler, stay)
        return
    processes.share(lambda: _look(workdir, stay))
    with noted() as caught:
        if probes := probes_of(stage):
            # Each is a matter of one device.
            processes.share(lambda: probing.launch(workdir, probes, console, caught, stay))
        else:
            _train_all(workdir, runs_of(stage), console, caught, profiler, stay)
    _stop_if(caught)  # one may have come since the last look
    # The next stage, in any process, reads what this one wrote.
    processes.share(lambda: None)


def _look(workdir: pathlib.Path, stay: presence.Stay) -> None:
    stay.check()
    paths.check_schema(workdir)


def _train_all(
    workdir: pathlib.Path,
    plans: Sequence[Plan],
    console: Console,
    caught: Sequence[int],
    profiler: Profiler | None,
    stay: presence.Stay,
) -> None:
    """The runs of a stage that are not finished, group by group."""
    todo = processes.share(lambda: groups.unfinished(workdir, plans))
    unfinished = {p.id for p in todo}
    watch = leases.Watch(console.say, caught)
    if finished := [p for p in plans if p.id not in unfinished]:
        console.say(f'{len(finished)} of {len(plans)} runs are finished already and are left alone')
        described = ((paths.run_dir(workdir, plan.study, plan.id), plan) for plan in finished)
        environment.tell_changed(described, 'they were', console.say)
        _measure_later(workdir, finished, console, caught, watch)
    formed = processes.share(lambda: _formed(workdir, todo, console, watch, stay)) if todo else []
    for number, group in enumerate(formed, 1):
        _stop_if(caught)
        with _leased(group, watch) as lease:
            train(group, console, caught, lease, (number, len(formed)), profiler)


def _formed(
    workdir: pathlib.Path, todo: Sequence[Plan], console: Console, watch: leases.Watch, stay: presence.Stay
) -> list[ReplicaGroup]:
    for plan in todo:
        branching.check(workdir, plan, watch)
    paths.claim_workdir(workdir, stay)
    return groups.form(workdir, todo, console.say)


@contextlib.contextmanager
def _leased(group: ReplicaGroup, watch: leases.Watch) -> Iterator[leases.Lease | None]:
    """Process 0 holds the lease for all."""
    lease = processes.share_here(lambda: leases.Lease(group.directory, watch).__enter__())
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


def _measure_later(
    workdir: pathlib.Path, finished: Sequence[Plan], console: Console, caught: Sequence[int], watch: leases.Watch
) -> None:
    """Measurements that finished runs are now asked for."""
    if jax.process_count() > 1:
        console.say('  measurements added to finished runs are made without --multihost')
        return
    asked: dict[pathlib.Path, Plan] = {}
    unlogged: set[str] = set()
    for plan in finished:
        asked.setdefault(restore.group_directory(workdir, plan), plan)
    for directory, plan in asked.items():
        group = groups.load(directory, plan.id).placed(plan)
        half_made = (directory / backfill.NOTE).exists()
        unlogged |= {*loggers.wanted(plan.recording)} - {*loggers.wanted(group.plans[0].recording)}
        if group.ended and (half_made or groups.kept_recording(group, plan, loggers.FIELDS)):
            later = (*loggers.FIELDS, 'measure', 'measure_preset', 'evaluate', 'probe')
            for line in (*groups.kept_execution(group, plan), *groups.kept_recording(group, plan, later)):
                console.say(f'  group {group.id} {line}; it is finished, only measurements can be added')
            _backfill(group, plan, console, caught, watch)
            _stop_if(caught)
    if unlogged:
        console.say(f'  of finished runs {following.command(workdir, sorted(unlogged))} writes the records')


def _backfill(group: ReplicaGroup, asked: Plan, console: Console, caught: Sequence[int], watch: leases.Watch) -> None:
    """One finished group's; a signal ends it after the checkpoint in hand."""
    directories = [group.run_directory(p) for p in group.plans]
    with leases.Lease(group.directory, watch):
        presence.clear([*directories, *(d / 'arrays' for d in directories)], group.directory)
        backfill.run(group.plans, asked, group.directory, directories, group.strategy, console, lambda: bool(caught))


@precision.held
def train(
    group: ReplicaGroup,
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
    directories, leads = [group.run_directory(p) for p in group.plans], processes.leads()
    # Where several processes train, one of them looks after the workdir, and writes.
    wanted = loggers.wanted(group.plans[0].recording) if leads else ()
    with (
        presence.Stay(*([group.directory, *directories] if leads else ())) as stay,
        following.following(directories, wanted, console.say),
    ):
        if leads:
            presence.clear([*directories, *(d / 'arrays' for d in directories)], group.directory)
        _train(group, console, caught, lease, place, profiler, stay)


def _train(
    group: ReplicaGroup,
    console: Console,
    caught: Sequence[int],
    lease: leases.Lease | None,
    place: tuple[int, int],
    profiler: Profiler | None,
    stay: presence.Stay,
) -> None:
    plan, mesh = group.plans[0], layout.choose(group.plans)
    console.start_group(group.plans, group.strategy, *place, mesh)
    if line := environment.slow_convolutions(plan):
        console.say(line)
    dataset = resolve.dataset(plan.data)
    if dataset.checksum != plan.data_checksum:
        raise ValueError(f'data set {plan.data["name"]} changed since group {group.id} was started; restore it')
    directories = [group.run_directory(p) for p in group.plans]
    if processes.leads():
        for directory, member in zip(directories, group.plans, strict=True):
            environment.begin(directory, member, str(mesh))
        environment.tell_parents_changed(zip(directories, group.plans, strict=True), console.say)

    def should_stop() -> bool:
        stay.check()
        if lease is not None:
            lease.check()  # without a last checkpoint: the other process writes there now
        return processes.anywhere(bool(caught))

    session = Session(group.plans, dataset, group.directory, directories, group.strategy, console, mesh)

    def begun(session: Session, step: int) -> None:
        console.train(session.clock, step, session.group_pace(step))
        if processes.leads():
            environment.note_code(directories, plan, 'step', step, console.say)
        if profiler is not None:
            profiler(session, step)

    try:
        outcome = loop.run(session, should_stop, begun)
        if processes.leads():
            _end(group, session, outcome)
        console.end_group(session.clock.summary(), outcome.finished)
    except (OSError, leases.Owned):
        raise
    except Exception as e:
        if processes.left(e):
            raise processes.Left(str(e)) from e
        stay.check()
        for member in group.plans if processes.leads() else ():
            environment.update(group.run_directory(member), {'status': 'failed', 'error': f'{type(e).__name__}: {e}'})
        raise
    finally:
        console.close_group()
        session.close()


def _end(group: ReplicaGroup, session: Session, outcome: loop.Outcome) -> None:
    """Writes how each run ended, or that it goes on."""
    facts = {
        'seconds': session.clock.summary(),
        'seconds_per_update': session.recorder.pace,
        'measuring': session.measuring.spent,
        'step': outcome.step,
        'ended': time.time(),
    }
    for plan, watch, writer in zip(group.plans, session.watches, session.recorder.writers, strict=True):
        status = ('diverged' if watch.diverged else 'done') if outcome.finished else 'running'
        ending = {
            'status': status,
            'error': None,
            'diverged_step': watch.state['step'],
            'diverged_reason': watch.state['reason'],
            'stopped_step': watch.stopped,
        }
        if not watch.alive:
            ending['step'] = watch.state['step'] if watch.diverged else watch.stopped
        if outcome.finished:
            ending[verify.KEY] = writer.contents()
        directory = group.run_directory(plan)
        own_metrics = session.measuring.own_metrics(paths.read_json(directory / 'meta.json') or {})
        environment.update(directory, facts | own_metrics | ending)
