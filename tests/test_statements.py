"""Statements put to planted studies: what caps a verdict, what is not measured, what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import planted
import pytest

from bsresearch.analysis import equal_terms
from bsresearch.analysis.along_axis import optimum, optimum_over, trend
from bsresearch.analysis.contrasts import Contrasts, alone, at, interaction, minus, ratio, steps, to_number
from bsresearch.analysis.fitted import exponent
from bsresearch.analysis.over import best_over
from bsresearch.analysis.quantity import Quantity, log
from bsresearch.analysis.statements import Statement, Verdicts, judge
from bsresearch.analysis.study import Study

INF, NAN = np.inf, np.nan
RATES = (0.01, 0.1, 1.0)
NOISE = np.array([-0.1, 0.0, 0.1, 0.05, -0.05, 0.02])
APART = np.array([0.01, -0.02, 0.0, 0.02, -0.01, 0.0])  # so that differences have a spread too


def arms(**means: float) -> pd.DataFrame:
    return planted.table({arm: mean + NOISE + (i + 1) * APART for i, (arm, mean) in enumerate(means.items())})


def put(
    quantity: Quantity, contrasts: Contrasts, low: float = -INF, high: float = INF, study: Study | None = None,
    **facts: Any,
) -> Verdicts:  # fmt: skip
    table = quantity.of(study or planted.study(planted.index([('a', '', '')]), 1)).low
    study = study or planted.study(table.index, table.shape[1])
    return judge(Statement('key', 'source', 'sentence', quantity, contrasts, low, high, **facts), study)


def verdict(*args: Any, **kwargs: Any) -> str:
    return put(*args, **kwargs).verdict


THREE = planted.quantity(arms(a=3.0, b=2.0, c=1.0))


def test_it_holds_where_every_contrast_lies_inside():
    assert verdict(THREE, steps('a', 'b', 'c'), low=0) == 'holds'
    assert verdict(THREE, steps('a', 'b', 'c'), low=0.5, high=1.5) == 'holds'
    assert verdict(THREE, (*minus('a', 'b'), *minus('c', 'b')), low=0) == 'does not hold'
    assert verdict(THREE, (*minus('a', 'b'), *minus('c', 'b')), low=0, conditions=True) == 'depends'
    assert verdict(THREE, to_number('a', 2.0), low=0.5, high=1.5) == 'holds'
    assert verdict(THREE, alone('a'), low=3.0) == 'undecided'


@pytest.mark.parametrize(
    ('values', 'contrasts', 'bounds', 'why'),
    [
        ([3.0, 3.0, 3.0], alone('a'), {'low': 2}, 'n = 3; a sign test needs 5'),
        ([3.0, 3.0, 3.0, 3.0, 3.0], alone('a'), {'low': 2, 'high': 4}, 'n = 5; a sign test needs 6'),
        ([3.0], alone('a'), {'low': 2}, 'n = 1; an interval needs 2'),
        ([-1.0, 1.0, 2.0], alone('a'), {'low': 0}, 'the interval reaches across 0'),
        ([-1.0, 1.0, 2.0], to_number('a', 0.0), {'low': -2, 'high': 1.5}, 'the interval reaches across −2 and +1.5'),
        ([-1.0, 1.0, 2.0], alone('a'), {'differs_from': 0.5}, 'the interval reaches across 0.5'),
        ([-1.0, 1.0, 2.0], alone('a'), {'low': -9}, ''),
    ],
)  # fmt: skip
def test_undecided_says_why(values: list[float], contrasts: Contrasts, bounds: dict[str, Any], why: str):
    outcome = put(planted.quantity(planted.table({'a': values})), contrasts, **bounds)
    assert [(one.verdict, one.why) for one in outcome.judged] == [('undecided' if why else 'holds', why)]


def test_it_differs_where_the_interval_lies_on_one_side():
    """Above or below, of differences and logarithms; equality is never shown; it is no margin."""
    for contrasts in (minus('a', 'b'), minus('b', 'a'), steps('a', 'b', 'c')):
        assert verdict(THREE, contrasts, differs_from=0) == 'holds'
    assert verdict(THREE, minus('a', 'b'), differs_from=1.0) == 'undecided'
    assert verdict(log(THREE), ratio('a', 'b'), differs_from=0) == 'holds'
    assert verdict(THREE, (*minus('a', 'b'), *minus('a', 'd')), differs_from=0) == 'not measured'
    with pytest.raises(ValueError, match='differs_from stands in place of low and high'):
        Statement('k', 's', 's', THREE, alone('a'), low=0, differs_from=0)


def test_each_part_has_its_interval_and_what_it_could_have_seen():
    outcome = put(THREE, steps('a', 'b', 'c'), low=0)
    assert [one.part.label for one in outcome.judged] == ['a − b', 'b − c']
    assert [one.interval.centre for one in outcome.judged] == pytest.approx([1.0, 1.0])
    assert all(0 < one.sees < 0.1 for one in outcome.judged)


def test_an_arm_that_is_missing_is_not_measured():
    outcome = put(THREE, (*minus('a', 'b'), *minus('a', 'd')), low=0)
    assert [one.verdict for one in outcome.judged] == ['holds', 'not measured']
    assert outcome.verdict == 'not measured'
    assert 'd has no runs' in outcome.remarks
    # What fails elsewhere fails.
    assert verdict(THREE, (*minus('b', 'a'), *minus('a', 'd')), low=0) == 'does not hold'


@pytest.mark.parametrize('contrasts', [alone('all'), alone(at(learning_rat=0.1)), trend('learning_rat')])
def test_a_fault_of_the_findings_is_refused(contrasts: Contrasts):
    index = planted.index([('all', '', '', rate) for rate in RATES], ['learning_rate'])
    with pytest.raises(ValueError, match='learning_rat'):
        put(planted.quantity(planted.table(np.zeros((3, 6)), index)), contrasts, low=0)


def test_a_statement_that_says_nothing_is_refused():
    silent: list[dict[str, Any]] = [
        {'quantity': THREE, 'contrasts': alone('a')},
        {'quantity': THREE, 'low': 0},
        {'low': 0},
    ]
    for facts in silent:
        with pytest.raises(ValueError, match='untested'):
            Statement('key', 'source', 'sentence', **facts)
    assert put(THREE, (), untested='why') == Verdicts(
        Statement('key', 'source', 'sentence', THREE, (), untested='why'), 'not measured', (), ('why',)
    )


# Diverged and unfinished runs.


def lost(cell: str, status: str, **facts: Any) -> tuple[Quantity, Study]:
    """Three arms, one run of a cell without a number."""
    table = arms(a=3.0, b=2.0, c=1.0)
    table.loc[(cell, '', ''), '2'] = NAN
    return planted.quantity(table, **facts), planted.study(table.index, 6, status={((cell, '', ''), 2): status})


@pytest.mark.parametrize(
    'contrasts',
    [minus('a', 'b'), alone('a'), steps('a', 'b', 'c'), to_number('a', 0.0), trend('size', ('c', 'b', 'a'))],
)
def test_what_diverged_never_holds_on_the_survivors(contrasts: Contrasts):
    fields = {arm: {'size': size} for arm, size in {'a': 4.0, 'b': 2.0, 'c': 1.0}.items()}
    for cell in ('a', 'b'):
        quantity, study = lost(cell, 'diverged')
        runs = study.runs.assign(size=[fields[arm]['size'] for arm in study.members['arm']])
        whole = planted.study(planted.index([('a', '', ''), ('b', '', ''), ('c', '', '')]), 6, fields=fields)
        assert verdict(THREE, contrasts, low=0, study=whole) == 'holds'
        about = any(cell in {selector.arm for selector in one.cells} for one in contrasts)
        outcome = put(quantity, contrasts, low=0, study=replace(study, runs=runs))
        assert outcome.verdict == ('undecided' if about else 'holds')
        assert any('diverged' in remark for remark in outcome.remarks) == about


def test_what_diverged_may_refute_and_concerns_only_what_is_compared():
    quantity, study = lost('a', 'diverged')
    assert verdict(quantity, minus('b', 'a'), low=0, study=study) == 'does not hold'
    assert verdict(quantity, minus('b', 'c'), low=0, study=study) == 'holds'


def test_an_unfinished_run_is_told_and_not_counted():
    quantity, study = lost('a', 'running')
    outcome = put(quantity, minus('a', 'b'), low=0, study=study)
    assert (outcome.verdict, outcome.judged[0].interval.n) == ('holds', 5)
    assert any('1 of 6 runs are unfinished' in remark for remark in outcome.remarks)


def test_an_exponent_never_holds_on_the_survivors_either():
    """An axis that was reduced over all of its cells: each counts."""
    index = planted.index([('all', '', '', b) for b in (1, 2, 4)], ['batch_size'])
    values = np.array([[1.0], [2.0], [4.0]]) * np.exp(NOISE * [[1.0], [0.5], [2.0]])
    quantity = planted.quantity(planted.table(values, index))
    assert verdict(exponent('batch_size', quantity), alone('all'), low=0.5) == 'holds'
    values[1, 2] = NAN
    study = planted.study(index, 6, status={(index[1], 2): 'diverged'})
    quantity = planted.quantity(planted.table(values, index))
    assert verdict(exponent('batch_size', quantity), alone('all'), low=0.5, study=study) == 'undecided'


# What was chosen.


RATED = planted.index([(arm, '', '', rate) for arm in 'ab' for rate in RATES], ['learning_rate'])


def best_rate(values: np.ndarray, index: pd.MultiIndex = RATED, better: bool | None = True) -> Quantity:
    """Values at the best of their rates, by themselves."""
    quantity = planted.quantity(planted.table(values, index), higher_is_better=better)
    return best_over('learning_rate', quantity, by=quantity)


def with_noise(means: list[float]) -> np.ndarray:
    """(cells, 6)."""
    return np.array(means)[:, None] + NOISE + np.outer(np.arange(len(means)), APART)


def tuned(a: list[float], b: list[float], better: bool | None = True, n: int = 6) -> Quantity:
    """Two arms at their best of three rates, of values that differ by noise alone."""
    return best_rate(with_noise([*a, *b])[:, :n], better=better)


def of_tuned(quantity: Quantity, contrasts: Contrasts, *bounds: float, n: int = 6, **facts: Any) -> str:
    return verdict(quantity, contrasts, *bounds, **{'study': planted.study(RATED, n)} | facts)


MIDDLE, LAST = [0.0, 9.0, 0.0], [0.0, 5.0, 9.0]


@pytest.mark.parametrize(
    ('a', 'b', 'low', 'high', 'expected'),
    [
        (MIDDLE, [0.0, 5.0, 0.0], 0.0, INF, 'holds'),
        ([0.0, 5.0, 0.0], MIDDLE, 0.0, INF, 'does not hold'),
        (LAST, [0.0, 5.0, 0.0], 0.0, INF, 'holds'),  # the better one may be better still
        (MIDDLE, [0.0, 4.0, 5.0], 0.0, INF, 'undecided'),  # the worse one may be better beyond
        ([0.0, 4.0, 5.0], MIDDLE, 0.0, INF, 'undecided'),
        ([0.0, 5.0, 0.0], LAST, 0.0, INF, 'does not hold'),
        (MIDDLE, MIDDLE, -1.0, 1.0, 'holds'),
        (LAST, MIDDLE, -1.0, 1.0, 'undecided'),  # equal so far
        (LAST, [0.0, 5.0, 0.0], -1.0, 1.0, 'does not hold'),
    ],
)
def test_a_choice_on_the_edge_is_open_to_the_better_side(
    a: list[float], b: list[float], low: float, high: float, expected: str
):
    assert of_tuned(tuned(a, b), minus('a', 'b'), low, high) == expected
    # Of losses, mirrored.
    losses = tuned([-x for x in a], [-x for x in b], better=False)
    assert of_tuned(losses, minus('a', 'b'), -high, -low) == expected


def test_where_neither_side_is_the_better_an_edge_opens_both():
    quantity = tuned(LAST, MIDDLE)
    neither = replace(quantity, higher_is_better=None)
    assert of_tuned(neither, minus('a', 'b'), -1.0, INF) == of_tuned(neither, minus('a', 'b'), -INF, 1.0) == 'undecided'
    assert of_tuned(neither, alone('b'), 8.0, 10.0) == 'holds'


def test_a_level_on_the_edge_is_open_too():
    quantity = tuned(LAST, MIDDLE)
    assert of_tuned(quantity, alone('a'), 8.0, INF) == 'holds'
    assert of_tuned(quantity, alone('a'), -INF, 10.0) == 'undecided'
    assert of_tuned(quantity, alone('b'), -INF, 10.0) == 'holds'
    assert of_tuned(quantity, interaction('a', 'b', 'b', 'b'), -1.0, INF) == 'holds'
    assert of_tuned(quantity, interaction('b', 'a', 'b', 'b'), -1.0, INF) == 'undecided'


def test_halves_that_choose_otherwise_leave_it_undecided():
    """All replicates choose the rate at which three were lucky; these choose it too, the others another one."""
    index = planted.index([('a', '', '', rate) for rate in RATES] + [('b', '', '', 0.1)], ['learning_rate'])
    lucky = np.array([9.0, 9.1, 9.2, 0.0, 0.1, 0.2])
    a = np.array([np.zeros(6), lucky, 3.0 + NOISE])
    quantity = best_rate(np.vstack([a, np.zeros(6)]), index)
    outcome = put(quantity, minus('a', 'b'), low=1.0, study=planted.study(index, 6))
    (one,) = outcome.judged
    assert one.part.halves is not None
    assert one.part.low.tolist() == lucky.tolist()
    assert one.part.halves.low.tolist() == pytest.approx([*(3.0 + NOISE[:3]), 0.0, 0.1, 0.2])
    assert outcome.verdict == 'undecided'


def test_nothing_chosen_is_not_measured():
    """Of four replicates, and while a run of the reduction is unfinished."""
    assert of_tuned(tuned(MIDDLE, [0.0, 5.0, 0.0], n=4), minus('a', 'b'), 0.0, INF, n=4) == 'not measured'
    values = with_noise([*MIDDLE, 0.0, 5.0, 0.0])
    values[2, 1] = NAN
    assert of_tuned(best_rate(values), minus('a', 'b'), 0.0, INF) == 'not measured'


def test_of_a_reduced_axis_only_the_chosen_cell_counts():
    """Runs that diverged at another rate cap nothing."""
    values = with_noise([*MIDDLE, 0.0, 5.0, 0.0])
    values[2] = NAN
    study = planted.study(RATED, 6, status={(RATED[2], r): 'diverged' for r in range(6)})
    assert of_tuned(best_rate(values), minus('a', 'b'), 0.0, INF, study=study) == 'holds'


# Places.


def test_the_place_of_the_best_is_open_where_its_rates_were_on_the_edge():
    """Three batch sizes at their best of three rates: the worst one's rate is on the edge, so it may be the best."""
    index = planted.index([('all', '', '', b, r) for b in (4, 16, 64) for r in RATES], ['batch_size', 'learning_rate'])

    def places(last: list[float]) -> str:
        best = best_rate(with_noise([1.0, 5.0, 1.0, 1.0, 9.0, 1.0, *last]), index)
        return verdict(best, optimum('batch_size'), high=16, study=planted.study(index, 6))

    assert places([1.0, 3.0, 1.0]) == 'holds'
    assert places([1.0, 2.0, 3.0]) == 'undecided'


