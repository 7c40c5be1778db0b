"""Replica groups on disk: who belongs together is decided once, written down, and kept by every later command."""

import contextlib
import dataclasses
import fcntl
import hashlib
import pathlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bsresearch import fitting, schema, sweep
from bsresearch.plan import Plan, canonical
from bsresearch.store import paths
from bsresearch.train import parallel, program

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

    def placed(self, asked: Plan) -> 'Group':
        """With the devices that a command asks for, whatever it was begun on."""
        placement = {name: asked.execution[name] for name in schema.PLACEMENT}
        return dataclasses.replace(self, plans=[p.executed(**placement) for p in self.plans])

    def asked(self, plans: Sequence[Plan]) -> 'Group':
        """With the places where a command says the parents of branches are, which may have moved since."""
        parents = {p.id: p.parent for p in plans}
        return dataclasses.replace(
            self, plans=[dataclasses.replace(p, parent=parents.get(p.id, p.parent)) for p in self.plans]
        )

    def meta(self, plan: Plan) -> dict[str, Any]:
        """The meta of one of its runs; empty if it was never started."""
        return paths.read_json(self.run_directory(plan) / 'meta.json') or {}

    @property
    def ended(self) -> bool:
        """Whether all its runs came to their end."""
        return all(self.meta(p).get('status') in FINISHED for p in self.plans)


@contextlib.contextmanager
def _study_lock(folder: pathlib.Path) -> Iterator[None]:
    """One process at a time forms groups in a study."""
    folder.mkdir(exist_ok=True)  # in a workdir that is there
    with open(folder / '.lock', 'w') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def status(workdir: pathlib.Path, plan: Plan) -> dict[str, Any]:
    """A run's meta; empty if it was never started."""
    return paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json') or {}


def directory_of(workdir: pathlib.Path, plan: Plan) -> pathlib.Path:
    """Of the group that a run belongs to, which was started.

    Raises:
      ValueError: its meta is not that of a run.
    """
    name = status(workdir, plan).get('group')
    if name is None:
        folder = paths.run_dir(workdir, plan.study, plan.id)
        raise ValueError(f'{folder}/meta.json names no group, so it is not whole; remove that folder, or restore it')
    return paths.group_dir(workdir, plan.study, name)


def unfinished(workdir: pathlib.Path, plans: Sequence[Plan]) -> list[Plan]:
    """The plans that have not come to their end."""
    return [p for p in plans if status(workdir, p).get('status') not in FINISHED]


def load(directory: pathlib.Path) -> Group:
    """A group as it was written down."""
    stored = paths.read_json(directory / 'group.json')
    if stored is None:
        raise ValueError(
            f'{directory}/group.json is missing, which its runs point to; restore it or use another workdir'
        )
    plans = [Plan.from_json(p) for p in stored['plans']]
    return Group(stored['id'], plans, stored['strategy'], directory)


def form(
    workdir: pathlib.Path, plans: Sequence[Plan], say: Callable[[str], None], platform: str | None = None
) -> list[Group]:
    """The groups that hold the unfinished of `plans`: those on disk first, then new ones, written down.

    `platform`: where they will be trained (cpu, gpu, tpu), of whose memory nothing is known; None: in this process,
    whose devices must hold them: a new group is split if it takes that, one on disk stays as it is.

    Raises:
      ValueError: the devices cannot hold a single run, or a group on disk; no new group was written then.
    """
    todo, groups = unfinished(workdir, plans), []
    if platform is None:
        fitting.groups([p for p in todo if not status(workdir, p)])
    for study in sorted({p.study for p in todo}):
        with _study_lock(workdir / study):
            mine = [p for p in todo if p.study == study]
            while started := [p for p in mine if status(workdir, p)]:
                group = load(directory_of(workdir, started[0]))
                if _dissolved(group):
                    continue
                if platform is None:
                    fitting.check(group.placed(started[0]).plans, group.strategy)
                _write_runs(group)
                _tell_differences(group, started, say)
                groups.append(group.placed(started[0]).asked(started))
                members = {p.id for p in group.plans}
                mine = [p for p in mine if p.id not in members]
            parts = fitting.groups(mine, say) if platform is None else sweep.groups(mine)
            groups += [_create(workdir, members, platform) for members in parts]
    return groups


def _create(workdir: pathlib.Path, plans: list[Plan], platform: str | None) -> Group:
    name = hashlib.sha256('\n'.join(p.id for p in plans).encode()).hexdigest()[:12]
    directory = paths.group_dir(workdir, plans[0].study, name)
    strategy = fitting.strategy_of(plans, platform)
    # The engine's own choices are written into the plans: a resume keeps them.
    micro = program.micro_batch(plans[0], platform or parallel.platform(), plans[0].length.largest_batch_size)
    plans = [p.executed(micro_batch_size=micro, strategy=strategy) for p in plans]
    group = Group(name, plans, strategy, directory)
    directory.parent.mkdir(exist_ok=True)
    directory.mkdir(exist_ok=True)
    paths.write_json(
        directory / 'group.json',
        {'id': name, 'strategy': strategy, 'plans': [p.to_json() for p in plans]},
    )
    _write_runs(group)
    return group


def _dissolved(group: Group) -> bool:
    """Whether the group lost members to another before it was trained (a kill while its runs were written).

    Its own members are then free to be grouped anew: no run may be in two groups.
    """
    elsewhere = [p.id for p in group.plans if group.meta(p).get('group', group.id) != group.id]
    if not elsewhere:
        return False
    if (group.directory / 'checkpoints').exists():
        raise ValueError(
            f'runs {", ".join(elsewhere)} of group {group.id} belong to another group too; restore the workdir'
        )
    for plan in group.plans:
        if group.meta(plan).get('group') == group.id:
            (group.run_directory(plan) / 'meta.json').unlink()
    return True


def _write_runs(group: Group) -> None:
    """The runs' config and meta, but for those that have them: a kill may have come between two."""
    facts = {'group': group.id, 'strategy': group.strategy, 'replicas': len(group.plans), 'status': 'running'}
    for index, plan in enumerate(group.plans):
        if not group.meta(plan):
            folder = group.run_directory(plan)
            folder.mkdir(exist_ok=True)
            paths.write_json(folder / 'config.json', {'resolved': plan.resolved(), 'declared': plan.declared})
            paths.write_json(folder / 'meta.json', {'id': plan.id, 'study': plan.study, 'index': index} | facts)


def _tell_differences(group: Group, asked: Sequence[Plan], say: Callable[[str], None]) -> None:
    """Execution and recording stay as the group was started with."""
    ids = {p.id: p for p in group.plans}
    for plan in asked:
        if plan.id in ids and canonical(plan.recording) != canonical(ids[plan.id].recording):
            say(f'group {group.id} goes on with the recording it was started with; this command asks for another')
            return
