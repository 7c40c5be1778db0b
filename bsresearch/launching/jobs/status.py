"""What a workdir says of its grid: every group and probe, how far it is, and why it does not go on."""

import math
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from bsresearch.launching import flag_parser, groups, planner
from bsresearch.launching.console import clock, counted
from bsresearch.launching.jobs import jobs
from bsresearch.planning.plan import Plan
from bsresearch.store import open_stages, paths, probe_records, records
from bsresearch.train import backfill
from bsresearch.train.saving import restore


class Tally:
    """How far the jobs of a stage are, and how long they take at the pace since this was made."""

    def __init__(self, grid: Sequence[jobs.GridJob]):
        self._grid, self._work, self._began = grid, [job.work() for job in grid], time.monotonic()
        self._before = self._done([jobs.state(job) for job in grid])

    def _done(self, states: Sequence[jobs.JobState]) -> float:
        """The share of all work."""
        shares = [1.0 if s.name == 'done' else s.step / max(s.total, 1) for s in states]
        return sum(map(math.prod, zip(shares, self._work, strict=True))) / sum(self._work)

    def __str__(self) -> str:
        states = [jobs.state(job) for job in self._grid]
        done, seconds = self._done(states), time.monotonic() - self._began
        progress = done - self._before
        left = f' · all {clock(seconds / progress * (1 - done))}' if progress > 0 else ''
        return f'{jobs.counted(states)} · {100 * done:.0f} %{left}'


def text(workdir: pathlib.Path) -> str:
    """A line or two for each group and probe, and how many are in which state.

    Raises:
      ValueError: the workdir holds none.
    """
    grid = _grid(workdir)
    states = {job.name: jobs.state(job) for job in grid}
    width, lines = max(map(len, states)), []
    for job in grid:
        state, slurm = states[job.name], job.said().get('slurm')
        by_slurm, log = f', Slurm job {slurm}' if slurm else '', job.directory / 'log.txt'
        unit = job.unit.removesuffix('s') if state.total == 1 else job.unit
        reached = f'{state.step:>9,} of {state.total:,} {unit}'
        owner = '' if state.owner is None else f'  {_owner(state, by_slurm)}'
        lines.append(f'{job.name:<{width}}  {state.name:<8}  {reached}  {job.title()}{owner}')
        if state.reason:
            see = f'{by_slurm} (see {log})' if state.name in ('failed', 'stopped') and log.exists() else ''
            lines.append(f'{"":<{width}}  {state.reason}{see}')
    probes = [file.parent for file in sorted(workdir.glob('*/*/probe.json'))]
    older = [folder for folder in probes if not (folder / 'plan.json').exists()]
    pending = [folder.name for folder in older if probe_records.status(folder).get('status') != 'done']
    if pending:
        lines.append(f'probes that an older version began, not finished: {", ".join(pending)}; its command goes on')
    for file in sorted(workdir.glob(f'*/{open_stages.NAME}')):
        lines += [
            f'study {file.parent.name}: {counted(count, "stage")} known so far; {planner.LATER}'
            for count in open_stages.read(file.parent).values()
        ]
    return '\n'.join([*lines, f'{counted(len(grid), "job")}: {jobs.counted(states.values())}'])


def lacking(workdir: pathlib.Path, plans: Sequence[Plan]) -> int:
    """How many finished groups were recorded with less than is asked for now."""
    finished = [p for p in plans if groups.status(workdir, p).get('status') in groups.FINISHED]
    asked = {restore.group_directory(workdir, plan): plan for plan in reversed(finished)}
    lacking = 0
    for directory, plan in asked.items():
        group = groups.load(directory)
        later = group.meta(group.plans[0]).get('measured_later', {})
        lacking += group.ended and bool(backfill.missing(group.plans[0], plan, later))
    return lacking


def _owner(state: jobs.JobState, by_slurm: str) -> str:
    """Who works on a running job; `state.reason`: its clock, or it, is not to be trusted."""
    assert state.owner is not None
    beat = '' if state.reason else f', heartbeat {max(0.0, time.time() - state.owner["beat"]):.0f} s ago'
    return f'on {state.owner["host"]} (process {state.owner["pid"]}{by_slurm}{")" if state.reason else f"{beat})"}'


def rebuild(flag: Any, workdir: pathlib.Path) -> str:
    """Makes study.json anew, for `flag`, --config; what to say of it.

    Raises:
      ValueError: no config, or nothing to make it from.
    """
    if flag.value is None:
        raise ValueError(
            '--rebuild needs --config=<name or file>, which names the arms, and the overrides of its launches'
        )
    asked = planner.rebuilt(*flag_parser.declared(flag), workdir)
    lost = '; if it held other findings, give the command with their configs too' if asked.rebuild(workdir) else ''
    return f'{workdir / asked.study}/study.json: {len(asked.entry["rows"])} rows of findings {asked.findings}{lost}'


def retry(workdir: pathlib.Path) -> list[str]:
    """Makes what failed to do again, from its checkpoints; the names.

    Raises:
      ValueError: the workdir holds nothing.
    """
    return [job.name for job in _grid(workdir) if jobs.retry(job)]


def _grid(workdir: pathlib.Path) -> list[jobs.GridJob]:
    """All jobs of a workdir.

    Raises:
      ValueError: it holds none. Damaged: a run points to a group that has no group.json.
    """
    if not workdir.is_dir():
        raise ValueError(f'--workdir={workdir}: no such directory; name what a launch was given')
    grid = jobs.load(workdir)
    described = {job.directory for job in grid}
    for file in sorted(workdir.glob('*/*/config.json')):
        name = records.status(file.parent).get('group')
        if name is not None and (folder := paths.group_dir(workdir, file.parent.parent.name, name)) not in described:
            groups.load(folder)
    if not grid:
        raise ValueError(f'--workdir={workdir} holds no groups and no probes; name what a launch was given')
    return grid
