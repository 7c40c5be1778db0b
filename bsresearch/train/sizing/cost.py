"""What a group's programs take, by XLA's own analysis: bytes on each device, floating-point operations of an update.

Everything is made from shapes: nothing is trained, and no data are put on a device.

Memory is that of the compiled programs, the very ones that training runs. Operations are counted in the update as it is
written, before XLA optimizes it. The compiled program would be the wrong thing to ask: XLA counts the body of any loop
once, of the updates in a chunk as of the micro-batches in an update, and kernels from libraries (a GPU's matrix
products) not at all. So one update outside its loop is counted, its whole batch in one gradient call: micro-batches and
devices cut the same arithmetic into pieces.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax

from bsresearch.data.select import Dataset
from bsresearch.measure import Measure
from bsresearch.optim import Hyper
from bsresearch.planning.plan import Plan
from bsresearch.train import feed, program, updates
from bsresearch.train import step as stepping
from bsresearch.train.devices import parallel
from bsresearch.train.devices.layout import Layout
from bsresearch.train.devices.mapping import Arguments
from bsresearch.train.observing import evaluate, measuring
from bsresearch.train.sizing import held
from bsresearch.train.state import Batch, Origins

PyTree = Any


class Program(NamedTuple):
    """One that a group runs. beside: bytes on each device that it needs and Session does not hold for long."""

    name: str
    compiled: Any
    beside: int


def memory(plans: Sequence[Plan], dataset: Dataset, strategy: str, layout: Layout) -> held.Memory:
    """What a Session of these runs takes; arguments as its own.

    Raises:
      ValueError: this platform does not tell.
    """
    what = held.Held(plans, dataset, strategy, layout)
    return what.memory(max(taken(what, p) for p in programs(what)))


def taken(what: held.Held, made: Program) -> int:
    """Bytes on each device that a program needs beside what the group holds."""
    found = made.compiled.memory_analysis()
    if found is None:
        raise ValueError(f'XLA does not tell on {parallel.platform()} what memory a program takes')
    # The results of all rounds are there together, before they take the place of what they replace.
    fresh = found.output_size_in_bytes - found.alias_size_in_bytes
    return found.temp_size_in_bytes + what.group.count // what.group.lanes * fresh + made.beside


def programs(what: held.Held) -> Iterator[Program]:
    """Updates, with norms where any are due, for then the whole gradient is held; evaluation; measurements."""
    yield _updates(what)
    if what.events.evaluate or what.events.snapshots:
        yield _evaluation(what)
    for name, quantity in what.quantities.items():
        yield (_host_measurement if quantity.host else _measurement)(what, name, quantity)


def _updates(what: held.Held) -> Program:
    carry, norms = (what.state, what.average), what.events.all_norms or bool(what.events.norms)
    made = updates.compiled(
        what.group, what.advancing, carry, what.data, what.tables, what.keys, streamed=not what.resident, norms=norms
    )
    # Before the first update copies of one state on each row are timed.
    return Program('updates', made, held.size(carry) if what.group.strategy == 'sequential' else 0)


def _evaluation(what: held.Held) -> Program:
    """Of the largest split; of a block of it where splits are streamed."""
    train = what.plan.recording['evaluate']['train']
    splits = {k: s for k, s in what.dataset.named().items() if train or k != 'train'}
    largest = max(splits.values(), key=lambda s: len(s.labels))
    rows = len(largest.labels) if what.resident else min(len(largest.labels), evaluate.BLOCK_ROWS)
    data = held.stored(largest, rows)
    fn = evaluate.of_one(what.task, what.plan, what.group)
    args = (what.group.like(what.state), what.group.like(data, False))
    beside = 0 if what.resident else held.size(data)
    return Program('evaluation', what.group.compiled(fn, args, evaluate.OF_EXAMPLES), beside)


def _inputs(what: held.Held, quantity: Measure) -> program.MeasureInputs:
    hyper = jax.tree.map(lambda x: x[0], what.tables.hyper)
    drawn = held.stored(what.dataset.train, quantity.batch_size) if quantity.batch_size else None
    return program.MeasureInputs(hyper, drawn, what.keys.augment)


def _measurement(what: held.Held, name: str, quantity: Measure) -> Program:
    group, inputs, params = what.group, _inputs(what, quantity), what.state.params
    whole = group.like(what.data, False) if quantity.whole else None
    own = (what.measures[name], what.state, Origins(params, params), inputs)
    args = (*(group.like(part) for part in own), whole)
    fn = functools.partial(program.measure, what.task, quantity)
    made = group.compiled(fn, args, measuring.OF_MEASUREMENT)
    return Program(name, made, what.each * held.size(inputs))


def _host_measurement(what: held.Held, name: str, quantity: Measure) -> Program:
    """The gradient that it asks for, of one replica on one device."""
    batch = _inputs(what, quantity).batch or what.data

    def mean(params: PyTree, stats: PyTree, batch: PyTree) -> jax.Array:
        return program.losses_of(what.task, quantity.statistics, stats, params, batch).mean()

    alone = parallel.DeviceGroup(1, 'sequential', what.group.precision)
    args = (what.state.params, what.state.stats, batch)
    made = alone.compiled(jax.value_and_grad(mean), args, Arguments((True, True, False)))
    return Program(name, made, held.size(batch))


def update_flops(plan: Plan, dataset: Dataset, batch_size: int) -> float:
    """Floating-point operations of one update of one run, without norms: gradient, optimizer, moving average."""
    task = program.task(plan, dataset.scale, parallel.platform(), batch_size)
    task = dataclasses.replace(task, micro_batch_size=batch_size)
    segment = next(s for s in plan.length.segments if s.batch_size == batch_size)
    state = jax.eval_shape(functools.partial(program.initial, task, plan))
    average = jax.eval_shape(functools.partial(program.initial_average, plan), state)
    row = jax.tree.map(lambda x: x[0], feed.tables(plan, segment.start, 1, 1, 1, task.dtype))

    def update(state: PyTree, average: PyTree, data: PyTree, row: program.Tables, keys: PyTree) -> PyTree:
        batch = Batch(row.ids, row.counts, row.epochs, row.offsets)
        state, _ = stepping.step(task, state, data, batch, Hyper(*row.hyper), keys, norms=False)
        return state, program.averaged(average, state, row.ema_rate) if row.ema_rate is not None else None

    data = held.stored(dataset.train, len(dataset.train.labels))
    keys = jax.eval_shape(lambda: program.keys(plan))
    return _flops(jax.jit(update).lower(state, average, data, row, keys))


def evaluation_flops(plan: Plan, dataset: Dataset) -> float:
    """Floating-point operations of evaluating one example."""
    task, size = program.task(plan, dataset.scale, parallel.platform()), evaluate.batch_size(plan, parallel.platform())
    state = jax.eval_shape(functools.partial(program.initial, task, plan))
    fn = functools.partial(program.evaluate, task, size, 1)
    return _flops(jax.jit(fn).lower(state.params, state.stats, held.stored(dataset.train, size))) / size


def evaluated(plan: Plan, dataset: Dataset) -> int:
    """Examples that the evaluations of a run look at."""
    train = plan.recording['evaluate']['train']
    examples = sum(len(s.labels) for name, s in dataset.named().items() if train or name != 'train')
    return len(plan.events.evaluate) * examples * (1 if plan.ema['half_life_examples'] is None else 2)


def _flops(lowered: Any) -> float:
    found = lowered.cost_analysis()
    if not found or 'flops' not in found:
        raise ValueError(f'XLA does not tell on {parallel.platform()} how many operations a program makes')
    return float(found['flops'])
