"""Train the runs of the grid, then probe their gradients against batch size at chosen points (probes/gradient_norm.py).

Source: K. Shen, "Effect of batch size on training dynamics" (2018), the experiment of 1000 trials.
"""

import pathlib
from collections.abc import Callable

from bsresearch.analysis.quantities import gradient_norm
from bsresearch.planning import recording
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.planning.stages import Stages
from bsresearch.store import probe_records

NAME = 'gradient_norm'
SECTIONS = {'probe': None}


def check(plans: list[Plan]) -> None:
    """Refuses another probe, before anything is done.

    Raises:
      ValueError: config.probe.name is another; or the run's own rate is 0 at a point, where nothing walks.
    """
    for plan in plans:
        if plan.recording['probe']['name'] != NAME:
            raise ValueError(
                f'config.study={NAME} needs config.probe.name={NAME}; it is {plan.recording["probe"]["name"]!r}'
            )
        still = [probe.points[0][1] for probe in probes(plan) if not probe.learning_rate]
        if still:
            raise ValueError(
                f'the learning rate of run {plan.id} is 0 at update {still[0]}, where a probe with it would not move; '
                'give config.probe.learning_rates, or another point'
            )


def probes(plan: Plan, own_rate: bool = False) -> list[Probe]:
    """Those of one run: every point and every learning rate, or the run's own alone."""
    section, probes_of_run = plan.recording['probe'], []
    for step in recording.probe_points(section, plan.length):
        at = min(step, plan.length.total_steps - 1)
        rate_there = float(plan.table(at, at + 1).learning_rate[0])
        rates = (rate_there,) if own_rate or not section['learning_rates'] else section['learning_rates']
        probes_of_run += [Probe(plan.study, section, ((plan, step),), rate) for rate in rates]
    return probes_of_run


def stages(plans: list[Plan]) -> Stages:
    """The runs, then their probes."""
    yield plans
    yield [probe for plan in plans for probe in probes(plan)]


def conclude(workdir: pathlib.Path, plans: list[Plan], say: Callable[[str], None]) -> None:
    """Prints which law fits and whether the identities hold."""
    ids = {probe.id for plan in plans for probe in probes(plan)}
    measured = gradient_norm.of_probes(probe_records.load(workdir, NAME, ids))
    say(f'gradient norm against batch size (`bsresearch fig gradient_norm` draws it):\n{gradient_norm.text(measured)}')
