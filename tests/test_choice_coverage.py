"""Verdicts on what was chosen, ranked, censored or found along an axis: simulated on populations that are known.

Validation and test set share r² of a replicate's noise. Found, 2,000 to 8,000 draws each, in %:

  chosen of 5, 7 or 15 rates, n = 5, 10; r² = 0.1, 0.5, 0.9
    contrast of two tuned arms    95 to 100; chosen on all replicates alone 88 to 99, on all others 74 to 95
    level of a tuned arm          95 to 99; chosen on all alone 79 to 95
    place among three tuned cells 93 to 100
  set of the best, n = 3, 5, 10; spreads of cells alike, rising tenfold, one ten times the others'
    pairs with their own spread   94 to 100; a residual pooled over cells 82 to 100
  censored or infinite, n = 5 to 20, up to 80 % of them: 93 to 100; at n = 3 one that misses is shown in 4 at most
  no more than 5 (ranked: 0.1) are told to hold that lie at the bound; at a margin 2.9

Below 5 replicates nothing is chosen (tests/test_over.py).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import planted
import pytest
from scipy import special

from bsresearch.analysis import verdicts
from bsresearch.analysis.best_sets import not_told_from_best
from bsresearch.analysis.over import best_over
from bsresearch.analysis.verdicts import Part

LEAST, DRAWS = 0.93, 2000
SHAPES = {
    'one': (0.0,), 'flat': (0.0,) * 7, 'wide': (0.0,) * 15, 'broad': (-0.6, -0.2, 0.0, -0.2, -0.6),
    'peak': (-3.0, -1.0, 0.0, -1.0, -3.0), 'edge': (0.0, -0.5, -1.0, -2.0, -3.0),
}  # fmt: skip


class Tuned(NamedTuple):
    """(draws, n) each: test values where all chose and where the other half did; (draws,) true means of the first."""

    of_all: np.ndarray
    of_halves: np.ndarray
    truth: np.ndarray


def tuned(rng: np.random.Generator, means: tuple[float, ...], n: int, shared: float) -> Tuned:
    """An arm per draw, each with a run per rate and replicate of unit noise, through best_over."""
    arms = range(DRAWS)
    cells = planted.index([(f'arm{d}', '', '', rate) for d in arms for rate in range(len(means))], ['rate'])
    noise = rng.normal(size=(3, len(cells), n))
    truth = np.repeat(np.tile(means, DRAWS)[:, None], n, axis=1)
    validation, test = (
        planted.table(truth + np.sqrt(shared) * noise[0] + np.sqrt(1 - shared) * noise[i], cells) for i in (1, 2)
    )
    by = planted.quantity(validation, higher_is_better=True)
    # What is chosen is chosen of both ends: the true means stand in the upper one.
    chosen = best_over('rate', planted.quantity(test, planted.table(truth, cells)), by=by)
    array = chosen.of(planted.study(cells[:1], n))
    assert array.halves is not None
    return Tuned(array.low.to_numpy(), array.halves.low.to_numpy(), array.high.to_numpy()[:, 0])


def share(title: str, hits: Sequence[bool] | np.ndarray) -> float:
    print(f'{title}: {100 * np.mean(hits):.1f} %')
    return float(np.mean(hits))


def least(draws: int) -> float:
    """93 % less 2 standard errors of that."""
    return LEAST - 2 * float(np.sqrt(LEAST * (1 - LEAST) / draws))


def covered(of_all: np.ndarray, of_halves: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(draws,) whether the interval holds the truth."""
    parts = [verdicts.of('', x, halves=verdicts.of('', y)) for x, y in zip(of_all, of_halves, strict=True)]
    found = np.array([verdicts.interval(part)[1:3] for part in parts])
    return (found[:, 0] <= truth) & (truth <= found[:, 1])


