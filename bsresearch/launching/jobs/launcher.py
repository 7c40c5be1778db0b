"""Launches a grid: its groups and probes as jobs of an engine, stage after stage, in one workdir.

All groups are formed, and all probes described, before anything of the stages that are known is submitted; from then on
the workdir alone says what is to do, and any number of launchers and jobs may work on it. A job that failed is left
alone until --retry.
"""

import pathlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import jax

from bsresearch.core import program
from bsresearch.core.interrupts import Stopped, noted
from bsresearch.launching import calibration, fitting, flag_parser, groups, planner, walk
from bsresearch.launching.console import Console, counted
from bsresearch.launching.jobs import engines, jobs, status
from bsresearch.launching.jobs.engines import Engine, Job
from bsresearch.launching.planner import Study
from bsresearch.launching.waiting import Waiting
from bsresearch.planning.stages import Stage, probes_of, runs_of
from bsresearch.store import leases, paths, presence
from bsresearch.train.saving import restore

# Between two looks at jobs that other launchers' processes are at.
LOOK_SECONDS = 2.0
# A job killed on another host looks alive until its lease is stale, and is then given to the engine again: so often.
TRIES = 3


class Request(NamedTuple):
    """What a launch is asked for beside the config and engines' options: its flags."""

    workdir: Annotated[str | None, 'Where runs are written, and found again; on a disk that all hosts share.'] = None
    engine: Annotated[str, 'Where jobs run: a file of bsresearch/launching/jobs/engines.'] = 'local'
    arms: Annotated[Sequence[str], 'Only these arms of the config, by name.'] = ()
    array: Annotated[int | None, 'How many jobs at once; local: 1, slurm: as it sees fit.'] = None
    processes: Annotated[int | None, 'The same, where they are processes of this machine.'] = None
    status: Annotated[bool, 'Print where every group and probe of --workdir stands.'] = False
    rebuild: Annotated[bool, 'With --config: make study.json anew from the runs of --workdir.'] = False
    retry: Annotated[bool, 'Make what failed to do again, from its checkpoints.'] = False


def launch(flag: Any, request: Request, options: Mapping[str, Any]) -> int:
    """Launches the study of a config, or says where it stands; the exit code.

    Args:
      flag: --config. options: flags of engines that were given.
    """
    if not request.workdir:
        return program.usage('--workdir=<directory> is needed: where runs are written, and found again')
    root, planned = pathlib.Path(request.workdir), flag.value is not None and not request.status
    if not (planned or request.status or request.retry):
        needed = '--config=<name or file> is needed, e.g. --config=batch_size_sweep; or --status or --retry'
        return program.usage(needed)
    study = engine = None
    try:
        if request.rebuild:
            print(status.rebuild(flag, root))
        if request.status:
            print(status.text(root))
        if planned:
            # The accelerator is for the jobs: one that this process held they could not have.
            jax.config.update('jax_platforms', 'cpu')
            at_once = request.processes if request.array is None else request.array
            engine = engines.chosen(request.engine, at_once, options)
            plan = lambda: planner.study(*flag_parser.declared(flag), root, pick=request.arms, say=print)
            study = calibration.planned(plan, root, print) if engine.trains_here else plan()
        if request.retry and not request.status and (root.is_dir() or not planned):
            names = status.retry(root)
            print('\n'.join(f'{name} is to do again' for name in names) or 'nothing failed')
    except (ValueError, OSError, leases.Owned) as e:
        return program.usage(str(e))
    return 0 if study is None or engine is None else run(Console(), root, study, engine)


def run(console: Console, workdir: pathlib.Path, study: Study, engine: Engine) -> int:
    """Makes a planned study as jobs of an engine; the exit code."""
    jobs_of_stages: list[list[jobs.GridJob]] = []

    def begin(study: Study, known: int, stay: presence.Stay) -> None:
        if known == 0 and (lacking := status.lacking(workdir, study.runs)):
            console.say(
                f'{lacking} finished groups lack measurements that they are asked for: `bsresearch run` with the same '
                'flags makes those that can be had from their checkpoints'
            )
        stages = study.stages[known:]
        for stage in stages if engine.trains_here else ():
            fitting.groups(runs_of(stage))  # what needs more memory is refused before anything is written
        paths.claim_workdir(workdir, stay)
        planner.write_down(study, workdir, stay)
        jobs_of_stages.extend(declare(workdir, stages, engine, console.say))

    def make(study: Study, number: int, stay: presence.Stay) -> bool:
        later = f' ({planner.LATER})' if study.awaits_results else ''
        with noted() as caught:
            launcher = Launcher(workdir, engine, console.say, caught, stay)
            done = launcher.stage(f'stage {number + 1} of {len(study.stages)}{later}', jobs_of_stages[number])
        if caught:
            raise Stopped(caught[0])
        return done

    meanwhile = ', bsresearch status tells what is on its way'
    return walk.execute(console, workdir, study, begin, make, meanwhile=meanwhile)


