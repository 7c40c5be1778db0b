"""Who trains a group: one live process. A lease names it and beats; a dead or silent owner's lease is taken over.

Whether a process of this host lives is asked of the system. Of another host's, and of a lease that cannot be read, it
is only known that its content changes, or has not changed for a while by the reader's own clock. Clocks of two hosts
are never compared, so an owner whose clock is wrong is not robbed.
"""

import fcntl
import json
import math
import os
import pathlib
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import psutil

from bsresearch.core.interrupts import Stopped
from bsresearch.store import presence

BEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
# Between two looks at a lease that is watched.
LOOK_SECONDS = 1.0
ALIVE, DEAD, UNKNOWN = 'alive', 'dead', 'unknown'


class Owned(RuntimeError):
    """Another live process owns the group."""


class Sight(NamedTuple):
    """A lease as it looks. owner: {host, pid, process_start, beat}, None if it cannot be read.

    state: ALIVE, DEAD, or UNKNOWN while it has not changed, nor been watched for STALE_SECONDS.
    """

    owner: dict[str, Any] | None
    state: str

    @property
    def name(self) -> str:
        """Of its owner."""
        if self.owner is None:
            return 'an unknown process (its lease.json cannot be read)'
        return f'process {self.owner["pid"]} on {self.owner["host"]}'


