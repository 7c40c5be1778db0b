"""Verdicts on claims: closed forms and brute force of the intervals, and every rule by which they become verdicts."""

import itertools

import numpy as np
import pytest
from scipy import stats

from bsresearch.analysis import verdicts
from bsresearch.analysis.best_sets import Along, RatioOfPlaces, not_told_from_best
from bsresearch.analysis.verdicts import Interval, Part, Verdict

INF, NAN = np.inf, np.nan
# t_{0.975} with one degree of freedom is tan(0.475 π), of two (2·0.975 − 1)·√(2/(1 − (2·0.975 − 1)²)).
T1, T2 = np.tan(0.475 * np.pi), 0.95 * np.sqrt(2 / (1 - 0.95**2))
Z = 1.959963984540054


def part(mean: float, half: float = 0.1) -> Part:
    """Two values whose 95 % interval is mean ± half."""
    return verdicts.of('', [mean - half / T1, mean + half / T1])


def every(parts: list[Part], low: float = -INF, high: float = INF) -> Verdict:
    return verdicts.together(*verdicts.each(parts, low, high))


def censored(*ends: tuple[float, float]) -> Part:
    low, high = np.array(ends, float).T
    return Part('', low, high)


def along(values: object, x: object = None, **facts: object) -> Part:
    values = np.asarray(values, float)
    k = len(values)
    x = np.arange(k) if x is None else np.asarray(x, float)
    none = np.zeros(k)
    places = Along(x, values, values, none, none.astype(bool))._replace(**facts)
    return verdicts.of('', np.full(values.shape[1], NAN), along=places)


def test_intervals_are_students():
    assert verdicts.interval(verdicts.of('', [1.0, 2.0])) == pytest.approx((1.5, 1.5 - T1 / 2, 1.5 + T1 / 2, 2, 'mean'))
    estimate = verdicts.interval(verdicts.of('', [1.0, 2.0, 3.0, NAN]))
    assert estimate == pytest.approx((2.0, 2 - T2 / np.sqrt(3), 2 + T2 / np.sqrt(3), 3, 'mean'))


def test_what_all_replicates_share_widens_the_interval():
    """In quadrature; of one replicate it is the whole interval; a higher level is wider by its own quantile."""
    estimate = verdicts.interval(verdicts.of('', [1.0, 2.0], error=1.0))
    assert estimate.high - estimate.centre == pytest.approx(np.hypot(T1 / 2, Z))
    assert verdicts.interval(verdicts.of('', [1.0], error=0.5))[:3] == pytest.approx((1.0, 1 - Z / 2, 1 + Z / 2))
    one = verdicts.interval(verdicts.of('', [1.0], error=0.5, freedom=1))
    assert one.high - 1 == pytest.approx(T1 / 2)
    # t_{1 − α/2} with one degree of freedom is the cotangent of πα/2.
    wide = verdicts.interval(verdicts.of('', [1.0, 2.0]), 0.99)
    assert wide.high - 1.5 == pytest.approx(0.5 / np.tan(0.005 * np.pi))
    unknown = verdicts.of('', [0.2] * 8, error=NAN)
    assert verdicts.of_part(unknown, 0.0, INF) == 'undecided'


def test_rounding_widens_what_is_counted():
    """Two equal differences of accuracies on 360 examples have t·√(1/(6·360²)/2) on either side."""
    estimate = verdicts.interval(verdicts.of('', [0.01, 0.01], rounding=1 / (6 * 360**2)))
    assert estimate.high - estimate.centre == pytest.approx(T1 / 360 / np.sqrt(12))


def test_one_value_or_none_has_no_interval():
    one, none = verdicts.of('', [1.0]), verdicts.of('', [NAN])
    assert np.isnan([verdicts.interval(one).low, verdicts.interval(none).centre]).all()
    assert (verdicts.interval(one).n, verdicts.interval(none).n) == (1, 0)
    assert verdicts.of_part(one, 0.0, INF) == 'undecided'
    assert verdicts.of_part(none, 0.0, INF) == verdicts.of_part(none._replace(few=True), 0.0, INF) == 'not measured'


