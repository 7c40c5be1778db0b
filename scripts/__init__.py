"""Doors: flags and one call each. `bsresearch <command>` goes through them, `python -m scripts.<name>` too."""

import sys

from bsresearch.core import program

if program.lacks(program.WITHOUT_JAX):
    sys.exit(program.USAGE)
