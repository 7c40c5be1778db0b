"""Advice on tables whose truth is known: what is named, what is refused; the law, the range, the rates."""

import numpy as np
import pandas as pd
import pytest
from advice_tables import COLUMNS, SIZES, hyperbola, losses, pace, runs
from scipy import stats

from bsresearch.advice import choice, estimates, rates, reading, rules
from bsresearch.advice.advise import advise
from bsresearch.advice.columns import Columns
from bsresearch.advice.fits import regions
from bsresearch.advice.table import Refusal
from bsresearch.advice.telling.words import would_change
from bsresearch.theory import noisy_quadratic

# --- what is named


def test_the_least_time_is_named():
    """In closed form: 40(1 + B/300)·(5 + 2000/B + B/400) is least at B = 256 of the powers of two."""
    told = advise(reading.runs(runs(), COLUMNS))
    cost = np.exp(hyperbola(300)(SIZES)) * pace(SIZES)
    assert told.goal == 'time'
    assert told.batch_size.choice == SIZES[cost.argmin()] == 256
    assert told.batch_size.low <= 256 <= told.batch_size.high
    assert told.batch_size.high / told.batch_size.low <= 4
    seconds = told.row.expected['seconds']
    assert seconds.low < cost.min() < seconds.high
    assert seconds.choice == pytest.approx(cost.min(), rel=0.05)
    assert told.others['examples'].choice == 16


def test_the_time_of_a_run_scatters_as_its_pace_does_too():
    """Lengths by 1 %, seconds per epoch by 20 %: 95 % of runs lie within e^(±1.96·0.2)."""
    frame = runs(spread=0.01, seeds=10)
    frame['seconds'] *= np.exp(0.2 * np.random.default_rng(1).normal(size=len(frame)))
    expected = advise(reading.runs(frame, COLUMNS)).row.expected
    assert np.log(expected['seconds'].high / expected['seconds'].low) == pytest.approx(2 * 1.96 * 0.2, rel=0.3)
    assert np.log(expected['length'].high / expected['length'].low) < 0.15


def test_a_batch_size_that_was_left_out_is_named_where_it_is_better():
    """Of 16, 64, 1024 a power of two between: 256 costs a third less than 64 and 1024."""
    told = advise(reading.runs(runs(sizes=np.array([16.0, 64, 1024])), COLUMNS))
    assert told.batch_size.choice == 256
    assert told.row.runs == 0


def test_one_that_was_left_out_is_not_named_for_a_little():
    """Expected a little better than the tried ones, less than the margin: what was tried is named."""
    cost = np.array([0.0, -0.03, 0.01]) + 0.01 * np.random.default_rng(0).normal(size=(500, 3))
    every, tried = np.ones(3, bool), np.array([True, False, True])
    assert choice.choose(cost, every, 0.05).named == 1
    assert choice.choose(cost, every, 0.05, tried).named == 0
    assert choice.choose(cost, every, 0.02, tried).named == 1


def test_what_cannot_be_told_apart_is_as_good():
    """Draws of costs: one is dearer in two thirds of them, one in all by more than the margin, one by less."""
    rng = np.random.default_rng(0)
    cost = np.column_stack([np.zeros(400), rng.normal(0.1, 0.3, 400), np.full(400, 0.06), np.full(400, 0.02)])
    found = choice.choose(cost, np.ones(4, bool), 0.05)
    assert found.named == 0
    assert found.as_good.tolist() == [True, True, False, True]
    assert (found.low, found.high) == (0, 3)


def test_the_gain_of_a_run_is_that_of_two_normal_costs():
    """Costs 0 and N(m, s²): knowing the second exactly gains s·φ(m/s) − m·Φ(−m/s)."""
    m, s = 0.1, 0.3
    rng = np.random.default_rng(0)
    cost = np.column_stack([np.zeros(200_000), rng.normal(m, s, 200_000)])
    run = np.column_stack([rng.normal(size=200_000), cost[:, 1]])
    gain = choice.gains(cost, run, np.ones(2, bool))
    assert gain[1] == pytest.approx(s * stats.norm.pdf(m / s) - m * stats.norm.cdf(-m / s), rel=0.03)
    assert gain[0] == pytest.approx(0, abs=1e-3)
    assert choice.gains(cost, np.zeros_like(run), np.ones(2, bool)).tolist() == [0, 0], 'what is known shows nothing'


