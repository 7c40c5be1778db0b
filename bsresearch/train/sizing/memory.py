"""Peak memory per device of a replica group, from the shapes that Session is built with: no data, nothing trained.

What a group holds is exact. What its programs need beside, `analysed` asks XLA, which compiles the very ones that
training runs; `estimate` tells it roughly, without compiling. On a CPU the host's own copies of the weights (initial
ones, checkpoints on their way) share the memory; they are not counted.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax

from bsresearch import models
from bsresearch.core.units import Segment
from bsresearch.data.select import Dataset
from bsresearch.measure import Measure
from bsresearch.planning.plan import Plan
from bsresearch.train import feed, program, updates
from bsresearch.train.devices import compiling, parallel
from bsresearch.train.devices.layout import Layout
from bsresearch.train.devices.mapping import Arguments
from bsresearch.train.observing import evaluate, measuring
from bsresearch.train.parts import Parts
from bsresearch.train.state import Origins

PyTree = Any
# Of the size of the weights, that a measurement works with.
VECTORS = 4


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


class Program(NamedTuple):
    """One that a group runs. beside: bytes on each device that it needs and Session does not hold for long."""

    name: str
    compiled: Any
    beside: int


def size(tree: PyTree) -> int:
    """Bytes of a tree of arrays or shapes."""
    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def largest(plan: Plan) -> Segment:
    """The updates of the largest batches that a run has before it."""
    return max((s for s in plan.length.segments if s.stop > plan.start), key=lambda s: s.batch_size)


class Shapes:
    """Shapes of the arrays of one replica, at its largest batches; arguments as Session's.

    Attributes:
      parts: of the group. on_device: whether the data set is.
      start, keys: as Session begins with. data, tables: of a chunk (feed.shapes).
      each: replicas whose arrays lie on one device. at_once: of these, how many a program works on.
    """

    def __init__(self, plans: Sequence[Plan], dataset: Dataset, strategy: str, layout: Layout):
        self.plan, self.dataset, self.layout = plans[0], dataset, layout
        self.parts = parts = Parts(plans, dataset, strategy, layout)
        self.each, self.at_once = len(plans) // layout.replicas, parts.group.lanes // layout.replicas
        self.on_device = feed.resident(self.plan.execution['data_residence'], dataset)
        self.start = jax.eval_shape(lambda: parts.start(self.plan, program.initial(parts.task, self.plan)))
        self.keys = jax.eval_shape(lambda: program.keys(self.plan))
        begin, dtype = max(largest(self.plan).start, self.plan.start), parts.task.dtype
        self.data, self.tables = feed.shapes(self.plan, dataset.train, self.on_device, layout.batch, begin, dtype)

    def held(self, programs: int) -> Memory:
        """What Session holds, with what `programs` need beside."""
        splits = [feed.stored(s, len(s.labels)) for s in self.dataset.named().values()] if self.on_device else []
        origins = (1 if self.plan.parent is None else 2) * size(self.start.state.params)
        ids = self.tables.ids.nbytes
        tables = size(self.tables) - ids + ids // self.layout.batch
        streamed = 0 if self.on_device else 2 * size(self.data) // self.layout.batch
        # On one device tables come from the host with the call that reads them; else the next ones are there already.
        chunk = tables * (1 if self.layout.single else 2) + streamed
        return Memory(size(splits), self.each * (size((self.start, self.keys)) + origins), self.each * chunk, programs)

    def outputs(self, batch: int) -> int:
        """Bytes of a batch and of what all layers make of it."""
        state, task = self.start.state, self.parts.task
        variables = {'params': state.params} | ({'stats': state.stats} if state.stats else {})
        inputs = jax.ShapeDtypeStruct((batch, *self.plan.example_shape), task.dtype)
        return size((inputs, models.outputs_of_layers(task.module, variables, inputs)))

    def programs(self) -> Iterator[Program]:
        """Updates, with norms where any are due, for then the whole gradient is held; evaluation; measurements."""
        events = self.parts.events
        yield self._updates()
        if events.evaluate or events.snapshots:
            yield self._evaluation()
        for name, quantity in self.parts.measures.items():
            yield (self._host_measurement if quantity.host else self._measurement)(name, quantity)

    def needed(self, program: Program) -> int:
        """Bytes on each device that a program needs beside what the group holds.

        Raises:
          ValueError: this platform does not tell.
        """
        analysis = program.compiled.memory_analysis()
        if analysis is None:
            raise ValueError(f'XLA does not tell on {compiling.platform()} what memory a program takes')
        # The results of all rounds are there together, before they take the place of what they replace.
        fresh = analysis.output_size_in_bytes - analysis.alias_size_in_bytes
        return analysis.temp_size_in_bytes + self.each // self.at_once * fresh + program.beside

    def _updates(self) -> Program:
        parts, carry = self.parts, (self.start.state, self.start.average)
        compiled = updates.compiled(
            parts.group, parts.tasks[largest(self.plan).batch_size], carry, self.data, self.tables, self.keys,
            streamed=not self.on_device, norms=parts.events.all_norms or bool(parts.events.norms),
        )  # fmt: skip
        # Before the first update copies of one state on each row are timed.
        return Program('updates', compiled, size(carry) if parts.group.strategy == 'sequential' else 0)

    def _evaluation(self) -> Program:
        group, data = self.parts.group, evaluate.largest_block(self.plan, self.dataset.named(), self.on_device)
        fn = evaluate.of_one(self.parts.task, self.plan, group)
        args = (group.like(self.start.state), group.like(data, False))
        compiled = group.compiled(fn, args, evaluate.OF_EXAMPLES)
        return Program('evaluation', compiled, 0 if self.on_device else size(data))

    def _inputs(self, quantity: Measure) -> program.MeasureInputs:
        hyper = jax.tree.map(lambda x: x[0], self.tables.hyper)
        drawn = feed.stored(self.dataset.train, quantity.batch_size) if quantity.batch_size else None
        return program.MeasureInputs(hyper, drawn, self.keys.augment)

    def of_measurement(self, name: str, quantity: Measure) -> tuple[Any, ...]:
        """What a measurement of one replica is called with (program.measure)."""
        state = self.start.state
        origins, inputs = Origins(state.params, state.params), self._inputs(quantity)
        return self.start.measures[name], state, origins, inputs, self.data if quantity.whole else None

    def _measurement(self, name: str, quantity: Measure) -> Program:
        group, (*per_replica, whole) = self.parts.group, self.of_measurement(name, quantity)
        of_all = None if whole is None else group.like(whole, False)
        fn = functools.partial(program.measure, self.parts.task, quantity)
        compiled = group.compiled(fn, (*map(group.like, per_replica), of_all), measuring.OF_MEASUREMENT)
        return Program(name, compiled, self.each * size(per_replica[-1]))

    def _host_measurement(self, name: str, quantity: Measure) -> Program:
        """The gradient that it asks for, of one replica on one device."""
        state, batch = self.start.state, self._inputs(quantity).batch or self.data
        alone = parallel.DeviceGroup(1, 'sequential', self.parts.group.precision)
        fn = measuring.gradient_of_one(self.parts.task, quantity)
        args = (state.params, state.stats, batch)
        return Program(name, alone.compiled(fn, args, Arguments((True, True, False))), size(batch))


def analysed(plans: Sequence[Plan], dataset: Dataset, strategy: str, layout: Layout) -> Memory:
    """What a Session of these runs takes, by XLA's analysis of its programs; arguments as its own.

    Raises:
      ValueError: this platform does not tell.
    """
    shapes = Shapes(plans, dataset, strategy, layout)
    return shapes.held(max(map(shapes.needed, shapes.programs())))


def estimate(plans: Sequence[Plan], dataset: Dataset, strategy: str, layout: Layout) -> Memory:
    """What a Session of these runs takes, nothing being compiled; arguments as its own.

    An update is taken to need the gradient, what layers put out for the largest gradient call, and as much again for
    the gradients of that; an evaluation what they put out; a measurement twice as much as an update's calls, for some
    differentiate twice, and vectors.
    """
    shapes, gradients = Shapes(plans, dataset, strategy, layout), 1
    task, weights = shapes.parts.tasks[largest(plans[0]).batch_size], size(shapes.start.state.params)
    call = task.micro_batch_size
    if (cut := task.shards) is not None:
        call = min(call, cut.lanes * cut.devices // (cut.chunks or cut.devices))
        gradients += cut.chunks + cut.chunks // cut.devices if cut.chunks else 0
    needed = [
        shapes.at_once * (gradients * weights + 2 * shapes.outputs(call)),
        shapes.at_once * shapes.outputs(evaluate.batch_size(shapes.plan, compiling.platform())),
    ]
    for quantity in shapes.parts.measures.values():
        examples = quantity.unit or quantity.batch_size or quantity.whole * len(dataset.train.labels)
        activations = 4 * shapes.outputs(examples) if examples else 0
        lanes = 1 if quantity.host else shapes.at_once
        needed.append(lanes * ((VECTORS + quantity.vectors) * weights + activations))
    return shapes.held(max(needed))