@pytest.mark.slow
@pytest.mark.parametrize('shared', [0.1, 0.5, 0.9])
@pytest.mark.parametrize('n', [5, 10])
@pytest.mark.parametrize('arms', ['flat flat', 'wide one', 'flat peak', 'broad peak', 'edge one'])
def test_a_contrast_of_tuned_arms_covers(arms: str, n: int, shared: float):
    """The true difference of the rates that were chosen, and its mean over what this procedure chooses."""
    rng = np.random.default_rng(0)
    a, b = (tuned(rng, SHAPES[shape], n, shared) for shape in arms.split())
    truth = a.truth - b.truth
    for target in (truth, np.full(len(truth), truth.mean())):
        hits = covered(a.of_all - b.of_all, a.of_halves - b.of_halves, target)
        assert share(f'{arms}, n = {n}, r² = {shared}', hits) > least(DRAWS)


@pytest.mark.slow
@pytest.mark.parametrize('shared', [0.1, 0.5, 0.9])
@pytest.mark.parametrize('n', [5, 10])
@pytest.mark.parametrize('shape', ['flat', 'wide', 'broad', 'peak', 'edge'])
def test_a_level_of_a_tuned_arm_covers(shape: str, n: int, shared: float):
    arm = tuned(np.random.default_rng(1), SHAPES[shape], n, shared)
    hits = covered(arm.of_all, arm.of_halves, arm.truth)
    assert share(f'{shape}, n = {n}, r² = {shared}', hits) > least(DRAWS)


