"""Shen's experiment D from trials with planted means, spreads and laws: the verdicts, and what is uncertain in them."""

from typing import Any

import numpy as np
import pytest
from fake_records import gradient_norms

from bsresearch.analysis import shen_gradient_norm, shen_trials
from bsresearch.analysis.claims import Claim
from bsresearch.analysis.quantities.gradient_norm import STATISTICS, GradientNorms

SIZES = np.array([1, 3, 4, 16, 64, 256, 1024])


def probe(
    run: str, epoch: float, mean: np.ndarray, cv: np.ndarray, rate: float = 0.01, trials: int = 100
) -> GradientNorms:
    """Norms with the given means and coefficients of variation; the draws are the same for every run."""
    rng = np.random.default_rng(5 + int(epoch))
    noise = rng.exponential(size=(trials, len(SIZES))) - 1
    walking = mean * (1 + cv * noise) * (1 + 0.001 * int(run[-1]))
    arrays = gradient_norms(walking, SIZES, rate, 1024, rng)
    norms = {name: arrays[name] for name in STATISTICS if name in arrays} | {'summed': arrays['single'] * SIZES}
    return GradientNorms(
        id=f'{run}-{epoch}-{rate}', run=run, step=int(epoch), epoch=epoch, learning_rate=rate, parameters='x',
        with_replacement=True, seed=0, settings='{}', samples=1024, batch_sizes=SIZES, norms=norms,
        fourth=arrays['fourth'], largest=arrays['largest'], counts=arrays['counts'], edges=arrays['edges'],
        gradient_square=float(arrays['gradient_square']), trace=float(arrays['trace']), population=60000,
    )  # fmt: skip


EARLY = 0.2 * SIZES**0.15
LATE = 0.1 * np.where(SIZES <= 16, 1.0, (SIZES / 16) ** 0.2)
CV = 0.02 * SIZES**0.3
RUNS = {f'run{i}': str(i) for i in range(3)}


def norms(early: Any = EARLY, late: Any = LATE, cv: Any = CV, **more: Any) -> dict[str, Claim]:
    made = [probe(r, e, m, cv) for r in RUNS for e, m in ((2.0, early), (30.0, late))]
    found = shen_gradient_norm.claims([*made, *more.get('others', [])], RUNS, 0.01)
    assert [c.key for c in found] == [f'D{i}' for i in range(1, 11)]
    return {c.key: c for c in found}


def test_planted_norms_hold():
    found = norms()
    # A skewness needs more than a hundred trials.
    expected = {f'D{i}': 'holds' for i in range(1, 10)} | {'D5': 'undecided'}
    assert {k: c.verdict for k, c in found.items() if k != 'D10'} == expected
    assert 'factor from B = 1 to 1,024' in found['D1'].measured
    assert 'epoch 2' in found['D1'].measured
    # 3 does not divide 1024 and is passed over.
    assert 'Least of 5 steps' in found['D1'].measured


@pytest.mark.parametrize(
    ('key', 'changes', 'verdict'),
    [
        ('D1', {'early': EARLY[::-1]}, 'does not hold'),
        ('D1', {'early': EARLY, 'cv': np.full(7, 2.0)}, 'undecided'),
        ('D2', {'late': 0.1 * SIZES**0.1}, 'does not hold'),
        ('D2', {'late': 0.1 * SIZES**-0.1}, 'does not hold'),
        ('D3', {'late': EARLY * 2}, 'does not hold'),
        ('D4', {'cv': CV[::-1]}, 'does not hold'),
        ('D9', {'early': EARLY * SIZES}, 'does not hold'),
    ],
)
def test_planted_norms_fail(key: str, changes: Any, verdict: str):
    assert norms(**changes)[key].verdict == verdict


def test_frozen_norms_that_differ_break_the_identity():
    bent = probe('run0', 2.0, EARLY, CV)
    bent.norms['frozen'][:, -1] *= 1.01
    found = {c.key: c for c in shen_gradient_norm.claims([bent], RUNS, 0.01)}
    assert found['D7'].verdict == 'does not hold'
    assert '1.0e-02' in found['D7'].measured


