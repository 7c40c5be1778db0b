"""Quantities and contrasts of probes: what was measured at points of trained runs (measure/probes).

A probe is of the arm whose run it was made at, at its point: `at('large', point=2)`. The trials of the gradient norm
draw the same examples for every replicate, so that their intervals have two parts (quantities/trials.py).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import verdicts
from bsresearch.analysis.contrasts import Contrast, Contrasts, Selector
from bsresearch.analysis.quantities import gradient_norm, laws, trials
from bsresearch.analysis.quantities.trials import Sample
from bsresearch.analysis.quantity import PLAIN, SHARE, TIMES, Array, Quantity, Unit, exact
from bsresearch.analysis.study import Study
from bsresearch.analysis.verdicts import Part

GRADIENT_NORM, INTERPOLATION = 'gradient_norm', 'interpolation'


def of_probe(name: str, number: Callable[[Mapping[str, Any]], float], told: str, unit: Unit = PLAIN) -> Quantity:
    """A number of the arrays of each finished probe called `name`; of several at one point that with most points."""

    def of(study: Study) -> Array:
        members = study.members[(study.members['probe'] == name) & study.members['id'].isin(list(study.probes))]
        if not len(members):
            raise LookupError(f'no finished {name} probes')
        sizes = members['id'].map(lambda probe: max(np.size(a) for a in study.probes[probe]['arrays'].values()))
        chosen = members.assign(size=sizes).sort_values('size', kind='stable')
        chosen = chosen.drop_duplicates(['cell', 'replicate'], keep='last')
        values = chosen['id'].map(lambda probe: float(number(study.probes[probe]['arrays'])))
        wide = pd.Series(values.to_numpy(), [chosen['cell'], chosen['replicate']]).unstack()
        wide.index = pd.MultiIndex.from_tuples(list(wide.index), names=study.parts)
        return exact(wide.reindex(columns=[r for r in study.replicates if r in wide]))

    return Quantity(of, told, unit)


def rise_on_line(arrays: Mapping[str, Any]) -> float:
    """How far the training loss between two solutions rises above its higher end, as a share of that (Keskar 2017)."""
    alpha, loss = arrays['alpha'], arrays['linear/train_loss']
    inside = loss[(alpha >= 0) & (alpha <= 1)]
    top = max(np.interp(0.0, alpha, loss), np.interp(1.0, alpha, loss))
    return max(float(inside.max()), top) / top - 1


def curvature_on_line(arrays: Mapping[str, Any]) -> tuple[float, float]:
    """Second differences of the training loss over α at both ends of the line; NaN where the line ends there."""
    alpha, loss = arrays['alpha'], arrays['linear/train_loss']
    step = float(np.diff(alpha).min())
    if not (alpha.min() <= -step and alpha.max() >= 1 + step):
        return np.nan, np.nan
    at = lambda a: float(np.interp(a, alpha, loss))
    second = lambda a: (at(a - step) - 2 * at(a) + at(a + step)) / step**2
    return second(0.0), second(1.0)


def sharper_at_large(arrays: Mapping[str, Any]) -> float:
    """The second difference at the large-batch end minus that at the other."""
    small, large = curvature_on_line(arrays)
    return large - small


# Of what stands in no table of cells: contrasts read the trials themselves.
TRIALS = Quantity(lambda study: exact(pd.DataFrame()), 'gradient norms over trials')
RELATIVE, FACTOR = TRIALS.named('relative change', SHARE), TRIALS.named('factor', TIMES)
DEPARTURE = TRIALS.named('typical relative departure', SHARE._replace(exp=True))


def _samples(study: Study, cell: Selector, *, every_rate: bool = False) -> list[Sample]:
    """Probes of an arm at a point, one per replicate: at each run's own η, or by η. Those with the most trials.

    Raises:
      LookupError: there are none.
    """
    members = study.members[(study.members['arm'] == cell.arm) & (study.members['probe'] == GRADIENT_NORM)]
    members = members[(members['point'] == cell.point) & members['id'].isin(list(study.probes))]
    probes = gradient_norm.of_probes([study.probes[probe] for probe in members['id'].unique()])
    if not every_rate:
        probes = [f for f in probes if f.learning_rate == study.runs.at[f.run, 'learning_rate']]
    if not probes:
        raise LookupError(f'{cell.arm} has no finished gradient_norm probes at epoch {cell.point}')
    most = max((len(f.norms['walking']), f.settings) for f in probes)
    probes = [f for f in probes if (len(f.norms['walking']), f.settings) == most]
    replicate = dict(zip(members['id'], members['replicate'], strict=True))
    probes.sort(key=lambda f: (f.learning_rate, study.replicates.index(replicate[f.id])))
    rates = sorted({f.learning_rate for f in probes})
    return [trials.sample([f for f in probes if f.learning_rate == r]) for r in rates]


def _contrast(label: str, of: Callable[[Study], list[Part]], quantity: Quantity | None = None) -> Contrasts:
    return (Contrast(label, (), lambda numbers: of(numbers.study), quantity, level=True),)


def _turn(sample: Sample, size: int) -> int:
    """The place of the batch size nearest to `size`.

    Raises:
      LookupError: it is the first or the last, so that there is nothing on one side.
    """
    place = int(np.argmin(np.abs(np.log(sample.sizes / size))))
    if place in (0, len(sample.sizes) - 1):
        raise LookupError(f'no batch size about {size} among {", ".join(map(str, sample.sizes))}')
    return place


def rises(statistic: str, cell: Selector, above: int | None = None) -> Contrasts:
    """Relative rise of a statistic from each batch size to the next; `above`: from the one nearest to it on."""

    def of(study: Study) -> list[Part]:
        (sample,) = _samples(study, cell)
        first = 0 if above is None else _turn(sample, above)
        rise = lambda i: lambda x: x[..., i + 1] / x[..., i] - 1
        label = lambda i: f'{sample.sizes[i]:,} to {sample.sizes[i + 1]:,}'
        return [sample.part(label(i), rise(i), statistic) for i in range(first, len(sample.sizes) - 1)]

    return _contrast(f'rise of the {statistic}', of, RELATIVE)


def rise_to(statistic: str, cell: Selector, size: int) -> Contrasts:
    """Relative rise of a statistic from the smallest batch size to the one nearest to `size`."""

    def of(study: Study) -> list[Part]:
        (sample,) = _samples(study, cell)
        turn = _turn(sample, size)
        label = f'{sample.sizes[0]} to {sample.sizes[turn]}'
        return [sample.part(label, lambda x: x[..., turn] / x[..., 0] - 1, statistic)]

    return _contrast(f'rise of the {statistic} to {size}', of, RELATIVE)


def factor(statistic: str, *cells: Selector, falling: bool = False) -> Contrasts:
    """Ln of the factor of a statistic from the smallest to the largest batch size, or back."""
    low, high = (-1, 0) if falling else (0, -1)
    ends = lambda x: np.log(x[..., high] / x[..., low])
    return tuple(c for cell in cells for c in _one(f'epoch {cell.point:g}', ends, statistic, cell, FACTOR))


def _one(
    label: str, function: Callable[..., np.ndarray], statistic: str, cell: Selector, quantity: Quantity | None = None
) -> Contrasts:
    def of(study: Study) -> list[Part]:
        (sample,) = _samples(study, cell)
        return [sample.part(label, function, statistic)]

    return _contrast(label, of, quantity)


def at_largest(statistic: str, *cells: Selector) -> Contrasts:
    """A statistic at the largest batch size."""
    last = lambda x: x[..., -1]
    return tuple(c for cell in cells for c in _one(f'epoch {cell.point:g}', last, statistic, cell))


def growth_of(statistic: str, *cells: Selector) -> Contrasts:
    """The exponent p of a statistic as c·B^p, by least squares in logarithms."""

    def of(cell: Selector) -> Callable[[Study], list[Part]]:
        def parts(study: Study) -> list[Part]:
            (sample,) = _samples(study, cell)
            x = np.log(sample.sizes) - np.log(sample.sizes).mean()
            with np.errstate(invalid='ignore', divide='ignore'):
                exponent = lambda values: np.log(values) @ x / (x @ x)
                return [sample.part(f'{statistic}, epoch {cell.point:g}', exponent, statistic)]

        return parts

    return tuple(c for cell in cells for c in _contrast(f'exponent of the {statistic}', of(cell)))


def larger_at_each_size(statistic: str, a: Selector, b: Selector) -> Contrasts:
    """A statistic at point a over that at b, minus 1, at every batch size; of the runs that have both."""

    def of(study: Study) -> list[Part]:
        (first,), (second,) = _samples(study, a), _samples(study, b)
        both = {f.run for f in first.found} & {f.run for f in second.found}
        if not both:
            raise LookupError('no run has probes at both points')
        first, second = first.of(both), second.of(both)
        ratio = lambda i: lambda x, y: x[..., i] / y[..., i] - 1
        return [
            first.part(f'B = {size:,}', ratio(i), statistic, other=second) for i, size in enumerate(first.sizes)
        ]  # fmt: skip

    return _contrast(f'{statistic} at epoch {a.point} over {b.point}', of, RELATIVE)


def frozen_range(*cells: Selector) -> Contrasts:
    """The relative range over batch sizes of the average gradient's norm at frozen weights: an identity, 0."""

    def of(study: Study) -> list[Part]:
        probes = [f for cell in cells for sample in _samples(study, cell) for f in sample.found]
        ranges = [gradient_norm.identities(f)['frozen'] for f in probes]
        return [verdicts.of(f'{len(probes)} probes', [r for r in ranges if np.isfinite(r)])]

    return _contrast('relative range over batch sizes', of)


