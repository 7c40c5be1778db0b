"""Train every run of the grid: one stage."""

from collections.abc import Iterator

from bsresearch.planning.plan import Plan


def stages(plans: list[Plan]) -> Iterator[list[Plan]]:
    """Yields the one stage."""
    yield plans
