"""Verdicts on claims: closed forms of the intervals, every case of one part, of several, and of several conditions."""

import numpy as np
import pytest

from bsresearch.analysis import claims
from bsresearch.analysis.claims import Claim, Estimate, Part, Verdict

# t_{0.975} with one degree of freedom is tan(0.475 π), of two (2·0.975 − 1)·√(2/(1 − (2·0.975 − 1)²)).
T1, T2 = np.tan(0.475 * np.pi), 0.95 * np.sqrt(2 / (1 - 0.95**2))
Z = 1.959963984540054


def part(mean: float, half: float = 0.1) -> Part:
    """Two values whose 95 % interval is mean ± half."""
    return Part('', np.array([mean - half / T1, mean + half / T1]))


def test_intervals_are_students():
    found = claims.estimate([1.0, 2.0])
    assert found == pytest.approx((1.5, 1.5 - T1 / 2, 1.5 + T1 / 2, 2))
    found = claims.estimate([1.0, 2.0, 3.0, np.nan])
    assert found == pytest.approx((2.0, 2 - T2 / np.sqrt(3), 2 + T2 / np.sqrt(3), 3))


def test_what_all_seeds_share_widens_the_interval():
    """In quadrature; of one seed it is the whole interval; a higher level is wider by its own quantile."""
    found = claims.estimate([1.0, 2.0], error=1.0)
    assert found.high - found.mean == pytest.approx(np.hypot(T1 / 2, Z))
    assert claims.estimate([1.0], error=0.5) == pytest.approx((1.0, 1 - Z / 2, 1 + Z / 2, 1))
    # t_{1 − α/2} with one degree of freedom is the cotangent of πα/2.
    assert claims.estimate([1.0, 2.0], level=0.99).high - 1.5 == pytest.approx(0.5 / np.tan(0.005 * np.pi))


def test_one_value_or_none_has_no_interval():
    one, none = claims.estimate([1.0]), claims.estimate([np.nan])
    assert np.isnan([one.low, one.high, none.mean]).all()
    assert (one.n, none.n) == (1, 0)
    assert claims.positive(one) == claims.within(one, 5.0) == 'undecided'
    assert claims.positive(none) == claims.within(none, 5.0) == 'not measured'


@pytest.mark.parametrize(
    ('low', 'high', 'above', 'equal'),
    [
        (0.1, 0.3, 'holds', 'holds'),
        (-0.1, 0.3, 'undecided', 'holds'),
        (-0.3, -0.1, 'does not hold', 'holds'),
        (0.9, 1.1, 'holds', 'undecided'),
        (1.1, 1.3, 'holds', 'does not hold'),
        (-1.3, -1.1, 'does not hold', 'does not hold'),
    ],
)
def test_a_verdict_is_where_the_interval_lies(low: float, high: float, above: Verdict, equal: Verdict):
    found = Estimate((low + high) / 2, low, high, 3)
    assert claims.positive(found) == above
    assert claims.within(found, 1.0) == equal


def test_several_parts_hold_together_and_fail_at_a_shared_level():
    """−0.15 ± 0.1 fails alone; one of two such parts is refuted at 97.5 %, where the interval is twice as wide."""
    assert claims.every([part(0.2), part(0.3)], low=0.0) == 'holds'
    assert claims.every([part(0.2), part(0.05)], low=0.0) == 'undecided'
    assert claims.every([part(-0.15)], low=0.0) == 'does not hold'
    assert claims.every([part(0.2), part(-0.15)], low=0.0) == 'undecided'
    assert claims.every([part(0.2), part(-0.25)], low=0.0) == 'does not hold'
    assert claims.every([part(0.2), Part('', np.array([]))], low=0.0) == 'not measured'
    assert claims.every([part(-0.25), Part('', np.array([]))], low=0.0) == 'does not hold'
    assert claims.every([], low=0.0) == 'not measured'


def test_many_true_parts_are_rarely_refuted():
    """Of ten parts at the bound itself a claim fails in 2.5 % of cases; at the level of one part it would in 22 %."""
    rng = np.random.default_rng(0)
    times = 1000
    failed = sum(
        claims.every([Part('', x) for x in rng.normal(size=(10, 3))], low=0.0) == 'does not hold' for _ in range(times)
    )
    # One side of each interval counts: 10 · 0.05/10/2.
    assert failed / times == pytest.approx(0.025, abs=3 * np.sqrt(0.025 / times))


