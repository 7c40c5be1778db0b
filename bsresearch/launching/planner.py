"""From a declared config to a study: its runs and its stages, checked before anything is written."""

import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bsresearch import studies
from bsresearch.planning import branch, branch_point, sweep
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.store import paths

Stage = Sequence[Plan] | Sequence[Probe]


class Study(NamedTuple):
    """A study of which nothing is made yet.

    procedure: its module in bsresearch/studies. plans: the runs of the config. stages: as far as they can be told now.
    """

    name: str
    procedure: Any
    plans: list[Plan]
    stages: list[Stage]

    @property
    def members(self) -> list[Plan | Probe]:
        """All runs and probes, stage after stage."""
        return [member for stage in self.stages for member in stage]

    @property
    def runs(self) -> list[Plan]:
        """All runs, those of later stages too."""
        return runs_of(self.members)


def runs_of(stage: Iterable[Plan | Probe]) -> list[Plan]:
    """Those of its members that are trained."""
    return [member for member in stage if isinstance(member, Plan)]


def probes_of(stage: Iterable[Plan | Probe]) -> list[Probe]:
    """Those of its members that are measured at frozen points."""
    return [member for member in stage if isinstance(member, Probe)]


def study(
    config: dict[str, Any], overrides: dict[str, Any], workdir: pathlib.Path | None, branch_from: str | None = None
) -> Study:
    """The study of a config; nothing is written.

    Args:
      overrides: dotted path → value. branch_from: instead of the config's runs, one branch that begins there.

    Raises:
      ValueError, OSError: what is wrong with the config or the workdir.
    """
    name = overrides.pop('study', config['study'])
    if branch_from is None:
        plans = sweep.expand(config | {'study': name}, overrides)
        studies.check(name, plans)
    else:
        name, plans = 'train', [_branch(branch_from, workdir, overrides)]
    if workdir is not None:
        paths.check_schema(workdir)
    procedure = studies.module(name)
    return Study(name, procedure, plans, list(procedure.stages(plans)))


def _branch(where: str, workdir: pathlib.Path | None, overrides: dict[str, Any]) -> Plan:
    """The plan of a branch given by hand."""
    axes = [name for name in overrides if name.startswith('sweep.')]
    if axes:
        raise ValueError(f'--branch_from makes one run; config.{axes[0]} is an axis: use config.study=reload')
    parts = {f'branch.{part}': part for part in branch.PARTS}
    strange = [name for name in overrides if name.startswith(('branch.', 'probe.')) and name not in parts]
    if strange:
        raise ValueError(
            f'--branch_from makes one branch, and no probe of it; config.{strange[0]} is for a study that makes some, '
            f'with --config. What it takes is what becomes of the state: {", ".join(parts)}'
        )
    directory, parent, step = branch_point.point(where)
    inside = workdir is not None and directory.resolve().parent.parent == workdir.resolve()
    parent_directory = f'{parent.study}/{parent.id}' if inside else str(directory.resolve())
    changes = {name: value for name, value in overrides.items() if name not in parts}
    state = {parts[name]: value for name, value in overrides.items() if name in parts}
    return branch.branch(parent, parent_directory, step, changes, state)
