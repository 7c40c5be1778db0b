"""From a declared config to a study: its runs and its stages, checked before anything is written."""

import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from bsresearch import findings, studies
from bsresearch.analysis import names
from bsresearch.launching.study_files import Asked
from bsresearch.planning import branch, branch_point, question, sweep
from bsresearch.planning.plan import Plan, tuples
from bsresearch.planning.probe import Probe
from bsresearch.store import paths

Stage = Sequence[Plan] | Sequence[Probe]


class Study(NamedTuple):
    """A study of which nothing is made yet.

    procedure: its module in bsresearch/studies. plans: the runs of the config. stages: as far as they can be told now.
    asked: what study.json will hold of it.
    """

    name: str
    procedure: Any
    plans: list[Plan]
    stages: list[Stage]
    asked: Asked | None = None

    @property
    def arms(self) -> dict[str, str]:
        """Of each run its names: `large`, of a branch `large/control@2`; nothing without arms."""
        names: dict[str, list[str]] = {}
        for row in self.asked.entry['rows'] if self.asked is not None and self.asked.entry['arms'] else ():
            branch = '' if row['branch'] is None else f'/{row["branch"]}@{row["point"]:g}'
            names.setdefault(row['id'], []).append(f'{row["arm"]}{branch}')
        return {run: ', '.join(dict.fromkeys(of_run)) for run, of_run in names.items()}

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
    config: dict[str, Any],
    overrides: dict[str, Any],
    workdir: pathlib.Path | None,
    branch_from: str | None = None,
    pick: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Study:
    """The study of a config; nothing is written.

    Args:
      overrides: dotted path → value. branch_from: instead of the config's runs, one branch that begins there.
      pick: names of arms; all of them without any. say: told which arms do not follow an override.

    Raises:
      ValueError, OSError: what is wrong with config or workdir, or does not go with earlier launches there.
    """
    name = overrides.pop('study', config['study'])
    if branch_from is not None and pick:
        raise ValueError('--branch_from makes one run; --arms is for the arms of a config')
    if branch_from is None:
        grid = sweep.grid(config | {'study': name}, overrides, pick)
        studies.check(name, grid.plans)
    else:
        name, grid = 'train', sweep.Grid([_branch(branch_from, workdir, overrides)], [], None, [])
    if workdir is not None:
        paths.check_schema(workdir)
    procedure = studies.module(name)
    stages = list(procedure.stages(grid.plans))
    asked = _asked(name, procedure, grid, stages)
    if asked is not None and workdir is not None:
        asked.check(workdir)
    for note in grid.notes:
        say(note)
    return Study(name, procedure, grid.plans, stages, asked)


def rebuilt(config: dict[str, Any], overrides: dict[str, Any], workdir: pathlib.Path) -> Asked:
    """What study.json holds of a config's launches: of its own runs and of others of its arms those in the workdir.

    Raises:
      ValueError: as in `study`; the config asks nothing, or the workdir has no runs of its study.
    """
    name = overrides.pop('study', config['study'])
    paths.check_schema(workdir)
    described = {file.parent.name: paths.read_json(file) for file in sorted((workdir / name).glob('*/config.json'))}
    if not described:
        raise ValueError(f'--rebuild: {workdir} has no runs of study {name!r}; name the workdir and config of a launch')
    on_disk = {run: tuples(content['declared']) for run, content in described.items() if 'declared' in content}
    grid = sweep.grid(config | {'study': name}, overrides, on_disk=on_disk)
    procedure = studies.module(name)
    asked = _asked(name, procedure, grid, list(procedure.stages(grid.plans)))
    if asked is None:
        raise ValueError(
            '--rebuild: the config has neither findings nor arms, so that its launches write no study.json'
        )
    rows = [row for row in asked.entry['rows'] if (workdir / name / row['id']).is_dir()]
    return asked._replace(entry={**asked.entry, 'rows': rows})


def checked(
    config: dict[str, Any],
    overrides: dict[str, Any],
    workdir: pathlib.Path | None,
    branch_from: str | None = None,
    pick: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Study:
    """`study`, whose findings are there and name what it has; `say` is also told of claims on what it has not.

    Raises:
      ValueError, OSError: as `study`, or an error of the findings, or a mistyped name in them; one line.
    """
    name = overrides.get('findings', config['findings'])
    module = findings.load(name) if name else None
    planned = study(config, overrides, workdir, branch_from, pick, say)
    if module is not None and planned.asked is not None:
        entry = planned.asked.entry
        axes = {axis for row in entry['rows'] for axis in row['axes']}
        for note in names.check(module, entry['arms'], entry['branch_arms'], axes):
            say(note)
    return planned


def _asked(name: str, procedure: Any, grid: sweep.Grid, stages: Sequence[Stage]) -> Asked | None:
    """With the rows of branches and probes; None for what has neither findings nor arms."""
    if grid.question is None:
        return None
    branches = procedure.named_branches(grid.plans) if hasattr(procedure, 'named_branches') else []
    of_branches = question.of_branches(grid.rows, branches)
    probes = [probe for stage in stages for probe in probes_of(stage)]
    rows = [*grid.rows, *of_branches, *question.of_probes([*grid.rows, *of_branches], probes)]
    return Asked(name, grid.question.findings, grid.question.entry(rows))


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
