"""From a declared config to a study: its runs and its stages, checked before anything is written."""

import hashlib
import pathlib
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from bsresearch import findings, studies
from bsresearch.analysis import names
from bsresearch.core import own_part
from bsresearch.launching import calibration, environment, finished, fitting, groups, reading
from bsresearch.planning import branch, merging, normalization, question, seconds, sweep
from bsresearch.planning.plan import Plan, canonical, tuples
from bsresearch.planning.probe import Probe
from bsresearch.planning.stages import Stage, probes_of, runs_of, variants_of
from bsresearch.store import open_stages, paths, presence, study_file
from bsresearch.train.observing import metrics, trying

LATER = 'later stages depend on the results of these'


class Asked(NamedTuple):
    """What a launch puts down in the study.json of a study: the entry of these findings."""

    study: str
    findings: str
    entry: Mapping[str, Any]

    @property
    def known(self) -> names.Known:
        """Its arms, branch arms and axes."""
        axes = {axis for row in self.entry['rows'] for axis in row['axes']}
        return names.Known(self.entry['arms'], self.entry['branch_arms'], axes)

    def check(self, workdir: pathlib.Path) -> None:
        """Raises ValueError where it is something else than earlier launches in the workdir asked; writes nothing."""
        self._beside(workdir, study_file.read(workdir / self.study).get(self.findings))

    def write(self, workdir: pathlib.Path, stay: presence.Stay) -> None:
        """Puts it down; makes the workdir.

        Raises:
          ValueError: as in `check`. presence.Gone: the workdir, which `stay` knows, is not where it was.
        """
        stay.check()
        paths.claim_workdir(workdir, stay)
        folder = workdir / self.study
        with groups.study_lock(folder):
            study_file.update(folder, self.findings, lambda stored: self._beside(workdir, stored))

    def rebuild(self, workdir: pathlib.Path) -> bool:
        """Puts it down in place of what stood there; whether that was damaged, and other findings in it are lost."""
        folder = workdir / self.study
        with groups.study_lock(folder):
            try:
                entries, lost = study_file.read(folder), False
            except paths.Damaged:
                entries, lost = {}, True
            study_file.write(folder, {**entries, self.findings: dict(self.entry)})
        return lost

    def _beside(self, workdir: pathlib.Path, stored: Mapping[str, Any] | None) -> dict[str, Any]:
        """The entry after this launch; `stored`: before it."""
        file = workdir / self.study / study_file.NAME
        return merging.merged(stored, self.entry, f'{file}: findings {self.findings!r}')


class Study(NamedTuple):
    """A study as far as it can be told now.

    procedure: its module in bsresearch/studies. grid: the runs of the config. stages: those that are known. asked: what
    study.json will hold of them. awaits_results: later stages depend on results that are not there yet.
    """

    name: str
    procedure: Any
    grid: sweep.Grid
    stages: list[Stage]
    asked: Asked | None = None
    awaits_results: bool = False

    @property
    def plans(self) -> list[Plan]:
        """The runs of the config."""
        return self.grid.plans

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
        return [member for stage in self.stages for member in (*runs_of(stage), *probes_of(stage))]

    @property
    def runs(self) -> list[Plan]:
        """All runs, those of later stages too."""
        return runs_of(self.members)


def study(
    config: dict[str, Any],
    overrides: dict[str, Any],
    workdir: pathlib.Path | None,
    branch_from: str | None = None,
    pick: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
    *,
    with_findings: bool = True,
) -> Study:
    """The study of a config; nothing is written.

    Args:
      overrides: dotted path → value. branch_from: instead of the config's runs, one branch that begins there.
      pick: names of arms; all of them without any. say: told which arms do not follow an override, and which claims are
        on what the study has not got. with_findings: those that are named must be there, and name what it has.

    Raises:
      ValueError, OSError: what is wrong with config, workdir or findings, or does not go with earlier launches there.
    """
    config, overrides = own_part.located(config), own_part.located(overrides)
    asking = overrides.get('findings', config['findings']) if with_findings else ''
    module = findings.load(asking) if asking else None
    name = overrides.pop('study', config['study'])
    if branch_from is not None and pick:
        raise ValueError('--branch_from makes one run; --arms is for the arms of a config')
    if branch_from is None:
        folder = {'study': own_part.unplaced(name)}
        try:
            grid = sweep.grid(config | folder, overrides, pick, calibration=calibration.read(workdir))
        except seconds.Uncalibrated:
            if module is not None:
                _read_ahead(module, config | folder, overrides, pick)
            raise
        studies.check(name, grid.plans)
    else:
        plan, config = branch.by_hand(branch_from, workdir, overrides)
        name, grid = 'train', sweep.Grid([plan], [], None, [])
    if workdir is not None:
        paths.check_schema(workdir)
    for plan in grid.plans:
        if metrics.own_functions(plan):
            fitting.once(trying.check, [plan])
    planned = further(Study(own_part.unplaced(name), studies.module(name), grid, [], awaits_results=True), workdir)
    notes = [*grid.notes, *normalization.lines(config, planned.runs, workdir), *environment.own_data(grid.plans)]
    if planned.asked is not None and workdir is not None:
        planned.asked.check(workdir)
    notes += [*calibration.changed(workdir, grid.plans), *environment.beyond_the_data(grid.plans)]
    notes += environment.without_points(grid.plans, overrides)
    if module is not None and planned.asked is not None:
        members, awaits_results = planned.members, planned.awaits_results
        notes += reading.check(module, planned.asked.known, members, awaits_results=awaits_results)
    for note in notes:
        say(note)
    return planned