# --- the law


def test_the_law_and_its_refusals():
    """B_crit of 300 is held; flat lengths bound it from below; a U, a fall, and rising steps have none."""
    told = advise(reading.runs(runs(), COLUMNS)).growth
    assert told is not None
    assert told.law.low <= 300 <= told.law.high < 450
    assert told.law.examples == pytest.approx(40, rel=0.1)
    assert told.law.steps == pytest.approx(told.law.examples / told.law.critical)
    assert np.abs(told.law.residuals).max() < 0.1
    for length, words in (
        (lambda b: np.full(len(b), 3.0), 'B_crit > 1,024, the largest tried'),
        (lambda b: 3 + 0.2 * np.log(b / 128) ** 2, 'U-shaped in B'),
        (lambda b: 5 - 0.3 * np.log(b), 'is falling in B'),
        (lambda b: 3 + 1.4 * np.log(b), 'more steps are needed at B = '),
    ):
        growth = advise(reading.runs(runs(length), COLUMNS), 'examples').growth
        assert growth is not None
        assert words in growth.law.text


def test_three_batch_sizes_have_no_law():
    growth = advise(reading.runs(runs(sizes=SIZES[:3]), COLUMNS)).growth
    assert growth is not None
    assert growth.law.refusal == '3 batch sizes reached the target, and a law of two numbers needs 4'


def test_regions_are_those_of_the_law():
    """On S_min(1 + B_crit/B) the slope is −B_crit/(B + B_crit): perfect up to B_crit/4, none from 4·B_crit."""
    size = 2.0 ** np.arange(0, 14)
    exact = np.log1p(size / 64)[None] + np.zeros((100, 1))
    named = {(s.smaller, s.larger): s.region for s in regions.stretches(size, exact)}
    assert named[8, 16] == 'perfect scaling'
    assert named[64, 128] == 'diminishing returns'
    assert named[256, 512] == 'no returns'
    assert regions.text(regions.stretches(size, exact)) == (
        '1 to 16 perfect scaling; 16 to 256 diminishing returns; 256 to 8192 no returns'
    )
    unsure = exact + np.random.default_rng(0).normal(size=exact.shape)
    assert {s.region for s in regions.stretches(size, unsure)} == {'undecided'}


# --- censoring, rounding, extrapolation


def test_runs_that_did_not_reach_the_target_count():
    """At B = 1024 half of them stop at 160 epochs of a mean of 176: survivors alone would say 150 or less."""
    frame = runs(spread=0.15, seeds=8)
    short = frame['epochs'] > 160
    frame['done'], frame['epochs'] = ~short, frame['epochs'].clip(upper=160.0)
    told = advise(reading.runs(frame, COLUMNS._replace(reached='done')))
    row = next(row for row in told.rows if row.batch_size == 1024)
    survivors = frame[(frame['bs'] == 1024) & ~short]['epochs'].mean()
    assert 0 < row.reached < row.runs == 8
    assert row.expected['length'].choice > survivors + 15
    assert row.expected['length'].choice == pytest.approx(np.exp(hyperbola(300)(1024)), rel=0.12)


def test_a_batch_size_that_never_reached_it_is_not_named():
    """Nor one between it and the next: its time is not known from both sides."""
    frame = runs(sizes=np.array([16.0, 64, 256, 1024]))
    frame.loc[frame['bs'] == 1024, 'epochs'] = np.nan
    told = advise(reading.runs(frame, COLUMNS))
    assert told.batch_size.high <= 256
    assert {row.batch_size: row.reached for row in told.rows}[1024] == 0


def test_intervals_of_whole_epochs_are_whole():
    frame = runs(hyperbola(300, 2.5))
    frame['epochs'] = np.ceil(frame['epochs'])
    told = advise(reading.runs(frame, COLUMNS), at=[24])
    for row in told.rows:
        low, high = row.expected['length'][1:3]
        assert low == int(low) >= 1
        assert high == int(high) >= low
    whole = reading.runs(frame, COLUMNS)
    assert (np.exp(whole.high) - np.exp(whole.low)).tolist() == pytest.approx([1.0] * len(frame))


