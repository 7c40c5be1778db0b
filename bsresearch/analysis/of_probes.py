"""Quantities and contrasts of probes: what was measured at points of trained runs (measure/probes).

A probe is of the arm whose run it was made at, at its point: `at('large', point=2)`. The trials of the gradient norm
draw the same examples for every replicate, so that their intervals have two parts (quantities/trials.py).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import verdicts
from bsresearch.analysis.contrasts import Contrast, Contrasts, Numbers, Selector
from bsresearch.analysis.once import once
from bsresearch.analysis.quantities import gradient_norm, interpolation, laws, trials
from bsresearch.analysis.quantities.trials import Sample
from bsresearch.analysis.quantity import PLAIN, SHARE, TIMES, Array, Quantity, Unit, exact
from bsresearch.analysis.study import Study
from bsresearch.analysis.verdicts import Part

INTERPOLATION = interpolation.NAME


def of_probe(name: str, number: Callable[[Mapping[str, Any]], float], title: str, unit: Unit = PLAIN) -> Quantity:
    """A number of the arrays of each finished probe called `name`; of several at one point that with most points."""

    def of(study: Study) -> Array:
        members = study.probed(name)
        if not len(members):
            raise LookupError(f'no finished {name} probes')
        sizes = members['id'].map(lambda probe: max(np.size(a) for a in study.probes[probe]['arrays'].values()))
        largest = members.assign(size=sizes).sort_values('size', kind='stable')
        largest = largest.drop_duplicates(['cell', 'replicate'], keep='last').sort_index()
        return exact(study.by_cell(largest, largest['id'].map(lambda id_: number(study.probes[id_]['arrays']))))

    return Quantity(of, title, unit, probe=name)


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
TRIALS = Quantity(lambda study: exact(pd.DataFrame()), 'gradient norms over trials', probe=gradient_norm.NAME)
RELATIVE, FACTOR = TRIALS.named('relative change', SHARE), TRIALS.named('factor', TIMES)
DEPARTURE = TRIALS.named('typical relative departure', SHARE._replace(exp=True))


@once
def _samples(study: Study, cell: Selector, every_rate: bool) -> list[Sample]:
    """Probes of an arm at a point, one per replicate: at each run's own η, or by η. Those with the most trials.

    Raises:
      LookupError: there are none.
    """
    members = study.probed(gradient_norm.NAME)
    members = members[(members['arm'] == cell.arm) & (members['point'] == cell.point)]
    probes = gradient_norm.of_probes([study.probes[probe] for probe in members['id'].unique()])
    if not every_rate:
        probes = [p for p in probes if p.learning_rate == study.runs.at[p.run, 'learning_rate']]
    if not probes:
        raise LookupError(f'{cell.arm} has no finished gradient_norm probes at epoch {cell.point}')
    size = lambda probe: (len(probe.norms['walking']), probe.settings)
    most, replicate = max(map(size, probes)), dict(zip(members['id'], members['replicate'], strict=True))
    order = lambda probe: (probe.learning_rate, study.replicates.index(replicate[probe.id]))
    probes = sorted((p for p in probes if size(p) == most), key=order)
    return [trials.sample(list(group)) for _, group in itertools.groupby(probes, key=lambda p: p.learning_rate)]


def _sample(study: Study, cell: Selector) -> Sample:
    (sample,) = _samples(study, cell, False)
    return sample


def _of_points(
    cells: Sequence[Selector],
    parts: Callable[[Sample, str], list[Part]],
    quantity: Quantity | None = None,
    label: str = '',
    every_rate: bool = False,
) -> Contrasts:
    """A contrast for each point: what `parts` makes of its probes and its epoch, in words."""

    def of_point(cell: Selector) -> Contrast:
        epoch = f'epoch {cell.point:g}'
        samples = lambda numbers: _samples(numbers.study, cell, every_rate)
        of = lambda numbers: [part for sample in samples(numbers) for part in parts(sample, epoch)]
        return Contrast(label or epoch, (), of, quantity, level=True)

    return tuple(map(of_point, cells))


def _turn(sample: Sample, size: int) -> int:
    """The place of the batch size nearest to `size`.

    Raises:
      LookupError: it is the first or the last, so that there is nothing on one side.
    """
    place = int(np.argmin(np.abs(np.log(sample.sizes / size))))
    if place in (0, len(sample.sizes) - 1):
        raise LookupError(f'no batch size about {size} among {", ".join(map(str, sample.sizes))}')
    return place


def _rise(first: int, last: int) -> Callable[[np.ndarray], np.ndarray]:
    """From one place of the batch sizes to another, relative."""
    return lambda values: values[..., last] / values[..., first] - 1


def rises(statistic: str, cell: Selector, above: int | None = None) -> Contrasts:
    """Relative rise of a statistic from each batch size to the next; `above`: from the one nearest to it on."""

    def parts(sample: Sample, _: str) -> list[Part]:
        first = 0 if above is None else _turn(sample, above)
        label = lambda i: f'{sample.sizes[i]:,} to {sample.sizes[i + 1]:,}'
        return [sample.part(label(i), _rise(i, i + 1), statistic) for i in range(first, len(sample.sizes) - 1)]

    return _of_points((cell,), parts, RELATIVE, f'rise of the {statistic}')


def rise_to(statistic: str, cell: Selector, size: int) -> Contrasts:
    """Relative rise of a statistic from the smallest batch size to the one nearest to `size`."""

    def parts(sample: Sample, _: str) -> list[Part]:
        turn = _turn(sample, size)
        return [sample.part(f'{sample.sizes[0]} to {sample.sizes[turn]}', _rise(0, turn), statistic)]

    return _of_points((cell,), parts, RELATIVE, f'rise of the {statistic} to {size}')


def factor(statistic: str, *cells: Selector, falling: bool = False) -> Contrasts:
    """Ln of the factor of a statistic from the smallest to the largest batch size, or back."""
    low, high = (-1, 0) if falling else (0, -1)
    ends = lambda values: np.log(values[..., high] / values[..., low])
    return _of_points(cells, lambda sample, epoch: [sample.part(epoch, ends, statistic)], FACTOR)


def at_largest(statistic: str, *cells: Selector) -> Contrasts:
    """A statistic at the largest batch size."""
    last = lambda values: values[..., -1]
    return _of_points(cells, lambda sample, epoch: [sample.part(epoch, last, statistic)])


def growth_of(statistic: str, *cells: Selector) -> Contrasts:
    """The exponent p of a statistic as c·B^p, by least squares in logarithms."""

    def parts(sample: Sample, epoch: str) -> list[Part]:
        x = np.log(sample.sizes) - np.log(sample.sizes).mean()
        return [sample.part(f'{statistic}, {epoch}', lambda values: np.log(values) @ x / (x @ x), statistic)]

    return _of_points(cells, parts, label=f'exponent of the {statistic}')


def larger_at_each_size(statistic: str, a: Selector, b: Selector) -> Contrasts:
    """A statistic at point a over that at b, minus 1, at every batch size; of the runs that have both."""

    def parts(numbers: Numbers) -> list[Part]:
        first, second = _sample(numbers.study, a), _sample(numbers.study, b)
        both = {p.run for p in first.probes} & {p.run for p in second.probes}
        if not both:
            raise LookupError('no run has probes at both points')
        first, second = first.of(both), second.of(both)
        ratio = lambda i: lambda x, y: x[..., i] / y[..., i] - 1
        return [
            first.part(f'B = {size:,}', ratio(i), statistic, other=second) for i, size in enumerate(first.sizes)
        ]  # fmt: skip

    return (Contrast(f'{statistic} at epoch {a.point} over {b.point}', (), parts, RELATIVE, level=True),)


def frozen_range(*cells: Selector) -> Contrasts:
    """The relative range over batch sizes of the average gradient's norm at frozen weights: an identity, 0."""

    def part(numbers: Numbers) -> Part:
        probes = [probe for cell in cells for probe in _sample(numbers.study, cell).probes]
        ranges = [gradient_norm.identities(probe)['frozen'] for probe in probes]
        return verdicts.of(f'{len(probes)} probes', [r for r in ranges if np.isfinite(r)])

    return (Contrast('relative range over batch sizes', (), part, level=True),)


