"""Gradient norm against batch size from probes (measure/probes/gradient_norm.py): spread, laws, prediction, identities.

Laws of the squared norms stand in laws.py.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import jackknife
from bsresearch.analysis.once import once
from bsresearch.analysis.quantities import gradient_entries, laws
from bsresearch.analysis.study import ABSENT, Study

NAME = 'gradient_norm'
STATISTICS = ('walking', 'frozen', 'single', 'summed', 'displacement', 'displacement_selected')
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class GradientNorms(NamedTuple):
    """One probe.

    id: its own. run, step, epoch: the checkpoint it was made at. learning_rate: η of the walk. parameters: the patterns
    of P. samples: n, examples per trial. seed: of the draws. settings: all that probes of one comparison have in
    common, canonical.
    norms: statistic → (trials, batch sizes).
    fourth, largest: (trials, batch sizes) Σ x⁴ and max |x| of the walking gradient's entries x; counts: (batch sizes,
    2 × bins) over all trials; edges: (bins + 1,) of |x| (measure/probes/walk.py).
    gradient_square, trace: ‖∇L‖² and tr Σ over P (N in the denominator) of the training set of `population` examples,
    NaN where they were not made. cell: of the run, without a point.
    """

    id: str
    run: str
    step: int
    epoch: float
    learning_rate: float
    parameters: str
    with_replacement: bool
    seed: int
    settings: str
    samples: int
    batch_sizes: np.ndarray
    norms: dict[str, np.ndarray]
    fourth: np.ndarray
    largest: np.ndarray
    counts: np.ndarray
    edges: np.ndarray
    gradient_square: float
    trace: float
    population: int
    cell: tuple[Any, ...] = ()

    @property
    def title(self) -> str:
        """Where it was made."""
        return f'epoch {self.epoch:g}, η = {self.learning_rate:g}'


@once
def of_study(study: Study) -> list[GradientNorms]:
    """The finished probes of a study with their cells: by cell, settings, η of the walk, replicate and point.

    Raises:
      ValueError: there are none.
    """
    rows = study.probed(NAME)
    if not len(rows):
        raise ValueError(f'no finished {NAME} probes; `bsresearch run` with --config.probe.name={NAME} makes them')
    # A cell's probes lie at several points of it.
    whole = [tuple(key) for key in rows[study.parts].assign(point=ABSENT).itertuples(index=False)]
    rows = rows.assign(whole=whole).drop_duplicates('id').set_index('id')
    places = {key: i for i, key in enumerate(dict.fromkeys(whole))}
    probes = [probe._replace(cell=rows.at[probe.id, 'whole']) for probe in
              of_probes([study.probes[name] for name in rows.index])]  # fmt: skip
    replicate = lambda probe: study.replicates.index(rows.at[probe.id, 'replicate'])
    return sorted(probes, key=lambda p: (places[p.cell], p.settings, p.learning_rate, replicate(p), p.run, p.step))


def of_probes(stored: Sequence[Mapping[str, Any]]) -> list[GradientNorms]:
    """Probes as `probe_records.load` reads them, by run, learning rate and point."""
    probes = []
    for probe in stored:
        arrays, point, settings = probe['arrays'], probe['points'][0], probe['probe']
        norms = {name: arrays[name].astype(np.float64) for name in STATISTICS if name in arrays}
        norms['summed'] = norms['single'] * arrays['batch_sizes']
        exact = {k: float(arrays.get(k, np.nan)) for k in ('gradient_square', 'trace')}
        probes.append(
            GradientNorms(
                id=probe['meta']['id'],
                run=point['run'],
                step=point['step'],
                epoch=point['epoch'],
                learning_rate=probe['learning_rate'],
                parameters=', '.join(settings['parameters']),
                with_replacement=settings['with_replacement'],
                seed=settings['seed'],
                settings=json.dumps(probe['meta']['identity']['probe'], sort_keys=True),
                samples=int(arrays['samples']),
                batch_sizes=arrays['batch_sizes'],
                norms=norms,
                population=int(arrays.get('population', 0)),
                **exact,
                **{k: arrays[k] for k in ('fourth', 'largest', 'counts', 'edges')},
            )
        )
    return sorted(probes, key=lambda p: (p.run, p.learning_rate, p.step))


def predicted(probe: GradientNorms) -> np.ndarray:
    """E S_single² for each batch size, without a fit: ‖∇L‖² + tr Σ/B, finite-population form without replacement.

    Without replacement from N: ‖∇L‖² + (tr Σ·N/(N−1)/B)(1 − B/N). NaN where the training set was not measured.
    """
    sizes, total = probe.batch_sizes, probe.population
    if probe.with_replacement:
        return probe.gradient_square + probe.trace / sizes
    return probe.gradient_square + probe.trace * total / max(total - 1, 1) / sizes * (1 - sizes / max(total, 1))


def table(probes: list[GradientNorms]) -> pd.DataFrame:
    """One row per probe and batch size: for each statistic mean, std, cv, rms, sem and quantiles over its trials.

    A norm that is not finite is counted in `non_finite` and makes its mean NaN: it is not averaged away. With one trial
    there is no std.
    """
    rows = []
    for probe in probes:
        for i, size in enumerate(probe.batch_sizes):
            row = {field: getattr(probe, field) for field in ('run', 'epoch', 'learning_rate', 'parameters')}
            row |= {'batch_size': int(size), 'trials': len(probe.norms['walking'])}
            row['non_finite'] = int((~np.isfinite(np.stack([x[:, i] for x in probe.norms.values()]))).any(axis=0).sum())
            for name in STATISTICS:
                row |= {f'{name}_{k}': v for k, v in _spread(probe.norms[name][:, i]).items()}
            row['single_rms_predicted'] = float(np.sqrt(predicted(probe)[i]))
            rows.append(row | _entries(probe, i))
    return pd.DataFrame(rows)


def _spread(x: np.ndarray) -> dict[str, float]:
    """Of one statistic at one batch size, (trials,); std with R − 1, sem = std/√R; all NaN if a norm is not finite."""
    names = [f'q{round(100 * q):02d}' for q in QUANTILES]
    if not np.isfinite(x).all():
        return dict.fromkeys(('mean', 'std', 'cv', 'sem', 'rms', *names), np.nan)
    mean, std = float(x.mean()), float(x.std(ddof=1)) if len(x) > 1 else np.nan
    facts = {'mean': mean, 'std': std, 'cv': std / mean if mean else np.nan, 'sem': std / math.sqrt(len(x))}
    return (
        facts
        | {'rms': float(np.sqrt((x**2).mean()))}
        | dict(zip(names, np.quantile(x, QUANTILES).tolist(), strict=True))
    )


def _entries(probe: GradientNorms, i: int) -> dict[str, float]:
    """Tails of the walking gradient's entries at one batch size, pooled over trials; kurtosis is 3 for a normal."""
    entries = probe.counts[i].sum() / len(probe.norms['walking'])
    square = (probe.norms['walking'][:, i] ** 2).mean()
    fourth = probe.fourth[:, i].mean(dtype=np.float64)
    tails = {
        'kurtosis': float(gradient_entries.kurtosis(fourth, square, entries)),
        **gradient_entries.quantiles(probe.counts[i], probe.edges),
        'largest': float(probe.largest[:, i].max()),
    }
    return {f'entries_{name}': value for name, value in tails.items()}


