"""What a group in training holds on each device, from shapes alone: it mirrors Session, and a test holds them together.

The programs it runs take memory beside: XLA tells how much (cost.py), `estimate` here roughly, without compiling.
On a CPU the host's own copies of the weights (initial ones, checkpoints on their way) share the memory; not counted.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from bsresearch.core.units import Segment
from bsresearch.data.select import Dataset
from bsresearch.data.splits import Split
from bsresearch.planning.plan import Plan
from bsresearch.train import feed, program
from bsresearch.train.devices import parallel
from bsresearch.train.devices.layout import ALONE, Layout
from bsresearch.train.observing import evaluate
from bsresearch.train.state import Data

PyTree = Any
# Of the size of the weights, that a measurement works with.
VECTORS = 4


class Together(NamedTuple):
    """Bounds of `pays_together`. weights, outputs: bytes of all runs. batch: examples. work_each, work: FLOPs of an
    update of one run, of all.
    """

    weights: float = 28e6
    outputs: float = 8e6
    batch: int = 8
    work_each: float = 2e5
    work: float = 2e6


TOGETHER = Together()


class Memory(NamedTuple):
    """Bytes on each device.

    data: resident splits. runs: states, keys, moving averages, initial weights, what measurements remember.
    chunk: what updates read, with that of the next chunk where it is on the device already.
    programs: what the program that takes most of it needs beside: temporaries, and results that take no other's place.
    """

    data: int
    runs: int
    chunk: int
    programs: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self)


def size(tree: PyTree) -> int:
    """Bytes of a tree of arrays or shapes."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def stored(split: Split, *rows: int) -> Data:
    """Shapes of so many examples as the device stores them."""
    shape = lambda x: jax.ShapeDtypeStruct((*rows, *x.shape[1:]), jax.dtypes.canonicalize_dtype(x.dtype))
    return Data(shape(split.inputs), shape(split.labels))


def largest(plan: Plan) -> Segment:
    """The updates of the largest batches that a run has before it."""
    return max((s for s in plan.length.segments if s.stop > plan.start), key=lambda s: s.batch_size)


class Held:
    """Shapes of what a Session of these runs holds; arguments as its own.

    Attributes:
      group, events, task: as a Session has them. advancing: the task of the largest batches to come.
      resident: whether the examples are on the device.
      state, average, keys, tables, measures: of one replica; measures' states by name.
      data: the resident training set, or the examples of a chunk of one replica.
      quantities: the measurements that are made.
    """

    def __init__(self, plans: Sequence[Plan], dataset: Dataset, strategy: str, layout: Layout):
        plan = self.plan = plans[0]
        self.dataset, self.layout, self.events = dataset, layout, plan.events
        ordered = plan.execution['reduction'] == 'ordered'
        self.group = parallel.DeviceGroup(len(plans), strategy, plan.matmul_precision, layout, ordered)
        make = functools.partial(program.task, plan, dataset.scale, parallel.platform(), devices=layout.batch)
        most = largest(plan)
        self.task, self.advancing = make(plan.length.batch_size_at(0)), make(most.batch_size)
        self.state = jax.eval_shape(functools.partial(program.initial, self.task, plan))
        self.average = jax.eval_shape(functools.partial(program.initial_average, plan), self.state)
        self.keys = jax.eval_shape(lambda: program.keys(plan))
        built = program.measures(plan)
        self.quantities = {n: built[n] for n, points in self.events.measure.items() if points}
        self.measures = {n: jax.eval_shape(m.init, self.state.params) for n, m in self.quantities.items()}
        self.resident = feed.resident(plan.execution['data_residence'], dataset)
        start, updates = max(most.start, plan.start), feed.capacity(plan, self.resident, most.batch_size)
        self.tables = feed.tables(plan, start, 1, updates, layout.batch, self.task.dtype)
        lanes, devices = self.tables.ids.shape[-1], [layout.batch] if layout.batch > 1 else []
        train = dataset.train
        self.data = stored(train, len(train.labels)) if self.resident else stored(train, *devices, updates * lanes)

    @property
    def each(self) -> int:
        """Replicas whose arrays lie on one device."""
        return self.group.count // self.layout.replicas

    @property
    def at_once(self) -> int:
        """Of these, how many a program works on."""
        return self.group.lanes // self.layout.replicas

    def memory(self, programs: int) -> Memory:
        """With what programs take beside."""
        splits = [stored(s, len(s.labels)) for s in self.dataset.named().values()] if self.resident else []
        weights = (1 if self.plan.parent is None else 2) * size(self.state.params)
        run = size((self.state, self.average, self.keys, self.measures)) + weights
        ids = np.prod(self.tables.ids.shape) * self.tables.ids.itemsize
        tables = size(self.tables) - ids + ids // self.layout.batch
        streamed = 0 if self.resident else 2 * size(self.data) // self.layout.batch
        # On one device tables come from the host with the call that reads them; else the next ones are there already.
        chunk = tables * (1 if self.layout.single else 2) + streamed
        return Memory(size(splits), self.each * run, int(self.each * chunk), programs)


