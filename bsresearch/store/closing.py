"""Closing Orbax's manager whole, also where a save failed: nothing of it writes on when `close` returns."""

import threading

import orbax.checkpoint as ocp

# How often the manager is asked: each of its parts may fail once, and ends the call.
ATTEMPTS = 4


def close(manager: ocp.CheckpointManager) -> None:
    """Waits for its saves and frees its threads.

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
        if type(thread).__module__.startswith('orbax.'):
            threading.Thread.join(thread)  # their own `join` raises what they failed with
    if failures:
        raise failures[0]
