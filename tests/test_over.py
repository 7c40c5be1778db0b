"""Quantities with an axis reduced, against brute force; what is chosen, by whom, and when it is not."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import planted
import pytest
from scipy import stats

from bsresearch.analysis import points
from bsresearch.analysis.fitted import exponent
from bsresearch.analysis.over import best_over
from bsresearch.analysis.quantity import Array, Quantity, log
from bsresearch.analysis.stable import largest_stable, stable_range

INF, NAN = np.inf, np.nan
RATES = (0.01, 0.1, 1.0)


def cells(arms: tuple[str, ...] = ('a',), rates: tuple = RATES, axis: str = 'learning_rate') -> pd.MultiIndex:
    return planted.index([(arm, '', '', rate) for arm in arms for rate in rates], [axis])


def chosen(test: np.ndarray, validation: np.ndarray, index: pd.MultiIndex | None = None, **facts: Any) -> Array:
    index = cells() if index is None else index
    by = planted.quantity(planted.table(validation, index), higher_is_better=True)
    quantity = planted.quantity(planted.table(test, index))
    return best_over('learning_rate', quantity, by=by).of(planted.study(index, test.shape[1], **facts))


def test_the_best_is_chosen_once_by_the_mean_of_the_validation_metric():
    """Brute force over many tables: on all replicates, and on the half that each replicate is not in."""
    rng = np.random.default_rng(0)
    for n in (5, 6, 9):
        test, validation = rng.normal(size=(2, 6, n))
        array = chosen(test, validation, cells(('a', 'b')))
        assert array.halves is not None
        for arm, rows in (('a', slice(0, 3)), ('b', slice(3, 6))):
            v, t = validation[rows], test[rows]
            key = (arm, '', '')
            assert array.low.loc[key].tolist() == t[v.mean(axis=1).argmax()].tolist()
            half = n // 2
            first, second = v[:, :half].mean(axis=1).argmax(), v[:, half:].mean(axis=1).argmax()
            assert array.halves.low.loc[key].tolist() == [*t[second, :half], *t[first, half:]]
            assert (key in array.edges) == (v.mean(axis=1).argmax() in (0, 2))


def test_of_losses_the_lowest_is_the_best():
    values = np.array([[3.0] * 5, [1.0] * 5, [2.0] * 5])
    table = planted.table(values, cells())
    loss = planted.quantity(table, higher_is_better=False)
    accuracy = planted.quantity(table, higher_is_better=True)
    study = planted.study(cells(), 5)
    assert best_over('learning_rate', loss, by=loss).of(study).low.iloc[0, 0] == 1.0
    assert best_over('learning_rate', loss, by=accuracy).of(study).low.iloc[0, 0] == 3.0


def best(axes: str | tuple[str, ...], values: np.ndarray, index: pd.MultiIndex) -> Quantity:
    """By the values themselves."""
    quantity = planted.quantity(planted.table(values, index), higher_is_better=True)
    return best_over(axes, quantity, by=quantity)


def test_several_axes_are_chosen_over_together():
    index = planted.index([('a', '', '', r, m) for r in RATES for m in (0.0, 0.5, 0.9)], ['learning_rate', 'momentum'])
    values, study = np.arange(9.0)[[3, 1, 2, 0, 8, 5, 6, 7, 4]][:, None] + np.zeros(5), planted.study(index, 5)
    array = best(('learning_rate', 'momentum'), values, index).of(study)
    assert array.low.to_numpy().tolist() == [[8.0] * 5]
    assert not array.edges
    one = best('momentum', values, index)
    assert one.of(study).low.iloc[:, 0].tolist() == [3.0, 8.0, 7.0]
    assert one.of(study).edges == {('a', '', '', 0.01)}
    with pytest.raises(ValueError, match='one best_over'):
        best_over('learning_rate', one, by=one).of(study)


def test_an_edge_is_of_numbers_alone_whatever_their_order():
    test = np.array([[1.0] * 5, [3.0] * 5, [2.0] * 5])
    assert chosen(test, test, cells(rates=(1.0, 0.01, 0.1))).edges == {('a', '', '')}
    assert not chosen(test, test, cells(rates=(1.0, 0.1, 0.01))).edges
    assert not chosen(test, test, cells(rates=('cosine', 'constant', 'step'))).edges
    assert chosen(test[:1], test[:1], cells(rates=(0.1,))).edges


def test_arms_without_the_axis_are_not_reduced_over_it():
    index = planted.index([('a', '', '', r) for r in RATES] + [('b', '', '', '')], ['learning_rate'])
    values = np.arange(4.0)[:, None] + np.zeros(5)
    assert list(chosen(values, values, index).low.index) == [('a', '', '')]


def test_nothing_is_chosen_while_a_run_is_unfinished():
    validation = np.array([[1.0] * 5, [3.0] * 5, [2.0] * 4 + [NAN]])
    array = chosen(validation + 1, validation)
    assert array.halves is not None
    assert array.low.isna().all(axis=None)
    assert array.halves.low.isna().all(axis=None)
    assert all('1 of 15 runs' in text for text in array.remarks.values())


@pytest.mark.parametrize('n', [1, 2, 4])
def test_nothing_is_chosen_from_few_replicates(n: int):
    values = np.array([[1.0], [3.0], [2.0]]) + np.zeros(n)
    assert chosen(values, values).low.isna().all(axis=None)
    assert chosen(values[:1], values[:1], cells(rates=(0.1,))).low.notna().all(axis=None)  # one value is no choice


def test_a_run_that_diverged_is_never_the_best():
    """Neither of all, nor of the half in which it did not; with one at every value nothing is known."""
    validation = np.array([[1.0] * 6, [9.0] * 5 + [NAN], [2.0] * 6])
    gone = {(('a', '', '', 0.1), 5): 'diverged'}
    array = chosen(validation * 10, validation, status=gone)
    assert array.halves is not None
    assert array.low.iloc[0].tolist() == array.halves.low.iloc[0].tolist() == [20.0] * 6
    every = {(('a', '', '', rate), 5): 'diverged' for rate in RATES}
    validation[:, 5] = NAN
    assert chosen(validation * 10, validation, status=every).low.isna().all(axis=None)


def test_best_over_is_refused_without_a_validation_quantity():
    test = planted.quantity(planted.table(np.zeros((3, 5)), cells()), metrics=('test_accuracy',), higher_is_better=True)
    for by in (None, test):
        with pytest.raises(ValueError, match='as_source'):
            best_over('learning_rate', test, by=by)
    array = best_over('learning_rate', test, as_source=True).of(planted.study(cells(), 5))
    assert array.low.to_numpy().tolist() == [[0.0] * 5]
    neither = planted.quantity(planted.table(np.zeros((3, 5)), cells()), metrics=('validation_distance',))
    with pytest.raises(ValueError, match='higher_is_better'):
        best_over('learning_rate', test, by=neither)
    best_over('learning_rate', test, by=neither.named('d', higher_is_better=False))
    with pytest.raises(ValueError, match="did you mean 'learning_rate'"):
        best_over('learning_rat', test, as_source=True).of(planted.study(cells(), 5))


def test_censored_values_and_counting_are_chosen_with_their_cell():
    index, n = cells(), 5
    low = planted.table(np.arange(15.0).reshape(3, 5), index)
    quantity = planted.quantity(low, low + np.array([[0.0], [INF], [0.0]]), rounding=0.5)
    by = planted.quantity(planted.table(np.array([[1.0], [2.0], [0.0]]) + np.zeros(n), index), higher_is_better=True)
    array = best_over('learning_rate', quantity, by=by).of(planted.study(index, n))
    assert array.low.iloc[0].tolist() == [5.0, 6.0, 7.0, 8.0, 9.0]
    assert np.isposinf(array.high).all(axis=None)
    assert array.rounding.tolist() == [0.5]


def test_what_is_made_of_chosen_numbers_keeps_their_choice():
    """Edges, twins and remarks go through logarithms, differences and exponents."""
    rng = np.random.default_rng(1)
    index = cells(('a', 'b'))
    chosen, study = best('learning_rate', rng.uniform(1, 2, (6, 6)), index), planted.study(index, 6)
    array, halves = chosen.of(study), chosen.of(study).halves
    assert halves is not None
    for derived, of in ((log(chosen), np.log), (chosen - planted.quantity(array.low), lambda x: x - array.low)):
        result = derived.of(study)
        assert result.halves is not None
        pd.testing.assert_frame_equal(result.low, of(array.low))
        pd.testing.assert_frame_equal(result.halves.low, of(halves.low))
        assert result.edges == array.edges
        assert result.remarks == array.remarks


def test_an_exponent_of_chosen_numbers_has_their_edges():
    index = planted.index([('a', '', '', b, r) for b in (1, 2, 4) for r in RATES], ['batch_size', 'learning_rate'])
    place = (1, 0, 1)  # of the best; that of B = 2 on the edge
    values = np.array([10.0 * (r == place[i]) + 2.0**i for i in range(3) for r in range(3)])[:, None] + np.zeros(5)
    array = exponent('batch_size', best('learning_rate', values, index)).of(planted.study(index, 5))
    assert array.edges == {('a', '', '')}
    assert array.halves is not None
    slope = stats.linregress(np.log([1, 2, 4]), np.log([11, 12, 14])).slope
    assert array.low.to_numpy() == pytest.approx(np.full((1, 5), slope))
    assert array.halves.low.to_numpy() == pytest.approx(np.full((1, 5), slope))


def exponents(x: tuple[float, ...], low: np.ndarray, high: np.ndarray | None = None) -> Array:
    """Of (x, replicates)."""
    index = cells(rates=x, axis='batch_size')
    upper = None if high is None else planted.table(high, index)
    return exponent('batch_size', planted.quantity(planted.table(low, index), upper)).of(
        planted.study(index, low.shape[1])
    )


def test_exponents_are_least_squares_in_logarithms():
    """Against SciPy, one per replicate; a missing value leaves none; a power law gives its own."""
    rng, x = np.random.default_rng(2), (1.0, 2.0, 8.0, 64.0)
    y = rng.uniform(1, 5, (4, 3))
    expected = [stats.linregress(np.log(x), np.log(y[:, i])).slope for i in range(3)]
    assert exponents(x, y).low.iloc[0].tolist() == pytest.approx(expected)
    power = 3 * np.array(x)[:, None] ** [[0.5, -1.0, 0.0]]
    assert exponents(x, power).low.iloc[0].tolist() == pytest.approx([0.5, -1.0, 0.0], abs=1e-12)
    y[1, 1] = NAN
    assert exponents(x, y).low.iloc[0].isna().tolist() == [False, True, False]
    assert exponents((1.0,), y[:1]).low.isna().all(axis=None)


def test_exponents_of_censored_values_lie_between_those_of_their_ends():
    """Brute force over the corners; without an end above, neither has the exponent one."""
    x, low, high = (1.0, 4.0, 16.0), np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [5.0], [3.5]])
    array = exponents(x, low, high)
    corners = [
        stats.linregress(np.log(x), np.log([(low, high)[e][i, 0] for i, e in enumerate(ends)])).slope
        for ends in itertools.product((0, 1), repeat=3)
    ]
    assert (array.low.iat[0, 0], array.high.iat[0, 0]) == pytest.approx((min(corners), max(corners)))
    high[2] = INF
    array = exponents(x, low, high)
    assert (array.low.iat[0, 0], array.high.iat[0, 0]) == (pytest.approx(min(corners)), INF)


def test_a_point_of_chosen_numbers_is_told_by_those_who_did_not_choose():
    """Its interval holds that of the choice by all as well; a choice on the edge is marked."""
    rng = np.random.default_rng(4)
    test, validation = rng.normal(size=(2, 3, 6))
    quantity = planted.quantity(planted.table(test, cells()))
    by = planted.quantity(planted.table(validation, cells()), higher_is_better=True)
    chosen, study = best_over('learning_rate', quantity, by=by), planted.study(cells(), 6)
    array = chosen.of(study)
    assert array.halves is not None
    row = points.of(study, chosen).iloc[0]
    x, y = array.low.iloc[0].to_numpy(), array.halves.low.iloc[0].to_numpy()
    ends = [stats.t.interval(0.95, 5, v.mean(), v.std(ddof=1) / np.sqrt(6)) for v in (x, y)]
    assert (row['centre'], row['values']) == (pytest.approx(y.mean()), tuple(y))
    assert (row['low'], row['high']) == pytest.approx((min(e[0] for e in ends), max(e[1] for e in ends)))
    assert row['edge'] == bool(array.edges)


@pytest.mark.parametrize(
    ('values', 'octaves', 'at_most'),
    [
        ([0.1, 0.9, 0.9, 0.9, 0.1], 2.0, 2.0),
        ([0.1, 0.9, 0.1, 0.9, 0.1], 2.0, 2.0),
        ([0.1, 0.1, 0.9, 0.1, 0.1], 0.0, 0.0),
        ([0.1, 0.1, 0.1, 0.1, 0.1], 0.0, 0.0),
        ([0.9, 0.9, 0.1, 0.1, 0.1], 1.0, INF),
        ([0.9, 0.9, 0.9, 0.9, 0.9], 4.0, INF),
        ([0.1, 0.5, 0.9, 0.1, 0.1], 0.0, 0.0),  # at the floor is not above it
    ],
)
def test_a_stable_range_is_censored_where_it_is_as_wide_as_the_axis(
    values: list[float], octaves: float, at_most: float
):
    index = cells(rates=(1.0, 2.0, 4.0, 8.0, 16.0))
    quantity = planted.quantity(planted.table(np.array(values)[:, None], index))
    array = stable_range('learning_rate', quantity, 0.5).of(planted.study(index, 1))
    assert (array.low.iat[0, 0], array.high.iat[0, 0]) == (octaves, at_most)


@pytest.mark.parametrize(('values', 'at_least', 'at_most'), [
    ([0.9, 0.9, 0.1, 0.1, 0.1], 1.0, 1.0),
    ([0.1, 0.9, 0.1, 0.9, 0.1], 3.0, 3.0),
    ([0.9, 0.9, 0.9, 0.9, 0.9], 4.0, np.inf),  # larger ones were not tried
    ([0.1, 0.1, 0.1, 0.1, 0.1], -np.inf, 0.0),
])  # fmt: skip
def test_the_largest_stable_value_is_known_between_two_that_were_tried(
    values: list[float], at_least: float, at_most: float
):
    index = cells(rates=(1.0, 2.0, 4.0, 8.0, 16.0))
    quantity = planted.quantity(planted.table(np.array(values)[:, None], index))
    array = largest_stable('learning_rate', quantity, 0.5).of(planted.study(index, 1))
    assert (array.low.iat[0, 0], array.high.iat[0, 0]) == (at_least, at_most)


def test_what_diverged_has_not_trained_and_what_is_unfinished_is_not_known():
    index = cells(rates=(1.0, 2.0, 4.0))
    quantity = planted.quantity(planted.table(np.array([[0.1, 0.1], [0.9, 0.9], [NAN, NAN]]), index))
    study = planted.study(index, 2, status={(('a', '', '', 4.0), 0): 'diverged', (('a', '', '', 4.0), 1): 'running'})
    array = stable_range('learning_rate', quantity, 0.5).of(study)
    assert array.low.iloc[0].tolist() == [0.0, pytest.approx(NAN, nan_ok=True)]
