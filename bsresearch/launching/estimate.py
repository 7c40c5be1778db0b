"""What a launch will take, before it does anything: memory, disk, updates, floating-point operations."""

import functools
from collections.abc import Sequence
from typing import Any

import jax

from bsresearch.core import precision
from bsresearch.launching import fitting
from bsresearch.launching.console import Console
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan, canonical
from bsresearch.train import program
from bsresearch.train.devices import parallel
from bsresearch.train.sizing import cost, held

# A row of metrics.jsonl, as measured.
ROW_BYTES = 350


@precision.held
def disk_bytes(plans: Sequence[Plan]) -> int:
    """What a group leaves: two rotating checkpoints, the kept ones, the initial weights and the rows."""
    plan = plans[0]
    task = program.task(plan, resolve.dataset(plan.data).scale, parallel.platform())
    state = jax.eval_shape(functools.partial(program.initial, task, plan))
    events = plan.events
    rows = len(events.record) + len(events.norms) + len(events.evaluate)
    dense = (16 * plan.recording['record']['dense'] + 12 * plan.recording['norms']['dense']) * events.total
    kept = held.size(state) * (2 + len(events.keep)) + held.size(state.params)
    return len(plans) * (kept + rows * ROW_BYTES + dense)


class Flops:
    """Floating-point operations of runs; like updates are analysed once."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def update(self, plan: Plan, batch_size: int) -> float:
        """Of one update of one run."""
        return self._once(cost.update_flops, plan, batch_size)

    def run(self, plan: Plan) -> tuple[float, float]:
        """Of all updates of one run that are its own; of its evaluations."""
        own = [(s.stop - max(s.start, plan.start), s.batch_size) for s in plan.length.segments]
        updates = sum(count * self.update(plan, size) for count, size in own if count > 0)
        looked_at = cost.evaluated(plan, resolve.dataset(plan.data))
        return updates, looked_at * self._once(cost.evaluation_flops, plan) if looked_at else 0.0

    def _once(self, analysis: Any, plan: Plan, *of: int) -> float:
        key = canonical([analysis.__name__, fitting.facts(plan), of])
        if key not in self._known:
            with precision.of(plan):
                self._known[key] = analysis(plan, resolve.dataset(plan.data), *of)
        return self._known[key]


def _of_group(group: Sequence[Plan], flops: Flops) -> dict[str, Any]:
    """A row of the table of groups."""
    strategy, mesh = fitting.placed(group)
    memory, size = fitting.analysed(group, strategy, mesh), held.largest(group[0]).batch_size
    update = flops.update(group[0], size)
    return {
        'runs': len(group),
        'batch size': size,
        'strategy': strategy,
        'layout': str(mesh),
        'MiB per device': round(memory.total / 2**20, 1),
        'of it programs': round(memory.programs / 2**20, 1),
        'a device has': round(fitting.room(mesh) / 2**20),
        'FLOPs per update': update,
        'of the group': len(group) * update,
    }


def show(console: Console, plans: Sequence[Plan], groups: Sequence[Sequence[Plan]], probes: int = 0) -> None:
    """Prints the tables of runs and groups and what they will take; programs are compiled, nothing is written."""
    facts: dict[str, dict[str, Any]] = {}
    flops, of_groups, updating, evaluating = Flops(), [], 0.0, 0.0
    for number, group in enumerate(groups, 1):
        of_groups.append({'group': number} | _of_group(group, flops))
        for plan in group:
            facts[plan.id] = {
                'updates': plan.length.total_steps - plan.start,
                'examples': plan.total_examples - plan.length.examples_at(plan.start),
                'group': number,
            }
            updates, evaluations = flops.run(plan)
            updating, evaluating = updating + updates, evaluating + evaluations
    console.plans(plans, [facts[p.id] for p in plans], 'dry run: nothing is written')
    console.table(of_groups, 'groups; FLOPs of an update of one run, and of all runs of the group')
    updates = sum(p.length.total_steps - p.start for p in plans)
    and_probes = f'{probes} probes, ' if probes else ''
    console.say(
        f'{len(plans)} runs in {len(groups)} groups, {and_probes}{updates:,} updates, '
        f'about {sum(map(disk_bytes, groups)) / 2**20:,.0f} MiB on disk'
    )
    console.say(f'{updating:.3g} FLOPs in updates and {evaluating:.3g} in evaluations, measurements and probes apart')
