"""Quantities of runs against brute force on planted records; what diverged, unfinished and censored runs count as."""

import dataclasses
import operator
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import planted
import pytest
from fake_records import EPOCH_SIZE, write_run

from bsresearch.analysis import study
from bsresearch.analysis.of_courses import (
    at_level,
    growth_exponent,
    logarithmic_slope,
    noise_scale_between,
    noise_scale_in,
    noise_scale_while,
    over_expected_loss,
    power_over_logarithm,
    relative_change,
)
from bsresearch.analysis.of_probes import rise_on_line, sharper_at_large
from bsresearch.analysis.of_runs import (
    at_epoch,
    best,
    final,
    level,
    median_of_last,
    start,
    to_target,
    unsteadiness,
)  # fmt: skip
from bsresearch.analysis.quantities import growth
from bsresearch.analysis.quantity import PERCENT, TIMES, Quantity, Unit, log, logit
from bsresearch.analysis.study import Study

INF, NAN = np.inf, np.nan
ACCURACY = (0.125, 0.5, 0.875, 0.75, 0.625)  # at epochs 0 to 4
LOSS = (2.0, 1.0, 0.25, 0.5, 0.75)


@pytest.fixture
def load(tmp_path: pathlib.Path) -> Callable[..., Study]:
    """Runs, each as fields of write_run, and the study of them; a run each of seeds 0, 1, …"""

    def loaded(*runs: Mapping[str, Any]) -> Study:
        workdir = tmp_path / str(len(list(tmp_path.iterdir())))
        for seed, fields in enumerate(runs):
            values = {'test_accuracy': ACCURACY, 'test_loss': LOSS, 'distance': (0.0, 1.0, 2.0, 3.0, 4.0)}
            write_run(workdir, **({'seed': seed, 'values': values, 'name': f'run{seed}'} | dict(fields)))
        return study.load(workdir, 'train')

    return loaded


def numbers(quantity: Quantity, of: Study) -> list[float]:
    """Of the one cell."""
    array = quantity.of(of)
    assert len(array.low) == 1
    assert array.low.equals(array.high)
    return array.low.iloc[0].tolist()


def course(values: Sequence[float]) -> dict[str, Any]:
    return {'values': {'test_accuracy': values}}


def test_each_takes_its_evaluations(load: Callable[..., Study]):
    runs = load({}, course((0.0, 0.25, 0.5, 0.5, 1.0)))
    assert numbers(final('test_accuracy'), runs) == [0.625, 1.0]
    assert numbers(start('test_accuracy'), runs) == [0.125, 0.0]
    assert numbers(best('test_accuracy'), runs) == [0.875, 1.0]
    assert numbers(at_epoch('test_accuracy', 1.5), runs) == [0.875, 0.5]
    assert numbers(median_of_last('test_accuracy', 3), runs) == [0.75, 0.5]
    assert numbers(median_of_last('test_accuracy', 2), runs) == [0.6875, 0.75]
    assert numbers(level('test_accuracy', last=3), runs) == [0.75, pytest.approx(2 / 3)]
    assert numbers(unsteadiness('test_accuracy', last=3), runs) == pytest.approx(
        [np.std([0.875, 0.75, 0.625], ddof=1), np.std([0.5, 0.5, 1.0], ddof=1)]
    )


def test_of_losses_the_lowest_is_the_best(load: Callable[..., Study]):
    assert numbers(best('test_loss'), load({})) == [0.25]
    assert (best('test_loss').higher_is_better, best('test_accuracy').higher_is_better) == (False, True)
    assert final('distance').higher_is_better is None


def test_relative_change_is_last_over_first(load: Callable[..., Study]):
    assert numbers(relative_change('test_loss'), load({})) == [0.75 / 2 - 1]


def test_at_a_level_of_a_loss_is_between_its_neighbours(load: Callable[..., Study]):
    """Linear in the logarithm of the loss, at its first fall; none where it begins below or never comes there."""
    metrics = {'sharpness': (8.0, 4.0, 6.0, 1.0, 1.0), 'sharpness_loss': (4.0, 2.0, 0.5, 1.0, 0.25)}
    late, early = ({'values': metrics | {'sharpness_loss': losses}} for losses in ((4.0,) * 5, (1.0,) * 5))
    runs = load({'values': metrics}, late, early)
    np.testing.assert_allclose(numbers(at_level('sharpness', 'sharpness_loss', 1.0), runs), [5.0, NAN, NAN])


