"""Contrasts by brute force over replicates; selectors that name nothing, or too much, are refused."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import planted
import pytest
from scipy import stats

from bsresearch.analysis.along_axis import _tau, at_equal_updates, optimum, optimum_over, trend
from bsresearch.analysis.contrasts import (
    Contrast,
    Contrasts,
    Numbers,
    against,
    alone,
    at,
    instead,
    interaction,
    minus,
    ratio,
    steps,
    to_number,
)  # fmt: skip
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.study import Study
from bsresearch.analysis.verdicts import Part

INF, NAN = np.inf, np.nan
RNG = np.random.default_rng(0)
VALUES = planted.table({arm: RNG.normal(size=5) for arm in ('a', 'b', 'c', 'd')})
ROW = {arm: VALUES.loc[(arm, '', '')].to_numpy() for arm in ('a', 'b', 'c', 'd')}


def parts(contrasts: Contrasts, quantity: Quantity, study: Study | None = None, **facts: Any) -> list[Part]:
    low = quantity.of(study or planted.study(planted.index([('a', '', '')]), 1)).low
    study = study or planted.study(low.index, low.shape[1], **facts)
    numbers = Numbers(quantity.of(study), study, quantity.few, quantity.higher_is_better)
    of_contrasts = [contrast.of(numbers) for contrast in contrasts]
    return [part for part in of_contrasts if isinstance(part, Part)]


def values(contrasts: Contrasts) -> list[list[float]]:
    of_contrasts = parts(contrasts, planted.quantity(VALUES))
    assert all(np.array_equal(part.low, part.high) for part in of_contrasts)
    return [part.low.tolist() for part in of_contrasts]


def test_sums_of_cells_replicate_by_replicate():
    a, b, c, d = ROW.values()
    assert values(alone('a', 'b')) == [a.tolist(), b.tolist()]
    assert values(minus('a', 'b')) == values(ratio('a', 'b')) == [(a - b).tolist()]
    assert values(steps('a', 'b', 'c')) == [(a - b).tolist(), (b - c).tolist()]
    assert values(against(('a', 'b'), 'd')) == [(a - d).tolist(), (b - d).tolist()]
    assert values(to_number('a', 0.25)) == [(a - 0.25).tolist()]
    assert values(interaction('a', 'b', 'c', 'd')) == [((a - b) - (c - d)).tolist()]


def test_in_one_cell_another_quantity_stands_instead():
    mixed = instead(planted.quantity(VALUES), planted.quantity(VALUES + 10.0, rounding=0.5), 'a')
    (part,) = parts(minus('a', 'b'), mixed)
    assert part.low.tolist() == part.high.tolist() == (ROW['a'] + 10.0 - ROW['b']).tolist()
    assert part.rounding == 0.5


@pytest.mark.parametrize(
    'contrast', [*alone('a'), *minus('a', 'b'), *to_number('a', 0.25), *interaction('a', 'b', 'c', 'd')]
)
def test_the_signs_are_those_of_the_sum(contrast: Contrast):
    """Raising one cell by 1 changes the contrast by its sign."""
    before = values((contrast,))[0]
    for cell, sign in zip(contrast.cells, contrast.signs, strict=True):
        raised = VALUES.copy()
        raised.loc[(cell.arm, '', '')] += 1
        after = parts((contrast,), planted.quantity(raised))[0].low
        assert after - np.array(before) == pytest.approx(np.full(5, sign))


def test_counting_adds_up_and_few_values_are_told():
    assert parts(interaction('a', 'b', 'c', 'd'), planted.quantity(VALUES, rounding=0.5))[0].rounding == 2.0
    assert parts(minus('a', 'b'), planted.quantity(VALUES, few=True))[0].few


def test_a_missing_replicate_is_missing_in_the_pair_alone():
    table = VALUES.copy()
    table.iloc[0, 2] = NAN
    (part,) = parts(minus('a', 'b'), planted.quantity(table))
    assert np.isnan(part.low).tolist() == [False, False, True, False, False]
    np.testing.assert_array_equal(part.known.low, np.delete(ROW['a'] - ROW['b'], 2))


def test_infinite_and_censored_values_keep_their_ends():
    low = planted.table({'a': [INF, 2.0, INF, 3.0], 'b': [INF, 1.0, 1.0, 5.0]})
    high = planted.table({'a': [INF, 2.0, INF, 3.0], 'b': [INF, 1.0, 1.0, INF]})
    (part,) = parts(minus('a', 'b'), planted.quantity(low, high))
    assert part.low.tolist() == [-INF, 1.0, INF, -INF]
    assert part.high.tolist() == [INF, 1.0, INF, -2.0]


GRID = planted.index([('all', '', '', b, r) for b in (64, 128) for r in (0.1, 0.5)], ['batch_size', 'learning_rate'])


def test_a_cell_of_axes_is_named_by_their_values():
    table = planted.table(np.arange(8.0).reshape(4, 2), GRID)
    (part,) = parts(alone(at(batch_size=128, learning_rate=0.1)), planted.quantity(table))
    assert part.low.tolist() == [4.0, 5.0]
    assert str(at(batch_size=1024, learning_rate=0.1)) == 'batch size 1,024, learning rate 0.1'


def test_a_branch_is_named_with_its_point():
    index = planted.index([('large', '', ''), ('large', 'control', 2.0), ('large', 'control', 30.0)])
    table = planted.table(np.arange(3.0)[:, None], index)
    of_cells = parts(alone('large', 'large/control@2', 'large/control@30'), planted.quantity(table))
    assert [part.low.tolist() for part in of_cells] == [[0.0], [1.0], [2.0]]


@pytest.mark.parametrize(
    ('contrasts', 'error', 'words'),
    [
        (alone('e'), LookupError, 'e has no runs'),
        (alone(at(batch_size=32, learning_rate=0.1)), LookupError, 'has no runs'),
        (alone('all'), ValueError, 'leaves batch_size, learning_rate open'),
        (alone(at(batch_size=64)), ValueError, 'leaves learning_rate open'),
        (alone(at(batch_sise=64)), ValueError, "did you mean 'batch_size'"),
        (trend('lerning_rate'), ValueError, 'no axis'),
        (optimum('lerning_rate'), ValueError, 'no axis'),
    ],
)
def test_what_names_no_cell_or_several_is_refused(contrasts: Contrasts, error: type, words: str):
    quantity = planted.quantity(planted.table(np.zeros((4, 5)), GRID), higher_is_better=True)
    with pytest.raises(error, match=words):
        parts(contrasts, quantity)


def test_kendalls_tau_is_scipys():
    """Of random numbers, with ties in either."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        x, y = rng.integers(0, 6, 7).astype(float), rng.integers(0, 6, 7).astype(float)
        expected = stats.kendalltau(x, y).statistic
        assert _tau(x, y, y) == pytest.approx((expected, expected), nan_ok=True)


