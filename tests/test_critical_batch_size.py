"""B*: the rule on losses with a known answer, bounds, records, the figure; branches on a quadratic in closed form."""

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import drawn
import numpy as np
import pandas as pd
import pytest
import toy
from fake_records import entry, member, write_run
from matplotlib import image

from bsresearch.analysis import figures, of_branches
from bsresearch.analysis import study as studies
from bsresearch.analysis.quantities.branched import critical, words
from bsresearch.analysis.quantities.branched import losses as branch_losses
from bsresearch.analysis.quantities.branched import noise as noise_near
from bsresearch.analysis.quantities.branched.critical import CriticalBatchSizes, largest, median
from bsresearch.analysis.quantity import log
from bsresearch.core import lookup
from bsresearch.optim import scaling
from bsresearch.planning.plan import Plan
from bsresearch.report.figures import critical_batch_size as special
from bsresearch.studies import critical_batch_size as study
from bsresearch.theory.noisy_quadratic import spectrum

pytestmark = pytest.mark.usefixtures('small_pictures')
NAN, INF = np.nan, np.inf
K = np.array([1, 2, 4, 8])


# --- the rule


@pytest.mark.parametrize(
    ('losses', 'k', 'bound', 'upper', 'gap'),
    [
        ([1.0, 0.9, 0.92, 1.2], 2, '', 4, False),
        ([1.0, 1.0, 1.005, 1.009], 8, 'at least', INF, False),
        ([1.0, 1.02, 1.03, 1.04], 1, 'at most', 2, False),
        ([1.0, 1.02, 1.005, 2.0], 4, '', 8, True),  # a failure below k* does not end the search
        ([1.0, 0.5, 0.75, 0.51], 8, 'at least', INF, True),  # each against the lowest before it, not the control
        ([0.5, 0.505, 0.5101, 0.6], 2, '', 4, False),  # small steps do not add up
        ([1.0, INF, 1.0, INF], 4, '', 8, True),
        ([1.0, NAN, NAN, NAN], 1, 'at most', 2, False),
        ([INF, 1.0, 1.005, 1.5], 4, '', 8, True),  # a diverged control is no one's standard
        ([INF, NAN, INF, INF], NAN, '', NAN, False),
    ],
)
def test_k_is_the_largest_within_the_tolerance_of_all_smaller_ones(
    losses: list[float], k: float, bound: str, upper: float, gap: bool
):
    """By hand; a tolerance of 0.01."""
    found = largest(K, np.array(losses), 0.01)
    np.testing.assert_equal((found.k, found.bound, found.upper, bool(found.gap)), (k, bound, upper, gap))


def test_a_tie_with_the_tolerance_passes():
    """In numbers that binary fractions hold exactly."""
    assert largest(K, np.array([1.0, 1.25, 1.5, 1.5]), 0.25).k == 2
    assert largest(K, np.array([1.0, 1.25, 1.25, 1.25]), 0.25).k == 8
    assert largest(K, np.array([1.0, 1.0, 1.0, 1.0]), 0.0).k == 8


def test_k_is_the_one_that_pairs_find():
    """Brute force over all rows of five levels, diverged among them: every smaller k, one by one."""
    levels = (0.0, 0.25, 0.5, 0.75, INF)
    for losses in itertools.product(levels, repeat=4):
        passing = [
            k for i, k in enumerate(K) if np.isfinite(losses[i])
            and all(losses[i] <= losses[j] + 0.25 for j in range(i) if np.isfinite(losses[j]))
        ]  # fmt: skip
        np.testing.assert_equal(largest(K, np.array(losses), 0.25).k, max(passing, default=NAN))


def test_the_newest_loss_has_half_of_the_weight():
    """Closed form: of four ⅛, ⅛, ¼, ½; a loss that is not finite is not averaged away."""
    assert branch_losses.smooth([8.0, 16.0, 4.0, 2.0]) == 1 + 2 + 1 + 1
    assert branch_losses.smooth([3.0]) == 3
    assert branch_losses.smooth([1.0, NAN, 1.0]) == INF


