"""Who trains a group: one live process. A lease names it and beats; a dead or silent owner's lease is taken over."""

import fcntl
import json
import os
import pathlib
import socket
import threading
import time
import uuid
from types import TracebackType
from typing import Any

import psutil

BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0


class Owned(RuntimeError):
    """Another live process owns the group."""


def _me() -> dict[str, Any]:
    process = psutil.Process()
    return {'host': socket.gethostname(), 'pid': process.pid, 'process_start': process.create_time()}


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    """The owner a lease names; None without a lease, or for one that a power cut emptied."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _alive(owner: dict[str, Any]) -> bool:
    """Same host: the very process must run. Elsewhere: its heartbeat must be fresh."""
    if owner['host'] != socket.gethostname():
        return time.time() - owner['beat'] < STALE_SECONDS
    try:
        process = psutil.Process(owner['pid'])
        return abs(process.create_time() - owner['process_start']) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def holder(directory: pathlib.Path) -> tuple[dict[str, Any], bool] | None:
    """Whom the directory's lease names ({host, pid, process_start, beat}), and whether it lives; None without one."""
    owner = _read(directory / 'lease.json')
    return None if owner is None else (owner, _alive(owner))


def check_free(directory: pathlib.Path) -> None:
    """Raises Owned if a live process holds the directory's lease; takes nothing."""
    owner = _read(directory / 'lease.json')
    if owner is not None and _alive(owner):
        raise Owned(
            f'{directory} is being trained by process {owner["pid"]} on {owner["host"]}; '
            'wait for it, or stop it and give the command again'
        )


class Lease:
    """Context manager: holds `<directory>/lease.json` and beats until left.

    Raises:
      Owned: on entering, if another live process holds it.
    """

    def __init__(self, directory: pathlib.Path):
        self.path = directory / 'lease.json'
        # Its own name on a shared disk, where two hosts may have the same pid.
        self._own = self.path.with_name(f'lease.{uuid.uuid4().hex}.tmp')
        # Set when another host took over: the holder must stop writing.
        self.lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, daemon=True)

    def __enter__(self) -> 'Lease':
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # One taker at a time: between finding a lease dead and removing it, nobody may put a live one in its place.
        with open(self.path.with_name('lease.lock'), 'w') as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            self._clear_if_dead()
            try:
                # Linking a complete file is atomic: nobody sees half a lease, and none is overwritten.
                self._write(self._own)
                os.link(self._own, self.path)
            except FileExistsError:
                raise Owned(f'{self.path.parent} was taken by another process just now; wait for it') from None
            finally:
                self._own.unlink(missing_ok=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._mine():
            self.path.unlink(missing_ok=True)

    def _mine(self) -> bool:
        """False once another host took the lease over, this one having been silent too long."""
        owner = _read(self.path)
        me = _me()
        return owner is not None and (owner['host'], owner['pid']) == (me['host'], me['pid'])

    def _write(self, path: pathlib.Path) -> None:
        path.write_text(json.dumps(_me() | {'beat': time.time()}))

    def _clear_if_dead(self) -> None:
        check_free(self.path.parent)
        self.path.unlink(missing_ok=True)

    def _keep_beating(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                with open(self.path.with_name('lease.lock'), 'w') as gate:
                    fcntl.flock(gate, fcntl.LOCK_EX)
                    if not self._mine():
                        self.lost = True
                        return
                    self._write(self._own)
                    os.replace(self._own, self.path)
            except OSError:
                # A full disk must not kill the run from here; the loop's own writes will say so.
                continue
