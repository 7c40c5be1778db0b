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
from typing import Any

from bsresearch.core import interrupts, program

if __name__ == '__main__':  # before the imports, which take seconds
    interrupts.install()

if program.lacks(program.JAX):
    sys.exit(program.USAGE)

from absl import app, flags

from bsresearch.launching import command, config_flag, flag_parser


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    config_flag.define()
    flags.DEFINE_string('workdir', None, 'Where runs are written, and found again.')
    flags.DEFINE_string('schedule_csv', None, 'With --dry_run: also write what each update would use.')
    flags.DEFINE_list('arms', [], 'Only these arms of the config, by name.')
    flags.DEFINE_bool('dry_run', False, 'Print the runs that would be made; train nothing.')
    flags.DEFINE_bool(
        'xla_analysis', False, 'With --dry_run: memory and FLOPs as XLA tells them; compiles each program.'
    )
    flags.DEFINE_bool('runs', False, 'List each run in the final table, not only the arms.')
    flags.DEFINE_bool('estimate', False, 'First measure how fast this machine is, and print how long it takes.')
    flags.DEFINE_bool('profile', False, 'Also trace a few updates of the first group, told by phases.')
    flags.DEFINE_string(
        'branch_from', None, '<directory of a run>@epoch:2, @step:100 or @examples:5000: one run that begins there.'
    )
    flags.DEFINE_bool('multihost', False, 'One of several processes that train together.')
    flags.DEFINE_string('coordinator', None, 'host:port of process 0; on a cluster found by itself.')
    flags.DEFINE_integer('processes', None, 'How many there are; on a cluster found by itself.')
    flags.DEFINE_integer('process', None, 'Which this is, from 0; on a cluster found by itself.')
    flags.DEFINE_integer('coordinator_seconds', 60, 'How long to wait for the other processes.', lower_bound=1)
    flags.DEFINE_bool('lineage', False, 'Print the tree of parents and branches of --workdir.')


def main(_: list[str]) -> None:
    """Runs the command and leaves with its exit code."""
    given: Any = {name: flags.FLAGS[name].value for name in command.Request._fields}
    interrupts.leave(command.run(flags.FLAGS['config'], command.Request(**given)))


def enter(name: str) -> None:
    """The command, called `name`."""
    define_flags()
    app.run(main, flags_parser=flag_parser.parser(name))


if __name__ == '__main__':
    enter('run')
