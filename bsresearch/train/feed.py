"""What the updates of a chunk read: ids and hyperparameters from the host, examples resident or streamed.

Resident: the whole training set lies on the device in its stored dtype, and a chunk brings ids alone. Streamed: a
chunk brings its examples, in the same order, and ids that count them; the compiled program is the same.
"""

import functools
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bsresearch.data import order
from bsresearch.data.select import Dataset
from bsresearch.data.splits import Split
from bsresearch.optim import Hyper, policy
from bsresearch.plan import Plan
from bsresearch.train.parallel import Group
from bsresearch.train.program import Tables
from bsresearch.train.state import Data

IDS_PER_CHUNK = 2**18
UPDATES_PER_CHUNK = 2**14
BYTES_PER_CHUNK = 2**26


def device_memory() -> int:
    """Bytes of memory that the device has."""
    stats = jax.devices()[0].memory_stats() or {}
    return stats.get('bytes_limit') or os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


def memory_for_data() -> int:
    """Bytes of device memory that data may take: a third of what there is."""
    return device_memory() // 3


def resident(residence: str, dataset: Dataset) -> bool:
    """Whether the examples live on the device."""
    size = sum(split.inputs.nbytes for split in dataset.named().values())
    return residence == 'device' or (residence == 'auto' and size <= memory_for_data())


def capacity(plan: Plan, on_device: bool, batch_size: int) -> int:
    """K, updates per chunk at most: a power of two, so that runs of different length share a program."""
    limit = max(1, min(UPDATES_PER_CHUNK, IDS_PER_CHUNK // batch_size))
    if not on_device:
        example = int(np.prod(plan.example_shape)) * 4
        limit = max(1, min(limit, BYTES_PER_CHUNK // (batch_size * example)))
    needed = plan.length.total_steps
    return min(1 << (limit.bit_length() - 1), 1 << max(needed - 1, 0).bit_length())


def hyper(plan: Plan, start: int, stop: int, dtype: Any) -> Hyper:
    """The hyperparameters of updates start ≤ t < stop, (stop − start,) each: the very values the step uses."""
    values = plan.table(start, stop)
    decay = values.weight_decay.astype(dtype) if plan.weight_decay else None
    return Hyper(values.learning_rate.astype(dtype), values.momentum.astype(dtype), decay)


class Feed:
    """Chunks for the replicas of a group."""

    def __init__(self, plans: Sequence[Plan], dataset: Dataset, group: Group, dtype: Any):
        self.plans, self.group, self.dtype = plans, group, dtype
        self.on_device = resident(plans[0].execution['data_residence'], dataset)
        self._host = dataset.train
        self.data = to_device(dataset.train) if self.on_device else None

    def capacity(self, start: int) -> int:
        """K, updates per chunk at most, from update `start` on."""
        return capacity(self.plans[0], self.on_device, self.plans[0].length.batch_size_at(start))

    def one(self, r: int, start: int, count: int) -> tuple[Data, Tables]:
        """Data and padded Tables of replica r for updates start ≤ t < start + count ≤ start + capacity(start).

        All of one batch size.
        """
        plan, size = self.plans[r], self.capacity(start)
        batches = order.batches(
            plan.data_seed, plan.length, start, start + count, plan.origin('data'), plan.origin('random')
        )
        values = hyper(plan, start, start + count, self.dtype)
        rates = None
        if (half_life := plan.ema['half_life_examples']) is not None:
            seen = plan.length.examples_before(np.arange(start, start + count))
            rates = policy.ema_rate(half_life, seen, batches.counts).astype(self.dtype)
        table = Tables(batches.ids, batches.counts, batches.epochs, batches.offsets, values, rates)
        table = jax.tree.map(lambda x: np.concatenate([x, np.zeros((size - len(x), *x.shape[1:]), x.dtype)]), table)
        if self.data is not None:
            return self.data, table
        data = self.gather(table.ids)
        return data, table._replace(ids=np.arange(table.ids.size, dtype=np.int32).reshape(table.ids.shape))

    @functools.partial(jax.profiler.annotate_function, name='data')
    def chunk(self, start: int, count: int) -> tuple[Any, Any, list[Hyper]]:
        """The same for all replicas, as the group's strategy holds it, and each one's (count,) hyperparameters."""
        data, tables = zip(*(self.one(r, start, count) for r in range(len(self.plans))), strict=True)
        values = [jax.tree.map(lambda x: x[:count], table.hyper) for table in tables]
        if self.group.strategy == 'vmap':
            tables = jax.tree.map(lambda *xs: np.stack(xs), *tables)
            data = data if self.data is not None else jax.tree.map(lambda *xs: jnp.stack(xs), *data)
        return self.data if self.data is not None else data, tables, values

    def gather(self, rows: np.ndarray) -> Data:
        """Training examples by row, any shape of rows, flattened."""
        rows = rows.reshape(-1)
        return Data(jnp.asarray(self._host.inputs[rows]), jnp.asarray(self._host.labels[rows]))


def to_device(split: Split) -> Data:
    """A whole split on the device, in its stored dtype."""
    return Data(jnp.asarray(np.asarray(split.inputs)), jnp.asarray(np.asarray(split.labels)))
