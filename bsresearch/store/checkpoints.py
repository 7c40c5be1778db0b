"""Orbax checkpoints of a group, with what Orbax lacks: a sha256 of each item, and falling back to the one before.

Facts of orbax-checkpoint 0.12 this file is written around: a flipped byte restores silently; a wrong dtype is cast
silently; a refused save returns False without an error; saving below the latest step is refused; a checkpoint is saved
under another name and renamed, but removed file by file, unless it is to be renamed first; folders are made with all
that is missing above them, also where the whole workdir was moved away meanwhile.
"""

import contextlib
import errno
import hashlib
import json
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from bsresearch.store import manager, paths
from bsresearch.store.paths import Damaged
from bsresearch.store.presence import Gone, Stay
from bsresearch.store.steps import complete_steps

PyTree = Any
# Errors of the machine, not of the checkpoint.
PASSING = (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM, errno.ESTALE, errno.EACCES, errno.EPERM)
# Letters of a reader's error that are told.
LETTERS = 200
# Within a group's checkpoints: those that are being removed.
REMOVED = 'removed'
# <workdir>/<study>/groups/<group>/checkpoints: so many folders Orbax may make anew when the workdir is moved away.
DEPTH = 5
policies = ocp.checkpoint_managers


def digest(tree: PyTree) -> str:
    """sha256 over paths, dtypes, shapes and bytes of all leaves."""
    h = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(leaf)
        h.update(f'{jax.tree_util.keystr(path)}{array.dtype}{array.shape}'.encode())
        h.update(array.data if array.size else b'')
    return h.hexdigest()


