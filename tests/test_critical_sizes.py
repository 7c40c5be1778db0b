"""Critical batch sizes side by side: the laws in closed form, which pairs disagree and why, all from records."""

import json
import math
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run
from scipy import special
from test_critical_batch_size import write_branches, write_parent

from bsresearch.advice import command
from bsresearch.advice.critical import disagreement, sizes
from bsresearch.advice.critical.branches import Branches
from bsresearch.advice.critical.disagreement import Facts
from bsresearch.advice.critical.sizes import Size
from bsresearch.advice.fits.hyperbola import Hyperbola
from bsresearch.analysis.quantities.branched.critical import CriticalBatchSizes

NAN, INF = math.nan, math.inf


def law(critical: float, low: float, high: float, refusal: str = '') -> Hyperbola:
    return Hyperbola(critical, low, high, 2.0, 1.0, np.zeros(4), 1024.0, refusal)


def size(name: str, low: float, high: float) -> Size:
    return Size(name, (low + high) / 2, low, high, '')


@pytest.mark.parametrize(('critical', 'smallest'), [(500.0, 4.0), (500.0, 256.0), (30.0, 16.0)])
def test_20_percent_overhead_is_what_the_law_says(critical: float, smallest: float):
    """Brute force on E(B) = 1 + B/B_crit: where it is 1.2 times that of the smallest; and the closed form."""
    _, overhead = sizes.of_law(law(critical, critical / 2, 2 * critical), smallest)
    batch = np.geomspace(smallest, 1e5, 400_000)
    too_many = 1 + batch / critical > 1.2 * (1 + smallest / critical)
    assert overhead.value == pytest.approx(batch[too_many.argmax()], rel=1e-4)
    assert overhead.value == pytest.approx(critical / 5 + 1.2 * smallest)
    assert (overhead.low, overhead.high) == pytest.approx(
        (critical / 10 + 1.2 * smallest, critical / 2.5 + 1.2 * smallest)
    )


def test_ends_that_cannot_be_told_stay_so():
    assert [s.told for s in sizes.of_law(law(500.0, 100.0, INF), 10.0)] == ['≥ 100', '≥ 32']
    assert [s.told for s in sizes.of_law(law(500.0, 0.0, 1000.0), 10.0)] == ['< 1,000', '112 (12 to 212)']
    assert [s.told for s in sizes.of_law(law(NAN, NAN, NAN, 'too few'), 10.0)] == ['none: too few'] * 2
    assert size('B_simple', 0.0, INF).told == 'anything: neither end can be told'
    assert Size('B_simple', 40.0, NAN, NAN, '').told == '40'


def test_only_what_lies_beyond_the_ends_disagrees():
    """By hand: ends that touch agree, and so does what has none."""
    found = [size('hyperbola', 100, 200), size('branched, rule', 200, 400), size('branched, held', 0, 64),
             size('B_simple', NAN, NAN), size('branched, tuned', 256, INF)]  # fmt: skip
    pairs = disagreement.of(found, Facts())
    assert {(one.below, one.above) for one in pairs} == {
        ('branched, held', 'hyperbola'), ('hyperbola', 'branched, tuned'), ('branched, held', 'branched, rule'),
        ('branched, held', 'branched, tuned'),
    }  # fmt: skip
    assert disagreement.of([size('hyperbola', 100, 200), size('B_simple', 150, 300)], Facts()) == []
    lines = disagreement.lines(pairs)
    assert 'disagree: hyperbola lies below branched, tuned (1)' in lines
    assert 'disagree: branched, held lies below hyperbola (1, 2); branched, rule (3); branched, tuned (3)' in lines
    assert len(lines) == 2 + 3


@pytest.mark.parametrize(
    ('names', 'facts', 'reason', 'others'),
    [
        (('hyperbola', '20 % overhead'), {}, 'about a fifth of the first', 1),
        (('branched, held', 'branched, tuned'), {}, 'its rate, not the noise of the gradient', 1),
        (('hyperbola', 'branched, rule'), {}, 'tuned at each batch size in the runs, not tuned in branches', 2),
        (('hyperbola', 'branched, tuned'), {}, 'a window from one point', 1),
        (('hyperbola', 'branched, tuned'), {'tuned': False}, 'not tuned at each batch size in the runs, tuned in', 2),
        (('20 % overhead', 'branched, tuned'), {}, 'a fifth of what B_crit allows', 2),
        (('hyperbola', 'branched, tuned'), {'differing': ('data.fraction (1; 0.2)',)}, 'not one task: data.fract', 2),
        (('hyperbola', 'B_simple'), {}, 'the Hessian as a multiple of the identity', 2),
        (('B_noise', 'branched, tuned'), {}, 'the Hessian is indefinite', 2),
        (('B_noise', 'B_simple'), {}, 'the Hessian as a multiple of the identity', 2),
        (('hyperbola', 'B_simple'), {'optimizer': 'adam'}, 'adam divides its steps', 3),
        (('hyperbola', 'B_simple'), {'optimizer': 'momentum', 'momentum': True}, 'momentum averages gradients', 3),
    ],
)
def test_the_known_reasons_are_those_of_the_pair(
    names: tuple[str, str], facts: dict[str, Any], reason: str, others: int
):
    first, second = (size(name, 1, 2) for name in names)
    told = disagreement.reasons(first, second, Facts(**facts))
    assert any(reason in sentence for sentence in told)
    assert len(told) == others
    assert set(disagreement.reasons(second, first, Facts(**facts))) == set(told)