def test_the_best_place_against_that_of_another():
    index = planted.index([(arm, '', '', rate) for arm in 'ab' for rate in (*RATES, 10.0)], ['learning_rate'])
    values = with_noise([0.0, 0.0, 9.0, 0.0, 0.0, 9.0, 0.0, 0.0])
    quantity = planted.quantity(planted.table(values, index), higher_is_better=True)
    study = planted.study(index, 6)
    over = lambda a, b, **bounds: verdict(quantity, optimum_over('learning_rate', a, b), study=study, **bounds)
    assert over('a', 'b', low=0) == 'holds'
    assert over('b', 'a', low=0) == 'does not hold'
    assert over('a', 'b', low=3) == 'does not hold'  # a factor of 10: ln 10 = 2.3


# What is held fixed.


def unequal(names: tuple[str, ...], contrasts: Contrasts, a: dict[str, Any], b: dict[str, Any]) -> bool:
    study = planted.study(planted.index([('a', '', ''), ('b', '', '')]), 2, fields={'a': a, 'b': b})
    return bool(equal_terms.differing(names, contrasts, study))


@pytest.mark.parametrize(
    ('name', 'a', 'b', 'refused'),
    [
        ('epochs', {'total_epochs': 30.0}, {'total_epochs': 30.0}, False),
        ('epochs', {'total_epochs': 30.0}, {'total_epochs': 60.0}, True),
        ('updates', {'total_updates': 100}, {'total_updates': 100}, False),
        ('updates', {'total_updates': 100}, {'total_updates': 101}, True),
        ('examples', {'total_examples': 64}, {'total_examples': 128}, True),
        ('learning_rate', {'learning_rate': 0.1, 'declared_learning_rate': 0.1},
         {'learning_rate': 0.4, 'declared_learning_rate': 0.1}, False),
        ('model.widths', {'model.widths': (8,)}, {'model.widths': (8,)}, False),
        ('model.widths', {'model.widths': (8,)}, {'model.widths': (8, 8)}, True),
        ('optimizer', {'optimizer.name': 'sgd', 'optimizer.decay': 0.0},
         {'optimizer.name': 'sgd', 'optimizer.decay': 0.1}, True),
        ('batch_size/workers', {'batch_size': 64, 'workers': 2}, {'batch_size': 128, 'workers': 4}, False),
        ('batch_size/workers', {'batch_size': 64, 'workers': 2}, {'batch_size': 64, 'workers': 4}, True),
        ('batch_size*accumulate', {'batch_size': 64, 'accumulate': 2}, {'batch_size': 32, 'accumulate': 4}, False),
        ('noise_temperature', {'learning_rate': 0.1, 'batch_size': 8, 'momentum': 0.0, 'epoch_size': 64},
         {'learning_rate': 0.05, 'batch_size': 8, 'momentum': 0.5, 'epoch_size': 64}, False),
        ('noise_temperature', {'learning_rate': 0.1, 'batch_size': 8, 'momentum': 0.0, 'epoch_size': 64},
         {'learning_rate': 0.1, 'batch_size': 16, 'momentum': 0.0, 'epoch_size': 64}, True),
        ('examples after the branch', {'total_examples': 640, 'batch_size': 8, 'epoch_size': 64, 'parent.epoch': NAN},
         {'total_examples': 768, 'batch_size': 8, 'epoch_size': 64, 'parent.epoch': 2.0}, False),
        ('examples after the branch', {'total_examples': 640, 'batch_size': 8, 'epoch_size': 64, 'parent.epoch': NAN},
         {'total_examples': 640, 'batch_size': 8, 'epoch_size': 64, 'parent.epoch': 2.0}, True),
        ('tuned', {}, {}, False),
        ('width', {'batch_size': 1}, {'batch_size': 1}, True),  # no run has it: not known
    ],
)  # fmt: skip
def test_compared_arms_have_in_common_what_is_held_fixed(name: str, a: dict, b: dict, refused: bool):
    assert unequal((name,), minus('a', 'b'), a, b) == refused
    assert not unequal((name,), (*alone('a'), *alone('b')), a, b)  # nothing is compared


