"""Flags → config → study: `python main.py --config=configs/….py --workdir=… [--config.<field>=…]`."""

from bsresearch.core import interrupts

if __name__ == '__main__':  # before the imports, which take seconds
    interrupts.install()


from typing import Any

from absl import app, flags

from bsresearch.launching import command, config_flag, flag_parser

config_flag.define()
flags.DEFINE_string('workdir', None, 'Where runs are written, and found again.')
flags.DEFINE_string('schedule_csv', None, 'With --dry_run: also write what each update would use.')
flags.DEFINE_bool('dry_run', False, 'Print the runs that would be made; train nothing.')
flags.DEFINE_bool('xla_analysis', False, 'With --dry_run: memory and FLOPs as XLA tells them; compiles each program.')
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


if __name__ == '__main__':
    app.run(main, flags_parser=flag_parser.parser(command.PROGRAM))
