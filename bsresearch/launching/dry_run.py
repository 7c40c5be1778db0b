"""What a dry run tells: the runs, their groups, and what these will take of memory and disk, in tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from bsresearch.core import precision
from bsresearch.launching import fitting
from bsresearch.launching.console import Console, counted
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
