"""Which batch size, which learning rate, with the range that is as good and what it costs: from runs that are made, or were.

    bsresearch advise --config=quickstart --workdir=runs/advice --budget_minutes=10 [--target=test_accuracy:0.95]
    bsresearch advise --workdir=runs/a --target=test_accuracy:0.95
    bsresearch advise --table=sweep.csv --batch_size=bs --epochs=epochs_to_target --seconds=seconds --run=seed
    bsresearch advise --table=sweep.csv --batch_size=bs --learning_rate=lr --steps=steps --reached=done --goal=examples
    bsresearch advise --table=losses.csv --batch_size=bs --learning_rate=lr --loss='final loss' --at=96,192

With --config the runs are made first, within the time: --help with it has those flags. --workdir takes runs that are
there. Of a table a row is a run; flags name columns: how long it took to a target (--steps, --epochs or --examples; empty where it never
came there), its --seconds, or what it ended with (--loss). --where=column=value keeps some rows. The first line is the
advice; then what a run takes, what was held fixed, what would change the answer, which runs to make next, a line for
each batch size, the critical batch size. --json has the same. What the table does not tell is refused with the reason;
nothing is told beyond a factor of 2 outside of what was tried. How it is done: docs/advise.md. Time: seconds, and with
--config what it is given.
"""  # noqa: E501

import pathlib
import re
import sys
from typing import Any

from bsresearch.advice import command
from bsresearch.core import flag_help, interrupts, program

REQUEST = command.Request


def enter(name: str) -> None:
    """The command, called `name`."""
    if not any(re.match(r'--?config(=|\.|$)', argument) for argument in sys.argv[1:]):
        flag_help.enter(name, REQUEST, lambda request: command.command(request, _draw))
    interrupts.install()
    if program.lacks(program.JAX):
        sys.exit(program.USAGE)
    from bsresearch.launching import advising, flag_parser  # what trains takes seconds to import

    flag_parser.enter(name, advising.Request, advising.advise)


def _draw(*arguments: Any) -> list[pathlib.Path]:
    from bsresearch.report import advised  # drawing takes a second to import

    return advised.draw(*arguments)


if __name__ == '__main__':
    enter('advise')
