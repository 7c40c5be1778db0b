"""Gradient norm against batch size from probes (measure/probes/gradient_norm.py): spread, laws, prediction, identities.

Laws are fitted to the mean over trials of squared norms by least squares, every batch size counting the same:
a + b/B (sampling noise; McCandlish et al. 2018, arXiv:1812.06162, appendix A.1), a + b·B and a + b·√B (readings of the
walking norm in Shen 2018). a and b are means over trials of each trial's own fit, with Student's interval; that of R²
leaves trials out (jackknife.py). Simulated, they cover 94 to 95 % from 20 trials on, that of R² from 50; below there is
none.
"""

import json
import math
import pathlib
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from bsresearch.analysis import jackknife, summary
from bsresearch.store import records

STATISTICS = ('walking', 'frozen', 'single', 'summed', 'displacement', 'displacement_selected')
LAWS = {'b/B': lambda b: 1 / b, 'b·B': lambda b: b, 'b·√B': np.sqrt}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FEWEST_R2 = 50  # trials


class Found(NamedTuple):
    """One probe.

    id: its own. run, step, epoch: the checkpoint it was made at. learning_rate: η of the walk. parameters: the patterns
    of P. samples: n, examples per trial. seed: of the draws. settings: all that probes of one comparison have in
    common, canonical.
    norms: statistic → (trials, batch sizes).
    fourth, largest: (trials, batch sizes) Σ x⁴ and max |x| of the walking gradient's entries x; counts: (batch sizes,
    2 × bins) over all trials; edges: (bins + 1,) of |x| (measure/probes/walk.py).
    gradient_square, trace: ‖∇L‖² and tr Σ over P (N in the denominator) of the training set of `population` examples,
    NaN where they were not made.
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

    @property
    def title(self) -> str:
        """Where it was made."""
        return f'epoch {self.epoch:g}, η = {self.learning_rate:g}'


def load(workdir: str | pathlib.Path) -> list[Found]:
    """The finished probes of a workdir, by run, learning rate and point.

    Raises:
      FileNotFoundError: there are none.
    """
    found = []
    for probe in records.probes(workdir, 'gradient_norm'):
        arrays, point, own = probe['arrays'], probe['points'][0], probe['probe']
        norms = {name: arrays[name].astype(np.float64) for name in STATISTICS if name in arrays}
        norms['summed'] = norms['single'] * arrays['batch_sizes']
        exact = {k: float(arrays.get(k, np.nan)) for k in ('gradient_square', 'trace')}
        found.append(
            Found(
                id=probe['meta']['id'],
                run=point['run'],
                step=point['step'],
                epoch=point['epoch'],
                learning_rate=probe['learning_rate'],
                parameters=', '.join(own['parameters']),
                with_replacement=own['with_replacement'],
                seed=own['seed'],
                settings=json.dumps(probe['meta']['identity']['probe'], sort_keys=True),
                samples=int(arrays['samples']),
                batch_sizes=arrays['batch_sizes'],
                norms=norms,
                population=int(arrays.get('population', 0)),
                **exact,
                **{k: arrays[k] for k in ('fourth', 'largest', 'counts', 'edges')},
            )
        )
    return sorted(found, key=lambda f: (f.run, f.learning_rate, f.step))


def arms(workdir: str | pathlib.Path) -> dict[str, tuple[int, int]]:
    """Run → (number of its arm, seed): runs of one arm differ in their seeds alone."""
    runs = records.runs(workdir)
    by = [c for c in records.varying(runs) if c not in ('seed', *records.SPLIT_SEEDS)]
    numbers = runs.groupby(by, dropna=False).ngroup()
    return dict(zip(runs['run'], zip(numbers.astype(int), runs['seed'].astype(int), strict=True), strict=True))


def predicted(found: Found) -> np.ndarray:
    """E S_single² for each batch size, without a fit: ‖∇L‖² + tr Σ/B, finite-population form without replacement.

    Without replacement from N: ‖∇L‖² + (tr Σ·N/(N−1)/B)(1 − B/N). NaN where the training set was not measured.
    """
    sizes, total = found.batch_sizes, found.population
    if found.with_replacement:
        return found.gradient_square + found.trace / sizes
    return found.gradient_square + found.trace * total / max(total - 1, 1) / sizes * (1 - sizes / max(total, 1))


def table(found: list[Found]) -> pd.DataFrame:
    """One row per probe and batch size: for each statistic mean, std, cv, rms, sem and quantiles over its trials.

    A norm that is not finite is counted in `non_finite` and makes its mean NaN: it is not averaged away. With one trial
    there is no std.
    """
    rows = []
    for f in found:
        for i, size in enumerate(f.batch_sizes):
            row = {'run': f.run, 'epoch': f.epoch, 'learning_rate': f.learning_rate, 'parameters': f.parameters}
            row |= {'batch_size': int(size), 'trials': len(f.norms['walking'])}
            row['non_finite'] = int((~np.isfinite(np.stack([x[:, i] for x in f.norms.values()]))).any(axis=0).sum())
            for name in STATISTICS:
                row |= {f'{name}_{k}': v for k, v in _spread(f.norms[name][:, i]).items()}
            row['single_rms_predicted'] = float(np.sqrt(predicted(f)[i]))
            rows.append(row | _entries(f, i))
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


def _entries(f: Found, i: int) -> dict[str, float]:
    """Tails of the walking gradient's entries x, pooled over trials: kurtosis E x⁴/(E x²)² (3 for a normal), quantiles
    of |x| (of bins a twelfth wide), the ratio of the 99.9 % one to the median, the largest.
    """
    counts = f.counts[i].astype(np.float64)
    half = len(counts) // 2
    sizes = counts[half:] + counts[:half][::-1]
    share = np.cumsum(sizes) / sizes.sum()
    quantile = lambda q: float(np.sqrt(np.prod(f.edges[[(k := int(np.searchsorted(share, q))), k + 1]])))
    entries = counts.sum() / len(f.norms['walking'])
    square = (f.norms['walking'][:, i] ** 2).mean()
    return {
        'entries_kurtosis': float(kurtosis(f.fourth[:, i].mean(dtype=np.float64), square, entries)),
        'entries_q50': quantile(0.5),
        'entries_q999': quantile(0.999),
        'entries_tail_ratio': quantile(0.999) / quantile(0.5),
        'entries_largest': float(f.largest[:, i].max()),
    }


def kurtosis(fourth: np.ndarray | float, square: np.ndarray | float, entries: np.ndarray | float) -> np.ndarray:
    """E x⁴/(E x²)² of a gradient's entries from means over trials of Σ x⁴ and of Σ x²; NaN for a gradient of zeros."""
    with np.errstate(invalid='ignore', divide='ignore', over='ignore'):
        return np.asarray(fourth / entries / (square / entries) ** 2)


