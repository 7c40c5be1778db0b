"""Shen's article whole, in one workdir: arms (A, B, E), branches (C), the line between two (F), probes (D).

Source: K. Shen, "Effect of batch size on training dynamics" (2018). Runs with branches (config.branch) are the parents
of C and, at `config.probe.at_epochs`, what D probes: with their own learning rate at every seed, with
`config.probe.learning_rates` beside it at the first. F looks between each parent and the run of its seed and learning
rate with the smallest batch.
"""

from bsresearch.planning import sections
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.planning.stages import Stages
from bsresearch.studies import gradient_norm, reload
from bsresearch.studies.reload import parents

SECTIONS = {**gradient_norm.SECTIONS, **reload.SECTIONS}


def check(plans: list[Plan]) -> None:
    """Refuses a grid without parents, before anything is done.

    Raises:
      ValueError: as the studies reload and gradient_norm; or a parent without a smaller batch to compare with.
    """
    reload.check(plans)
    gradient_norm.check(parents(plans))
    lines(plans)


def _compared(plan: Plan) -> tuple[object, ...]:
    """What a run has in common with the parent that it is compared with."""
    return plan.seed, plan.policy.learning_rate, plan.optimizer, plan.model


def lines(plans: list[Plan]) -> list[Probe]:
    """One for each parent: from the smallest batch at its seed and learning rate to itself."""
    section = {**sections.defaults('probe', 'interpolation'), 'name': 'interpolation'}
    probes = []
    for parent in parents(plans):
        small = min((p for p in plans if _compared(p) == _compared(parent)), key=lambda p: p.batch_size)
        if small is parent:
            raise ValueError(
                f'config.study=shen: no run of seed {parent.seed} with learning_rate={parent.policy.learning_rate:g} '
                f'and a batch smaller than {parent.batch_size}, to compare with the large batch; add one to '
                'config.sweep'
            )
        probes.append(Probe(parent.study, section, tuple((p, p.length.total_steps) for p in (small, parent)), 0.0))
    return probes


def norms(plans: list[Plan]) -> list[Probe]:
    """The probes of D: all seeds at their own rate, then the first seed at the others."""
    every = [probe for plan in parents(plans) for probe in gradient_norm.probes(plan, own_rate=True)]
    first, ids = min(p.seed for p in parents(plans)), {probe.id for probe in every}
    beside = [
        probe for p in parents(plans) if p.seed == first for probe in gradient_norm.probes(p) if probe.id not in ids
    ]
    return every + beside


def stages(plans: list[Plan]) -> Stages:
    """The runs; their branches; what lies between two; the gradient norms."""
    yield plans
    yield reload.named_branches(plans)
    yield lines(plans)
    yield norms(plans)
