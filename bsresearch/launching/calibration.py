"""calibration.json of a workdir: seconds per update by which lengths in seconds became updates; never made anew.

{'schema': 1, 'seconds_per_update': {key: seconds}, 'devices': {key: kind}, 'sha256'}; the key is planning/seconds.py's.
"""

import pathlib
from collections.abc import Callable
from typing import TypeVar

import jax

from bsresearch.core import precision
from bsresearch.launching import groups
from bsresearch.launching.rates import trial
from bsresearch.planning import seconds
from bsresearch.planning.plan import Plan
from bsresearch.store import paths

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
        paths.write_json(workdir / NAME, content)
    say(f'batch size {plan.batch_size}: {1000 * measured:.3g} ms per update, measured once ({workdir / NAME})')


@precision.held
def seconds_per_update(plan: Plan) -> float:
    """Of one run alone (train/calibrate.py), without compiling, evaluating or saving.

    The least of three: what else the machine does only makes updates longer.
    """
    measured = []
    for _ in range(3):
        with trial([plan], 'sequential') as session:
            session.start()
            measured.append(session.recorder.pace[0])
    return min(measured)