def test_nothing_is_told_further_than_a_factor_of_two_outside():
    told = advise(reading.runs(runs(), COLUMNS), at=[8, 4, 96, 2048, 4096])
    rows = {row.batch_size: row for row in told.rows}
    assert rows[4096].refusal == (
        'B = 4096 lies 4 times beyond the batch sizes tried, 16 to 1024: nothing is told beyond 2 times'
    )
    assert rows[4].refusal
    assert rows[4].expected == {}
    for size in (8, 96, 2048):
        low, high = rows[size].expected['length'][1:3]
        assert low < np.exp(hyperbola(300)(size)) < high


def test_lengths_in_steps_are_those_in_examples():
    """Steps that were counted every 50 are rounded up to that; unequal batch sizes make them examples."""
    frame = runs()
    frame['steps'] = np.ceil(frame['epochs'] * 1000 / frame['bs'] / 50) * 50
    told = reading.runs(frame, COLUMNS._replace(epochs='', steps='steps'))
    assert told.unit == 'examples'
    assert told.length.tolist() == (frame['steps'] * frame['bs']).tolist()
    assert set(told.granularity / told.batch_size) == {50.0}


# --- rates


def test_the_rate_at_a_left_out_batch_size():
    """The valley's floor lies at 0.1·√(B/128); diverged runs beside it do not move it."""
    frame = losses()
    shown = frame[~frame['bs'].isin([64, 256])]
    told = advise(reading.runs(shown, Columns('bs', 'lr', loss='loss')), at=[64, 256])
    assert told.goal == 'accuracy'
    for row in told.rows:
        true = 0.1 * np.sqrt(row.batch_size / 128)
        assert abs(np.log(row.rate.choice / true)) < np.log(1.35)
        assert row.rate.low <= true <= row.rate.high
        assert row.edge == ''
    assert told.batch_size.low <= 128 <= told.batch_size.high


def test_a_rate_on_the_edge_is_flagged():
    """Only rates below the best ones were tried."""
    frame = losses()
    frame = frame[frame['lr'] < 0.04]
    told = advise(reading.runs(frame, Columns('bs', 'lr', loss='loss')))
    assert {row.batch_size: row.edge for row in told.rows}[1024] == 'largest'


def test_rates_of_lengths_to_a_target():
    """A tuned rate per batch size, and the time that goes with it: both minima are known."""
    rows = [(b, lr, seed) for b in SIZES for lr in 0.1 * 2.0 ** np.arange(-3, 4) for seed in range(2)]
    size, lr, seed = np.array(rows).T
    off = np.log(lr / 0.1) - 0.5 * np.log(size / 128)
    epochs = np.exp(hyperbola(300)(size) + 0.1 * off**2 + 0.03 * np.random.default_rng(2).normal(size=len(size)))
    frame = pd.DataFrame(
        {'bs': size.astype(int), 'lr': lr, 'seed': seed, 'epochs': epochs, 'seconds': epochs * pace(size)}
    )
    told = advise(reading.runs(frame, COLUMNS._replace(learning_rate='lr')))
    assert told.batch_size.low <= 256 <= told.batch_size.high
    true = 0.1 * np.sqrt(told.batch_size.choice / 128)
    assert told.row.rate.low / 1.2 <= true <= told.row.rate.high * 1.2


def test_rules_for_the_rate_have_their_price():
    """Of a valley with its floor at √B the square root costs nothing; none and linear 0.02·(ln k/2)² at k·B₀."""
    told = advise(reading.runs(losses(noise=1e-4), Columns('bs', 'lr', loss='loss')))
    prices = {price.rule: price for price in told.prices}
    assert set(prices) == {'none', '√', 'linear'}
    assert abs(prices['√'].mean) < 5e-4
    expected = 0.02 * (np.log(SIZES[1:] / 16) / 2) ** 2
    assert prices['none'].mean == pytest.approx(expected.mean(), rel=0.25)
    assert prices['none'].worst_at == 1024
    assert prices['linear'].worst > prices['none'].worst, 'beyond the valley it diverged'


def test_the_throughput_has_a_knee():
    """B/(5·B + 2000 + B²/400): largest at √(800,000), 90 % of it from 512 on, of the powers of two."""
    fast = advise(reading.runs(runs(spread=0.01), COLUMNS)).throughput
    speed = 1 / pace(SIZES)
    assert fast is not None
    assert fast.fastest == SIZES[speed.argmax()]
    assert fast.knee == fast.low == fast.high == SIZES[speed >= 0.9 * speed.max()][0]
    assert fast.speedup == pytest.approx(speed.max() / speed[0], rel=0.03)


