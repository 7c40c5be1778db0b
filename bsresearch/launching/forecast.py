"""What a launch will take, before it does anything: `show` tells its size, `study` measures how long it takes.

Time is that of this machine: each kind of group is timed as it will run, with a second of its updates, one evaluation,
one of each measurement and one checkpoint, in a directory of its own that is removed; a probe by a short one.
What is finished already costs nothing.
"""

import dataclasses
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bsresearch.core import precision
from bsresearch.launching import fitting, groups, probing
from bsresearch.launching.console import Console, counted
from bsresearch.launching.rates import Amounts, Rates, begun, trial
from bsresearch.planning import resolve, schema
from bsresearch.planning.plan import Plan, canonical
from bsresearch.planning.probe import Probe
from bsresearch.planning.stages import Stage, probes_of, runs_of
from bsresearch.train.devices import layout
from bsresearch.train.observing import evaluate
from bsresearch.train.sizing import flops, memory

UPDATING_SECONDS = 1.0
# A row of metrics.jsonl, as measured.
ROW_BYTES = 350


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


# --- size


@precision.held
def disk_bytes(plans: Sequence[Plan]) -> int:
    """What a group leaves: two rotating checkpoints, the kept ones, the initial weights and the rows."""
    shapes = memory.Shapes(plans[:1], resolve.dataset(plans[0].data), 'sequential', layout.ALONE)
    state, events, recording = shapes.start.state, shapes.parts.events, plans[0].recording
    rows = len(events.record) + len(events.norms) + len(events.evaluate)
    dense = (16 * recording['record']['dense'] + 12 * recording['norms']['dense']) * events.total
    kept = memory.size(state) * (2 + len(events.keep)) + memory.size(state.params)
    return len(plans) * (kept + rows * ROW_BYTES + dense)


def run_flops(plan: Plan) -> tuple[float, float]:
    """Floating-point operations of all updates of one run that are its own; of its evaluations."""
    counts = [(s.stop - max(s.start, plan.start), s.batch_size) for s in plan.length.segments]
    updating = sum(count * fitting.once(flops.of_update, [plan], size) for count, size in counts if count > 0)
    splits = evaluate.wanted(plan, resolve.dataset(plan.data).named()).values()
    weights = 1 if plan.ema['half_life_examples'] is None else 2  # their average is evaluated too
    examples = len(plan.events.evaluate) * weights * sum(len(split.labels) for split in splits)
    return updating, examples * fitting.once(flops.of_evaluation, [plan]) if examples else 0.0


def _of_group(group: Sequence[Plan], analysis: bool) -> dict[str, Any]:
    """A row of the table of groups."""
    strategy, mesh = fitting.placed(group)
    size = memory.largest(group[0]).batch_size
    needed = fitting.once(memory.analysed if analysis else memory.estimate, group, strategy, mesh)
    row = {
        'runs': len(group),
        'batch size': size,
        'strategy': strategy,
        'layout': str(mesh),
        'MiB per device' if analysis else 'about MiB per device': round(needed.total / 2**20, 1),
        'of it programs': round(needed.programs / 2**20, 1),
        'a device has': round(fitting.room(mesh) / 2**20),
    }
    if analysis:
        update = fitting.once(flops.of_update, group[:1], size)
        row |= {'FLOPs per update': update, 'of the group': len(group) * update}
    return row


def show(
    console: Console,
    plans: Sequence[Plan],
    formed: Sequence[Sequence[Plan]],
    probes: int = 0,
    *,
    analysis: bool = False,
    arms: Mapping[str, str] | None = None,
) -> None:
    """Prints the tables of runs and groups and what they will take; nothing is written.

    `analysis`: memory and floating-point operations as XLA tells them, which compiles the groups' programs; else memory
    is estimated from shapes (train/sizing/memory.py) and nothing is compiled. `arms`: id of a run → its names.
    """
    facts: dict[str, dict[str, Any]] = {}
    of_groups = []
    for number, group in enumerate(formed, 1):
        of_groups.append({'group': number} | _of_group(group, analysis))
        for plan in group:
            facts[plan.id] = {
                'updates': plan.length.total_steps - plan.start,
                'examples': plan.total_examples - plan.length.examples_at(plan.start),
                'group': number,
            }
    console.plans(plans, [facts[p.id] for p in plans], 'dry run: nothing is written', arms)
    heading = 'groups; FLOPs of an update of one run, and of all runs of the group' if analysis else 'groups'
    console.table(of_groups, heading)
    updates = sum(p.length.total_steps - p.start for p in plans)
    and_probes = f'{counted(probes, "probe")}, ' if probes else ''
    console.say(
        f'{counted(len(plans), "run")} in {counted(len(formed), "group")}, {and_probes}{updates:,} updates, '
        f'about {sum(map(disk_bytes, formed)) / 2**20:,.0f} MiB on disk'
    )
    if analysis:
        updating, evaluating = map(sum, zip(*map(run_flops, plans), strict=True))
        console.say(
            f'{updating:.3g} FLOPs in updates and {evaluating:.3g} in evaluations, measurements and probes apart'
        )
