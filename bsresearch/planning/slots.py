"""How long an optimizer's slots have been filled, and the complements that its updates get from that.

A branch that keeps its parent's slots goes on counting, also where the parent was a branch; one that resets them begins
anew.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bsresearch import optim
from bsresearch.optim import Complements, moments
from bsresearch.planning import sections
from bsresearch.planning.plan import Plan, canonical

# Logarithms are added one after another, in blocks: a sum does not depend on where a chunk begins.
BLOCK = 2**14


class Slots(NamedTuple):
    """What an optimizer's slots hold. updates: since they were empty. log_product: Σ log β₁ over these."""

    updates: int
    log_product: float


def at(plan: Plan, t: int) -> Slots:
    """Of a run at θ_t."""
    updates = _begin(plan).updates + t - plan.start
    needed = plan.optimizer.get('bias_correction') == 'corrected'
    return Slots(updates, _log_product(plan, t) if needed else 0.0)


def kept(parent: Plan, step: int, how: str) -> dict[str, Any]:
    """What a branch writes down of the slots that it begins with."""
    return (at(parent, step) if how == 'keep' else Slots(0, 0.0))._asdict()


def complements(plan: Plan, start: int, beta1: np.ndarray) -> Complements | None:
    """Of updates t ≥ start whose β₁ are given, (K,) float64 each; None for an optimizer that takes none."""
    optimizer = optim.member(plan.optimizer['name'])
    if not hasattr(optimizer, 'complements'):
        return None
    updates = at(plan, start).updates + 1 + np.arange(len(beta1), dtype=np.int64)
    course = moments.Course(beta1, updates, lambda: _added(_log_product(plan, start), beta1))
    return optimizer.complements(course, **sections.settings(plan.optimizer))


def _begin(plan: Plan) -> Slots:
    """Where a run begins."""
    if plan.parent is None:
        return Slots(0, 0.0)
    if 'slots' in plan.parent:
        return Slots(**plan.parent['slots'])
    return _not_noted(plan, plan.parent)


def _not_noted(plan: Plan, parent: Mapping[str, Any]) -> Slots:
    """Of a branch by an older version: as if its parent began with empty slots and had its β₁."""
    if parent['state']['optimizer'] == 'reset':
        return Slots(0, 0.0)
    beta1 = plan.table(0, plan.start).momentum
    return Slots(plan.start, float(_added(0.0, beta1)[-1]) if len(beta1) else 0.0)


_SUMS: dict[str, list[float]] = {}


def _log_product(plan: Plan, t: int) -> float:
    """Σ log β₁ over the updates of the slots at θ_t. Block after block, each sum kept."""
    begin = _begin(plan)
    sums = _SUMS.setdefault(canonical([plan.id, plan.start, begin]), [begin.log_product])
    whole, rest = divmod(t - plan.start, BLOCK)
    while len(sums) <= whole:
        first = plan.start + BLOCK * (len(sums) - 1)
        sums.append(_last(sums[-1], plan, first, first + BLOCK))
    return _last(sums[whole], plan, t - rest, t)


def _last(before: float, plan: Plan, start: int, stop: int) -> float:
    return float(_added(before, plan.table(start, stop).momentum)[-1]) if stop > start else before


def _added(before: float, beta1: np.ndarray) -> np.ndarray:
    """What was before + the running sum of log β₁, one after another.

    0 counts as the least number of float64: the product's complement is 1 all the same, and JSON has no −∞.
    """
    return np.cumsum(np.concatenate([[before], np.log(np.maximum(beta1, np.finfo(np.float64).tiny))]))[1:]
