"""Jobs as Slurm job arrays, through submitit (extra `cluster`).

Before a job's time is up, and when it is preempted, Slurm signals it: its process saves a checkpoint and leaves, and
the job is queued again under its own number, as often as it takes. A launcher that stops leaves the jobs to Slurm.
"""

import contextlib
import getpass
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bsresearch.core.interrupts import SIGNALLED
from bsresearch.launching.jobs.engines import Ended, Job

FOLDER = '~/.cache/bsresearch/slurm'
# Slurm's default MaxArraySize is 1001.
LARGEST_ARRAY = 1000
# A long group is cut by the time limit any number of times.
TIMEOUTS = 1_000_000
RUNNING = ('RUNNING', 'SUSPENDED')


class Worker:
    """What submitit runs on the node: the job's command, in a process of its own.

    `checkpoint` is submitit's hook: called in a signal's handler, and followed by `scontrol requeue`.
    """

    def __init__(self, command: tuple[str, ...]):
        self.command = command
        self._pid: int | None = None

    def __call__(self) -> int:
        """Its exit code."""
        process = subprocess.Popen(self.command)
        self._pid = process.pid
        while process.poll() is None:
            time.sleep(0.2)
        code = process.returncode
        asked = code > SIGNALLED or code in (-signal.SIGTERM, -signal.SIGUSR2)  # the latter before it could listen
        if asked and _slurm_state(os.environ['SLURM_JOB_ID']) in RUNNING:
            # The process was asked to stop and this job was not: preempted with a grace time. submitit's way from here.
            os.kill(os.getpid(), signal.SIGUSR2)
        if asked:
            # No result, which would say that the job is over: Slurm is queueing it again, or was told to cancel it.
            sys.exit(code)
        return code

    def checkpoint(self) -> Any:
        """Has the process save and leave; what is to be queued again."""
        import submitit

        if self._pid is not None:
            self._stop(self._pid)
        return submitit.helpers.DelayedSubmission(Worker(self.command))

    def _stop(self, pid: int) -> None:
        # Once: a second signal would find the process on its way out. And not by Popen's wait, whose lock may be held
        # by the very frame that the signal interrupted.
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                time.sleep(0.2)


def check(at_once: int | None, *, minutes: int, signal_seconds: int, poll_seconds: float, **sizes: Any) -> None:
    """Whether this machine can submit; options as in `run`.

    Raises:
      ValueError: submitit or Slurm's commands are missing, or a number that cannot be.
    """
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise ValueError(
            'engine slurm needs submitit, the extra `cluster`: pip install -r requirements-cluster.txt'
        ) from None
    missing = [name for name in ('sbatch', 'srun', 'squeue', 'scontrol') if shutil.which(name) is None]
    if missing:
        raise ValueError(
            f'engine slurm needs {", ".join(missing)}, which is not on this machine: launch on a login node of the '
            'cluster, or use --engine=local'
        )
    if at_once is not None and at_once < 1:
        raise ValueError(f'--array={at_once}: at least 1 job at once is needed')
    if minutes * 60 <= signal_seconds:
        raise ValueError(
            f'--slurm_minutes={minutes} is over before --slurm_signal_seconds={signal_seconds}, the time to save a '
            'checkpoint in; give more minutes'
        )
    if poll_seconds <= 0:
        raise ValueError(f'--slurm_poll_seconds={poll_seconds:g}: a positive number is needed')
    for name in ('gpus', 'cpus', 'memory_gb'):
        if sizes[name] < 0:
            raise ValueError(f'--slurm_{name}={sizes[name]:g}: 0, which leaves it to the partition, or more is needed')


def platform(*, gpus: int, **_: Any) -> str:
    """A GPU where one is asked for."""
    return 'gpu' if gpus else 'cpu'


