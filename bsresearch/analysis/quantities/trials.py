"""Probes of the gradient norm (probes/gradient_norm.py) over seeds: statistics of their trials, with what is uncertain.

Probes of several seeds draw the same examples, so they differ less than the draws make their mean uncertain. Intervals
therefore add two parts in quadrature: Student's over seeds, and that of the draws, whose standard error comes from
leaving trials out (jackknife.py; a trial with all its batch sizes, the same trials of every seed). With one seed the
second part alone is left: an interval of that run's mean, not of other seeds. Below 20 trials there is neither. Batch
sizes that do not divide the examples of a trial leave some of them out and are passed over.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np

from bsresearch.analysis import jackknife, verdicts
from bsresearch.analysis.quantities import gradient_entries
from bsresearch.analysis.quantities.gradient_norm import GradientNorms
from bsresearch.analysis.verdicts import Part

# Trials that an interval needs: of skewness it covers 90 % at 100, 93 % at 1000; of a difference of two R² 95 % at 50.
FEWEST = {'skewness': 1000}
FEWEST_FIT = 50


class Sample(NamedTuple):
    """Probes of several seeds at one point with one η.

    probes: one per seed. sizes: (B,) that divide the examples of a trial. values: statistic → (seeds, B); without: →
    (groups, seeds, B), each without one of the groups of trials.
    """

    learning_rate: float
    probes: list[GradientNorms]
    sizes: np.ndarray
    values: dict[str, np.ndarray]
    without: dict[str, np.ndarray]
    groups: list[np.ndarray]

    def of(self, runs: Collection[str]) -> 'Sample':
        """Of these runs alone."""
        kept = [i for i, probe in enumerate(self.probes) if probe.run in runs]
        values, without = ({k: v[..., kept, :] for k, v in each.items()} for each in (self.values, self.without))
        return self._replace(probes=[self.probes[i] for i in kept], values=values, without=without)

    def part(
        self,
        label: str,
        function: Callable[..., np.ndarray],
        statistic: str,
        other: 'Sample | None' = None,
        fewest: int = jackknife.FEWEST,
    ) -> Part:
        """What a function of (…, B) arrays makes of a statistic, per seed; with `other`, of that of both.

        `fewest`: trials below which its interval covers too little, and is not told.
        """
        samples = (self,) if other is None else (self, other)
        with np.errstate(invalid='ignore', divide='ignore'):
            values = function(*(sample.values[statistic] for sample in samples))
            enough = sum(map(len, self.groups)) >= max(fewest, FEWEST.get(statistic, 0))
            left_out = (sample.without[statistic] for sample in samples)
            without = function(*left_out).mean(axis=1) if enough else np.empty(0)
            error = jackknife.error(values.mean(), without, self.groups if enough else [])
        return verdicts.of(label, values, error=error, freedom=max(len(self.groups) - 1, 1))


def statistics(probe: GradientNorms, whole: np.ndarray, trials: np.ndarray) -> dict[str, np.ndarray]:
    """(B,) each, over the given trials of a probe, at the batch sizes `whole` (a mask)."""
    walking, single, moved = (probe.norms[k][trials][:, whole] for k in ('walking', 'single', 'displacement'))
    many = len(trials) > 1
    # A norm that is not finite makes its batch size's statistics NaN.
    with np.errstate(invalid='ignore', divide='ignore', over='ignore'):
        mean, square = walking.mean(axis=0), (walking**2).mean(axis=0)
        std = walking.std(axis=0, ddof=1) if many else np.full(len(mean), np.nan)
        skewness = ((walking - mean) ** 3).mean(axis=0) / walking.std(axis=0) ** 3
        entries = probe.counts[whole].sum(axis=1) / len(probe.norms['walking'])
        fourth = probe.fourth[trials][:, whole].mean(axis=0, dtype=np.float64)
        return {
            'mean': mean, 'std': std, 'cv': std / mean, 'skewness': skewness if many else std,
            'square': square, 'single': (single**2).mean(axis=0), 'displacement': moved.mean(axis=0),
            'kurtosis': gradient_entries.kurtosis(fourth, square, entries),
        }  # fmt: skip


def sample(probes: list[GradientNorms]) -> Sample:
    """Probes of one point and η with the same settings, one per seed."""
    first = probes[0]
    whole, trials = first.samples % first.batch_sizes == 0, np.arange(len(first.norms['walking']))
    groups = jackknife.groups(len(trials))

    def over(rows: np.ndarray) -> dict[str, np.ndarray]:
        tables = [statistics(probe, whole, rows) for probe in probes]
        return {name: np.stack([table[name] for table in tables]) for name in tables[0]}

    values, left_out = over(trials), [over(np.setdiff1d(trials, group)) for group in groups]
    without = {k: np.array([table[k] for table in left_out]).reshape(-1, *v.shape) for k, v in values.items()}
    return Sample(first.learning_rate, probes, first.batch_sizes[whole], values, without, groups)
