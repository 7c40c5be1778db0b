"""One job: takes a group or a probe to its end, unless a live process is at it; says in the workdir what came of it."""

import contextlib
import os
import pathlib
import signal
import sys
import time
import traceback
from typing import Annotated, Any, NamedTuple

from bsresearch.core import interrupts, program
from bsresearch.core.interrupts import SIGNALLED, Stopped
from bsresearch.launching import compilation_cache, walk
from bsresearch.launching.console import Console
from bsresearch.launching.jobs import jobs
from bsresearch.store import leases, presence

FAILED, NOT_SHARED = 1, 3
# Between two notes of how far it is.
NOTE_SECONDS = 10.0


class JobConsole(Console):
    """Also notes in job.json how far the group is."""

    def __init__(self, job: jobs.GridJob):
        super().__init__()
        self._job, self._noted = job, 0.0

    def progress(self, step: int, updates_per_second: float, last: dict[str, Any]) -> None:
        """As Console's."""
        super().progress(step, updates_per_second, last)
        if time.monotonic() - self._noted > NOTE_SECONDS:
            self._noted = time.monotonic()
            with contextlib.suppress(OSError):  # a full disk is told of by the records' own writes
                self._job.note(step=step)


class Request(NamedTuple):
    """A job's flags."""

    job: Annotated[str, 'The job that this process is, <study>/<id>.'] = ''
    workdir: Annotated[str, 'Of the launch.'] = ''
    token: Annotated[str, 'What the job must find in the workdir.'] = ''


def work(_: Any, request: Request) -> int:
    """What a job's process does; its exit code. All that it prints is appended to the job's log.txt."""
    if not (request.job and request.workdir):
        return program.usage('--job=<study>/<id> and --workdir=<directory> are needed')
    workdir, name = pathlib.Path(request.workdir), request.job
    with interrupts.noted(often=True) as caught:
        try:
            jobs.check_token(workdir, request.token)
            job = jobs.find(workdir, name)
        except (jobs.NotShared, ValueError, OSError) as e:
            print(f'{program.name()}: {e}', file=sys.stderr)
            return NOT_SHARED
        compilation_cache.use()
        of_engine = os.dup(2)
        with open(job.directory / 'log.txt', 'ab') as log:
            for number in (1, 2):  # XLA's own words too
                os.dup2(log.fileno(), number)
        sys.stdout.reconfigure(line_buffering=True, encoding='utf-8')  # pyright: ignore[reportAttributeAccessIssue]
        try:
            print(f'--- {time.strftime("%Y-%m-%d %H:%M:%S")}, process {os.getpid()}: {" ".join(sys.argv)}')
            return run(job, caught)
        except OSError as e:  # not even what came of the job could be written
            os.write(of_engine, f'{program.name()}: {name}: {walk.of_system(e, workdir)}\n'.encode())
            return FAILED


def run(job: jobs.GridJob, caught: list[int]) -> int:
    """Does the job; its exit code.

    Args:
      caught: signals that came; the first one stops it after a checkpoint.
    """
    # A job that was killed is queued again within seconds, maybe on another host, where its old lease is watched until
    # it beats, and only then left alone.
    watch = leases.Watch(print, caught)
    try:
        with leases.Lease(job.directory, watch) as lease:
            return _do(job, lease, caught, watch)
    except leases.Owned as e:
        print(f'{job.name}: {e}; left alone')
        return 0
    except Stopped as e:
        print(f'{job.name}: stopped by {e}')
        return SIGNALLED + e.number
    except presence.Gone as e:
        print(f'{job.name}: {e}')
        return FAILED


def _do(job: jobs.GridJob, lease: leases.Lease, caught: list[int], watch: leases.Watch) -> int:
    """What came of it is noted before the lease is left, so that nobody begins anew what failed."""
    if jobs.state(job).name == 'done':
        return 0
    job.begin()
    try:
        job.check(watch)
        job.make(JobConsole(job), caught, lease)
    except (leases.Owned, Stopped, presence.Gone):
        raise
    except Exception as e:
        # Whatever it is, the grid goes on without this one, and --status tells.
        plain = isinstance(e, ValueError | OSError)
        error = str(e) if plain else f'{type(e).__name__}: {e}'
        job.note(state='failed', error=error, ended=time.time())
        print(f'{job.name} failed: {error}' if plain else traceback.format_exc())
        return FAILED
    if caught and jobs.state(job).name != 'done':
        reason = f'by {signal.Signals(caught[0]).name}; everything reached is saved'
        job.note(state='stopped', error=reason, ended=time.time())
        return SIGNALLED + caught[0]
    return 0