def _read_ahead(module: ModuleType, config: dict[str, Any], overrides: dict[str, Any], pick: Sequence[str]) -> None:
    """Looks at findings before seconds per update are measured, which takes a while: with a stand-in for them.

    Raises:
      ValueError: as `reading.check`.
    """
    try:
        grid = sweep.grid(config, overrides, pick, calibration=calibration.StandIn())
    except ValueError:  # as of points that such a length has not got: told when the true one is known
        return
    if (asked := _asked(config['study'], grid, [])) is not None:
        reading.check(module, asked.known, grid.plans, awaits_results=True)


def further(study: Study, workdir: pathlib.Path | None) -> Study:
    """The study with the stages that the finished records of a workdir tell beside those that were known.

    A stage is a function of the config and of finished records alone: the procedure begins anew each time, in whatever
    process, and comes to the same.
    """
    if not study.awaits_results:
        return study
    stages, awaits_results = finished.stages(study.procedure, study.plans, workdir)
    asked = _asked(study.name, study.grid, stages)
    return study._replace(stages=stages, asked=asked, awaits_results=awaits_results)


def write_down(study: Study, workdir: pathlib.Path, stay: presence.Stay) -> None:
    """Says in the workdir which run plays which part, and whether stages follow that are not known yet.

    Raises:
      ValueError: as `Asked.check`. presence.Gone: the workdir, which `stay` knows, is not where it was.
    """
    if study.asked is not None:
        study.asked.write(workdir, stay)
    folder, key = workdir / study.name, hashlib.sha256(canonical([p.id for p in study.plans]).encode()).hexdigest()[:12]
    if study.awaits_results or key in open_stages.read(folder):
        stay.check()
        paths.claim_workdir(workdir, stay)
        with groups.study_lock(folder):
            open_stages.note(folder, key, len(study.stages) if study.awaits_results else None)


def rebuilt(config: dict[str, Any], overrides: dict[str, Any], workdir: pathlib.Path) -> Asked:
    """What study.json holds of a config's launches: of its own runs and of others of its arms those in the workdir.

    Raises:
      ValueError: as in `study`; the config asks nothing, or the workdir has no runs of its study.
    """
    config, overrides = own_part.located(config), own_part.located(overrides)
    named = overrides.pop('study', config['study'])
    procedure, name = studies.module(named), own_part.unplaced(named)
    paths.check_schema(workdir)
    described = {file.parent.name: paths.read_json(file) for file in sorted((workdir / name).glob('*/config.json'))}
    if not described:
        raise ValueError(f'--rebuild: {workdir} has no runs of study {name!r}; name the workdir and config of a launch')
    on_disk = {run: tuples(content['declared']) for run, content in described.items() if 'declared' in content}
    known = calibration.read(workdir)
    grid = sweep.grid(config | {'study': name}, overrides, on_disk=on_disk, calibration=known)
    # What followed from results followed from those of the runs that were launched together: the config's own.
    launched = sweep.grid(config | {'study': name}, overrides, calibration=known)
    stages = [
        stage for plans in (launched.plans, grid.plans) for stage in finished.stages(procedure, plans, workdir)[0]
    ]
    asked = _asked(name, grid, stages)
    if asked is None:
        raise ValueError(
            '--rebuild: the config has neither findings nor arms, so that its launches write no study.json'
        )
    once = {canonical(row): row for row in asked.entry['rows']}
    rows = [row for row in once.values() if (workdir / name / row['id']).is_dir()]
    return asked._replace(entry={**asked.entry, 'rows': rows})


def _asked(name: str, grid: sweep.Grid, stages: Sequence[Stage]) -> Asked | None:
    """With the rows of all stages; None for what has neither findings nor arms."""
    if grid.question is None:
        return None
    rows, axes = list(grid.rows), dict[str, None]()
    for stage in stages:
        rows += question.of_stage(grid.question, rows, stage)
        axes |= {axis: None for one in variants_of(stage) for axis in question.axes_of(grid.question, one.changes)}
    return Asked(name, grid.question.findings, merging.with_axes(grid.question.entry(rows), axes))
