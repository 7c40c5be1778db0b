"""How long a study will take on this machine: the rates of each kind of group and probe are measured, then added up.

A group is timed as it will run: a second of its updates, one evaluation, one of each measurement, one checkpoint, in a
directory of its own that is removed. What is finished already costs nothing.
"""

import dataclasses
import os
import pathlib
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from bsresearch.core import precision
from bsresearch.launching import fitting, groups, probing
from bsresearch.planning import resolve, schema
from bsresearch.planning.plan import Plan, canonical
from bsresearch.planning.probe import Probe
from bsresearch.train.devices import layout
from bsresearch.train.session import Session

UPDATING_SECONDS = 1.0


class Rates(NamedTuple):
    """Seconds of a group: of an update, an evaluation, each measurement, a checkpoint, its start (with compiling)."""

    update: float
    evaluate: float
    measures: dict[str, float]
    checkpoint: float
    start: float


class _Quiet:
    """A report that says nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, step: int, updates_per_second: float, last: dict[str, Any]) -> None:
        """Nothing."""


def study(workdir: pathlib.Path | None, stages: Sequence[Sequence[Plan] | Sequence[Probe]]) -> float:
    """Seconds that the unfinished part of all stages will take; without a workdir nothing is finished."""
    workdir = workdir or pathlib.Path(os.devnull)
    total, known = 0.0, {}
    benches: dict[str, probing.Bench] = {}
    for stage in stages:
        plans = groups.unfinished(workdir, [p for p in stage if isinstance(p, Plan)])
        total += sum(_group(workdir, members, known) for members in fitting.groups(plans))
        for probe in (p for p in stage if isinstance(p, Probe)):
            if not probing.done(probing.directory(workdir, probe)):
                total += _probe(probe, benches, known)
    return total


def _group(workdir: pathlib.Path, plans: list[Plan], known: dict[str, Any]) -> float:
    """Of one group, from where it stands."""
    plan, events = plans[0], plans[0].events
    begin = max(plan.start, *(int(groups.status(workdir, p).get('step') or 0) for p in plans))
    strategy = groups.status(workdir, plan).get('strategy') or fitting.strategy_of(plans)
    timed, times = (plans, 1) if strategy == 'vmap' else (plans[:1], len(plans))
    after = lambda points: sum(t >= begin for t in points)
    total, rates = 0.0, None
    for start, stop, size in plan.length.segments:
        if stop <= begin:
            continue
        alike = [_alone(p, size) for p in timed]
        key = canonical([alike[0].static_key(), len(alike), strategy])
        if key not in known:
            known[key] = _rates(alike, strategy)
        total += known[key].start
        total += times * (stop - max(start, begin)) * known[key].update
        rates = known[key]
    if rates is None:
        return 0.0
    total += times * after(events.evaluate) * rates.evaluate
    total += times * sum(after(points) * rates.measures.get(n, 0.0) for n, points in events.measure.items() if points)
    closest = plan.recording['checkpoint']['min_seconds']
    passing = after(events.checkpoint - events.keep)
    saves = after(events.keep) + (min(passing, total / closest) if closest else passing)
    return total + len(plans) * saves * rates.checkpoint / len(timed)


def _alone(plan: Plan, size: int) -> Plan:
    """A run of that batch size from the start, with every event at update 0 that the plan has at some."""
    events, point = plan.events, schema.when(at_steps=(0,)).to_dict()
    quiet = {'record': {**point, 'dense': False}, 'norms': {**point, 'dense': False, 'update': False}}
    recording = plan.recording | quiet
    recording |= {name: schema.known()[name].to_dict() for name in ('keep', 'snapshots')}
    if events.evaluate:
        recording['evaluate'] = {**plan.recording['evaluate'], **point}
    recording['measure'] = {
        name: {**spec, **point} if events.measure[name] else spec for name, spec in plan.recording['measure'].items()
    }
    policy = plan.policy._replace(batch_changes=())
    changes = {'parent': None, 'batch_size': size, 'policy': policy, 'recording': recording}
    return dataclasses.replace(plan, **changes, total_examples=max(plan.total_examples, 1000 * size))


@precision.held
def _rates(plans: list[Plan], strategy: str) -> Rates:
    """Measured: a second of updates, two evaluations, of which the first compiles, and so on."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        directories = [root / p.id for p in plans]
        for directory in (root / 'group', *directories):
            directory.mkdir()
        begun = time.perf_counter()
        dataset, mesh = resolve.dataset(plans[0].data), layout.choose(plans)
        session = Session(plans, dataset, root / 'group', directories, strategy, _Quiet(), mesh)
        try:
            t, _ = session.start()
            start = time.perf_counter() - begun - session.clock.spent['compile']
            session.observe(t)
            measured, spent = {n: s['seconds'] for n, s in session.measuring.spent.items()}, dict(session.clock.spent)
            session.observe(t)
            measures = {n: s['seconds'] - measured[n] for n, s in session.measuring.spent.items()}
            evaluation = session.clock.spent['evaluate'] - spent['evaluate']
            t += session.advance(t)  # update 0, with what is recorded at it
            before, begin = session.clock.spent['updates'], t
            while session.clock.spent['updates'] - before < UPDATING_SECONDS and t < session.events.total:
                t += session.advance(t)
            update = (session.clock.spent['updates'] - before) / max(t - begin, 1)
            session.save(t, True)
            spent = session.clock.spent
            return Rates(update, evaluation, measures, spent['checkpoint'], start + spent['compile'])
        finally:
            session.close()


def _probe(probe: Probe, benches: dict[str, probing.Bench], known: dict[str, Any]) -> float:
    """Of one probe; those of like runs and equal settings take as long."""
    plan = probe.points[0][0]
    key = canonical([plan.model, plan.data, plan.dtype, plan.loss, probe.section])
    if key not in known:
        like = canonical([plan.model, plan.data, plan.dtype, plan.loss])
        with precision.of(plan):
            if like not in benches:
                benches[like] = probing.Bench(plan)
            known[key] = probing.seconds(probe, benches[like])
    return known[key]
