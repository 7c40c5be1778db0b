"""Measurements of a group at θ_t: their inputs, their carried state, and what each of them cost."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from bsresearch.core import rng
from bsresearch.measure import Context, Measure
from bsresearch.planning.plan import Plan
from bsresearch.store.records import OWN_METRICS
from bsresearch.train import feed, program
from bsresearch.train.devices import parallel
from bsresearch.train.devices.mapping import Arguments
from bsresearch.train.observing.metrics import check, own_functions
from bsresearch.train.state import Data, State
from bsresearch.train.step import Task

PyTree = Any
# Of program.measure: (its state, state, origins, inputs) of each replica, the training set of all.
OF_MEASUREMENT = Arguments((True, True, True, True, False))


class Measuring:
    """The measurements that a group makes; `states` are theirs, as the group's strategy holds them.

    Args:
      plans: of the group's replicas, in order.
      measures: those that are made, by name.
      task: of the group. chunks: what its examples are gathered with. group: how it maps its replicas.

    Raises:
      ValueError: one reads the whole training set, which is not on the device.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        measures: Mapping[str, Measure],
        task: Task,
        chunks: feed.Feed,
        group: parallel.DeviceGroup,
    ):
        self.plans, self.measures, self.task, self.feed, self.group = plans, measures, task, chunks, group
        self.states: dict[str, Any] = {}
        self._own, self._given = own_functions(plans[0]), dict[str, str]()  # metric → measurement
        # What each has cost so far, compiling left out: how often it was made, and seconds in all.
        self.spent = {name: {'count': 0, 'seconds': 0.0} for name in measures}
        wanting = [name for name, m in measures.items() if m.whole and chunks.data is None]
        if wanting:
            raise ValueError(
                f'config.measure.{wanting[0]} reads the whole training set, which is not on the device; use '
                'config.data_residence=device, or switch it off'
            )

    def __call__(self, name: str, t: int, state: Any, origins: Any, alive: Sequence[bool]) -> list[dict[str, Any]]:
        """One measurement of all replicas; metrics of each, none for one that is not `alive`."""
        start, compiled = time.perf_counter(), self.group.compile_seconds
        quantity = self.measures[name]
        inputs = [self._inputs(name, quantity, plan, t) for plan in self.plans]
        whole = self.feed.data if quantity.whole else None
        if quantity.host:
            metrics = self._on_host(name, quantity, state, origins, inputs, whole, alive)
        else:
            inputs = self.group.put(inputs)
            fn = functools.partial(program.measure, self.task, quantity)
            args = (self.states[name], state, origins, inputs, whole)
            metrics = self._taken(name, self.group.map(f'measure/{name}', fn, args, OF_MEASUREMENT, alive=alive))
        if name not in self._given.values() and True in alive:
            self._check(name, metrics[list(alive).index(True)])
        self.spent[name]['count'] += 1
        self.spent[name]['seconds'] += time.perf_counter() - start - (self.group.compile_seconds - compiled)
        return metrics

    def try_own(self, state: Any, origins: Any) -> None:
        """Makes what a plan could not try, a user's own on the host, for the first run: what it gives is checked before
        the first update. Nothing of that is kept.
        """
        states, first = dict(self.states), [r == 0 for r in range(len(self.plans))]
        for name in self._own.keys() & {name for name, measure in self.measures.items() if measure.host}:
            self(name, self.plans[0].start, state, origins, first)
            self.spent[name] = {'count': 0, 'seconds': 0.0}
        self.states = states

    def _check(self, name: str, given: Any) -> None:
        """Raises ValueError where it gives what cannot be recorded (observing/metrics.py)."""
        of_own = {metric: other for metric, other in self._given.items() if {name, other} & self._own.keys()}
        check(name, given, of_own)
        self._given |= dict.fromkeys(given, name)

    def own_metrics(self, meta: Mapping[str, Any]) -> dict[str, list[str]]:
        """For a run's meta, as it stands: the metrics that a user's own measurements gave; {} where there are none."""
        now = [metric for metric, measurement in self._given.items() if measurement in self._own]
        names = list(dict.fromkeys([*meta.get(OWN_METRICS, ()), *now]))
        return {OWN_METRICS: names} if names else {}

    def _inputs(self, name: str, quantity: Measure, plan: Plan, t: int) -> program.MeasureInputs:
        """The hyperparameters of update t, examples and a key from the measurement's own streams."""
        hyper = feed.hyper_at(plan, t, self.task.dtype)
        batch = None
        if quantity.batch_size:
            # As drawn: parts of it are batches drawn at random too.
            draw = rng.generator(plan.data_seed, f'measure/{name}', t)
            batch = self.feed.gather(draw.integers(0, plan.epoch_size, quantity.batch_size))
        return program.MeasureInputs(hyper, batch, rng.key(plan.data_seed, f'measure/{name}', t))

    def _taken(self, name: str, result: Any) -> list[dict[str, Any]]:
        """Keeps the new states; the metrics of each replica."""
        before = self.states[name]
        self.states[name] = [old if new is None else new[0] for old, new in zip(before, result, strict=True)]
        replicas = self.group.get([None if new is None else new[1] for new in result])
        return [{} if metrics is None else metrics for metrics in replicas]

    def _on_host(
        self, name: str, quantity: Measure, state: Any, origins: Any, inputs: Any, whole: Any, alive: Sequence[bool]
    ) -> list[dict[str, Any]]:
        """One replica after another, the context's functions compiled."""
        split = self.group.get if self.group.stacked else list
        states, result = split(self.states[name]), []
        for r, (replica, params) in enumerate(zip(split(state), split(origins), strict=True)):
            if not alive[r]:
                result.append({})
                continue
            seen = self._compiled(name, quantity, replica, params, inputs[r], whole)
            states[r], metrics = quantity.update(states[r], seen)
            result.append(metrics)
        self.states[name] = self.group.put(states) if self.group.stacked else states
        return result

    def _compiled(
        self, name: str, quantity: Measure, state: State, origins: PyTree, inputs: Any, whole: Any
    ) -> Context:
        """The context of one replica whose `losses` and `gradient` are compiled programs of the group."""
        seen = program.context(self.task, quantity, state, origins, inputs, whole)
        losses = functools.partial(program.losses_of, self.task, quantity.statistics)
        gradient = gradient_of_one(self.task, quantity)
        call = lambda what, fn, *args: self.group.call(f'measure/{name}/{what}', fn, args)
        return seen._replace(
            losses=lambda params, batch: call('losses', losses, state.stats, params, batch),
            gradient=lambda params, batch: call('gradient', gradient, params, state.stats, batch),
        )


def gradient_of_one(task: Task, quantity: Measure) -> Callable[[PyTree, PyTree, Data], tuple[jax.Array, PyTree]]:
    """(params, stats, batch) → mean loss of a measurement's examples, and its gradient."""

    def mean_loss(params: PyTree, stats: PyTree, batch: Data) -> jax.Array:
        return program.losses_of(task, quantity.statistics, stats, params, batch).mean()

    return jax.value_and_grad(mean_loss)
