"""How the replicas of a group are mapped onto devices. One run on one device is a group of one and is not mapped.

sequential: one replica after another through the same compiled program, weights of one run in cache; on a CPU each
has the bits it has alone.
vmap: all at once, in one program (accelerators, where a small batch leaves the machine idle; small runs on a CPU).

On several devices (layout.py) a program runs under `shard_map` or `pmap`: the very same function, which sums over
the devices that share a batch itself (shards.py). `jax.pmap` has been in maintenance since JAX 0.8, where it
became a wrapper of jit and shard_map: it is kept here for code and hardware that are used to it, spreads the batch
alone, and reuses no buffers. New work should use jit.
"""

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import PartitionSpec

from bsresearch.train.devices import layout as layouts
from bsresearch.train.devices import shards

PyTree = Any
# XLA's usual copy insertion copies all weights twice an update inside a loop on a CPU: 30 % of the time at B = 1.
COMPILER_OPTIONS: dict[str, dict[str, Any]] = defaultdict(
    dict, cpu={'xla_cpu_copy_insertion_use_region_analysis': True}
)

# Fusing lets a CPU round a product and a sum at once, or not, as the program around them has it. Without it the same
# arithmetic gives the same bits in programs for one device and for several.
ORDERED_OPTIONS: dict[str, dict[str, Any]] = defaultdict(dict, cpu={'xla_disable_hlo_passes': 'fusion'})


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
    here = lambda x: x.is_fully_addressable or x.is_fully_replicated if isinstance(x, jax.Array) else True
    fetch = lambda x: np.asarray(x if here(x) else multihost_utils.process_allgather(x, tiled=True))
    return jax.tree.map(fetch, tree)


