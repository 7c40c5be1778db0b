"""What a launch will take, before it does anything: memory, disk, updates, floating-point operations."""

from collections.abc import Sequence
from typing import Any

from bsresearch.core import precision
from bsresearch.launching import fitting
from bsresearch.launching.console import Console
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.train.devices import layout
from bsresearch.train.observing import evaluate
from bsresearch.train.sizing import flops, memory

# A row of metrics.jsonl, as measured.
ROW_BYTES = 350


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
    examples = _evaluated(plan)
    return updating, examples * fitting.once(flops.of_evaluation, [plan]) if examples else 0.0


def _evaluated(plan: Plan) -> int:
    """Examples that the evaluations of a run look at."""
    splits = evaluate.wanted(plan, resolve.dataset(plan.data).named())
    weights = 1 if plan.ema['half_life_examples'] is None else 2
    return len(plan.events.evaluate) * sum(len(split.labels) for split in splits.values()) * weights


def _of_group(group: Sequence[Plan]) -> dict[str, Any]:
    """A row of the table of groups."""
    strategy, mesh = fitting.placed(group)
    needed, size = fitting.once(memory.analysed, group, strategy, mesh), memory.largest(group[0]).batch_size
    update = fitting.once(flops.of_update, group[:1], size)
    return {
        'runs': len(group),
        'batch size': size,
        'strategy': strategy,
        'layout': str(mesh),
        'MiB per device': round(needed.total / 2**20, 1),
        'of it programs': round(needed.programs / 2**20, 1),
        'a device has': round(fitting.room(mesh) / 2**20),
        'FLOPs per update': update,
        'of the group': len(group) * update,
    }


def show(console: Console, plans: Sequence[Plan], groups: Sequence[Sequence[Plan]], probes: int = 0) -> None:
    """Prints the tables of runs and groups and what they will take; programs are compiled, nothing is written."""
    facts: dict[str, dict[str, Any]] = {}
    of_groups, updating, evaluating = [], 0.0, 0.0
    for number, group in enumerate(groups, 1):
        of_groups.append({'group': number} | _of_group(group))
        for plan in group:
            facts[plan.id] = {
                'updates': plan.length.total_steps - plan.start,
                'examples': plan.total_examples - plan.length.examples_at(plan.start),
                'group': number,
            }
            updates, evaluations = run_flops(plan)
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