def normalized(probe: GradientNorms) -> np.ndarray:
    """(trials, batch sizes) walking norms, each batch size scaled to the mean of the largest."""
    walking = probe.norms['walking']
    mean = walking.mean(axis=0)
    return walking * mean[int(np.argmax(probe.batch_sizes))] / mean


def fits(probe: GradientNorms, statistic: str) -> pd.DataFrame:
    """`laws.fits` of the mean squares of a statistic, which is named in the first column."""
    table = laws.fits(probe.batch_sizes, probe.norms[statistic] ** 2)
    table.insert(0, 'statistic', statistic)
    return table


def identities(probe: GradientNorms) -> dict[str, float]:
    """Largest relative departures, over all finite trials: what must hold whatever the weights.

    displacement: ‖w_{K+1} − w*‖ over P against η·(n/B)·S_walk. frozen: its range over the batch sizes that divide n.
    single: |z| of the mean square against `predicted`, in standard errors of the mean over trials: about 3 at most,
    more with few trials, whose squares are skewed.
    """
    walked = probe.norms['walking'] * probe.learning_rate * probe.samples / probe.batch_sizes
    whole = probe.norms['frozen'][:, probe.samples % probe.batch_sizes == 0]
    squares = probe.norms['single'] ** 2
    largest = lambda x: float(np.max(x[np.isfinite(x)], initial=0.0)) if np.isfinite(x).any() else np.nan
    with np.errstate(invalid='ignore', divide='ignore', over='ignore'):
        sem = squares.std(axis=0, ddof=1) / np.sqrt(len(squares)) if len(squares) > 1 else np.full(1, np.nan)
        return {
            'displacement': largest(np.abs(probe.norms['displacement_selected'] / walked - 1)),
            'frozen': float((whole.max(axis=1) / whole.min(axis=1) - 1).max()) if whole.shape[1] else np.nan,
            'single': float(np.abs((squares.mean(axis=0) - predicted(probe)) / sem).max()),
        }


def text(probes: list[GradientNorms]) -> str:
    """What each probe found, for a terminal."""
    parts = []
    for probe in probes:
        rows = table([probe])
        columns = {
            'B': rows['batch_size'], 'walking': rows['walking_mean'], '± std': rows['walking_std'],
            'cv': rows['walking_cv'], 'frozen': rows['frozen_mean'], 'single rms': rows['single_rms'],
            'predicted': rows['single_rms_predicted'], 'displacement': rows['displacement_mean'],
        }  # fmt: skip
        trials, bad = len(probe.norms['walking']), int(rows['non_finite'].sum())
        head = f'run {probe.run}, {probe.title}, {probe.parameters}: '
        head += f'{trials} trials of {probe.samples} examples (seed {probe.seed})'
        head += '; one trial: no spread' if trials == 1 else ''
        head += f'; no intervals below {jackknife.FEWEST} trials' if trials < jackknife.FEWEST else ''
        head += f'; {bad} norms are not finite: their means are not given' if bad else ''
        body = pd.DataFrame(columns).to_string(index=False, float_format='{:.4g}'.format, na_rep='–')
        parts += [head, body]
        if len(probe.batch_sizes) >= 3 and not bad:
            fitted = pd.concat([fits(probe, 'walking'), fits(probe, 'single')])
            interval = lambda r, k: f'{r[k]:.3g} ({r[f"{k}_low"]:.3g} to {r[f"{k}_high"]:.3g})'
            parts += [
                f'  {r["statistic"]}²: {r["law"]}: a {interval(r, "a")}, b {interval(r, "b")}, R² {interval(r, "r2")}'
                for _, r in fitted.iterrows()
            ]
        departures = identities(probe)
        parts.append(
            f'  displacement = η·(n/B)·walking within {departures["displacement"]:.1e}; frozen constant within '
            f'{departures["frozen"]:.1e}; single-batch within {departures["single"]:.1f} standard errors of its '
            'prediction'
        )
    return '\n'.join(parts)
