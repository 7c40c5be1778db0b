"""Fractions of a run, warm-ups and tables of updates in closed form: the first, the last and boundary updates."""

from typing import Any

import numpy as np
import pytest

from bsresearch.core.units import BOUNDARIES, Length
from bsresearch.optim import policy
from bsresearch.optim.policy import Policy
from bsresearch.planning import schema, sweep

ONCE = {'shape': 'gradual', 'delays_schedule': False}
NO_WARMUP = {'examples': 0, 'start': 0.0, 'convention': 'zero_based'} | ONCE
CONSTANT = {'name': 'constant'}


def warm(examples: int, start: float = 0.0, convention: str = 'zero_based') -> dict:
    return {'examples': examples, 'start': start, 'convention': convention} | ONCE


def declared(schedule: dict, warmup: dict, peak: float = 0.5, **other: Any) -> Policy:
    batch = {'name': 'constant', 'as_learning_rate': False}
    usual = {'momentum': 0.9, 'weight_decay': 0.0, 'momentum_schedule': CONSTANT, 'weight_decay_schedule': CONSTANT}
    fields: Any = {'learning_rate': peak, 'schedule': schedule, 'warmup': warmup, 'batch_schedule': batch}
    return Policy(**(usual | fields | other))


def table(schedule: dict, warmup: dict, peak: float, length: Length, start: int, stop: int) -> np.ndarray:
    return policy.at(declared(schedule, warmup, peak), length, np.arange(start, stop)).learning_rate


def rates(schedule: dict, warmup: dict, length: Length, peak: float = 0.5) -> np.ndarray:
    return table(schedule, warmup, peak, length, 0, length.total_steps)


# --- fractions of a run


def test_step_at_fractions_is_step_at_the_same_epochs():
    """Invariance: a fifth and four fifths of a run of 3 epochs, given either way."""
    length = Length(90, 7, 270, 'partial')
    by_fractions = rates({'name': 'step', 'factor': 0.5, 'at_fractions': (0.2, 0.8)}, NO_WARMUP, length)
    by_epochs = rates({'name': 'step', 'factor': 0.5, 'at_epochs': (0.6, 2.4)}, NO_WARMUP, length)
    np.testing.assert_array_equal(by_fractions, by_epochs)


@pytest.mark.parametrize(('fraction', 'update'), [(0.07, 7), (0.55, 55), (0.1, 10), (0.99, 99)])
def test_fractions_are_exact_decimals(fraction: float, update: int):
    """Closed form: 7 % of 100 updates is update 7, though 0.07 · 100 > 7 in binary."""
    table = rates({'name': 'step', 'factor': 0.1, 'at_fractions': (fraction,)}, NO_WARMUP, Length(100, 1, 100))
    assert int(np.argmax(table < 0.5)) == update


# --- warm-up


@pytest.mark.parametrize('start', [0.0, 0.1, 1.0])
def test_warmup_zero_based(start: float):
    """Closed form: start + (1 − start)·t/W; update 0 at `start`, update W the first at the peak."""
    table = rates(CONSTANT, warm(40, start), Length(100, 10, 100))
    expected = [0.5 * (start + (1 - start) * t / 4) for t in range(4)] + [0.5] * 6
    np.testing.assert_allclose(table, expected, rtol=1e-15, atol=0)
    assert table[0] == 0.5 * start
    assert table[4] == table[-1] == 0.5


@pytest.mark.parametrize('start', [0.0, 0.1, 1.0])
def test_warmup_one_based(start: float):
    """Closed form: start + (1 − start)·(t + 1)/W; update W − 1 the first at the peak."""
    table = rates(CONSTANT, warm(40, start, 'one_based'), Length(100, 10, 100))
    expected = [0.5 * (start + (1 - start) * (t + 1) / 4) for t in range(4)] + [0.5] * 6
    np.testing.assert_allclose(table, expected, rtol=1e-15, atol=0)
    assert table[3] == table[-1] == 0.5


def test_warmup_of_one_update():
    """Closed form: zero_based starts at `start` for one update; one_based is no warm-up."""
    length = Length(100, 10, 30)
    assert rates(CONSTANT, warm(10, 0.2), length).tolist() == [0.1, 0.5, 0.5]
    assert rates(CONSTANT, warm(10, 0.2, 'one_based'), length).tolist() == [0.5, 0.5, 0.5]
    # Less than a batch takes a whole update.
    assert rates(CONSTANT, warm(1, 0.2), length).tolist() == [0.1, 0.5, 0.5]


