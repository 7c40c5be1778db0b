"""The configs that come with the package; of one, or of your own, what it asks: its words, arms, axes and runs.

    bsresearch configs                     # all, a line each
    bsresearch configs batch_size_sweep    # one: what it is, what it varies, how many runs it is
    bsresearch configs own/grid.py         # a file of your own

No data are read and nothing is trained; `bsresearch run --config=NAME --dry_run` lists the runs themselves.
"""

import sys

from bsresearch.core import flag_help, program

if program.lacks(program.JAX):
    sys.exit(program.USAGE)

from bsresearch.launching import listing


def enter(name: str) -> None:
    """The command, called `name`."""
    flag_help.enter_listing(name, __doc__, lambda config: listing.text(config.removeprefix('--config=')))


if __name__ == '__main__':
    enter('configs')
