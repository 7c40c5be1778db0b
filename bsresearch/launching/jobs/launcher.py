"""Launches a grid: its groups and probes as jobs of an engine, stage after stage, in one workdir.

All groups are formed, and all probes described, before anything is submitted; from then on the workdir alone says what
is to do, and any number of launchers and jobs may work on it. A job that failed is left alone until --retry.
"""

import pathlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import jax

from bsresearch import studies
from bsresearch.core import lookup
from bsresearch.core.interrupts import Stopped, noted
from bsresearch.launching import fitting, groups
from bsresearch.launching.groups import ReplicaGroup
from bsresearch.launching.jobs import jobs, worker
from bsresearch.launching.jobs.engines import Job
from bsresearch.planning import sweep
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.store import leases, paths, presence
from bsresearch.train import backfill
from bsresearch.train.saving import restore

PACKAGE = 'bsresearch.launching.jobs.engines'
# Between two looks at jobs that other launchers' processes are at.
LOOK_SECONDS = 2.0
# A job killed on another host looks alive until its lease is stale, and is then given to the engine again: so often.
TRIES = 3
# Exit code of a launch after which something is not done.
INCOMPLETE = 1

Stage = Sequence[Plan] | Sequence[Probe]


class Engine(NamedTuple):
    """Where jobs run. options: its own; at_once: how many together at most, None as the engine sees fit."""

    name: str
    at_once: int | None
    options: Mapping[str, Any]
    module: ModuleType


def prepared(name: str, at_once: int | None, given: Mapping[str, Any]) -> Engine:
    """An engine with all its options, checked.

    Raises:
      ValueError: it is unknown, or cannot work here.
    """
    module = lookup.module(PACKAGE, 'run', name, 'engine')
    options = lookup.check_keywords(module.run, given, f'engine {name}')
    module.check(at_once, **options)
    return Engine(name, at_once, options, module)


def planned(config: dict[str, Any], overrides: dict[str, Any], workdir: pathlib.Path) -> tuple[Any, list[Plan]]:
    """The study and its runs, as main.py plans them; nothing is written.

    Raises:
      ValueError, OSError: what is wrong with the config or the workdir.
    """
    config['study'] = overrides.pop('study', config['study'])
    plans = sweep.expand(config, overrides)
    studies.check(config['study'], plans)
    paths.check_schema(workdir)
    return studies.module(config['study']), plans


def declare(
    workdir: pathlib.Path, stages: Sequence[Stage], engine: Engine, say: Callable[[str], None]
) -> list[list[jobs.Item]]:
    """Writes down the groups and probes of all stages; those already there stay as they are.

    Runs that are finished are in no item.

    Raises:
      ValueError: a run needs more memory than this machine has, where it is the one.
    """
    found, platform = [], engine.module.platform(**engine.options)
    # Elsewhere nothing is known of the memory: groups are formed as the config has them, and each job checks its own.
    if getattr(engine.module, 'SAME_MACHINE', False) and platform == jax.default_backend():
        platform = None
        for stage in stages:
            fitting.groups([p for p in stage if isinstance(p, Plan)])
    paths.claim_workdir(workdir)
    for stage in stages:
        runs = [p for p in stage if isinstance(p, Plan)]
        formed = [jobs.of_group(workdir, g) for g in groups.form(workdir, runs, say, platform)] if runs else []
        found.append(formed + [jobs.of_probe(workdir, p) for p in stage if isinstance(p, Probe)])
    return found


def _lacking(workdir: pathlib.Path, plans: Sequence[Plan]) -> int:
    """How many finished groups were recorded with less than is asked for now."""
    asked: dict[pathlib.Path, Plan] = {}
    for plan in plans:
        if groups.status(workdir, plan).get('status') in groups.FINISHED:
            asked.setdefault(groups.directory_of(workdir, plan), plan)
    loaded = [(groups.load(directory), plan) for directory, plan in asked.items()]
    later = lambda group: group.meta(group.plans[0]).get('measured_later', {})
    return sum(g.ended and bool(backfill.missing(g.plans[0], plan, later(g))) for g, plan in loaded)


