"""Engines: where the jobs of a grid run. A file that defines `run` is one; its name is `--engine`'s value.

    check(at_once, *, <option>, …) -> None
        Raises ValueError for what cannot work, before anything is written or submitted. It is given all options.
    platform(*, <option>, …) -> str
        What the jobs will find: cpu, gpu or tpu. Groups are formed for that.
    run(jobs, at_once, should_stop, *, <option>=<default>, …) -> Iterator[Ended]
        Starts every job, at most `at_once` of them together (None: as the engine sees fit), and tells of each when it
        ended. Once `should_stop()` it returns soon: jobs that would die with it have saved and stopped then.

    SAME_MACHINE = True
        Only where jobs run on the launcher's machine, whose memory is then checked first.

The keyword-only arguments of `run` are the schema: option `partition` of engine slurm is the flag --slurm_partition.
A job is one command of scripts/launch.py. It takes a group or a probe to its end, saves and leaves on SIGTERM, SIGINT
and SIGUSR2, and goes on from there when it is given again; an engine may give it as often as it likes, also twice at
once. What became of it stands in the workdir; its exit code is 0 too where another process was at it.
"""

from typing import NamedTuple

# Exit code of a job that a signal stopped: this and the signal's number, as shells have it.
SIGNALLED = 128


class Job(NamedTuple):
    """A job. name: <study>/<id> of its group or probe. command: its argument list, good in the launcher's directory."""

    name: str
    command: tuple[str, ...]


class Ended(NamedTuple):
    """A job that ended. code: its exit code, None if unknown. words: its last ones, '' where the launcher saw them."""

    job: Job
    code: int | None
    words: str
