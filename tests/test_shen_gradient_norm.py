"""Shen's experiment D from trials with planted means, spreads and laws: the verdicts, and what is uncertain in them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_records import gradient_norms

from bsresearch.analysis.quantities import gradient_norm, trials
from bsresearch.analysis.quantities.gradient_norm import GradientNorms
from bsresearch.analysis.statements import Verdicts, judge
from bsresearch.analysis.study import Study
from bsresearch.findings import shen

SIZES = np.array([1, 3, 4, 16, 64, 256, 1024])
CLAIMS = {claim.key: claim for claim in shen.CLAIMS if claim.key[0] == 'D'}
EARLY = 0.2 * SIZES**0.15
LATE = 0.1 * np.where(SIZES <= 16, 1.0, (SIZES / 16) ** 0.2)
CV = 0.02 * SIZES**0.3
RUNS = {f'run{i}': str(i) for i in range(3)}
Stored = dict[str, Any]


def probe(
    run: str, epoch: float, mean: np.ndarray, cv: np.ndarray, rate: float = 0.01, count: int = 100, **arrays: Any
) -> Stored:
    """As it is stored: norms with the given means and coefficients of variation, of the same draws in every run."""
    rng = np.random.default_rng(5 + int(epoch))
    noise = rng.exponential(size=(count, len(SIZES))) - 1
    walking = mean * (1 + cv * noise) * (1 + 0.001 * int(run[-1]))
    settings = {'name': 'gradient_norm', 'parameters': ['x'], 'with_replacement': True, 'seed': 0, 'trials': count}
    return {
        'meta': {'id': f'{run}-{epoch}-{rate}-{count}', 'identity': {'probe': settings}},
        'points': [{'run': run, 'step': int(epoch), 'epoch': epoch}],
        'probe': settings,
        'learning_rate': rate,
        'arrays': gradient_norms(walking, SIZES, rate, 1024, rng) | arrays,
    }


def norms(run: str = 'run0', cv: np.ndarray = CV, **facts: Any) -> GradientNorms:
    return gradient_norm.of_probes([probe(run, 2.0, EARLY, cv, **facts)])[0]


def study(*probes: Stored) -> Study:
    """One in which the arm `large` was probed."""
    rows = [
        {'id': p['meta']['id'], 'kind': 'probe', 'arm': 'large', 'branch': '', 'point': p['points'][0]['epoch'],
         'probe': 'gradient_norm', 'replicate': RUNS[p['points'][0]['run']], 'cell': ('large', '', 2.0)} for p in probes
    ]  # fmt: skip
    runs = pd.DataFrame({'status': 'done', 'learning_rate': 0.01}, index=list(RUNS))
    by_id = {p['meta']['id']: p for p in probes}
    return Study('shen', pd.DataFrame(rows), (), tuple(RUNS.values()), runs, {}, probes=by_id)


def judged(key: str, *probes: Stored) -> Verdicts:
    return judge(CLAIMS[key], study(*probes))


def both(early: Any = EARLY, late: Any = LATE, cv: Any = CV, **arrays: Any) -> list[Stored]:
    """Of three runs at both checkpoints."""
    return [probe(r, e, m, cv, **arrays) for r in RUNS for e, m in ((2.0, early), (30.0, late))]


def test_planted_norms_hold():
    planted = study(*both())
    claims = {key: judge(claim, planted) for key, claim in CLAIMS.items()}
    # A skewness needs more than a hundred trials; the law is another one.
    expected = dict.fromkeys(CLAIMS, 'holds') | {'D5': 'undecided', 'D10': 'does not hold'}
    assert {key: one.verdict for key, one in claims.items()} == expected
    # 3 does not divide 1024 and is passed over.
    labels = ['1 to 4', '4 to 16', '16 to 64', '64 to 256', '256 to 1,024']
    assert [one.part.label for one in claims['D1'].judged] == labels
    rises = [one.interval.centre for one in claims['D1'].judged]
    assert rises == pytest.approx([4**0.15 - 1] * 5, rel=0.25)


@pytest.mark.parametrize(
    ('key', 'changes', 'verdict'),
    [
        ('D1', {'early': EARLY[::-1]}, 'does not hold'),
        ('D1', {'early': EARLY, 'cv': np.full(7, 2.0)}, 'undecided'),
        ('D2a', {'late': 0.1 * SIZES**0.1}, 'does not hold'),
        ('D2b', {'late': 0.1 * SIZES**-0.1}, 'does not hold'),
        ('D3', {'late': EARLY * 2}, 'does not hold'),
        ('D4', {'cv': CV[::-1]}, 'does not hold'),
        ('D9', {'early': EARLY * SIZES}, 'does not hold'),
    ],
)
def test_planted_norms_fail(key: str, changes: Any, verdict: str):
    assert judged(key, *both(**changes)).verdict == verdict


def test_frozen_norms_that_differ_break_the_identity():
    bent = [probe(r, 2.0, EARLY, CV) for r in RUNS]
    for i, one in enumerate(bent):
        one['arrays']['frozen'][:, -1] *= 1.01 + 1e-5 * i
    found = judged('D7', *bent, *(probe(r, 30.0, LATE, CV) for r in RUNS))
    assert found.verdict != 'holds'
    alone = judged('D7', *bent).judged
    assert alone[0].part.label in ('3 probes', 'relative range over batch sizes')


def test_a_wrong_prediction_is_seen():
    """tr Σ twice too large: the mean squares lie at half of what is predicted, ln 2 away."""
    twice: Any = {'trace': np.array(1000.0), 'gradient_square': np.array(1.0)}
    claim = judged('D8', *both(**twice))
    assert claim.verdict == 'does not hold'
    assert claim.judged[0].interval.centre == pytest.approx(np.log(np.log(2)), abs=1e-3)
    nothing: Any = {'trace': np.array(np.nan), 'gradient_square': np.array(np.nan)}
    assert judged('D8', *both(**nothing)).verdict == 'not measured'


def test_the_law_depends_where_rates_disagree():
    """Linear squares at one η, √B at another: neither law is Shen's alone."""
    linear, root = np.sqrt(0.04 + 1e-3 * SIZES), np.sqrt(0.04 + 1e-2 * np.sqrt(SIZES))
    small = np.full(7, 1e-3)
    of = lambda mean, rate: [probe('run0', epoch, mean, small, rate) for epoch in (2.0, 30.0)]
    law = lambda *probes: judged('D10', *(p for pair in probes for p in pair)).verdict
    assert law(of(linear, 0.01), of(root, 0.001)) == 'depends'
    assert law(of(linear, 0.01), of(linear, 0.001)) == 'holds'
    assert law(of(root, 0.01), of(root, 0.001)) == 'does not hold'


