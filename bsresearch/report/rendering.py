"""Where figures are rendered, which is most of drawing them: in this process and in another one beside it.

The other is a program of its own, which reads functions with arguments and writes results: neither are threads forked,
nor is the main module imported again. It ends with this process, however that ends.
"""

import contextlib
import gc
import importlib
import pathlib
import pickle
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
def beside() -> Iterator[Submit]:
    """Calls functions in another process, and in this one while the other is busy."""
    command = [sys.executable, '-c', PROGRAM, str(pathlib.Path(__file__).parents[2])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process, ThreadPoolExecutor(1) as thread:
        last = here(int)

        def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
            nonlocal last
            if not last.done():
                return here(function, *arguments)
            # Figures are made bytes of in this thread: another one has to do with bytes alone.
            last = thread.submit(_call, process, pickle.dumps((function, arguments)))
            return last

        try:
            yield submit
        finally:
            thread.shutdown()
            process.terminate()  # its work is done


def _call(process: subprocess.Popen[bytes], call: bytes) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(call)
    process.stdin.flush()
    error, result = pickle.load(process.stdout)
    if error:
        raise error
    return result


def collect_seldom() -> None:
    """From now on garbage is: imports and figures make many objects that stay, and looking them through is a tenth."""
    gc.set_threshold(200_000, 20, 20)


def serve() -> None:
    """The other process: until its input ends, which it does with the process that began it."""
    collect_seldom()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # whatever is printed is no answer
    importlib.import_module('bsresearch.report.plotting')
    with contextlib.suppress(EOFError):
        while True:
            function, arguments = pickle.load(sys.stdin.buffer)
            done = here(function, *arguments)
            pickle.dump((done.exception(), None if done.exception() else done.result()), answers)
            answers.flush()
