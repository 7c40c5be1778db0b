"""Named random streams: key(seed, stream, index). A stream's numbers depend on nothing else.

The index is (epoch, offset) for what happens to an example (augmentation, dropout) and the update for what happens
to an update, so that batch size, devices and micro-batches never change a number.
"""

import zlib
from typing import Any

import jax
import numpy as np

MAX_SEED = 2**31 - 1


def _stream(name: str) -> int:
    """A number for a name, the same in every version of Python."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def generator(seed: int, stream: str, *index: int) -> np.random.Generator:
    """A NumPy generator for host-side streams (order, splits)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(_stream(stream), *index))))


def key(seed: int, stream: str, *index: Any) -> jax.Array:
    """A typed JAX key, shape (). The implementation is pinned: results may not follow a process-wide default."""
    return at(jax.random.fold_in(jax.random.key(seed, impl='threefry2x32'), _stream(stream)), *index)


def at(base: jax.Array, *index: Any) -> jax.Array:
    """`base` at an index; works on traced integers."""
    for i in index:
        base = jax.random.fold_in(base, i)
    return base