def test_warmup_over_the_whole_run():
    """Closed form: one_based ends at the peak with the last update, zero_based one step below it."""
    length = Length(100, 10, 50)
    np.testing.assert_allclose(rates(CONSTANT, warm(50), length), 0.5 * np.arange(5) / 5)
    np.testing.assert_allclose(rates(CONSTANT, warm(50, convention='one_based'), length), 0.5 * np.arange(1, 6) / 5)


def test_warmup_multiplies_the_schedule():
    """Closed form: the product of both, while they overlap."""
    schedule = {'name': 'step', 'factor': 0.1, 'at_epochs': (0.2,)}
    table = rates(schedule, warm(40), Length(100, 10, 60))
    np.testing.assert_allclose(table, 0.5 * np.array([0, 0.25, 0.05, 0.075, 0.1, 0.1]), rtol=1e-15)


def test_unknown_convention_is_refused():
    with pytest.raises(ValueError, match="convention='one': allowed are zero_based, one_based"):
        rates(CONSTANT, warm(10, convention='one'), Length(10, 2, 30))


def resolved(**changes: object):
    declared = schema.defaults().to_dict()
    (plan,) = sweep.expand(declared, {'model.name': 'linear', 'total_steps': 300, **changes})
    return plan


@pytest.mark.parametrize('boundary', BOUNDARIES)
@pytest.mark.parametrize('steps', [1, 44, 45, 46, 100])
def test_warmup_given_in_updates_lasts_that_many_updates(boundary: str, steps: int):
    """Closed form: update W is the first at the peak, also where short batches end an epoch (1437 = 44·32 + 29)."""
    changes = {'warmup.steps': steps, 'epoch_boundary': boundary, 'batch_size': 32}
    plan = resolved(**changes)
    found = plan.table(0, 300).learning_rate / plan.policy.learning_rate
    np.testing.assert_allclose(found[:steps], np.arange(steps) / steps)
    assert (found[steps:] == 1).all()


def test_warmup_longer_than_the_run_is_refused():
    resolved(**{'warmup.steps': 300})
    for changes in ({'warmup.steps': 301}, {'warmup.epochs': 100.0}, {'warmup.examples': 300 * 32 + 1}):
        with pytest.raises(ValueError, match='longer than the run'):
            resolved(**changes)


@pytest.mark.parametrize(
    'changes',
    [
        {'warmup.steps': 3, 'warmup.epochs': 1.0},
        {'warmup.steps': -1},
        {'warmup.start': 1.5},
        {'warmup.convention': 'zero'},
    ],
)
def test_impossible_warmups_are_refused(changes: dict):
    with pytest.raises(ValueError, match=r'config\.warmup'):
        resolved(**changes)


# --- tables


@pytest.mark.parametrize('schedule', [CONSTANT, {'name': 'step', 'factor': 0.3, 'at_fractions': (0.3, 0.31, 0.9)}])
@pytest.mark.parametrize('warmup', [NO_WARMUP, warm(17, 0.1), warm(23, 0.0, 'one_based')])
@pytest.mark.parametrize('boundary', BOUNDARIES)
def test_a_table_is_its_updates_one_by_one(schedule: dict, warmup: dict, boundary: str):
    """Invariance, bitwise: any chunk gives the values of the whole, down to single updates."""
    length = Length(10, 3, 70, boundary)
    whole = rates(schedule, warmup, length, 0.1)
    single = [table(schedule, warmup, 0.1, length, t, t + 1) for t in range(length.total_steps)]
    np.testing.assert_array_equal(np.concatenate(single), whole)
    np.testing.assert_array_equal(table(schedule, warmup, 0.1, length, 5, 13), whole[5:13])


def test_past_the_end_the_last_value_holds():
    schedule = {'name': 'step', 'factor': 0.1, 'at_epochs': (1.0,)}
    length = Length(10, 5, 20)
    assert table(schedule, NO_WARMUP, 0.5, length, 0, 9)[4:].tolist() == [0.5 * 0.1] * 5


@pytest.mark.parametrize('reference', [None, 0, -32])
def test_a_rule_needs_its_reference(reference: int | None):
    with pytest.raises(ValueError, match=r"scaling.name='linear' needs scaling.reference_batch_size.*given"):
        resolved(**{'scaling.name': 'linear', 'scaling.reference_batch_size': reference})