def _outputs(held: Held, batch: int) -> int:
    """Bytes of a batch and of what all layers make of it."""
    state, task = held.state, held.task
    variables = {'params': state.params} | ({'stats': state.stats} if state.stats else {})
    inputs = jax.ShapeDtypeStruct((batch, *held.plan.example_shape), task.dtype)
    module = functools.partial(task.module.apply, train=False, capture_intermediates=True, mutable=['intermediates'])
    _, outputs = jax.eval_shape(module, variables, inputs)
    return size((inputs, outputs))


def pays_together(plans: Sequence[Plan], dataset: Dataset) -> bool:
    """Whether `vmap` is faster than one after another for these runs on a CPU: while the weights of all, and what their
    layers put out for a batch, stay in its caches, and the operations are worth starting.

    Work counts each weight once for an example, so a convolution's is more. The bounds are those of
    scripts/benchmark_replicas.py and its like with 2 to 64 runs on 2 cores of a Xeon (0.7 to 1.9 times as fast): near
    them either way is off by some 10 %. Timing at the start of a group would give other bits at every launch.
    """
    runs, held = len(plans), Held(plans[:1], dataset, 'sequential', ALONE)
    batch, weights = program.micro_batch(held.plan, 'cpu', largest(held.plan).batch_size), held.state.params
    work = 6 * batch * sum(math.prod(x.shape) for x in jax.tree.leaves(weights))
    worthwhile = batch >= TOGETHER.batch or (work >= TOGETHER.work_each and runs * work >= TOGETHER.work)
    return worthwhile and runs * size(weights) <= TOGETHER.weights and runs * _outputs(held, batch) <= TOGETHER.outputs


def estimate(plans: Sequence[Plan], dataset: Dataset, strategy: str, layout: Layout) -> Memory:
    """What a Session of these runs takes, nothing being compiled: arguments as its own.

    An update is taken to need the gradient, what layers put out for the largest gradient call, and as much again for
    the gradients of that; an evaluation what they put out; a measurement twice as much as an update's calls, for some
    differentiate twice, and vectors.
    """
    held = Held(plans, dataset, strategy, layout)
    task, gradients = held.advancing, 1
    call, weights = task.micro_batch_size, size(held.state.params)
    if (cut := task.shards) is not None:
        call = min(call, cut.lanes * cut.devices // (cut.chunks or cut.devices))
        gradients += cut.chunks + cut.chunks // cut.devices if cut.chunks else 0
    needed = [
        held.at_once * (gradients * weights + 2 * _outputs(held, call)),
        held.at_once * _outputs(held, evaluate.batch_size(held.plan, parallel.platform())),
    ]
    for quantity in held.quantities.values():
        examples = quantity.unit or quantity.batch_size or quantity.whole * len(dataset.train.labels)
        activations = 4 * _outputs(held, examples) if examples else 0
        lanes = 1 if quantity.host else held.at_once
        needed.append(lanes * ((VECTORS + quantity.vectors) * weights + activations))
    return held.memory(max(needed))
