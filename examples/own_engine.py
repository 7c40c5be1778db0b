"""An engine of one's own: jobs on this machine, one after another, that give way to other programs.

    bsresearch launch --config=quickstart --engine=examples/own_engine.py:run --workdir=runs/polite

How much, 0 to 19, is read from the environment: NICENESS=19 gives way to all.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from bsresearch.launching.jobs.engines import Ended, Job

SAME_MACHINE = True


def check(at_once: int | None, *, niceness: int) -> None:
    """Refuses what cannot work, before anything is written."""
    if not 0 <= niceness <= 19:
        raise ValueError(f'NICENESS={niceness}: 0 to 19')


def platform(*, niceness: int) -> str:
    """What the jobs will compute on."""
    return 'cpu'


def run(
    jobs: Sequence[Job],
    at_once: int | None,
    should_stop: Callable[[], bool],
    *,
    niceness: int = int(os.environ.get('NICENESS', '10')),
) -> Iterator[Ended]:
    """A job is a command; one that is asked to leave saves first."""
    for job in jobs:
        if should_stop():
            return
        process = subprocess.Popen(['nice', '-n', str(niceness), *job.command], start_new_session=True)
        while process.poll() is None and not should_stop():
            time.sleep(0.2)
        process.terminate()
        yield Ended(job, process.wait(), '')
