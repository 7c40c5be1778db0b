"""How much work jobs are beside each other, from arithmetic alone: nothing is timed where they are handed out."""

import math
from collections.abc import Sequence

import jax

from bsresearch.launching import fitting
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan, canonical
from bsresearch.planning.probe import Probe
from bsresearch.train.devices.layout import ALONE
from bsresearch.train.sizing import flops, memory

# What an update takes whatever its batch holds, in floating-point operations that take as long: passes over each
# weight, and starting its programs.
PER_WEIGHT, PER_UPDATE = 200.0, 1e6


_PER_EXAMPLE: dict[str, tuple[float, float]] = {}  # of a kind


def of_update(plan: Plan, size: int) -> float:
    """Floating-point operations that take as long as an update of one run with that batch size."""
    fields = (plan.model, plan.data, plan.loss, plan.optimizer, plan.dtype, plan.no_decay, plan.ema, plan.clip)
    key = canonical([*fields, plan.execution['devices'], plan.execution['reduction']])
    if key not in _PER_EXAMPLE:
        _PER_EXAMPLE[key] = _per_example(plan)
    per_example, fixed = _PER_EXAMPLE[key]
    return size * per_example + fixed


def _per_example(plan: Plan) -> tuple[float, float]:
    """Operations of an example, and of an update beside them."""
    batch = memory.largest(plan).batch_size
    shapes = fitting.once(memory.Shapes, [plan], 'sequential', ALONE)
    weights = sum(math.prod(x.shape) for x in jax.tree.leaves(shapes.start.state.params))
    return fitting.once(flops.of_update, [plan], batch) / batch, PER_WEIGHT * weights + PER_UPDATE


def of_group(plans: Sequence[Plan]) -> float:
    """Of all updates that are a group's own."""
    plan = plans[0]
    own = ((stop - max(start, plan.start), size) for start, stop, size in plan.length.segments if stop > plan.start)
    return len(plans) * sum(count * of_update(plan, size) for count, size in own)


def of_probe(probe: Probe) -> float:
    """Of all gradients that it comes to."""
    plan = probe.points[0][0]
    calls = probe.kind.calls(len(resolve.dataset(plan.data).train.labels))
    return sum(count * of_update(plan, size) for size, count in calls.items())