def test_the_noisy_quadratic_has_the_batch_size_of_its_closed_form():
    """Updates to a target of expected loss follow in closed form at any B and rate; so does the least time.

    Shown are tuned rates at every other batch size, with 5 % of noise; an update takes 1 + B/64 units of time.
    """
    curvature = noise = noisy_quadratic.spectrum(20, 1.0)
    sizes = 4.0 * 2.0 ** np.arange(9)
    least = np.array([min(_updates(curvature, noise, int(b), e) for e in (0.05, 0.1, 0.2, 0.4, 0.8)) for b in sizes])
    cost = least * (1 + sizes / 64)
    rng = np.random.default_rng(0)
    size = np.repeat(sizes[::2], 4)
    steps = np.round(np.repeat(least[::2], 4) * np.exp(0.05 * rng.normal(size=len(size))))
    frame = pd.DataFrame({'bs': size, 'steps': steps, 'seconds': steps * (1 + size / 64)})
    told = advise(reading.runs(frame, Columns('bs', steps='steps', seconds='seconds')))
    named = cost[np.searchsorted(sizes, told.batch_size.choice)]
    assert named <= 1.05 * cost.min()
    assert told.batch_size.low <= sizes[cost.argmin()] <= told.batch_size.high


def _updates(curvature: np.ndarray, noise: np.ndarray, batch_size: int, rate: float) -> float:
    """To a twentieth of the expected loss at the start; ∞ where 400 are too few."""
    steps = 400
    held = [np.full(steps, value) for value in (rate, 0.0, batch_size)]
    moments = noisy_quadratic.moments(curvature, noise, np.full(len(curvature), 2.0), *held)
    loss = noisy_quadratic.expected_loss(curvature, moments)
    reached = np.flatnonzero(loss <= loss[0] / 20)
    return float(reached[0]) if len(reached) else np.inf


def early(unknown: bool = False) -> pd.DataFrame:
    """Least at a rate of 0.1; runs of 1.0 were stopped after 3 epochs without their target, or at an unknown length."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame([(b, lr) for b in SIZES[:5] for lr in (0.03, 0.1, 0.3, 1.0)], columns=['bs', 'lr'])
    off = np.abs(np.log(frame['lr'] / 0.1))
    frame['epochs'] = 20 * (1 + frame['bs'] / 300) * (1 + off) * np.exp(0.03 * rng.normal(size=len(frame)))
    frame['done'] = frame['lr'] < 1
    frame.loc[~frame['done'], 'epochs'] = np.nan if unknown else 3.0
    return frame


@pytest.mark.parametrize('unknown', [False, True])
def test_a_run_that_stopped_early_has_not_come_there_early(unknown: bool):
    """Its rate is neither the best tried nor one to name, by the surface or, of few cells, without."""
    frame = early(unknown)
    columns = Columns('bs', 'lr', epochs='epochs', reached='done')
    told = advise(reading.runs(frame, columns))
    assert told.batch_size.choice == 16
    assert told.row.rate.choice == pytest.approx(0.1, rel=0.3)
    assert max(row.rate.high for row in told.rows if row.runs) <= 0.3 * 1.08
    few = advise(reading.runs(frame[(frame['bs'] < 64) & (frame['lr'] > 0.2)], columns))
    assert few.rates_refused
    assert few.row.rate.choice == 0.3


def test_runs_that_diverged_count_in_a_table_too():
    """An infinite loss is the worst there is, as it is in a workdir; an accuracy's is −∞; none at all is said."""
    frame = losses()
    frame.loc[frame['lr'] >= 0.1, 'loss'] = np.inf
    told = advise(reading.runs(frame, Columns('bs', 'lr', loss='loss')))
    assert max(row.rate.high for row in told.rows if row.runs) <= 0.05 * 1.08
    turned = frame.assign(accuracy=-frame['loss'])
    assert reading.runs(turned, Columns('bs', 'lr', loss='accuracy')).loss.max() == np.inf
    frame.loc[0, 'loss'] = np.nan
    notes = reading.runs(frame, Columns('bs', 'lr', loss='loss')).notes
    assert '1 of 77 runs have no loss: left out (inf marks one that diverged)' in notes