@pytest.mark.parametrize(
    ('values', 'bounds', 'expected', 'bound'),
    [
        ([32, 64, 256], ['', '', 'at least'], 64, ''),
        ([64, 256, 256], ['', 'at least', 'at least'], 256, 'at least'),
        ([32, 32, 64], ['at most', 'at most', ''], 32, 'at most'),
        ([32, 64, 128, 256], ['at most', '', '', 'at least'], np.sqrt(64 * 128), ''),
        ([32, 128], ['at most', 'at least'], 64, 'unknown'),
        ([32, 64, 128], ['', 'at least', ''], 64, 'at least'),  # another set of k was tried there
        ([], [], NAN, ''),
    ],
)
def test_the_median_says_where_a_bound_could_move_it(
    values: list[float], bounds: list[str], expected: float, bound: str
):
    middle = median(np.array(values, float), np.array(bounds, object), np.array(values, float) * 2)
    np.testing.assert_allclose(middle.value, expected)
    assert middle.bound == bound


# --- records


def opened(workdir: pathlib.Path) -> studies.Study:
    return studies.load(workdir, branch_losses.STUDY)


def find(workdir: pathlib.Path, tolerance: float = 0.01, rate: str = 'rule') -> CriticalBatchSizes:
    """At this very tolerance, whatever the losses scatter by."""
    return critical.find(opened(workdir), tolerance, rate=rate, raised=False)


def draw(workdir: pathlib.Path) -> dict[str, pd.DataFrame]:
    drawn_of = figures.special('critical_batch_size', name='critical', raised=False)
    return drawn.tables(opened(workdir), drawn_of, workdir / 'figures')


def write(workdir: pathlib.Path, run: str, rows: Sequence[Mapping[str, Any]], **fields: Any) -> None:
    given = {'study': branch_losses.STUDY, 'epoch_size': 4096, 'parent': None} | fields
    write_run(workdir, name=run, rows=rows, **given)


def write_parent(workdir: pathlib.Path, seed: int, noise: int = 10, **fields: Any) -> None:
    """Measurements of tr Σ/|G|² = 80 and 320 around updates 64 and 256, of those between 1."""
    rows = [{'step': 160, 'examples': 2560, 'noise_gradient_square': 1.0, 'noise_trace': 1.0}] if noise else []
    for step, trace in ((64, 80.0), (256, 320.0)):
        for i in range(noise):
            square, step_ = 1.0 + 0.25 * (-1) ** i, step - noise // 2 + i
            row = {'noise_gradient_square': square, 'noise_trace': trace}
            row |= {noise_near.CURVATURE: 2 * square, noise_near.CURVED_TRACE: trace}  # B_noise is half of B_simple
            rows.append({'step': step_, 'examples': 16 * step_, **row})
    write(workdir, f'parent-{seed}', rows, seed=seed, **fields)


