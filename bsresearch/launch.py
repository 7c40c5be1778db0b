"""The runner: takes a stage (a list of Plans) to its end on this machine. Finished runs are left alone, others go on.

A group's members and how it is executed are fixed when it is made (group.json); who asks for one of its runs later
continues the whole group as it was.
"""

import contextlib
import fcntl
import hashlib
import pathlib
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bsresearch import meta, resolve, sweep
from bsresearch.console import Console
from bsresearch.plan import Plan, canonical
from bsresearch.store import leases, paths
from bsresearch.train import backfill, loop, parallel, program
from bsresearch.train.session import Session

FINISHED = ('done', 'diverged')


@dataclass(frozen=True)
class Group:
    """A replica group on disk."""

    id: str
    plans: list[Plan]
    strategy: str
    directory: pathlib.Path

    def run_directory(self, plan: Plan) -> pathlib.Path:
        """Of one of its runs."""
        return self.directory.parent.parent / plan.id


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


@contextlib.contextmanager
def _study_lock(folder: pathlib.Path) -> Iterator[None]:
    """One process at a time forms groups in a study."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / '.lock', 'w') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def status(workdir: pathlib.Path, plan: Plan) -> dict[str, Any]:
    """A run's meta; empty if it was never started."""
    return paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json') or {}


def unfinished(workdir: pathlib.Path, plans: Sequence[Plan]) -> list[Plan]:
    """The plans that have not come to their end."""
    return [p for p in plans if status(workdir, p).get('status') not in FINISHED]


def _load_group(directory: pathlib.Path) -> Group:
    stored = paths.read_json(directory / 'group.json')
    if stored is None:
        raise ValueError(
            f'{directory}/group.json is missing, which its runs point to; restore it or use another workdir'
        )
    plans = [Plan.from_json(p) for p in stored['plans']]
    return Group(stored['id'], plans, stored['strategy'], directory)


def form(workdir: pathlib.Path, plans: Sequence[Plan], say: Any) -> list[Group]:
    """The groups that hold the unfinished of `plans`: those on disk first, then new ones, written down."""
    todo, groups = unfinished(workdir, plans), []
    for study in sorted({p.study for p in todo}):
        with _study_lock(workdir / study):
            mine = [p for p in todo if p.study == study]
            while started := [p for p in mine if status(workdir, p)]:
                group = _load_group(paths.group_dir(workdir, study, status(workdir, started[0])['group']))
                _write_runs(group)
                _tell_differences(group, started, say)
                groups.append(group)
                members = {p.id for p in group.plans}
                mine = [p for p in mine if p.id not in members]
            groups += [_create(workdir, members) for members in sweep.groups(mine)]
    return groups


def _create(workdir: pathlib.Path, plans: list[Plan]) -> Group:
    name = hashlib.sha256('\n'.join(p.id for p in plans).encode()).hexdigest()[:12]
    directory = paths.group_dir(workdir, plans[0].study, name)
    strategy = parallel.choose(plans[0].execution['strategy'], len(plans), parallel.platform())
    # The engine's own choices are written into the plans: a resume keeps them.
    micro = program.micro_batch(plans[0], parallel.platform())
    plans = [p.executed(micro_batch_size=micro, strategy=strategy) for p in plans]
    group = Group(name, plans, strategy, directory)
    paths.write_json(
        directory / 'group.json',
        {'id': name, 'strategy': strategy, 'plans': [p.to_json() for p in plans]},
    )
    _write_runs(group)
    return group


def _write_runs(group: Group) -> None:
    """The runs' config and meta, but for those that have them: a kill may have come between two."""
    facts = {'group': group.id, 'strategy': group.strategy, 'replicas': len(group.plans), 'status': 'running'}
    for index, plan in enumerate(group.plans):
        if not _status(group, plan):
            folder = group.run_directory(plan)
            paths.write_json(folder / 'config.json', {'resolved': plan.resolved(), 'declared': plan.declared})
            paths.write_json(folder / 'meta.json', {'id': plan.id, 'study': plan.study, 'index': index} | facts)


def _tell_differences(group: Group, asked: Sequence[Plan], say: Any) -> None:
    """Execution and recording stay as the group was started with."""
    ids = {p.id: p for p in group.plans}
    for plan in asked:
        if plan.id in ids and canonical(plan.recording) != canonical(ids[plan.id].recording):
            say(f'group {group.id} goes on with the recording it was started with; this command asks for another')
            return


def launch(workdir: pathlib.Path, plans: Sequence[Plan], console: Console) -> None:
    """Runs a stage to its end.

    Raises:
      Stopped: by a signal, everything reached being saved.
      leases.Owned: another live process trains one of the runs.
    """
    paths.check_schema(workdir)
    todo = unfinished(workdir, plans)
    finished = [p for p in plans if p not in todo]
    if finished:
        console.say(f'{len(finished)} of {len(plans)} runs are finished already and are left alone')
        _measure_later(workdir, finished, console)
    if not todo:
        return
    paths.claim_workdir(workdir)
    groups = form(workdir, plans, console.say)
    with signals() as caught:
        for number, group in enumerate(groups, 1):
            with leases.Lease(group.directory):
                _train(group, console, caught, number, len(groups))
            if caught:
                raise Stopped(caught[0])


def _measure_later(workdir: pathlib.Path, finished: Sequence[Plan], console: Console) -> None:
    """Measurements that finished runs are now asked for."""
    seen: set[str] = set()
    for plan in finished:
        name = status(workdir, plan)['group']
        if name in seen:
            continue
        seen.add(name)
        group = _load_group(paths.group_dir(workdir, plan.study, name))
        ended = all(_status(group, p).get('status') in FINISHED for p in group.plans)
        if ended and canonical(plan.recording) != canonical(group.plans[0].recording):
            directories = [group.run_directory(p) for p in group.plans]
            with leases.Lease(group.directory):
                backfill.run(group.plans, plan, group.directory, directories, group.strategy, console)


def _train(group: Group, console: Console, caught: list[int], number: int, total: int) -> None:
    """One group, from where it stands; its runs' metas say how it ended."""
    if all(_status(group, p).get('status') in FINISHED for p in group.plans):
        return
    console.start_group(group.plans, group.strategy, number, total)
    started = time.time()
    dataset = resolve.dataset(group.plans[0].data)
    if dataset.checksum != group.plans[0].data_checksum:
        raise ValueError(
            f'data set {group.plans[0].data["name"]} changed since group {group.id} was started; restore it'
        )
    directories = [group.run_directory(p) for p in group.plans]
    session = Session(group.plans, dataset, group.directory, directories, group.strategy, console)
    try:
        outcome = loop.run(session, lambda: bool(caught))
        facts = {
            'seconds': session.clock.summary(),
            'seconds_per_update': session.recorder.seconds_per_update,
            'step': outcome.step,
            'started': started,
            'ended': time.time(),
        }
        for plan, watch in zip(group.plans, session.watches, strict=True):
            end = {'status': ('done' if watch.alive else 'diverged') if outcome.finished else 'running'}
            end |= {'diverged_step': watch.state['step'], 'diverged_reason': watch.state['reason']}
            meta.update(group.run_directory(plan), meta.environment(plan) | facts | end)
        console.end_group(group.plans, session, outcome.finished)
    except Exception as e:
        if not isinstance(e, OSError):
            for plan in group.plans:
                meta.update(group.run_directory(plan), {'status': 'failed', 'error': f'{type(e).__name__}: {e}'})
        raise
    finally:
        session.close()


def _status(group: Group, plan: Plan) -> dict[str, Any]:
    return paths.read_json(group.run_directory(plan) / 'meta.json') or {}