SPREADS = {
    'alike': lambda k: np.ones(k), 'rising': lambda k: np.geomspace(0.1, 1, k),
    'falling': lambda k: np.geomspace(1, 0.1, k), 'one wide': lambda k: np.r_[1, np.full(k - 1, 0.1)],
    'one steady': lambda k: np.r_[0.1, np.ones(k - 1)],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize('spread', SPREADS)
@pytest.mark.parametrize('n', [3, 5, 10])
@pytest.mark.parametrize('shape', ['flat', 'wide', 'broad', 'edge'])
def test_a_set_of_places_holds_the_best(shape: str, n: int, spread: str):
    """Paired in their replicates, which share half of the variance; of several best cells each is in it."""
    rng, means = np.random.default_rng(2), np.array(SHAPES[shape])
    k = len(means)
    noise = SPREADS[spread](k)[:, None] * rng.normal(size=(DRAWS, k, n)) + rng.normal(size=(DRAWS, 1, n))
    kept = np.array([not_told_from_best(x) for x in means[:, None] + noise])
    for best in np.flatnonzero(means == means.max()):
        assert share(f'{shape} {spread}, n = {n}', kept[:, best]) > least(DRAWS)


@pytest.mark.slow
@pytest.mark.parametrize('shared', [0.1, 0.5, 0.9])
@pytest.mark.parametrize('n', [5, 10])
@pytest.mark.parametrize('shape', ['flat', 'wide', 'broad'])
def test_the_best_batch_size_with_tuned_rates_is_in_one_of_its_sets(shape: str, n: int, shared: float):
    """Three batch sizes of which the first has a flat optimum and two a clear one, all equal at what was chosen.

    A place is refuted where neither the set of all replicates' choice nor that of the other half's has it; chosen cells
    that differ in truth are not counted.
    """
    rng = np.random.default_rng(3)
    arms = [tuned(rng, SHAPES[one], n, shared) for one in (shape, 'peak', 'peak')]
    of_all, of_halves = (np.stack([getattr(arm, values) for arm in arms], 1) for values in ('of_all', 'of_halves'))
    equal = np.all([arm.truth == 0 for arm in arms], axis=0)
    pairs = zip(of_all[equal], of_halves[equal], strict=True)
    kept = np.array([not_told_from_best(x) | not_told_from_best(y) for x, y in pairs])
    for place in range(3):
        assert share(f'{shape}, n = {n}, r² = {shared}, place {place}', kept[:, place]) > least(len(kept))


def check_median(title: str, x: np.ndarray, median: float, limit: float = np.inf) -> None:
    """Of (draws, n) values, censored above a limit: the intervals hold the median.

    Below 5 values there is an interval only where by luck none was infinite or censored, of what such luck leaves: then
    it is counted how rarely one is shown that misses.
    """
    held = []
    for values in x:
        beyond = values > limit
        part = Part('', np.where(beyond, limit, values), np.where(beyond, np.inf, values))
        found = verdicts.interval(part, bounds=1)
        if not np.isnan(found.low):
            held.append(found.low <= median <= found.high)
    shown = len(held) / len(x)
    covers = share(f'{title}, shown in {100 * shown:.0f} %', held)
    assert 1 - shown * (1 - covers) > least(len(x))
    assert covers > least(len(held)) or x.shape[1] < 5


@pytest.mark.slow
@pytest.mark.parametrize('censored', [0.0, 0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize('n', [3, 5, 6, 10, 20])
def test_censored_efforts_cover_their_median(n: int, censored: float):
    """Lognormal epochs to a target (a deviation of 0.3), of which a share lies beyond the end of training.

    Where none was censored the interval is Student's, of the mean, and held against the median."""
    x = np.exp(0.3 * np.random.default_rng(4).normal(size=(4 * DRAWS, n)))
    limit = np.exp(0.3 * special.ndtri(1 - censored)) if censored else np.inf
    check_median(f'n = {n}, {censored:.0%} censored', x, 1.0, limit)


@pytest.mark.slow
@pytest.mark.parametrize('diverging', [0.05, 0.2, 0.4])
@pytest.mark.parametrize('n', [3, 5, 10])
def test_infinite_values_cover_the_median(n: int, diverging: float):
    """A volatility of which a share of runs is ∞: its median is that of all runs."""
    rng = np.random.default_rng(5)
    x = rng.normal(10, 1, size=(4 * DRAWS, n))
    x[rng.random(x.shape) < diverging] = np.inf
    check_median(f'n = {n}, {diverging:.0%} diverge', x, float(10 + special.ndtri(0.5 / (1 - diverging))))


@pytest.mark.slow
@pytest.mark.parametrize('wider', [0.05, 0.2, 0.5])
@pytest.mark.parametrize('n', [3, 5, 10, 20])
def test_widths_of_a_stable_range_cover_their_mean(n: int, wider: float):
    """Of two neighbouring values, a step of the grid apart, Student's t covers where it is shown: where both occur."""
    x = 3.0 + (np.random.default_rng(8).random((4 * DRAWS, n)) < wider)
    found = [verdicts.interval(verdicts.of('', values)) for values in x]
    held = [one.low <= 3 + wider <= one.high for one in found if one.method == 'mean']
    assert share(f'n = {n}, {wider:.0%} wider, shown in {len(held) / len(x):.0%}', held) > least(len(held))


@pytest.mark.slow
@pytest.mark.parametrize('tie', [0.5, 0.8, 0.95])
@pytest.mark.parametrize('n', [5, 6, 10])
def test_few_values_or_none_but_one_are_rarely_decided(n: int, tie: float):
    """Values −1, 0 and 1, as likely below as above 0: 'holds' against 0 in 5 % at most, on either side."""
    rng = np.random.default_rng(6)
    x = rng.choice([-1.0, 0.0, 1.0], p=[(1 - tie) / 2, tie, (1 - tie) / 2], size=(4 * DRAWS, n))
    found = [verdicts.of_part(verdicts.of('', values, few=True), 0.0, np.inf) for values in x]
    for wrong in ('holds', 'does not hold'):
        assert share(f'{n}, {tie}, {wrong}', np.array(found) == wrong) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize('n', [2, 3, 5, 10])
def test_a_margin_holds_by_chance_in_5_percent_at_most(n: int):
    """A true difference at the margin itself: two one-sided tests at 2.5 %; 5 % is met at no n."""
    rng = np.random.default_rng(7)
    for spread in (0.01, 0.1, 1.0):
        x = 1.0 + spread * rng.normal(size=(4 * DRAWS, n))
        found = np.array([verdicts.of_part(verdicts.of('', values), -1.0, 1.0) for values in x])
        assert share(f'n = {n}, spread {spread}: holds', found == 'holds') < 0.03
        assert share(f'n = {n}, spread {spread}: does not hold', found == 'does not hold') < 0.03