def departure(*cells: Selector) -> Contrasts:
    """Ln of the typical relative departure over B of E‖g_B‖² from ‖∇L‖² + tr Σ/B (gradient_norm.predicted)."""

    def of(cell: Selector) -> Callable[[Study], list[Part]]:
        def parts(study: Study) -> list[Part]:
            (sample,) = _samples(study, cell)
            rows = [gradient_norm.predicted(f)[f.samples % f.batch_sizes == 0] for f in sample.found]
            predicted = np.stack(rows)
            error = lambda x: np.log((np.log(x / predicted) ** 2).mean(axis=-1)) / 2
            return [sample.part(f'epoch {cell.point:g}', error, 'single')]

        return parts

    return tuple(c for cell in cells for c in _contrast(f'epoch {cell.point:g}', of(cell), DEPARTURE))


def linear_over_root(*cells: Selector) -> Contrasts:
    """R² of a + b·B minus that of a + b·√B for the squared walking norm, at every η of a point."""

    def r2(sizes: np.ndarray, squares: np.ndarray) -> np.ndarray:
        rows = squares.reshape(-1, squares.shape[-1])
        return laws.least_squares(sizes, rows)[2].reshape(squares.shape[:-1])

    def of(cell: Selector) -> Callable[[Study], list[Part]]:
        def parts(study: Study) -> list[Part]:
            differences = []
            for sample in _samples(study, cell, every_rate=True):
                size = sample.sizes.astype(float)
                if np.isfinite(sample.values['square']).all() and len(size) > 2:
                    difference = lambda x, b=size: r2(b, x) - r2(np.sqrt(b), x)
                    label = f'η = {sample.learning_rate:g}, epoch {cell.point:g}'
                    differences.append(sample.part(label, difference, 'square', fewest=trials.FEWEST_FIT))
            return differences

        return parts

    return tuple(c for cell in cells for c in _contrast(f'epoch {cell.point:g}', of(cell)))
