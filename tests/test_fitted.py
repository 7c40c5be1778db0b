"""Quantities with an axis reduced by a law, where the law is known."""

import dataclasses
import itertools

import numpy as np
import planted
import pytest
from scipy import optimize

from bsresearch.analysis.fitted import at_value, hyperbola, knee, off_hyperbola, threshold
from bsresearch.analysis.quantities import hyperbola as law
from bsresearch.analysis.quantity import Quantity

SIZES = np.array([4.0, 16.0, 64.0, 256.0, 1024.0])
INDEX = planted.index([('a', '', '', size) for size in SIZES], ['batch_size'])
KEY = ('a', '', '')


def lengths(low: np.ndarray, high: np.ndarray | None = None) -> Quantity:
    """Examples, (batch sizes, replicates)."""
    return planted.quantity(planted.table(low, INDEX), None if high is None else planted.table(high, INDEX))


def reduced(quantity: Quantity) -> tuple[np.ndarray, np.ndarray]:
    array = quantity.of(planted.study(INDEX, 2))
    return array.low.loc[KEY].to_numpy(float), array.high.loc[KEY].to_numpy(float)


def test_the_critical_batch_size_of_a_hyperbola_is_its_own():
    examples = 5000 * (1 + SIZES[:, None] / np.array([30.0, 300.0]))
    for end in reduced(hyperbola(lengths(examples))):
        assert end == pytest.approx([30.0, 300.0], rel=law.STEP)
    off = off_hyperbola(lengths(examples)).of(planted.study(INDEX, 2))
    assert np.abs(off.low.to_numpy(float)).max() < law.STEP


def test_of_noisy_examples_it_is_the_least_squares_fit():
    """SciPy's own minimizer comes to the same."""
    rng = np.random.default_rng(0)
    examples = 5000 * (1 + SIZES[:, None] / 100.0) * np.exp(0.1 * rng.normal(size=(5, 8)))
    low, high = law.critical(SIZES, examples)
    assert (low == high).all()
    for column, found in zip(np.log(examples).T, low, strict=True):
        residual = lambda p, y=column: y - p[0] - np.log1p(SIZES / np.exp(p[1]))
        expected = np.exp(optimize.least_squares(residual, [8.0, 4.0]).x[1])
        assert found == pytest.approx(expected, rel=2 * law.STEP)
        off = law.residual_ends(SIZES, np.exp(column)[:, None], np.exp(column)[:, None], 1)[:, 0]
        at = np.log(expected)
        assert off == pytest.approx(residual([(column - np.log1p(SIZES / expected)).mean(), at]), abs=0.02)


@pytest.mark.parametrize('at', [3.0, 300.0, 30_000.0])
def test_the_ends_are_those_of_all_corners(at: float):
    """Examples known to a fifth: of all 2⁵ ways to take their ends none has a smaller or larger B_crit."""
    exact = 5000 * (1 + SIZES / at)
    low, high = exact[:, None], 1.2 * exact[:, None]
    corners = [np.where(np.array(taken), low[:, 0], high[:, 0]) for taken in itertools.product((True, False), repeat=5)]
    every = law.critical(SIZES, np.stack(corners, axis=1))
    assert law.critical_ends(SIZES, low, high, -1)[0] == every[0].min()
    assert law.critical_ends(SIZES, low, high, 1)[0] == every[1].max()


def test_beyond_what_was_tried_only_a_bound_is_known():
    flat, steep = np.full(5, 5000.0), 5000 * SIZES
    low, high = law.critical(SIZES, np.stack([flat, steep], axis=1))
    assert low[0] > SIZES[-1]
    assert high[1] < SIZES[0]
    assert (high[0], low[1]) == (np.inf, 0.0)
    assert np.isnan(law.critical(SIZES[:2], np.ones((2, 1)))).all()


def test_a_censored_end_leaves_the_critical_batch_size_open_to_its_side():
    examples = 5000 * (1 + SIZES[:, None] / np.array([100.0, 100.0]))
    low, high = examples.copy(), examples.copy()
    high[-1, 0] = np.inf  # not reached at the largest: more examples, so a smaller one
    high[0, 1] = np.inf  # not reached at the smallest: a larger one
    ends = reduced(hyperbola(lengths(low, high)))
    assert ends[0] == pytest.approx([0.0, 100.0], rel=law.STEP)
    assert ends[1] == pytest.approx([100.0, np.inf], rel=law.STEP)
    high[3:, 0] = np.inf  # nor at the one before it: no reason for a larger one
    assert reduced(hyperbola(lengths(low, high)))[1][0] == pytest.approx(100.0, rel=0.15)
    low[0, 0] = high[0, 0] = np.nan
    assert np.isnan(reduced(hyperbola(lengths(low, high)))[0][0])


def test_at_a_value_of_an_axis_stand_the_numbers_of_that_cell():
    values = np.arange(10.0).reshape(5, 2)
    assert reduced(at_value('batch_size', 64, lengths(values)))[0].tolist() == [4.0, 5.0]
    assert np.isnan(reduced(at_value('batch_size', 65, lengths(values)))[0]).all()


def test_what_was_said_of_the_cells_is_said_of_what_is_made_of_them():
    """How each was chosen, under the name that is left; so are cells chosen on an edge."""
    chosen = lengths(np.ones((5, 2)))
    array = chosen.of(planted.study(INDEX, 2))
    cells = [('a', '', '', 16.0), ('a', '', '', 64.0)]
    told = array._replace(remarks=dict(zip(cells, ('first', 'second'), strict=True)), edges=frozenset(cells[:1]))
    reduced_array = at_value('batch_size', 64, dataclasses.replace(chosen, of=lambda _: told)).of(
        planted.study(INDEX, 2)
    )
    assert reduced_array.remarks == {KEY: 'first; second'}
    assert reduced_array.edges == {KEY}


def test_the_knee_is_where_the_floor_is_crossed_for_the_last_time():
    """Linear in ln B between the values tried; below the smallest or above the largest it is only bounded."""
    values = np.array([[0.1, 0.80, 0.1], [0.5, 0.81, 0.9], [0.7, 0.79, 0.1], [0.8, 0.80, 0.1], [0.8, 0.80, 0.2]])
    low, high = (
        knee('batch_size', lengths(values), 0.05).of(planted.study(INDEX, 3))._asdict()[end].loc[KEY].to_numpy(float)
        for end in ('low', 'high')
    )
    half_way = np.exp(np.log(64) + 0.5 * np.log(4))  # 0.75 between 0.7 and 0.8
    assert low == pytest.approx([half_way, 0.0, 1024.0])
    assert high == pytest.approx([half_way, 4.0, np.inf])
    missing = np.where(np.arange(5)[:, None] == 2, np.nan, values)
    assert np.isnan(reduced(knee('batch_size', lengths(missing), 0.05))[0]).all()


def test_the_threshold_is_where_the_floor_is_crossed_for_the_first_time():
    """Linear in ln B: half of the way from 64 to 256; beyond the largest of what never falls; below where all do."""
    values = np.array([[0.9, 0.9, 0.9, 0.85, 0.5], [0.9] * 5, [0.9, 0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5, 0.9]]).T
    values[3, 0] = 0.8
    array = threshold('batch_size', lengths(values), 0.05).of(planted.study(INDEX, 4))
    low, high = array.low.loc[KEY].to_numpy(float), array.high.loc[KEY].to_numpy(float)
    assert low == pytest.approx([128.0, 1024.0, 4 * 4 ** (1 / 8), 0.0])
    assert high == pytest.approx([128.0, np.inf, 4 * 4 ** (1 / 8), 4.0])
