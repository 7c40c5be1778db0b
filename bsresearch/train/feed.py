"""What the updates of a chunk read: ids and hyperparameters from the host, examples resident or streamed.

Resident: the whole training set lies on the device in its stored dtype, and a chunk brings ids alone. Streamed: a
chunk brings its examples, in the same order, and ids that count them; the compiled program is the same.
"""

import copy
import functools
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bsresearch.data import order
from bsresearch.data.select import Dataset
from bsresearch.data.splits import Split
from bsresearch.optim import Hyper, policy
from bsresearch.planning import slots
from bsresearch.planning.plan import Plan
from bsresearch.train.devices import processes, shards
from bsresearch.train.devices.parallel import DeviceGroup, Rounds
from bsresearch.train.state import Data, Tables

IDS_PER_CHUNK = 2**18
UPDATES_PER_CHUNK = 2**14
BYTES_PER_CHUNK = 2**26


def device_memory() -> int:
    """Bytes of memory that the device has."""
    stats = jax.local_devices()[0].memory_stats() or {}
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
    return _typed(plan, start, plan.table(start, stop), dtype)


def hyper_at(plan: Plan, t: int, dtype: Any) -> Hyper:
    """Those of update t, () each; at the run's end the last update's, as one update more would use them."""
    last = min(t, plan.length.total_steps - 1)
    return jax.tree.map(lambda x: x[0], _typed(plan, t, plan.table(last, last + 1), dtype))


def _typed(plan: Plan, start: int, values: policy.Values, dtype: Any) -> Hyper:
    """Values of updates from `start` on, with their complements, each rounded once."""
    decay = values.weight_decay if plan.policy.weight_decay else None
    wide = Hyper(values.learning_rate, values.momentum, decay, slots.complements(plan, start, values.momentum))
    return jax.tree.map(lambda x: x.astype(dtype), wide)


def tables(plan: Plan, start: int, count: int, size: int, devices: int, dtype: Any) -> Tables:
    """Tables of a run for updates start ≤ t < start + count, padded to `size`, NumPy leaves.

    All of one batch size. Where devices share a batch the ids are (K, devices, lanes), else (K, lanes).
    """
    batches = order.batches(
        plan.data_seed, plan.length, start, start + count, plan.origin('data'), plan.origin('random')
    )
    values = hyper(plan, start, start + count, dtype)
    rates = None
    if (half_life := plan.ema['half_life_examples']) is not None:
        seen = plan.length.examples_before(np.arange(start, start + count))
        rates = policy.ema_rate(half_life, seen, batches.counts).astype(dtype)
    ids = batches.ids
    if cut := shards.of(plan, ids.shape[1], devices):
        ids = np.pad(ids, ((0, 0), (0, devices * cut.lanes - ids.shape[1])))
        ids = ids.reshape(len(ids), *([devices] if devices > 1 else []), cut.lanes)
    table = Tables(ids, batches.counts, batches.epochs, batches.offsets, values, rates)
    return jax.tree.map(lambda x: np.concatenate([x, np.zeros((size - len(x), *x.shape[1:]), x.dtype)]), table)


def shapes(plan: Plan, train: Split, on_device: bool, devices: int, start: int, dtype: Any) -> tuple[Data, Tables]:
    """Of one replica: the training set, or the examples of a chunk; the Tables of a chunk from update `start` on.

    Args:
      on_device: whether the training set is. devices: that share a batch.
    """
    size = capacity(plan, on_device, plan.length.batch_size_at(start))
    table = tables(plan, start, 1, size, devices, dtype)
    if on_device:
        return stored(train, len(train.labels)), table
    return stored(train, *([devices] if devices > 1 else []), size * table.ids.shape[-1]), table


def stored(split: Split, *rows: int) -> Data:
    """Shapes of so many examples as a device stores them."""
    shape = lambda x: jax.ShapeDtypeStruct((*rows, *x.shape[1:]), jax.dtypes.canonicalize_dtype(x.dtype))
    return Data(shape(split.inputs), shape(split.labels))


