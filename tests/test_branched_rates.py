"""B* with the rate by the rule, held and tuned: branches on a quadratic in closed form, choices on made-up losses."""

import pathlib
from collections.abc import Mapping
from typing import Any

import drawn
import numpy as np
import pandas as pd
import pytest
import test_config
import toy
from fake_records import entry, member
from test_critical_batch_size import QUADRATIC, opened, write_branches, write_parent

from bsresearch.analysis import figures, of_branches
from bsresearch.analysis import study as studies
from bsresearch.analysis.quantities.branched import critical, losses, rates, words
from bsresearch.planning import sweep
from bsresearch.planning.plan import Plan
from bsresearch.studies import critical_batch_size as study
from bsresearch.theory.noisy_quadratic import spectrum

ALL = {'branch__rates': ('rule', 'held', 'tuned'), 'branch__factors': (0.5, 1.0, 2.0, 4.0)}


def plan(**changes: Any) -> Plan:
    (run,) = toy.plans(**(QUADRATIC | changes))
    return run


# --- which branches there are


def test_other_rates_leave_the_branches_of_the_rule_as_they_are():
    """Same parent, ids and names; the others are named by k and factor, and a factor that is the rule's is no other."""
    plain, full = plan(), plan(**ALL)
    assert plain.id == full.id
    of_rule = {branch.name: branch.plan.id for branch in study.named_branches([plain]) if branch.point == 0}
    every = {branch.name: branch.plan for branch in study.named_branches([full]) if branch.point == 0}
    assert {name: every[name].id for name in of_rule} == of_rule
    assert list(every) == [
        'control', 'multiple=1,rate=0.5', 'multiple=1,rate=2', 'multiple=1,rate=4',
        'multiple=2', 'multiple=2,rate=0.5', 'multiple=2,rate=1', 'multiple=2,rate=4',
        'multiple=4', 'multiple=4,rate=0.5', 'multiple=4,rate=1', 'multiple=4,rate=2',
        'multiple=8', 'multiple=8,rate=0.5', 'multiple=8,rate=1', 'multiple=8,rate=2', 'multiple=8,rate=4',
    ]  # fmt: skip
    assert every['multiple=4,rate=2'].policy.learning_rate == pytest.approx(0.6)
    assert every['multiple=4,rate=2'].batch_size == 8
    assert len({branch.id for branch in every.values()}) == len(every)


def test_the_config_of_the_study_keeps_the_branches_of_the_rule():
    """Golden: the ids that they had when no other rates were tried, so that older workdirs go on.

    When to change me: as `test_config.test_golden_id`.
    """
    config = test_config.loaded(test_config.ROOT / 'configs' / 'critical_batch_size.py')
    small = {'data.name': 'digits', 'data.mean': (0.0,), 'data.std': (1.0,)}
    plans = sweep.expand(config, small | {'branch.rates': ('rule',)})
    golden = test_config.GOLDEN_IDS['branches of critical_batch_size by the rule']
    assert test_config.digest_of([branch.id for branch in study.branches(plans)]) == golden


@pytest.mark.parametrize(
    ('asked', 'optimizer', 'names'),
    [
        (('held',), 'sgd', ['control', 'multiple=4,rate=1']),
        (('rule', 'held'), 'sgd', ['control', 'multiple=4', 'multiple=4,rate=1']),
        (('rule', 'held'), 'adam', ['control', 'multiple=4', 'multiple=4,rate=1']),
        (
            ('tuned',),
            'adam',
            ['control', 'multiple=1,rate=0.5', 'multiple=1,rate=4', 'multiple=1,rate=16', 'multiple=4',
             'multiple=4,rate=0.5', 'multiple=4,rate=1', 'multiple=4,rate=4', 'multiple=4,rate=16'],
        ),  # √4 = 2 is none of the factors
    ],
)  # fmt: skip
def test_each_rate_makes_its_branches(asked: tuple[str, ...], optimizer: str, names: list[str]):
    run = plan(branch__rates=asked, branch__factors=(0.5, 4.0, 16.0), branch__multiples=(4,), optimizer__name=optimizer)
    assert [branch.name for branch in study.named_branches([run]) if branch.point == 0] == names


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'branch__rates': ()}, r'rates=\(\): one or more of rule, held, tuned'),
        ({'branch__rates': ('linear',)}, r"rates=\('linear',\): one or more of rule, held, tuned"),
        ({'branch__rates': ('held', 'held')}, 'each once'),
        ({'branch__factors': (1.0, 2.0)}, 'at least 3 rising numbers above 0'),
        ({'branch__factors': (0.0, 1.0, 2.0)}, 'at least 3 rising numbers above 0'),
        ({'branch__factors': (1.0, 4.0, 2.0)}, 'at least 3 rising numbers above 0'),
    ],
)
def test_rates_that_cannot_be_are_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        study.check([plan(**(ALL | changes))])


