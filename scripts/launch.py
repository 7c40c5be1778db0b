"""The grid of a config as jobs on this machine or on a cluster, preemption-safe, in one workdir.

    python -m scripts.launch --config=configs/batch_size_sweep.py --workdir=runs/a --engine=slurm --slurm_partition=gpu --array=16
    python -m scripts.launch --config=… --workdir=runs/a --processes=2     # --engine=local, the default: this machine
    python -m scripts.launch --status --workdir=runs/a                     # every group: done, running, failed, to do
    python -m scripts.launch --retry --workdir=runs/a                      # what failed is to do again; with --config: now

Takes main.py's --config.<field>=… and makes the same runs: replica groups are the jobs, and probes are. A stage (branches
need their parents) begins when the one before has ended; a failed group stops only what begins with it. Give the same
command again, here or elsewhere, also while jobs run: nothing is done twice, what was stopped goes on from its
checkpoint. Ctrl-C stops local jobs after a checkpoint; Slurm's go on without the launcher, up to the end of their stage.
Each job's output is in log.txt in its directory.

Engines are the files of bsresearch/launching/jobs/engines; the options of engine X are the flags --X_…. Exit code: 0 all is done,
1 something is not (--status says why), 2 a wrong command, of which nothing was submitted.
"""  # noqa: E501

from bsresearch.core import interrupts

if __name__ == '__main__':  # before the imports, which take seconds
    interrupts.install()

from absl import app, flags

from bsresearch.launching import config_flag, flag_parser
from bsresearch.launching.jobs import engines, launcher, worker

DEFINE = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    config_flag.define()
    flags.DEFINE_string('workdir', None, 'Where runs are written, and found again; on a disk that all hosts share.')
    flags.DEFINE_string('engine', 'local', 'Where jobs run: a file of bsresearch/launching/jobs/engines.')
    flags.DEFINE_integer('array', None, 'How many jobs at once; local: 1, slurm: as it sees fit.')
    flags.DEFINE_alias('processes', 'array')
    flags.DEFINE_bool('status', False, 'Print where every group and probe of --workdir stands.')
    flags.DEFINE_bool('retry', False, 'Make what failed to do again, from its checkpoints.')
    flags.DEFINE_string('worker', None, f'{flag_parser.INTERNAL}: the job that this process is, <study>/<id>.')
    flags.DEFINE_string('token', '', f'{flag_parser.INTERNAL}: what the job must find in the workdir.')
    for name, (engine, option, default) in engines.flags().items():
        help_text = f'Of --engine={engine}: {option}; see bsresearch/launching/jobs/engines/{engine}.py.'
        DEFINE[type(default)](name, default, help_text)


def main(_: list[str]) -> None:
    """Does the job that this process is, or runs the command; leaves with the exit code."""
    f = flags.FLAGS
    if f.worker:
        interrupts.leave(worker.work(f.workdir, f.worker, f.token))
    options = {name: f[name].value for name in engines.flags() if f[name].present}
    given = {'engine': f.engine, 'array': f.array, 'options': options, 'look': f.status, 'retry': f.retry}
    interrupts.leave(launcher.launch(f['config'], f.workdir, **given))


if __name__ == '__main__':
    define_flags()
    app.run(main, flags_parser=flag_parser.parser(launcher.PROGRAM))
