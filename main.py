"""Flags → config → study: `python main.py --config=configs/….py --workdir=… [--config.<field>=…]`."""

from bsresearch.core import interrupts

if __name__ == '__main__':  # before the imports, which take seconds
    interrupts.install()

import sys

from absl import app, flags
from ml_collections import config_flags

from bsresearch.launching import command

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'A config file.', lock_config=False, accept_new_attributes=True
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Where runs are written, and found again.')
_SCHEDULE_CSV = flags.DEFINE_string('schedule_csv', None, 'With --dry_run: also write what each update would use.')
_DRY_RUN = flags.DEFINE_bool('dry_run', False, 'Print the runs that would be made; train nothing.')
_ESTIMATE = flags.DEFINE_bool('estimate', False, 'First measure how fast this machine is, and print how long it takes.')
_PROFILE = flags.DEFINE_bool('profile', False, 'Also trace a few updates of the first group, told by phases.')
_BRANCH_FROM = flags.DEFINE_string(
    'branch_from', None, '<directory of a run>@epoch:2, @step:100 or @examples:5000: one run that begins there.'
)
_MULTIHOST = flags.DEFINE_bool('multihost', False, 'One of several processes that train together.')
_COORDINATOR = flags.DEFINE_string('coordinator', None, 'host:port of process 0; on a cluster found by itself.')
_PROCESSES = flags.DEFINE_integer('processes', None, 'How many there are; on a cluster found by itself.')
_PROCESS = flags.DEFINE_integer('process', None, 'Which this is, from 0; on a cluster found by itself.')
_COORDINATOR_SECONDS = flags.DEFINE_integer(
    'coordinator_seconds', 60, 'How long to wait for the other processes.', lower_bound=1
)
_LINEAGE = flags.DEFINE_bool('lineage', False, 'Print the tree of parents and branches of --workdir.')


def main(argv: list[str]) -> None:
    """Runs the command and leaves with its exit code."""
    if len(argv) > 1:
        sys.exit(command.usage(f'unexpected argument {argv[1]!r}'))
    if _LINEAGE.value:
        sys.exit(command.show_lineage(_WORKDIR.value))
    what = {
        'dry_run': _DRY_RUN.value,
        'schedule_csv': _SCHEDULE_CSV.value,
        'branch_from': _BRANCH_FROM.value,
        'estimate_time': _ESTIMATE.value,
        'profile': _PROFILE.value,
    }
    if _MULTIHOST.value:
        what['together'] = (_COORDINATOR.value, _PROCESSES.value, _PROCESS.value, _COORDINATOR_SECONDS.value)
    elif _COORDINATOR.value or _PROCESSES.value or _PROCESS.value is not None:
        sys.exit(command.usage('--coordinator, --processes and --process need --multihost'))
    interrupts.leave(command.run(flags.FLAGS['config'], _WORKDIR.value, **what))


if __name__ == '__main__':
    app.run(main, flags_parser=command.parse_flags)
