"""The records of a workdir to other tools, after the fact: `bsresearch export --to=…`."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from bsresearch import loggers
from bsresearch.loggers import Run
from bsresearch.store import records, standing


class Exported(NamedTuple):
    """Of a logger: how many runs and rows were written, and how many runs were there already and stay."""

    runs: int
    rows: int
    there: int


def export(workdir: pathlib.Path, names: Sequence[str], out: pathlib.Path, *, overwrite: bool) -> dict[str, Exported]:
    """Writes all runs of a workdir; by logger what was written.

    Args:
      names: of loggers. out: each writes to a folder of its name in it, where it goes to no server.
      overwrite: replaces runs that are there already; without it they stay.

    Raises:
      ValueError: a logger is unknown, not installed or not logged in, or fails; one line, with the cure.
      FileNotFoundError: no runs.
    """
    for name in names:
        loggers.check(name, '--to')
    directories = records.run_dirs(workdir)
    return {name: _all(directories, name, out / loggers.label(name), overwrite) for name in names}


def _all(directories: Sequence[pathlib.Path], name: str, folder: pathlib.Path, overwrite: bool) -> Exported:
    written = rows = 0
    for directory in directories:
        run = loggers.described(directory)
        recorded = loggers.rows(directory, run)
        try:
            log = loggers.logger(name).open_log(run, folder, 'replace' if overwrite else 'new')
        except FileExistsError:
            continue
        except (Exception, SystemExit) as error:
            raise _failed(name, run, error) from None
        try:
            log.write(recorded)
            log.close(_status(directory))
        except (Exception, SystemExit) as error:
            raise _failed(name, run, error) from None
        written, rows = written + 1, rows + len(recorded)
    return Exported(written, rows, len(directories) - written)


def _status(directory: pathlib.Path) -> str:
    status = standing.name(directory, records.status(directory))
    return status if status in loggers.STATUSES else 'stopped'


def _failed(name: str, run: Run, error: BaseException) -> ValueError:
    return ValueError(
        f'{name} failed at run {run.id} ({loggers.reason(error)}); the records are as they were; the same command with '
        '--overwrite begins anew'
    )
