"""Which batch size, which learning rate: from anyone's table of runs, with the range that is as good and what it costs.

    bsresearch advise --table=sweep.csv --batch_size=bs --epochs=epochs_to_target --seconds=seconds --run=seed
    bsresearch advise --table=sweep.csv --batch_size=bs --learning_rate=lr --steps=steps --reached=done --goal=examples
    bsresearch advise --table=losses.csv --batch_size=bs --learning_rate=lr --loss='final loss' --at=96,192

A row is a run. Flags name columns: how long it took to a target (--steps, --epochs or --examples; empty where it never
came there), its --seconds, or what it ended with (--loss). --where=column=value keeps some rows. The first line is the
advice; then what a run takes, what was held fixed, what would change the answer, which runs to make next, a line for
each batch size, the critical batch size. --json has the same. What the table does not tell is refused with the reason;
nothing is told beyond a factor of 2 outside of what was tried. How it is done: docs/advise.md. Time: seconds.
"""

from bsresearch.advice import command
from bsresearch.core import flag_help

REQUEST = command.Request


def enter(name: str) -> None:
    """The command, called `name`."""
    flag_help.enter(name, REQUEST, command.command)


if __name__ == '__main__':
    enter('advise')
