"""One kind of question per file: `stages(plans)`, a generator of stages, is sent the results of each when it has ended.

A stage is a list of runs (Plans, variants, branches with the names of their arms) or of Probes (planning/stages.py).
`results = yield …` gives the status and records of each by its id; who looks at one that is not there yet is begun anew
when it is, so that a stage must follow from the config and from results alone. Who does not look has all stages known
from the start.

A study may also have `check(plans)`, which raises ValueError before anything is done, and `conclude(workdir, plans,
say)`, called when all stages are done: it prints what was found. `SECTIONS` names the fields of `config.probe`,
`branch` and `tune` that it makes something of: section → fields, or None for all of them. A study without it makes
nothing of them, and what a study would ignore is refused.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from bsresearch.core import lookup
from bsresearch.core.kinds import brief
from bsresearch.planning import branch_arms, schema
from bsresearch.planning.plan import Plan, canonical

PACKAGE = 'bsresearch.studies'
# Sections of a config that only some studies make something of.
PARTIAL = ('probe', 'branch', 'tune')
# Fields of `config.branch` that every study with branches makes something of.
POINTS_AND_STATE = (
    'at_steps', 'at_epochs', 'more_epochs', 'more_examples', 'stats', 'data', 'random', 'optimizer', 'schedule',
    'average', 'measures', 'initial',
)  # fmt: skip


def module(name: str) -> ModuleType:
    """The study called `name`.

    Raises:
      ValueError: no such study; names the valid ones.
    """
    return lookup.module(PACKAGE, 'stages', name, 'study')


def check(name: str, plans: Sequence[Plan]) -> None:
    """Refuses what the study would ignore, and what it refuses itself, before anything is done.

    Raises:
      ValueError: the first such field, with the studies that it is for.
    """
    study = module(name)
    for plan in plans:
        for section in PARTIAL:
            recorded = branch_arms.section_of(plan) if section == 'branch' else plan.recording[section]
            for field, value in given(section, recorded).items():
                if not _uses(study, section, field):
                    raise ValueError(_ignored(name, section, field, value))
    if hasattr(study, 'check'):
        study.check(list(plans))


def given(section: str, value: dict[str, Any]) -> dict[str, Any]:
    """The fields of a section that differ from their defaults, of those that all its parts share."""
    usual = schema.known()[section]
    return {k: v for k, v in value.items() if k in usual and canonical(v) != canonical(usual[k])}


def _uses(study: ModuleType, section: str, field: str) -> bool:
    used = getattr(study, 'SECTIONS', {})
    return section in used and (used[section] is None or field in used[section])


def _ignored(name: str, section: str, field: str, value: Any) -> str:
    members = lookup.members(PACKAGE, 'stages')
    having = [member for member in members if _uses(module(member), section, field)]
    return (
        f'config.{section}.{field}={brief(value)} is for config.study={" or ".join(having)}; config.study={name} would '
        'ignore it: leave it out, or choose such a study'
    )
