"""Train every run of the grid: one stage."""

from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import Stages


def stages(plans: list[Plan]) -> Stages:
    """Yields the one stage."""
    yield plans
