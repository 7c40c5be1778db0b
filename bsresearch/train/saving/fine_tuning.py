"""Where a run begins with weights of another: those of its plan from that run's checkpoint, all else as at update 0."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from bsresearch.optim import path_of
from bsresearch.planning.branch_point import plan_of
from bsresearch.planning.first_weights import by_path
from bsresearch.planning.plan import Plan
from bsresearch.store import lineage, paths
from bsresearch.train import program
from bsresearch.train.devices import parallel
from bsresearch.train.saving import branching, restore
from bsresearch.train.state import State

PyTree = Any


def begin(
    fresh: dict[str, PyTree],
    plans: Sequence[Plan],
    run_directories: Sequence[pathlib.Path],
    say: Callable[[str], None],
) -> dict[str, PyTree]:
    """The items at a group's first update, replicas stacked; for each run init_from.json is written, once.

    Args:
      fresh: the items with all weights drawn. plans: all with `init_from`.

    Raises:
      ValueError: no such run, a damaged checkpoint, or another than init_from.json says the run began with.
    """
    read: dict[tuple[str, int], tuple[State, Mapping[str, str]]] = {}
    begun = []
    for r, (plan, folder) in enumerate(zip(plans, run_directories, strict=True)):
        given: Any = plan.init_from
        key = given['directory'], given['step']
        if key not in read:
            read[key] = _read(plan, folder)
            say(f'  begins with the weights of {lineage.of_weights(given)}')
        state, digests = read[key]
        file = folder / lineage.WEIGHTS
        if branching.began_with(file, digests, f'{key[0]} at update {key[1]}') is None:
            paths.write_json(file, given | {'checkpoint_sha256': digests})
        begun.append(_one(jax.tree.map(lambda x, r=r: x[r], fresh), plan, state))
    return fresh | {name: parallel.stack([items[name] for items in begun]) for name in begun[0]}


def _read(plan: Plan, folder: pathlib.Path) -> tuple[State, Mapping[str, str]]:
    """The other run's state, and the sha256 of what it was saved in."""
    given: Any = plan.init_from
    directory = paths.parent_dir(folder.parent.parent, given['directory'])
    source = plan_of(directory)
    branching.check_run(directory, source, given['run'], plan)
    items, digests = restore.items(directory.parent.parent, source, given['step'])
    return items['state'], digests


def _one(fresh: dict[str, PyTree], plan: Plan, other: State) -> dict[str, PyTree]:
    """A run's state, average and states of measurements."""
    given: Any = plan.init_from
    params = _taken(fresh['state'].params, other.params, given['new'])
    stats = _taken(fresh['state'].stats, other.stats, given['new'])
    state = restore.begun(plan, fresh['state'], params, stats)
    average = program.initial_average(plan, state)
    return {'state': state, 'ema': average, **branching.memory_at(fresh, plan, params)}


def _taken(drawn: PyTree, other: PyTree, new: Sequence[str]) -> PyTree:
    """`other`'s leaves by path, but for those that are `new`, or that it has in no such shape."""
    there = by_path(other)

    def one(keys: tuple[Any, ...], leaf: Any) -> np.ndarray:
        path = path_of(keys)
        fits = path in there and path not in new and there[path].shape == leaf.shape
        return np.asarray(there[path] if fits else leaf, leaf.dtype)

    return jax.tree_util.tree_map_with_path(one, drawn)