def test_on_a_quadratic_each_rate_is_what_the_closed_form_says(tmp_path: pathlib.Path):
    """Closed form without noise: θ falls by 1 − cεh an update, c the factor; the best factor is that of the least loss.

    A workdir of the rule alone is launched again with all rates: its branches stay, the others come.
    """
    few = {'branch__at_steps': (8,), 'branch__multiples': (2, 8)}
    run, tuned = plan(**few), plan(**few, **ALL)
    for asked in (run, tuned):
        for stage in study.stages([asked]):
            toy.train(tmp_path, stage)
    h = spectrum(4, 1.0)

    def loss(k: int, factor: float) -> float:
        after = [(1 - 0.3 * factor * h) ** (2 * n // k) for n in (32, 64)]
        return losses.smooth([0.5 * (h * (1 - 0.3 * h) ** 16 * a).sum() for a in after])

    sizes = {rate: critical.find(opened(tmp_path), rate=rate) for rate in rates.RATES}
    best = {k: min(study.rates(tuned, k), key=lambda factor, k=k: loss(k, factor)) for k in (1, 2, 8)}
    wanted = {'rule': {k: float(k) for k in best}, 'held': dict.fromkeys(best, 1.0), 'tuned': best}
    assert best == {1: 4.0, 2: 4.0, 8: 4.0}  # 8 diverges, and 4 is the largest of the others
    for rate, factors in wanted.items():
        rows = sizes[rate].losses
        assert dict(zip(rows['k'], rows['factor'], strict=True)) == factors, rate
        np.testing.assert_allclose(rows['loss'], [loss(k, c) for k, c in factors.items()], rtol=1e-4, atol=1e-9)
    # The largest tried of k = 1 and 2; of 8 the rule's own 8 is larger.
    assert sizes['tuned'].losses['edge'].tolist() == [True, True, False]
    told = words.text(list(sizes.values()))
    for sentence in (
        'B* with the rate held:', 'one seed: each rate was chosen by the loss that it is judged by',
        'of 2 of 3 the best rate is the smallest or largest tried', 'at 1 of 1 points of a run scatter was not',
    ):  # fmt: skip
        assert sentence in told, told


# --- the choice


def table(of_cells: Mapping[tuple[str, int, float], float]) -> pd.DataFrame:
    """(run, k, factor) → loss, as losses.load has them."""
    rows = [
        {'run': run, 'batch_size': 16, 'step': 64, 'k': k, 'factor': factor, 'loss': loss, 'by_rule': factor == k}
        | {'branch': f'{run}-{k}-{factor}'}
        for (run, k, factor), loss in of_cells.items()
    ]
    return pd.DataFrame(rows)


def test_each_replicate_has_the_loss_of_the_factor_that_the_others_chose():
    """By hand: a and b prefer 2, c prefers 1; c has the loss of 2, a and b that of their mean with c."""
    by_factor = {'a': (0.9, 0.5, 0.7), 'b': (0.9, 0.6, 0.75), 'c': (0.4, 0.8, 0.9)}
    of_cells = {(run, k, factor): loss + 0.1 * (k - 1) for run, row in by_factor.items() for k in (1, 2)
                for factor, loss in zip((1.0, 2.0, 4.0), row, strict=True)}  # fmt: skip
    chosen = rates.of_rate(table(of_cells), 'tuned', ['batch_size'])
    # Means of the others: of a (0.65, 0.7, …), of b (0.65, 0.65, …: the first of equal ones), of c (0.9, 0.55, …).
    assert chosen.query('k == 1').set_index('run')['factor'].to_dict() == {'a': 1.0, 'b': 1.0, 'c': 2.0}
    assert chosen.query('k == 1').set_index('run')['loss'].to_dict() == {'a': 0.9, 'b': 0.9, 'c': 0.8}
    assert chosen.query('k == 2').set_index('run')['edge'].to_dict() == {'a': True, 'b': True, 'c': False}
    assert not chosen['alone'].any()


def test_a_factor_at_which_another_replicate_diverged_is_not_chosen():
    of_cells = {(run, k, factor): loss for run in 'ab' for k in (1, 2)
                for factor, loss in zip((0.5, 1.0, 2.0, 4.0), (0.9, 0.6, 0.5, 0.7), strict=True)}  # fmt: skip
    of_cells['b', 2, 2.0] = np.inf
    chosen = rates.of_rate(table(of_cells), 'tuned', ['batch_size'])
    assert chosen.query('k == 2').set_index('run')['factor'].to_dict() == {'a': 1.0, 'b': 2.0}
    assert chosen.query('k == 2').set_index('run')['loss'].to_dict() == {'a': 0.6, 'b': np.inf}


def test_while_a_branch_is_unfinished_its_k_has_no_tuned_loss():
    of_cells = {(run, k, factor): 1.0 / factor for run in 'ab' for k in (1, 2) for factor in (0.5, 1.0, 2.0)}
    of_cells['a', 2, 0.5] = np.nan
    chosen = rates.of_rate(table(of_cells), 'tuned', ['batch_size'])
    assert chosen.query('k == 2')['loss'].isna().all()
    assert chosen.query('k == 1')['loss'].notna().all()


def test_runs_without_other_rates_take_no_part():
    """As those of an earlier launch in the same workdir, by the rule alone."""
    of_cells = {(run, k, factor): 1.0 / factor for run in 'ab' for k in (1, 2) for factor in (0.5, 1.0, 2.0)}
    of_cells |= {('c', k, float(k)): 0.1 for k in (1, 2)}
    chosen = rates.of_rate(table(of_cells), 'tuned', ['batch_size'])
    assert chosen['run'].tolist() == ['a', 'a', 'b', 'b']
    assert chosen['factor'].tolist() == [2.0] * 4
    assert rates.of_rate(table(of_cells), 'rule', ['batch_size'])['run'].nunique() == 3


def test_what_was_not_tried_is_not_there():
    of_cells = {('a', k, float(k)): 1.0 for k in (1, 2, 4)}
    for rate in ('held', 'tuned'):
        with pytest.raises(LookupError, match=r'config\.branch\.rates names what is tried'):
            rates.of_rate(table(of_cells), rate, ['batch_size'])
    assert rates.of_rate(table(of_cells), 'rule', ['batch_size'])['k'].tolist() == [1, 2, 4]
    with pytest.raises(ValueError, match="rate='best': allowed are rule, held, tuned"):
        rates.of_rate(table(of_cells), 'best', ['batch_size'])


@pytest.mark.parametrize(
    ('of_k', 'edges', 'lower', 'upper'),
    [
        ([1.0, 1.0, 1.0, 2.0], [0, 0, 0, 0], 4, 8),
        ([1.0, 1.0, 1.0, 2.0], [1, 0, 0, 0], 1, 8),  # k = 1 could be lower, and all others fail by it
        ([1.0, 1.0, 1.0, 2.0], [0, 0, 1, 0], 4, 8),  # what passes passes all the more
        ([1.0, 1.0, 1.0, 2.0], [0, 0, 0, 1], 4, np.inf),  # the largest could pass
        ([1.0, 2.0, 2.0, 2.0], [0, 1, 0, 0], 1, 4),
    ],
)
def test_a_best_rate_on_the_edge_leaves_open_what_it_could_change(
    of_k: list[float], edges: list[int], lower: float, upper: float
):
    """By hand: with another rate the loss of that k could be any lower one."""
    found = critical.largest(np.array([1, 2, 4, 8]), np.array(of_k), 0.01, np.array(edges, bool))
    assert (found.lower, found.upper) == (lower, upper)


def test_older_workdirs_have_the_rule_alone(tmp_path: pathlib.Path):
    """Records without a word on rates, as versions before wrote them: all branches are the rule's."""
    write_parent(tmp_path, 0)
    write_branches(tmp_path, 0, 64, {1: 1.0, 2: 1.0, 4: 2.0})
    (sizes,) = critical.of_rates(opened(tmp_path))
    assert (sizes.rate, sizes.points['critical'].tolist()) == ('rule', [32])


# --- records, quantities, figures


@pytest.fixture
def made(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three seeds at one point: B* = 16 to 32 by the rule, 64 and more held, 64 and more tuned."""
    of_factor = {
        1: {0.5: 0.6, 1.0: 0.5, 2.0: 0.6}, 2: {0.5: 0.7, 1.0: 0.505, 2.0: 0.7},
        4: {0.5: 0.7, 1.0: 0.508, 2.0: 0.6, 4.0: 0.9},
    }  # fmt: skip
    for seed in range(3):
        write_parent(tmp_path, seed)
        for k, row in of_factor.items():
            for factor, loss in row.items():
                write_branches(tmp_path, seed, 64, {k: loss}, factor=factor)
    return tmp_path


def test_quantities_of_each_rate(made: pathlib.Path):
    """By hand."""
    rows = [member(f'parent-{seed}', 'all', seed) for seed in range(3)]
    of_study = studies.load(made, losses.STUDY, entry(rows), 'critical_batch_size')
    cell = ('all', '', 0.25)
    ends = {rate: of_branches.critical_batch_size(rate).of(of_study) for rate in rates.RATES}
    assert {rate: (array.low.loc[cell, '0'], array.high.loc[cell, '0']) for rate, array in ends.items()} == {
        'rule': (0, 32), 'held': (64, np.inf), 'tuned': (64, np.inf),
    }  # fmt: skip
    np.testing.assert_allclose(of_branches.curvature_noise_scale_near().of(of_study).low.loc[cell], 40)
    np.testing.assert_allclose(of_branches.noise_scale_near().of(of_study).low.loc[cell], 80)


@pytest.mark.usefixtures('small_pictures')
def test_figures_of_each_rate(made: pathlib.Path):
    """One with all of them, and the losses of each; the CSV names the rate."""
    figure = figures.special('critical_batch_size', name='critical')
    tables = drawn.tables(opened(made), figure, made / 'figures')
    assert list(tables) == ['critical', 'critical_losses', 'critical_losses_held', 'critical_losses_tuned']
    assert tables['critical'].set_index('rate')['critical'].to_dict() == {'rule': 16, 'held': 64, 'tuned': 64}
    assert tables['critical_losses_tuned']['factor'].tolist() == [1.0] * 9
    one = figures.special('critical_batch_size', name='one', rate='held')
    assert list(drawn.tables(opened(made), one, made / 'figures')) == ['one', 'one_losses_held']
