"""Where a branch begins: its parent's state at the branch point, part by part kept or reset; a parent is only read."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bsresearch.core import when
from bsresearch.core.flat import flatten
from bsresearch.planning import slots
from bsresearch.planning.branch_point import plan_of
from bsresearch.planning.plan import Plan
from bsresearch.store import leases, lineage, paths
from bsresearch.train import program
from bsresearch.train.devices import parallel
from bsresearch.train.saving import restore
from bsresearch.train.state import Origins

PyTree = Any


def check(workdir: pathlib.Path, plan: Plan, watch: leases.Watch) -> None:
    """Looks for what a branch, or a run with another's weights, begins with; nothing is written, no weights are read.

    One with checkpoints of its own goes on from these, and what it began with is not asked for.

    Raises:
      ValueError: no parent, no such point, or a network of other shapes.
      leases.Owned: a live process trains the parent.
    """
    given = plan.parent or plan.init_from
    if given is None or restore.was_saved(workdir, plan):
        return
    directory = paths.parent_dir(workdir, given['directory'])
    parent = plan_of(directory)
    watch.check_free(restore.group_directory(directory.parent.parent, parent))
    restore.check(directory.parent.parent, parent, given['step'])
    if plan.parent is not None:
        restore.check_fits(restore.shapes(plan), restore.shapes(parent), plan.id, parent.id)


def begin(
    fresh: dict[str, PyTree],
    plans: Sequence[Plan],
    run_directories: Sequence[pathlib.Path],
    say: Callable[[str], None],
) -> tuple[dict[str, PyTree], Origins]:
    """The items at a group's first update, and the weights that distances are measured from; replicas stacked.

    `fresh` itself where the runs are no branches. For each branch lineage.json is written, and said, once.
    """
    if plans[0].parent is None:
        return fresh, Origins(fresh['state'].params, fresh['state'].params)
    states, averages, initials, memories, lineages = [], [], [], [], {}
    for r, (plan, folder) in enumerate(zip(plans, run_directories, strict=True)):
        new = not (folder / 'lineage.json').exists()
        state, average, initial, memory = _one(jax.tree.map(lambda x, r=r: x[r], fresh), plan, folder)
        if new:
            lineages.setdefault(lineage.what(paths.read_json(folder / 'lineage.json')), []).append(plan)
        states.append(state)
        averages.append(average)
        initials.append(initial)
        memories.append(memory)
    for text, alike in lineages.items():
        kept = ', '.join(part for part, how in sorted(alike[0].parent['state'].items()) if how == 'keep')
        say(f'  {f"{len(alike)} branches" if len(alike) > 1 else "branch"} {text} (kept: {kept})')
    state = parallel.stack(states)
    begun = {'state': state, 'ema': parallel.stack(averages), **parallel.stack(memories)}
    return fresh | begun, Origins(parallel.stack(initials), state.params)


def _one(
    fresh: dict[str, PyTree], plan: Plan, folder: pathlib.Path
) -> tuple[PyTree, PyTree, PyTree, dict[str, PyTree]]:
    """State, average, initial weights and states of the measurements of one branch.

    Raises:
      ValueError: no such parent, a damaged checkpoint, or another than lineage.json says the branch began with.
    """
    given: Any = plan.parent
    directory = paths.parent_dir(folder.parent.parent, given['directory'])
    parent, step, how = plan_of(directory), given['step'], given['state']
    workdir = directory.parent.parent
    check_run(directory, parent, given['run'], plan)
    items, digests = restore.items(workdir, parent, step)
    before = began_with(folder / 'lineage.json', digests, f'{directory} at update {step}')
    state = fresh['state']._replace(step=np.asarray(step, np.int32), params=items['state'].params)
    if how.get('stats', 'keep') == 'keep':
        state = state._replace(stats=items['state'].stats)
    restore.check_fits(fresh['state'].params, state.params, plan.id, parent.id)
    if how['optimizer'] == 'keep':
        restore.check_fits(fresh['state'].opt_state, items['state'].opt_state, plan.id, parent.id)
        state = state._replace(opt_state=items['state'].opt_state)
    average = fresh['ema']
    if average is not None:
        kept = how['average'] == 'keep' and items['ema'] is not None
        average = items['ema'] if kept else type(average)(state.params, state.stats)
    initial = restore.initial(workdir, parent) if how['initial'] == 'keep' else state.params
    kept = how.get('measures', 'keep') == 'keep'
    memory = _memory(fresh, plan, parent, initial if kept else state.params, workdir if kept else None)
    if before is None:
        facts = {'checkpoint_sha256': digests, 'changes': _changes(parent, plan), 'past_schedule': _past_schedule(plan)}
        paths.write_json(folder / 'lineage.json', given | facts)
    return state, average, initial, memory


def check_run(directory: pathlib.Path, there: Plan, wanted: str, plan: Plan) -> None:
    """Raises ValueError unless the run in a directory is the one that `plan` begins with."""
    if there.id != wanted:
        raise ValueError(f'{directory} holds run {there.id}, not {wanted}, which run {plan.id} begins with')


def began_with(file: pathlib.Path, digests: Mapping[str, str], where: str) -> Mapping[str, Any] | None:
    """What a run wrote down of what it began with; None before it has.

    Raises:
      ValueError: what is there now has another sha256.
    """
    before = paths.read_json(file)
    if before is not None and before['checkpoint_sha256'] != digests:
        raise ValueError(
            f'{where} is not what run {file.parent.name} began with, by the sha256 in its {file.name}; restore it, or '
            'make the run in another workdir'
        )
    return before


def check_slots(plans: Sequence[Plan], state: PyTree) -> None:
    """Raises ValueError unless the optimizer's slots are as old as the plans have it; `state` of all replicas, stacked.

    The plan of a branch by an older version may say nothing of a reset in its parent.
    """
    if slots.complements(plans[0], plans[0].start, np.ones(1)) is None:
        return
    counts = optax.tree.get(state.opt_state, 'count', [None] * len(plans))
    for plan, count, step in zip(plans, counts, state.step, strict=True):
        if count is not None and count != (wanted := slots.at(plan, int(step)).updates):
            raise ValueError(
                f'run {plan.id} at update {step}: its optimizer has seen {count} updates, by its plan it would be '
                f'{wanted}; an older version began it, so begin it again in another workdir'
            )


def _memory(
    fresh: dict[str, PyTree], plan: Plan, parent: Plan, begin: PyTree, workdir: pathlib.Path | None
) -> dict[str, PyTree]:
    """States of the measurements: the parent's of equal settings, from its `workdir`; else new ones at `begin`."""
    begun = memory_at(fresh, plan, begin)
    if workdir is None:
        return begun
    settings = lambda p, item: when.rest(p.recording['measure'].get(item.removeprefix('measure_'), {}))
    alike = {item: tree for item, tree in begun.items() if settings(plan, item) == settings(parent, item)}
    return begun | restore.measures(workdir, parent, plan.start, alike)


