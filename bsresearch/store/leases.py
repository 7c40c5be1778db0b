"""Who trains a group: one live process. A lease names it and beats; a dead or silent owner's lease is taken over."""

import json
import os
import pathlib
import socket
import threading
import time
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


def _alive(owner: dict[str, Any]) -> bool:
    """Same host: the very process must run. Elsewhere: its heartbeat must be fresh."""
    if owner['host'] != socket.gethostname():
        return time.time() - owner['beat'] < STALE_SECONDS
    try:
        process = psutil.Process(owner['pid'])
        return abs(process.create_time() - owner['process_start']) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Lease:
    """Context manager: holds `<directory>/lease.json` and beats until left.

    Raises:
      Owned: on entering, if another live process holds it.
    """

    def __init__(self, directory: pathlib.Path):
        self.path = directory / 'lease.json'
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, daemon=True)

    def __enter__(self) -> 'Lease':
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            try:
                # Linking a complete file is atomic: two takers cannot both succeed, nobody sees half a lease.
                self._write(own := self.path.with_name(f'lease.{os.getpid()}.tmp'))
                try:
                    os.link(own, self.path)
                finally:
                    own.unlink()
                break
            except FileExistsError:
                self._clear_if_dead()
        else:
            raise Owned(f'{self.path.parent} was taken by another process just now; wait for it')
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.path.unlink(missing_ok=True)

    def _write(self, path: pathlib.Path) -> None:
        path.write_text(json.dumps(_me() | {'beat': time.time()}))

    def _clear_if_dead(self) -> None:
        try:
            owner = json.loads(self.path.read_text())
        except FileNotFoundError:
            return
        if _alive(owner):
            raise Owned(
                f'{self.path.parent} is being trained by process {owner["pid"]} on {owner["host"]}; '
                'wait for it, or stop it and give the command again'
            )
        # Renaming first: of two processes that find it dead, one moves it, the other finds it gone.
        grave = self.path.with_name(f'lease.dead.{os.getpid()}')
        try:
            os.rename(self.path, grave)
            grave.unlink()
        except FileNotFoundError:
            pass

    def _keep_beating(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            temporary = self.path.with_name(f'lease.{os.getpid()}.tmp')
            try:
                self._write(temporary)
                os.replace(temporary, self.path)
            except OSError:
                # A full disk must not kill the run from here; the loop's own writes will say so.
                continue
