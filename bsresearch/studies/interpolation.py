"""Train two arms, then look at the loss between their solutions, seed by seed (measure/probes/interpolation.py).

Of the runs with that probe the grid holds two for each seed; the one with the smaller batch is α = 0 (equal batches:
the first of the grid). Other arms, `c.arms.other.probe.name = 'none'`, are trained alone.
"""

import pathlib
from collections.abc import Callable

from bsresearch.analysis.quantities import interpolation
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.planning.stages import Stages
from bsresearch.store import probe_records

NAME = 'interpolation'
SECTIONS = {'probe': None}


def pairs(plans: list[Plan]) -> list[tuple[Plan, Plan]]:
    """The two runs of each seed, of those that the probe is made between.

    Raises:
      ValueError: a seed has not exactly two, or their networks or data differ.
    """
    pairs_of_runs, plans = [], [p for p in plans if p.recording['probe']['name'] == NAME]
    for seed in sorted({p.seed for p in plans}):
        of_seed = sorted((p for p in plans if p.seed == seed), key=lambda p: p.batch_size)
        if len(of_seed) != 2:
            raise ValueError(
                f'config.study={NAME} needs two runs with config.probe.name={NAME} for each seed; seed {seed} has '
                f'{len(of_seed)}'
            )
        a, b = of_seed
        for field in ('model', 'data', 'dtype', 'data_checksum', 'loss', 'ghost_batch_size'):
            if getattr(a, field) != getattr(b, field):
                raise ValueError(f'runs {a.id} and {b.id} differ in {field}: there is no path between them')
        pairs_of_runs.append((a, b))
    return pairs_of_runs


def check(plans: list[Plan]) -> None:
    """Refuses what is no pair, before anything is done.

    Raises:
      ValueError: as `pairs`; another probe; points, since two lengths have none in common but their ends.
    """
    for plan in plans:
        probe = plan.recording['probe']
        if probe['name'] not in (NAME, 'none') or all(p.recording['probe']['name'] == 'none' for p in plans):
            raise ValueError(f'config.study={NAME} needs config.probe.name={NAME}; it is {probe["name"]!r}')
        if probe['at_steps'] or probe['at_epochs']:
            raise ValueError(f'config.study={NAME} looks at the ends of its runs; leave config.probe.at_… out')
    pairs(plans)


def probes(plans: list[Plan]) -> list[Probe]:
    """One for each seed."""
    ends = lambda pair: tuple((p, p.length.total_steps) for p in pair)
    return [Probe(pair[0].study, pair[0].recording['probe'], ends(pair), 0.0) for pair in pairs(plans)]


def stages(plans: list[Plan]) -> Stages:
    """The runs, then what lies between them."""
    yield plans
    yield probes(plans)


def conclude(workdir: pathlib.Path, plans: list[Plan], say: Callable[[str], None]) -> None:
    """Prints what was found at both ends and between them."""
    ids = {probe.id for probe in probes(plans)}
    paths_between = interpolation.of_probes(probe_records.load(workdir, NAME, ids))
    say(f'between the two solutions (`bsresearch fig interpolation` draws it):\n{interpolation.text(paths_between)}')