@pytest.mark.parametrize(
    ('low', 'high', 'above', 'equal'),
    [
        (0.1, 0.3, 'holds', 'holds'),
        (-0.1, 0.3, 'undecided', 'holds'),
        (-0.3, -0.1, 'does not hold', 'holds'),
        (0.9, 1.1, 'holds', 'undecided'),
        (1.1, 1.3, 'holds', 'does not hold'),
        (-1.3, -1.1, 'does not hold', 'does not hold'),
        (0.0, 0.3, 'undecided', 'holds'),
        (-2.0, 2.0, 'undecided', 'undecided'),
        (-INF, 2.0, 'undecided', 'undecided'),
        (0.1, INF, 'holds', 'undecided'),
        (1.1, INF, 'holds', 'does not hold'),
    ],
)
def test_a_verdict_is_where_the_interval_lies(low: float, high: float, above: Verdict, equal: Verdict):
    assert verdicts.inside(low, high, 0.0, INF) == above
    assert verdicts.inside(low, high, -1.0, 1.0) == equal


@pytest.mark.parametrize('n', range(1, 16))
@pytest.mark.parametrize('bounds', [1, 2])
def test_the_ends_of_a_median_are_the_sign_tests(n: int, bounds: int):
    """Brute force: over all 2ⁿ signs the median lies below an end in 2.5 % at most (3.5 % of one bound)."""
    values = np.arange(1.0, n + 1)
    estimate = verdicts.interval(verdicts.of('', values, few=True), bounds=bounds)
    most = 0.025 if bounds == 2 else 0.035
    below = np.bincount([sum(signs) for signs in itertools.product((0, 1), repeat=n)], minlength=n + 1) / 2**n
    # The end at order statistic k + 1 is above the median where at most k values lie below it.
    exceeded = np.cumsum(below)
    k = np.flatnonzero(exceeded <= most)
    if not len(k):
        assert np.isnan(estimate.low)
        assert n < (6 if bounds == 2 else 5)
        return
    assert (estimate.low, estimate.high) == (values[k[-1]], values[n - 1 - k[-1]])
    assert estimate.centre == np.median(values)


@pytest.mark.parametrize('n', range(1, 14))
@pytest.mark.parametrize('above', range(14))
def test_few_values_have_a_sign_test(n: int, above: int):
    """Brute force of the binomial tail: one bound at 3.5 %, two at 2.5 % each; what equals a bound is not above it."""
    if above > n:
        return
    tail = sum(1 for signs in itertools.product((0, 1), repeat=n) if sum(signs) >= above) / 2**n
    values = verdicts.of('', [0.5] * above + [-0.5] * (n - above), few=True)
    tied = verdicts.of('', [0.5] * above + [0.0] * (n - above), few=True)
    holds = lambda p, *bounds: verdicts.of_part(p, *bounds) == 'holds'
    assert holds(values, 0.0, INF) == holds(tied, 0.0, INF) == (tail <= 0.035)
    assert holds(tied, 0.0, 1.0) == (tail <= 0.025)
    assert (verdicts.of_part(values, -INF, 0.0) == 'does not hold') == (tail <= 0.035)


def test_values_without_spread_decide_by_their_signs():
    """Four alike decide nothing, five on one side, six on two; an interval of width 0 is not shown."""
    alike = lambda n, value=0.2, **more: [verdicts.of('', np.full(n, value), **more)]
    assert every(alike(4), low=0.0) == every(alike(5), low=0.0, high=1.0) == 'undecided'
    assert every(alike(5), low=0.0) == every(alike(6), low=0.0, high=1.0) == 'holds'
    assert every(alike(5), high=0.1) == 'does not hold'
    assert np.isnan(verdicts.interval(alike(6)[0]).low)
    # Float64's own rounding is no spread.
    assert every([verdicts.of('', 0.3 - np.array([0.1, 0.1 + 1e-16]))], low=0.0) == 'undecided'
    # Two parts share the level: 2/2⁵ is above 3.5 %, 2/2⁶ is not.
    assert every(alike(5, -0.2) + alike(5), low=0.0) == 'undecided'
    assert every(alike(6, -0.2) + alike(6), low=0.0) == 'does not hold'


