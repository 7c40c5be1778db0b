"""Brownlee's study: volatility and epochs to a threshold by brute force, roles, verdicts on planted runs, figures."""

import math
import pathlib
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run
from scipy import stats

from bsresearch.analysis import arms, brownlee
from bsresearch.analysis.claims import brownlee as claims
from bsresearch.analysis.quantities import volatility
from bsresearch.planning import sweep
from bsresearch.studies import brownlee as study
from configs import brownlee as config
from scripts import fig_brownlee

pytestmark = pytest.mark.usefixtures('small_pictures')
N, EPOCHS = 64, 120
Course = Callable[[int], float]
Planted = dict[tuple[int, float], tuple[float, float, float, int]]


def swing(epoch: int) -> float:
    """0, 1, 0, −1, …, and 0 at the end."""
    return (0.0, 1.0, 0.0, -1.0)[(EPOCHS - epoch) % 4]


def course(end: float, jump: float, arrives: int) -> Course:
    """From 0.3 in a straight line to `end`, with swings of ± jump from where it `arrives`."""
    return lambda e: end + jump * swing(e) if e >= arrives else 0.3 + (end - 0.3) * e / arrives


# (batch size, learning rate) → train and test accuracy at the end, swings, epochs to the end: as the source has it.
PLANTED: Planted = {
    (64, 0.01): (0.816, 0.830, 0.0002, 90),
    (1, 0.01): (0.612, 0.606, 0.1, 1),
    (1, 0.001): (0.816, 0.824, 0.01, 10),
    (32, 0.01): (0.832, 0.812, 0.004, 20),
    (4, 0.01): (0.82, 0.82, 0.02, 5),
}


def plant(
    workdir: pathlib.Path,
    planted: dict[tuple[int, float], tuple[float, float, float, int]],
    seeds: int = 3,
    **fields: Any,
) -> pathlib.Path:
    """Runs of the study; seeds lie 0.001 apart, a bit more at the end, and swing by 2 % more each."""
    for (size, rate), (train, test, jump, arrives) in planted.items():
        for seed in range(seeds):
            apart = seed - (seeds - 1) / 2
            values = {
                f'{split}_accuracy': [
                    course(end, jump * (1 + 0.02 * apart), arrives)(e) + apart * (0.001 + 0.0001 * (e == EPOCHS))
                    for e in range(EPOCHS + 1)
                ]
                for split, end in (('train', train), ('test', test))
            }
            write_run(workdir, batch_size=size, learning_rate=rate, seed=seed, values=values, **STUDY | fields)
    return workdir


STUDY: dict[str, Any] = {'study': 'brownlee', 'num_outputs': 3, 'epoch_size': N, 'total_examples': EPOCHS * N}