def declare(
    workdir: pathlib.Path, stages: Sequence[Stage], engine: Engine, say: Callable[[str], None]
) -> list[list[jobs.GridJob]]:
    """Writes down groups and probes of stages as jobs; what is there stays as it is.

    Runs that are finished are in no job.
    """
    # Elsewhere nothing is known of the memory: groups are formed as the config has them, and each job checks its own.
    platform = None if engine.trains_here else engine.platform
    paths.claim_workdir(workdir)
    grid = []
    for stage in stages:
        formed = groups.form(workdir, runs_of(stage), say, platform)
        of_groups = [jobs.of_group(workdir, group) for group in formed]
        grid.append(of_groups + [jobs.of_probe(workdir, probe) for probe in probes_of(stage)])
    return grid


class Launcher:
    """Takes the jobs of a stage to their ends.

    Args:
      say: for one line. caught: signals that came; the first ends it. stay: knows the workdir.
    """

    def __init__(
        self, workdir: pathlib.Path, engine: Engine, say: Callable[[str], None], caught: Sequence[int] = (),
        stay: presence.Stay | None = None,
    ):  # fmt: skip
        self.workdir, self.engine, self.say, self._caught = workdir.absolute(), engine, say, caught
        self._token, self._stay, self._watch = jobs.token(workdir), stay or presence.Stay(), leases.Watch(say, caught)
        # How often each job may be given to the engine yet; of one that came to no end another command is one more try.
        self._tries: Counter[str] = Counter()

    def stage(self, title: str, grid: Sequence[jobs.GridJob]) -> bool:
        """Returns whether all are done, when none of them can be taken further now."""
        states = [jobs.state(job, self._watch) for job in grid]
        counts = jobs.counted(states) or 'nothing to do'
        self.say(f'{title}: {counted(len(grid), "job")} ({counts}), engine {self.engine.name}')
        for job, state in zip(grid, states, strict=True):
            self._tries[job.name] = TRIES
            if state.name == 'failed':
                self.say(f'  {job.name} failed before: {state.reason} (--retry makes it to do again)')
        waited = False
        while not self._caught:
            self._stay.check()
            states = {job.name: jobs.state(job, self._watch).name for job in grid}
            open_jobs = [job for job in grid if states[job.name] in ('to do', 'stopped') and self._tries[job.name] > 0]
            others = sum(name == 'running' for name in states.values())
            if ready := [job for job in open_jobs if self._can_begin(job)]:
                self._submit(ready)
            elif not others:
                break
            else:
                if not waited:
                    self.say(f'  waiting for {others} jobs that other processes are at')
                waited = True
                time.sleep(LOOK_SECONDS)
        ends = {jobs.state(job).name for job in grid}
        return ends <= {'done', jobs.LEFT_OUT} and ends != {jobs.LEFT_OUT}

    def _can_begin(self, job: jobs.GridJob) -> bool:
        """Whether what it begins with is there; if not, that is noted, and it is passed over."""
        try:
            job.check(self._watch)
        except (ValueError, leases.Owned) as e:
            # A probe of diverged weights is no failure; a branch from there leaves its group's others without a start.
            name = job.without_start if isinstance(e, restore.Diverged) else 'waiting'
            job.note(state=name, error=str(e))
            self.say(f'  {job.name} is {name}: {e}')
            self._tries[job.name] = 0
            return False
        return True

    def _submit(self, ready: Sequence[jobs.GridJob]) -> None:
        self._tries.subtract(job.name for job in ready)
        tally = status.Tally(ready)
        waiting = Waiting(lambda _: self.say(f'  {tally}'))
        try:
            self._see_through(ready)
        finally:
            waiting.stop()

    def _see_through(self, ready: Sequence[jobs.GridJob]) -> None:
        """Gives jobs to the engine and tells of each what came of it."""
        given = {job.name: job for job in ready}
        for job, code, words in self.engine.run([self.command(job) for job in ready], lambda: bool(self._caught)):
            self._stay.check()
            state = jobs.state(given[job.name], self._watch)
            if state.name != 'running':  # else another process is at it, and may need this launcher yet
                self._tries[job.name] = 0
            reason = f': {state.reason}' if state.reason else ''
            failed = code != 0 and state.name != 'done'
            exit_code = f' (exit code {code}{f"; {words}" if words else ""})' if failed else ''
            self.say(f'  {job.name} {state.name}{reason}{exit_code}')

    def command(self, job: jobs.GridJob) -> Job:
        """The command that does a job."""
        options = (f'--job={job.name}', f'--workdir={self.workdir}', f'--token={self._token}')
        return Job(job.name, (sys.executable, '-m', 'bsresearch', 'worker', *options))
