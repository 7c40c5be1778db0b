"""Loggers: a run's records in the format of another tool. A file here is a logger, and its name is the config's.

Contract of `loggers/<name>.py`, or of a user's own function with the same arguments:

    open_log(run: Run, folder: pathlib.Path, mode: Mode) -> Log

`folder` is this logger's own. Loggers are given what the records hold, in a process of their own while a run trains
(loggers/following.py) or after the fact (loggers/exporting.py), so whatever happens to one, training goes on.
PACKAGE names what must be installed, EXTRA the extra that brings it; `check()`, where there is one, raises ValueError
for what else is lacking.
"""

import importlib.util
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from bsresearch.core import lookup, own_part
from bsresearch.core.flat import flatten
from bsresearch.store import paths, records

# new: FileExistsError where the run is there already. replace: what is there goes. continue: rows are added to it.
Mode = Literal['new', 'replace', 'continue']
FIELDS = ('loggers', 'tensorboard')  # of the config
STATUSES = ('done', 'diverged', 'failed', 'stopped', 'running')


class Run(NamedTuple):
    """What a logger is told of a run.

    Attributes:
      key: of this training of it: the same run made in another workdir has the same id and another key.
      config: the resolved fields by dotted name; of a user's own files without their folders.
      started: Unix time, seconds.
    """

    key: str
    id: str
    study: str
    config: Mapping[str, Any]
    started: float


class Row(NamedTuple):
    """What was recorded at θ_step.

    Attributes:
      time: Unix time, seconds; pauses of the run left out.
      position: examples, epoch, seconds of training, wall_seconds.
      metrics: finite numbers by name; those of a list are <name>/0, <name>/1, …
    """

    step: int
    time: float
    position: Mapping[str, float]
    metrics: Mapping[str, float]


class Log(Protocol):
    """A run as it is being written."""

    def write(self, rows: Sequence[Row]) -> None:
        """Rows in the order of the records, where steps may come twice or go back; durable when it returns."""
        ...

    def close(self, status: str) -> None:
        """`status`: one of STATUSES."""
        ...


def wanted(recording: Mapping[str, Any]) -> tuple[str, ...]:
    """The loggers that a config or a plan's `recording` asks for; `tensorboard=True` is the older name of one."""
    older = ('tensorboard',) if recording['tensorboard'] else ()
    return tuple(dict.fromkeys((*recording['loggers'], *older)))


def logger(name: str) -> Any:
    """The module of a logger; ValueError for a name that none has."""
    return lookup.module(__name__, 'open_log', name, 'logger')


def label(name: str) -> str:
    """The name of a logger's folder: of a user's own that of its file or module."""
    where = pathlib.PurePath(name.partition(':')[0]).name
    return where.removesuffix('.py') if own_part.is_path(name) else name


def check(name: str, field: str) -> None:
    """Raises ValueError for a logger that is unknown, not installed or not logged in. `field`: where it was asked."""
    module = logger(name)
    package = getattr(module, 'PACKAGE', None)
    if package is not None and importlib.util.find_spec(package) is None:
        raise ValueError(
            f'{field}: {name} needs {module.NEEDS}, which is not installed: pip install -r '
            f"requirements-{module.EXTRA}.txt, or pip install '.[{module.EXTRA}]'"
        )
    if (lacking := getattr(module, 'lacking', None)) is not None and (cure := lacking()):
        raise ValueError(f'{field}: {name} {cure}')


def reason(error: BaseException) -> str:
    """Why a logger failed, in a line: trackers tell of it in many."""
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0][:300]}' if lines else type(error).__name__


def described(directory: pathlib.Path) -> Run:
    """A run by its directory.

    Raises:
      Damaged: its description is not what was written.
    """
    config = own_part.unplaced(paths.read_json(directory / 'config.json', 'resolved')['resolved'])
    started = float(records.status(directory).get('started') or 0)
    key = f'{directory.name}-{paths.digest(started)[:6]}'
    return Run(key, directory.name, directory.parent.name, flatten(config), started)


def rows(directory: pathlib.Path, run: Run, start: int = 0) -> list[Row]:
    """The rows of a run from line `start` on, as its records hold them; errors as records.rows."""
    return [_row(row, run) for row in list(records.rows(directory))[start:]]


def _row(row: Mapping[str, Any], run: Run) -> Row:
    at = {name: row[name] for name in records.POSITION if name in row and name != 'step'}
    metrics = {k: v for k, v in row.items() if k not in records.POSITION}
    return Row(row['step'], run.started + at.get('wall_seconds', 0.0), at, dict(_numbers(metrics)))


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Each number with its name; what was not finite is null in the records, and left out."""
    for name, value in values.items():
        if isinstance(value, list):
            yield from _numbers({f'{name}/{i}': inner for i, inner in enumerate(value)})
        elif isinstance(value, int | float):
            yield name, float(value)