def departure(*cells: Selector) -> Contrasts:
    """Ln of the typical relative departure over B of E‖g_B‖² from ‖∇L‖² + tr Σ/B (gradient_norm.predicted)."""

    def parts(sample: Sample, epoch: str) -> list[Part]:
        predicted = np.stack([gradient_norm.predicted(p)[p.samples % p.batch_sizes == 0] for p in sample.probes])
        error = lambda squares: np.log((np.log(squares / predicted) ** 2).mean(axis=-1)) / 2
        return [sample.part(epoch, error, 'single')]

    return _of_points(cells, parts, DEPARTURE)


def linear_over_root(*cells: Selector) -> Contrasts:
    """R² of a + b·B minus that of a + b·√B for the squared walking norm, at every η of a point."""

    def r2(sizes: np.ndarray, squares: np.ndarray) -> np.ndarray:
        rows = squares.reshape(-1, squares.shape[-1])
        return laws.least_squares(sizes, rows)[2].reshape(squares.shape[:-1])

    def parts(sample: Sample, epoch: str) -> list[Part]:
        sizes = sample.sizes.astype(float)
        if not np.isfinite(sample.values['square']).all() or len(sizes) < 3:
            return []
        difference = lambda squares: r2(sizes, squares) - r2(np.sqrt(sizes), squares)
        label = f'η = {sample.learning_rate:g}, {epoch}'
        return [sample.part(label, difference, 'square', fewest=trials.FEWEST_FIT)]

    return _of_points(cells, parts, every_rate=True)
