"""The learning-rate range test (Smith 2017, arXiv:1506.01186, 3.3): rates from tiny to large, and where to stay.

One run per batch size, weight decay and seed of the grid, with schedule.name=range_test. The runs are the study's own;
nothing of them enters another run.
"""

import pathlib
from collections.abc import Callable

from bsresearch.analysis import study as studies
from bsresearch.analysis.quantities import lr_range
from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import Stages

SHAPE = 'range_test'


def check(plans: list[Plan]) -> None:
    """Refuses what is no range test, before anything is done.

    Raises:
      ValueError: a run of another schedule.
    """
    for plan in plans:
        if plan.policy.schedule['name'] != SHAPE:
            raise ValueError(
                f'config.study=lr_range needs schedule.name={SHAPE}; run {plan.id} has {plan.policy.schedule["name"]!r}'
            )


def stages(plans: list[Plan]) -> Stages:
    """All runs at once."""
    yield plans


def conclude(workdir: pathlib.Path, plans: list[Plan], say: Callable[[str], None]) -> None:
    """Prints the suggested bounds of each run."""
    table = lr_range.table(studies.launched(workdir, plans[0].study))
    runs = table[table['run'].isin([p.id for p in plans])]
    say(f'suggested learning rates (`bsresearch fig lr_range` draws them):\n{lr_range.text(runs)}')