def test_kendalls_tau_of_censored_values_lies_between_those_of_their_orders():
    """Brute force over many values between the ends: all lie between, and both are met."""
    x = np.arange(5.0)
    low, high = np.array([1.0, 2.0, 0.0, 4.0, 3.0]), np.array([1.0, 2.0, 2.5, INF, INF])
    least, most = _tau(x, low, high)
    rng = np.random.default_rng(2)
    taus = [stats.kendalltau(x, rng.uniform(low, np.minimum(high, 20))).statistic for _ in range(2000)]
    assert (least, most) == pytest.approx((min(taus), max(taus)))


def test_a_trend_is_one_tau_per_replicate_and_takes_few_values():
    index = planted.index([('all', '', '', b) for b in (4, 16, 64, 256)], ['batch_size'])
    y = RNG.normal(size=(4, 3))
    (part,) = parts(trend('batch_size'), planted.quantity(planted.table(y, index)))
    assert part.low.tolist() == pytest.approx([stats.kendalltau(range(4), y[:, i]).statistic for i in range(3)])
    assert part.few
    y[2, 0] = NAN  # a missing value leaves no trend of the others
    (part,) = parts(trend('batch_size'), planted.quantity(planted.table(y, index)))
    assert np.isnan(part.low).tolist() == [True, False, False]


def test_a_trend_over_arms_reads_the_field_that_they_set():
    fields = {arm: {'batch_size': b} for arm, b in {'a': 64, 'b': 4, 'c': 16, 'd': 1}.items()}
    (part,) = parts(trend('batch_size', ('a', 'b', 'c', 'd')), planted.quantity(VALUES), fields=fields)
    y = VALUES.to_numpy()
    assert part.low.tolist() == pytest.approx([stats.kendalltau([64, 4, 16, 1], y[:, i]).statistic for i in range(5)])
    with pytest.raises(LookupError):
        parts(trend('batch_size', ('a', 'b', 'e')), planted.quantity(VALUES), fields=fields)
    with pytest.raises(ValueError, match="did you mean 'batch_size'"):
        parts(trend('batch_sise', ('a', 'b', 'c')), planted.quantity(VALUES), fields=fields)


SIZES = planted.index([('all', '', '', b) for b in (16, 64, 256)], ['batch_size'])


def best_sizes(values: np.ndarray, **facts: Any) -> list[float]:
    facts = {'higher_is_better': True} | facts
    (part,) = parts(optimum('batch_size'), planted.quantity(planted.table(values, SIZES), **facts))
    assert part.along is not None
    return list(part.along.places().values)


