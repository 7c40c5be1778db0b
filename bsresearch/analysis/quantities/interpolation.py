"""Losses and accuracies between two solutions from probes (measure/probes/interpolation.py), over seeds."""

import pathlib
from typing import NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import resolution, summary
from bsresearch.analysis.quantities import gradient_norm
from bsresearch.store import records

METRICS = ('train_loss', 'test_loss', 'train_accuracy', 'test_accuracy')


class Found(NamedTuple):
    """One pair of runs.

    small, large: their ids, at α = 0 and 1. alpha: (points,). values: '<path>/<metric>' → (points,).
    distance, cosine: of the two weight vectors. norms: (2,) theirs. arms: numbers of the arms that the two are of.
    """

    id: str
    small: str
    large: str
    alpha: np.ndarray
    paths: tuple[str, ...]
    values: dict[str, np.ndarray]
    distance: float
    cosine: float
    norms: np.ndarray
    arms: tuple[int, int] = (0, 0)


def load(workdir: str | pathlib.Path) -> list[Found]:
    """The finished probes of a workdir.

    Raises:
      FileNotFoundError: there are none. ValueError: an older version made them with another loss.
    """
    found, numbers = [], gradient_norm.arms(workdir)
    for probe in records.probes(workdir, 'interpolation'):
        arrays, (small, large) = probe['arrays'], probe['points']
        found.append(
            Found(
                probe['meta']['id'],
                small['run'],
                large['run'],
                arrays['alpha'],
                tuple(probe['probe']['paths']),
                {k: v for k, v in arrays.items() if '/' in k},
                float(arrays['distance']),
                float(arrays['cosine']),
                arrays['norms'],
                (numbers[small['run']][0], numbers[large['run']][0]),
            )
        )
    for f in found:
        if any(k.endswith('_objective') and k.replace('_objective', '_loss') not in f.values for k in f.values):
            raise ValueError(
                f'probe {f.id} was made by an older version, whose losses hold label smoothing; remove its directory, '
                'and the command that made it makes it anew'
            )
    return found


def table(found: list[Found]) -> pd.DataFrame:
    """One row per path, metric and α: n pairs, mean, std, 95 % interval (low, high; NaN for one pair).

    Raises:
      ValueError: pairs on different α, of different arms, or one pair twice.
    """
    if len({f.alpha.tobytes() for f in found}) > 1:
        raise ValueError('the probes of this workdir have different α; draw them from workdirs of their own')
    if len({f.arms for f in found}) > 1 or len({(f.small, f.large) for f in found}) < len(found):
        raise ValueError(
            f'the {len(found)} probes of this workdir are of several arms, or of several settings, and no repetitions: '
            'draw them from workdirs of their own'
        )
    rows = []
    for path in found[0].paths:
        for metric in METRICS:
            values = [f.values[f'{path}/{metric}'] for f in found if f'{path}/{metric}' in f.values]
            if not values:  # no accuracy without classes
                continue
            values = np.stack(values)
            n, mean = len(values), values.mean(axis=0)
            std = values.std(axis=0, ddof=1) if n > 1 else np.full(len(mean), np.nan)
            rounding = resolution.variance(metric, values.ravel())
            low, high = summary.interval(np.full(len(mean), n), mean, std, rounding)
            facts = {'path': path, 'metric': metric, 'alpha': found[0].alpha, 'n': n}
            rows.append(pd.DataFrame(facts | {'mean': mean, 'std': std, 'low': low, 'high': high}))
    return pd.concat(rows, ignore_index=True)


def text(found: list[Found]) -> str:
    """The ends, the highest training loss between them, and how far apart they are; a line per pair."""
    lines = []
    for f in found:
        ends = np.interp((0, 1), f.alpha, f.values[f'{f.paths[0]}/train_loss'])
        inside = (f.alpha >= 0) & (f.alpha <= 1)
        top = {p: float(f.values[f'{p}/train_loss'][inside].max()) for p in f.paths}
        between = ', '.join(f'{p} {v:.4g}' for p, v in top.items())
        lines.append(
            f'  {f.small} (α = 0) and {f.large} (α = 1): training loss {ends[0]:.4g} and {ends[1]:.4g}, highest '
            f'between: {between}; distance {f.distance:.4g}, norms {f.norms[0]:.4g} and {f.norms[1]:.4g}, '
            f'cosine {f.cosine:.4f}'
        )
    return '\n'.join(lines)