def write_branches(
    workdir: pathlib.Path, seed: int, step: int, losses: Mapping[int, float | str], window: int = 2048,
    factor: float | None = None, **fields: Any,
) -> None:  # fmt: skip
    """Branches with k → the loss at both evaluations, or the status of what has none; factor: of the rate, else k."""
    start = 16 * step
    given = {'run': f'parent-{seed}', 'step': step, 'examples': start, 'epoch': start / 4096}
    for k, loss in losses.items():
        rows = [{'step': step, 'examples': start, 'train_loss': 99.0}]
        status = loss if isinstance(loss, str) else 'done'
        for i in (1, 2) if status == 'done' else ():
            at = {'step': step + i * window // (32 * k), 'examples': start + i * window // 2}
            rows.append({**at, 'train_loss': loss, 'batch_loss': 7.0})
        name = f's{seed}-{step}-{window}-{k}' + ('' if factor is None else f'-{factor:g}')
        rate: dict[str, Any] = {'learning_rate': 0.1 * (factor or k)}
        if factor is not None:
            rate['recording'] = {'branch': {'rates': ('rule' if factor == k else 'tuned',)}}
        write(workdir, name, rows, status=status, seed=seed, batch_size=16 * k, total_examples=start + window,
              parent=given, **rate, **fields)  # fmt: skip


@pytest.fixture
def made(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three seeds, two points; k* = 2, 2, 1 at the first, 4 (largest), 2 and 4 with a gap at the second."""
    for seed in range(3):
        write_parent(tmp_path, seed)
    write_branches(tmp_path, 0, 64, {1: 1.0, 2: 1.004, 4: 1.2})
    write_branches(tmp_path, 1, 64, {1: 1.0, 2: 1.008, 4: 'diverged'})
    write_branches(tmp_path, 2, 64, {1: 1.0, 2: 1.05, 4: 1.2})
    write_branches(tmp_path, 0, 256, {1: 0.5, 2: 0.49, 4: 0.49})
    write_branches(tmp_path, 1, 256, {1: 0.5, 2: 0.5, 4: 0.519})
    write_branches(tmp_path, 2, 256, {1: 0.5, 2: 0.53, 4: 0.5})
    return tmp_path


def test_points_and_seeds_have_the_known_answers(made: pathlib.Path):
    """Hand-made losses: B*, bounds, ranges, both other tolerances, diverged ones counted as failing."""
    sizes = find(made)
    assert sizes.by == ['batch_size']
    points = sizes.points.sort_values(['step', 'replicate'])
    assert points['critical'].tolist() == [32, 32, 16, 64, 32, 64]
    assert points['bound'].tolist() == ['', '', 'at most', 'at least', '', 'at least']
    assert points['upper'].tolist() == [64, 64, 32, INF, 64, INF]
    assert points['gap'].tolist() == [False] * 5 + [True]
    assert points['critical_half'].tolist() == [32, 16, 16, 64, 32, 64]
    assert points['critical_double'].tolist() == [32, 32, 16, 64, 64, 64]
    assert points['diverged'].tolist() == [0, 1, 0, 0, 0, 0]
    first, second = sizes.seeds.to_dict('records')
    assert (first['critical'], first['lowest'], first['highest'], first['bound']) == (32, 16, 32, '')
    assert (first['at_least'], first['at_most'], first['n'], first['runs']) == (0, 1, 3, 3)
    assert (second['critical'], second['lowest'], second['highest'], second['bound']) == (64, 32, 64, 'at least')
    assert (first['critical_half'], first['bound_half']) == (16, 'at most')
    assert find(made, 0.02).points.sort_values(['step', 'replicate'])['critical'].tolist() == [32, 32, 16, 64, 64, 64]
    told = words.text([sizes])
    for sentence in (
        '≥ 64',
        '< 32',
        '1 of 18 branches diverged',
        'at 1 of 6 points of a run a batch smaller than B* fails',
    ):
        assert sentence in told, told


def test_quantities_lie_between_two_of_the_k_tried(made: pathlib.Path):
    """By hand, of the same losses: an end of 0 where smaller batches were not tried, of ∞ at the largest."""
    rows = [member(f'parent-{seed}', 'all', seed) for seed in range(3)]
    for seed, (step, point), k in itertools.product(range(3), ((64, 0.25), (256, 1.0)), (1, 2, 4)):
        rows.append(member(f's{seed}-{step}-2048-{k}', 'all', seed, f'multiple={k}', point))
    of_study = studies.load(made, branch_losses.STUDY, entry(rows), 'critical_batch_size')
    asked = of_branches.critical_batch_size(raised=False)
    array = asked.of(of_study)
    early, late = ('all', '', 0.25), ('all', '', 1.0)
    assert array.low.loc[early].tolist() == [32, 32, 0]
    assert array.high.loc[early].tolist() == [64, 64, 32]
    assert array.low.loc[late].tolist() == [64, 32, 64]
    assert array.high.loc[late].tolist() == [INF, 64, INF]
    simple = of_branches.noise_scale_near().of(of_study)
    np.testing.assert_allclose(simple.low.loc[late], [320] * 3)
    ratio = log(asked / of_branches.noise_scale_near()).of(of_study)
    np.testing.assert_allclose(ratio.high.loc[early], np.log([0.8, 0.8, 0.4]))


def test_b_simple_is_of_the_measurements_near_the_point(made: pathlib.Path):
    """Closed form: trace 80 and 320 over a mean |G|² of 1; the population's form takes S/N off; far ones stay out."""
    sizes = find(made)
    points = sizes.points.sort_values(['step', 'replicate'])
    assert points['noise_scale_measurements'].tolist() == [10] * 6
    np.testing.assert_allclose(points['noise_scale'], [80] * 3 + [320] * 3)
    np.testing.assert_allclose(points['population'], [80 / (1 - 80 / 4096)] * 3 + [320 / (1 - 320 / 4096)] * 3)
    assert (
        points[['noise_scale_low', 'noise_scale_high']].isna().all(axis=None)
    )  # 10 measurements are too few along a run
    assert sizes.seeds['noise_scale_highest'].tolist() == [80, 320]


def test_a_missing_noise_scale_is_said(tmp_path: pathlib.Path):
    write_parent(tmp_path, 0, noise=0)
    write_branches(tmp_path, 0, 64, {1: 1.0, 2: 1.0})
    sizes = find(tmp_path)
    assert sizes.points['noise_scale'].isna().all()
    assert 'B_simple was not measured near 1 of 1 points of a run' in words.text([sizes])
    assert len(draw(tmp_path)) == 2


def test_of_an_unfinished_point_nothing_is_concluded(tmp_path: pathlib.Path):
    """One branch is still training: its point has no B*, the other has; a run without a B* is not in n."""
    write_parent(tmp_path, 0)
    write_branches(tmp_path, 0, 64, {1: 1.0, 2: 1.0, 4: 'running'})
    write_branches(tmp_path, 0, 256, {1: 1.0, 2: 1.0, 4: 2.0})
    sizes = find(tmp_path)
    np.testing.assert_equal(sizes.points['critical'].to_numpy(), [NAN, 32])
    assert sizes.seeds['n'].tolist() == [0, 1]
    assert '1 of 6 branches are not finished' in words.text([sizes])


def test_arms_are_kept_apart(tmp_path: pathlib.Path):
    """Two learning rates: a row and a panel for each."""
    for seed, rate in ((0, 0.1), (1, 0.2)):
        write_parent(tmp_path, seed, learning_rate=rate)
        write_branches(tmp_path, seed, 64, {1: 1.0, 2: 1.0 + rate})
    sizes = find(tmp_path, 0.15)
    assert sizes.by == ['batch_size', 'learning_rate']
    assert sizes.seeds[['learning_rate', 'critical']].to_numpy().tolist() == [[0.1, 32], [0.2, 16]]


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (
            lambda d: write_branches(d, 0, 64, {2: 1.0}, window=4096),
            'two branches with k = 2 at update 64; use a workdir',
        ),
        (lambda d: write_branches(d, 0, 64, {8: 1.0}, window=4096), 'not evaluated at equal examples; use a workdir'),
        (lambda d: write_branches(d, 0, 256, {2: 1.0}), r'no control \(k = 1\) among its branches at update 256'),
    ],
)
def test_what_is_no_comparison_is_refused(more: Any, message: str, tmp_path: pathlib.Path):
    write_parent(tmp_path, 0)
    write_branches(tmp_path, 0, 64, {1: 1.0, 2: 1.0})
    find(tmp_path)
    more(tmp_path)
    with pytest.raises(ValueError, match=message):
        find(tmp_path)