class Group:
    """The replicas of one group: their arrays on the devices, and functions mapped over them.

    A per-replica value is held as a list of rounds, one after another: of one replica each, or of as many as are made
    at once (`lanes`: all under vmap, one for each row of the mesh), stacked on a first axis. `put` and `get` convert.
    Compiled programs are kept by name; the seconds spent compiling are in `compile_seconds`.
    """

    def __init__(
        self,
        count: int,
        strategy: str,
        precision: str = 'highest',
        layout: layouts.Layout = layouts.ALONE,
        ordered: bool = False,
    ):
        """`precision`: of matrix products, as jax.default_matmul_precision takes it. `ordered`: config.reduction is."""
        self.ordered = ordered
        self.count, self.strategy, self.precision, self.layout = count, strategy, precision, layout
        self.lanes = count if strategy == 'vmap' else layout.replicas
        self.stacked = strategy == 'vmap' or layout.replicas > 1
        self.compile_seconds = 0.0
        self.latest: Any = None  # the compiled program that was called last
        self._compiled: dict[Any, Callable[..., Any]] = {}

    def alone(self) -> 'Group':
        """As many replicas as the mesh has rows, each alone on its row."""
        return Group(self.layout.replicas, 'sequential', self.precision, self.layout, self.ordered)

    def rounds(self, values: Sequence[Any]) -> list[PyTree]:
        """Per-replica host trees → rounds of host trees."""
        if not self.stacked:
            return list(values)
        joined = lambda *xs: jnp.stack(xs) if isinstance(xs[0], jax.Array) else np.stack(xs)
        parts = [values[i : i + self.lanes] for i in range(0, len(values), self.lanes)]
        return [jax.tree.map(joined, *part) for part in parts]

    def put(self, values: Sequence[PyTree]) -> list[PyTree]:
        """Per-replica host trees → on the devices, in buffers of their own: the state is donated."""
        return [self.place(tree, self._spec(None)) for tree in self.rounds(values)]

    def get(self, held: Sequence[PyTree | None]) -> list[Any]:
        """Back to one tree per replica, NumPy leaves; None for each replica of a round that is None."""
        found = []
        for tree in held:
            if tree is None:
                found += [None] * self.lanes
            else:
                found += unstack(host(tree), self.lanes) if self.stacked else [host(tree)]
        return found

    def whole(self, held: Sequence[PyTree | None]) -> list[Any]:
        """As `get`, for results of which each device that shares a batch has a part: these are joined."""
        if self.layout.batch == 1:
            return self.get(held)
        front = lambda x: np.moveaxis(x, 0, 1) if self.stacked else x
        parts = self.get([t if t is None else jax.tree.map(front, host(t)) for t in held])
        return [jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), t) for t in parts]

    def place(self, tree: PyTree, spec: PartitionSpec | None = None) -> PyTree:
        """Host arrays → copies of them on the devices; `spec` as jax.sharding has it, None: on all of them."""

        def one(x: Any) -> jax.Array:
            if self.layout.single:
                return jnp.array(x)
            if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
                return jax.random.wrap_key_data(one(np.asarray(jax.random.key_data(x))), impl=jax.random.key_impl(x))
            return self._fetch(np.shape(x), lambda index: np.asarray(x)[index], spec)

        return jax.tree.map(one, tree)

    def spread(self, tree: PyTree, split: PyTree) -> PyTree:
        """A round's NumPy tree → on the devices; `split` as in `map`. On one device a program takes it as it is."""
        if self.layout.single:
            return tree
        one = lambda axis, part: self.place(part, self._spec(axis if self.layout.batch > 1 else None))
        return jax.tree.map(one, split, tree, is_leaf=_none)

    def spread_lazily(self, rows: np.ndarray, array: np.ndarray, split: int) -> jax.Array:
        """`array`[rows] of a round's rows, axis `split` (of one replica's) over the devices that share a batch."""
        if self.layout.single:
            return jnp.asarray(array[rows])
        spec = self._spec(split if self.layout.batch > 1 else None)
        pick = lambda index: array[rows[index[: rows.ndim]]]
        return self._fetch((*rows.shape, *array.shape[1:]), pick, spec)

    def _fetch(self, shape: Sequence[int], part: Callable[[Any], np.ndarray], spec: PartitionSpec | None) -> jax.Array:
        """An array of which every process makes only what its devices hold, by `part`(index)."""
        sharding = self.layout.sharding(spec or PartitionSpec())
        return jax.make_array_from_callback(tuple(shape), sharding, lambda index: np.array(part(index)))

    def _spec(self, split: int | None, mapped: bool = True) -> PartitionSpec:
        """Of an argument: `mapped` over replicas, with the axis `split` (of one replica's array) over the batch's."""
        lead = [layouts.REPLICA if self.layout.how == 'jit' else None] if mapped and self.stacked else []
        return PartitionSpec(*lead, *([None] * split + [shards.AXIS] if split is not None else []))

    def call(self, name: str, fn: Callable[..., Any], args: tuple[Any, ...], donate: tuple[int, ...] = ()) -> Any:
        """`fn` of one replica on one device, compiled once per name and shapes; compile time is kept apart.

        Args:
          name: of the compiled program; one name per function.
          donate: arguments whose buffers the result may take.
        """
        return self._run(name, lambda: jax.jit(fn, donate_argnums=donate), args)

    def _run(self, name: str, program: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        key = (name, tuple(np.shape(x) for x in jax.tree.leaves(args)))
        if key not in self._compiled:
            start = time.perf_counter()
            self._compiled[key] = self._compile(program, args)
            self.compile_seconds += time.perf_counter() - start
        self.latest = self._compiled[key]
        return self.latest(*args)

    def _compile(self, program: Callable[[], Any], args: tuple[Any, ...]) -> Any:
        with jax.default_matmul_precision(self.precision):
            lowered = program().lower(*args)
        return lowered.compile(COMPILER_OPTIONS[platform()] | (ORDERED_OPTIONS[platform()] if self.ordered else {}))

    def like(self, tree: PyTree, mapped: bool = True, split: Any = None) -> PyTree:
        """Shapes of a round of one of `map`'s arguments, and where they lie, from the shapes of one replica's."""
        lead = (self.lanes,) if mapped and self.stacked else ()

        def one(axis: int | None, part: PyTree) -> PyTree:
            spec = self._spec(axis if self.layout.batch > 1 else None, mapped)
            sharding = None if self.layout.single else self.layout.sharding(spec)
            shape = lambda x: jax.ShapeDtypeStruct((*lead, *x.shape), x.dtype, sharding=sharding)
            return jax.tree.map(shape, part)

        return jax.tree.map(one, split, tree, is_leaf=_none)

    def compiled(self, fn: Callable[..., Any], args: tuple[Any, ...], mapped: tuple[bool, ...], **how: Any) -> Any:
        """What `map` runs in each round, compiled from shapes alone (`like`) and not kept; `how`: its keywords."""
        return self._compile(lambda: self._program(fn, mapped, **how), self._numbered(args))

    def map(
        self,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        mapped: tuple[bool, ...],
        donate: tuple[int, ...] = (),
        alive: Sequence[bool] | None = None,
        split: tuple[Any, ...] | None = None,
        split_result: bool = False,
        rounds: int | None = None,
    ) -> list[Any]:
        """`fn` over the replicas, round after round.

        Args:
          name, donate: as for `call`.
          args, mapped: arguments, and which of them are per replica.
          alive: a round of which no replica is alive is passed over: its result is None.
          split: for each argument, which axis of its arrays lies over the devices that share a batch; a tree of these,
            None for those that all of them have. `fn` gets its part, without that axis.
          split_result: whether each of these devices has a part of the result: they are stacked on a first axis.
          rounds: how many, from the first; None: all.
        """
        build = functools.partial(self._program, fn, mapped, donate, split, split_result)
        found: list[Any] = []
        for k in range(rounds or self.count // self.lanes):
            if alive is not None and not any(alive[k * self.lanes : (k + 1) * self.lanes]):
                found.append(None)
                continue
            own = self._numbered(tuple(a[k] if m else a for a, m in zip(args, mapped, strict=True)))
            found.append(self._run(f'{name}/{self.strategy}' if self.stacked else name, build, own))
            if not self.layout.single and platform() == 'cpu':
                # Programs of several host devices that wait for each other's threads may wait for ever.
                jax.block_until_ready(found[-1])
        return found

    def _numbered(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """With what pmap wants: an argument that is mapped, whatever the function needs."""
        if self.layout.how != 'pmap' or self.layout.single:
            return args
        return (self.place(np.arange(self.layout.batch), PartitionSpec(shards.AXIS)), *args)

    def _program(
        self,
        fn: Callable[..., Any],
        mapped: tuple[bool, ...],
        donate: tuple[int, ...] = (),
        split: tuple[Any, ...] | None = None,
        split_result: bool = False,
    ) -> Any:
        """What compiles to `fn` over the lanes of a round, on the group's devices."""
        split = split if split is not None and self.layout.batch > 1 else (None,) * len(mapped)
        split_result &= self.layout.batch > 1
        lanes = tuple(0 if m else None for m in mapped)
        if self.strategy == 'vmap':
            fn = jax.vmap(fn, in_axes=lanes)
        if self.layout.single:
            return jax.jit(fn, donate_argnums=donate)
        if self.layout.how == 'pmap':
            shift = lambda a, m: a if a is None else a + (m and self.stacked)
            axes = tuple(self._each(shift, s, m) for s, m in zip(split, mapped, strict=True))
            out = 0 if split_result else None
            numbered = lambda number, *args: fn(*args)
            made = jax.pmap(numbered, shards.AXIS, in_axes=(0, *axes), out_axes=out, devices=self.layout.devices)
            return layouts.Across(made) if jax.process_count() > 1 else made
        one = self.stacked and self.strategy != 'vmap'  # one lane a row: not mapped
        drop = lambda a, m, t: t if a is None else jax.tree.map(lambda x: jnp.squeeze(x, a + (m and self.stacked)), t)

        def local(*args: Any) -> Any:
            own = [
                jax.tree.map(functools.partial(lambda m, a, t: drop(a, m, t), m), s, t, is_leaf=_none)
                for s, m, t in zip(split, mapped, args, strict=True)
            ]
            if one:
                own = [jax.tree.map(lambda x: x[0], t) if m else t for t, m in zip(own, mapped, strict=True)]
            result = fn(*own)
            for wanted in (one, split_result):
                result = jax.tree.map(lambda x: x[None], result) if wanted else result
            return result

        specs = tuple(self._each(lambda a, m: self._spec(a, m), s, m) for s, m in zip(split, mapped, strict=True))
        lead = (layouts.REPLICA,) if self.stacked else ()
        out = PartitionSpec(shards.AXIS, *lead) if split_result else PartitionSpec(*lead)
        mesh = self.layout.mesh
        return jax.jit(
            jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False), donate_argnums=donate
        )

    @staticmethod
    def _each(what: Callable[..., Any], split: Any, mapped: bool) -> Any:
        """`what`(axis or None, mapped) at each leaf of a tree of axes."""
        return jax.tree.map(lambda a: what(a, mapped), split, is_leaf=_none)


def _none(x: Any) -> bool:
    return x is None


@functools.cache
def platform() -> str:
    """Of the default device: cpu, gpu or tpu."""
    return jax.devices()[0].platform
