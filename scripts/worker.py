"""One job of a launch: takes its group or probe to its end. Engines start it: `python -m bsresearch worker …`."""

import sys

from bsresearch.core import interrupts, program

if program.lacks(program.JAX):
    sys.exit(program.USAGE)

from absl import app, flags

from bsresearch.launching import flag_parser
from bsresearch.launching.jobs import worker


def define_flags() -> None:
    """Called by this command alone."""
    flags.DEFINE_string('job', None, 'The job that this process is, <study>/<id>.')
    flags.DEFINE_string('workdir', None, 'Of the launch.')
    flags.DEFINE_string('token', '', 'What the job must find in the workdir.')


def main(_: list[str]) -> None:
    """Does the job and leaves with its exit code."""
    f = flags.FLAGS
    if not (f.job and f.workdir):
        interrupts.leave(program.usage('--job=<study>/<id> and --workdir=<directory> are needed'))
    interrupts.leave(worker.work(f.workdir, f.job, f.token))


def enter(name: str) -> None:
    """The command, called `name`."""
    define_flags()
    app.run(main, flags_parser=flag_parser.parser(name))
