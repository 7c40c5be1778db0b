"""Whether this device gives the numbers of a CPU, but for rounding."""

import pathlib
from collections.abc import Iterator

import jax
import numpy as np

from bsresearch.core import precision
from bsresearch.launching import rates
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


def cases(work: Work) -> list[tuple[str, str, int, float]]:
    """(family, dtype, updates, limit)."""
    return [(family, *time) for family in FAMILIES[: 1 if work.toy else None] for time in TIMES]


def rows(work: Work) -> Iterator[Row]:
    """A row for each case; `work.step`: where another process makes them."""
    folder = pathlib.Path(work.folder)
    file = lambda where, family, dtype: folder / f'{family}-{dtype}-{where}.npy'
    if work.step:
        yield {'platform': compiling.platform()}
        for family, dtype, updates, _ in cases(work):
            np.save(file(work.step, family, dtype), moved(family, dtype, updates))
        return
    for where, environment in (('here', {}), ('cpu', {'JAX_PLATFORMS': 'cpu'})):
        for row in step(work, where, **environment):
            if 'skipped' in row:
                yield row
            elif (where, row['platform'], work.toy) == ('here', 'cpu', False):
                yield {'case': 'all', 'skipped': 'the device is a CPU'}
                return
    for family, dtype, updates, limit in cases(work):
        if file('here', family, dtype).exists() and file('cpu', family, dtype).exists():
            distance = apart(*(np.load(file(where, family, dtype)) for where in ('here', 'cpu')))
            row: Row = {'network': family, 'dtype': dtype, 'updates': updates, 'apart': distance}
            yield row | {'promised': limit, 'kept': distance <= limit}
