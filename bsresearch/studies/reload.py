"""Is a large-batch model stuck? Train, then branch at chosen points: one change each, and a control without any.

Source: K. Shen, "Effect of batch size on training dynamics" (2018), the experiment with reloaded weights. At every
point of `config.branch` a run gets a branch for each of `config.branch.arms` that is of its arm, one for each of
`batch_sizes` and of `learning_rates`, and the control; all train `more_epochs` or `more_examples` longer. Past the end
of the parent's schedule its last value holds.
"""

from bsresearch.planning import branch_arms, recording
from bsresearch.planning.branch_arms import Branch
from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import Stages
from bsresearch.studies import POINTS_AND_STATE

SECTIONS = {'branch': (*POINTS_AND_STATE, 'arms', 'batch_sizes', 'learning_rates')}


def parents(plans: list[Plan]) -> list[Plan]:
    """The runs with branches."""
    return [plan for plan in plans if branch_arms.of_run(plan)]


def check(plans: list[Plan]) -> None:
    """Refuses what has no branches, before anything is trained.

    Raises:
      ValueError: no points, or no change; or a branch that cannot be.
    """
    name = plans[0].study
    if not any(recording.branch_points(branch_arms.section_of(plan), plan.length) for plan in plans):
        raise ValueError(f'config.study={name} needs config.branch.at_epochs or at_steps, the points to branch from')
    if not parents(plans):
        raise ValueError(f'config.study={name} needs config.branch.arms, batch_sizes or learning_rates: what to change')
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


def named_branches(plans: list[Plan]) -> list[Branch]:
    """All branches of the runs: by point, the control first."""
    return [branch for plan in parents(plans) for branch in branch_arms.branches(plan, window(plan))]


def branches(plans: list[Plan]) -> list[Plan]:
    """Those of `named_branches`."""
    return [branch.plan for branch in named_branches(plans)]


def stages(plans: list[Plan]) -> Stages:
    """The parents, then all branches."""
    yield plans
    yield named_branches(plans)