def test_a_wrong_prediction_is_seen():
    """tr Σ twice too large: the mean squares lie at half of what is predicted, ln 2 away."""
    wrong = [probe(r, 2.0, EARLY, CV)._replace(trace=1000.0, gradient_square=1.0) for r in RUNS]
    found = {c.key: c for c in shen_gradient_norm.claims(wrong, RUNS, 0.01)}
    assert found['D8'].verdict == 'does not hold'
    assert f'{100 * np.log(2):.3g} %' in found['D8'].measured
    nothing = [p._replace(trace=np.nan, gradient_square=np.nan) for p in wrong]
    assert {c.key: c for c in shen_gradient_norm.claims(nothing, RUNS, 0.01)}['D8'].verdict == 'not measured'


def test_the_law_depends_where_rates_disagree():
    """Linear squares at one η, √B at another: neither law is Shen's alone."""
    linear, root = np.sqrt(0.04 + 1e-3 * SIZES), np.sqrt(0.04 + 1e-2 * np.sqrt(SIZES))
    small = np.full(7, 1e-3)
    of = lambda mean, rate: probe('run0', 2.0, mean, small, rate)
    law = lambda *found: shen_gradient_norm.claims(found, RUNS, 0.01)[-1].verdict
    assert law(of(linear, 0.01), of(root, 0.001)) == 'depends'
    assert law(of(linear, 0.01), of(linear, 0.001)) == 'holds'
    assert law(of(root, 0.01), of(root, 0.001)) == 'does not hold'


def test_norms_that_are_not_finite_are_told_and_not_fitted():
    blown = probe('run0', 2.0, EARLY, CV, 0.1)
    blown.norms['walking'][3, 0] = np.inf
    found = norms(others=[blown])
    assert 'η = 0.1, epoch 2: not every norm is finite' in found['D10'].remark
    assert 'η = 0.1' not in found['D10'].measured


def test_the_draws_are_part_of_the_uncertainty():
    """Closed form: of a mean it is s/√R over the trials; several seeds that agree share the draws, and keep it."""
    one = shen_trials.sample([probe('run0', 2.0, EARLY, CV)])
    part = one.part('', lambda x: x[..., -1], 'mean')
    walking = one.found[0].norms['walking'][:, -1]
    assert (part.error, part.freedom) == (pytest.approx(walking[:100].std(ddof=1) / 10, rel=0.15), 49)
    few = shen_trials.sample([probe('run0', 2.0, EARLY, CV, trials=40)])
    error = few.found[0].norms['walking'][:, -1].std(ddof=1) / np.sqrt(40)
    assert few.part('', lambda x: x[..., -1], 'mean')[2:] == (pytest.approx(error), 0, 39)
    three = shen_trials.sample([probe(r, 2.0, EARLY, CV) for r in RUNS])
    assert three.part('', lambda x: x[..., -1], 'mean').error == pytest.approx(part.error, rel=0.01)
    for trials in (1, 19):
        unknown = shen_trials.sample([probe('run0', 2.0, EARLY, CV, trials=trials)])
        assert np.isnan(unknown.part('', lambda x: x[..., 0], 'mean').error)
    assert np.isnan(few.part('', lambda x: x[..., 0], 'skewness').error)


def test_other_runs_and_fewer_trials_are_passed_over():
    many, few = probe('run0', 2.0, EARLY, CV), probe('run0', 2.0, EARLY, CV, trials=20)._replace(settings='{"x": 1}')
    found, remark = shen_trials.samples([many, few, probe('run9', 2.0, EARLY, CV)], {'run0': '0'})
    assert [len(s.found) for s in found] == [1]
    assert len(found[0].found[0].norms['walking']) == 100
    assert remark == 'of probes with 2 settings those with 100 trials'
