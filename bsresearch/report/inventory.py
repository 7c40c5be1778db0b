"""The runs and probes of a workdir as the report needs them: finished or not, of this version or an older one."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from bsresearch.core import own_part
from bsresearch.core.flat import flatten
from bsresearch.store import estimates, lineage, paths, probe_records, records, standing


class Run(NamedTuple):
    """A run.

    declared, resolved: its config, dotted; declared is {} where none was stored. meta: of how and when it was made.
    parent: its lineage.json, None if it is no branch. last: the newest value of each recorded column. status: where it
    stands (store/standing.py).
    """

    id: str
    study: str
    declared: Mapping[str, Any]
    resolved: Mapping[str, Any]
    meta: Mapping[str, Any]
    parent: Mapping[str, Any] | None
    last: Mapping[str, Any]
    status: str

    def own(self, position: str) -> int:
        """How many 'step's or 'examples' are this run's own: a branch's position counts its parent's too."""
        start = (self.parent or {}).get(position, 0)
        return max(int(self.last.get(position) or 0) - int(start), 0)


class Probe(NamedTuple):
    """A probe. stated: its probe.json. status: as of a run."""

    id: str
    study: str
    stated: Mapping[str, Any]
    meta: Mapping[str, Any]
    status: str

    @property
    def name(self) -> str:
        """The file in bsresearch/measure/probes."""
        return self.stated.get('probe', {}).get('name', 'unnamed')


class Inventory(NamedTuple):
    """All of a workdir. estimates: `estimates.load`."""

    runs: tuple[Run, ...]
    probes: tuple[Probe, ...]
    estimates: tuple[Mapping[str, Any], ...] = ()

    @property
    def studies(self) -> list[str]:
        """Sorted."""
        return sorted({one.study for one in (*self.runs, *self.probes)})

    @property
    def metas(self) -> list[Mapping[str, Any]]:
        """How runs and probes were made, of those that noted it."""
        return [one.meta for one in (*self.runs, *self.probes) if one.meta]

    @property
    def own_metrics(self) -> list[str]:
        """Of measurements of a user's own."""
        return records.own_metrics(run.meta for run in self.runs)

    def of(self, study: str) -> 'Inventory':
        """The runs and probes of a study."""
        return self._replace(
            runs=tuple(run for run in self.runs if run.study == study),
            probes=tuple(probe for probe in self.probes if probe.study == study),
        )


def load(workdir: pathlib.Path) -> Inventory:
    """Everything, sorted by study and id.

    Raises:
      FileNotFoundError: neither runs nor probes. ValueError: a damaged file.
    """
    runs = [_run(directory) for directory in records.described_dirs(workdir, 'config.json')]
    probes = [_probe(directory) for directory in records.described_dirs(workdir, 'probe.json')]
    if not runs and not probes:
        raise FileNotFoundError(
            f'--workdir={workdir} holds no runs and no probes; name what a launch was given as --workdir'
        )
    return Inventory(tuple(runs), tuple(probes), tuple(estimates.load(workdir)))


def _run(directory: pathlib.Path) -> Run:
    config = own_part.unplaced(paths.read_json(directory / 'config.json', 'resolved'))
    declared, resolved = flatten(config.get('declared', {})), flatten(config['resolved'])
    meta, parent = records.status(directory), lineage.read(directory)
    last, status = records.last_row(directory), standing.name(directory, meta)
    return Run(directory.name, directory.parent.name, declared, resolved, meta, parent, last, status)


def _probe(directory: pathlib.Path) -> Probe:
    stated, meta = paths.read_json(directory / 'probe.json', 'probe', 'points'), probe_records.status(directory)
    return Probe(directory.name, directory.parent.name, stated, meta, standing.name(directory, meta))