def run(
    jobs: Sequence[Job],
    at_once: int | None,
    should_stop: Callable[[], bool],
    *,
    partition: str = '',
    minutes: int = 60,
    gpus: int = 0,
    cpus: int = 0,
    memory_gb: float = 0.0,
    account: str = '',
    qos: str = '',
    constraint: str = '',
    signal_seconds: int = 120,
    poll_seconds: float = 10.0,
    folder: str = FOLDER,
) -> Iterator[Ended]:
    """As the contract has it; None leaves it to Slurm how many run at once.

    Args:
      minutes: time limit of a job; one that needs longer is queued again. signal_seconds: before that, to save.
      gpus, cpus, memory_gb: of a job; 0 leaves it to the partition. poll_seconds: between two calls of squeue.
      folder: submitit's files and the jobs' first words, on a disk that all hosts share; logs lie in the workdir.
    """
    import submitit
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    where = pathlib.Path(folder).expanduser() / '%j'
    executor = submitit.SlurmExecutor(folder=where, max_num_timeout=TIMEOUTS)
    given = {'partition': partition, 'gpus_per_node': gpus, 'cpus_per_task': cpus, 'account': account, 'qos': qos}
    given |= {'mem': f'{int(memory_gb * 1024)}MB' if memory_gb else '', 'constraint': constraint}
    executor.update_parameters(
        job_name='bsresearch',
        time=minutes,
        signal_delay_s=signal_seconds,
        array_parallelism=at_once or LARGEST_ARRAY,
        additional_parameters={'requeue': True},
        **{name: value for name, value in given.items() if value},
    )
    queued: dict[Job, Any] = {}
    for first in range(0, len(jobs), LARGEST_ARRAY):
        jobs_of_array = jobs[first : first + LARGEST_ARRAY]
        try:
            with executor.batch():
                submitted = [executor.submit(Worker(job.command)) for job in jobs_of_array]
        except (FailedJobError, FailedSubmissionError) as e:
            raise ValueError(f'sbatch refused the jobs: {" ".join(str(e).split())}') from e
        queued |= dict(zip(jobs_of_array, submitted, strict=True))
    yield from _wait(queued, should_stop, poll_seconds)


def _wait(queued: dict[Job, Any], should_stop: Callable[[], bool], poll_seconds: float) -> Iterator[Ended]:
    """Tells of each job when Slurm has it no more, or its result is there."""
    looked = 0.0
    in_queue = {submitted.job_id for submitted in queued.values()}
    while queued and not should_stop():
        if time.monotonic() - looked > poll_seconds:
            looked, in_queue = time.monotonic(), _in_queue(in_queue)
        for job, submitted in list(queued.items()):
            if submitted.paths.result_pickle.exists() or submitted.job_id not in in_queue:
                del queued[job]
                yield _ended(job, submitted)
        time.sleep(min(1.0, poll_seconds))


def _ended(job: Job, submitted: Any) -> Ended:
    lines = [line for line in (submitted.stderr() or '').splitlines() if line.strip()]
    code = None
    if submitted.paths.result_pickle.exists():
        error = submitted.exception()
        code = None if error is not None else submitted.result()
    nothing = f'it left no word in {submitted.paths.folder}: is --slurm_folder on a disk that all hosts share?'
    words = lines[-1] if lines else nothing
    return Ended(job, code, '' if code == 0 else f'Slurm job {submitted.job_id}: {words}')


def _in_queue(before: set[str]) -> set[str]:
    """Ids of this user's jobs that wait, run or are being ended; `before` where Slurm does not answer."""
    command = ['squeue', '-h', '-r', '-u', getpass.getuser(), '-o', '%i']
    answer = subprocess.run(command, capture_output=True, encoding='utf-8', errors='replace')
    return set(answer.stdout.split()) if answer.returncode == 0 else before


def _slurm_state(number: str) -> str:
    """Of a job: RUNNING, COMPLETING, CANCELLED, …; '' if Slurm does not answer."""
    answer = subprocess.run(
        ['squeue', '-h', '-j', number, '-o', '%T'], capture_output=True, encoding='utf-8', errors='replace'
    )
    return answer.stdout.strip()
