"""Where figures are rendered, which is two thirds of drawing them: in this process, or in others beside it.

The others are programs of their own, which read functions with arguments and write results: neither are threads forked,
nor is the main module imported again. They end with this process, however it ends.
"""

import contextlib
import importlib
import pathlib
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

Submit = Callable[..., Future[Any]]  # of a function and its arguments
PROGRAM = 'import sys; sys.path.insert(0, sys.argv[1]); from bsresearch.report import rendering; rendering.serve()'


def here(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Calls it at once, in this process."""
    done: Future[Any] = Future()
    try:
        done.set_result(function(*arguments))
    except Exception as e:
        done.set_exception(e)
    return done


@contextlib.contextmanager
def processes(count: int) -> Iterator[Submit]:
    """Calls functions in so many other processes; of fewer than two in this one."""
    if count < 2:
        yield here
        return
    command = [sys.executable, '-c', PROGRAM, str(pathlib.Path(__file__).parents[2])]
    idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
    with contextlib.ExitStack() as stack:
        for _ in range(count):  # they import while this process reads the records
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            idle.put(stack.enter_context(process))
        threads = stack.enter_context(ThreadPoolExecutor(count))
        yield lambda function, *arguments: threads.submit(_call, idle, function, arguments)


def _call(idle: queue.SimpleQueue, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    process = idle.get()
    try:
        pickle.dump((function, arguments), process.stdin)
        process.stdin.flush()
        error, result = pickle.load(process.stdout)
    finally:
        idle.put(process)
    if error:
        raise error
    return result


def serve() -> None:
    """The other process: until its input ends, which it does with the process that began it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    importlib.import_module('bsresearch.report.plotting')
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    with contextlib.suppress(EOFError):
        while True:
            function, arguments = pickle.load(sys.stdin.buffer)
            done = here(function, *arguments)
            pickle.dump((done.exception(), None if done.exception() else done.result()), answers)
            answers.flush()
