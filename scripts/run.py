"""Trains the runs of a config, and makes its probes; the same command again goes on where it was.

    bsresearch run --config=quickstart --workdir=runs/a                         (or: python main.py …)
    bsresearch run --config=quickstart --workdir=runs/b --config.batch_size=64  # one value removes the axis
    bsresearch run --config=own/grid.py --dry_run                               # the runs it would make; writes nothing
    bsresearch branch runs/a/train/<id>@epoch:2 --workdir=runs/c --config.batch_size=64

--config takes the name of a config that comes with the package, or a path. Any field is --config.<field>=<value>, an
axis --config.sweep.<field>=<value>,<value>; `bsresearch fields` lists the fields.
Exit code: 0 all is done, 1 something failed, 2 a wrong command, of which nothing was written.
"""

import sys

from bsresearch.core import interrupts, program

if __name__ == '__main__':  # before the imports, which take seconds
    interrupts.install()

if program.lacks(program.JAX):
    sys.exit(program.USAGE)

from bsresearch.launching import command, flag_parser

REQUEST = command.Request


def enter(name: str) -> None:
    """The command, called `name`."""
    flag_parser.enter(name, REQUEST, command.run)


if __name__ == '__main__':
    enter('run')