def test_a_logit_has_no_ceiling(load: Callable[..., Study]):
    expected = np.log(0.625 / 0.375)
    assert numbers(logit(final('test_accuracy')), load({})) == pytest.approx([expected])
    counted = logit(planted.quantity(planted.table({'a': [0.8, 0.8]}), rounding=0.01))
    rounding = counted.of(planted.study(planted.index([('a', '', '')]), 2)).rounding
    assert rounding.tolist() == pytest.approx([0.01 / 0.16**2])


def test_a_steady_course_is_no_trend(load: Callable[..., Study]):
    """Detrended: √(Σr²/(n − 2)) of the residuals of NumPy's line, none of a straight line; n = 2 is too small."""
    runs = load({}, course((0.1, 0.2, 0.3, 0.4, 0.5)))
    epochs, accuracy = np.arange(1.0, 5), np.array(ACCURACY[1:])
    residuals = accuracy - np.polyval(np.polyfit(epochs, accuracy, 1), epochs)
    detrended = lambda last: numbers(unsteadiness('test_accuracy', last, detrend=True), runs)
    assert detrended(4) == pytest.approx([np.sqrt((residuals**2).sum() / 2), 0.0], abs=1e-12)
    assert np.isnan([*detrended(2), *numbers(unsteadiness('test_accuracy', 1), runs)]).all()
    for last in (0.0, -1.0, 9.0):
        with pytest.raises(ValueError, match=f'last {last:g} epochs of a run of 4: allowed are more than 0 and at m'):
            level('test_accuracy', last).of(runs)


def test_what_diverged_counts_as_what_the_quantity_says(load: Callable[..., Study]):
    """Else it has no number; a volatility is ∞; nothing is read from the divergence on."""
    runs = load({}, {'status': 'diverged', 'diverged_step': 6})
    assert numbers(final('test_accuracy'), runs) == [0.625, pytest.approx(NAN, nan_ok=True)]
    assert numbers(final('test_accuracy', diverged=0.1), runs) == [0.625, 0.1]
    assert numbers(level('test_accuracy', diverged=0.1), runs)[1] == 0.1
    assert numbers(unsteadiness('test_accuracy'), runs)[1] == INF
    assert [q.diverged for q in (final('a'), final('a', diverged=0.1), unsteadiness('a'))] == [False, True, True]


def test_a_run_that_diverged_while_its_group_goes_on_diverged_already(load: Callable[..., Study]):
    runs = load({}, {'status': 'running', 'diverged_step': 6})
    assert numbers(final('test_accuracy', diverged=0.1), runs) == [0.625, 0.1]


def test_an_unfinished_run_has_no_number(load: Callable[..., Study]):
    runs = load({}, {'status': 'running'})
    for quantity in (final('test_accuracy', diverged=0.1), level('test_accuracy'), unsteadiness('test_accuracy', 3)):
        assert np.isnan(numbers(quantity, runs)).tolist() == [False, True]


def test_efforts_to_a_target_are_censored_and_never_dropped(load: Callable[..., Study]):
    """At an evaluation as good as the target; of a run that ended without above its end; never where it diverged."""
    short = {'test_accuracy': ACCURACY[:2]}
    runs = load(
        {}, course((0.0,) * 5), {'status': 'diverged', 'diverged_step': 6, 'values': {'test_accuracy': (0.0, 0.1)}},
        {'status': 'running', 'values': short}, {'status': 'diverged', 'diverged_step': 14},
    )  # fmt: skip
    steps = EPOCH_SIZE // 16
    expected = {'epochs': (2.0, 4.0), 'updates': (2 * steps, 4 * steps), 'examples': (128, 256), 'seconds': (4.0, 8.0)}
    for effort, (arrived, end) in expected.items():
        array = to_target(effort, 'test_accuracy', 0.8).of(runs)
        np.testing.assert_array_equal(array.low.iloc[0], [arrived, end, INF, NAN, arrived])
        np.testing.assert_array_equal(array.high.iloc[0], [arrived, INF, INF, NAN, arrived])
    exactly = to_target('epochs', 'test_accuracy', 0.875).of(runs).low.iloc[0, 0]
    assert exactly == 2.0
    below = to_target('epochs', 'test_loss', 0.3).of(load({}, {}))
    assert below.low.iloc[0, 0] == 2.0
    # Told at evaluations, an epoch apart: a variance of 1²/12.
    assert below.rounding.tolist() == [pytest.approx(1 / 12)]
    with pytest.raises(ValueError, match='there are updates'):
        to_target('steps', 'test_accuracy', 0.8)