def at_a_point(runs: int, low: float = NAN, high: float = NAN) -> Branches:
    """Of seeds with tr Σ = 90, 100, 110, … and |G|² = 1, and B* from 32 to 64."""
    above = 90.0 + 10 * np.arange(runs)
    ends = {'noise_scale_low': low, 'noise_scale_high': high, 'noise_scale_above': above, 'noise_scale_below': 1.0}
    points = pd.DataFrame({'step': 8, 'noise_scale': above, 'curvature_noise_scale': NAN, **ends})
    of_seeds = {'step': 8, 'n': runs, 'tolerance': 0.012, 'critical': 32.0, 'least': 32.0, 'most': 64.0}
    losses = pd.DataFrame({'window': [2048]})
    return Branches(
        [CriticalBatchSizes(losses, points, pd.DataFrame([of_seeds]), [], 0.01, 'held')], 8, 1.0, 'train_loss', 0.5, ()
    )


def test_noise_scales_have_the_interval_over_five_seeds_or_more_and_else_ranges():
    """Closed form: with |G|² alike Fieller's interval is Student's of the numerators."""
    held, simple = sizes.of_branches(at_a_point(5))
    half = special.stdtrit(4, 0.975) * np.std([90, 100, 110, 120, 130], ddof=1) / np.sqrt(5)
    assert (simple.value, simple.low, simple.high) == pytest.approx((110, 110 - half, 110 + half))
    assert '95 % interval of 5 seeds' in simple.definition
    assert (held.low, held.high, held.told) == (32, 64, '32 (32 to 64)')
    assert 'within 0.012 nats' in held.definition
    assert 'range of 5 of 5 seeds, which holds the median with 94 %' in held.definition
    *_, simple = sizes.of_branches(at_a_point(3, 60.0, 200.0))
    assert (simple.value, simple.low, simple.high) == (100, 60, 200)
    assert '95 % intervals together of 3 seeds' in simple.definition
    *_, simple = sizes.of_branches(at_a_point(3))
    assert (simple.low, simple.high) == (90, 110)
    assert 'range of 3 seeds' in simple.definition


# --- from records


