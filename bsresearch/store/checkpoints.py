"""Orbax checkpoints of a group, with what Orbax lacks: a sha256 of each item, and falling back to the one before.

Facts of orbax-checkpoint 0.12 this file is written around: a flipped byte restores silently; a wrong dtype is cast
silently; a refused save returns False without an error; saving below the latest step is refused.
"""

import hashlib
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

PyTree = Any
policies = ocp.checkpoint_managers


def digest(tree: PyTree) -> str:
    """sha256 over paths, dtypes, shapes and bytes of all leaves."""
    h = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(leaf)
        h.update(f'{jax.tree_util.keystr(path)}{array.dtype}{array.shape}'.encode())
        h.update(array.data if array.size else b'')
    return h.hexdigest()


class Damaged(ValueError):
    """A checkpoint whose content is not what was saved."""


class Checkpoints:
    """The checkpoints of one group: items are trees of NumPy arrays with the replicas stacked on the first axis.

    Args:
      directory: made if it is not there.
      keep: updates whose checkpoints are never removed, beside the latest two.
    """

    def __init__(self, directory: pathlib.Path, keep: Sequence[int] = ()):
        logging.set_verbosity(logging.ERROR)
        self.directory = directory
        latest, named = policies.LatestN(2), policies.CustomSteps(list(keep))
        self._manager = ocp.CheckpointManager(
            directory.absolute(),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=policies.AnyPreservationPolicy([latest, named]),
                save_decision_policy=policies.FixedIntervalPolicy(1),
                cleanup_tmp_directories=True,
            ),
        )

    def steps(self) -> list[int]:
        """Updates with a complete checkpoint, rising."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, items: dict[str, PyTree], meta: dict[str, Any]) -> None:
        """Saves in the background what the items hold now; returns when they may be changed."""
        items = {name: tree for name, tree in items.items() if jax.tree.leaves(tree)}
        meta = meta | {'sha256': {name: digest(tree) for name, tree in items.items()}}
        saves = {name: ocp.args.StandardSave(tree) for name, tree in items.items()}
        if not self._manager.save(step, args=ocp.args.Composite(meta=ocp.args.JsonSave(meta), **saves)):
            raise RuntimeError(f'the checkpoint at update {step} was refused; {self.directory} holds {self.steps()}')

    def restore(self, step: int, like: dict[str, PyTree]) -> tuple[dict[str, PyTree], dict[str, Any]]:
        """The items at `step`, in the structure, shapes and dtypes of `like`.

        Raises:
          Damaged: unreadable, of other shapes or dtypes, or with another sha256 than was saved.
        """
        targets = {name: tree for name, tree in like.items() if jax.tree.leaves(tree)}
        restores = {name: ocp.args.StandardRestore(tree) for name, tree in targets.items()}
        try:
            found = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore(), **restores))
        except Exception as e:  # Orbax raises whatever its readers do; each means that this step cannot be used.
            first = (str(e) or type(e).__name__).splitlines()[0]
            raise Damaged(f'checkpoint {self.directory / str(step)} cannot be read: {first}') from e
        meta = found['meta']
        items = {}
        for name, tree in like.items():
            items[name] = found[name] if name in targets else tree
            # Orbax restores the shapes that were saved, whatever was asked for.
            same = jax.tree.map(np.shape, items[name]) == jax.tree.map(np.shape, tree)
            if name in targets and not same:
                raise Damaged(f'checkpoint {self.directory / str(step)}, item {name}: it holds other shapes')
            if name in targets and digest(items[name]) != meta['sha256'].get(name):
                raise Damaged(f'checkpoint {self.directory / str(step)}, item {name}: its sha256 is not what was saved')
        return items, meta

    def restore_latest(
        self, like: dict[str, PyTree], say: Callable[[str], None]
    ) -> tuple[dict[str, PyTree], dict[str, Any]] | None:
        """The newest checkpoint that is whole; a damaged one is set aside, and `say` is told. None: there is none."""
        for step in reversed(self.steps()):
            try:
                return self.restore(step, like)
            except Damaged as e:
                grave = self.directory / f'damaged-{step}'
                say(f'{e}. Moved to {grave.name}; going back to the one before.')
                shutil.rmtree(grave, ignore_errors=True)
                (self.directory / str(step)).rename(grave)
                self._manager.reload()
        return None

    def wait(self) -> None:
        """Returns when all saves are on disk; raises what went wrong with them."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits and frees the threads."""
        self._manager.close()

    def __enter__(self) -> 'Checkpoints':
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
