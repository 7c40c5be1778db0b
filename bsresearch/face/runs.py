"""`plan` and `run`: the engine from Python, as `bsresearch run` has it from the command line."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from ml_collections import ConfigDict

from bsresearch.core import interrupts
from bsresearch.launching import command, flag_parser, planner
from bsresearch.launching.console import Console
from bsresearch.store import records


def plan(
    config: str | Mapping[str, Any] | ConfigDict,
    overrides: Mapping[str, Any] | None = None,
    *,
    arms: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> planner.Study:
    """The runs of a config, every number resolved; nothing is written or trained.

    Args:
      config: a name, as 'quickstart', the path of a file, or a whole config, begun with `schema.defaults()`.
      overrides: dotted field → value; 'sweep.<field>' → tuple; a single value removes the axis of that field.
      arms: only these, by name. say: told what is worth knowing of the plan.

    Returns:
      the study: its `plans`, one per run, with their `id`; what `run` takes.

    Raises:
      ValueError: a config, field or value that cannot be.
    """
    if isinstance(config, str):
        try:
            declared = flag_parser.load(flag_parser.file_of_config(config)).to_dict()
        except flag_parser.ConfigError as error:
            raise ValueError(str(error)) from error
    else:
        declared = dict(config) if isinstance(config, Mapping) else config.to_dict()
    return planner.study(declared, dict(overrides or {}), None, pick=tuple(arms), say=say)


def run(plans: planner.Study, workdir: str | pathlib.Path, *, quiet: bool = False) -> pd.DataFrame:
    """Trains what is planned, in this process; finished runs are left alone, interrupted ones go on where they were.

    Args:
      plans: of `plan`. workdir: where runs are written, and found again. quiet: nothing is printed but errors.

    Returns:
      the records of the workdir, as `bsresearch.load` has them.

    Raises:
      ValueError: `plans` is no plan; it does not go with earlier launches in the workdir.
      KeyboardInterrupt: a signal asked for an end; everything reached is saved.
      RuntimeError: not all is done; what is wrong was printed.
    """
    if not isinstance(plans, planner.Study):
        raise ValueError(f'plans is of type {type(plans).__name__}; allowed: bs.run(bs.plan(config), workdir)')
    workdir = pathlib.Path(workdir)
    if plans.asked is not None:
        plans.asked.check(workdir)
    code = command.execute(Console(quiet=quiet), workdir, plans)
    if code > interrupts.SIGNALLED:
        raise KeyboardInterrupt
    if code:
        raise RuntimeError(f'not all of {workdir} is done; bsresearch status --workdir={workdir}')
    return records.load(workdir)
