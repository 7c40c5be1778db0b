"""What a group in training is built from: Session makes its arrays here, sizing/memory.py their shapes."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from bsresearch.core import own_part
from bsresearch.data.select import Dataset
from bsresearch.planning.plan import Plan, canonical
from bsresearch.train import program
from bsresearch.train import step as stepping
from bsresearch.train.devices import compiling, parallel
from bsresearch.train.devices.layout import Layout
from bsresearch.train.state import Average, State

PyTree = Any
# Fields of a plan that θ_0 and the optimizer's first state follow: groups of other batch sizes share their program.
DRAWN_BY = (
    'model', 'num_outputs', 'example_shape', 'ghost_batch_size', 'optimizer', 'no_decay', 'layer_rates', 'dtype',
    'matmul_precision',
)  # fmt: skip


class Start(NamedTuple):
    """One run's arrays at update 0. measures: what each measurement remembers, by name."""

    state: State
    average: Average | None
    measures: dict[str, PyTree]


class Parts:
    """Of one replica group; arguments as Session's.

    Attributes:
      events: of all its runs. group: how they are mapped onto the devices.
      tasks: of updates, by batch size. task: of all else.
      measures: the measurements that are made, by name.
    """

    def __init__(self, plans: Sequence[Plan], dataset: Dataset, strategy: str, layout: Layout):
        plan = plans[0]
        self.events = plan.events
        ordered = plan.execution['reduction'] == 'ordered'
        self.group = parallel.DeviceGroup(
            len(plans), strategy, plan.matmul_precision, layout, ordered, plan.program_key()
        )
        make = functools.partial(program.task, plan, dataset.scale, compiling.platform())
        self.tasks = {s.batch_size: make(s.batch_size, layout.batch) for s in plan.length.segments}
        self.task = make(plan.length.batch_size_at(0))
        self.measures = program.measures(plan)

    def initial(self, plan: Plan) -> State:
        """θ_0 of a run, by one program for all: the seed is an argument."""
        key = program.initial_key(plan)
        draw = jax.jit(functools.partial(stepping.init, self.task, example_shape=plan.example_shape))
        own = any(own_part.is_path(part['name']) for part in (plan.model, plan.optimizer))
        drawn_by = self.group.kind if own else canonical({name: getattr(plan, name) for name in DRAWN_BY})
        return compiling.once(('initial', drawn_by), lambda: draw.lower(key).compile())(key)

    def start(self, plan: Plan, state: State) -> Start:
        """One run at update 0 with the weights drawn, whatever its parent."""
        measures = {name: measure.init(state.params) for name, measure in self.measures.items()}
        return Start(state, program.initial_average(plan, state), measures)
