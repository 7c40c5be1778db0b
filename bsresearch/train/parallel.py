"""How a device maps the replicas of a group. One run is a group of one and is not mapped at all.

sequential: one replica after another through the same compiled program, weights of one run in cache (CPU).
vmap: all at once, in one program (accelerators, where a small batch leaves the machine idle).
"""

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

PyTree = Any
# XLA's usual copy insertion copies all weights twice an update inside a loop on a CPU: 30 % of the time at B = 1.
COMPILER_OPTIONS: dict[str, dict[str, Any]] = defaultdict(
    dict, cpu={'xla_cpu_copy_insertion_use_region_analysis': True}
)


def choose(strategy: str, replicas: int, platform: str) -> str:
    """The strategy for a group: the config's, or by platform; a group of one is `sequential`."""
    if replicas == 1:
        return 'sequential'
    return strategy if strategy != 'auto' else 'sequential' if platform == 'cpu' else 'vmap'


def stack(trees: Sequence[PyTree]) -> PyTree:
    """Replica trees → one tree of fresh NumPy arrays with a first axis of replicas."""
    return jax.tree.map(lambda *xs: np.stack([np.asarray(x) for x in xs]), *trees)


def unstack(tree: PyTree, count: int) -> list[PyTree]:
    """The inverse of `stack`."""
    return [jax.tree.map(lambda x, r=r: x[r], tree) for r in range(count)]


class Group:
    """The replicas of one group: their arrays on the device, and functions mapped over them.

    A per-replica value is held as a list (sequential) or as one stacked tree (vmap); `put` and `get` convert.
    Compiled programs are kept by name; the seconds spent compiling are in `compile_seconds`.
    """

    def __init__(self, count: int, strategy: str, precision: str = 'highest'):
        """`precision`: of matrix products, as jax.default_matmul_precision takes it."""
        self.count, self.strategy, self.precision = count, strategy, precision
        self.compile_seconds = 0.0
        self.latest: Any = None  # the compiled program that was called last
        self._compiled: dict[Any, Callable[..., Any]] = {}

    def put(self, values: Sequence[PyTree]) -> Any:
        """Per-replica host trees → on the device."""
        if self.strategy == 'vmap':
            return jax.tree.map(lambda *xs: jax.numpy.stack(xs), *values)
        # A copy: device_put may alias host memory, and the state is donated.
        return [jax.tree.map(lambda x: jax.numpy.array(x), v) for v in values]

    def get(self, values: Any) -> list[PyTree]:
        """Back to one tree per replica, NumPy leaves."""
        if self.strategy == 'vmap':
            return unstack(jax.tree.map(np.asarray, values), self.count)
        return [jax.tree.map(np.asarray, v) for v in values]

    def call(self, name: str, fn: Callable[..., Any], args: tuple[Any, ...], donate: tuple[int, ...] = ()) -> Any:
        """`fn` for one replica, compiled once per name and shapes; compile time is kept apart.

        Args:
          name: of the compiled program; one name per function.
          donate: arguments whose buffers the result may take.
        """
        key = (name, tuple(np.shape(x) for x in jax.tree.leaves(args)))
        if key not in self._compiled:
            start = time.perf_counter()
            with jax.default_matmul_precision(self.precision):
                lowered = jax.jit(fn, donate_argnums=donate).lower(*args)
            self._compiled[key] = lowered.compile(COMPILER_OPTIONS[platform()])
            self.compile_seconds += time.perf_counter() - start
        self.latest = self._compiled[key]
        return self.latest(*args)

    def map(
        self,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        mapped: tuple[bool, ...],
        donate: tuple[int, ...] = (),
        alive: Sequence[bool] | None = None,
    ) -> Any:
        """`fn` over the replicas.

        Args:
          name, donate: as for `call`.
          args, mapped: arguments, and which of them are per replica.
          alive: sequential replicas that are False are passed over: their result is None.
        """
        if self.strategy == 'vmap':
            axes = tuple(0 if m else None for m in mapped)
            return self.call(f'{name}/vmap', jax.vmap(fn, in_axes=axes), args, donate)
        own = lambda r: tuple(a[r] if m else a for a, m in zip(args, mapped, strict=True))
        runs = [alive is None or alive[r] for r in range(self.count)]
        return [self.call(name, fn, own(r), donate) if runs[r] else None for r in range(self.count)]


@functools.cache
def platform() -> str:
    """Of the default device: cpu, gpu or tpu."""
    return jax.devices()[0].platform