def sweep(workdir: pathlib.Path, critical: float = 64.0, measured: bool = False) -> None:
    """Runs that come to a loss of 0.5 after 2(1 + B/B_crit) epochs, give or take 2 %; of three rates 0.1 is best."""
    rng = np.random.default_rng(0)
    for batch in (8, 32, 128, 512):
        for seed in range(3):
            epochs = 2 * (1 + batch / critical) * np.exp(0.02 * rng.standard_normal())
            for rate, slower in ((0.05, 1.3), (0.1, 1.0), (0.2, 1.3)):
                rows = [{'step': int(e * 4096 // batch), 'examples': int(e * 4096), 'epoch': e, 'seconds': e,
                         'wall_seconds': 1.0, 'train_loss': 0.5 * epochs * slower / e}
                        | ({'noise_gradient_square': 1.0, 'noise_trace': 100 * e / epochs / slower} if measured else {})
                        for e in np.linspace(0.125, 40, 320).tolist()]  # fmt: skip
                write_run(workdir, batch_size=batch, learning_rate=rate, seed=seed, rows=rows, epoch_size=4096,
                          total_examples=40 * 4096)  # fmt: skip


def branched(workdir: pathlib.Path, **fields: Any) -> None:
    """B* = 32 and 64 at update 256, where the loss is 0.5, and 16 to 32 at update 64, where it is 0.8."""
    for seed in range(3):
        write_parent(workdir, seed, noise=20, **fields)
        rows = [
            {'step': step, 'examples': 16 * step, 'train_loss': loss}
            for step, loss in ((0, 2.0), (64, 0.8), (256, 0.5))
        ]
        parent = workdir / 'critical_batch_size' / f'parent-{seed}' / 'metrics.jsonl'
        with parent.open('a') as file:
            file.writelines(json.dumps({'epoch': row['examples'] / 4096} | row) + '\n' for row in rows)
        write_branches(workdir, seed, 64, {1: 1.0, 2: 1.2, 4: 1.3}, **fields)
        write_branches(workdir, seed, 256, {1: 0.5, 2: 0.5, 4: 0.5 if seed else 0.9}, **fields)


def advised(workdir: pathlib.Path, **flags: Any) -> tuple[str, dict[str, Any]]:
    asked: dict[str, Any] = {'workdir': str(workdir), 'study': 'train', 'target': 'train_loss:0.5', 'goal': 'examples'}
    file = workdir.parent / 'advice.json'
    page = command.run(command.Request(**(asked | flags), json=str(file)))
    return page, json.loads(file.read_text())


def test_one_command_tells_all_of_them_at_the_same_loss(tmp_path: pathlib.Path):
    """By hand: B_crit 64, B* at the point where the parents' loss is the target, tr Σ/|G|² = 320 there."""
    sweep(tmp_path / 'a')
    branched(tmp_path / 'a')
    page, told = advised(tmp_path / 'a')
    assert 'to train_loss:0.5; branches at epoch 1 of their parents, where train_loss is 0.5:' in page
    found = {one['name']: one for one in told['critical_batch_sizes']}
    assert list(found) == ['hyperbola', '20 % overhead', 'branched, rule', 'B_simple', 'B_noise']
    assert found['hyperbola']['low'] < 64 < found['hyperbola']['high']
    assert found['20 % overhead']['value'] == pytest.approx(found['hyperbola']['value'] / 5 + 1.2 * 8)
    assert (found['branched, rule']['low'], found['branched, rule']['value']) == (32, 64)
    assert found['branched, rule']['high'] is None  # of two seeds the largest passes
    assert 'within 0.' in found['branched, rule']['definition']
    assert (found['B_simple']['value'], found['B_noise']['value']) == pytest.approx((320, 160))
    assert ('hyperbola', 'B_simple') in [(one['below'], one['above']) for one in told['disagreements']]
    for one in found.values():
        assert one['definition'] in page
    for reason in {reason for one in told['disagreements'] for reason in one['reasons']}:
        assert f': {reason}\n' in f'{page}\n'


def test_branches_may_lie_in_another_workdir(tmp_path: pathlib.Path):
    sweep(tmp_path / 'a')
    branched(tmp_path / 'b')
    page, told = advised(tmp_path / 'a', study=None)
    assert [one['name'] for one in told['critical_batch_sizes']] == ['hyperbola', '20 % overhead']
    assert 'no branches there: --config=critical_batch_size makes them' in page
    page, told = advised(tmp_path / 'a', study=None, branches=str(tmp_path / 'b'), target='train_loss:0.55')
    assert 'branches at epoch 1 of their parents, where train_loss is 0.5' in page
    assert 'branched, rule' in [one['name'] for one in told['critical_batch_sizes']]


def test_branches_of_another_task_are_told(tmp_path: pathlib.Path):
    """The reason names the field, and its value in the runs and in the branches."""
    sweep(tmp_path / 'a')
    branched(tmp_path / 'b', model={'name': 'mlp', 'widths': [64]})
    _, told = advised(tmp_path / 'a', branches=str(tmp_path / 'b'))
    reasons = [reason for one in told['disagreements'] for reason in one['reasons']]
    assert 'not one task: model.widths ((8,); of the branches (64,))' in reasons


def test_noise_scales_of_the_runs_are_those_while_the_loss_is_around_the_target(tmp_path: pathlib.Path):
    """By hand: tr Σ/|G|² = 50/loss, a loss of 0.5·arrival/epoch, measured evenly in epochs: a little above 100."""
    sweep(tmp_path / 'a', measured=True)
    page, told = advised(tmp_path / 'a')
    found = {one['name']: one for one in told['critical_batch_sizes']}['B_simple of the runs']
    # The mean of epoch/arrival while that is between 1/1.15 and 1.15: (1/1.15 + 1.15)/2.
    assert found['value'] == pytest.approx(100 * (1 / 1.15 + 1.15) / 2, rel=0.02)
    assert found['low'] <= found['value'] <= found['high']
    assert 'of 12 of 12 runs while their loss is within 15 % of the target, at the best rate of each batch size' in page


def test_what_cannot_be_beside_is_told(tmp_path: pathlib.Path):
    """A metric that the parents lack; a folder that is none; a table, which has no branches."""
    sweep(tmp_path / 'a')
    for seed in range(2):
        write_parent(tmp_path / 'b', seed)
        write_branches(tmp_path / 'b', seed, 64, {1: 1.0, 2: 1.2})
    page, _ = advised(tmp_path / 'a', branches=str(tmp_path / 'b'))
    assert 'did not record train_loss: their target cannot be found in them' in page
    with pytest.raises(FileNotFoundError, match=r'--branches=.*: no such directory'):
        advised(tmp_path / 'a', branches=str(tmp_path / 'none'))
    with pytest.raises(ValueError, match='--branches is for --workdir'):
        command.run(command.Request(table='runs.csv', branches='b'))
