"""calibration.json of a workdir: seconds per update by which lengths in seconds became updates; never made anew.

{'schema': 1, 'seconds_per_update': {key: seconds}, 'devices': {key: kind}, 'own_sources': {key: {file: sha256}},
'sha256'}; the key is planning/seconds.py's, and own_sources stand there where parts are a user's own.
"""

import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import jax

from bsresearch.core import own_part, precision
from bsresearch.launching import environment, groups
from bsresearch.launching.rates import trial
from bsresearch.planning import seconds
from bsresearch.planning.plan import Plan
from bsresearch.store import paths
from bsresearch.train import calibrate

T = TypeVar('T')
NAME = 'calibration.json'
SCHEMA = 1


def read(workdir: pathlib.Path | None) -> dict[str, float]:
    """Key → seconds per update; nothing where nothing was measured.

    Raises:
      Damaged: the file is not what was written.
    """
    content = None if workdir is None else paths.read_json(workdir / NAME, 'schema', 'seconds_per_update')
    return {} if content is None else content['seconds_per_update']


class StandIn(Mapping[str, float]):
    """A millisecond per update of any runs, where only what does not follow from their length is asked."""

    def __getitem__(self, key: str) -> float:
        return 1e-3

    def __iter__(self) -> Iterator[str]:
        return iter(('any',))

    def __len__(self) -> int:
        return 1


def changed(workdir: pathlib.Path | None, plans: Sequence[Plan]) -> list[str]:
    """A line where runs whose length was in seconds have other code of the user's own than was measured; or none."""
    content = {} if workdir is None else paths.read_json(workdir / NAME) or {}
    if not (measured := content.get('own_sources', {})):
        return []
    timed = [plan for plan in plans if plan.execution['seconds_per_update'] is not None]
    pairs = [(measured.get(seconds.key(plan), {}), own_part.sources(plan.resolved())) for plan in timed]
    differences = sorted({part for before, now in pairs for part in environment.changed_sources(before, now)})
    if not differences:
        return []
    return [
        f'{workdir}/{NAME}: seconds per update were measured with other code of your own: {", ".join(differences)}; '
        'the runs stay as long as they were, another workdir measures anew'
    ]


def planned(plan: Callable[[], T], workdir: pathlib.Path, say: Callable[[str], None]) -> T:
    """What `plan` gives, once all is measured that it lacks."""
    while True:
        try:
            return plan()
        except seconds.Uncalibrated as e:
            _add(workdir, e.plan, say)


def _add(workdir: pathlib.Path, plan: Plan, say: Callable[[str], None]) -> None:
    """Measures runs like `plan`, unless another process did meanwhile; one at a time on a workdir."""
    paths.claim_workdir(workdir)
    with groups.study_lock(workdir):
        content = paths.read_json(workdir / NAME) or {'schema': SCHEMA, 'seconds_per_update': {}, 'devices': {}}
        key = seconds.key(plan)
        if key in content['seconds_per_update']:
            return
        content['seconds_per_update'][key] = measured = seconds_per_update(plan)
        content['devices'][key] = jax.devices()[0].device_kind
        if sources := own_part.sources(plan.resolved()):
            content.setdefault('own_sources', {})[key] = sources
        paths.write_json(workdir / NAME, content)
    say(f'batch size {plan.batch_size}: {1000 * measured:.3g} ms per update, measured once ({workdir / NAME})')


@precision.held
def seconds_per_update(plan: Plan) -> float:
    """Of one run alone (train/calibrate.py), without compiling, evaluating or saving.

    The least of three: what else the machine does only makes updates longer.
    """
    measured = []
    for _ in range(3):
        calibrate.TIMED.clear()
        with trial([plan], 'sequential') as session:
            session.start()
            measured.append(session.recorder.pace[0])
    return min(measured)