@pytest.fixture(scope='module')
def told(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Runs of which every claim is true; six seeds, so that a sign test can tell."""
    return plant(tmp_path_factory.mktemp('told'), PLANTED, seeds=6)


def verdicts(workdir: pathlib.Path) -> dict[str, str]:
    found = claims.claims(workdir)
    assert len({c.key for c in found}) == len(found)
    return {c.key: c.verdict for c in found}


# --- volatility


def test_deviation_is_the_textbooks():
    """Independent: the standard library's; the residuals of numpy's least-squares line."""
    rng = np.random.default_rng(0)
    t, v = np.arange(151.0, 201.0), rng.normal(0.8, 0.02, 50)
    assert volatility.deviation(t, v) == pytest.approx(statistics.stdev(v.tolist()), rel=1e-12)
    residuals = v - np.polyval(np.polyfit(t, v, 1), t)
    assert volatility.deviation(t, v, detrend=True) == pytest.approx(math.sqrt((residuals**2).sum() / 48), rel=1e-9)
    # Closed form: a line is all trend, ± 1 around one is not.
    assert volatility.deviation(t, 0.01 * t, detrend=True) == pytest.approx(0, abs=1e-12)
    assert volatility.deviation(t, 0.01 * t) == pytest.approx(0.01 * math.sqrt(50 * 51 / 12), rel=1e-9)
    assert math.isnan(volatility.deviation(t[:1], v[:1]))
    assert math.isnan(volatility.deviation(t[:2], v[:2], detrend=True))


def test_first_at_is_the_first():
    rng = np.random.default_rng(1)
    for values in rng.uniform(size=(50, 12)):
        epochs = np.arange(12.0)
        brute = next((e for e, v in zip(epochs, values, strict=True) if v >= 0.9), math.inf)
        assert volatility.first_at(epochs, values, 0.9) == brute
    assert volatility.first_at(np.array([3.0]), np.array([0.9]), 0.9) == 3.0


def one(workdir: pathlib.Path, values: Sequence[float | None], seed: int, **fields: Any) -> None:
    fields = {'status': 'done', **fields}
    write_run(workdir, seed=seed, values={'test_accuracy': values}, total_examples=8 * 64, **fields)


def test_not_reached_is_not_missing(tmp_path: pathlib.Path):
    """Eight epochs, the window their last two: reached; never; gone before and after it got there; still running."""
    one(tmp_path, [0, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.5, 0.7], 0)
    one(tmp_path, [0.1] * 9, 1)
    one(tmp_path, [0.1, 0.2], 2, status='diverged', diverged_step=6)
    one(tmp_path, [0.1, 0.2, 0.85], 3, status='diverged', diverged_step=9)
    one(tmp_path, [0.1, 0.2], 4, status='running')
    one(tmp_path, [0.1, 0.8], 5, status='running')
    loaded = arms.load(tmp_path)
    table = volatility.of_runs(loaded, 'test_accuracy', 0.8).sort_values('seed')
    assert table['outcome'].tolist() == ['done', 'done', 'diverged', 'diverged', 'unfinished', 'unfinished']
    np.testing.assert_equal(table['epochs_to'].to_numpy(), [1, np.inf, np.inf, 2, np.nan, 1])
    np.testing.assert_allclose(table['volatility'], [0.2 / math.sqrt(2), 0, *[np.nan] * 4], atol=1e-12)
    np.testing.assert_allclose(table['level'], [0.6, 0.1, *[np.nan] * 4])
    assert table['final'].iloc[0] == 0.7
    assert table['until'].tolist() == [8] * 6
    longer = volatility.of_runs(loaded, 'test_accuracy', 0.8, last=3).sort_values('seed')
    assert longer['volatility'].iloc[0] == pytest.approx(statistics.stdev([0.1, 0.5, 0.7]))
    arm = volatility.over_seeds(table, loaded.by).set_index('quantity')
    assert arm.loc['epochs_to', ['runs', 'n', 'diverged', 'unfinished', 'censored']].tolist() == [6, 3, 2, 2, 2]
    assert math.isnan(arm.loc['epochs_to', 'mean'])
    assert arm.loc['epochs_to', 'median'] == 2
    assert arm.loc['volatility', 'n'] == 2


def test_a_value_at_the_update_that_diverged_does_not_count(tmp_path: pathlib.Path):
    one(tmp_path, [0.1, 0.9], 0, status='diverged', diverged_step=4)
    assert volatility.of_runs(arms.load(tmp_path), 'test_accuracy', 0.8)['epochs_to'].tolist() == [np.inf]


def test_over_seeds_is_students_interval(told: pathlib.Path):
    """Independent library, on the final accuracies of one arm."""
    loaded = brownlee.load(told)
    table = volatility.of_runs(loaded, 'test_accuracy', 0.8)
    (row,) = volatility.over_seeds(table, loaded.by).query(
        'quantity == "final" and batch_size == 32'
    ).to_dict('records')  # fmt: skip
    values = 0.812 + 0.0011 * (np.arange(6) - 2.5)
    low, high = stats.t.interval(0.95, 5, values.mean(), stats.sem(values))
    assert (row['mean'], row['low'], row['high']) == pytest.approx((0.812, low, high), rel=1e-9)


@pytest.mark.parametrize('last', [0.0, -1.0, 9.0])
def test_a_window_outside_the_run_is_refused(last: float):
    with pytest.raises(ValueError, match=rf'last {last:g} epochs of a run of 8: allowed are more than 0 and at most 8'):
        volatility.window(8.0, last)


# --- roles and claims


def test_roles_are_read_from_the_configs():
    """Other numbers, the same parts; what is not there is None."""
    sizes, rates = [1, 1, 1, 2, 32, 100, 128], [0.5, 0.05, 0.005, 0.5, 0.5, 0.5, 0.5]
    runs = pd.DataFrame({'batch_size': sizes, 'learning_rate': rates, 'epoch_size': 100})
    found = brownlee.roles(runs)
    assert found == (0.5, (100, 0.5), (1, 0.5), (1, 0.05), (32, 0.5), [2, 32, 100, 128])
    assert brownlee.roles(runs[runs['batch_size'] == 2]) == (0.5, None, None, None, None, [2])
    assert list(found.flavours()) == ['batch', 'stochastic', 'stochastic, smaller rate', 'mini-batch']


def test_a_further_run_lies_in_its_interval():
    """Monte Carlo: 95 % of fifth draws lie in the interval of the first four, within 3.5 standard errors."""
    draws = np.random.default_rng(2).normal(0.8, 0.01, (2000, 5))
    ends = np.array([claims.one_run(row[:4]) for row in draws])
    covered = (ends[:, 0] < draws[:, 4]) & (draws[:, 4] < ends[:, 1])
    assert abs(covered.mean() - 0.95) < 3.5 * math.sqrt(0.95 * 0.05 / 2000)
    assert np.isnan(claims.one_run(draws[0, :1])).all()


def test_every_claim_holds_where_it_is_true(told: pathlib.Path):
    found = verdicts(told)
    assert found.pop('default') == 'not measured'
    assert set(found.values()) == {'holds'}, found


def test_claims_do_not_hold_where_they_are_false(tmp_path: pathlib.Path):
    """Batch descent swings and drifts late, B = 1 is calm and good, the larger the batch the wilder and the faster."""
    wrong = {
        (64, 0.01): (0.75, 0.75, 0.1, 1),
        (1, 0.01): (0.82, 0.82, 0.001, 3),
        (1, 0.001): (0.70, 0.70, 0.001, 110),
        (32, 0.01): (0.90, 0.90, 0.05, 30),
        (4, 0.01): (0.82, 0.82, 0.02, 60),
    }
    found = verdicts(plant(tmp_path, wrong, seeds=6))
    settled, default = found.pop('batch converged'), found.pop('default')
    assert (settled, default) == ('holds', 'not measured')
    assert found.pop('panel speed') == 'does not hold'
    assert set(found.values()) == {'does not hold'}, found


def test_convergence_is_refuted_by_a_late_rise(tmp_path: pathlib.Path):
    planted = {(64, 0.01): (0.816, 0.83, 0.0, 118)}
    assert verdicts(plant(tmp_path, planted))['batch converged'] == 'does not hold'


def test_divergence_is_failure(tmp_path: pathlib.Path):
    """B = 1 diverges with every seed: chance accuracy, volatile beyond measure, and said so."""
    plant(tmp_path, {arm: p for arm, p in PLANTED.items() if arm != (1, 0.01)})
    for seed in range(3):
        values = {f'{split}_accuracy': [0.4, 0.5] for split in ('train', 'test')}
        gone: dict[str, Any] = {'status': 'diverged', 'diverged_step': 100}
        write_run(tmp_path, batch_size=1, learning_rate=0.01, seed=seed, values=values, **STUDY, **gone)
    found = {c.key: c for c in claims.claims(tmp_path)}
    fails = found['stochastic fails']
    assert (fails.verdict, found['stochastic volatility'].verdict) == ('holds', 'holds')
    assert fails.measured.startswith('49.67 points')
    assert fails.remark == '3 of 3 runs of B = 1, lr 0.01 diverged'
    assert found['mini-batch steadier'].verdict == 'holds'
    # A diverged run of the steadier side is no survivor to be left out.
    write_run(tmp_path, batch_size=32, learning_rate=0.01, seed=0, values=values, **STUDY, **gone)
    found = {c.key: c for c in claims.claims(tmp_path)}
    assert found['mini-batch steadier'].verdict == 'undecided'


def test_what_was_not_trained_is_not_measured(tmp_path: pathlib.Path):
    plant(tmp_path, {(4, 0.01): PLANTED[4, 0.01]})
    found = claims.claims(tmp_path)
    assert {c.verdict for c in found} == {'not measured'}
    assert {c.remark for c in found if c.key in ('batch', 'mini-batch')} == {'an arm of the comparison was not trained'}


def test_one_seed_decides_nothing(tmp_path: pathlib.Path):
    found = verdicts(plant(tmp_path, PLANTED, seeds=1))
    assert found.pop('default') == 'not measured'
    assert set(found.values()) == {'undecided'}


def test_other_things_that_vary_are_refused(tmp_path: pathlib.Path):
    plant(tmp_path, {(4, 0.01): PLANTED[4, 0.01]}, seeds=1)
    plant(tmp_path, {(8, 0.01): PLANTED[4, 0.01], (4, 0.02): PLANTED[4, 0.01]}, seeds=1, weight_decay=0.1)
    with pytest.raises(ValueError, match='differ in weight_decay too'):
        claims.claims(tmp_path)


# --- config and study


def test_the_grid_is_the_sources_protocol():
    """Updates by hand: Keras keeps the last short batch, so 450 makes two updates of an epoch."""
    plans = sweep.expand(config.get_config().to_dict(), {'seed': 0})
    study.check(plans)
    found = brownlee.roles(pd.DataFrame([p.resolved() for p in plans]))
    assert found == (0.01, (500, 0.01), (1, 0.01), (1, 0.001), (32, 0.01), [4, 8, 16, 32, 64, 128, 256, 450, 500])
    updates = {p.batch_size: p.length.total_steps for p in plans}
    assert updates == {b: 200 * math.ceil(500 / b) for b in updates}
    assert all(
        p.optimizer['name'] == 'momentum' and p.policy.momentum == 0.9 and p.policy.weight_decay == 0 for p in plans
    )
    assert plans[0].data | {
        'num_examples': 1000,
        'centers': 3,
        'features': 2,
        'cluster_std': 2.0,
        'random_state': 2,
    } == (plans[0].data)


def test_runs_without_curves_are_refused():
    plans = sweep.expand(config.get_config().to_dict(), {'evaluate.train': False, 'seed': 0})
    with pytest.raises(ValueError, match=r'needs config\.evaluate\.every_epochs above 0 .* has 1 and False'):
        study.check(plans)


def test_the_study_prints_its_claims(told: pathlib.Path):
    said: list[str] = []
    study.conclude(told, [], said.append)
    assert said[0].count('  holds ') == 12


# --- figures


def test_figures_and_their_numbers(told: pathlib.Path, tmp_path: pathlib.Path):
    files = fig_brownlee.draw(told, tmp_path)
    assert [f.name for f in files] == [
        f'fig_brownlee_{f}.{s}' for f in ('flavours', 'panel', 'volatility') for s in ('pdf', 'png', 'csv')
    ]
    flavours = pd.read_csv(tmp_path / 'fig_brownlee_flavours.csv')
    assert list(flavours['panel'].unique()) == ['batch', 'stochastic', 'stochastic, smaller rate', 'mini-batch']
    panel = pd.read_csv(tmp_path / 'fig_brownlee_panel.csv').query('metric == "test_accuracy" and epoch == 50')
    by_hand = course(0.812, 0.004, 20)(50)
    of_32 = panel[panel['batch_size'] == 32]
    assert of_32['mean'].dropna().tolist() == pytest.approx([by_hand])
    assert of_32['value'].dropna().tolist() == pytest.approx(
        [by_hand - 0.0025 - 0.004 * 0.05 * swing(50)]
    )  # the smallest seed
    assert sorted(panel['batch_size'].unique()) == [4, 32]
    scores = pd.read_csv(tmp_path / 'fig_brownlee_volatility.csv')
    means = scores[(scores['quantity'] == 'volatility') & scores['mean'].notna()].set_index(
        ['batch_size', 'learning_rate']
    )
    assert means['mean'][1, 0.01] == pytest.approx(statistics.stdev([0.1 * swing(e) for e in range(91, 121)]))


def test_a_figure_needs_evaluations(tmp_path: pathlib.Path):
    write_run(tmp_path, values={'test_accuracy': [0.1, 0.2]}, study='brownlee', num_outputs=3)
    with pytest.raises(ValueError, match='were recorded without evaluation: none has train_accuracy'):
        fig_brownlee.draw(tmp_path, tmp_path / 'figures')