def test_nothing_to_read_is_refused(tmp_path: pathlib.Path):
    with pytest.raises(FileNotFoundError, match='no runs in'):
        find(tmp_path)
    write_parent(tmp_path, 0)
    with pytest.raises(ValueError, match='have no branches yet'):
        find(tmp_path)
    with pytest.raises(ValueError, match=r'tolerance=-1\.0: a number of nats of at least 0'):
        find(tmp_path, -1.0)


def test_the_figures_are_drawn_with_their_numbers(made: pathlib.Path):
    """The CSV files are the tables; the pictures are no empty pages; the band and all branches are in the losses."""
    tables = draw(made)
    sizes, losses = tables['critical'], tables['critical_losses']
    pd.testing.assert_series_equal(sizes['critical'], find(made).seeds['critical'], check_dtype=False)
    assert len(losses) == 18
    assert losses.query('step == 64 and replicate == 1 and k == 2')['excess'].iloc[0] == pytest.approx(0.008)
    assert losses['within'].sum() == 18 - 6  # k = 4; 4; 2 and 4; none; 4; 2 fail
    for name in tables:
        assert image.imread(made / 'figures' / f'{name}.png')[..., :3].std() > 0.01
    assert special.text(opened(made)) == words.text(critical.of_rates(opened(made)))


