"""The command line of a script that reads records: flags in, files out; a user's error is one line and exit code 2."""

import pathlib
import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from bsresearch.core import flag_help, program

WORKDIR = 'where the runs are: what a launch was given as --workdir'


def workdir() -> pathlib.Path:
    """The directory named by --workdir; of kept records (store/kept.py) what they unpack to.

    Raises:
      ValueError: none was named, or it is not there.
    """
    given = flags.FLAGS.workdir
    if not given:
        raise ValueError('--workdir=<directory> is needed: what a launch was given as --workdir')
    if not pathlib.Path(given).is_dir():
        raise ValueError(f'--workdir={given}: no such directory')
    from bsresearch.store import kept  # takes a second, which what is begun before need not wait for

    return kept.readable(pathlib.Path(given))


def out(below: str = '') -> pathlib.Path:
    """The directory named by --out; without, that given as --workdir, or the folder `below` it.

    Of kept records it is the folder that was named, and not what they unpack to, which goes with the process.
    """
    flag = flags.FLAGS.out
    return pathlib.Path(flag) if flag else pathlib.Path(flags.FLAGS.workdir) / below


def run(name: str, body: Callable[[], None]) -> None:
    """Parses the flags, calls `body` and leaves the process; its ValueError or OSError is the user's error.

    `name`: what the user called.
    """
    program.called(name)

    def fail(message: object) -> NoReturn:
        cause = getattr(message, '__cause__', None) if isinstance(message, ValueError) else None
        text = f'{message}: {type(cause).__name__}: {cause}' if cause is not None else str(message)
        sys.exit(program.usage(' '.join(text.split())))

    def parse(argv: list[str]) -> list[str]:
        logging.set_verbosity(logging.WARNING)  # matplotlib's font subsetter says a hundred lines at INFO.
        flag_help.show(argv, flags.FLAGS)
        return flag_help.parsed(argv, flags.FLAGS)

    def main(argv: list[str]) -> None:
        if len(argv) > 1:
            fail(f'unexpected argument {argv[1]!r}; flags are written --name=value')
        try:
            body()
        except (ValueError, OSError) as e:
            fail(e)

    app.run(main, flags_parser=parse)
