"""Real runs and measurements on populations whose every moment is known, within 3 computed standard errors.

Seeds are fixed, so each comparison passes or fails for good.
"""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from bsresearch import losses, resolve
from bsresearch.data import linear_regression, noisy_quadratic, sources
from bsresearch.optim import policy
from bsresearch.plan import Plan
from bsresearch.theory import least_squares, noise_scale
from bsresearch.theory import noisy_quadratic as theory
from bsresearch.theory.noise_scale import Population
from bsresearch.train import program

QUADRATIC = {
    'model': {'name': 'quadratic'},
    'data__name': 'noisy_quadratic',
    'loss__name': 'sum_of_outputs',
    'measure__distance__every_epochs': 0.0,
    'measure__parameter_norm__every_epochs': 0.0,
    'evaluate__train': False,
    'norms__log_spaced': 0,
    'record__log_spaced': 0,
}
REGRESSION = QUADRATIC | {
    'model': {'name': 'linear'},
    'data__name': 'linear_regression',
    'data__dimension': 5,
    'loss__name': 'squared_error',
}
SEEDS = 100


def predicted(plan: Plan) -> np.ndarray:
    """E[L(θ_t)] over permutations of the plan's own training set: (T + 1,)."""
    xi = np.asarray(resolve.dataset(plan.data).train.inputs, np.float64)
    h = theory.spectrum(xi.shape[1], plan.model['exponent'])
    used = policy.table(plan.policy, plan.length, 0, plan.length.total_steps)
    sizes = np.array([plan.length.batch_size_at(t) for t in range(plan.length.total_steps)])
    found = theory.moments(
        h, xi.var(0, ddof=1), np.full(len(h), plan.model['start']), used.learning_rate, used.momentum, sizes,
        num_examples=len(xi), mean_noise=xi.mean(0),
    )  # fmt: skip
    return theory.expected_loss(h, found)


# (learning rate, momentum, schedule), a run of 64 updates at B = 8 over half the examples and over all.
ARMS = [(0.5, 0.0, {'name': 'constant'}), (0.1, 0.9, {'name': 'constant'}), (0.2, 0.8, {'name': 'cosine'})]
POINTS = (1, 4, 16, 40, 64)


@pytest.mark.parametrize('num_examples', [1024, 512])
def test_runs_follow_the_recurrence(workdir: pathlib.Path, num_examples: int):
    """Mean loss over 100 runs that share 8-dimensional noise, for momentum 0, 0.9 and a cosine; half an epoch, a whole."""
    axes = dict(zip(('learning_rate', 'momentum', 'schedule'), zip(*ARMS, strict=True), strict=True))
    plans = toy.plans(
        **QUADRATIC, optimizer__name='momentum', data__dimension=8, data__num_examples=num_examples, total_steps=64,
        evaluate__every_epochs=0.0, evaluate__at_steps=POINTS, strategy='vmap', max_replicas=3 * SEEDS,
        sweep__seed=tuple(range(SEEDS)), **{f'sweep__zip__{k}': v for k, v in axes.items()},
    )  # fmt: skip
    toy.train(workdir, plans)
    for i in range(3):
        mine = plans[i::3]
        losses = np.array([[r['test_loss'] for r in toy.rows(workdir, p) if 'test_loss' in r] for p in mine])
        assert losses.shape == (SEEDS, len(POINTS))
        error = losses.std(0, ddof=1) / np.sqrt(SEEDS)
        z = (losses.mean(0) - predicted(mine[0])[list(POINTS)]) / error
        assert (np.abs(z) < 3).all(), (mine[0].schedule['name'], z)
