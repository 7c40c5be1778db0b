"""Batch norm's statistics estimated anew at given weights, over the training set: what to evaluate with beside running.

Running averages lag behind weights that move, and after averaging of weights belong to none. Estimated ones are the
mean over groups of ghost_batch_size training examples of each group's mean and biased variance, in training mode,
without augmentation and dropout. The groups cut a permutation of the set that is the same for all runs; last examples,
too few for a group, are left out. As torch's `update_bn` with momentum=None, but for its n − 1.

Reference: P. Izmailov et al. (2018, arXiv:1803.05407), section 3.2 (after averaging weights).
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from bsresearch.core import rng
from bsresearch.data.splits import Split
from bsresearch.planning.plan import Plan
from bsresearch.train import program
from bsresearch.train.devices import parallel
from bsresearch.train.devices.mapping import Arguments
from bsresearch.train.state import Array, State
from bsresearch.train.step import Task

PyTree = Any
BLOCK_ROWS = 16384  # examples that go to the device at a time, about
OF_BLOCK = Arguments((True, False, False))


class Estimator:
    """Puts estimated statistics in the place of running ones, for the replicas of a group."""

    def __init__(self, task: Task, plan: Plan, train: Split, group: parallel.DeviceGroup):
        assert plan.ghost_batch_size is not None
        self._group, self._train, self._ghost = group, train, plan.ghost_batch_size
        self._call = max(task.micro_batch_size, self._ghost)
        self._fn = functools.partial(of_block, task, self._call)

    def __call__(self, states: parallel.Rounds, alive: list[bool]) -> parallel.Rounds:
        """The states with these statistics; those of rounds without a living replica as they are."""
        total: list[PyTree] = [None] * len(states)
        count = 0.0
        for inputs, weights in self._blocks():
            args = (states, self._group.place(inputs), self._group.place(weights))
            sums = self._group.map('statistics', self._fn, args, OF_BLOCK, alive=alive)
            total = [s if t is None else jax.tree.map(jnp.add, t, s) for t, s in zip(total, sums, strict=True)]
            count += float(weights.sum())
        mean = lambda tree: jax.tree.map(lambda x: x / count, tree)
        return [
            state if sums is None else state._replace(stats=mean(sums))
            for state, sums in zip(states, total, strict=True)
        ]

    def _blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Inputs and weights of blocks of one shape, a whole number of calls each; the last is padded with weight 0."""
        count = len(self._train.labels)
        groups = max(1, count // self._ghost)
        order = rng.generator(0, 'statistics').permutation(count)
        rows = np.resize(order, groups * self._ghost)  # a set smaller than a group is gone through again
        calls = -(-len(rows) // self._call)
        blocks = -(-calls * self._call // max(BLOCK_ROWS, self._call))
        size = -(-calls // blocks) * self._call
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            weights = np.arange(size) < len(part)
            yield np.asarray(self._train.inputs[np.resize(part, size)]), weights.astype(np.float32)


def of_block(task: Task, call: int, state: State, inputs: Array, weights: Float[Array, ' N']) -> PyTree:
    """Σ over calls of `call` examples: the statistics of their groups times the examples that count."""

    def add(sums: PyTree, part: tuple[jax.Array, jax.Array]) -> tuple[PyTree, None]:
        rows, w = part
        stats = program.batch_statistics(task, state.params, state.stats, rows, w)
        return jax.tree.map(lambda s, x: s + w.sum().astype(x.dtype) * x, sums, stats), None

    cut = lambda x: x.reshape(-1, call, *x.shape[1:])
    zero = jax.tree.map(jnp.zeros_like, state.stats)
    return jax.lax.scan(add, zero, (cut(inputs), cut(weights)))[0]


def of(task: Task, plan: Plan, train: Split, group: parallel.DeviceGroup) -> Estimator | None:
    """None where the plan does not ask for it or there is no batch norm."""
    wanted = plan.recording['evaluate']['estimated_statistics'] and plan.ghost_batch_size is not None
    return Estimator(task, plan, train, group) if wanted else None
