"""What a launch will take, before it does anything: memory, disk, updates."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax

from bsresearch import resolve
from bsresearch.console import Console
from bsresearch.plan import Plan, canonical
from bsresearch.train import evaluate, events, feed, parallel, program
from bsresearch.train.state import State
from bsresearch.train.step import Task

# A row of metrics.jsonl, as measured.
ROW_BYTES = 350


def _bytes(tree: Any) -> int:
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def _activation_bytes(task: Task, state: State, plan: Plan, batch: int) -> int:
    """Outputs of all layers for a batch, and as much again for their gradients; nothing is computed."""
    variables = {'params': state.params} | ({'stats': state.stats} if state.stats else {})
    inputs = jax.ShapeDtypeStruct((batch, *plan.example_shape), task.dtype)
    module = functools.partial(task.module.apply, train=False, capture_intermediates=True, mutable=['intermediates'])
    _, outputs = jax.eval_shape(module, variables, inputs)
    return 2 * _bytes((inputs, outputs))


def group_bytes(plans: Sequence[Plan]) -> tuple[int, int]:
    """(memory, disk) of a replica group, from shapes alone.

    Memory: the data if resident; per replica the state and initial weights; where replicas run, gradients and the
    activations of the largest call: what its layers put out, and the gradients of that.
    Disk: two rotating checkpoints, the kept ones, the initial weights and the rows.
    """
    plan = plans[0]
    data = resolve.dataset(plan.data)
    task = program.task(plan, data.scale, parallel.platform(), plan.length.largest_batch_size)
    state = jax.eval_shape(functools.partial(program.initial, task, plan))
    at_once = (
        len(plans) if parallel.choose(plan.execution['strategy'], len(plans), parallel.platform()) == 'vmap' else 1
    )
    resident = feed.resident(plan.execution['data_residence'], data)
    examples = (
        sum(s.inputs.nbytes + s.labels.nbytes for s in data.named().values()) if resident else feed.BYTES_PER_CHUNK
    )
    batch = max(task.micro_batch_size, evaluate.batch_size(plan, parallel.platform()))
    activations = _activation_bytes(task, state, plan, batch)
    memory = (
        examples + len(plans) * (_bytes(state) + _bytes(state.params)) + at_once * (_bytes(state.params) + activations)
    )
    when = events.Events(plan)
    rows = len(when.record) + len(when.norms) + len(when.evaluate)
    dense = (16 * plan.recording['record']['dense'] + 12 * plan.recording['norms']['dense']) * when.total
    disk = len(plans) * (_bytes(state) * (2 + len(when.keep)) + _bytes(state.params) + rows * ROW_BYTES + dense)
    return memory, disk


def check_memory(groups: Sequence[Sequence[Plan]]) -> None:
    """Raises ValueError for a group that the device cannot hold."""
    batch = lambda group: group[0].length.largest_batch_size
    facts = lambda p: [p.model, p.data, p.dtype, p.optimizer, p.execution, p.ema['half_life_examples'] is None]
    distinct = {canonical([facts(group[0]), batch(group), len(group)]): group for group in groups}
    for group in distinct.values():
        needed, there = group_bytes(group)[0], feed.device_memory()
        if needed > there:
            raise ValueError(
                f'batch_size={batch(group)} with {len(group)} runs in a group needs about {needed / 2**30:,.1f} GiB, '
                f'the device has {there / 2**30:,.1f}; set config.micro_batch_size, which changes no result, lower '
                'config.max_replicas, or cap a growing batch with config.batch_schedule.max_batch_size'
            )


def show(console: Console, plans: Sequence[Plan], groups: Sequence[Sequence[Plan]], probes: int = 0) -> None:
    """Prints the table of runs and what they will take; writes nothing."""
    facts: dict[str, dict[str, Any]] = {}
    disk = 0
    for number, group in enumerate(groups, 1):
        memory, on_disk = group_bytes(group)
        disk += on_disk
        for plan in group:
            facts[plan.id] = {
                'updates': plan.length.total_steps - plan.start,
                'examples': plan.total_examples - plan.length.examples_at(plan.start),
                'group': number,
                'group memory, MiB': round(memory / 2**20),
            }
    console.plans(plans, [facts[p.id] for p in plans], 'dry run: nothing is written')
    updates = sum(p.length.total_steps - p.start for p in plans)
    and_probes = f'{probes} probes, ' if probes else ''
    console.say(
        f'{len(plans)} runs in {len(groups)} groups, {and_probes}{updates:,} updates, '
        f'about {disk / 2**20:,.0f} MiB on disk'
    )
