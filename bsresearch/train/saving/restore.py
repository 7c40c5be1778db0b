"""The weights of a run at a point, from its group's checkpoints; a missing one is never made up."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from bsresearch.core import precision
from bsresearch.optim import Hyper
from bsresearch.planning.branch_point import plan_of
from bsresearch.planning.plan import Plan
from bsresearch.store import paths, standing
from bsresearch.store.checkpoints import Checkpoints, DamagedCheckpoint
from bsresearch.store.paths import Damaged
from bsresearch.store.steps import complete_steps, latest_step
from bsresearch.train import program
from bsresearch.train.devices import compiling
from bsresearch.train.state import State


class Diverged(ValueError):
    """A run has no weights at a point, for it diverged before, or stopped at its target."""


def _facts(workdir: pathlib.Path, plan: Plan) -> dict[str, Any]:
    folder = paths.run_dir(workdir, plan.study, plan.id)
    meta = paths.read_json(folder / 'meta.json')
    if meta is None:
        raise ValueError(f'no run {plan.id} in {folder.parent}; train it first')
    if 'group' not in meta:
        raise Damaged(f'{folder}/meta.json names no group, so it is not whole; remove that folder, or restore it')
    if not paths.is_sealed(folder / 'meta.json'):
        plan_of(folder)  # which finds out whether the place in the group that it tells is the run's
    return meta


def group_directory(workdir: pathlib.Path, plan: Plan) -> pathlib.Path:
    """Of the group that a run belongs to."""
    return paths.group_dir(workdir, plan.study, _facts(workdir, plan)['group'])


def was_saved(workdir: pathlib.Path, plan: Plan) -> bool:
    """Whether a run's group has a complete checkpoint; not so for a run that was not begun."""
    meta = paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json') or {}
    return 'group' in meta and latest_step(group_directory(workdir, plan) / 'checkpoints') is not None


def _store(workdir: pathlib.Path, plan: Plan, step: int) -> tuple[pathlib.Path, dict[str, Any]]:
    return group_directory(workdir, plan) / ('checkpoints' if step else 'initial'), _facts(workdir, plan)


def check(workdir: pathlib.Path, plan: Plan, step: int) -> None:
    """Raises ValueError unless the weights at θ_step can be had: Diverged, Damaged, or those that can are listed."""
    folder, meta = _store(workdir, plan, step)
    if standing.ended_before(meta, step):
        diverged, stopped = meta.get('diverged_step'), meta.get('stopped_step')
        how = f'diverged at update {diverged}' if diverged is not None else f'stopped at its target, update {stopped}'
        raise Diverged(f'run {plan.id} {how}: there are no weights at update {step}')
    there = complete_steps(folder)
    if step not in there:
        if (folder / str(step)).exists() or not step:
            raise DamagedCheckpoint(f'checkpoint {folder / str(step)} lacks some of its files')
        there = sorted({0, *there} if plan.parent is None else there)  # of a branch the beginning is its parent's
        at = ', '.join(f'{s} (epoch {plan.length.epoch_at(s):.4g})' for s in there) or 'none'
        raise ValueError(
            f'run {plan.id} has no checkpoint at update {step} (epoch {plan.length.epoch_at(step):.4g}); there are: '
            f'{at}. Ask for one of these, or train it in another workdir with config.keep naming the point'
        )


def _begin(plan: Plan) -> Callable[[], State]:
    """Makes a run's state at update 0; on the device, or as shapes."""
    return functools.partial(program.initial, program.task(plan, 1.0, compiling.platform()), plan)


@precision.held
def _like(plan: Plan) -> State:
    """Shapes and dtypes of a run's state."""
    return jax.eval_shape(_begin(plan))


@precision.held
def _fresh(plan: Plan) -> State:
    """A run's state at update 0, NumPy leaves."""
    return jax.tree.map(np.asarray, jax.jit(_begin(plan))())


