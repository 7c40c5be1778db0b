"""The branched critical batch size: at points of a run, how large a batch costs no loss over the same examples?

Source: Merrill et al. 2025 (arXiv:2505.23971), as described at second hand. At every point of `config.branch` a run
trained with (B, ε) gets a branch with (k·B, f(k)·ε) for each k of `multiples`, and the control, k = 1; all see the same
examples for one window. f is the optimizer's LEARNING_RATE_RULE, or what `config.branch.learning_rate_rule` names. ε is
the schedule's peak: with a constant schedule the rate itself. Momentum, weight decay, the batch-norm group and the
optimizer's slots stay as they are. A large k may fail by its learning rate alone (stability, not noise): that is part
of this definition.

Every branch is evaluated after the same numbers of examples, and none ends in a short batch, taken at a rate meant for
a whole one: so the window must be a whole number of the largest batches, for each evaluation.
"""

import pathlib
from collections.abc import Callable
from typing import Any

from bsresearch import optim
from bsresearch.analysis import study as studies
from bsresearch.analysis.quantities import branch_losses, critical_batch_size
from bsresearch.optim import scaling
from bsresearch.planning import branch, branch_arms, recording, schema
from bsresearch.planning.branch_arms import Branch
from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import Stages
from bsresearch.studies import POINTS_AND_STATE, reload

STUDY = branch_losses.STUDY
SECTIONS = {'branch': (*POINTS_AND_STATE, 'multiples', 'learning_rate_rule', 'evaluations')}
FEWEST = 4  # updates in a window


def rule(plan: Plan) -> str:
    """The rule f of scaling.POWERS by which a run's branches scale the learning rate.

    Raises:
      ValueError: an unknown one.
    """
    given, name = plan.recording['branch']['learning_rate_rule'], plan.optimizer['name']
    if given is not None:
        if given not in scaling.POWERS:
            raise ValueError(
                f'config.branch.learning_rate_rule={given!r}: allowed are {", ".join(scaling.POWERS)}, or None to '
                'choose by the optimizer'
            )
        return given
    return optim.member(name).LEARNING_RATE_RULE


def multiples(plan: Plan) -> tuple[int, ...]:
    """The k of a run's branches, the control's 1 first.

    Raises:
      ValueError: they are no rising whole numbers of at least 1, or there is none but 1.
    """
    given = tuple(plan.recording['branch']['multiples'])
    whole = all(isinstance(k, int) and not isinstance(k, bool) and k >= 1 for k in given)
    if not whole or list(given) != sorted(set(given)) or given in ((), (1,)):
        raise ValueError(
            f'config.branch.multiples={given}: rising whole numbers of at least 1 are needed, with one above 1, such '
            'as (1, 2, 4, 8)'
        )
    return given if given[0] == 1 else (1, *given)


def check(plans: list[Plan]) -> None:
    """Refuses what cannot be compared, before anything is trained.

    Raises:
      ValueError: no points or multiples; a window too short for the largest batch.
    """
    for plan in plans:
        section = plan.recording['branch']
        if not section['at_epochs'] and not section['at_steps']:
            raise ValueError(f'config.study={STUDY} needs config.branch.at_epochs or at_steps, the points to branch at')
        rule(plan)
        multiples(plan)
        _check_run(plan)
        _check_window(plan)
    branches(plans)


def _check_run(plan: Plan) -> None:
    """Raises ValueError where something else than the study moves the batch, or the learning rate with it."""
    rules = {k: v for k, v in plan.scaling.items() if v and (k, v) != ('name', 'none') and k != 'reference_batch_size'}
    if rules:
        raise ValueError(
            f'config.scaling={rules} would change the branches a second time: config.study={STUDY} scales them itself '
            '(config.branch.learning_rate_rule); use --config.scaling.name=none'
        )
    if plan.policy.batch_schedule['name'] != 'constant':
        raise ValueError(
            f'batch_schedule.name={plan.policy.batch_schedule["name"]!r}: the branches of config.study={STUDY} '
            'multiply one batch size; use constant'
        )
    if plan.epoch_boundary != 'through':
        raise ValueError(
            f'epoch_boundary={plan.epoch_boundary!r} gives short or lost batches at the ends of epochs, more so for '
            'large ones; use through'
        )
    if not plan.recording['evaluate']['train']:
        raise ValueError(f'config.evaluate.train=False: config.study={STUDY} compares losses of the training set')


