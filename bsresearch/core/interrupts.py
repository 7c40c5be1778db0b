"""Signals that ask for an end: one line and exit code 128 + n, from a program's first line to its last.

Python's KeyboardInterrupt is not used: raised in a compiler's callback or a finalizer it is lost, anywhere else it is a
traceback. Outside of `noted` a signal ends the process at once, which is as good as a kill for what lies in a workdir.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

# SIGUSR2 is how a scheduler tells that a job's time is up.
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
# Exit code of a program that a signal stopped: this and the signal's number, as shells have it.
SIGNALLED = 128


class Stopped(Exception):
    """A signal asked for an end; everything reached is saved."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return signal.Signals(self.number).name


def line(number: int) -> str:
    """What is said of it."""
    return f'stopped by {signal.Signals(number).name}; the same command goes on from here'


# When `install` was called, by time.monotonic(): what a command costs begins there. None: by no command.
began: float | None = None


def install() -> None:
    """From now on the signals end the process at once. Called before the imports that take seconds."""
    global began
    began = time.monotonic()
    for number in NUMBERS:
        signal.signal(number, _end)


def renew() -> None:
    """After a library put handlers of its own below Python's."""
    for number in NUMBERS:
        signal.signal(number, signal.getsignal(number))


def leave(code: int) -> NoReturn:
    """Ends a program whose work is done: at once, so that no signal and no library's thread has the last word.

    Python restores the signals' defaults before it ends, and what Orbax still has under way then prints tracebacks.
    """
    _flush()
    os._exit(code)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a signal may have come in the middle of a write
            stream.flush()


def _end(number: int, _: Any) -> None:
    _flush()
    with contextlib.suppress(OSError):
        os.write(1, f'{line(number)}\n'.encode())
    os._exit(SIGNALLED + number)


_noted: list[int] | None = None


@contextlib.contextmanager
def noted(*, often: bool = False) -> Iterator[list[int]]:
    """The signals, once: noted in the list, for the loop to leave cleanly. A second one acts as usual.

    What was noted when this is left is the caller's to answer: a signal may come after its last look. Within another
    `noted` the list is the outer one's.

    Args:
      often: all that come are noted. A scheduler sends several to every process of a job, some of them twice; none may
        kill while a checkpoint is saved.
    """
    global _noted
    if _noted is not None:
        yield _noted
        return
    caught: list[int] = []
    before: dict[int, Any] = {number: signal.getsignal(number) for number in NUMBERS}

    def note(number: int, _: Any) -> None:
        caught.append(number)
        if not often:
            signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    _noted = caught
    try:
        yield caught
    finally:
        _noted = None
        for number, handler in before.items():
            signal.signal(number, handler)