class Launcher:
    """Takes the items of stages to their ends.

    Args:
      should_stop: whether a signal came. say: for one line. stay: knows the workdir. watch: of leases.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        engine: Engine,
        should_stop: Callable[[], bool],
        say: Callable[[str], None],
        stay: presence.Stay | None = None,
        watch: leases.Watch | None = None,
    ):
        self.workdir, self.engine, self.should_stop, self.say = workdir.absolute(), engine, should_stop, say
        self._token = jobs.token(self.workdir)
        self._stay, self._watch = stay or presence.Stay(), watch or leases.Watch(say)
        # Jobs that came to no end here: one more try is another command. And how often each was given to the engine.
        self._tried: set[str] = set()
        self._given: Counter[str] = Counter()

    def stage(self, title: str, items: Sequence[jobs.Item]) -> bool:
        """Returns whether all are done, when none of them can be taken further now."""
        states = {item.name: jobs.state(item, self._watch) for item in items}
        count = lambda name: sum(s.name == name for s in states.values())
        told = ', '.join(f'{count(name)} {name}' for name in jobs.STATES if count(name))
        self.say(f'{title}: {len(items)} jobs ({told or "nothing to do"}), engine {self.engine.name}')
        for item in items:
            if states[item.name].name == 'failed':
                self.say(f'  {item.name} failed before: {states[item.name].reason} (--retry makes it to do again)')
        waited = False
        while not self.should_stop():
            self._stay.check()
            states = {item.name: jobs.state(item, self._watch) for item in items}
            mine = [i for i in items if states[i.name].name in ('to do', 'stopped') and i.name not in self._tried]
            mine = [item for item in mine if self._given[item.name] < TRIES and self._can_begin(item)]
            others = sum(s.name == 'running' for s in states.values())
            if mine:
                self._submit(mine)
            elif others:
                if not waited:
                    self.say(f'  waiting for {others} jobs that other processes are at')
                waited = True
                time.sleep(LOOK_SECONDS)
            else:
                break
        ends = {jobs.state(item).name for item in items}
        return ends <= {'done', jobs.LEFT_OUT} and ends != {jobs.LEFT_OUT}

    def _can_begin(self, item: jobs.Item) -> bool:
        """Whether what it begins with is there; if not, that is noted, and it is passed over."""
        try:
            worker.check(item, self._watch)
        except (ValueError, leases.Owned) as e:
            never = isinstance(e, restore.Diverged)
            # A probe of diverged weights is no failure; a branch from there leaves its group's others without a start.
            name = 'waiting' if not never else 'failed' if isinstance(item.what, ReplicaGroup) else jobs.LEFT_OUT
            jobs.note(item.directory, {'state': name, 'error': str(e)})
            self.say(f'  {item.name} is {name}: {e}')
            self._tried.add(item.name)
            return False
        return True

    def _submit(self, items: Sequence[jobs.Item]) -> None:
        self._given.update(item.name for item in items)
        known, engine = {item.name: item for item in items}, self.engine
        ended = engine.module.run([self._job(i) for i in items], engine.at_once, self.should_stop, **engine.options)
        for job, code, words in ended:
            self._stay.check()
            state = jobs.state(known[job.name], self._watch)
            if state.name != 'running':  # else another process is at it, and may need this launcher yet
                self._tried.add(job.name)
            reason = f': {state.reason}' if state.reason else ''
            told = f' (exit code {code}{f"; {words}" if words else ""})' if code != 0 and state.name != 'done' else ''
            self.say(f'  {job.name} {state.name}{reason}{told}')

    def _job(self, item: jobs.Item) -> Job:
        own = (f'--worker={item.name}', f'--workdir={self.workdir}', f'--token={self._token}')
        return Job(item.name, (sys.executable, '-m', 'scripts.launch', *own))


def run(workdir: pathlib.Path, study: Any, plans: list[Plan], engine: Engine, say: Callable[[str], None]) -> int:
    """Launches a planned study and waits for its end; the exit code.

    Raises:
      ValueError, OSError: nothing could be submitted.
      Stopped: by a signal. presence.Gone: the workdir is not where it was.
    """
    stages = list(study.stages(plans))
    if lacking := _lacking(workdir, [p for stage in stages for p in stage if isinstance(p, Plan)]):
        say(
            f'{lacking} finished groups are asked for measurements that they lack: main.py with the same flags makes '
            'those that can be had from their checkpoints'
        )
    declared = declare(workdir, stages, engine, say)
    complete = True
    with noted() as caught, presence.Stay(workdir) as stay:
        launcher = Launcher(workdir, engine, lambda: bool(caught), say, stay, leases.Watch(say, caught))
        for number, items in enumerate(declared, 1):
            complete &= launcher.stage(f'stage {number} of {len(declared)}', items)
            if caught:
                break
    if caught:
        raise Stopped(caught[0])
    if complete and hasattr(study, 'conclude'):
        study.conclude(workdir, plans, say)
    return 0 if complete else INCOMPLETE
