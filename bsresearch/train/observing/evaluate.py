"""Evaluation of whole splits: each example exactly once, sums in float64, one division, whatever the batch."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from bsresearch import models
from bsresearch.data.splits import Split
from bsresearch.planning import sections
from bsresearch.planning.plan import Plan
from bsresearch.train import feed
from bsresearch.train.devices import compiling, parallel, shards
from bsresearch.train.devices.mapping import Arguments
from bsresearch.train.devices.parallel import Rounds
from bsresearch.train.observing import scores, statistics
from bsresearch.train.state import Array, Data, State
from bsresearch.train.step import Task

PyTree = Any
# Rows of a split too large for the device that are evaluated at a time.
BLOCK_ROWS = 16384
MOST = 1000  # examples of a forward call
# What is computed of examples from (state, data): of all of them, or on each device of its part.
OF_EXAMPLES = Arguments((True, False), split_result=True)


def batch_size(plan: Plan, platform: str) -> int:
    """Examples per forward call: the config's, else what suits the model and platform. Changes no result."""
    given = plan.recording['evaluate']['batch_size']
    if given is not None:
        return given
    module = sections.built('model', plan.model, plan.num_outputs)
    in_cache = models.convolutions_of(module, plan.example_shape).in_cache if platform == 'cpu' else None
    return min(in_cache or MOST, MOST)


class Evaluator:
    """Losses and accuracy of the splits of one data set, for the replicas of a group."""

    def __init__(
        self,
        task: Task,
        plan: Plan,
        splits: Mapping[str, Split],
        resident: Mapping[str, Data],
        group: parallel.DeviceGroup,
    ):
        """`resident`: splits that are on the device already; the others follow it there if the training set is."""
        self.group = group
        self._estimate = statistics.of(task, plan, splits['train'], group)
        self._fn = of_one(task, plan, group)
        move = (lambda split: feed.to_device(split, group)) if resident else lambda split: split
        self.splits = {k: resident[k] if k in resident else move(v) for k, v in wanted(plan, splits).items()}
        self._labels = {k: v.labels for k, v in wanted(plan, splits).items()}
        self._metrics = plan.recording['evaluate']['metrics']

    def __call__(self, states: Rounds, alive: list[bool]) -> list[dict[str, float]]:
        """Metrics per replica: what `metrics` gives as means over a split, and the generalization gaps.

        `<split>_loss` is the plain loss, without label smoothing; `<split>_objective`, where the training objective is
        another, that; `<split>_accuracy`, where there are classes; what else the plan asks for of the outputs of a
        whole split (scores.py). `generalization_gap` = train − test accuracy; `generalization_gap_loss` = test − train
        loss, and likewise `…_objective`.
        """
        metrics: list[dict[str, float]] = [{} for _ in alive]
        for name, split in self.splits.items():
            parts = [self._arrays(states, block, alive) for block in blocks(split, self.group)]
            for r, row in enumerate(metrics):
                if alive[r]:
                    values = {q: np.concatenate([p[r][q] for p in parts]).astype(np.float64) for q in parts[0][r]}
                    of_split = scores.of_split(values, self._labels[name], self._metrics)
                    row |= {f'{name}_{quantity}': value for quantity, value in of_split.items()}
        return [row | _gaps(row) for row in metrics]

    def with_averages(self, states: Rounds, averages: Rounds, alive: list[bool]) -> list[dict[str, float]]:
        """The same, and of the moving averages of the weights, where there are any, as `ema_…`.

        Where the plan asks for it each also with estimated statistics (statistics.py), as `estimated_…`.
        """
        at = {'': states}
        if averages[0] is not None:
            at['ema_'] = [s._replace(params=a.params, stats=a.stats) for s, a in zip(states, averages, strict=True)]
        if self._estimate is not None:
            at |= {f'estimated_{prefix}': self._estimate(weights, alive) for prefix, weights in at.items()}
        rows: list[dict[str, float]] = [{} for _ in alive]
        for prefix, weights in at.items():
            for row, metrics in zip(rows, self(weights, alive), strict=True):
                row |= {prefix + quantity: value for quantity, value in metrics.items()}
        return rows

    def _arrays(self, states: Rounds, data: Data, alive: list[bool]) -> list[Any]:
        parts = self.group.map('evaluate', self._fn, (states, data), OF_EXAMPLES, alive=alive)
        count = len(data.labels)
        return [x if x is None else {k: v[:count] for k, v in x.items()} for x in self.group.whole(parts)]