def _ticks(pid: int) -> int | None:
    """When a process started, in the kernel's ticks since boot, which no clock moves; None on other systems."""
    try:
        return int(pathlib.Path(f'/proc/{pid}/stat').read_bytes().rpartition(b')')[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _me() -> dict[str, Any]:
    process = psutil.Process()
    started = {'process_start': process.create_time(), 'process_ticks': _ticks(process.pid)}
    return {'host': socket.gethostname(), 'pid': process.pid} | started


def _content(path: pathlib.Path) -> bytes | None:
    """Of a lease; None without one."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _owner(content: bytes) -> dict[str, Any] | None:
    """Whom a lease names; None for what is none: a file that a power cut emptied, JSON of another shape."""
    try:
        owner = json.loads(content)
    except ValueError:
        return None
    number = lambda x: isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)
    if not isinstance(owner, dict) or not isinstance(owner.get('host'), str):
        return None
    pid, fits = owner.get('pid'), number(owner.get('process_start')) and number(owner.get('beat'))
    return owner if fits and isinstance(pid, int) and not isinstance(pid, bool) and 0 < pid < 2**31 else None


def _alive(owner: dict[str, Any]) -> bool:
    """Whether the very process runs on this host."""
    try:
        process = psutil.Process(owner['pid'])
        ticks = owner.get('process_ticks')
        same_ticks = isinstance(ticks, int) and ticks == _ticks(owner['pid'])
        same = same_ticks or abs(process.create_time() - owner['process_start']) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


class Watch:
    """Looks at leases and remembers since when each has not changed.

    Args:
      say: told in one line of a lease that must be waited for. caught: signals that came; the first ends the waiting.
      clock, sleep: this reader's own, in seconds.
    """

    def __init__(
        self,
        say: Callable[[str], None] = lambda _: None,
        caught: Sequence[int] = (),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._say, self._caught, self._clock, self._sleep = say, caught, clock, sleep
        # Path → content, since when, and whether it ever was another one.
        self._seen: dict[pathlib.Path, tuple[bytes, float, bool]] = {}

    def look(self, directory: pathlib.Path) -> Sight | None:
        """The lease of a directory; None without one."""
        path, now = directory / 'lease.json', self._clock()
        content = _content(path)
        if content is None:
            self._seen.pop(path, None)
            return None
        before = self._seen.get(path)
        if before is None or before[0] != content:
            self._seen[path] = before = (content, now, before is not None)
        owner = _owner(content)
        if owner is not None and owner['host'] == socket.gethostname():
            return Sight(owner, ALIVE if _alive(owner) else DEAD)
        _, since, beats = before
        return Sight(owner, DEAD if now - since >= STALE_SECONDS else ALIVE if beats else UNKNOWN)

    def settle(self, directory: pathlib.Path) -> Sight | None:
        """As `look`, after as long as it takes to know: until it changes, or has not for STALE_SECONDS.

        Raises:
          Stopped: a signal came meanwhile.
        """
        announced = False
        while (sight := self.look(directory)) is not None and sight.state == UNKNOWN:
            if self._caught:
                raise Stopped(self._caught[0])
            if not announced:
                self._say(
                    f'waiting for {sight.name}: {directory} is taken over if it gives no sign of life for '
                    f'{STALE_SECONDS:.0f} s'
                )
            announced = True
            self._sleep(min(LOOK_SECONDS, STALE_SECONDS / 4))
        return sight

    def check_free(self, directory: pathlib.Path) -> None:
        """Raises Owned if a live process holds the directory's lease; takes nothing, and waits as `settle` does."""
        sight = self.settle(directory)
        if sight is not None and sight.state == ALIVE:
            raise Owned(
                f'{directory} is being trained by {sight.name}; wait for it, or stop it and give the command again'
            )


class Lease:
    """Context manager: holds `<directory>/lease.json` and beats until left. The directory must be there.

    Raises:
      Owned: on entering, if another live process holds it. presence.Gone: there is no such directory.
      Stopped: a signal came while another's lease was watched.
    """

    def __init__(self, directory: pathlib.Path, watch: Watch | None = None):
        self.path = directory / 'lease.json'
        self._watch = watch or Watch()
        self._token = uuid.uuid4().hex
        # Named by the token: on a shared disk two hosts may have the same pid.
        self._unlinked = self.path.with_name(f'lease.{self._token}.tmp')
        self._beats = 0
        # Set when another process took over: the holder must stop writing.
        self.lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, daemon=True)

    def __enter__(self) -> 'Lease':
        directory = self.path.parent
        self._watch.check_free(directory)
        try:
            # One taker at a time: between finding a lease dead and removing it, nobody may put a live one in its place.
            with open(self.path.with_name('lease.lock'), 'wb') as gate:
                fcntl.flock(gate, fcntl.LOCK_EX)
                self._clear_if_dead()
                try:
                    # Linking a complete file is atomic: nobody sees half a lease, and none is overwritten.
                    self._write(self._unlinked)
                    os.link(self._unlinked, self.path)
                except FileExistsError:
                    raise Owned(f'{directory} was taken by another process just now; wait for it') from None
                finally:
                    self._unlinked.unlink(missing_ok=True)
        except FileNotFoundError:
            raise presence.Gone(str(directory)) from None
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._holds():
            self.path.unlink(missing_ok=True)

    def check(self) -> None:
        """Raises Owned once another process took the lease over, this one having been silent too long."""
        if self.lost:
            sight = Watch().look(self.path.parent)
            by = f'by {sight.name}' if sight else 'and given up again'
            raise Owned(f'{self.path.parent} was taken over {by} while this process was silent')

    def _holds(self) -> bool:
        owner = _owner(_content(self.path) or b'')
        return owner is not None and owner.get('token') == self._token

    def _write(self, path: pathlib.Path) -> None:
        self._beats += 1  # a beat is another content, whatever the clock says
        path.write_bytes(json.dumps(_me() | {'beat': time.time(), 'beats': self._beats, 'token': self._token}).encode())

    def _clear_if_dead(self) -> None:
        """With the gate held: nobody waits here, for the lease was watched before."""
        sight = self._watch.look(self.path.parent)
        if sight is not None and sight.state != DEAD:
            raise Owned(f'{self.path.parent} was taken by {sight.name} just now; wait for it')
        # A taker that died in the act; whoever writes such a file holds the gate.
        for half in self.path.parent.glob('lease.*.tmp'):
            half.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _keep_beating(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                with open(self.path.with_name('lease.lock'), 'wb') as gate:
                    fcntl.flock(gate, fcntl.LOCK_EX)
                    if not self._holds():
                        self.lost = True
                        return
                    self._write(self._unlinked)
                    os.replace(self._unlinked, self.path)
            except OSError:
                # A full disk must not kill the run from here; the loop's own writes will say so. Nor a directory that
                # is gone, which whoever works in it looks for.
                continue
