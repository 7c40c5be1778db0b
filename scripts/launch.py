"""The grid of a config as jobs on this machine or on a cluster, preemption-safe, in one workdir.

    bsresearch launch --config=batch_size_sweep --workdir=runs/a --engine=slurm --slurm_partition=gpu --array=16
    bsresearch launch --config=… --workdir=runs/a --processes=2   # --engine=local, the default: this machine
    bsresearch status --workdir=runs/a                            # or --status: every group: done, running, failed, to do
    bsresearch launch --retry --workdir=runs/a                    # what failed is to do again; with --config: now

Is `python -m scripts.launch` too. Takes the --config.<field>=… of `bsresearch run` and makes the same runs: replica groups are the jobs, and probes are. A stage (branches
need their parents) begins when the one before has ended; a failed group stops only what begins with it. Give the same
command again, here or elsewhere, also while jobs run: nothing is done twice, what was stopped goes on from its
checkpoint. Ctrl-C stops local jobs after a checkpoint; Slurm's go on without the launcher, up to the end of their stage.
Each job's output is in log.txt in its directory.

Engines are the files of bsresearch/launching/jobs/engines; the options of engine X are the flags --X_…. Exit code: 0 all is done,
1 something is not (--status says why), 2 a wrong command, of which nothing was submitted.
"""  # noqa: E501

import sys

from bsresearch.core import interrupts, program

if __name__ == '__main__':  # before the imports, which take seconds
    interrupts.install()

if program.lacks(program.JAX):
    sys.exit(program.USAGE)

from absl import flags

from bsresearch.core import flag_help
from bsresearch.launching import flag_parser
from bsresearch.launching.jobs import engines, launcher

REQUEST = launcher.Request


def enter(name: str) -> None:
    """The command, called `name`."""
    for option, (engine, field, default) in engines.flags().items():
        meaning = f'Of --engine={engine}: {field}; see bsresearch/launching/jobs/engines/{engine}.py.'
        flag_help.DEFINE[type(default)](option, default, meaning)
    flag_parser.enter(name, REQUEST, launch)


def launch(config: flags.Flag, request: launcher.Request) -> int:
    """With the options of engines that were given."""
    options = {name: flags.FLAGS[name].value for name in engines.flags() if flags.FLAGS[name].present}
    return launcher.launch(config, request, options)


if __name__ == '__main__':
    enter('launch')
