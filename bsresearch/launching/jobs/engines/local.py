"""Jobs as processes on this machine, one after another or `at_once` together.

Each gets its share of an accelerator's memory, unless XLA_PYTHON_CLIENT_MEM_FRACTION says otherwise.
"""

import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from bsresearch.launching.jobs.engines import Ended, Job

SAME_MACHINE = True
# Between two looks at the processes.
LOOK_SECONDS = 0.2
# Of an accelerator's memory, what all jobs together may take.
MEMORY_SHARE = 0.9


def check(at_once: int | None) -> None:
    """Nothing but processes is needed.

    Raises:
      ValueError: fewer than one at once.
    """
    if at_once is not None and at_once < 1:
        raise ValueError(f'--processes={at_once}: at least 1 is needed')


@functools.cache
def platform() -> str:
    """Of the default device. Asked in another process: the launcher must not hold what its jobs need."""
    if (named := os.environ.get('JAX_PLATFORMS', '')) in ('cpu', 'tpu'):
        return named
    code = 'import jax; print(jax.default_backend())'
    return subprocess.run(
        [sys.executable, '-c', code], capture_output=True, encoding='utf-8', check=True
    ).stdout.split()[-1]


def run(jobs: Sequence[Job], at_once: int | None, should_stop: Callable[[], bool]) -> Iterator[Ended]:
    """As the contract has it; None is one."""
    count, waiting = at_once or 1, list(jobs)
    environment = dict(os.environ)
    if count > 1:
        environment.setdefault('XLA_PYTHON_CLIENT_MEM_FRACTION', f'{MEMORY_SHARE / count:.3f}')
    running: dict[Job, subprocess.Popen[bytes]] = {}
    try:
        while (waiting or running) and not should_stop():
            while waiting and len(running) < count:
                job = waiting.pop(0)
                # Apart from the terminal: Ctrl-C reaches the launcher alone, which then asks its jobs to stop.
                running[job] = subprocess.Popen(job.command, env=environment, start_new_session=True)
            time.sleep(LOOK_SECONDS)
            for job, process in list(running.items()):
                if process.poll() is not None:
                    del running[job]
                    yield Ended(job, process.returncode, '')
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
