"""One job of a launch: takes its group or probe to its end. Engines start it: `python -m bsresearch worker …`."""

import sys

from bsresearch.core import program

if program.lacks(program.JAX):
    sys.exit(program.USAGE)

from bsresearch.launching import flag_parser
from bsresearch.launching.jobs import worker

REQUEST = worker.Request


def enter(name: str) -> None:
    """The command, called `name`."""
    flag_parser.enter(name, REQUEST, worker.work)