UPDATES = np.unique(np.geomspace(1, 20000, 60).round())


def test_planted_laws_are_recovered_and_told_apart():
    """Closed form without noise; with 1 % noise the parameters to a few per cent, and the nearer law by AIC."""
    rng = np.random.default_rng(0)
    logarithm, power = 0.4 + 0.6 * np.log(UPDATES), 0.3 * UPDATES**0.32
    fit = growth.logarithm(UPDATES, logarithm)
    assert (fit.first, fit.second) == pytest.approx((0.4, 0.6), rel=1e-9)
    fit = growth.power(UPDATES, power)
    assert (fit.first, fit.second) == pytest.approx((0.3, 0.32), rel=1e-4)
    for truth, nearer in ((logarithm, growth.logarithm), (power, growth.power)):
        noisy = truth * (1 + 0.01 * rng.normal(size=len(UPDATES)))
        fits = {f: f(UPDATES, noisy) for f in (growth.logarithm, growth.power)}
        assert min(fits, key=lambda f: fits[f].aic) is nearer
    # Whatever t counts.
    assert growth.power(UPDATES, 0.3 * (UPDATES * 64) ** 0.32).second == pytest.approx(0.32, rel=1e-4)


def test_aic_is_its_definition():
    values = 0.3 * UPDATES**0.32 + np.random.default_rng(1).normal(size=len(UPDATES)) * 0.1
    fit = growth.logarithm(UPDATES, values)
    slope, intercept = np.polyfit(np.log(UPDATES), values, 1)
    rss = ((values - intercept - slope * np.log(UPDATES)) ** 2).sum()
    assert fit.second == pytest.approx(slope)
    assert fit.aic == pytest.approx(len(UPDATES) * np.log(rss / len(UPDATES)) + 6)


def test_growth_exponents_of_power_laws_are_theirs(load: Callable[..., Study]):
    """Through records; fewer than six points tell nothing."""
    t = np.arange(17) * 4.0
    grown = {'distance': (3 * t**0.3).tolist()}
    logarithm = {'distance': [0.0, *(1 + 0.5 * np.log(t[1:])).tolist()]}
    length = {'total_examples': 16 * EPOCH_SIZE}
    runs = load({'values': grown} | length, {'values': logarithm} | length)
    assert numbers(growth_exponent(), runs)[0] == pytest.approx(0.3, abs=1e-5)
    assert np.sign(numbers(power_over_logarithm(), runs)).tolist() == [1.0, -1.0]
    few = load({'values': {'distance': (3 * t[:5] ** 0.3).tolist()}})
    assert np.isnan(numbers(growth_exponent(), few)[0])


def test_the_beginning_of_a_course_has_a_slope_of_its_own(load: Callable[..., Study]):
    """1 + 0.5·ln t over its first half, then flat."""
    t = np.arange(17) * 4.0
    distance = np.where(t <= 32, 1 + 0.5 * np.log(np.maximum(t, 1)), 9.0)
    runs = load({'values': {'distance': distance.tolist()}, 'total_examples': 16 * EPOCH_SIZE})
    assert numbers(logarithmic_slope(share=0.5), runs) == pytest.approx([0.5])
    assert numbers(logarithmic_slope(), runs)[0] > 1.0


def test_counting_adds_its_variance(load: Callable[..., Study]):
    """Multiples of 1/8: 1/(12·64) of one evaluation, half of that of the mean of two; losses are not counted."""
    runs = load({})
    assert final('test_accuracy').of(runs).rounding.tolist() == [pytest.approx(1 / (12 * 64))]
    assert level('test_accuracy', last=2).of(runs).rounding.tolist() == [pytest.approx(1 / (24 * 64))]
    assert final('test_loss').of(runs).rounding.tolist() == [0.0]


def test_a_metric_that_no_run_has_is_told_with_its_cure(load: Callable[..., Study]):
    with pytest.raises(ValueError, match=r'measure\.parameter_norm'):
        final('parameter_norm').of(load({}))


# Arithmetic, on planted arrays.


def pair(low: Sequence[float], high: Sequence[float] | None = None, **facts: Any) -> Quantity:
    table = lambda values: planted.table({'a': values})
    return planted.quantity(table(low), None if high is None else table(high), **facts)


