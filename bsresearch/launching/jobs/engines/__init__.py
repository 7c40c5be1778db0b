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
Those of an engine of a user's own have no flags: it is run with their defaults, which may come from the environment.
A job is one command of scripts/worker.py. It takes a group or a probe to its end, saves and leaves on SIGTERM, SIGINT
and SIGUSR2, and goes on from there when it is given again; an engine may give it as often as it likes, also twice at
once. What became of it stands in the workdir; its exit code is 0 too where another process was at it.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import jax

from bsresearch.core import lookup, own_part


class Job(NamedTuple):
    """A job. name: <study>/<id> of its group or probe. command: its argument list, good in the launcher's directory."""

    name: str
    command: tuple[str, ...]


class Ended(NamedTuple):
    """A job that ended. code: its exit code, None if unknown. words: its last ones, '' where the launcher saw them."""

    job: Job
    code: int | None
    words: str


PLATFORMS = ('cpu', 'gpu', 'tpu')


@contextlib.contextmanager
def _in_one_line(name: str) -> Iterator[None]:
    """What goes wrong in an engine of a user's own is a ValueError: file, line and cause."""
    try:
        yield
    except Exception as error:
        if not own_part.is_path(name):
            raise
        raise own_part.failure(error, name, 'engine') from error


class Engine(NamedTuple):
    """Where jobs run. at_once: how many together at most, None as it sees fit. options: its own, all of them."""

    name: str
    at_once: int | None
    options: Mapping[str, Any]
    module: ModuleType

    @property
    def platform(self) -> str:
        """What the jobs will find: cpu, gpu or tpu."""
        with _in_one_line(self.name):
            platform = self.module.platform(**self.options)
        if platform not in PLATFORMS:
            raise ValueError(f'engine {self.name}: its platform returned {platform!r}; allowed: {", ".join(PLATFORMS)}')
        return platform

    def run(self, jobs: Sequence[Job], should_stop: Callable[[], bool]) -> Iterator[Ended]:
        """Starts the jobs and tells of each when it ended.

        Raises:
          ValueError: one of a user's own fails, or tells what is no Ended of these jobs. One line.
        """
        with _in_one_line(self.name):
            ended, allowed = self.module.run(jobs, self.at_once, should_stop, **self.options), 'an iterator of Ended'
            if not isinstance(ended, Iterable):
                raise ValueError(f'engine {self.name}: its run returned {type(ended).__name__}; allowed: {allowed}')
            for one in ended:
                if not (isinstance(one, tuple) and len(one) == len(Ended._fields) and one[0] in jobs):
                    raise ValueError(
                        f'engine {self.name}: its run told {one!r}; allowed: {allowed}, of the jobs it was given'
                    )
                yield Ended(*one)

    @property
    def trains_here(self) -> bool:
        """Whether its jobs train on the devices of this process."""
        return getattr(self.module, 'SAME_MACHINE', False) and self.platform == jax.default_backend()


def flags() -> dict[str, tuple[str, str, Any]]:
    """Flags of all engines: name → (engine, option, default)."""
    engines = {name: lookup.module(__name__, 'run', name, 'engine') for name in lookup.members(__name__, 'run')}
    return {
        f'{name}_{option}': (name, option, default)
        for name, module in engines.items()
        for option, default in lookup.keywords(module.run).items()
    }


def chosen(name: str, at_once: int | None, given: Mapping[str, Any]) -> Engine:
    """The engine of that name, checked; `given`: values of `flags` that the command has.

    Raises:
      ValueError: it is unknown, or cannot work here, or an option is another engine's.
    """
    module = lookup.module(__name__, 'run', name, 'engine')
    known, options = flags(), {}
    for flag, value in given.items():
        owner, option, _ = known[flag]
        if owner != name:
            raise ValueError(f'--{flag} is of engine {owner}; this launch has --engine={name}')
        options[option] = value
    if missing := [part for part in ('check', 'platform') if not hasattr(module, part)]:
        raise ValueError(f'--engine={name}: its file has no {" and no ".join(missing)} (launching/jobs/engines)')
    options = lookup.keywords(module.run) | options
    with _in_one_line(name):
        module.check(at_once, **options)
    return Engine(name, at_once, options, module)
