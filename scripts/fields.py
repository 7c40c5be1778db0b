"""Every field of a config with its default, unit and meaning; the parts of a section with theirs.

    bsresearch fields                      # all fields
    bsresearch fields schedule             # a section: its fields, and the parts that its name may pick
    bsresearch fields schedule.one_cycle   # a part: the fields that it brings
    bsresearch fields batch_size           # a field
    bsresearch fields nets.py:resnet       # a part of your own, or mylab.nets:resnet: what it may be, and its fields

In a config they are config.<field>, on the command line --config.<field>=<value>. None: not given. `bsresearch configs`
tells of whole configs.
"""

import sys

from bsresearch.core import flag_help, program

if program.lacks(program.JAX):
    sys.exit(program.USAGE)

from bsresearch.launching import describe


def enter(name: str) -> None:
    """The command, called `name`."""
    flag_help.enter_listing(name, __doc__, describe.text)


if __name__ == '__main__':
    enter('fields')
