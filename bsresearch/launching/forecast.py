"""How long runs and probes take, measured before they are made.

Time is that of this machine: each kind of group is timed as it will run, with a second of its updates, one evaluation,
one of each measurement and one checkpoint, in a directory of its own that is removed; a probe by a short one.
What is finished already costs nothing.
"""

import dataclasses
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from bsresearch.core import precision
from bsresearch.launching import fitting, groups, probing
from bsresearch.launching.rates import Amounts, Rates, begun, trial
from bsresearch.planning import schema
from bsresearch.planning.plan import Plan, canonical
from bsresearch.planning.probe import Probe
from bsresearch.planning.stages import Stage, probes_of, runs_of

UPDATING_SECONDS = 1.0


def study(workdir: pathlib.Path | None, stages: Sequence[Stage]) -> float:
    """Seconds that the unfinished part of all stages will take; without a workdir nothing is finished."""
    workdir = workdir or pathlib.Path(os.devnull)
    total, known = 0.0, {}
    benches: dict[str, probing.Bench] = {}
    for stage in stages:
        plans = groups.unfinished(workdir, runs_of(stage))
        total += sum(_group(workdir, members, known) for members in fitting.groups(plans))
        for probe in probes_of(stage):
            if not probing.done(probing.directory(workdir, probe)):
                total += _probe(probe, benches, known)
    return total


def _group(workdir: pathlib.Path, plans: list[Plan], known: dict[str, Any]) -> float:
    """Of one group, from where it stands."""
    strategy = groups.status(workdir, plans[0]).get('strategy') or fitting.strategy_of(plans)
    timed, times = (plans, 1) if strategy == 'vmap' else (plans[:1], len(plans))

    def rates(size: int) -> Rates:
        alike = [_alone(p, size) for p in timed]
        key = canonical([alike[0].static_key(), len(alike), strategy])
        if key not in known:
            known[key] = _rates(alike, strategy)
        return known[key].times(times)

    return Amounts.after(plans[0], begun(workdir, plans)).seconds(rates)


def _alone(plan: Plan, size: int) -> Plan:
    """A run of that batch size from the start, with every event at update 0 that the plan has at some."""
    events, point = plan.events, schema.when(at_steps=(0,)).to_dict()
    quiet = {'record': {**point, 'dense': False}, 'norms': {**point, 'dense': False, 'update': False}}
    recording = plan.recording | quiet
    recording |= {name: schema.known()[name] for name in ('keep', 'snapshots')}
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
    begun = time.perf_counter()
    with trial(plans, strategy) as session:
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
