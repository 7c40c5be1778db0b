"""Floating-point operations of an update and of an evaluation, by XLA's analysis of their programs.

They are counted as they are written, before XLA optimizes them. The compiled program would be the wrong thing to ask:
XLA counts the body of any loop once, of the updates in a chunk as of the micro-batches in an update, and kernels from
libraries (a GPU's matrix products) not at all. So one update outside its loop is counted, its whole batch in one
gradient call and each convolution in one piece: micro-batches and devices cut the same arithmetic into pieces.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax

from bsresearch.data.select import Dataset
from bsresearch.models import convolutions
from bsresearch.planning.plan import Plan
from bsresearch.train import feed, program, step
from bsresearch.train.devices import compiling
from bsresearch.train.observing import evaluate
from bsresearch.train.state import Average, Batch, Data, Keys, State


def of_update(plans: Sequence[Plan], dataset: Dataset, batch_size: int) -> float:
    """Of one update of the first run, without norms: gradient, optimizer, moving average."""
    plan = plans[0]
    task = program.task(plan, dataset.scale, compiling.platform(), batch_size)
    task = dataclasses.replace(task, micro_batch_size=batch_size)
    begin = next(s.start for s in plan.length.segments if s.batch_size == batch_size)
    state = jax.eval_shape(functools.partial(program.initial, task, plan))
    average = jax.eval_shape(functools.partial(program.initial_average, plan), state)
    row = jax.tree.map(lambda x: x[0], feed.tables(plan, begin, 1, 1, 1, task.dtype))

    def update(
        state: State, average: Average | None, data: Data, row: program.Tables, keys: Keys
    ) -> tuple[State, Average | None]:
        batch = Batch(row.ids, row.counts, row.epochs, row.offsets)
        state, _ = step.step(task, state, data, batch, row.hyper, keys, norms=False)
        if average is not None and row.ema_rate is not None:
            average = program.averaged(average, state, row.ema_rate)
        return state, average

    data = feed.stored(dataset.train, len(dataset.train.labels))
    keys = jax.eval_shape(lambda: program.keys(plan))
    with convolutions.in_one_piece():
        return _flops(jax.jit(update).lower(state, average, data, row, keys))


def of_evaluation(plans: Sequence[Plan], dataset: Dataset) -> float:
    """Of evaluating one example in the first run."""
    plan = plans[0]
    there = compiling.platform()
    task, size = program.task(plan, dataset.scale, there), evaluate.batch_size(plan, there)
    state = jax.eval_shape(functools.partial(program.initial, task, plan))
    fn = functools.partial(evaluate.metrics, task, size, 1)
    with convolutions.in_one_piece():
        return _flops(jax.jit(fn).lower(state, feed.stored(dataset.train, size))) / size


def _flops(lowered: Any) -> float:
    analysis = lowered.cost_analysis()
    if not analysis or 'flops' not in analysis:
        raise ValueError(f'XLA does not tell on {compiling.platform()} how many operations a program makes')
    return float(analysis['flops'])
