"""Replica groups on disk: who belongs together is decided once, written down, and kept by every later command."""

import contextlib
import dataclasses
import fcntl
import hashlib
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bsresearch.core.flat import flatten
from bsresearch.launching import environment, fitting
from bsresearch.planning import schema, sweep
from bsresearch.planning.plan import Plan, canonical
from bsresearch.store import paths, records
from bsresearch.store.paths import RESTORE, Damaged
from bsresearch.store.standing import FINISHED
from bsresearch.train import program
from bsresearch.train.devices import compiling
from bsresearch.train.saving import restore


@dataclass(frozen=True)
class ReplicaGroup:
    """A replica group on disk."""

    id: str
    plans: list[Plan]
    strategy: str
    directory: pathlib.Path

    def run_directory(self, plan: Plan) -> pathlib.Path:
        """Of one of its runs."""
        return self.directory.parent.parent / plan.id

    def placed(self, asked: Plan) -> 'ReplicaGroup':
        """With the devices that a command asks for, whatever it was begun on."""
        placement = {name: asked.execution[name] for name in schema.PLACEMENT}
        return dataclasses.replace(self, plans=[p.executed(**placement) for p in self.plans])

    def asked(self, plans: Sequence[Plan]) -> 'ReplicaGroup':
        """With the places of files that a command says, which may have moved: of parents, and of a user's own parts."""
        asked = {p.id: p for p in plans}
        return dataclasses.replace(self, plans=[p.moved_to(asked.get(p.id, p)) for p in self.plans])

    def meta(self, plan: Plan) -> dict[str, Any]:
        """The meta of one of its runs; empty if it was never started."""
        return records.status(self.run_directory(plan))

    @property
    def ended(self) -> bool:
        """Whether all its runs came to their end."""
        return all(self.meta(p).get('status') in FINISHED for p in self.plans)


@contextlib.contextmanager
def study_lock(folder: pathlib.Path) -> Iterator[None]:
    """One process at a time forms groups in a study, or writes down what it is asked."""
    folder.mkdir(exist_ok=True)  # in a workdir that is there
    with open(folder / '.lock', 'wb') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def status(workdir: pathlib.Path, plan: Plan) -> dict[str, Any]:
    """A run's meta; empty if it was never started."""
    return records.status(paths.run_dir(workdir, plan.study, plan.id))


def unfinished(workdir: pathlib.Path, plans: Sequence[Plan]) -> list[Plan]:
    """The plans that have not come to their end."""
    return [p for p in plans if status(workdir, p).get('status') not in FINISHED]


def load(directory: pathlib.Path, member: str | None = None) -> ReplicaGroup:
    """A group as it was written down.

    Args:
      directory: its own. member: the id of a run that points to it.

    Raises:
      Damaged: there is none, or it is not what was written: its runs have other ids, or other numbers, than they had.
    """
    file = directory / 'group.json'
    stored = paths.read_json(file)
    if stored is None:
        raise Damaged(f'{file} is missing, which its runs point to; {RESTORE}')
    try:
        plans = [Plan.from_json(p) for p in stored['plans']]
        group = ReplicaGroup(stored['id'], plans, stored['strategy'], directory)
        name = _name(plans)
    except (KeyError, TypeError, ValueError) as e:
        raise Damaged(f'{file} is damaged ({type(e).__name__}: {e}); {RESTORE}') from e
    if name != directory.name or group.id != directory.name:
        raise Damaged(f'{file} is damaged (it describes other runs than it was made for); {RESTORE}')
    if member is not None and member not in {p.id for p in plans}:
        raise Damaged(f'{file} does not hold run {member}, which points to it; {RESTORE}')
    if not paths.is_sealed(file):
        _compare(group, stored['plans'])
    return group


def _compare(group: ReplicaGroup, stored: Sequence[Mapping[str, Any]]) -> None:
    """Of a description without a seal: each run's config.json was written with the same numbers.

    Raises:
      Damaged: one of the two is not what was written.
    """
    for plan, numbers in zip(group.plans, stored, strict=True):
        file = group.run_directory(plan) / 'config.json'
        config = paths.read_json(file, 'resolved')
        described = {k: v for k, v in numbers.items() if k != 'declared'}
        if config is not None and canonical(config['resolved']) != canonical(described):
            raise Damaged(f'{group.directory}/group.json and {file} tell other numbers of one run; {RESTORE}')


def _name(plans: Sequence[Plan]) -> str:
    """A group's id: of its runs' ids in their order."""
    return hashlib.sha256('\n'.join(p.id for p in plans).encode()).hexdigest()[:12]


