"""The stages of a procedure, which is sent the results of each: read when it asks for them, from finished records."""

import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bsresearch import studies
from bsresearch.core import user_file
from bsresearch.launching import groups, probing
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.planning.stages import Member, Result, Stage, probes_of, runs_of
from bsresearch.store import paths, probe_records, records, standing


class Unfinished(Exception):
    """A procedure asked for the result of what has not come to its end."""


class Results(Mapping[str, Result]):
    """Of the members of a stage, by id; asking for one that is not finished raises Unfinished.

    `workdir`: None where nothing is finished.
    """

    def __init__(self, workdir: pathlib.Path | None, stage: Stage):
        self._workdir = workdir
        self._members: dict[str, Plan | Probe] = {member.id: member for member in (*runs_of(stage), *probes_of(stage))}

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getitem__(self, name: str) -> Result:
        member = self._members[name]
        if self._workdir is None:
            raise Unfinished(name)
        return _of_probe(self._workdir, member) if isinstance(member, Probe) else _of_run(self._workdir, member)


def _of_run(workdir: pathlib.Path, plan: Plan) -> Result:
    status = groups.status(workdir, plan).get('status')
    if status not in groups.FINISHED:
        raise Unfinished(plan.id)
    return Result(status, rows=records.merged(paths.run_dir(workdir, plan.study, plan.id)))


def _of_probe(workdir: pathlib.Path, probe: Probe) -> Result:
    arrays = probe_records.arrays(workdir, probing.directory(workdir, probe))
    if arrays is not None:
        return Result('done', arrays=arrays)
    if any(standing.ended_before(groups.status(workdir, plan), step) for plan, step in probe.points):
        return Result('left out')
    raise Unfinished(probe.id)


def stages(procedure: Any, plans: list[Plan], workdir: pathlib.Path | None) -> tuple[list[Stage], bool]:
    """As many of a procedure's stages as are known; whether others depend on results that are not there.

    Raises:
      ValueError: a stage that cannot be, or an error in a procedure of a user's own. One line.
    """
    known: list[Stage] = []
    generator = procedure.stages(plans)
    try:
        known.append(_stage(procedure, lambda: next(generator)))
        while True:
            known.append(_stage(procedure, lambda: generator.send(Results(workdir, known[-1]))))
    except StopIteration:
        return known, False
    except Unfinished:
        return known, True


def _stage(procedure: Any, take: Callable[[], Any]) -> Stage:
    name = getattr(procedure, '__name__', '')
    try:
        stage = list(take())
    except (ValueError, OSError, StopIteration, Unfinished):
        raise
    except Exception as error:
        if name.startswith(f'{studies.PACKAGE}.') or not hasattr(procedure, '__file__'):
            raise
        raise ValueError(f'study: {user_file.described(error, procedure.__file__)}') from error
    if strange := [member for member in stage if not isinstance(member, Member)]:
        raise ValueError(
            f'a stage of study {name} holds {type(strange[0]).__name__}; allowed: plans, or variants, branches, probes '
            '(bsresearch/planning/stages.py)'
        )
    return stage