def test_the_place_of_the_best_follows_what_is_better():
    rng = np.random.default_rng(3)
    values = np.array([[0.0], [3.0], [9.0]]) + 0.1 * rng.normal(size=(3, 5))
    assert (best_sizes(values), best_sizes(values, higher_is_better=False)) == ([256.0], [16.0])
    assert sorted(best_sizes(values * 0)) == [16.0, 64.0, 256.0]
    with pytest.raises(ValueError, match='higher_is_better'):
        best_sizes(values, higher_is_better=None)


def test_the_place_of_the_best_is_not_known_while_a_run_is_unfinished():
    values = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, NAN], [9.0, 9.1, 9.2]])
    (part,) = parts(optimum('batch_size'), planted.quantity(planted.table(values, SIZES), higher_is_better=True))
    assert part.along is None
    assert not len(part.known.low)


def test_where_a_run_diverged_is_never_the_best_of_losses_either():
    values = np.array([[1.0, 1.1, 1.2, 1.0, 1.1], [0.1, 0.1, 0.1, 0.1, NAN], [5.0, 5.1, 5.3, 5.0, 5.1]])
    study = planted.study(SIZES, 5, status={(('all', '', '', 64), 4): 'diverged'})
    (part,) = parts(
        optimum('batch_size'), planted.quantity(planted.table(values, SIZES), higher_is_better=False), study
    )
    assert part.along is not None
    assert part.along.places().values == (16.0,)


def test_the_best_of_one_over_that_of_another():
    """Ln of the ratio of their places; a range where either touches an end of what was tried."""
    rates = (0.01, 0.1, 1.0)
    index = planted.index([(arm, '', '', r) for arm in 'ab' for r in rates], ['learning_rate'])
    best = {'middle': [0.0, 9.0, 0.0], 'last': [0.0, 5.0, 9.0], 'first': [9.0, 0.0, 0.0]}
    noise = 0.01 * RNG.normal(size=(6, 6))

    def over(a: str, b: str) -> tuple:
        table = planted.table(np.array([*best[a], *best[b]])[:, None] + noise, index)
        (part,) = parts(optimum_over('learning_rate', 'a', 'b'), planted.quantity(table, higher_is_better=True))
        assert part.along is not None
        return part.along.places()

    ten = np.log(10)
    assert over('middle', 'middle') == ((0.0,), ())
    assert over('last', 'middle') == ((pytest.approx(ten),), ((pytest.approx(ten), INF),))
    assert over('middle', 'last')[1] == ((-INF, pytest.approx(-ten)),)
    assert over('last', 'first')[1] == ((pytest.approx(2 * ten), INF),) * 3
    assert over('last', 'last')[1] == ((-INF, 0.0), (0.0, INF), (-INF, INF))


def test_a_censored_effort_is_the_best_of_none_that_came_before():
    """Epochs to a target: B = 256 never came there within 30, which is later than the others, by a sign test."""
    low = planted.table(np.array([[9.0] * 8, [3.0] * 8, [30.0] * 8]) + np.arange(8) / 10, SIZES)
    high = planted.table(np.array([[0.0], [0.0], [INF]]) + low.to_numpy(), SIZES)
    (part,) = parts(optimum('batch_size'), planted.quantity(low, high, higher_is_better=False))
    assert part.along is not None
    assert part.along.places().values == (64.0,)


def test_at_equal_updates_interpolates_in_logarithms():
    """Power laws c·t^p of two arms whose points differ: ln of their ratio at the first and last common update."""
    index = planted.index([('a', '', ''), ('b', '', '')])
    study = planted.study(index, 3, status={(index[1], 2): 'diverged'})
    steps_of = {'a': np.array([1, 10, 100]), 'b': np.array([5, 50])}
    for run, arm, replicate in zip(*(study.members[c] for c in ('id', 'arm', 'replicate')), strict=True):
        t = steps_of[arm].astype(float)
        distance = (1 + int(replicate)) * t**0.5 if arm == 'a' else 3 * t**0.2
        study.rows[run] = pd.DataFrame({'step': t, 'distance': distance})  # type: ignore[index]
    at_both_ends = parts(
        at_equal_updates('distance', 'a', 'b'), planted.quantity(planted.table(np.zeros((2, 3)), index)), study
    )
    for part, t in zip(at_both_ends, (5, 50), strict=True):
        assert part.low[:2] == pytest.approx([np.log((1 + r) * t**0.5 / (3 * t**0.2)) for r in range(2)])
        assert np.isnan(part.low[2])


def test_every_pair_of_steps_is_named_apart():
    labels = [c.label for c in (*steps('a', 'b', 'c'), *against(('a', 'b'), 'd'), *ratio('a', 'b'))]
    assert len(set(labels)) == len(labels)
    assert all(x != y for x, y in itertools.pairwise(labels))
