"""Loggers of runs in training: a process of their own reads the records as they come. It cannot hurt the training."""

import contextlib
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from bsresearch.core import program

# What the end of a group waits for its loggers; then they go on by themselves, and the next group waits less.
GRACE_SECONDS, NEXT_SECONDS = 60.0, 5.0
_left: list[subprocess.Popen[str]] = []  # those that went on, so that nothing asks after them


@contextlib.contextmanager
def following(directories: Sequence[pathlib.Path], names: Sequence[str], say: Callable[[str], None]) -> Iterator[None]:
    """Loggers write what is recorded of runs while the block lasts, and what is left at its end.

    Args:
      directories: of runs of one workdir. names: of the loggers; without any nothing is begun.
      say: told one line for each logger that fails.
    """
    workdir = directories[0].parent.parent
    process = _begun(workdir, directories, names, say) if names else None
    if process is None:
        yield
        return
    listening = threading.Thread(target=_listen, args=(process, say), daemon=True)
    listening.start()
    try:
        yield
    finally:
        _end(process, listening, workdir, names, say)


def _begun(
    workdir: pathlib.Path, directories: Sequence[pathlib.Path], names: Sequence[str], say: Callable[[str], None]
) -> subprocess.Popen[str] | None:
    words = [sys.executable, '-m', 'bsresearch.loggers.follow', str(workdir), ','.join(names), *map(str, directories)]
    places = [str(program.PACKAGE.parent), os.environ.get('PYTHONPATH', '')]
    try:
        return subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            encoding='utf-8', errors='replace', env=os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, places))},
            start_new_session=True,  # a Ctrl-C is for the training, whose last rows are still to come
        )  # fmt: skip
    except OSError as error:
        say(f'  loggers {", ".join(names)} could not be begun ({error}); {later(workdir, names)}')
        return None


def _listen(process: subprocess.Popen[str], say: Callable[[str], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        say(f'  {line.rstrip()}')


def _end(
    process: subprocess.Popen[str],
    listening: threading.Thread,
    workdir: pathlib.Path,
    names: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """The end of its input tells the process that no more rows will come."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        code = process.wait(NEXT_SECONDS if _left else GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _left.append(process)
        say(
            f'  loggers {", ".join(names)} are still writing, and go on by themselves (process {process.pid}); if one '
            f'fails, {workdir / "loggers" / "log.txt"} ends with the reason'
        )
        return
    listening.join()
    process.stdout.close()
    if code:
        how = f'killed by signal {-code}' if code < 0 else f'exit code {code}'
        say(f'  loggers {", ".join(names)} ended early ({how}); {later(workdir, names)}')


def later(workdir: pathlib.Path, names: Sequence[str]) -> str:
    """What becomes of the training and the records of loggers that failed."""
    # What they have written is there: an export leaves such runs as they are without the word.
    return f'training goes on; {command(workdir, names, " --overwrite")} writes all records afterwards'


def command(workdir: pathlib.Path, names: Sequence[str], more: str = '') -> str:
    """What writes records after the fact."""
    return f'`bsresearch export --to={",".join(names)} --workdir={workdir}{more}`'
