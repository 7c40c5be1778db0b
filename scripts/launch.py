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
from typing import Any

from bsresearch.core import interrupts, program

if __name__ == '__main__':  # before the imports, which take seconds
    interrupts.install()

if program.lacks(program.JAX):
    sys.exit(program.USAGE)

from absl import app, flags

from bsresearch.launching import config_flag, flag_parser
from bsresearch.launching.jobs import engines, launcher

DEFINE = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    config_flag.define()
    flags.DEFINE_string('workdir', None, 'Where runs are written, and found again; on a disk that all hosts share.')
    flags.DEFINE_string('engine', 'local', 'Where jobs run: a file of bsresearch/launching/jobs/engines.')
    flags.DEFINE_list('arms', [], 'Only these arms of the config, by name.')
    flags.DEFINE_integer('array', None, 'How many jobs at once; local: 1, slurm: as it sees fit.')
    flags.DEFINE_alias('processes', 'array')
    flags.DEFINE_bool('status', False, 'Print where every group and probe of --workdir stands.')
    flags.DEFINE_bool('rebuild', False, 'With --config: make study.json anew from the runs of --workdir.')
    flags.DEFINE_bool('retry', False, 'Make what failed to do again, from its checkpoints.')
    for name, (engine, option, default) in engines.flags().items():
        help_text = f'Of --engine={engine}: {option}; see bsresearch/launching/jobs/engines/{engine}.py.'
        DEFINE[type(default)](name, default, help_text)


def main(_: list[str]) -> None:
    """Runs the command and leaves with its exit code."""
    f = flags.FLAGS
    options = {name: f[name].value for name in engines.flags() if f[name].present}
    given: Any = {name: f[name].value for name in ('engine', 'array', 'arms', 'retry', 'rebuild')} | {
        'options': options,
        'look': f.status,
    }
    interrupts.leave(launcher.launch(f['config'], f.workdir, **given))


def enter(name: str) -> None:
    """The command, called `name`."""
    define_flags()
    app.run(main, flags_parser=flag_parser.parser(name))


if __name__ == '__main__':
    enter('launch')