def ends(quantity: Quantity) -> tuple[list[float], list[float]]:
    array = quantity.of(planted.study(planted.index([('a', '', '')]), 1))
    return array.low.iloc[0].tolist(), array.high.iloc[0].tolist()


def test_arithmetic_keeps_both_ends():
    """Brute force over points between the ends: none lies outside, and the ends are met."""
    rng = np.random.default_rng(0)
    a, b = np.sort(rng.uniform(1, 3, (2, 2, 6)), axis=1)
    for operation in (operator.sub, operator.truediv):
        low, high = ends(operation(pair(*a), pair(*b)))
        corners = [operation(x, y) for x in a for y in b]
        assert low == pytest.approx(np.min(corners, axis=0).tolist())
        assert high == pytest.approx(np.max(corners, axis=0).tolist())
    assert ends(log(pair(*a))) == (pytest.approx(np.log(a[0]).tolist()), pytest.approx(np.log(a[1]).tolist()))


def test_a_difference_of_infinities_is_unknown_and_not_missing():
    """∞ − ∞ may be anything; ∞ minus what lies above 5 too; what is missing stays missing."""
    a = pair([INF, INF, INF, 1.0, NAN, -INF])
    b = pair([INF, 5.0, 2.0, 5.0, INF, -INF], [INF, INF, 2.0, INF, INF, -INF])
    low, high = ends(a - b)
    np.testing.assert_array_equal(low, [-INF, -INF, INF, -INF, NAN, -INF])
    np.testing.assert_array_equal(high, [INF, INF, INF, -4.0, NAN, INF])


def test_counting_goes_through_arithmetic_to_first_order():
    """Monte Carlo of rounded values: of a difference, a logarithm and a quotient, within 10 %."""
    rng, step = np.random.default_rng(0), 0.01
    x, y = rng.normal([[0.5], [0.8]], 0.05, (2, 200_000))
    rounded = lambda v: np.round(v / step) * step
    a, b = (pair([x, x], rounding=step**2 / 12) for x in (0.5, 0.8))
    for made, of in (
        (a - b, lambda u, v: u - v), (a / b, lambda u, v: u / v), (log(a), lambda u, v: np.log(u)),
    ):  # fmt: skip
        expected = np.var(of(rounded(x), rounded(y)) - of(x, y))
        array = made.of(planted.study(planted.index([('a', '', '')]), 1))
        assert array.rounding.iloc[0] == pytest.approx(expected, rel=0.1)


def test_a_difference_has_no_better_direction_and_no_limits():
    gap = final('train_accuracy') - final('test_accuracy')
    assert gap.higher_is_better is None
    assert (gap.unit.level, gap.unit.low, gap.unit.high) == (' points', -INF, INF)
    assert gap.metrics == ('train_accuracy', 'test_accuracy')
    assert (pair([1.0], diverged=True) - pair([1.0])).diverged is False
    assert gap.named('gap', higher_is_better=False).higher_is_better is False


@pytest.mark.parametrize(
    ('unit', 'value', 'level', 'difference'),
    [
        (PERCENT, 0.8839, '88.39 %', '88.39 points'),
        (PERCENT, -0.0046, '−0.46 %', '−0.46 points'),
        (TIMES, np.log(3.444), '3.44 times', '3.44 times'),
        (TIMES, np.log(1024.0), '1,024 times', '1,024 times'),
        (Unit(), 999.6, '1,000', '1,000'),
        (Unit(' s', ' s'), 123456.0, '123,456 s', '123,456 s'),
        (Unit(' s', ' s'), INF, '∞ s', '∞ s'),
        (Unit(), NAN, 'none', 'none'),
    ],
)
def test_units_write_numbers(unit: Unit, value: float, level: str, difference: str):
    assert (unit.show(value), unit.show(value, difference=True)) == (level, difference)


def test_crossed_replicates_are_averaged_over_the_second_first():
    """Six runs of a cell, three inits and two orders each: three numbers, each a mean; one missing leaves none."""
    index = planted.index([('a', '', '')])
    whole = planted.study(index, 6)
    members = whole.members.assign(replicate=['0', '0', '1', '1', '2', '2'])
    crossed = dataclasses.replace(whole, members=members, replicates=('0', '1', '2'))
    of_run = dict(zip(members['id'], [1.0, 2.0, 5.0, 7.0, 4.0, NAN], strict=True))
    table = crossed.table(of_run.__getitem__)
    np.testing.assert_array_equal(table.to_numpy(), [[1.5, 6.0, NAN]])
    assert isinstance(table.index, pd.MultiIndex)


