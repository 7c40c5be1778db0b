"""Is a large-batch model stuck? Train, then branch at chosen points: one change each, and a control without any.

Source: K. Shen, "Effect of batch size on training dynamics" (2018), the experiment with reloaded weights. At every
point of `config.branch` each run gets a branch for each of `batch_sizes`, one for each of `learning_rates`, and the
control; all train `more_epochs` or `more_examples` longer. Past the end of the parent's schedule its last value holds.
"""

from collections.abc import Iterator

from bsresearch.planning import branch, recording
from bsresearch.planning.plan import Plan
from bsresearch.studies import POINTS_AND_STATE

SECTIONS = {'branch': (*POINTS_AND_STATE, 'batch_sizes', 'learning_rates')}


def check(plans: list[Plan]) -> None:
    """Refuses what has no branches, before anything is trained.

    Raises:
      ValueError: no points, or no change; or a branch that cannot be.
    """
    for plan in plans:
        section = plan.recording['branch']
        if not section['at_epochs'] and not section['at_steps']:
            raise ValueError('config.study=reload needs config.branch.at_epochs or at_steps, the points to branch from')
        if not section['batch_sizes'] and not section['learning_rates']:
            raise ValueError('config.study=reload needs config.branch.batch_sizes or learning_rates: what to change')
    branches(plans)


def window(plan: Plan) -> int:
    """Examples that each branch of a run trains on.

    Raises:
      ValueError: not exactly one of config.branch.more_epochs and more_examples, or one that is not positive.
    """
    epochs, examples = (plan.recording['branch'][field] for field in ('more_epochs', 'more_examples'))
    given = f'config.branch.more_epochs={epochs}, more_examples={examples}'
    if bool(epochs) == (examples is not None):
        raise ValueError(f'{given}: a branch needs exactly one length; more_epochs=0 leaves it to more_examples')
    length = plan.length.examples_of(epochs=epochs) if epochs else examples
    if length < 1:
        raise ValueError(f'{given}: the length of a branch must be positive')
    return length


def branches(plans: list[Plan]) -> list[Plan]:
    """All branches of the runs: by point, the control first."""
    all_branches = []
    for plan in plans:
        section = plan.recording['branch']
        state = {part: section[part] for part in branch.PARTS if section[part] is not None}
        changes: list[dict[str, object]] = [{}]
        changes += [{'batch_size': size} for size in section['batch_sizes']]
        changes += [{'learning_rate': rate} for rate in section['learning_rates']]
        for step in recording.branch_points(section, plan.length):
            until = plan.length.examples_at(step) + window(plan)
            for change in changes:
                changed = {**change, 'total_examples': until}
                all_branches.append(branch.branch(plan, f'{plan.study}/{plan.id}', step, changed, state))
    return all_branches


def stages(plans: list[Plan]) -> Iterator[list[Plan]]:
    """The parents, then all branches."""
    yield plans
    yield branches(plans)
