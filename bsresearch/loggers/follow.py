"""The process of the loggers of runs in training: `python -m bsresearch.loggers.follow <workdir> <loggers> <run>…`.

It writes what the records have grown by, every few seconds, until its input ends, and once more then. Loggers write to
<workdir>/loggers/<name>; how many lines of a run's records each has stands in <workdir>/loggers/written/<key>.json, so
that a run that goes on is gone on with. What it prints is told on the training's console.
"""

import contextlib
import os
import pathlib
import select
import sys
from collections.abc import Callable, Sequence

from bsresearch import loggers
from bsresearch.loggers import Log, following
from bsresearch.store import paths, records, verify

SECONDS = 5.0


class _Followed:
    """One run for one logger."""

    def __init__(self, name: str, directory: pathlib.Path, root: pathlib.Path):
        self._name, self._directory, self._size = name, directory, -1
        self._run = loggers.described(directory)
        self._note = root / 'written' / f'{self._run.key}.json'
        for folder in (root, self._note.parent):  # not the workdir, which may have been moved
            folder.mkdir(exist_ok=True)
        self._written = int((paths.read_json(self._note) or {}).get(name, 0))
        self._log: Log = loggers.logger(name).open_log(
            self._run, root / loggers.label(name), 'continue' if self._written else 'replace'
        )

    def write(self) -> None:
        """The lines that came since."""
        rows = self._directory / verify.ROWS
        size = rows.stat().st_size if rows.exists() else 0
        if size == self._size:
            return
        self._size = size
        # A run that was killed has gone back to its checkpoint, and its lines come again as they were.
        if new := loggers.rows(self._directory, self._run, self._written):
            self._log.write(new)
            self._written += len(new)
            paths.write_json(self._note, (paths.read_json(self._note) or {}) | {self._name: self._written})

    def close(self) -> None:
        """Of a run that is not at its end the training was stopped."""
        status = records.status(self._directory).get('status')
        self._log.close('stopped' if status == 'running' else str(status))


def _each(followed: dict[str, list[_Followed]], step: Callable[[str], None], failed: Callable[..., None]) -> None:
    """A step of each logger; one that fails is left out from then on."""
    for name in list(followed):
        try:
            step(name)
        except (Exception, SystemExit) as error:
            del followed[name]
            failed(name, error)


def follow(
    workdir: pathlib.Path,
    names: Sequence[str],
    directories: Sequence[pathlib.Path],
    ended: Callable[[float], bool],
    say: Callable[[str], None],
) -> None:
    """Writes rows of runs, once they are begun, until `ended`, which waits as long as it is told at most."""
    followed: dict[str, list[_Followed]] = {name: [] for name in names}

    def failed(name: str, error: BaseException) -> None:
        say(f'logger {name} failed ({loggers.reason(error)}); {following.later(workdir, [name])}')

    def write(name: str) -> None:
        if not followed[name] and all('versions' in records.status(directory) for directory in directories):
            followed[name] = [_Followed(name, directory, workdir / 'loggers') for directory in directories]
        for run in followed[name]:
            run.write()

    def close(name: str) -> None:
        for run in followed[name]:
            run.close()

    while not ended(SECONDS):
        _each(followed, write, failed)
    _each(followed, write, failed)
    _each(followed, close, failed)


def _input_ended(seconds: float) -> bool:
    """Waits; whether the training has closed our input, or died."""
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def main(workdir: str, names: str, *directories: str) -> None:
    """With trackers' own words, and what is said, in <workdir>/loggers/log.txt."""
    os.nice(10)  # the training goes first
    console = os.fdopen(os.dup(1), 'w', encoding='utf-8')

    def say(line: str) -> None:
        for stream in (sys.stdout, console):  # the log, whose disk may be full; the training, which may have ended
            with contextlib.suppress(OSError):
                print(line, file=stream, flush=True)

    try:
        (pathlib.Path(workdir) / 'loggers').mkdir(exist_ok=True)
        log = open(pathlib.Path(workdir) / 'loggers' / 'log.txt', 'ab')  # noqa: SIM115 (to the end of the process)
    except OSError:
        log = open(os.devnull, 'ab')  # noqa: SIM115
    for number in (1, 2):
        os.dup2(log.fileno(), number)
    follow(pathlib.Path(workdir), names.split(','), [pathlib.Path(d) for d in directories], _input_ended, say)


if __name__ == '__main__':
    main(*sys.argv[1:])
