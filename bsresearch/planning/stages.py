"""What a study's procedure yields, stage after stage, and what it is sent for each: the results of its members."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bsresearch.planning import edit, resolve
from bsresearch.planning.branch_arms import Branch
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe


class Variant(NamedTuple):
    """A run that a procedure adds to those of the config.

    of: id of the run, of the config, that it is but for its changes, dotted path → value: its cell and replicate.
    """

    plan: Plan
    of: str
    changes: dict[str, Any]


def variant(of: Plan, **changes: Any) -> Variant:
    """That of a run, with changes of its declared config.

    Args:
      changes: dotted path → value; dots may be written as two underscores.

    Raises:
      ValueError: as `resolve.resolve`; a branch is to be varied, which begins with another's state; or a run of so many
        seconds, without a length of its own.
    """
    if of.parent is not None:
        raise ValueError(f'run {of.id} is a branch; a variant is of a run of the config, others are branches')
    fields = {path.replace('__', '.'): value for path, value in changes.items()}
    if of.declared.get('seconds_per_update') is not None and not fields.keys() & set(edit.LENGTHS):
        raise ValueError(
            f'run {of.id} has a length in seconds, whose updates are its own; give its variant total_epochs'
        )
    declared = edit.assign(of.declared, {'seconds_per_update': None, **fields})
    return Variant(resolve.resolve(declared), of.id, fields)


# A run of the config stands there by itself.
Member = Plan | Variant | Branch | Probe
Stage = Sequence[Plan] | Sequence[Variant] | Sequence[Plan | Variant] | Sequence[Branch] | Sequence[Probe]


class Result(NamedTuple):
    """What came of a run or a probe.

    status: done | diverged | left out, a probe of a run that diverged before its point. rows: of a run, one per
    recorded step. arrays: of a probe.
    """

    status: str
    rows: Sequence[Mapping[str, Any]] = ()
    arrays: Mapping[str, np.ndarray] = {}

    def final(self, metric: str) -> float | None:
        """Its value at the latest step that has it; None where none has."""
        values = [row[metric] for row in self.rows if row.get(metric) is not None]
        return values[-1] if values else None


Results = Mapping[str, Result]  # by id, of the members of the stage that ended
Stages = Generator[Stage, Results, None]


def runs_of(stage: Iterable[Member]) -> list[Plan]:
    """Those of its members that are trained."""
    return [member if isinstance(member, Plan) else member.plan for member in stage if not isinstance(member, Probe)]


def variants_of(stage: Iterable[Member]) -> list[Variant]:
    """Those of its members that are runs of the config with changes."""
    return [member for member in stage if isinstance(member, Variant)]


def probes_of(stage: Iterable[Member]) -> list[Probe]:
    """Those of its members that are measured at frozen points."""
    return [member for member in stage if isinstance(member, Probe)]
