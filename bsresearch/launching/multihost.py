"""Several processes on one or more hosts that train together: how they find each other, and what must agree.

Started by hand (`--coordinator=host:port --processes=N --process=i`, one command for each), by Slurm's `srun`, by Open
MPI or on a TPU pod, whose environment JAX reads itself. On CPUs they speak through gloo.
"""

import ctypes
import hashlib
import json
import os
import pathlib
import signal
import socket
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax

from bsresearch.core import interrupts, program
from bsresearch.launching import environment
from bsresearch.planning.plan import Plan, canonical
from bsresearch.planning.probe import Probe
from bsresearch.train.devices import processes

T = TypeVar('T')
# A process that is silent for so long is given up by the others.
HEARTBEAT_SECONDS = 30
# At the end, for the others to come to theirs.
FAREWELL_SECONDS = 10
# For a file that one host wrote to be seen by another: what a network disk may keep to itself.
SHARED_SECONDS = 10.0
LEFT = (
    ': another process left, or did not answer in time (its own output tells why); this one ends too. What was '
    'saved is valid: the same command, given to all processes, goes on from there\n'
)


def run(body: Callable[[], int], coordinator: str | None, count: int | None, index: int | None, seconds: int) -> int:
    """`body`'s exit code, as one of several processes.

    Args:
      coordinator: host:port of process 0. count: how many processes. index: which this is. All None: as the cluster's
        environment says. seconds: to wait for the others.

    Raises:
      ValueError: some of the three are given and some not, no cluster was found, or the coordinator does not answer.
    """
    given = {'--coordinator': coordinator, '--processes': count, '--process': index}
    missing = [name for name, value in given.items() if value is None]
    if missing and len(missing) < len(given):
        raise ValueError(f'{", ".join(missing)} missing: give all of {", ".join(given)}, or none of them on a cluster')
    if coordinator is not None and count is not None and index is not None:
        _check_address(coordinator, count, index)
        if index:
            _await(coordinator, seconds)
    _initialize(coordinator, count, index, seconds)
    try:
        code = body()
        jax.distributed.shutdown()
    except Exception as e:
        # No farewell: the others are gone, or wait elsewhere.
        if not processes.left(e):
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        if processes.left(e):
            os.write(2, f'{program.name()}{LEFT}'.encode())
        os._exit(1)
    return code


def _initialize(coordinator: str | None, count: int | None, index: int | None, seconds: int) -> None:
    jax.config.update('jax_cpu_collectives_implementation', 'gloo')
    awaited, where = count or 'awaited', coordinator or 'their coordinator'
    _leave_on_abort(
        f'{program.name()}: --multihost: not all of the {awaited} processes came to {where} within {seconds} s; start '
        'all of them, or wait longer with --coordinator_seconds\n'
    )
    try:
        jax.distributed.initialize(
            coordinator, count, index, initialization_timeout=seconds, heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=FAREWELL_SECONDS,
        )  # fmt: skip
    except (ValueError, RuntimeError, KeyError) as e:
        where = f'at --coordinator={coordinator}' if coordinator else "by this environment (Slurm's, MPI's, TPU's)"
        raise ValueError(
            f'--multihost: the processes did not come together {where} within {seconds} s: {str(e).splitlines()[0]}; '
            'start all of them, or give --coordinator=host:port --processes=N --process=i'
        ) from e
    interrupts.renew()  # JAX's own SIGTERM handler, which only takes note, is in place now
    _leave_on_abort(f'{program.name()}{LEFT}')


def _check_address(coordinator: str, count: int, index: int) -> None:
    host, _, port = coordinator.rpartition(':')
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError(f'--coordinator={coordinator}: host:port of process 0 is needed')
    if not 0 <= index < count:
        raise ValueError(f'--process={index} with --processes={count}: must lie in [0, {count - 1}]')


def _await(coordinator: str, seconds: int) -> None:
    """Raises ValueError unless something listens there in time; JAX itself would abort without a word of where."""
    host, _, port = coordinator.rpartition(':')
    end = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection((host.strip('[]'), int(port)), timeout=5):
                return
        except OSError as e:
            if time.monotonic() > end:
                raise ValueError(
                    f'the coordinator {coordinator} did not answer within {seconds} s ({e}); is process 0 running '
                    'there, and the port open? --coordinator_seconds waits longer'
                ) from e
            time.sleep(0.5)


def _leave_on_abort(message: str) -> None:
    """When a peer dies, JAX's runtime aborts this process from C++: then say so, and leave without a core dump."""

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def leave(_: int) -> None:
        os.write(2, message.encode())
        os._exit(1)

    global _handler
    _handler = leave  # the C library holds no reference
    ctypes.CDLL(None).signal(signal.SIGABRT, leave)


_handler: Any = None


def agreed(make: Callable[[], T]) -> T:
    """Each process's own value of `make`; where it fails in any of them, all raise ValueError and say why."""
    try:
        value, error = make(), ''
    except (ValueError, OSError) as e:
        value, error = None, str(e) or type(e).__name__
    # Names of files may hold bytes that the locale does not know.
    coded = processes.gather(error.encode(errors='surrogateescape'))
    errors = [part.decode(errors='surrogateescape') for part in coded]
    if error:
        raise ValueError(error)
    for index, text in enumerate(errors):
        if text:
            raise ValueError(f'process {index} was given something else, and refused it: {text}')
    return value  # pyright: ignore[reportReturnType]


def check_alike(plans: Sequence[Plan | Probe]) -> None:
    """Raises ValueError, in all processes, unless they were given the same config and run the same versions."""
    stated = [p.to_json() if isinstance(p, Plan) else p.identity() for p in plans]
    config = hashlib.sha256(canonical(stated).encode()).hexdigest()[:12]
    this_process = {'config': config} | environment.package_versions()
    first, *others = [json.loads(part) for part in processes.gather(json.dumps(this_process).encode())]
    for index, other in enumerate(others, 1):
        differ = [
            f'{name} {value} in process 0, {other[name]} in process {index}'
            for name, value in first.items()
            if other[name] != value
        ]
        if differ:
            raise ValueError(
                f'the processes were not started alike: {"; ".join(differ)}; give all the same --config and overrides, '
                'and the same environment'
            )


def check_shared(workdir: pathlib.Path) -> None:
    """Raises ValueError, in all processes, unless all see the same workdir."""
    if jax.process_count() == 1:
        return

    def leave_mark() -> str:
        workdir.mkdir(parents=True, exist_ok=True)
        name = f'.shared-{uuid.uuid4().hex}'
        (workdir / name).touch()
        return name

    mark = workdir / processes.share(leave_mark)
    end = time.monotonic() + SHARED_SECONDS
    while not mark.exists() and time.monotonic() < end:
        time.sleep(0.2)
    seen = json.dumps([socket.gethostname(), mark.exists()]).encode()
    blind = [host for host, sees in map(json.loads, processes.gather(seen)) if not sees]
    processes.share_here(lambda: mark.unlink())
    if blind:
        # Of what was made to find out, nothing stays.
        processes.share_here(lambda: workdir.rmdir() if not any(workdir.iterdir()) else None)
        raise ValueError(
            f'--workdir={workdir} is not shared: {", ".join(sorted(set(blind)))} cannot see what process 0 writes '
            'there; name a directory on a disk that all hosts mount'
        )
