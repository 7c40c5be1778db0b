"""Quantities of a search: the winner by the first replicate, told of the others; the best of k trials."""

import itertools

import numpy as np
import planted
import pytest

from bsresearch.analysis.quantities import best_of
from bsresearch.analysis.searched import best_of_trials, scores_of, won
from bsresearch.analysis.study import ABSENT

NAN, INF = np.nan, np.inf
RATES = (0.01, 0.1, 1.0)
CELLS = [(arm, '', '', size, 100 * size, rate) for arm in ('a', 'b') for size in (8, 64) for rate in RATES]
INDEX = planted.index(CELLS, ['batch_size', 'total_examples', 'learning_rate'])
KEYS = [(arm, '', '', size) for arm in ('a', 'b') for size in (8, 64)]


def test_the_winner_by_the_first_replicate_is_told_of_the_others():
    rng = np.random.default_rng(0)
    by, values = rng.normal(size=(2, len(CELLS), 4))
    judge = planted.quantity(planted.table(by, INDEX), higher_is_better=False)
    array = won(planted.quantity(planted.table(values, INDEX)), by=judge, also=('total_examples',)).of(
        planted.study(INDEX, 4)
    )
    assert list(array.low.columns) == ['1', '2', '3']
    for number, key in enumerate(KEYS):
        rows = slice(3 * number, 3 * number + 3)
        place = by[rows, 0].argmin()
        assert array.low.loc[key].tolist() == values[rows][place, 1:].tolist()
        assert (key in array.edges) == (RATES[place] != 0.1)
        assert f'learning rate {RATES[place]:g}' in array.remarks[key]


def test_one_that_failed_does_not_win_and_without_another_there_is_no_winner():
    """A trial that diverged, one that never came to the target, one that is unfinished; all that failed: none."""
    low = np.tile([[50.0], [40.0], [30.0]], (4, 3))
    high = low.copy()
    high[1] = INF  # followed to 40 without coming there
    low[3:6], high[3:6] = NAN, NAN
    status = {(CELLS[2], 0): 'diverged'}
    low[2, 0] = high[2, 0] = NAN
    table = planted.table(low, INDEX), planted.table(high, INDEX)
    effort = planted.quantity(*table, higher_is_better=False)
    array = won(effort, by=effort, also=('total_examples',)).of(planted.study(INDEX, 3, status))
    assert array.low.loc[KEYS[0]].tolist() == [50.0, 50.0]
    assert np.isnan(array.low.loc[KEYS[1]]).all()
    assert KEYS[1] not in array.remarks


def test_an_arm_without_an_axis_has_a_winner_too():
    cells = [
        ('sgd', '', '', ABSENT, 0.1),
        ('sgd', '', '', ABSENT, 1.0),
        ('m', '', '', 0.9, 0.1),
        ('m', '', '', 0.5, 1.0),
    ]
    index = planted.index(cells, ['momentum', 'learning_rate'])
    table = planted.table(np.array([[1.0, 5.0], [2.0, 6.0], [4.0, 7.0], [3.0, 8.0]]), index)
    quantity = planted.quantity(table, higher_is_better=True)
    array = won(quantity, by=quantity).of(planted.study(index, 2))
    assert array.low['1'].to_dict() == {('sgd', '', ''): 6.0, ('m', '', ''): 7.0}


def test_the_best_of_k_is_that_of_all_choices():
    """Brute force over every choice of k of six trials, ties and a failed one among them."""
    scores = np.array([0.3, -INF, 0.7, 0.7, 0.1, 0.5])
    for k in range(1, 7):
        every = np.sort([max(chosen) for chosen in itertools.combinations(scores, k)])
        assert best_of.mean(scores, k) == pytest.approx(every.mean())
        for share in (0.25, 0.5, 0.75):
            expected = every[int(np.ceil(share * len(every) - 1e-9)) - 1]
            assert best_of.quantile(scores, k, share) == expected
    assert best_of.probabilities(6, 3).sum() == pytest.approx(1.0)
    with pytest.raises(ValueError, match='k is one of 1 to 6'):
        best_of.probabilities(6, 7)


def test_the_best_of_k_trials_of_each_cell():
    values = np.arange(12.0)[:, None] * np.ones((1, 2))
    effort = planted.quantity(planted.table(values, INDEX), higher_is_better=False)
    study = planted.study(INDEX, 2)
    array = best_of_trials(2, effort, also=('total_examples',)).of(study)
    assert array.low['0'].tolist() == [0.0, 3.0, 6.0, 9.0]  # 0 of {0, 1}, {0, 2}; 1 of {1, 2}
    assert {key: scores.tolist() for key, scores in scores_of(study, effort, also=('total_examples',)).items()} == {
        key: [3.0 * n, 3.0 * n + 1, 3.0 * n + 2] for n, key in enumerate(KEYS)
    }


def test_a_winner_that_was_not_made_again_is_told():
    """By another metric than the search's own the best trial may have no other seeds: no number, and why."""
    first = planted.table(np.array([[1.0, 1.0], [2.0, np.nan], [0.5, np.nan]] * 4), INDEX)
    status = {(cell, 1): 'running' for n, cell in enumerate(CELLS) if n % 3}
    quantity = planted.quantity(first, higher_is_better=True, name='validation accuracy')
    array = won(quantity, by=quantity, also=('total_examples',)).of(planted.study(INDEX, 2, status))
    assert array.low.isna().all(axis=None)
    assert all('was not made again' in remark for remark in array.remarks.values())
    fitting = won(quantity, by=planted.quantity(-first, higher_is_better=True), also=('total_examples',))
    assert not any('again' in remark for remark in fitting.of(planted.study(INDEX, 2, {})).remarks.values())


def test_of_equal_trials_the_one_that_was_made_again_has_won():
    """As many updates at the same evaluation: the search took one of them, and that has the other seeds."""
    table = planted.table(np.array([[2.0, np.nan], [2.0, 7.0], [1.0, np.nan]] * 4), INDEX)
    status = {(cell, 1): 'running' for n, cell in enumerate(CELLS) if n % 3 != 1}
    quantity = planted.quantity(table, higher_is_better=True)
    array = won(quantity, by=quantity, also=('total_examples',)).of(planted.study(INDEX, 2, status))
    assert array.low['1'].tolist() == [7.0] * 4
