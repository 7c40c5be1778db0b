"""Compiled programs of this process: how they are compiled, and which are kept for those who ask again."""

import functools
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any

import jax
import numpy as np

PyTree = Any
# XLA's usual copy insertion copies all weights twice an update inside a loop on a CPU: 30 % of the time at B = 1.
OPTIONS: dict[str, dict[str, str | bool]] = defaultdict(dict, cpu={'xla_cpu_copy_insertion_use_region_analysis': True})
# Fusing lets a CPU round a product and a sum at once, or not, as the program around them has it. Without it the same
# arithmetic gives the same bits in programs for one device and for several.
ORDERED_OPTIONS: dict[str, dict[str, str | bool]] = defaultdict(dict, cpu={'xla_disable_hlo_passes': 'fusion'})
# The kept programs, the least recently used first, and how many there are at most.
KEPT: dict[Hashable, jax.stages.Compiled] = {}
MOST = 256


@functools.cache
def platform() -> str:
    """Of the default device: cpu, gpu or tpu."""
    return jax.devices()[0].platform


def options(ordered: bool) -> dict[str, str | bool]:
    """Of XLA, on this platform. `ordered`: sums are added in one fixed order."""
    return OPTIONS[platform()] | (ORDERED_OPTIONS[platform()] if ordered else {})


def shapes(tree: PyTree) -> tuple[tuple[int, ...], ...]:
    """Of its leaves."""
    return tuple(np.shape(x) for x in jax.tree.leaves(tree))


def once(key: Hashable, make: Callable[[], jax.stages.Compiled]) -> jax.stages.Compiled:
    """The program known by `key`; made where it is not kept."""
    # A profile asks for programs that name their operations.
    key = key, jax.config.values['jax_compilation_cache_include_metadata_in_key']
    KEPT[key] = KEPT.pop(key, None) or make()  # the newest last
    if len(KEPT) > MOST:
        del KEPT[next(iter(KEPT))]
    return KEPT[key]
