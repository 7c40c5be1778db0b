"""Batch size and stability on one small task: every run, with learning curves.

Source: J. Brownlee, "How to Control the Stability of Training Neural Networks With the Batch Size" (2019).
"""

from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import Stages


def check(plans: list[Plan]) -> None:
    """Refuses runs without learning curves, before anything is done.

    Raises:
      ValueError: training and test set are not evaluated at regular epochs.
    """
    for plan in plans:
        given = plan.recording['evaluate']
        if not given['every_epochs'] or not given['train']:
            raise ValueError(
                f'config.study=brownlee needs config.evaluate.every_epochs above 0 and config.evaluate.train=True; run '
                f'{plan.id} has {given["every_epochs"]:g} and {given["train"]}'
            )


def stages(plans: list[Plan]) -> Stages:
    """All runs at once."""
    yield plans