def test_rates_beyond_one_that_diverged_are_none_though_they_trained():
    """At one batch size the smallest rate diverges, at another one in the middle: neither has what lies beyond."""
    frame = losses()
    smallest = frame['lr'].min()
    frame.loc[(frame['bs'] == 32) & (frame['lr'] == smallest), 'loss'] = np.inf
    frame.loc[(frame['bs'] == 64) & (frame['lr'] == 0.0125), 'loss'] = np.inf
    told = advise(reading.runs(frame, Columns('bs', 'lr', loss='loss')))
    rows = {row.batch_size: row for row in told.rows}
    assert rows[64].rate.high <= 0.00625 * 1.08
    everywhere = losses()
    everywhere.loc[everywhere['lr'] == smallest, 'loss'] = np.inf
    with pytest.raises(Refusal):
        advise(reading.runs(everywhere, Columns('bs', 'lr', loss='loss')))


@pytest.mark.parametrize('value', [0.0, 2.0])
def test_losses_that_are_all_alike_are_answered(value: float):
    """No noise, no valley: nothing is divided by them."""
    frame = losses()[losses()['bs'].isin([16, 64, 256, 1024])]
    told = advise(reading.runs(frame.assign(loss=value), Columns('bs', 'lr', loss='loss')))
    assert told.row.expected['loss'].choice == pytest.approx(value)
    assert told.row.runs, 'one that was tried, and none between for a rounding error'


def test_a_rule_that_diverges_is_not_one_whose_rates_were_not_tried():
    size = np.repeat([16.0, 64.0], 3)
    found = rates.cells(size, np.tile([0.1, 0.2, 0.4], 2), np.array([1.0, 2, 3, 1, 2, np.inf]))
    nothing = np.zeros((1, 2))
    at = np.array([0.1, 0.1])
    reached = estimates.Estimate(nothing, nothing)
    named = rates.Rates(np.array([16.0, 64.0]), at, at, at, ['', ''], reached, found, np.isfinite(found.value))
    prices = {price.rule: price for price in rules.prices(named)}
    assert prices['linear'] == ('linear', np.inf, np.inf, 64.0, 0)
    assert prices['none'].mean == 0


def test_a_goal_that_the_named_batch_size_serves_as_well_is_no_other():
    """Examples do not grow with B: the batch size that is named for the time is as good for them."""
    told = advise(reading.runs(runs(lambda b: np.full(len(b), 3.0)), COLUMNS))
    assert not [reason for reason in would_change(told) if reason.startswith('another goal')]


def test_too_few_cells_have_no_rate():
    found = rates.cells(np.array([16.0, 16, 32]), np.array([0.1, 0.2, 0.1]), np.array([1.0, 2, 3]))
    with pytest.raises(
        Refusal, match=r'^3 cells of batch size and learning rate, 2 rates, come near the best: a rate is'
    ):
        rates.at(found, np.array([16.0, 32.0]), 5.0)


def test_an_accuracy_is_best_when_highest():
    """The same table with the sign turned gives the same advice."""
    frame = losses()
    frame['accuracy'] = 3 - frame.pop('loss')
    told = advise(reading.runs(frame, Columns('bs', 'lr', loss='accuracy')))
    straight = advise(reading.runs(losses(), Columns('bs', 'lr', loss='loss')))
    assert not told.runs.falling
    assert told.batch_size == straight.batch_size
    assert told.row.rate.choice == pytest.approx(straight.row.rate.choice, rel=0.3)


def test_lengths_that_grow_with_nothing_are_answered():
    """Examples that do not: all batch sizes are within a few per cent. Steps that do not: the smallest costs least."""
    told = advise(reading.runs(runs(lambda b: np.full(len(b), 3.0)), COLUMNS), 'examples')
    assert told.batch_size.high / told.batch_size.low >= 16
    assert max(abs(row.dearer) for row in told.rows) < 0.1
    told = advise(reading.runs(runs(lambda b: np.log(b)), COLUMNS), 'examples')
    assert told.batch_size == (16, 16, 16, '')
    assert told.growth is not None
    assert {s.region for s in told.growth.stretches} <= {'no returns', 'undecided'}


def test_batch_sizes_that_may_be_named():
    """Powers of two between neighbours more than a factor of 2 apart."""
    assert estimates.candidates(np.array([16.0, 32, 192, 256, 1000])).tolist() == [16, 32, 64, 128, 192, 256, 512, 1000]