def test_what_is_infinite_is_not_dropped():
    """It keeps its place in the order: five of six below a bound, and one that never came there."""
    assert every([verdicts.of('', [INF] * 5)], low=0.0) == 'holds'
    assert every([verdicts.of('', [INF] * 5)], high=0.0) == 'does not hold'
    assert every([verdicts.of('', [INF, 0.2])], low=0.0) == 'undecided'
    mixed = verdicts.of('', [1.0, 2.0, 3.0, 4.0, 5.0, INF])
    assert verdicts.interval(mixed) == Interval(3.5, 1.0, INF, 6, 'median')
    assert every([mixed], low=0.0) == 'holds'
    assert every([mixed], high=10.0) == 'undecided'
    assert verdicts.of_part(verdicts.of('', [-INF] * 6), -INF, 0.0) == 'holds'


def test_a_censored_value_stands_at_its_bound():
    """It is known to lie above what its run was followed to, and no more."""
    ends = [(3.0, 3.0)] * 5 + [(4.0, INF)]
    assert verdicts.interval(censored(*ends)) == Interval(3.0, 3.0, INF, 6, 'median')
    assert every([censored(*ends)], low=2.0) == 'holds'
    assert every([censored(*[(4.0, INF)] * 6)], low=3.0) == 'holds'
    assert every([censored(*[(4.0, INF)] * 6)], high=3.0) == 'does not hold'
    assert (
        every([censored(*[(4.0, INF)] * 6)], high=5.0) == every([censored(*[(4.0, INF)] * 6)], low=5.0) == 'undecided'
    )
    # −∞ to ∞: nothing is known, which does not make it missing.
    assert verdicts.interval(censored(*ends, (-INF, INF))).n == 7


def test_several_parts_hold_together_and_fail_at_a_shared_level():
    """−0.15 ± 0.1 fails alone; one of two such parts is refuted at 97.5 %, where the interval is twice as wide."""
    none = verdicts.of('', [])
    assert every([part(0.2), part(0.3)], low=0.0) == 'holds'
    assert every([part(0.2), part(0.05)], low=0.0) == 'undecided'
    assert every([part(-0.15)], low=0.0) == 'does not hold'
    assert every([part(0.2), part(-0.15)], low=0.0) == 'undecided'
    assert every([part(0.2), part(-0.25)], low=0.0) == 'does not hold'
    assert every([part(0.2), none], low=0.0) == 'not measured'
    assert every([part(-0.25), none], low=0.0) == 'does not hold'
    assert every([], low=0.0) == 'not measured'


def test_many_true_parts_are_rarely_refuted():
    """Of ten parts at the bound itself a claim fails in 2.5 % of cases; at the level of one part it would in 22 %."""
    rng, times = np.random.default_rng(0), 1000
    failed = sum(
        every([verdicts.of('', x) for x in rng.normal(size=(10, 3))], low=0.0) == 'does not hold' for _ in range(times)
    )
    # One side of each interval counts: 10 · 0.05/10/2.
    assert failed / times == pytest.approx(0.025, abs=3 * np.sqrt(0.025 / times))


def test_conditions_depend_where_they_disagree():
    """Refuted at the level shared out among them: −0.15 ± 0.1 fails alone."""
    under = lambda *parts: verdicts.across(*verdicts.each(list(parts), 0.0, INF))
    assert under(part(0.2), part(-0.25)) == 'depends'
    assert under(part(0.2), part(-0.15)) == under(part(0.2), part(0.05)) == 'undecided'
    assert under(part(-0.15)) == under(part(-0.25), part(-0.3)) == 'does not hold'
    assert under(part(0.2), part(0.3)) == 'holds'
    assert verdicts.across() == 'not measured'


