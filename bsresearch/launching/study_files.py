"""study.json where runs are launched: checked when a launch is planned, written before its first group is formed."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from bsresearch.launching import groups
from bsresearch.planning import merging
from bsresearch.store import paths, presence, study_file


class Asked(NamedTuple):
    """What a launch puts down in the study.json of a study: the entry of these findings."""

    study: str
    findings: str
    entry: Mapping[str, Any]

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
