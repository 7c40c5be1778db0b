"""Shen's findings on planted records: every claim holds where it is true, fails where one number is changed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shen_records

from bsresearch.analysis import of_probes
from bsresearch.analysis.statements import Verdicts, judge
from bsresearch.analysis.study import Study
from bsresearch.findings import shen

CLAIMS = {claim.key: claim for claim in shen.CLAIMS}
# In the planted workdir there is one rate of Adam, nothing is probed, and the large batch ends before the small one is
# first measured (E5).
TRAINED = [key for key in CLAIMS if key[0] in 'ABCE' and not key.endswith('b') and key != 'E5']


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Every arm and branch at three seeds: accuracies as in the article, distance = c·√updates whatever B."""
    workdir = tmp_path_factory.mktemp('whole')
    shen_records.write(workdir)
    return shen_records.load(workdir, last=30)


def judged(key: str, study: Study) -> Verdicts:
    return judge(CLAIMS[key], study)


def test_planted_claims_hold(whole: Study):
    verdicts = {key: judge(claim, whole).verdict for key, claim in CLAIMS.items()}
    assert verdicts == {key: 'holds' if key in TRAINED else 'not measured' for key in CLAIMS}
    # 2 points in every seed, counted on 2,000 examples: ± t·√(1/12/3)/2000.
    (first, _) = judged('A1', whole).judged
    assert first.interval.centre == pytest.approx(0.02, abs=1e-5)
    assert first.interval.high - first.interval.centre == pytest.approx(4.302653 * np.sqrt(1 / 12 / 3) / 2000, rel=0.05)
    # √ of 8 epochs of 16 updates over that of 8 of one.
    assert judged('E7', whole).judged[0].interval.centre == pytest.approx(np.log(4), rel=1e-4)


def changed(study: Study, cell: str, change: Callable[[pd.DataFrame, int], pd.DataFrame]) -> Study:
    """With other rows in the cells of an arm, or of a branch arm at every point: 'large/switch_small'."""
    arm, _, branch = cell.partition('/')
    there = study.members[(study.members['arm'] == arm) & (study.members['branch'] == branch)]
    runs = dict(zip(there['id'], there['replicate'].astype(int), strict=True))
    return replace(study, rows={r: change(rows, runs[r]) if r in runs else rows for r, rows in study.rows.items()})


def replanted(study: Study, cell: str, **ends: float) -> Study:
    """With other final values: those of the middle seed; the others keep their distance to it."""
    arm, _, branch = cell.partition('/')
    there = study.members[(study.members['arm'] == arm) & (study.members['branch'] == branch)]
    middle = study.rows[there[there['replicate'] == '1']['id'].iloc[0]]

    def change(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
        rows = rows.reset_index(drop=True)
        for metric, end in ends.items():
            last = rows[metric].last_valid_index()
            rows.loc[last, metric] += end - middle[metric].dropna().iloc[-1]
        return rows

    return changed(study, cell, change)


@pytest.mark.parametrize(
    ('key', 'cell', 'ends', 'verdict'),
    [
        ('A1', 'middle', {'test_accuracy': 0.91}, 'does not hold'),
        ('A1', 'middle', {'test_accuracy': 0.9}, 'undecided'),
        ('A2', 'large', {'train_accuracy': 0.96}, 'does not hold'),
        ('A3', 'large', {'train_accuracy': 0.89}, 'does not hold'),
        ('B1', 'higher_rate', {'test_accuracy': 0.88}, 'does not hold'),
        ('B1', 'higher_rate', {'test_accuracy': 0.90}, 'holds'),
        ('B2', 'higher_rate', {'test_accuracy': 0.84}, 'does not hold'),
        ('C1', 'large/switch_rate', {'test_accuracy': 0.88}, 'does not hold'),
        ('C1', 'large/switch_rate', {'test_accuracy': 0.95}, 'holds'),
        ('C2', 'large/switch_small', {'test_accuracy': 0.855}, 'does not hold'),
        ('C3', 'large/control', {'test_accuracy': 0.84}, 'does not hold'),
        ('E1', 'small', {'distance': 12.0}, 'depends'),
        ('E2', 'higher_rate', {'parameter_norm': 48.0}, 'depends'),
        ('E3', 'adam', {'distance': 8.0}, 'does not hold'),
        ('E4', 'adam', {'test_accuracy': 0.92}, 'does not hold'),
        ('E5', 'middle', {'distance': 4.8}, 'does not hold'),
        ('E7', 'large', {'distance': 7.0}, 'does not hold'),
    ],
)
def test_planted_claims_fail(key: str, cell: str, ends: Mapping[str, float], verdict: str, whole: Study):
    """One number changed, the claim about it follows."""
    assert judged(key, replanted(whole, cell, **ends)).verdict == verdict


def test_distances_that_grow_as_a_logarithm_are_told(whole: Study):
    """Planted in all arms; in one alone the law depends on the arm."""
    logarithm = lambda rows, seed: rows.assign(distance=np.log(rows['step'] + 1e-9) * (1 + 0.01 * seed) + 3)
    one = changed(whole, 'small', logarithm)
    every = one
    for arm in ('middle', 'large', 'higher_rate'):
        every = changed(every, arm, logarithm)
    assert (judged('E6', one).verdict, judged('E6', every).verdict) == ('depends', 'does not hold')


# --- F


def line(loss: Callable[[np.ndarray], np.ndarray], seed: int) -> dict[str, Any]:
    """Arrays of a probe; seeds differ by a thousandth of the loss's square."""
    alpha = np.linspace(-1, 2, 25)
    return {'alpha': alpha, 'linear/train_loss': loss(alpha) + 1e-3 * seed * loss(alpha) ** 2}


def with_lines(study: Study, loss: Callable[[np.ndarray], np.ndarray], seeds: int = 3) -> Study:
    """With a probe between two solutions for each seed."""
    rows = [
        {'id': f'line{seed}', 'kind': 'probe', 'arm': 'large', 'branch': '', 'point': 30.0, 'probe': 'interpolation',
         'replicate': str(seed), 'cell': ('large', '', 30.0)} for seed in range(seeds)
    ]  # fmt: skip
    probes = {f'line{seed}': {'arrays': line(loss, seed)} for seed in range(seeds)}
    members = pd.concat([study.members, pd.DataFrame(rows)], ignore_index=True)
    return replace(study, members=members, probes=probes, replicates=tuple(str(s) for s in range(seeds)))


def test_a_line_without_a_barrier_and_its_sharper_end(whole: Study):
    """Loss 1 + α⁴: second differences of step h are 12 + 2h² at 1 and 2h² at 0."""
    three, six = (with_lines(whole, lambda a: 1 + a**4, seeds) for seeds in (3, 6))
    # No rise at all in any of them has no spread: three seeds do not decide, five do.
    assert [judged(k, three).verdict for k in ('F1', 'F2')] == ['undecided', 'holds']
    assert [judged(k, six).verdict for k in ('F1', 'F2')] == ['holds', 'holds']
    assert of_probes.curvature_on_line(line(lambda a: 1 + a**4, 0)) == pytest.approx((2 / 64, 12 + 2 / 64))


def test_a_barrier_is_seen(whole: Study):
    """Ends at 1, a top of 1.25 between them."""
    claim = judged('F1', with_lines(whole, lambda a: 1 + a * (1 - a)))
    assert claim.verdict == 'does not hold'
    assert claim.judged[0].interval.centre == pytest.approx(0.25, rel=0.01)
