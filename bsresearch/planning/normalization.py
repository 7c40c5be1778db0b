"""The mean and std that a config gives are those of its data set: another one goes without them, and that is said."""

import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from bsresearch.core import own_part
from bsresearch.planning import edit, schema
from bsresearch.planning.plan import Plan
from bsresearch.store import paths

FIELDS = tuple(field.removeprefix('data.') for field in edit.NORMALIZATION)


class LeftOut(NamedTuple):
    """What of a config's normalization a run goes without.

    data: the config's set; other: that of the run. values: field → what the config gives. id: of the run with them, as
    older versions made it.
    """

    data: str
    other: str
    values: dict[str, Any]
    id: str

    @property
    def line(self) -> str:
        """For whoever launches it."""
        own = ' '.join(f'--config.data.{field}=…' for field in self.values)
        return (
            f'data set {self.other}: {self._written} of the config belong to {self.data} and are left out (mean 0 and '
            f'std 1 stand in their place); {own} give its own'
        )

    @property
    def cure(self) -> str:
        """Why a workdir that has the run as older versions made it is not gone on with."""
        flags = ' '.join(f'--config.data.{field}={",".join(map(str, value))}' for field, value in self.values.items())
        return (
            f'run {self.id} there is of {self.other} normalized by {self._written} of the config, which belong to '
            f'{self.data}; {flags} goes on with it, another --workdir begins without'
        )

    @property
    def _written(self) -> str:
        return ' and '.join(f'data.{field}={",".join(map(str, value))}' for field, value in self.values.items())


def left_out(config: Mapping[str, Any], plan: Plan) -> LeftOut | None:
    """Of a run whose config is `config` with changes (edit.assign takes the fields out); None where it has all."""
    usual, given, now = schema.known()['data'], config['data'], plan.declared['data']
    values = {field: tuple(given.get(field, usual[field])) for field in FIELDS if field not in now}
    dropped = {field: value for field, value in values.items() if value != usual[field]}
    if not dropped or given['name'] == now['name']:
        return None
    data, other = own_part.unplaced((given['name'], now['name']))
    return LeftOut(data, other, dropped, replace(plan, data=plan.data | dropped).id)


def lines(config: Mapping[str, Any], plans: Iterable[Plan], workdir: pathlib.Path | None) -> list[str]:
    """A line for each data set that goes without.

    Raises:
      ValueError: the workdir has such a run as older versions made it, normalized as another data set.
    """
    notes: dict[str, None] = {}
    for plan in plans:
        if (one := left_out(config, plan)) is None:
            continue
        if workdir is not None and paths.run_dir(workdir, plan.study, one.id).is_dir():
            raise ValueError(f'{workdir}: {one.cure}')
        notes[one.line] = None
    return list(notes)