def memory_at(fresh: Mapping[str, PyTree], plan: Plan, begin: PyTree) -> dict[str, PyTree]:
    """States of the measurements among the items `fresh` of a run that begins with the weights `begin`."""
    built, named = program.measures(plan), [item for item in fresh if item.startswith('measure_')]
    begin = jax.tree.map(jnp.asarray, begin)
    return {item: jax.tree.map(np.asarray, built[item.removeprefix('measure_')].init(begin)) for item in named}


def _past_schedule(plan: Plan) -> bool:
    """Whether a branch trains beyond the end of a schedule that it keeps and that is not constant."""
    given: Any = plan.parent
    kept = given['state']['schedule'] == 'keep' and plan.total_examples > given['schedule_length']['total_examples']
    moving = ('schedule', 'momentum_schedule', 'weight_decay_schedule')
    return kept and any(getattr(plan.policy, s)['name'] != 'constant' for s in moving)


def _changes(parent: Plan, plan: Plan) -> dict[str, list[Any]]:
    """Resolved fields that differ: name → [parent's, branch's]."""
    skipped = ('recording', 'execution', 'parent', 'batch_changes', 'init_from', 'init_new')
    before, after = (flatten({k: v for k, v in p.resolved().items() if k not in skipped}) for p in (parent, plan))
    return {
        k: [before.get(k), after.get(k)] for k in sorted(before.keys() | after.keys()) if before.get(k) != after.get(k)
    }