def of(workdir: pathlib.Path, plan: Plan) -> ReplicaGroup:
    """The group that a started run belongs to; errors as in `load`."""
    return load(restore.group_directory(workdir, plan), plan.id)


def form(
    workdir: pathlib.Path, plans: Sequence[Plan], say: Callable[[str], None], platform: str | None = None
) -> list[ReplicaGroup]:
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
        with study_lock(workdir / study):
            ungrouped = [p for p in todo if p.study == study]
            while started := [p for p in ungrouped if status(workdir, p)]:
                group = of(workdir, started[0])
                if _dissolved(group):
                    continue
                if platform is None:
                    fitting.check(group.placed(started[0]).plans, group.strategy)
                _write_runs(group)
                for line in (*kept_execution(group, started[0]), *kept_recording(group, started[0])):
                    say(f'group {group.id} {line}')
                groups.append(group.placed(started[0]).asked(started))
                members = {p.id for p in group.plans}
                ungrouped = [p for p in ungrouped if p.id not in members]
            parts = fitting.groups(ungrouped, say) if platform is None else sweep.groups(ungrouped)
            groups += [_create(workdir, part, platform) for part in parts]
    return groups


def _create(workdir: pathlib.Path, plans: list[Plan], platform: str | None) -> ReplicaGroup:
    name = _name(plans)
    directory = paths.group_dir(workdir, plans[0].study, name)
    plans, strategy = settled(plans, platform)
    group = ReplicaGroup(name, plans, strategy, directory)
    directory.parent.mkdir(exist_ok=True)
    directory.mkdir(exist_ok=True)
    description = {'id': name, 'strategy': strategy, 'plans': [p.to_json() for p in plans]}
    description |= environment.own_sources(plans[0])
    paths.write_json(directory / 'group.json', description)
    _write_runs(group)
    return group


def settled(plans: Sequence[Plan], platform: str | None = None) -> tuple[list[Plan], str]:
    """The plans of a new group with the engine's own choices written into them, which a resume keeps; its strategy."""
    strategy = fitting.strategy_of(plans, platform)
    micro = program.micro_batch(plans[0], platform or compiling.platform(), plans[0].length.largest_batch_size)
    return [p.executed(micro_batch_size=micro, strategy=strategy) for p in plans], strategy


def _dissolved(group: ReplicaGroup) -> bool:
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


def _write_runs(group: ReplicaGroup) -> None:
    """The runs' config and meta, but for those that have them: a kill may have come between two."""
    facts = {'group': group.id, 'strategy': group.strategy, 'replicas': len(group.plans), 'status': 'running'}
    for index, plan in enumerate(group.plans):
        if not group.meta(plan):
            folder = group.run_directory(plan)
            folder.mkdir(exist_ok=True)
            paths.write_json(folder / 'config.json', {'resolved': plan.resolved(), 'declared': plan.declared})
            paths.write_json(folder / 'meta.json', {'id': plan.id, 'study': plan.study, 'index': index} | facts)


def kept_execution(group: ReplicaGroup, asked: Plan) -> list[str]:
    """What a group keeps of how it is executed where a command asks for something else; None and 'auto' ask nothing."""
    begun = next(p for p in group.plans if p.id == asked.id)
    lines = []
    for field, kept in begun.execution.items():
        wish = asked.execution[field]
        alike = wish in (None, 'auto', kept, begun.declared.get(field))
        if field not in schema.PLACEMENT and not alike and _matters(group, field, wish, kept):
            lines.append(f'goes on with {field}={kept}, with which it was started; {field}={wish} is for new groups')
    return lines


def _matters(group: ReplicaGroup, field: str, wish: Any, kept: Any) -> bool:
    """Whether the group would be executed otherwise if the wish were followed."""
    runs = len(group.plans)
    if field == 'strategy':
        return runs > 1
    if field == 'max_replicas':
        return wish < runs or (runs == kept < wish)
    return field != 'reduction_chunks' or group.plans[0].execution['reduction'] == 'ordered'


def kept_recording(group: ReplicaGroup, asked: Plan, leave: Sequence[str] = ()) -> list[str]:
    """What a group keeps of what is recorded, but for the sections `leave`; which branches it gets is no part of it."""
    begun = next(p for p in group.plans if p.id == asked.id)
    before, now = (flatten(p.recording) for p in (begun, asked))
    same = lambda k: k.split('.')[0] in (*leave, 'branch', 'tune') or canonical(before.get(k)) == canonical(now.get(k))
    kept = [f'{k}={before.get(k)} (not {now.get(k)})' for k in sorted(before.keys() | now.keys()) if not same(k)]
    return [f'goes on with the recording it was started with: {", ".join(kept)}'] if kept else []