def normalized(found: Found) -> np.ndarray:
    """(trials, batch sizes) walking norms, each batch size scaled to the mean of the largest."""
    walking = found.norms['walking']
    mean = walking.mean(axis=0)
    return walking * mean[int(np.argmax(found.batch_sizes))] / mean


def entry_densities(found: Found, bins: int = 121) -> tuple[np.ndarray, list[np.ndarray]]:
    """(edges, densities per batch size) of the walking gradient's entries, on an even grid up to the largest entry.

    The logarithmic bins of the records are spread evenly over the even ones that they cover.
    """
    top = float(found.largest[np.isfinite(found.largest)].max(initial=found.edges[1]))
    grid = np.linspace(-top, top, bins + 1)
    signed = np.concatenate([-found.edges[::-1], found.edges[1:]])
    signed[len(found.edges) - 1] = 0  # the innermost bins hold zero too
    densities = []
    for counts in found.counts:
        below = np.concatenate([[0.0], np.cumsum(counts)]) / max(int(counts.sum()), 1)
        densities.append(np.diff(np.interp(grid, signed, below)) / np.diff(grid))
    return grid, densities


def least_squares(basis: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b and R² of a + b·basis; squares: (n, batch sizes), fitted row by row."""
    x = basis - basis.mean()
    centred = squares - squares.mean(axis=1, keepdims=True)
    b = centred @ x / (x @ x)
    residual = ((centred - b[:, None] * x) ** 2).sum(axis=1)
    with np.errstate(invalid='ignore', divide='ignore'):
        r2 = 1 - residual / (centred**2).sum(axis=1)
    return squares.mean(axis=1) - b * basis.mean(), b, r2


def fits(found: Found, statistic: str) -> pd.DataFrame:
    """One row per law: a, b, R² and their 95 % intervals, for the mean squares of a statistic.

    Raises:
      ValueError: fewer than 3 batch sizes.
    """
    if len(found.batch_sizes) < 3:
        raise ValueError(f'{len(found.batch_sizes)} batch sizes: a law needs at least 3')
    squares = found.norms[statistic] ** 2
    n, rows = len(squares), []
    for law, basis in LAWS.items():
        x = basis(found.batch_sizes.astype(np.float64))
        row: dict[str, object] = {'statistic': statistic, 'law': f'a + {law}'}
        for name, each in zip(('a', 'b'), least_squares(x, squares)[:2], strict=True):
            ends = np.full((2, 1), np.nan)
            if n >= jackknife.FEWEST:
                ends = summary.interval(np.array([n]), each.mean(keepdims=True), each.std(ddof=1, keepdims=True))
            row |= {name: float(each.mean()), f'{name}_low': float(ends[0][0]), f'{name}_high': float(ends[1][0])}
        r2, half = _r2(x, squares)
        rows.append(row | {'r2': r2, 'r2_low': r2 - half, 'r2_high': min(r2 + half, 1.0) if half == half else np.nan})
    return pd.DataFrame(rows)


def _r2(basis: np.ndarray, squares: np.ndarray) -> tuple[float, float]:
    """R² of the fit to the mean of (trials, batch sizes) squares, and half of its interval."""
    of_mean = lambda s: float(least_squares(basis, s.mean(axis=0, keepdims=True))[2][0])
    groups = jackknife.groups(len(squares)) if len(squares) >= FEWEST_R2 else []
    if not groups:
        return of_mean(squares), np.nan
    without = np.array([of_mean(np.delete(squares, group, axis=0)) for group in groups])
    error = jackknife.error(of_mean(squares), without, np.array([len(group) for group in groups]))
    return of_mean(squares), float(special.stdtrit(len(groups) - 1, (1 + summary.LEVEL) / 2)) * error


def identities(found: Found) -> dict[str, float]:
    """Largest relative departures, over all finite trials: what must hold whatever the weights.

    displacement: ‖w_{K+1} − w*‖ over P against η·(n/B)·S_walk. frozen: its range over the batch sizes that divide n.
    single: |z| of the mean square against `predicted`, in standard errors of the mean over trials: about 3 at most,
    more with few trials, whose squares are skewed.
    """
    walked = found.norms['walking'] * found.learning_rate * found.samples / found.batch_sizes
    whole = found.norms['frozen'][:, found.samples % found.batch_sizes == 0]
    squares = found.norms['single'] ** 2
    largest = lambda x: float(np.max(x[np.isfinite(x)], initial=0.0)) if np.isfinite(x).any() else np.nan
    with np.errstate(invalid='ignore', divide='ignore', over='ignore'):
        sem = squares.std(axis=0, ddof=1) / np.sqrt(len(squares)) if len(squares) > 1 else np.full(1, np.nan)
        return {
            'displacement': largest(np.abs(found.norms['displacement_selected'] / walked - 1)),
            'frozen': float((whole.max(axis=1) / whole.min(axis=1) - 1).max()) if whole.shape[1] else np.nan,
            'single': float(np.abs((squares.mean(axis=0) - predicted(found)) / sem).max()),
        }


def text(found: list[Found]) -> str:
    """What each probe found, for a terminal."""
    parts = []
    for f in found:
        rows = table([f])
        columns = {
            'B': rows['batch_size'], 'walking': rows['walking_mean'], '± std': rows['walking_std'],
            'cv': rows['walking_cv'], 'frozen': rows['frozen_mean'], 'single rms': rows['single_rms'],
            'predicted': rows['single_rms_predicted'], 'displacement': rows['displacement_mean'],
        }  # fmt: skip
        trials, bad = len(f.norms['walking']), int(rows['non_finite'].sum())
        head = f'run {f.run}, {f.title}, {f.parameters}: {trials} trials of {f.samples} examples (seed {f.seed})'
        head += '; one trial: no spread' if trials == 1 else ''
        head += f'; no intervals below {jackknife.FEWEST} trials' if trials < jackknife.FEWEST else ''
        head += f'; {bad} norms are not finite: their means are not given' if bad else ''
        body = pd.DataFrame(columns).to_string(index=False, float_format='{:.4g}'.format, na_rep='–')
        parts += [head, body]
        if len(f.batch_sizes) >= 3 and not bad:
            laws = pd.concat([fits(f, 'walking'), fits(f, 'single')])
            interval = lambda r, k: f'{r[k]:.3g} ({r[f"{k}_low"]:.3g} to {r[f"{k}_high"]:.3g})'
            parts += [
                f'  {r["statistic"]}²: {r["law"]}: a {interval(r, "a")}, b {interval(r, "b")}, R² {interval(r, "r2")}'
                for _, r in laws.iterrows()
            ]
        held = identities(f)
        parts.append(
            f'  displacement = η·(n/B)·walking within {held["displacement"]:.1e}; frozen constant within '
            f'{held["frozen"]:.1e}; single-batch within {held["single"]:.1f} standard errors of its prediction'
        )
    return '\n'.join(parts)
