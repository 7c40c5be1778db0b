"""One job: takes a group or a probe to its end, unless a live process is at it; says in the workdir what came of it."""

import contextlib
import pathlib
import signal
import time
import traceback
from collections.abc import Iterator
from typing import Any

from bsresearch.core.interrupts import Stopped
from bsresearch.launching import fitting, probing, runner
from bsresearch.launching.console import Console
from bsresearch.launching.groups import FINISHED, ReplicaGroup
from bsresearch.launching.jobs import jobs
from bsresearch.launching.jobs.engines import SIGNALLED
from bsresearch.planning.probe import Probe
from bsresearch.store import leases, paths, presence
from bsresearch.train.saving import branching, restore

FAILED, NOT_SHARED = 1, 3
# Between two notes of how far it is.
NOTE_SECONDS = 10.0


class JobConsole(Console):
    """Also notes in job.json how far the group is."""

    def __init__(self, directory: pathlib.Path):
        super().__init__()
        self._directory, self._noted = directory, 0.0

    def progress(self, step: int, updates_per_second: float, last: dict[str, Any]) -> None:
        """As Console's."""
        super().progress(step, updates_per_second, last)
        if time.monotonic() - self._noted > NOTE_SECONDS:
            self._noted = time.monotonic()
            with contextlib.suppress(OSError):  # a full disk is told of by the records' own writes
                jobs.note(self._directory, {'step': step})


@contextlib.contextmanager
def asked_to_stop() -> Iterator[list[int]]:
    """SIGTERM, SIGINT and SIGUSR2, however many come: noted in the list, for the loop to leave cleanly.

    A scheduler sends several, to every process of a job, some of them twice; none may kill while a checkpoint is saved.
    """
    caught: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
    before = {n: signal.signal(n, lambda number, _: caught.append(number)) for n in numbers}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(item: jobs.Item, caught: list[int]) -> int:
    """Does the job; its exit code.

    Args:
      caught: signals that came; the first one stops it after a checkpoint.
    """
    # A job that was killed is queued again within seconds, maybe on another host, where its old lease is watched until
    # it beats, and only then left alone.
    watch = leases.Watch(print, caught)
    # A probe's lease is taken where it is made.
    held = leases.Lease(item.directory, watch) if isinstance(item.what, ReplicaGroup) else contextlib.nullcontext()
    try:
        watch.check_free(item.directory)
        with held as lease:
            return _do(item, lease, caught, watch)
    except leases.Owned as e:
        print(f'{item.name}: {e}; left alone')
        return 0
    except Stopped as e:
        print(f'{item.name}: stopped by {e}')
        return SIGNALLED + e.number
    except presence.Gone as e:
        print(f'{item.name}: {e}')
        return FAILED


def _do(item: jobs.Item, lease: leases.Lease | None, caught: list[int], watch: leases.Watch) -> int:
    """What came of it is noted before the lease is left, so that nobody begins anew what failed."""
    if jobs.state(item).name == 'done':
        return 0
    jobs.begin(item.directory)
    try:
        _make(item, lease, caught, watch)
    except (leases.Owned, Stopped, presence.Gone):
        raise
    except Exception as e:
        # Whatever it is, the grid goes on without this one, and --status tells.
        plain = isinstance(e, ValueError | OSError)
        said = str(e) if plain else f'{type(e).__name__}: {e}'
        jobs.note(item.directory, {'state': 'failed', 'error': said, 'ended': time.time()})
        print(f'{item.name} failed: {said}' if plain else traceback.format_exc())
        return FAILED
    if caught and jobs.state(item).name != 'done':
        words = f'by {signal.Signals(caught[0]).name}; everything reached is saved'
        jobs.note(item.directory, {'state': 'stopped', 'error': words, 'ended': time.time()})
        return SIGNALLED + caught[0]
    return 0


def _make(item: jobs.Item, lease: leases.Lease | None, caught: list[int], watch: leases.Watch) -> None:
    paths.check_schema(item.workdir)
    console = JobConsole(item.directory)
    if isinstance(item.what, Probe):
        probing.launch(item.workdir, [item.what], console, caught)
        return
    assert lease is not None, item.name
    check(item, watch)
    # Its group was formed where this memory was not known.
    fitting.check(item.what.plans, item.what.strategy)
    runner.train(item.what, console, caught, lease)


def check(item: jobs.Item, watch: leases.Watch) -> None:
    """Looks for what its unfinished runs, or the probe, begin with.

    Raises:
      ValueError: it is not there yet. restore.Diverged: it never will be.
    """
    if not isinstance(item.what, ReplicaGroup):
        for plan, step in item.what.points:
            restore.check(item.workdir, plan, step)
        return
    for plan in item.what.plans:
        if item.what.meta(plan).get('status') not in FINISHED:
            branching.check(item.workdir, plan, watch)