@precision.held
def begun(plan: Plan, fresh: State, params: Any, stats: Any) -> State:
    """A state at update 0 with other weights and model statistics; the optimizer's slots as they begin with these."""
    transform = program.task(plan, 1.0, compiling.platform()).transform
    zero = np.zeros((), jax.tree.leaves(params)[0].dtype)
    slots = jax.tree.map(np.asarray, transform(Hyper(zero, zero, None)).init(params))
    return fresh._replace(params=params, stats=stats, opt_state=slots)


def shapes(plan: Plan) -> Any:
    """The weights' shapes and dtypes."""
    return _like(plan).params


def items(workdir: pathlib.Path, plan: Plan, step: int) -> tuple[dict[str, Any], dict[str, str]]:
    """A run's `state` and `ema` (None without one) at θ_step, NumPy leaves; and the sha256 of the group's items.

    Raises:
      ValueError: it is not there. Damaged: it is not what was saved.
    """
    check(workdir, plan, step)
    folder, meta = _store(workdir, plan, step)
    one = _like(plan)
    wide = lambda tree: jax.tree.map(lambda x: np.zeros((meta['replicas'], *x.shape), x.dtype), tree)
    of_run = lambda tree: jax.tree.map(lambda x: x[meta['index']], tree)
    with Checkpoints(folder, writes=False) as store:
        if step:
            like = {'state': wide(one), 'ema': wide(program.initial_average(plan, one))}
            saved, facts = store.restore(step, like)
            return {name: of_run(tree) for name, tree in saved.items()}, facts['sha256']
        stored = {'params': one.params}
        if plan.init_from is not None and one.stats:
            stored['stats'] = one.stats
        saved, facts = store.restore(0, {name: wide(tree) for name, tree in stored.items()})
    fresh = _fresh(plan)
    fresh = begun(plan, fresh, **{'stats': fresh.stats} | {name: of_run(tree) for name, tree in saved.items()})
    return {'state': fresh, 'ema': program.initial_average(plan, fresh)}, facts['sha256']


def measures(workdir: pathlib.Path, plan: Plan, step: int, like: dict[str, Any]) -> dict[str, Any]:
    """Of the measurement states asked for, those that a run's checkpoint at θ_step holds in that layout."""
    folder, meta = _store(workdir, plan, step)
    if not step:
        return {}
    wide = lambda tree: jax.tree.map(lambda x: np.zeros((meta['replicas'], *np.shape(x)), np.asarray(x).dtype), tree)
    with Checkpoints(folder, writes=False) as store:
        wanted = {name: wide(tree) for name, tree in like.items()}
        fitting = {name: tree for name, tree in wanted.items() if store.holds(step, name, tree)}
        saved, _ = store.restore(step, fitting) if fitting else ({}, {})
    return {name: jax.tree.map(lambda x: x[meta['index']], tree) for name, tree in saved.items()}


def state(workdir: pathlib.Path, plan: Plan, step: int) -> State:
    """A run's state at θ_step; errors as in `items`."""
    return items(workdir, plan, step)[0]['state']


def initial(workdir: pathlib.Path, plan: Plan) -> Any:
    """The weights that a run's distances are measured from: θ_0, of its first ancestor if it is a branch."""
    folder, meta = _store(workdir, plan, 0)
    like = jax.tree.map(lambda x: np.zeros((meta['replicas'], *x.shape), x.dtype), shapes(plan))
    with Checkpoints(folder, writes=False) as store:
        saved, _ = store.restore(0, {'params': like})
    return jax.tree.map(lambda x: x[meta['index']], saved['params'])


def _leaves(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def check_fits(wanted: Any, found: Any, branch: str, parent: str) -> None:
    """Raises ValueError unless two trees have the same arrays; those that differ are named."""
    want, have = ({k: f'{x.dtype}{list(x.shape)}' for k, x in _leaves(tree).items()} for tree in (wanted, found))
    differ = sorted(k for k in want.keys() | have.keys() if want.get(k) != have.get(k))
    if differ:
        differences = '; '.join(f'{k}: parent {have.get(k)}, branch {want.get(k)}' for k in differ[:4])
        raise ValueError(
            f'branch {branch} cannot take over the state of {parent}: {differences}; the networks must be alike'
        )
