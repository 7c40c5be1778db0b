"""`python on_devices.py CASES OUT`: updates of small runs on many host devices, as fresh as the flags of JAX need it.

CASES: JSON, name → {count, strategy, as_shipped, changes as toy.plans takes them}. OUT: npz, name → (replicas, n)
float64, what weights and statistics moved, and name/loss → (replicas, count).
"""

import json
import sys
from typing import Any

import jax
import numpy as np
import strict
import toy

from bsresearch.core import precision
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.train import feed, program, step, updates
from bsresearch.train.devices import layout, parallel


def flat(tree: Any) -> np.ndarray:
    """All leaves in one vector, float64."""
    return np.concatenate([np.ravel(np.asarray(x, np.float64)) for x in jax.tree.leaves(tree)])


def train(
    count: int, strategy: str = 'sequential', *, as_shipped: bool = False, **changes: Any
) -> tuple[np.ndarray, np.ndarray]:
    """(replicas, n) movement of weights and statistics, (replicas, count) losses; `as_shipped`: as users have it."""
    plans = toy.plans(**{k: tuple(v) if isinstance(v, list) else v for k, v in changes.items()})
    with precision.of(plans[0]):
        return train_plans(plans, count, strategy, as_shipped)


def train_plans(plans: list[Plan], count: int, strategy: str, as_shipped: bool) -> tuple[np.ndarray, np.ndarray]:
    """As `train`, in the precision of the runs."""
    plan, dataset, mesh = plans[0], resolve.dataset(plans[0].data), layout.choose(plans)
    group = parallel.DeviceGroup(len(plans), strategy, layout=mesh, ordered=plan.execution['reduction'] == 'ordered')
    task = program.task(plan, dataset.scale, 'cpu', plan.batch_size, mesh.batch)
    own = feed.Feed(plans, dataset, group, task.dtype)
    strict.compile_programs(little=True)
    initial = jax.jit(lambda key: step.init(task, key, plan.example_shape))
    first = [jax.tree.map(np.asarray, initial(program.initial_key(p))) for p in plans]
    strict.compile_programs(little=not as_shipped)
    chunk = own.chunk(0, count)
    keys = group.put([program.keys(p) for p in plans])
    carry = (group.put(first), group.put([None] * len(plans)))
    rounds = updates.run(group, task, carry, chunk, keys, count)
    ends = group.get([made.state for made in rounds if made])
    losses = [infos.loss[:count] for infos in group.get([made.infos for made in rounds if made])]
    moved = [flat((e.params, e.stats)) - flat((f.params, f.stats)) for e, f in zip(ends, first, strict=True)]
    return np.stack(moved), np.stack(losses)


if __name__ == '__main__':
    results = {}
    with open(sys.argv[1], encoding='utf-8') as f:
        cases = json.load(f)
    for name, case in cases.items():
        results[name], results[f'{name}/loss'] = train(**case)
    np.savez(sys.argv[2], **results)