def test_norms_that_are_not_finite_are_not_fitted():
    blown = probe('run0', 2.0, EARLY, CV, 0.1)
    blown['arrays']['walking'][3, 0] = np.inf
    labels = [one.part.label for one in judged('D10', *both(), blown).judged]
    assert labels == ['η = 0.01, epoch 2', 'η = 0.01, epoch 30']


def test_the_draws_are_part_of_the_uncertainty():
    """Closed form: of a mean it is s/√R over the trials; several seeds that agree share the draws, and keep it."""
    last, first = (lambda x: x[..., -1]), (lambda x: x[..., 0])
    one = trials.sample([norms()])
    part = one.part('', last, 'mean')
    walking = one.probes[0].norms['walking'][:, -1]
    assert (part.error, part.freedom) == (pytest.approx(walking.std(ddof=1) / 10, rel=0.15), 49)
    few = trials.sample([norms(count=40)])
    error = few.probes[0].norms['walking'][:, -1].std(ddof=1) / np.sqrt(40)
    of_few = few.part('', last, 'mean')
    assert (of_few.error, of_few.freedom) == (pytest.approx(error), 39)
    three = trials.sample([norms(r) for r in RUNS])
    assert three.part('', last, 'mean').error == pytest.approx(part.error, rel=0.01)
    for count in (1, 19):
        assert np.isnan(trials.sample([norms(count=count)]).part('', first, 'mean').error)
    assert np.isnan(few.part('', first, 'skewness').error)


def test_fewer_trials_are_passed_over():
    few = [probe(r, 2.0, EARLY[::-1], CV, count=20) for r in RUNS]
    assert judged('D1', *both(), *few).verdict == 'holds'