def layout(tree: PyTree) -> dict[str, str]:
    """Path → dtype and shape of every leaf."""
    return {
        jax.tree_util.keystr(path): f'{np.asarray(leaf).dtype}{list(np.shape(leaf))}'
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


class DamagedCheckpoint(Damaged):
    """A checkpoint whose content is not what was saved. what: it and its item, and how that shows."""

    def __init__(self, what: str):
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f'{self.what}; restore that folder from a copy, take another point, or train in another workdir'


class Checkpoints:
    """The checkpoints of one group: items are trees of NumPy arrays with the replicas stacked on the first axis.

    Args:
      directory: made if it is not there, in a folder that is.
      keep: updates whose checkpoints are never removed, beside the latest two.
      writes: by the holder of the group's lease, who also clears away what a dead one left; else nothing is touched.
    """

    def __init__(self, directory: pathlib.Path, keep: Sequence[int] = (), *, writes: bool = True):
        manager.hush()
        self.directory, self._writes = directory, writes
        if writes:
            directory.mkdir(exist_ok=True)
            self._clear_removed()
        self._stay = Stay(directory)
        self._manager = ocp.CheckpointManager(
            directory.absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(2), policies.CustomSteps(keep)]),
                save_decision_policy=policies.FixedIntervalPolicy(1),
                cleanup_tmp_directories=writes,
                todelete_subdir=REMOVED if writes else None,
                multiprocessing_options=manager.alone(),
                create=False,  # made above: Orbax would ask all processes
            ),
        )

    def _clear_removed(self, names: str = REMOVED) -> None:
        """Removes what was renamed to be removed; a folder that comes in meanwhile waits for the next time."""
        for folder in self.directory.glob(names):
            shutil.rmtree(folder, ignore_errors=True)

    def steps(self) -> list[int]:
        """Updates with a complete checkpoint, rising."""
        return sorted(set(self._manager.all_steps()) & set(complete_steps(self.directory)))

    def save(self, step: int, items: dict[str, PyTree], meta: dict[str, Any]) -> None:
        """Saves in the background what the items hold now; returns when they may be changed."""
        items = {name: tree for name, tree in items.items() if jax.tree.leaves(tree)}
        digests = {name: digest(tree) for name, tree in items.items()}
        layouts = {name: layout(tree) for name, tree in items.items()}
        # Orbax writes the JSON from another thread, later: it must not see what the caller changes meanwhile.
        meta = json.loads(json.dumps(meta | {'sha256': digests, 'layout': layouts}))
        meta['own_sha256'] = paths.digest(meta)
        saves = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
        self._stay.check()
        with manager.plainly(self.directory):
            taken = self._manager.save(step, args=ocp.args.Composite(meta=ocp.args.JsonSave(meta), **saves))
        if not taken:
            raise RuntimeError(f'the checkpoint at update {step} was refused; {self.directory} holds {self.steps()}')
        self._clear_removed(f'{REMOVED}/*')  # not their folder: Orbax may be about to rename into it

    def restore(self, step: int, like: dict[str, PyTree]) -> tuple[dict[str, PyTree], dict[str, Any]]:
        """The items at `step`, in the structure, shapes and dtypes of `like`.

        Raises:
          Damaged: unreadable, or with another sha256 than was saved.
          ValueError: whole, but of another structure, shape or dtype than `like`.
        """
        targets = {name: tree for name, tree in like.items() if jax.tree.leaves(tree)}
        meta = self._meta(step)
        # Orbax restores the shapes that were saved whatever is asked for, and casts dtypes silently.
        for name, tree in targets.items():
            saved, wanted = meta['layout'].get(name, {}), layout(tree)
            differ = sorted(k for k in saved.keys() | wanted.keys() if saved.get(k) != wanted.get(k))
            if differ:
                raise ValueError(
                    f'{self._item(step, name)}, does not fit this code: {differ[0]} was saved as '
                    f'{saved.get(differ[0])}, wanted is {wanted.get(differ[0])}; use the versions in meta.json'
                )
        restored = self._read(step, {name: ocp.args.StandardRestore(tree) for name, tree in targets.items()})
        for name in targets:
            if digest(restored[name]) != meta['sha256'][name]:
                raise DamagedCheckpoint(f'{self._item(step, name)}: its sha256 is not what was saved')
        return {name: restored[name] if name in targets else tree for name, tree in like.items()}, meta

    def _item(self, step: int, name: str) -> str:
        return f'checkpoint {self.directory / str(step)}, item {name}'

    def holds(self, step: int, name: str, like: PyTree) -> bool:
        """Whether the checkpoint at `step` has an item of that name, structure, shapes and dtypes."""
        return self._meta(step)['layout'].get(name) == layout(like)

    def stated_sha256(self, step: int) -> dict[str, str]:
        """Of the items of a checkpoint that is damaged; empty where its meta is, too."""
        try:
            return self._meta(step)['sha256']
        except (DamagedCheckpoint, OSError):
            return {}

    def reload(self) -> None:
        """Looks again at what is there."""
        self._manager.reload()

    def _meta(self, step: int) -> dict[str, Any]:
        meta = self._read(step, {'meta': ocp.args.JsonRestore()})['meta']
        if not isinstance(meta, dict) or meta.pop('own_sha256', None) != paths.digest(meta):
            raise DamagedCheckpoint(f'{self._item(step, "meta")}: its sha256 is not what was saved')
        return meta

    def _read(self, step: int, args: dict[str, Any]) -> Any:
        if not args:
            return {}
        try:
            return self._manager.restore(step, args=ocp.args.Composite(**args))
        except Exception as e:  # Orbax raises whatever its readers do; each means that this step cannot be used.
            if isinstance(e, MemoryError) or (isinstance(e, OSError) and e.errno in PASSING):
                raise
            line = (str(e) or type(e).__name__).splitlines()[0]
            words = line if len(line) <= LETTERS else f'{line[:LETTERS]} …'  # TensorStore tells kilobytes of its spec
            raise DamagedCheckpoint(f'checkpoint {self.directory / str(step)} cannot be read: {words}') from e

    def restore_latest(
        self, like: dict[str, PyTree], say: Callable[[str], None]
    ) -> tuple[dict[str, PyTree], dict[str, Any]] | None:
        """The newest whole checkpoint; damaged ones after it are set aside, and `say` is told. None: no checkpoint.

        Raises:
          ValueError: there are checkpoints, and none is whole. Nothing is moved, nothing starts from scratch.
        """
        damaged: list[tuple[int, DamagedCheckpoint]] = []
        for step in sorted(self._manager.all_steps(), reverse=True):  # one that lacks a part is told as damaged
            try:
                whole = self.restore(step, like)
            except DamagedCheckpoint as e:
                damaged.append((step, e))
                continue
            for bad, error in damaged:
                grave = self.directory / f'damaged-{bad}'
                say(f'{error.what}. Moved to {grave.name}; going back to the one before.')
                shutil.rmtree(grave, ignore_errors=True)
                (self.directory / str(bad)).rename(grave)
            if damaged:
                self.reload()
            return whole
        if damaged:
            raise ValueError(
                f'no checkpoint in {self.directory} is whole: {"; ".join(e.what for _, e in damaged)}. '
                'Restore one, or remove that folder to start its runs from update 0'
            )
        return None

    def wait(self) -> None:
        """Returns when all saves are on disk; raises what went wrong with them, Gone if it is the folder."""
        try:
            with manager.plainly(self.directory):
                self._manager.wait_until_finished()
        finally:
            self._stay.check()

    def close(self) -> None:
        """Waits and frees the threads."""
        try:
            with manager.plainly(self.directory):
                manager.close(self._manager)
            if self._writes:
                self._clear_removed()
        finally:
            with contextlib.suppress(Gone), self._stay:
                self._clear_made_anew()

    def _clear_made_anew(self) -> None:
        """Takes away the folders that Orbax made where the old ones were moved away from."""
        with contextlib.suppress(Gone):
            return self._stay.check()
        # A group's folder with nothing else in it is none.
        if self._writes and [p.name for p in self.directory.parent.glob('*')] == [self.directory.name]:
            shutil.rmtree(self.directory, ignore_errors=True)
            for folder in self.directory.parents[: DEPTH - 1]:
                with contextlib.suppress(OSError):  # it is not empty
                    folder.rmdir()

    def __enter__(self) -> 'Checkpoints':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
