"""Whether this device gives the numbers of a CPU, but for rounding."""

import concurrent.futures
import functools
import pathlib
from collections.abc import Iterator

import jax
import numpy as np

from bsresearch.core import precision
from bsresearch.launching import rates
from bsresearch.store import paths
from bsresearch.train.devices import compiling

from .. import turns
from .work import Row, Work, step

# dtype, updates, and how far apart movements may be: as docs/devices.md says.
TIMES = (('float32', 1, 1e-6), ('float64', 100, 1e-10))
FAMILIES = ('mlp', 'cnn', 'resnet_8')
BATCH_SIZE = 32


def moved(family: str, dtype: str, updates: int) -> np.ndarray:
    """Of all weights from the first to the last, float64."""
    changes = {'dtype': dtype, 'total_examples': BATCH_SIZE * updates, 'seconds_per_update': 1e-3}
    run = turns.plan(family, BATCH_SIZE, changes)
    with precision.of(run), rates.trial([run], 'sequential') as session:
        weights = lambda: jax.tree.leaves(session.group.get(session.state)[0].params)
        t, _ = session.start()
        first = weights()
        while t < session.events.total:
            t += session.advance(t)
        pairs = zip(weights(), first, strict=True)
        return np.concatenate([(np.asarray(a, np.float64) - np.asarray(b, np.float64)).ravel() for a, b in pairs])


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖/‖b‖."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def cases(work: Work) -> dict[str, tuple[str, str, int, float]]:
    """Name → (family, dtype, updates, limit)."""
    return {f'{family}-{time[0]}': (family, *time) for time in TIMES for family in FAMILIES[: 1 if work.toy else None]}


def _save(work: Work, name: str) -> Iterator[Row]:
    """One process's movement of a case: a file, whole or not there."""
    family, dtype, updates, _ = cases(work)[name]
    movement = moved(family, dtype, updates)
    with paths.replacing(pathlib.Path(work.folder) / f'{name}-{work.step}.npy') as f:
        np.save(f, movement)
    yield {'made': name}


def rows(work: Work) -> Iterator[Row]:
    """A row for each case; `work.step`: where another process makes all of them."""
    if work.step:
        yield {'platform': compiling.platform()}
        yield from work.in_time(cases(work), functools.partial(_save, work))
        return
    places: dict[str, dict[str, str]] = {'here': {}, 'cpu': {'JAX_PLATFORMS': 'cpu'}}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        of_places = list(pool.map(lambda place: list(step(work, place[0], environment=place[1])), places.items()))
    if {'platform': 'cpu'} in of_places[0] and not work.toy:
        yield {'case': 'all', 'skipped': 'the device is a CPU'}
        return
    yield from (row for of_place in of_places for row in of_place if 'skipped' in row)
    for name, (family, dtype, updates, limit) in cases(work).items():
        files = [pathlib.Path(work.folder) / f'{name}-{place}.npy' for place in places]
        if all(file.exists() for file in files):
            distance = apart(*map(np.load, files))
            row: Row = {'network': family, 'dtype': dtype, 'updates': updates, 'apart': distance}
            yield row | {'promised': limit, 'kept': distance <= limit}
