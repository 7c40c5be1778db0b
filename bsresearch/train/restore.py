"""The weights of a run at a point, from its group's checkpoints; a missing one is never made up."""

import functools
import pathlib
from typing import Any

import jax
import numpy as np

from bsresearch.plan import Plan
from bsresearch.store import paths
from bsresearch.store.checkpoints import Checkpoints
from bsresearch.train import parallel, program
from bsresearch.train.state import State


class Diverged(ValueError):
    """A run has no weights at a point, for it diverged before."""


def _facts(workdir: pathlib.Path, plan: Plan) -> dict[str, Any]:
    folder = paths.run_dir(workdir, plan.study, plan.id)
    found = paths.read_json(folder / 'meta.json')
    if found is None:
        raise ValueError(f'no run {plan.id} in {folder.parent}; train it first')
    return found


def _store(workdir: pathlib.Path, plan: Plan, step: int) -> tuple[pathlib.Path, dict[str, Any]]:
    meta = _facts(workdir, plan)
    folder = paths.group_dir(workdir, plan.study, meta['group'])
    return folder / ('checkpoints' if step else 'initial'), meta


def check(workdir: pathlib.Path, plan: Plan, step: int) -> None:
    """Raises ValueError unless the weights at θ_step can be had (Diverged, or those that can are listed)."""
    folder, meta = _store(workdir, plan, step)
    diverged = meta.get('diverged_step')
    if diverged is not None and diverged <= step:
        raise Diverged(f'run {plan.id} diverged at update {diverged}: there are no weights at update {step}')
    there = sorted(int(p.name) for p in folder.glob('*') if p.name.isdigit())
    if step not in there:
        at = ', '.join(f'{s} (epoch {plan.length.epoch_at(s):.4g})' for s in sorted({0, *there})) or 'none'
        raise ValueError(
            f'run {plan.id} has no checkpoint at update {step} (epoch {plan.length.epoch_at(step):.4g}); there are: '
            f'{at}. Ask for one of these, or train it in another workdir with config.keep naming the point'
        )


def state(workdir: pathlib.Path, plan: Plan, step: int) -> State:
    """A run's state at θ_step, NumPy leaves.

    Raises:
      ValueError: it is not there. checkpoints.Damaged: it is not what was saved.
    """
    check(workdir, plan, step)
    folder, meta = _store(workdir, plan, step)
    task = program.task(plan, 1.0, parallel.platform())
    one = jax.eval_shape(functools.partial(program.initial, task, plan))
    like = jax.tree.map(lambda x: np.zeros((meta['replicas'], *x.shape), x.dtype), one)
    mine = lambda tree: jax.tree.map(lambda x: x[meta['index']], tree)
    with Checkpoints(folder) as store:
        if step:
            items, _ = store.restore(step, {'state': like})
            return mine(items['state'])
        items, _ = store.restore(0, {'params': like.params})
    fresh = jax.tree.map(np.asarray, jax.jit(functools.partial(program.initial, task, plan))())
    return fresh._replace(params=mine(items['params']))