# What lies over the devices that share a batch, and on which axis (parallel.DeviceGroup.map).
SPLIT_TABLES = Tables(1, None, None, None, None, None)  # pyright: ignore[reportArgumentType]
SPLIT_DATA = Data(0, 0)


class Chunk(NamedTuple):
    """What updates start ≤ t < start + count read, as the group holds it.

    data: the resident training set, or rounds of examples. tables: rounds. hyper: of each replica, (count,) each.
    """

    start: int
    count: int
    data: Data | Rounds
    tables: Rounds
    hyper: list[Hyper]


class Feed:
    """Chunks for the replicas of a group; on several processes each makes what its devices take."""

    def __init__(self, plans: Sequence[Plan], dataset: Dataset, group: DeviceGroup, dtype: Any):
        self.plans, self.group, self.dtype = plans, group, dtype
        self.on_device = processes.share(lambda: resident(plans[0].execution['data_residence'], dataset))
        self._host = dataset.train
        self.data = to_device(dataset.train, group) if self.on_device else None

    def beside(self, group: DeviceGroup) -> 'Feed':
        """The same for another group on the same devices; resident data are shared."""
        other = copy.copy(self)
        other.group = group
        return other

    def capacity(self, start: int) -> int:
        """K, updates per chunk at most, from update `start` on."""
        return capacity(self.plans[0], self.on_device, self.plans[0].length.batch_size_at(start))

    def tables(self, r: int, start: int, count: int) -> Tables:
        """Padded Tables of replica r for updates start ≤ t < start + count ≤ start + capacity(start), NumPy leaves."""
        return tables(self.plans[r], start, count, self.capacity(start), self.group.layout.batch, self.dtype)

    def one(self, r: int, start: int, count: int) -> tuple[Data, Tables]:
        """Data and Tables of replica r on one device."""
        table = self.tables(r, start, count)
        if self.data is not None:
            return self.data, table
        return Data(*map(jnp.asarray, self.gather(table.ids.reshape(-1)))), _counting(table)

    @functools.partial(jax.profiler.annotate_function, name='data')
    def chunk(self, start: int, count: int, replicas: int | None = None) -> Chunk:
        """Of the first `replicas`; None: of all."""
        tables = [self.tables(r, start, count) for r in range(replicas or len(self.plans))]
        hyper = [jax.tree.map(lambda x: x[:count], table.hyper) for table in tables]
        data = self.data
        if data is None:
            data = [self._streamed(ids) for ids in self.group.rounds([table.ids for table in tables])]
            tables = [_counting(table) for table in tables]
        rounds = [self.group.spread(table, SPLIT_TABLES) for table in self.group.rounds(tables)]
        return Chunk(start, count, data, rounds, hyper)

    def _streamed(self, ids: np.ndarray) -> Data:
        """The examples of a round's ids: each device gets its own, update after update."""
        group = self.group
        lead = ids.shape[: group.stacked]
        if group.layout.batch > 1:
            ids = np.moveaxis(ids, -2, -3)  # devices before updates
            lead = ids.shape[:-2]
        rows = ids.reshape(*lead, -1)
        return Data(*(group.spread_lazily(rows, array, 0) for array in (self._host.inputs, self._host.labels)))

    def gather(self, rows: np.ndarray) -> Data:
        """Training examples by row, (n,) rows; NumPy leaves."""
        return Data(np.asarray(self._host.inputs[rows]), np.asarray(self._host.labels[rows]))


def _counting(table: Tables) -> Tables:
    """With ids that count the examples of a chunk as each device gets them."""
    lanes, updates = table.ids.shape[-1], len(table.ids)
    ids = np.arange(updates * lanes, dtype=np.int32).reshape(updates, *[1] * (table.ids.ndim - 2), lanes)
    return table._replace(ids=np.ascontiguousarray(np.broadcast_to(ids, table.ids.shape)))


def to_device(split: Split, group: DeviceGroup) -> Data:
    """A whole split on all the group's devices, in its stored dtype."""
    return group.place(Data(np.asarray(split.inputs), np.asarray(split.labels)))
