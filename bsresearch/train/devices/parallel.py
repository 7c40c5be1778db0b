"""How the replicas of a group are mapped onto devices. One run on one device is a group of one and is not mapped.

sequential: one replica after another through the same compiled program, weights of one run in cache; on a CPU each
has the bits it has alone.
vmap: all at once, in one program (accelerators, where a small batch leaves the machine idle; small runs on a CPU).

On several devices (layout.py) a program runs under `shard_map` or `pmap` (mapping.py): the very same function, which
sums over the devices that share a batch itself (shards.py).
"""

import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import PartitionSpec

from bsresearch.train.devices import compiling, mapping, shards
from bsresearch.train.devices.layout import ALONE, Layout
from bsresearch.train.devices.mapping import Arguments, Function

PyTree = Any
# A per-replica value as a group holds it: its rounds, None for one that was passed over.
Rounds = Sequence[PyTree]


def choose(strategy: str, replicas: int, platform: str) -> str:
    """The strategy for a group: the config's, or by platform (fitting.strategy_of knows more); of one: `sequential`."""
    if replicas == 1:
        return 'sequential'
    return strategy if strategy != 'auto' else 'sequential' if platform == 'cpu' else 'vmap'


def stack(trees: Sequence[PyTree]) -> PyTree:
    """Replica trees → one tree of fresh NumPy arrays with a first axis of replicas."""
    return jax.tree.map(lambda *xs: np.stack([np.asarray(x) for x in xs]), *trees)


def unstack(tree: PyTree, count: int) -> list[PyTree]:
    """The inverse of `stack`."""
    return [jax.tree.map(lambda x, r=r: x[r], tree) for r in range(count)]


def host(tree: PyTree) -> PyTree:
    """NumPy leaves; what lies on other processes' devices is fetched, so all of them must call this together."""

    def fetch(x: jax.Array | np.ndarray) -> np.ndarray:
        elsewhere = isinstance(x, jax.Array) and not (x.is_fully_addressable or x.is_fully_replicated)
        return np.asarray(multihost_utils.process_allgather(x, tiled=True) if elsewhere else x)

    return jax.tree.map(fetch, tree)


