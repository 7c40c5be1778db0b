"""A group's checkpoints where several processes train it: process 0 reads and writes them, and all get what it read.

Items are whole trees on the host, so they say nothing of devices or processes, and restore onto any number of them.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from bsresearch.store.checkpoints import Checkpoints
from bsresearch.train.devices import processes

PyTree = Any


class Saved:
    """As store.Checkpoints, for all processes together: each method is called by all of them, in step."""

    def __init__(self, directory: pathlib.Path, keep: Sequence[int] = ()):
        self._store = processes.share_here(lambda: Checkpoints(directory, keep))

    def steps(self) -> list[int]:
        """As Checkpoints.steps."""
        return processes.share(lambda: self._own.steps())

    def save(self, step: int, items: dict[str, PyTree], meta: dict[str, Any]) -> None:
        """As Checkpoints.save, of process 0's items."""
        if processes.leads():
            self._own.save(step, items, meta)

    def restore(self, step: int, like: dict[str, PyTree]) -> tuple[dict[str, PyTree], dict[str, Any]]:
        """As Checkpoints.restore."""
        return processes.share(lambda: self._own.restore(step, like))

    def restore_latest(
        self, like: dict[str, PyTree], say: Callable[[str], None]
    ) -> tuple[dict[str, PyTree], dict[str, Any]] | None:
        """As Checkpoints.restore_latest."""
        return processes.share(lambda: self._own.restore_latest(like, say))

    def wait(self) -> None:
        """As Checkpoints.wait."""
        processes.share(lambda: self._own.wait())

    def close(self) -> None:
        """As Checkpoints.close; of this process alone."""
        if self._store is not None:
            self._store.close()

    @property
    def _own(self) -> Checkpoints:
        assert self._store is not None, 'only process 0 has it'
        return self._store
