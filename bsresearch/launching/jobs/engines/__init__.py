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

from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

import jax

from bsresearch.core import lookup


class Job(NamedTuple):
    """A job. name: <study>/<id> of its group or probe. command: its argument list, good in the launcher's directory."""

    name: str
    command: tuple[str, ...]


class Ended(NamedTuple):
    """A job that ended. code: its exit code, None if unknown. words: its last ones, '' where the launcher saw them."""

    job: Job
    code: int | None
    words: str


class Engine(NamedTuple):
    """Where jobs run. at_once: how many together at most, None as it sees fit. options: its own, all of them."""

    name: str
    at_once: int | None
    options: Mapping[str, Any]
    module: ModuleType

    @property
    def platform(self) -> str:
        """What the jobs will find: cpu, gpu or tpu."""
        return self.module.platform(**self.options)

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
    module.check(at_once, **options)
    return Engine(name, at_once, options, module)
