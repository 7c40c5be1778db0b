"""Orbax's manager as it is used here: alone, closed whole, and with one error, raised once, for a save that fails.

Its threads and TensorStore's report each failure again: as logs with tracebacks, as exceptions of threads that nobody
joins, of tasks that nobody awaits, and of callbacks that come to an event loop when it is closed.
"""

import contextlib
import functools
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator

import jax
import orbax.checkpoint as ocp
from absl import logging as absl_logging

# How often the manager is asked to close: each of its parts may fail once, and ends the call.
ATTEMPTS = 4
# The system's error within the kilobyte that TensorStore tells of it.
SYSTEM_ERROR = re.compile(r"os_error_code='(\d+)'")
# What a callback from C++ ends in that comes too late.
CLOSED = 'Event loop is closed'


@functools.cache  # once a process
def hush() -> None:
    """From here on only what is raised is heard; the errors of all others are reported as before."""
    absl_logging.set_verbosity(absl_logging.FATAL)
    logging.getLogger('asyncio').setLevel(logging.CRITICAL)
    of_callbacks, of_threads = sys.unraisablehook, threading.excepthook

    def unraisable(args: 'sys.UnraisableHookArgs') -> None:
        if str(args.exc_value) != CLOSED:
            of_callbacks(args)

    def uncaught(args: threading.ExceptHookArgs) -> None:
        if not _of_orbax(args.thread):
            of_threads(args)

    sys.unraisablehook, threading.excepthook = unraisable, uncaught


def _of_orbax(thread: threading.Thread | None) -> bool:
    return type(thread).__module__.startswith('orbax.')


def alone() -> ocp.options.MultiprocessingOptions:
    """Where several processes train, one of them reads and writes, and waits for none."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    process = jax.process_index()
    return ocp.options.MultiprocessingOptions(process, {process}, barrier_sync_key_prefix=f'{process}')


@contextlib.contextmanager
def plainly(place: os.PathLike[str]) -> Iterator[None]:
    """An error of the system that TensorStore tells of, as the OSError that it is; any other as it is raised."""
    try:
        yield
    except Exception as e:
        code = SYSTEM_ERROR.search(str(e))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), os.fspath(place)) from e


def close(manager: ocp.CheckpointManager) -> None:
    """Waits for its saves and frees its threads: nothing of it writes on when this returns.

    Raises:
      Exception: the first that a save or a part of the manager failed with.
    """
    failures: list[Exception] = []
    for _ in range(ATTEMPTS):
        try:
            manager.close()
            break
        except Exception as e:
            failures.append(e)
    # The first failure of a save is told at once, while the threads of its other items still write.
    for thread in threading.enumerate():
        if _of_orbax(thread):
            threading.Thread.join(thread)  # their own `join` raises what they failed with
    if failures:
        raise failures[0]