def test_a_statement_on_unequal_terms_is_not_measured_or_names_its_own():
    fields = {arm: {'total_epochs': e, 'total_updates': 10} for arm, e in (('a', 1.0), ('b', 2.0))}
    whole = planted.study(planted.index([('a', '', ''), ('b', '', '')]), 6, fields=fields, held_fixed=('epochs',))
    outcome = put(THREE, minus('a', 'b'), low=0, study=whole)
    assert (outcome.verdict, outcome.judged) == ('not measured', ())
    assert len(outcome.remarks) == 1
    assert '1 of a, 2 of b' in outcome.remarks[0]
    assert verdict(THREE, minus('a', 'b'), low=0, study=whole, held_fixed=('updates',)) == 'holds'
    assert verdict(THREE, alone('a'), low=0, study=whole) == 'holds'


def test_of_a_reduced_axis_the_values_are_the_same_ones():
    index = planted.index([(arm, '', '', r) for arm in 'ab' for r in RATES] + [('c', '', '', 0.1)], ['learning_rate'])
    study = planted.study(index, 1)
    runs = study.runs.assign(learning_rate=study.members['learning_rate'].to_numpy())
    study = replace(study, runs=runs)
    assert not equal_terms.differing(('learning_rate',), minus('a', 'b'), study)
    assert equal_terms.differing(('learning_rate',), minus('a', 'c'), study)


def test_a_ratio_is_of_a_logarithm():
    """Two over one is a factor of e of what is exponential, and refused of what is no logarithm."""
    quantity = planted.quantity(np.exp(arms(one=1.0, two=2.0)))
    with pytest.raises(ValueError, match=r'log\(quantity\)'):
        put(quantity, ratio('two', 'one'), low=1)
    (judged,) = put(log(quantity), ratio('two', 'one'), low=0).judged
    assert judged.interval.centre == pytest.approx(1, abs=0.02)
