"""Several processes that train together: what one of them knows, all of them do.

They run the same program in step, so whatever a decision depends on must be the same in all: process 0 reads and
writes the workdir and looks at clocks, and tells the others (`share`); what may happen to any of them is asked of all
(`anywhere`).
"""

import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

T = TypeVar('T')


class Left(RuntimeError):
    """Another process died, or cannot be reached."""


def left(error: BaseException) -> bool:
    """Whether an error says that another process died: collectives and JAX's coordination service tell in words."""
    words = ('Gloo', 'gloo', 'coordination', 'Connection closed', 'Barrier', 'heartbeat')
    return isinstance(error, Left) or (jax.process_count() > 1 and any(word in str(error) for word in words))


def leads() -> bool:
    """Whether this is the process that reads and writes."""
    return jax.process_index() == 0


def share(make: Callable[[], T]) -> T:
    """`make`'s value in process 0, in all processes; an exception is raised in all of them.

    `make` is called in process 0 alone; what it gives must be picklable.
    """
    if jax.process_count() == 1:
        return make()
    outcome: tuple[Any, BaseException | None] = (None, None)
    if leads():
        try:
            outcome = make(), None
        except Exception as e:
            outcome = None, e
    value, error = pickle.loads(_broadcast(pickle.dumps(outcome) if leads() else b''))
    if error is not None:
        raise error
    return value


def share_here(make: Callable[[], T]) -> T | None:
    """`make`'s value in process 0, None in the others; an exception is raised in all of them."""
    values: list[T] = []
    share(lambda: values.append(make()))
    return values[0] if values else None


def _broadcast(data: bytes) -> bytes:
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
    buffer = np.zeros(size, np.uint8)
    buffer[: len(data)] = np.frombuffer(data, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(buffer)).tobytes()


def gather(data: bytes) -> list[bytes]:
    """Every process's bytes, in all of them, in order."""
    if jax.process_count() == 1:
        return [data]
    sizes = np.asarray(multihost_utils.process_allgather(np.int32(len(data)))).reshape(-1)
    buffer = np.zeros(max(*sizes, 1), np.uint8)
    buffer[: len(data)] = np.frombuffer(data, np.uint8)
    rows = np.asarray(multihost_utils.process_allgather(buffer)).reshape(len(sizes), -1)
    return [row[:size].tobytes() for row, size in zip(rows, sizes, strict=True)]


def anywhere(happened: bool) -> bool:
    """Whether it happened in any process."""
    return any(part == b'1' for part in gather(b'1' if happened else b'0'))
