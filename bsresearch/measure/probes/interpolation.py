"""Loss and accuracy along paths between two solutions, w_S (α = 0) and w_L (α = 1), for α from −1 to 2.

Keskar et al. 2017 (arXiv:1609.04836), figures 3 and 7, after Goodfellow et al. 2015 (arXiv:1412.6544):
  linear   (1 − α)·w_S + α·w_L,
  curved   cos(πα/2)·w_S + sin(πα/2)·w_L.
Losses are those of evaluation, over all examples. Batch norm's running statistics belong to weights: on the path they
are interpolated like them, or estimated anew at every α from training batches (the answer may depend on it).
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from bsresearch.core import lookup, rng
from bsresearch.measure import num_examples
from bsresearch.measure.probes import Arrays, Kind, Place

PyTree = Any
PATHS = ('linear', 'curved')
MOST_POINTS = 10**4  # each evaluates all examples
STATISTICS = ('interpolated', 'estimated')


def build(
    *,
    low: float = -1.0,
    high: float = 2.0,
    num_points: int = 25,
    paths: tuple[str, ...] = PATHS,
    statistics: str = 'estimated',
    batch_size: int = 256,
    batches: int = 20,
    seed: int = 0,
) -> Kind:
    """The probe.

    Args:
      low, high, num_points: the α, evenly spaced, ends included.
      paths: of PATHS, a block each.
      statistics: batch norm's running ones at each point: 'interpolated' along the same path, or 'estimated': the mean
        over `batches` training batches of `batch_size`, drawn by `seed`, in training mode. Without batch norm, nothing.
      batch_size, batches, seed: of those batches.
    """
    _check_settings(low, high, num_points, paths, statistics, batch_size, batches)
    alphas = np.linspace(float(low), float(high), num_points)

    def check(shapes: PyTree, examples: int, ghost: int | None) -> None:
        if ghost and statistics == 'estimated' and batch_size % ghost:
            raise ValueError(
                f'config.probe.batch_size={batch_size} is not a whole number of batch-norm groups of {ghost}'
            )

    def run(place: Place, learning_rate: float, block: int) -> Arrays:
        rows: dict[str, list[float]] = {}
        for alpha in alphas:
            mixed = functools.partial(mix, paths[block], float(alpha))
            params = jax.tree.map(mixed, *place.params)
            stats = jax.tree.map(mixed, *place.stats)
            if jax.tree.leaves(stats) and statistics == 'estimated':
                stats = _estimated(place, params, batch_size, batches, seed)
            for name, value in place.evaluate(params, stats).items():
                rows.setdefault(name, []).append(value)
        return {name: np.array(values) for name, values in rows.items()}

    def finish(place: Place, blocks: Sequence[Arrays]) -> Arrays:
        measured = {f'{path}/{name}': x for path, b in zip(paths, blocks, strict=True) for name, x in b.items()}
        return {'alpha': alphas} | measured | _apart(*(_flat(p) for p in place.params))

    def calls(examples: int) -> dict[int, float]:
        return {examples: len(paths) * num_points / 3}  # an evaluation is a third of a gradient

    brief = ({'num_points': 2}, len(paths) * num_points / 2)
    return Kind(check=check, blocks=len(paths), run=run, finish=finish, points=2, brief=brief, calls=calls)


def _check_settings(
    low: float, high: float, num_points: int, paths: tuple[str, ...], statistics: str, batch_size: int, batches: int
) -> None:
    """Raises ValueError for a value that makes no sense in any run."""
    if not low < high:
        raise ValueError(f'config.probe.low={low}, high={high}: low must lie below high')
    if not 2 <= num_points <= MOST_POINTS or batch_size < 1 or batches < 1:
        raise ValueError(
            f'config.probe.num_points={num_points}, batch_size={batch_size}, batches={batches}: at least 2, 1 and 1, '
            f'num_points at most {MOST_POINTS}'
        )
    for path in paths or ('',):
        if path not in PATHS:
            raise ValueError(f'config.probe.paths={paths}: {path!r}; {lookup.nearest(path, PATHS)}')
    if statistics not in STATISTICS:
        raise ValueError(f'config.probe.statistics={statistics!r}; {lookup.nearest(statistics, STATISTICS)}')


def mix(path: str, alpha: float, small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """A point of the path, in the weights' precision."""
    first, second = (
        (1 - alpha, alpha) if path == 'linear' else (math.cos(math.pi * alpha / 2), math.sin(math.pi * alpha / 2))
    )
    return (first * small.astype(np.float64) + second * large.astype(np.float64)).astype(small.dtype)


def _estimated(place: Place, params: PyTree, size: int, batches: int, seed: int) -> PyTree:
    """Mean and variance of batch norm's inputs at these weights: the mean of batches' own."""
    total = None
    for i in range(batches):
        rows = rng.generator(seed, 'probe/interpolation', i).integers(0, num_examples(place.train), size)
        batch = jax.tree.map(lambda x, rows=rows: np.asarray(x)[rows], place.train)
        statistics = jax.tree.map(np.asarray, place.call('batch_statistics', place.batch_statistics, (params, batch)))
        total = statistics if total is None else jax.tree.map(np.add, total, statistics)
    return jax.tree.map(lambda x: x / batches, total)


def _flat(tree: PyTree) -> np.ndarray:
    return np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(tree)])


def _apart(small: np.ndarray, large: np.ndarray) -> dict[str, np.ndarray]:
    """How far the two solutions lie from each other: distance, and cosine of the angle at the origin; their norms."""
    norms = np.array([np.linalg.norm(small), np.linalg.norm(large)])
    distance, cosine = np.linalg.norm(small - large), small @ large / norms.prod()
    return {'distance': np.array(distance), 'cosine': np.array(cosine), 'norms': norms}