def test_values_without_spread_decide_by_their_signs():
    """Two seeds alike decide nothing, six do, against either bound; float64's own rounding is no spread."""
    alike = lambda n, value=0.2, **more: [Part('', np.full(n, value), **more)]
    assert claims.every(alike(2), low=0.0) == claims.every(alike(5), low=0.0) == 'undecided'
    assert claims.every(alike(6), low=0.0) == claims.every(alike(6), low=0.0, high=1.0) == 'holds'
    assert claims.every(alike(6), high=0.1) == 'does not hold'
    assert claims.every([Part('', 0.3 - np.array([0.1, 0.1 + 1e-16]))], low=0.0) == 'undecided'
    # Two parts share the level: 2/2⁶ is above 2.5 %, 2/2⁷ is not.
    assert claims.every(alike(6, -0.2) + alike(6), low=0.0) == 'undecided'
    assert claims.every(alike(7, -0.2) + alike(7), low=0.0) == 'does not hold'
    assert claims.every(alike(3, error=float('nan')), low=0.0) == 'undecided'


def test_what_is_infinite_counts_as_missing():
    """Without a warning, which would be an error here."""
    assert claims.every([Part('', np.array([np.inf, 0.2]))], low=0.0) == 'undecided'
    assert claims.every([Part('', np.array([np.inf] * 6))], low=0.0) == 'not measured'


def test_rounding_widens_what_is_counted():
    """Closed form: two equal differences of accuracies on 360 examples have t·√(1/(6·360²)/2) on either side."""
    found = Part('', np.array([0.01, 0.01]), rounding=1 / (6 * 360**2)).estimate()
    assert found.high - found.mean == pytest.approx(T1 / 360 / np.sqrt(12))


def test_two_seeds_with_equal_differences_are_rarely_decided():
    """Monte Carlo: equal arms, 360 test examples, n = 2: at most 5 % decided; without the rounding it is 11 %."""
    rng, decided = np.random.default_rng(0), []
    for rounding in (0.0, 1 / (6 * 360**2)):
        accuracies = rng.binomial(360, 0.97, (4000, 2, 2)) / 360
        differences = np.round(0.3 * (accuracies[..., 0] - accuracies[..., 1]) * 360) / 360
        t = [Part('', d, rounding=rounding).estimate() for d in differences]
        zero = [np.ptp(d) == 0 and d[0] != 0 for d in differences]
        outside = [
            found.low > 0 or found.high < 0 or (rounding == 0 and none) for found, none in zip(t, zero, strict=True)
        ]
        decided.append(np.mean(outside))
    assert decided[0] > 0.07
    assert decided[1] < 0.05


def test_few_values_have_a_sign_test():
    """Binomial: 6 of 6 and 8 of 9 are within 5 %, 5 of 5 and 7 of 9 are not."""
    assert [claims.signs([1.0] * n) for n in (0, 1, 5, 6)] == ['not measured', 'undecided', 'undecided', 'holds']
    assert claims.signs([-1.0] * 8 + [1.0]) == 'does not hold'
    assert claims.signs([1.0] * 7 + [-1.0] * 2) == 'undecided'
    assert claims.signs([0.0] * 9) == 'undecided'


def test_conditions_depend_where_they_disagree():
    """Refuted at the level shared out among them: −0.15 ± 0.1 fails alone."""
    assert claims.each([part(0.2), part(-0.25)], low=0.0) == 'depends'
    assert claims.each([part(0.2), part(-0.15)], low=0.0) == 'undecided'
    assert claims.each([part(-0.15)], low=0.0) == 'does not hold'
    assert claims.each([part(0.2), part(0.3)], low=0.0) == 'holds'
    assert claims.each([part(-0.25), part(-0.3)], low=0.0) == 'does not hold'
    assert claims.each([part(0.2), part(0.05)], low=0.0) == 'undecided'
    assert claims.across() == 'not measured'


def test_the_worst_part_decides():
    assert claims.together('holds', 'depends', 'undecided') == 'undecided'
    assert claims.together('holds', 'not measured', 'does not hold') == 'does not hold'
    assert claims.together('holds', 'holds') == 'holds'


def test_numbers_carry_their_interval_and_count():
    found = Estimate(0.03125, 0.01, 0.05, 3)
    assert claims.text(found) == '0.0312 (0.01 to 0.05, n = 3)'
    assert claims.text(found, scale=100, decimals=2, unit=' %') == '3.12 % (1.00 to 5.00, n = 3)'
    assert claims.text(Estimate(np.log(2), np.log(1.5), np.log(3), 3), exp=True) == '2 (1.5 to 3, n = 3)'
    assert claims.text(claims.estimate([1.0])) == '1 (n = 1)'
    assert claims.text(claims.estimate([])) == 'none'
    assert claims.listing([Part('a', np.array([1.0])), Part('', np.array([2.0]))]) == 'a: 1 (n = 1); 2 (n = 1)'
    assert claims.listing([]) == 'none'


def test_the_report_names_each_claim():
    found = [Claim('A1', 's', 'text', '1 (n = 1)', 'undecided'), Claim('D10', 's', 'text', '2', 'does not hold')]
    assert claims.report(found) == '  A1   undecided      1 (n = 1)\n  D10  does not hold  2'