def test_the_worst_part_decides():
    assert verdicts.together('holds', 'depends', 'undecided') == 'undecided'
    assert verdicts.together('holds', 'not measured', 'does not hold') == 'does not hold'
    assert verdicts.together('holds', 'not measured', 'undecided') == 'not measured'
    assert verdicts.together('holds', 'holds') == 'holds'


def test_what_was_chosen_has_the_union_of_both_intervals():
    """Chosen on all replicates, and on the other half: both have to lie inside, or both outside."""
    both = part(0.2)._replace(halves=part(0.5))
    assert verdicts.interval(both)[:3] == pytest.approx((0.2, 0.1, 0.6))
    assert every([both], low=0.05) == 'holds'
    assert every([both], low=0.15) == every([both], high=0.35) == 'undecided'
    assert every([both], high=0.05) == 'does not hold'
    assert every([both._replace(halves=verdicts.of('', []))], low=0.0) == 'not measured'
    assert every([both._replace(halves=part(-0.25))], low=0.0) == 'undecided'


def test_an_open_side_may_lie_anywhere():
    higher, lower = part(0.2)._replace(open_high=True), part(0.2)._replace(open_low=True)
    assert every([higher], low=0.0) == 'holds'
    assert every([higher], low=0.5) == every([higher], low=0.0, high=1.0) == 'undecided'
    assert every([lower], low=0.0) == 'undecided'
    assert every([lower], low=0.5) == 'does not hold'


def test_the_set_of_the_best_by_hand():
    """k = 3: a cell goes where a paired t-test finds another above it at 2.5 %."""
    values = np.array([[1.0, 2.0, 3.0, 4.0], [2.1, 2.9, 4.2, 5.1], [1.2, 1.7, 3.3, 4.1]])
    expected = []
    for i in range(3):
        t = [stats.ttest_rel(values[j], values[i], alternative='greater').pvalue for j in range(3) if j != i]
        expected.append(min(t) > 0.05 / 2)
    assert expected == [False, True, False]
    assert not_told_from_best(values).tolist() == expected
    assert not_told_from_best(values[:2]).tolist() == [False, True]
    assert not_told_from_best(values[:1]).tolist() == [True]
    assert not_told_from_best(values[:, :1]).all()


def test_a_set_without_spread_goes_by_signs():
    """Of two cells that differ by the same in all replicates the worse stays below five; of three below six."""
    apart = lambda n, k: np.arange(n)[None, :] - np.arange(k)[:, None] * 1.0
    assert [not_told_from_best(apart(n, 2)).sum() for n in (2, 4, 5)] == [2, 2, 1]
    assert [not_told_from_best(apart(n, 3)).sum() for n in (5, 6)] == [3, 1]
    # Counting is a spread: a difference of one example of 100 in two replicates tells nothing.
    assert not_told_from_best(apart(5, 2) * 0.01, rounding=1 / (12 * 100**2)).tolist() == [True, False]
    assert not_told_from_best(apart(2, 2) * 0.01, rounding=1 / (12 * 100**2)).all()


def test_a_set_lies_inside_its_bounds_as_a_whole():
    """Batch sizes 16 to 128 of which 32 and 64 cannot be told apart."""
    rng = np.random.default_rng(0)
    means = np.array([-5.0, 0.0, 0.1, -5.0])
    best_sizes = along(means[:, None] + 0.5 * rng.normal(size=(4, 6)), [16, 32, 64, 128])
    assert set(best_sizes.along.places().values) == {32, 64}  # type: ignore[union-attr]
    assert verdicts.interval(best_sizes)[1:] == (32, 64, 6, 'set')
    assert verdicts.of_part(best_sizes, -INF, 64) == verdicts.of_part(best_sizes, 32, INF) == 'holds'
    assert verdicts.of_part(best_sizes, -INF, 32) == 'undecided'
    assert verdicts.of_part(best_sizes, 128, INF) == 'does not hold'
    assert np.isnan(verdicts.smallest_effect(best_sizes))