class DeviceGroup:
    """The replicas of one group on the devices: their arrays, and functions mapped over them.

    A per-replica value is held as a list of rounds, one after another: of one replica each, or of as many as are made
    at once (`lanes`: all under vmap, one for each row of the mesh), stacked on a first axis. `put` and `get` convert.
    Compiled programs are kept (compiling.py); the seconds spent compiling are in `compile_seconds`.
    """

    def __init__(
        self,
        count: int,
        strategy: str,
        precision: str = 'highest',
        layout: Layout = ALONE,
        ordered: bool = False,
        kind: Hashable | None = None,
    ):
        """A group without arrays.

        Args:
          precision: of matrix products, as jax.default_matmul_precision takes it.
          ordered: whether sums over a batch are added in one fixed order, config.reduction.
          kind: of its runs: groups of equal kinds call the same functions by the same names, so what one has compiled
            serves the others of this process. None: a kind of its own.
        """
        self.ordered = ordered
        self.count, self.strategy, self.precision, self.layout = count, strategy, precision, layout
        self.lanes = count if strategy == 'vmap' else layout.replicas
        self.stacked = strategy == 'vmap' or layout.replicas > 1
        self.compile_seconds = 0.0
        self.latest: jax.stages.Compiled | None = None  # the program that was called last
        self.kind = object() if kind is None else kind

    def alone(self) -> 'DeviceGroup':
        """As many replicas as the mesh has rows, each alone on its row."""
        return DeviceGroup(self.layout.replicas, 'sequential', self.precision, self.layout, self.ordered, self.kind)

    def rounds(self, values: Sequence[PyTree]) -> list[PyTree]:
        """Per-replica host trees → rounds of host trees."""
        if not self.stacked:
            return list(values)
        starts = range(0, len(values), self.lanes)
        return [jax.tree.map(_joined, *values[start : start + self.lanes]) for start in starts]

    def put(self, values: Sequence[PyTree]) -> list[PyTree]:
        """Per-replica host trees → on the devices, in buffers of their own: the state is donated."""
        return [self.place(tree, self._spec(None)) for tree in self.rounds(values)]

    def get(self, held: Rounds) -> list[PyTree]:
        """Back to one tree per replica, NumPy leaves; None for each replica of a round that is None."""
        replicas: list[PyTree] = []
        for tree in held:
            if tree is None:
                replicas += [None] * self.lanes
            else:
                replicas += unstack(host(tree), self.lanes) if self.stacked else [host(tree)]
        return replicas

    def whole(self, held: Rounds) -> list[PyTree]:
        """As `get`, for results of which each device that shares a batch has a part: these are joined."""
        if self.layout.batch == 1:
            return self.get(held)
        lanes_first = lambda x: np.moveaxis(x, 0, 1) if self.stacked else x
        parts = self.get([t if t is None else jax.tree.map(lanes_first, host(t)) for t in held])
        return [jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), t) for t in parts]

    def place(self, tree: PyTree, spec: PartitionSpec | None = None) -> PyTree:
        """Host arrays → copies of them on the devices; `spec` as jax.sharding has it, None: on all of them."""

        def one(x: jax.Array | np.ndarray) -> jax.Array:
            if self.layout.single:
                return jnp.array(x)
            if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
                return jax.random.wrap_key_data(one(np.asarray(jax.random.key_data(x))), impl=jax.random.key_impl(x))
            return self._fetch(np.shape(x), lambda index: np.asarray(x)[index], spec)

        return jax.tree.map(one, tree)

    def spread(self, tree: PyTree, split: PyTree) -> PyTree:
        """A round's NumPy tree → on the devices; `split` as in `Arguments`. On one device it stays as it is."""
        if self.layout.single:
            return tree
        one = lambda axis, part: self.place(part, self._spec(axis))
        return jax.tree.map(one, split, tree, is_leaf=mapping.is_none)

    def spread_lazily(self, rows: np.ndarray, array: np.ndarray, split: int) -> jax.Array:
        """`array`[rows] of a round's rows, axis `split` (of one replica's) over the devices that share a batch."""
        if self.layout.single:
            return jnp.asarray(array[rows])
        pick = lambda index: array[rows[index[: rows.ndim]]]
        return self._fetch((*rows.shape, *array.shape[1:]), pick, self._spec(split))

    def _fetch(self, shape: Sequence[int], part: Callable[[Any], np.ndarray], spec: PartitionSpec | None) -> jax.Array:
        """An array of which every process makes only what its devices hold, by `part`(index)."""
        sharding = self.layout.sharding(spec or PartitionSpec())
        return jax.make_array_from_callback(tuple(shape), sharding, lambda index: np.array(part(index)))

    def _spec(self, split: int | None, mapped: bool = True) -> PartitionSpec:
        """Of an argument: `mapped` over replicas, with the axis `split` where a batch is shared."""
        return mapping.spec(split if self.layout.batch > 1 else None, mapped and self.stacked, self.layout)

    def like(self, tree: PyTree, mapped: bool = True, split: PyTree = None) -> PyTree:
        """Shapes of a round of one of `map`'s arguments, and where they lie, from the shapes of one replica's."""
        lead = (self.lanes,) if mapped and self.stacked else ()

        def one(axis: int | None, part: PyTree) -> PyTree:
            sharding = None if self.layout.single else self.layout.sharding(self._spec(axis, mapped))
            shape = lambda x: jax.ShapeDtypeStruct((*lead, *x.shape), x.dtype, sharding=sharding)
            return jax.tree.map(shape, part)

        return jax.tree.map(one, split, tree, is_leaf=mapping.is_none)

    def call(self, name: str, function: Function, args: tuple[PyTree, ...], donate: tuple[int, ...] = ()) -> PyTree:
        """`function` of one replica on one device, compiled once per name and shapes; compile time is kept apart.

        Args:
          name: of the compiled program; one name per function.
          donate: arguments whose buffers the result may take.
        """
        return self._run(name, lambda: jax.jit(function, donate_argnums=donate), args)

    def map(
        self,
        name: str,
        function: Function,
        args: tuple[PyTree, ...],
        how: Arguments,
        *,
        alive: Sequence[bool] | None = None,
        rounds: int | None = None,
    ) -> list[PyTree]:
        """`function` over the replicas, round after round.

        Args:
          name: as for `call`.
          args, how: arguments, and how they lie: those that are per replica in rounds. `function` gets its part.
          alive: a round of which no replica is alive is passed over: its result is None.
          rounds: how many, from the first; None: all.
        """
        name = f'{name}/{self.strategy}' if self.stacked else name
        results = []
        for k in range(rounds or self.count // self.lanes):
            if alive is not None and not any(alive[k * self.lanes : (k + 1) * self.lanes]):
                results.append(None)
                continue
            of_round = tuple(arg[k] if mapped else arg for arg, mapped in zip(args, how.mapped, strict=True))
            results.append(self._run(name, lambda: self._program(function, how), self._numbered(of_round)))
            if not self.layout.single and compiling.platform() == 'cpu':
                # Programs of several host devices that wait for each other's threads may wait for ever.
                jax.block_until_ready(results[-1])
        return results

    def compiled(self, function: Function, args: tuple[PyTree, ...], how: Arguments) -> jax.stages.Compiled:
        """What `map` runs in each round, compiled from shapes alone (`like`) and not kept."""
        return self._compile(self._program(function, how), self._numbered(args))

    def _run(self, name: str, program: Callable[[], mapping.Lowerable], args: tuple[PyTree, ...]) -> PyTree:
        settings = self.kind, self.strategy, self.lanes, self.precision, self.layout, self.ordered
        key = *settings, name, compiling.shapes(args)
        self.latest = compiling.once(key, lambda: self._timed(program(), args))
        return self.latest(*args)

    def _timed(self, program: mapping.Lowerable, args: tuple[PyTree, ...]) -> jax.stages.Compiled:
        start = time.perf_counter()
        compiled = self._compile(program, args)
        self.compile_seconds += time.perf_counter() - start
        return compiled

    def _compile(self, program: mapping.Lowerable, args: tuple[PyTree, ...]) -> jax.stages.Compiled:
        with jax.default_matmul_precision(self.precision):
            lowered = program.lower(*args)
        return lowered.compile(compiling.options(self.ordered))

    def _numbered(self, args: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
        """With the devices' numbers, which `mapping.over_pmap` takes before the others."""
        if self.layout.how != 'pmap' or self.layout.single:
            return args
        return (self.place(np.arange(self.layout.batch), PartitionSpec(shards.AXIS)), *args)

    def _program(self, function: Function, how: Arguments) -> mapping.Lowerable:
        """What compiles to `function` over the lanes of a round, on the group's devices."""
        if self.strategy == 'vmap':
            function = mapping.over_lanes(function, how.mapped)
        if self.layout.single:
            return mapping.on_one_device(function, how)
        if self.layout.how == 'pmap':
            return mapping.over_pmap(function, how.on(self.layout), self.layout, self.stacked)
        if self.stacked and self.strategy != 'vmap':
            function = mapping.of_one_lane(function, how.mapped)
        return mapping.over_mesh(function, how.on(self.layout), self.layout, self.stacked)


def _joined(*arrays: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    return jnp.stack(arrays) if isinstance(arrays[0], jax.Array) else np.stack(arrays)
