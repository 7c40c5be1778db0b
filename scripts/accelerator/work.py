"""What a part of the measurement is given, and the process that makes it: rows come one by one, the time is bounded.

A part is a module with `rows(work)`, which gives rows: column → number, text, flag, or (median, least, greatest) of
ratios. A row with `skipped` says why something was not measured. A process prints its rows as it makes them, so that
what was done is known whatever becomes of it.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

Row = dict[str, Any]
Case = TypeVar('Case')
MARK = 'row '  # begins a line that is one
TOLD = 20  # last lines of a process that failed


class Work(NamedTuple):
    """What a process makes.

    part: a module of this folder. end: when its time is over, as time.time has it.
    out: where files may be left. folder: of all processes of a part, removed with it.
    step: which of the part's processes; '': the one that starts the others. cases: what a step makes.
    families, batch_sizes, precisions, replicas: what is looked at. rounds, seconds: how many turns, and how long ones.
    """

    part: str
    end: float
    out: str
    folder: str = ''
    step: str = ''
    cases: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = ()
    precisions: tuple[str, ...] = ()
    replicas: tuple[int, ...] = ()
    rounds: int = 5
    seconds: float = 0.25
    toy: bool = False

    @property
    def left(self) -> float:
        """Seconds until its time is over."""
        return self.end - time.time()

    def to_json(self) -> str:
        """The inverse of `of_json`."""
        return json.dumps(self._asdict())

    @classmethod
    def of_json(cls, text: str) -> 'Work':
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        tuples: dict[str, Any] = {k: tuple(v) for k, v in fields.items() if isinstance(v, list)}
        return cls(**(fields | tuples))

    def in_time(self, cases: Iterable[Case], measure: Callable[[Case], Iterable[Row]]) -> Iterator[Row]:
        """The rows of each case while another as long as the longest so far fits; then one that tells what is left out.

        What one case cannot do on this device is a row's `skipped`, and ends no other.
        """
        longest, waiting = 0.0, list(cases)
        while waiting and self.left > longest:
            case, start = waiting.pop(0), time.time()
            try:
                yield from measure(case)
            except Exception as e:  # no memory, no such operation: whatever the device has not got
                yield {'case': str(case), 'skipped': reason(e)}
            longest = max(longest, time.time() - start)
        if waiting:
            yield {'case': '; '.join(map(str, waiting)), 'skipped': f'no time left for {len(waiting)}'}


def reason(error: Exception) -> str:
    """An error in one line."""
    first = next((line for line in str(error).splitlines() if line.strip()), '')
    return f'{type(error).__name__}: {first[:300]}'


def ended(code: int, said: str) -> str:
    """How a process failed, in one line: its exit code, and what it said last."""
    lines = [line for line in said.splitlines() if line.strip()]
    return f'ended with exit code {code}: {lines[-1] if lines else "nothing was said"}'


def called(module: str, *flags: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """`python -m <module> <flags>`, with what it said.

    Raises:
      subprocess.TimeoutExpired: it took longer.
    """
    command = [sys.executable, '-m', module, *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=max(1.0, seconds), check=False)


def started(
    work: Work, until: float, environment: Mapping[str, str] | None = None, *, alone: bool = False
) -> Iterator[Row]:
    """The rows that a process makes of `work`, which is ended at `until`; how it failed, if it did, is the last one.

    `alone`: the process leads a group of its own, and those that it starts end with it.
    """
    pathlib.Path(work.folder).mkdir(exist_ok=True)
    command, over = [sys.executable, '-m', __package__, work.to_json()], threading.Event()
    env = {**os.environ, **(environment or {})}
    with (
        tempfile.TemporaryFile('w+', dir=work.folder, errors='replace') as said,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, env=env, start_new_session=alone
        ) as process,
    ):

        def kill() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL) if alone else process.kill()

        def stop() -> None:
            over.set()
            kill()

        timer = threading.Timer(max(0.0, until - time.time()), stop)
        timer.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith(MARK):
                    yield json.loads(line.removeprefix(MARK))
            code = process.wait()
        finally:
            timer.cancel()
            kill()
        said.seek(0)
        text = said.read()
    what = {'case': work.step} if work.step else {}
    if over.is_set():
        yield what | {'skipped': 'stopped: its time was over'}
    elif code:
        print('\n'.join(text.splitlines()[-TOLD:]), file=sys.stderr, flush=True)
        yield what | {'skipped': ended(code, text)}


def step(
    work: Work,
    name: str,
    cases: Sequence[str] = (),
    end: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Row]:
    """The rows of another process of the same part; `end`: of its time, None: that of the part."""
    given = work._replace(step=name, cases=tuple(cases), end=end or work.end)
    return started(given, given.end, environment)