# Of measurements and probes.


def test_the_noise_scale_of_a_window_is_a_ratio_of_means(load: Callable[..., Study]):
    """Brute force: thirds of nine measurements; ∞ where the mean of |G|² is not positive; fewer than windows: none."""
    rng = np.random.default_rng(0)
    square, trace = rng.normal(1, 0.5, 9), rng.normal(100, 20, 9)
    square[6:] = -0.1, 0.05, 0.0
    measured = {'noise_gradient_square': square.tolist(), 'noise_trace': trace.tolist()}
    few = {name: values[:2] for name, values in measured.items()}
    length = {'total_examples': 8 * EPOCH_SIZE}
    runs = load({'values': measured} | length, {'values': few} | length)
    first, last = (numbers(noise_scale_in(window, 3), runs) for window in (0, -1))
    assert first[0] == pytest.approx(trace[:3].mean() / square[:3].mean())
    assert last[0] == INF
    assert np.isnan([first[1], last[1]]).all()


def test_the_noise_scale_of_a_stretch_is_that_of_its_measurements(load: Callable[..., Study]):
    """By epochs, and while a loss falls: from its first value at the upper end to its first at the lower."""
    trace, square = (10.0, 20.0, 30.0, 40.0, 50.0), (1.0, 2.0, 1.0, 4.0, 1.0)
    measured = {'noise_gradient_square': square, 'noise_trace': trace}
    losses = ((0.9, 0.6, 0.5, 0.7, 0.4), (0.9, 0.8, 0.7, 0.6, 0.6), (0.9, 0.9, 0.9, 0.9, 0.9))
    runs = load(*({'values': measured | {'train_loss': loss}} for loss in losses))
    assert numbers(noise_scale_between(1.0, 3.0), runs) == pytest.approx([90 / 7] * 3)
    falling = numbers(noise_scale_while('train_loss', 0.6, 0.5), runs)
    assert falling[0] == pytest.approx(50 / 3)
    assert np.isnan(falling[1:]).all()  # the second came to 0.6 and never to 0.5
    assert np.isnan(numbers(noise_scale_between(7.0, 9.0), runs)).all()


def test_a_noiseless_quadratic_ends_where_its_closed_form_does(load: Callable[..., Study]):
    """½ Σ h θ₀² (1 − εh)^{2T}: a run that ends 10 % above it counts as 0.1."""
    h, rate, steps = np.arange(1, 5.0) ** -1.0, 0.5, EPOCH_SIZE // 16 * 4
    expected = float((h * 2.0**2 * (1 - rate * h) ** (2 * steps)).sum() / 2)
    plain = {'name': 'constant'}
    fields = {
        'learning_rate': rate, 'model': {'name': 'quadratic', 'exponent': 1.0, 'start': 2.0},
        'data': {'name': 'noisy_quadratic', 'dimension': 4, 'noise': 0.0, 'noise_exponent': 1.0, 'size': 1000},
        'momentum_schedule': plain, 'batch_schedule': plain, 'epoch_size': EPOCH_SIZE * 4,
        'values': {'test_loss': [1.0, 1.1 * expected]},
    }  # fmt: skip
    assert numbers(over_expected_loss(), load(fields)) == [pytest.approx(0.1)]


def test_lines_between_solutions_in_closed_form():
    """A parabola with its minimum at α = 0.25 rises nowhere above its ends; a bump does; both ends of a cubic bend."""
    alpha = np.linspace(-0.5, 1.5, 41)
    line = lambda loss: {'alpha': alpha, 'linear/train_loss': loss}
    assert rise_on_line(line(1 + (alpha - 0.25) ** 2)) == 0.0
    bump = 1 + np.sin(np.pi * alpha) ** 2
    assert rise_on_line(line(bump)) == pytest.approx(1.0)
    # The second difference of α³ is 6α exactly, of α² it is 2.
    assert sharper_at_large(line(alpha**3 + alpha**2)) == pytest.approx(6.0)
    inside = (alpha >= 0) & (alpha <= 1)
    assert np.isnan(sharper_at_large({'alpha': alpha[inside], 'linear/train_loss': alpha[inside]}))