def _check_window(plan: Plan) -> None:
    """Raises ValueError for a batch larger than an epoch, or a window that is not whole in it."""
    section, window = plan.recording['branch'], reload.window(plan)
    evaluations, ks = section['evaluations'], multiples(plan)
    if evaluations < 1:
        raise ValueError(f'config.branch.evaluations={evaluations}: at least 1 is needed, at the end of the window')
    largest = ks[-1] * plan.batch_size
    batch_words = f'config.branch.multiples={ks}: the largest batch, {ks[-1]} × {plan.batch_size} = {largest},'
    if largest > plan.epoch_size:
        fitting = [str(k) for k in ks if k * plan.batch_size <= plan.epoch_size]
        cure = f'--config.branch.multiples={",".join(fitting)}' if len(fitting) > 1 else 'a smaller batch_size'
        raise ValueError(f'{batch_words} exceeds the epoch of {plan.epoch_size} examples; use {cure}')
    if window < FEWEST * largest:
        raise ValueError(
            f'{batch_words} fits {window // largest} times into the window of {window} examples, at least {FEWEST} '
            'updates are needed; raise config.branch.more_examples, or leave out the largest k'
        )
    unit = evaluations * largest
    if any(window % (evaluations * k * plan.batch_size) for k in ks):
        fitting = -(-window // unit) * unit
        common = all(largest % (k * plan.batch_size) == 0 for k in ks)
        cure = f'such as config.branch.more_epochs=0, more_examples={fitting}' if common else 'use powers of 2 as k'
        raise ValueError(
            f'the window of {window} examples is not a whole number of batches of {plan.batch_size} times each of {ks} '
            f'in each of its {evaluations} parts (config.branch.evaluations); take one that is, {cure}'
        )


def _evaluated(plan: Plan, start: int, window: int) -> dict[str, Any]:
    """How a branch is recorded: evaluated at even places of its window; all that is measured is its parent's."""
    off, count = schema.when().to_dict(), plan.recording['branch']['evaluations']
    changes: dict[str, Any] = {f'evaluate.{field}': value for field, value in off.items()}
    changes['evaluate.at_examples'] = tuple(start + window * i // count for i in range(1, count + 1))
    changes['measure_preset'] = 'none'
    for name in plan.declared['measure']:
        changes |= {f'measure.{name}.{field}': value for field, value in off.items()}
    # Points named one by one are the parent's, and may lie past a branch's end.
    for section in ('record', 'norms', 'checkpoint', 'keep', 'snapshots'):
        changes |= {f'{section}.{field}': () for field in off if field.startswith('at_')}
    return changes


def named_branches(plans: list[Plan]) -> list[Branch]:
    """All branches of the runs: by point, the control first."""
    all_branches = []
    for plan in plans:
        section, window, scale = plan.recording['branch'], reload.window(plan), scaling.POWERS[rule(plan)]
        state = {part: section[part] for part in branch.PARTS if section[part] is not None}
        # A batch-norm group is not to grow with the batch: k times as many workers, where there are some.
        ghost = {'ghost_batch_size': plan.ghost_batch_size, 'workers': None} if plan.ghost_batch_size else {}
        for step, point in recording.declared_points(section, plan.length, 'config.branch').items():
            start = plan.length.examples_at(step)
            shared = {**ghost, 'total_examples': start + window, **_evaluated(plan, start, window)}
            for k in multiples(plan):
                scaled = {'batch_size': k * plan.batch_size, 'learning_rate': plan.policy.learning_rate * scale(k)}
                one = branch.branch(plan, f'{plan.study}/{plan.id}', step, {**scaled, **shared}, state)
                all_branches.append(Branch(one, branch_arms.CONTROL if k == 1 else f'multiple={k}', point))
    return all_branches


def branches(plans: list[Plan]) -> list[Plan]:
    """Those of `named_branches`."""
    return [branch.plan for branch in named_branches(plans)]


def stages(plans: list[Plan]) -> Stages:
    """The parents, then all branches."""
    yield plans
    yield named_branches(plans)


def conclude(workdir: pathlib.Path, plans: list[Plan], say: Callable[[str], None]) -> None:
    """Prints B* and B_simple at every point of these runs."""
    sizes = critical_batch_size.find(studies.launched(workdir, STUDY), runs=tuple(p.id for p in plans))
    table = critical_batch_size.text(sizes)
    say(f'critical batch size (`bsresearch fig critical_batch_size` draws it):\n{table}')
