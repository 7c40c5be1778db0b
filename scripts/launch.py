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

import signal

from bsresearch.core import interrupts

if __name__ == '__main__':  # before the imports, which take seconds
    interrupts.install((*interrupts.NUMBERS, signal.SIGUSR2))

import os
import pathlib
import sys
import time
from typing import Any

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from bsresearch.core import lookup
from bsresearch.launching import command
from bsresearch.launching.console import Console
from bsresearch.launching.jobs import jobs, launcher, status, worker
from bsresearch.launching.jobs.engines import SIGNALLED
from bsresearch.store import leases, paths, records

USAGE = 2
ENGINES = 'bsresearch.launching.jobs.engines'
DEFINE = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}


def usage(message: str) -> int:
    """Prints what is wrong with the command; the exit code for it."""
    print(f'launch: {message}', file=sys.stderr)
    return USAGE


def options() -> dict[str, tuple[str, str, Any]]:
    """Flags of engines: name → (engine, option, default)."""
    found = {}
    for engine in lookup.members(ENGINES, 'run'):
        for option, default in lookup.keywords(lookup.module(ENGINES, 'run', engine, 'engine').run).items():
            found[f'{engine}_{option}'] = (engine, option, default)
    return found


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    config_flags.DEFINE_config_file('config', None, 'A config file.', lock_config=False, accept_new_attributes=True)
    flags.DEFINE_string('workdir', None, 'Where runs are written, and found again; on a disk that all hosts share.')
    flags.DEFINE_string('engine', 'local', 'Where jobs run: a file of bsresearch/launching/jobs/engines.')
    flags.DEFINE_integer('array', None, 'How many jobs at once; local: 1, slurm: as it sees fit.')
    flags.DEFINE_alias('processes', 'array')
    flags.DEFINE_bool('status', False, 'Print where every group and probe of --workdir stands.')
    flags.DEFINE_bool('retry', False, 'Make what failed to do again, from its checkpoints.')
    flags.DEFINE_string('worker', None, 'Internal: the job that this process is, <study>/<id>.')
    flags.DEFINE_string('token', '', 'Internal: what the job must find in the workdir.')
    for name, (engine, option, default) in options().items():
        DEFINE[type(default)](
            name, default, f'Of --engine={engine}: {option}; see bsresearch/launching/jobs/engines/{engine}.py.'
        )


def parse_flags(argv: list[str]) -> list[str]:
    """For `app.run`: a bad flag or config override is one line and exit code 2."""
    logging.set_verbosity(logging.WARNING)
    for arg in argv:
        if arg.startswith('--config=') and not pathlib.Path(file := arg.split('=', 1)[1].split(':')[0]).is_file():
            known = ', '.join(sorted(str(p) for p in pathlib.Path('configs').glob('*.py')))
            sys.exit(usage(f'no config file {file!r}; there are: {known}'))
    try:
        return flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as e:
        head, *rest = e.flagname.split('.')
        known = ('config', 'workdir', 'engine', 'array', 'processes', 'status', 'retry', *options())
        sys.exit(usage(f'unknown flag --{".".join([head, *rest])}; {lookup.nearest(head, known)}'))
    except flags.Error as e:
        sys.exit(usage(' '.join(str(e).split())))
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        told = str(e.args[0] if isinstance(e, KeyError) and e.args else e)
        sys.exit(usage(f'bad config file or --config override: {told.strip().splitlines()[-1]}'))


def engine(f: Any) -> launcher.Engine:
    """The engine that the flags name, checked.

    Raises:
      ValueError: it is unknown or cannot work here, or an option is another engine's.
    """
    lookup.module(ENGINES, 'run', f.engine, 'engine')
    given = {}
    for name, (owner, option, _) in options().items():
        if owner == f.engine:
            given[option] = f[name].value
        elif f[name].present:
            raise ValueError(f'--{name} is of engine {owner}; this launch has --engine={f.engine}')
    return launcher.prepared(f.engine, f.array, given)


def start(f: Any) -> int:
    """Plans, checks, launches; the exit code."""
    # The accelerator is for the jobs: one that this process held they could not have.
    jax.config.update('jax_platforms', 'cpu')
    workdir, console = pathlib.Path(f.workdir), Console()
    try:
        chosen = engine(f)
        study, plans = launcher.planned(*command.declared(f['config']), workdir)
        if f.retry and workdir.is_dir():
            again(workdir)
    except (ValueError, OSError) as e:
        return usage(str(e))
    try:
        code = launcher.run(workdir, study, plans, chosen, console.say)
        rows = [records.last_row(paths.run_dir(workdir, p.study, p.id)) for p in plans]
        console.results(workdir, plans, rows)
    except interrupts.Stopped as e:
        console.say(f'{interrupts.line(e.number)}, --status tells what is on its way')
        return SIGNALLED + e.number
    except (ValueError, OSError) as e:
        print(f'launch: {e}', file=sys.stderr)
        return launcher.INCOMPLETE
    if code:
        console.say(f'not all is done: python -m scripts.launch --status --workdir={workdir}')
    return code


def again(workdir: pathlib.Path) -> None:
    """What failed is to do again."""
    names = status.retry(workdir)
    print('\n'.join(f'{name} is to do again' for name in names) or 'nothing failed')


def log_into(directory: pathlib.Path) -> None:
    """Appends to log.txt all that this process prints from now on, XLA's own words too."""
    with open(directory / 'log.txt', 'a') as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
    sys.stdout.reconfigure(line_buffering=True)  # pyright: ignore[reportAttributeAccessIssue]
    print(f'--- {time.strftime("%Y-%m-%d %H:%M:%S")}, process {os.getpid()}: {" ".join(sys.argv)}')


def work(f: Any) -> int:
    """This process is a job."""
    workdir = pathlib.Path(f.workdir)
    with worker.asked_to_stop() as caught:
        try:
            jobs.check_token(workdir, f.token)
            item = jobs.find(workdir, f.worker)
        except (jobs.NotShared, ValueError) as e:
            print(f'launch: {e}', file=sys.stderr)
            return worker.NOT_SHARED
        command.use_compilation_cache()
        log_into(item.directory)
        return worker.run(item, caught)


def main(argv: list[str]) -> int:
    """Flags to values, and what to do."""
    f = flags.FLAGS
    if len(argv) > 1:
        return usage(f'unexpected argument {argv[1]!r}')
    if not f.workdir:
        return usage('--workdir=<directory> is needed: where runs are written, and found again')
    if f.worker:
        return work(f)
    try:
        if f.status:
            print(status.text(pathlib.Path(f.workdir)))
            return 0
        if f['config'].value is None and f.retry:
            again(pathlib.Path(f.workdir))
            return 0
    except (ValueError, OSError, leases.Owned) as e:
        return usage(str(e))
    if f['config'].value is None:
        return usage('--config=<file> is needed, e.g. --config=configs/batch_size_sweep.py; or --status or --retry')
    return start(f)


if __name__ == '__main__':
    define_flags()
    app.run(lambda argv: interrupts.leave(main(argv)), flags_parser=parse_flags)
