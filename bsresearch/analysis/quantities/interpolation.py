"""Losses and accuracies between two solutions from probes (measure/probes/interpolation.py), over pairs of runs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import resolution, summary
from bsresearch.analysis.once import once
from bsresearch.analysis.study import Study

NAME = 'interpolation'
METRICS = ('train_loss', 'test_loss', 'train_accuracy', 'test_accuracy')


class Interpolation(NamedTuple):
    """One pair of runs.

    small, large: their ids, at α = 0 and 1. alpha: (points,). values: '<path>/<metric>' → (points,).
    distance, cosine: of the two weight vectors. norms: (2,) theirs. cell: of the second run, at the probe's point.
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
    cell: tuple[Any, ...] = ()


@once
def of_study(study: Study) -> list[Interpolation]:
    """The finished probes of a study, in the order of its replicates.

    Raises:
      ValueError: there are none, or an older version made them with another loss.
    """
    rows = study.probed(NAME)
    if not len(rows):
        raise ValueError(f'no finished {NAME} probes; `bsresearch run` with --config.probe.name={NAME} makes them')
    order = rows['replicate'].map(study.replicates.index)
    rows = rows.assign(order=order).sort_values('order', kind='stable').drop_duplicates('id')
    pairs = of_probes([study.probes[probe] for probe in rows['id']])
    return [pair._replace(cell=cell) for pair, cell in zip(pairs, rows['cell'], strict=True)]


def of_probes(stored: Sequence[Mapping[str, Any]]) -> list[Interpolation]:
    """Probes as `store.probe_records` reads them.

    Raises:
      ValueError: an older version made them with another loss.
    """
    pairs = []
    for probe in stored:
        arrays, (small, large) = probe['arrays'], probe['points']
        values = {k: v for k, v in arrays.items() if '/' in k}
        if any(k.endswith('_objective') and k.replace('_objective', '_loss') not in values for k in values):
            raise ValueError(
                f'probe {probe["meta"]["id"]} was made by an older version, whose losses hold label smoothing; remove '
                'its directory, and the command that made it makes it anew'
            )
        pairs.append(
            Interpolation(
                probe['meta']['id'],
                small['run'],
                large['run'],
                arrays['alpha'],
                tuple(probe['probe']['paths']),
                values,
                float(arrays['distance']),
                float(arrays['cosine']),
                arrays['norms'],
            )
        )
    return pairs


def table(pairs: Sequence[Interpolation]) -> pd.DataFrame:
    """One row per path, metric and α: n pairs, mean, std, 95 % interval (low, high; NaN for one pair).

    Raises:
      ValueError: pairs on different α, of different cells, or one pair twice.
    """
    if len({pair.alpha.tobytes() for pair in pairs}) > 1:
        raise ValueError('the probes of this workdir have different α; draw them from workdirs of their own')
    if len({pair.cell for pair in pairs}) > 1 or len({(pair.small, pair.large) for pair in pairs}) < len(pairs):
        raise ValueError(
            f'the {len(pairs)} probes of this workdir are of several arms, or of several settings, and no repetitions: '
            'draw them from workdirs of their own'
        )
    rows = []
    for path in pairs[0].paths:
        for metric in METRICS:
            values = [pair.values[f'{path}/{metric}'] for pair in pairs if f'{path}/{metric}' in pair.values]
            if not values:  # no accuracy without classes
                continue
            values = np.stack(values)
            n, mean = len(values), values.mean(axis=0)
            std = values.std(axis=0, ddof=1) if n > 1 else np.full(len(mean), np.nan)
            rounding = resolution.variance(metric, values.ravel())
            low, high = summary.interval(np.full(len(mean), n), mean, std, rounding)
            facts = {'path': path, 'metric': metric, 'alpha': pairs[0].alpha, 'n': n}
            rows.append(pd.DataFrame(facts | {'mean': mean, 'std': std, 'low': low, 'high': high}))
    return pd.concat(rows, ignore_index=True)


def text(pairs: Sequence[Interpolation]) -> str:
    """The ends, the highest training loss between them, and how far apart they are; a line per pair."""
    lines = []
    for pair in pairs:
        ends = np.interp((0, 1), pair.alpha, pair.values[f'{pair.paths[0]}/train_loss'])
        inside = (pair.alpha >= 0) & (pair.alpha <= 1)
        top = {p: float(pair.values[f'{p}/train_loss'][inside].max()) for p in pair.paths}
        between = ', '.join(f'{p} {v:.4g}' for p, v in top.items())
        lines.append(
            f'  {pair.small} (α = 0) and {pair.large} (α = 1): training loss {ends[0]:.4g} and {ends[1]:.4g}, highest '
            f'between: {between}; distance {pair.distance:.4g}, norms {pair.norms[0]:.4g} and {pair.norms[1]:.4g}, '
            f'cosine {pair.cosine:.4f}'
        )
    return '\n'.join(lines)
