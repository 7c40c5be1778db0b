"""study.json where runs are launched: checked when a launch is planned, written before the first group is formed."""

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

    def beside(self, workdir: pathlib.Path, stored: Mapping[str, Any] | None) -> dict[str, Any]:
        """The entry after this launch; `stored`: before it. ValueError where the two ask different things."""
        file = workdir / self.study / study_file.NAME
        return merging.merged(stored, self.entry, f'{file}: findings {self.findings!r}')


def check(workdir: pathlib.Path, asked: Asked) -> None:
    """Raises ValueError where a launch asks something else than earlier ones in the workdir; writes nothing."""
    asked.beside(workdir, study_file.read(workdir / asked.study).get(asked.findings))


def write(workdir: pathlib.Path, asked: Asked | None, stay: presence.Stay) -> None:
    """Puts down what a launch asks, if it does, before its first group is formed; makes the workdir.

    Raises:
      ValueError: as in `check`. presence.Gone: the workdir, which `stay` knows, is not where it was.
    """
    if asked is None:
        return
    stay.check()
    paths.claim_workdir(workdir, stay)
    with groups.study_lock(workdir / asked.study):
        study_file.update(workdir / asked.study, asked.findings, lambda stored: asked.beside(workdir, stored))