def wanted(plan: Plan, splits: Mapping[str, Split]) -> dict[str, Split]:
    """The splits that a run evaluates, by name."""
    return {k: v for k, v in splits.items() if plan.recording['evaluate'].get(k, True)}


def largest_block(plan: Plan, splits: Mapping[str, Split], on_device: bool) -> Data:
    """Shapes of what is evaluated at a time of the largest split."""
    split = max(wanted(plan, splits).values(), key=lambda s: len(s.labels))
    return feed.stored(split, len(split.labels) if on_device else min(len(split.labels), BLOCK_ROWS))


def _gaps(row: Mapping[str, float]) -> dict[str, float]:
    """Test − train of each quantity that both have; of the accuracy, where more is better, train − test."""
    gaps = {}
    for quantity in ('accuracy', 'loss', 'objective'):
        if {f'train_{quantity}', f'test_{quantity}'} <= row.keys():
            gap = row[f'test_{quantity}'] - row[f'train_{quantity}']
            gaps |= {'generalization_gap': -gap} if quantity == 'accuracy' else {f'generalization_gap_{quantity}': gap}
    return gaps


def of_one(task: Task, plan: Plan, group: parallel.DeviceGroup) -> Callable[[State, Data], Any]:
    """What is mapped over the replicas of a group."""
    size, outputs = batch_size(plan, compiling.platform()), bool(plan.recording['evaluate']['metrics'])
    return functools.partial(metrics, task, size, group.layout.batch, whole_outputs=outputs)


def metrics(
    task: Task, size: int, devices: int, state: State, data: Data, *, whole_outputs: bool = False
) -> dict[str, Shaped[Array, 'n *outputs']]:
    """What is reported of every example, each computed once, `size` at a time. The host sums them in float64.

    `loss`, the plain one; `objective`, the training objective where it is another; `accuracy`, whether the largest
    output is the class, where there are classes; `outputs`, (n, C), if `whole_outputs`.

    On several devices each computes its part, whose concatenation has repetitions of the last example after the first
    N; on one n = N.
    """

    def of_batch(outputs: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
        values = {'loss': (task.plain_loss or task.loss)(outputs, labels)}
        if task.plain_loss:
            values['objective'] = task.loss(outputs, labels)
        if task.classifies:
            values['accuracy'] = outputs.argmax(-1) == labels
        if whole_outputs:
            values['outputs'] = outputs
        return values

    return _over_examples(task, size, devices, state, data, of_batch)


def probabilities(task: Task, size: int, devices: int, state: State, data: Data) -> Float[Array, 'n outputs']:
    """Softmax of the outputs for every example; on several devices as for `metrics`."""
    return _over_examples(task, size, devices, state, data, lambda outputs, labels: jax.nn.softmax(outputs))


def _over_examples(
    task: Task, size: int, devices: int, state: State, data: Data, of_batch: Callable[[jax.Array, jax.Array], PyTree]
) -> PyTree:
    """`of_batch`(outputs, labels) for all examples, `size` at a time; a tree of (N, …)."""
    total = len(data.labels)
    calls = -(-total // (size * devices))
    begin = jax.lax.axis_index(shards.AXIS) * (calls * size) if devices > 1 else 0

    def block(start: jax.Array) -> PyTree:
        rows = jnp.minimum(start + jnp.arange(size, dtype=jnp.int32), total - 1)
        inputs = task.normalize(data.inputs[rows])
        outputs, _ = models.apply(task.module, state.params, state.stats, inputs, train=False)
        return of_batch(outputs, data.labels[rows])

    values = jax.lax.map(block, begin + jnp.arange(calls, dtype=jnp.int32) * size)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), values)
    return flat if devices > 1 else jax.tree.map(lambda x: x[:total], flat)


def blocks(split: Data | Split, group: parallel.DeviceGroup) -> Iterator[Data]:
    """A resident split whole; a streamed one in pieces."""
    if isinstance(split, Data):
        yield split
        return
    for start in range(0, len(split.labels), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        yield feed.to_device(Split(split.inputs[rows], split.labels[rows]), group)
