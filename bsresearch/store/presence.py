"""Directories that must stay where they are while a process works in them, and what dead writers left there."""

import contextlib
import os
import pathlib
from collections.abc import Sequence
from types import TracebackType


class Gone(OSError):
    """A directory was moved, renamed or removed while this process worked there."""

    def __init__(self, directory: str):
        super().__init__(directory)
        self.directory = directory

    def __str__(self) -> str:
        return (
            f'{self.directory} is gone: it was moved, renamed or removed while this process worked there; put it back, '
            'or give the command with the place where it is now'
        )


class Stay:
    """Knows directories by more than their names, until left. Those that are not there yet are passed by.

    As a context manager: whatever fails inside because one of them is gone is told as Gone, and they are checked at the
    end. A directory kept open keeps its inode, so that one made anew at the same place is told from it.
    """

    def __init__(self, *directories: pathlib.Path):
        self._open: dict[pathlib.Path, int] = {}
        self.add(*directories)

    def add(self, *directories: pathlib.Path) -> None:
        """Knows these too, from now on."""
        for directory in directories:
            if directory not in self._open:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    self._open[directory] = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)

    def knows(self, directory: pathlib.Path) -> bool:
        """Whether it was there when it was added."""
        return directory in self._open

    def check(self) -> None:
        """Raises Gone once one of them is not where it was."""
        for directory, number in self._open.items():
            try:
                there = os.path.samestat(os.stat(directory), os.fstat(number))
            except (FileNotFoundError, NotADirectoryError):
                there = False
            if not there:
                raise Gone(str(directory))

    def __enter__(self) -> 'Stay':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None or (isinstance(error, Exception) and not isinstance(error, Gone)):
                self.check()
        except Gone as gone:
            raise gone from error
        finally:
            for number in self._open.values():
                os.close(number)
            self._open = {}


# Seconds after which an unfinished file of a directory that others write into is taken for a dead writer's.
DEAD_SECONDS = 60.0


def clear(directories: Sequence[pathlib.Path], shared: pathlib.Path) -> None:
    """Removes files that dead writers left unfinished. To be called by the holder of their lease.

    Args:
      directories: nobody but the holder writes into them. shared: of the lease; others write there too, so a file goes
        only if it is older than the lease by DEAD_SECONDS, by the clock of the disk.
    """
    for directory in directories:
        for path in (*directory.glob('*.tmp'), *directory.glob('.*.tmp')):
            if path.is_file():
                path.unlink(missing_ok=True)
    for path in shared.glob('*.tmp'):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < (shared / 'lease.json').stat().st_mtime - DEAD_SECONDS:
                path.unlink()
