"""Batch size and stability on one small task: train every run, then put the source's claims to the test.

Source: J. Brownlee, "How to Control the Stability of Training Neural Networks With the Batch Size" (2019). Which run
plays which part is read from its batch size and learning rate (analysis/brownlee.py).
"""

import pathlib
from collections.abc import Callable, Iterator

from bsresearch.analysis.claims import brownlee, report
from bsresearch.planning.plan import Plan


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


def stages(plans: list[Plan]) -> Iterator[list[Plan]]:
    """All runs at once."""
    yield plans


def conclude(workdir: pathlib.Path, plans: list[Plan], say: Callable[[str], None]) -> None:
    """Prints the verdicts, over all runs of the study in the workdir."""
    try:
        checked_claims = brownlee.claims(workdir)
    except ValueError as e:
        # The runs are made, and of use without the table.
        say(f'no table of claims: {e}')
        return
    say(f'claims of the source (`bsresearch report` tells them in full):\n{report(checked_claims)}')