# --- the study


QUADRATIC: dict[str, Any] = {
    'study': branch_losses.STUDY, 'data__name': 'noisy_quadratic', 'data__dimension': 4, 'data__num_examples': 512,
    'data__noise': 0.0, 'model': {'name': 'quadratic'}, 'loss__name': 'sum_of_outputs', 'batch_size': 2,
    'learning_rate': 0.3, 'total_steps': 20, 'branch__at_steps': (0, 8), 'branch__multiples': (2, 4, 8),
    'branch__evaluations': 2, 'branch__more_epochs': 0.0, 'branch__more_examples': 128,
}  # fmt: skip


GROWING = {
    'batch_schedule__name': 'growth', 'batch_schedule__at_examples': (8,), 'total_steps': None, 'total_examples': 40,
}  # fmt: skip


def plan(**changes: Any) -> Plan:
    (run,) = toy.plans(**(QUADRATIC | changes))
    return run


def test_on_a_quadratic_b_is_what_the_closed_form_says(tmp_path: pathlib.Path):
    """Closed form without noise: θ_k falls by 1 − kεh an update. k = 4 (kε = 1.2) wins, 8 (2.4 > 2/h) grows.

    Also at update 0, where the branch has no parent's batches before its own; the control is its parent.
    """
    run = plan(measure__noise_scale__at_steps=(0, 8), measure__noise_scale__batch_size=64)
    study.check([run])
    for stage in study.stages([run]):
        toy.train(tmp_path, stage)
    sizes = find(tmp_path)
    h = spectrum(4, 1.0)
    for row in sizes.losses.to_dict('records'):
        k = int(row['k'])
        evaluated = [
            0.5 * (h * (1 - 0.3 * h) ** (2 * row['step']) * (1 - 0.3 * k * h) ** (2 * n // k)).sum() for n in (32, 64)
        ]
        assert row['loss'] == pytest.approx(branch_losses.smooth(evaluated), rel=1e-4, abs=1e-9), (row['step'], k)
        assert row['rate'] == pytest.approx(0.3 * k)
    assert sizes.points['critical'].tolist() == [8, 8]
    assert sizes.points['gap'].tolist() == [False, False]
    said: list[str] = []
    study.conclude(tmp_path, [run], said.append)
    assert 'B_simple' in said[0]
    widest = toy.rows(tmp_path, study.branches([run])[-1])
    used = {r['step']: r['batch_size_used'] for r in widest if 'batch_size_used' in r}
    assert (min(used), set(used.values())) == (8, {16})
    # What is measured is the parent's.
    assert not any('noise_trace' in r for r in widest)
    assert sizes.points['noise_scale_measurements'].tolist() == [1, 1]


def test_branches_change_batch_and_learning_rate_alone():
    """Both rules, the examples and the places of the evaluations; slots are kept, the batch-norm group too."""
    for optimizer, factor in (('momentum', 4.0), ('adam', 2.0)):
        run = plan(optimizer__name=optimizer, branch__multiples=(4,))
        assert [(p.batch_size, p.policy.learning_rate) for p in study.branches([run])] == [
            (2, 0.3),
            (8, 0.3 * factor),
        ] * 2
        for branch in study.branches([run]):
            assert branch.parent
            start = branch.parent['examples']
            assert branch.total_examples == start + 128
            assert branch.recording['evaluate']['at_examples'] == (start + 64, start + 128)
            assert (branch.policy.momentum, branch.parent['state']['optimizer']) == (run.policy.momentum, 'keep')
    (run,) = toy.plans(**{
        'study': branch_losses.STUDY, 'model': {'name': 'mlp', 'widths': (8,), 'batch_norm': True}, 'total_steps': 40,
        'branch__at_steps': (20,), 'branch__multiples': (1, 2), 'branch__more_epochs': 0.0, 'branch__evaluations': 1,
        'branch__more_examples': 160, 'branch__learning_rate_rule': 'none',
    })  # fmt: skip
    assert [(p.ghost_batch_size, p.batch_size, p.policy.learning_rate) for p in study.branches([run])] == [
        (8, 8, 0.05), (8, 16, 0.05),
    ]  # fmt: skip


def test_every_optimizer_has_a_rule():
    """A contract over the folder; one that divides by its second moments steps by the gradient over its scale."""
    members = lookup.members('bsresearch.optim', 'build')
    rules = {name: lookup.module('bsresearch.optim', 'build', name, 'optimizer').LEARNING_RATE_RULE for name in members}
    assert set(rules.values()) == {'linear', 'sqrt'}
    assert {rules[name] for name in lookup.members('bsresearch.optim', 'precondition')} == {'sqrt'}
    assert set(scaling.POWERS) == {'none', 'linear', 'sqrt'}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'branch__at_steps': ()}, 'the points to branch at'),
        ({'branch__at_steps': (21,)}, 'past the end of the run'),
        ({'branch__multiples': ()}, r'multiples=\(\): rising whole numbers of at least 1'),
        ({'branch__multiples': (1,)}, 'with one above 1'),
        ({'branch__multiples': (0, 2)}, r'multiples=\(0, 2\)'),
        ({'branch__multiples': (4, 2)}, r'multiples=\(4, 2\)'),
        ({'branch__multiples': (2, 2)}, r'multiples=\(2, 2\)'),
        ({'branch__multiples': (1, 2.0)}, r'multiples=\(1, 2\.0\)'),
        ({'branch__learning_rate_rule': 'cubic'}, "learning_rate_rule='cubic': allowed are none, linear, sqrt"),
        (
            {'branch__multiples': (2, 512)},
            '512 × 2 = 1024, exceeds the epoch of 512 examples; use --config.branch.multiples=1,2',
        ),
        ({'branch__multiples': (2, 64)}, '64 × 2 = 128, fits 1 times into the window of 128 examples, at least 4'),
        ({'branch__more_examples': 150}, 'more_epochs=0, more_examples=160'),
        ({'branch__multiples': (2, 3)}, 'use powers of 2 as k'),
        ({'branch__evaluations': 0}, 'evaluations=0: at least 1'),
        ({'branch__more_epochs': 1.0}, 'more_epochs=1.0, more_examples=128: a branch needs exactly one length'),
        ({'branch__more_examples': None}, 'more_epochs=0.0, more_examples=None: a branch needs exactly one'),
        ({'branch__more_examples': -4}, 'must be positive'),
        ({'evaluate__train': False}, 'compares losses of the training set'),
        ({'epoch_boundary': 'partial'}, "epoch_boundary='partial' gives short or lost batches"),
        ({'scaling__name': 'linear', 'scaling__reference_batch_size': 2}, 'would change the branches a second time'),
        (GROWING, 'multiply one batch size'),
    ],
)
def test_what_cannot_be_compared_is_refused_before_training(changes: dict[str, Any], message: str):
    """The value, what is allowed, the cure."""
    with pytest.raises(ValueError, match=message):
        study.check([plan(**changes)])
