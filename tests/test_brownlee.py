"""Brownlee's findings on planted runs: verdicts, what diverges, what is missing; the protocol of the grid."""

import math
import pathlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_records import entry, member, write_run

from bsresearch.analysis import study as studies
from bsresearch.analysis.along_axis import trend
from bsresearch.analysis.statements import Verdicts, judge
from bsresearch.findings import brownlee
from bsresearch.planning import sweep
from bsresearch.store import records
from bsresearch.studies import brownlee as procedure
from configs import brownlee as config

N, EPOCHS = 64, 120
Planted = dict[tuple[int, float], tuple[float, float, float, int]]
STUDY: dict[str, Any] = {'study': 'brownlee', 'num_outputs': 3, 'epoch_size': N, 'total_examples': EPOCHS * N}


def course(end: float, jump: float, arrives: int) -> np.ndarray:
    """From 0.3 in a straight line to `end`; from where it `arrives` swings of 0, jump, 0, −jump, …, 0 at the end."""
    epochs = np.arange(EPOCHS + 1)
    swing = np.array([0.0, 1.0, 0.0, -1.0])[epochs[::-1] % 4]
    return np.where(epochs >= arrives, end + jump * swing, 0.3 + (end - 0.3) * epochs / arrives)


# (batch size, learning rate) → train and test accuracy at the end, swings, epochs to the end: as the source has it.
PLANTED: Planted = {
    (64, 0.01): (0.816, 0.830, 0.0002, 90),
    (1, 0.01): (0.612, 0.606, 0.1, 1),
    (1, 0.001): (0.816, 0.824, 0.01, 10),
    (32, 0.01): (0.832, 0.812, 0.004, 20),
    (4, 0.01): (0.82, 0.82, 0.02, 5),
}


def plant(workdir: pathlib.Path, planted: Planted, seeds: int = 3) -> pathlib.Path:
    """Runs of the study; seeds lie 0.001 apart, a bit more at the end, and swing by 2 % more each."""
    for (size, rate), (train, test, jump, arrives) in planted.items():
        for seed in range(seeds):
            apart = seed - (seeds - 1) / 2
            offset = apart * np.append(np.full(EPOCHS, 0.001), 0.0011)
            ends = {'train_accuracy': train, 'test_accuracy': test}
            values = {m: (course(e, jump * (1 + 0.02 * apart), arrives) + offset).tolist() for m, e in ends.items()}
            write_run(workdir, batch_size=size, learning_rate=rate, seed=seed, values=values, **STUDY)
    return workdir


ARMS = {(1, 0.01): 'stochastic', (1, 0.001): 'slow', (4, 0.01): 'b4', (32, 0.01): 'mini_batch', (64, 0.01): 'batch'}
# The planted grid has three batch sizes of the panel's nine.
PANEL = trend('batch_size', ('b4', 'mini_batch', 'batch'))
CLAIMS = [replace(c, contrasts=PANEL) if c.key.startswith('panel') else c for c in brownlee.CLAIMS]


def judged(workdir: pathlib.Path, *keys: str) -> dict[str, Verdicts]:
    """The claims of these keys; all of them without any."""
    runs = records.runs(workdir).itertuples()
    rows = [member(run.run, ARMS[run.batch_size, run.learning_rate], run.seed) for run in runs]
    study = studies.load(workdir, 'brownlee', entry(rows), 'brownlee')
    return {claim.key: judge(claim, study) for claim in CLAIMS if not keys or claim.key in keys}


def verdicts(workdir: pathlib.Path, *keys: str) -> dict[str, str]:
    return {key: one.verdict for key, one in judged(workdir, *keys).items()}


def test_every_claim_holds_where_it_is_true(tmp_path: pathlib.Path):
    """Six seeds, so that a sign test can tell."""
    verdict = verdicts(plant(tmp_path, PLANTED, seeds=6))
    assert verdict.pop('default') == 'not measured'
    assert set(verdict.values()) == {'holds'}, verdict


def test_claims_do_not_hold_where_they_are_false(tmp_path: pathlib.Path):
    """Batch descent swings and drifts late, B = 1 is calm and good, the larger the batch the wilder and the faster."""
    wrong = {
        (64, 0.01): (0.75, 0.75, 0.1, 1),
        (1, 0.01): (0.82, 0.82, 0.001, 3),
        (1, 0.001): (0.70, 0.70, 0.001, 110),
        (32, 0.01): (0.90, 0.90, 0.05, 30),
        (4, 0.01): (0.82, 0.82, 0.02, 60),
    }
    verdict = verdicts(plant(tmp_path, wrong, seeds=6))
    assert (verdict.pop('batch converged'), verdict.pop('default')) == ('holds', 'not measured')
    assert set(verdict.values()) == {'does not hold'}, verdict


def test_convergence_is_refuted_by_a_late_rise(tmp_path: pathlib.Path):
    planted = {(64, 0.01): (0.816, 0.83, 0.0, 118)}
    assert verdicts(plant(tmp_path, planted), 'batch converged') == {'batch converged': 'does not hold'}


def test_divergence_is_failure(tmp_path: pathlib.Path):
    """B = 1 diverges with every seed: chance accuracy, volatile beyond measure, and said so."""
    gone: dict[str, Any] = {'status': 'diverged', 'diverged_step': 100, **STUDY}
    values = {f'{split}_accuracy': [0.4, 0.5] for split in ('train', 'test')}
    plant(tmp_path, {arm: p for arm, p in PLANTED.items() if arm != (1, 0.01)}, seeds=6)
    for seed in range(6):
        write_run(tmp_path, batch_size=1, learning_rate=0.01, seed=seed, values=values, **gone)
    claims = judged(tmp_path, 'stochastic fails', 'stochastic volatility', 'mini-batch steadier')
    assert claims['stochastic fails'].verdict == claims['stochastic volatility'].verdict == 'holds'
    assert claims['stochastic fails'].judged[0].interval.centre == pytest.approx(0.83 - 1 / 3, abs=1e-3)
    assert 'stochastic: 6 of 6 runs diverged' in claims['stochastic fails'].remarks
    assert claims['mini-batch steadier'].verdict == 'holds'
    # Diverged runs of the steadier side are no survivors to be left out.
    for seed in range(2):
        write_run(tmp_path, batch_size=32, learning_rate=0.01, seed=seed, values=values, **gone)
    assert verdicts(tmp_path, 'mini-batch steadier') == {'mini-batch steadier': 'undecided'}


# --- config and study


def test_the_grid_is_the_sources_protocol():
    """Updates by hand: Keras keeps the last short batch, so 450 makes two updates of an epoch."""
    plans = sweep.expand(config.get_config().to_dict(), {'seed': 0})
    procedure.check(plans)
    assert sorted(p.batch_size for p in plans) == [1, 1, 4, 8, 16, 32, 64, 128, 256, 450, 500]
    updates = {p.batch_size: p.length.total_steps for p in plans}
    assert updates == {b: 200 * math.ceil(500 / b) for b in updates}
    assert all(
        p.optimizer['name'] == 'momentum' and p.policy.momentum == 0.9 and p.policy.weight_decay == 0 for p in plans
    )
    blobs = {'num_examples': 1000, 'centers': 3, 'features': 2, 'cluster_std': 2.0, 'random_state': 2}
    assert plans[0].data | blobs == plans[0].data


def test_runs_without_curves_are_refused():
    plans = sweep.expand(config.get_config().to_dict(), {'evaluate.train': False, 'seed': 0})
    with pytest.raises(ValueError, match=r'needs config\.evaluate\.every_epochs above 0 .* has 1 and False'):
        procedure.check(plans)
