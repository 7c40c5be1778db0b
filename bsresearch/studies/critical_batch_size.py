"""The branched critical batch size: at points of a run, how large a batch costs no loss over the same examples?

Source: Merrill et al. 2025 (arXiv:2505.23971), as described at second hand. At every point of `config.branch` a run
trained with (B, ε) gets a branch with (k·B, f(k)·ε) for each k of `multiples`, and the control, k = 1; all see the same
examples for one window. f is the optimizer's LEARNING_RATE_RULE, or what `config.branch.learning_rate_rule` names. ε is
the schedule's peak: with a constant schedule the rate itself. Momentum, weight decay, the batch-norm group and the
optimizer's slots stay as they are.

A large k may fail by its learning rate alone (stability, not noise), and f is a guess. So `config.branch.rates` names
what ε is multiplied by at each k: `rule`, f(k); `held`, 1; `tuned`, each of `config.branch.factors`, 1 and f(k), of
which analysis/quantities/branched/rates.py takes the best. One run that two of them need is made once; all of a point
begin with the same weights, k = 1 too.

Every branch is evaluated after the same numbers of examples, and none ends in a short batch, taken at a rate meant for
a whole one: so the window must be a whole number of the largest batches, for each evaluation.
"""

import math
import pathlib
from collections.abc import Callable
from typing import Any

from bsresearch import optim
from bsresearch.analysis import study as studies
from bsresearch.analysis.quantities.branched import critical, losses, words
from bsresearch.analysis.quantities.branched.rates import HELD, RATES, RULE, TUNED
from bsresearch.optim import scaling
from bsresearch.planning import branch, branch_arms, recording, schema
from bsresearch.planning.branch_arms import Branch
from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import Stages
from bsresearch.studies import POINTS_AND_STATE, reload

STUDY = losses.STUDY
SECTIONS = {'branch': (*POINTS_AND_STATE, 'multiples', 'learning_rate_rule', 'rates', 'factors', 'evaluations')}
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


def rates(plan: Plan, k: int) -> list[float]:
    """What the branches of a run with k times the batch multiply its learning rate by; f(k) first where it is among.

    Raises:
      ValueError: `config.branch.rates` or `factors` that cannot be.
    """
    section = plan.recording['branch']
    asked, factors, by_rule = section['rates'], section['factors'], scaling.POWERS[rule(plan)](k)
    if not asked or not set(asked) <= set(RATES) or len(set(asked)) < len(asked):
        raise ValueError(f'config.branch.rates={asked}: one or more of {", ".join(RATES)} are needed, each once')
    if len(factors) < 3 or min(factors) <= 0 or list(factors) != sorted(set(factors)):
        raise ValueError(
            f'config.branch.factors={factors}: at least 3 rising numbers above 0 are needed, so that the best may have '
            'one on each side, such as (0.5, 1.0, 2.0, 4.0)'
        )
    wanted = {RULE: (by_rule,), HELD: (1.0,), TUNED: (by_rule, 1.0, *factors)}
    unique: list[float] = [by_rule] if k == 1 or {RULE, TUNED} & set(asked) else []
    for factor in sorted(factor for name in asked for factor in wanted[name]):
        if not any(math.isclose(factor, other) for other in unique):
            unique.append(factor)
    return unique


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
        for k in multiples(plan):
            rates(plan, k)
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


def _named(plan: Plan, k: int, factor: float) -> tuple[str, dict[str, Any]]:
    """The name of a branch arm, and what it records of its rate where others than the rule's are tried."""
    by_rule = math.isclose(factor, scaling.POWERS[rule(plan)](k))
    name = branch_arms.CONTROL if k == 1 else f'multiple={k}'
    others = set(plan.recording['branch']['rates']) != {RULE}
    noted: dict[str, Any] = {'branch.rates': (RULE if by_rule else TUNED,)} if others else {}
    return name if by_rule else f'multiple={k},rate={factor:g}', noted


def named_branches(plans: list[Plan]) -> list[Branch]:
    """All branches of the runs: by point, the control first."""
    all_branches = []
    for plan in plans:
        section, window, directory = plan.recording['branch'], reload.window(plan), f'{plan.study}/{plan.id}'
        state = {part: section[part] for part in branch.PARTS if section[part] is not None}
        # A batch-norm group is not to grow with the batch: k times as many workers, where there are some.
        ghost = {'ghost_batch_size': plan.ghost_batch_size, 'workers': None} if plan.ghost_batch_size else {}
        every = [(k, factor) for k in multiples(plan) for factor in rates(plan, k)]
        for step, point in recording.declared_points(section, plan.length, 'config.branch').items():
            start = plan.length.examples_at(step)
            shared = {**ghost, 'total_examples': start + window, **_evaluated(plan, start, window)}
            for k, factor in every:
                scaled = {'batch_size': k * plan.batch_size, 'learning_rate': plan.policy.learning_rate * factor}
                name, noted = _named(plan, k, factor)
                one = branch.branch(plan, directory, step, {**scaled, **noted, **shared}, state)
                all_branches.append(Branch(one, name, point))
    return all_branches


def branches(plans: list[Plan]) -> list[Plan]:
    """Those of `named_branches`."""
    return [branch.plan for branch in named_branches(plans)]


def stages(plans: list[Plan]) -> Stages:
    """The parents, then all branches."""
    yield plans
    yield named_branches(plans)


def conclude(workdir: pathlib.Path, plans: list[Plan], say: Callable[[str], None]) -> None:
    """Prints B*, B_simple and B_noise at every point of these runs."""
    sizes = critical.of_rates(studies.launched(workdir, STUDY), runs=tuple(plan.id for plan in plans))
    say(f'critical batch size (`bsresearch fig critical_batch_size` draws it):\n{words.text(sizes)}')
