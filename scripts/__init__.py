"""Doors: flags and one call each. `bsresearch <command>` goes through them, `python -m scripts.<name>` too.

What their console's encoding lacks they print plainly, all of them.
"""

import sys

from bsresearch.core import plain, program

plain.use()

if program.lacks(program.WITHOUT_JAX):
    sys.exit(program.USAGE)