def test_the_best_on_an_edge_may_lie_beyond():
    x, best_first = [16, 32, 64], np.array([[9.0, 9.1, 9.2, 9.0, 9.1, 9.3], [5.0] * 6, [1.0] * 6])
    first, last = along(best_first, x), along(best_first[::-1], x)
    assert verdicts.of_part(first, -INF, 16) == verdicts.of_part(last, 64, INF) == 'holds'
    assert verdicts.of_part(first, 16, INF) == verdicts.of_part(last, -INF, 64) == 'undecided'
    assert verdicts.of_part(first, 32, INF) == 'does not hold'
    assert verdicts.of_part(last, 100, 200) == 'undecided'
    assert verdicts.of_part(along(best_first, x, first=True), 16, INF) == 'holds'
    assert verdicts.of_part(along(best_first, x, first=True), 32, INF) == 'does not hold'


def test_a_cell_that_diverged_is_never_the_best_and_one_on_an_edge_may_be():
    values = np.array([[5.0] * 5, [9.0] * 4 + [-INF], [1.0, 1.1, 1.2, 1.0, 1.1]])
    assert along(values).along.places().values == (0,)  # type: ignore[union-attr]
    assert along(values, open=np.array([False, False, True])).along.places().values == (0, 2)  # type: ignore[union-attr]
    assert verdicts.of_part(along(np.full((2, 5), -INF)), 0, INF) == 'not measured'


def test_the_smallest_effect_by_simulation():
    """Monte Carlo: an effect of that size is shown in 80 % of draws of that spread, within 3 standard errors."""
    rng, times = np.random.default_rng(0), 4000
    for n in (2, 3, 10):
        scale = np.sqrt(n / (n - 1))  # of values that have a sample deviation of 1
        unit = np.resize([-1.0, 1.0], n) if n % 2 == 0 else np.array([-1.0, 0.0, 1.0]) / scale * np.sqrt(3 / 2)
        unit = unit / unit.std(ddof=1)
        effect = verdicts.smallest_effect(verdicts.of('', unit))
        x = effect + rng.normal(size=(times, n))
        half = stats.t.ppf(0.975, n - 1) * x.std(axis=1, ddof=1) / np.sqrt(n)
        assert np.mean(x.mean(axis=1) - half > 0) == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / times))


def test_the_smallest_effect_of_many_replicates_is_the_normal_one():
    """(z_{0.975} + z_{0.8})/√n; twice the spread sees half as much; none without a spread."""
    values = np.resize([-1.0, 1.0], 4000)
    effect = verdicts.smallest_effect(verdicts.of('', values))
    assert effect == pytest.approx((Z + 0.8416212335729143) / np.sqrt(4000), rel=2e-3)
    assert verdicts.smallest_effect(verdicts.of('', 2 * values)) == pytest.approx(2 * effect)
    wider = verdicts.of('', values, halves=verdicts.of('', values + 0.5))
    assert verdicts.smallest_effect(wider) == pytest.approx(effect + 0.5)
    for blind in (verdicts.of('', [1.0]), verdicts.of('', [1.0] * 6), verdicts.of('', [1.0, 2.0, INF])):
        assert np.isnan(verdicts.smallest_effect(blind))


def test_two_sets_share_the_level():
    """A cell that goes at 95 % and stays at 97.5 %, by a paired t-test: a ratio of two places still has it."""
    noise = np.array([-1.0, 0.0, 1.0, 0.5, -0.5])
    shift = stats.t.ppf(1 - 0.035, 4) * noise.std(ddof=1) / np.sqrt(5) - noise.mean()
    one = along(np.array([np.zeros(5), shift + noise]), [1.0, 2.0]).along
    assert isinstance(one, Along)
    assert (one.places().values, one.places(0.975).values) == ((2.0,), (2.0, 1.0))
    assert sorted(RatioOfPlaces(one, one).places().values) == pytest.approx([-np.log(2), 0.0, 0.0, np.log(2)])
