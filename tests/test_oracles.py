"""Real runs and measurements on populations whose every moment is known, within 3 computed standard errors.

Seeds are fixed, so each comparison passes or fails for good.
"""

import itertools
import pathlib
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from bsresearch.data import linear_regression, noisy_quadratic, sources
from bsresearch.models import losses
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
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
    'record__log_spaced': 0,
}
REGRESSION = QUADRATIC | {
    'model': {'name': 'linear'},
    'data__name': 'linear_regression',
    'data__dimension': 5,
    'loss__name': 'squared_error',
}


def predicted(plan: Plan) -> np.ndarray:
    """E[L(θ_t)] over permutations of the plan's own training set: (T + 1,)."""
    xi = np.asarray(resolve.dataset(plan.data).train.inputs, np.float64)
    h = theory.spectrum(xi.shape[1], plan.model['exponent'])
    used = plan.table(0, plan.length.total_steps)
    sizes = np.array([plan.length.batch_size_at(t) for t in range(plan.length.total_steps)])
    found = theory.moments(
        h, xi.var(0, ddof=1), np.full(len(h), plan.model['start']), used.learning_rate, used.momentum, sizes,
        num_examples=len(xi), mean_noise=xi.mean(0),
    )  # fmt: skip
    return theory.expected_loss(h, found)


# (learning rate, momentum, schedule) of a run of 64 updates at B = 8, all examples of its set, without replacement.
ARMS = [(0.5, 0.0, {'name': 'constant'}), (0.1, 0.9, {'name': 'constant'}), (0.2, 0.8, {'name': 'cosine'})]
POINTS = (1, 4, 16, 40, 64)


def test_runs_follow_the_recurrence(workdir: pathlib.Path):
    """Mean loss of 8 runs, each of 800 independent coordinates: a standard error of 2 %."""
    common = QUADRATIC | {
        'model': {'name': 'quadratic', 'exponent': 0.2}, 'optimizer__name': 'momentum',
        'data__dimension': 800, 'data__noise_exponent': 0.0, 'data__noise': 9.0, 'data__num_examples': 512,
        'total_steps': 64, 'evaluate__every_epochs': 0.0, 'evaluate__at_steps': POINTS, 'strategy': 'vmap',
        'sweep__seed': tuple(range(8)),
    }  # fmt: skip
    arms = [
        toy.plans(**common, learning_rate=rate, momentum=mu, sweep__schedule=(schedule,)) for rate, mu, schedule in ARMS
    ]
    toy.train(workdir, [*itertools.chain(*arms)])
    for mine in arms:
        losses = np.array([[r['test_loss'] for r in toy.rows(workdir, p) if 'test_loss' in r] for p in mine])
        assert losses.shape == (8, len(POINTS))
        error = losses.std(0, ddof=1) / np.sqrt(8)
        expected = predicted(mine[0])[list(POINTS)]
        assert (error < 0.03 * expected).all()
        z = (losses.mean(0) - expected) / error
        assert (np.abs(z) < 3).all(), (mine[0].policy.schedule['name'], z)


def measured(workdir: pathlib.Path, changes: dict[str, Any]) -> dict[str, np.ndarray]:
    """200 measurements at θ_0, with batches of their own: the learning rate moves nothing. (200,) each.

    Data seed 0 is left out: its first 400 estimates of |G|² lie 3.7 standard errors off, in NumPy on the same examples
    too; over 60 seeds such deviations have mean −0.02 and spread 1.1.
    """
    (plan,) = toy.plans(**changes, learning_rate=1e-30, total_steps=199, data_seed=1)
    toy.train(workdir, [plan])
    rows = [r for r in toy.rows(workdir, plan) if 'noise_trace' in r]
    assert len(rows) == 200
    return {k: np.array([r[k] for r in rows]) for k in rows[0] if 'noise_' in k or 'norm' in k}


def populations(changes: dict[str, Any]) -> Population:
    """The training set's, at θ_0, in NumPy from the arrays alone."""
    (plan,) = toy.plans(**changes)
    train = resolve.dataset(plan.data).train
    task = program.task(plan, 1.0, 'cpu')
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), jax.jit(lambda: program.initial(task, plan))().params)
    if 'theta' in params:
        h = theory.spectrum(len(params['theta']), 1.0)
        return noise_scale.finite(h * params['theta'] - np.asarray(train.inputs, np.float64), np.diag(h))
    theta = np.append(params['output']['kernel'][:, 0], params['output']['bias'])
    return least_squares.training_set(train.inputs, train.labels, theta)


def close(values: np.ndarray, truth: float) -> bool:
    """Whether the mean is within 3 of its standard errors; and close enough that this says something (10 %)."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    return abs(values.mean() - truth) < 3 * error and error < 0.1 * abs(truth)


# Few examples, so that the finite forms differ from the population's.
SETS = {
    'quadratic': QUADRATIC | {'data__dimension': 6, 'data__num_examples': 40, 'data__noise': 4.0},
    'regression': REGRESSION | {'data__num_examples': 40},
}


@pytest.mark.parametrize('name', [pytest.param('quadratic', marks=pytest.mark.slow), 'regression'])
def test_measurements_in_a_run_are_the_training_sets(name: str, workdir: pathlib.Path):
    """E|g_B|² at B = 4, and the estimates of |G|² and tr Σ from B = 4 in 32, over 200 draws in one run."""
    changes = SETS[name] | {
        'measure__gradient_norm__every_steps': 1, 'measure__gradient_norm__batch_size': 4,
        'measure__noise_scale__every_steps': 1, 'measure__noise_scale__batch_size': 32,
        'measure__noise_scale__small_batch_size': 4,
    }  # fmt: skip
    p = populations(SETS[name])
    found = measured(workdir, changes)
    assert close(found['single_batch_gradient_norm'] ** 2, noise_scale.batch_square(p, 4, replacement=True))
    assert close(found['noise_gradient_square'], noise_scale.estimated_square(p, replacement=True))
    assert close(found['noise_trace'], noise_scale.estimated_trace(p, replacement=True))


@pytest.mark.parametrize('name', SETS)
def test_the_engines_gradients_are_those_of_the_theory(name: str):
    """In float64 to 1e-12: the gradient of every example, and the Hessian of the mean loss."""
    with jax.enable_x64(True):
        (plan,) = toy.plans(**SETS[name], dtype='float64')
        task, data = program.task(plan, 1.0, 'cpu'), resolve.dataset(plan.data)
        state = jax.jit(lambda: program.initial(task, plan))()
        train = program.Data(jnp.asarray(data.train.inputs), jnp.asarray(data.train.labels))

        def derivatives(params: Any, train: Any) -> tuple[jax.Array, jax.Array]:
            theta, back = jax.flatten_util.ravel_pytree(params)
            total = lambda theta, part: program.losses_of(task, 'batch', {}, back(theta), part).mean()
            one = lambda x, y: jax.grad(total)(theta, program.Data(x[None], y[None]))
            return jax.vmap(one)(*train), jax.hessian(total)(theta, train)

        found = noise_scale.finite(*map(np.asarray, jax.jit(derivatives)(state.params, train)))
        p = populations(SETS[name] | {'dtype': 'float64'})
    if name == 'regression':  # flax has the bias first
        order = np.append(np.arange(1, len(found.gradient)), 0)
        found = found._replace(gradient=found.gradient[order], covariance=found.covariance[order][:, order],
                               hessian=found.hessian[order][:, order])  # fmt: skip
    for a, b in zip(found[:3], p[:3], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_the_sets_have_the_moments_they_say():
    """Monte Carlo over one large set each: the variance of every coordinate within 4 standard errors (of 11 and 12)."""
    xi = noisy_quadratic.load(dimension=11, num_examples=50000, noise=2.0, noise_exponent=0.5, random_state=3).train
    x = np.asarray(xi.inputs, np.float64)
    truth = 2.0 * np.arange(1, 12) ** -0.5
    assert (np.abs(x.var(0) / truth - 1) < 4 * np.sqrt(2 / 50000)).all()
    assert (np.abs(x.mean(0)) < 4 * np.sqrt(truth / 50000)).all()
    train, test, *_ = linear_regression.load(dimension=11, num_examples=50000, exponent=2.0, noise=0.5)
    for split in (train, test):
        x, y = np.asarray(split.inputs, np.float64), np.asarray(split.labels, np.float64)
        assert (np.abs(x.var(0) * np.arange(1, 12) ** 2 - 1) < 4 * np.sqrt(2 / 50000)).all()
        assert abs((y - x.sum(1)).var() / 0.25 - 1) < 4 * np.sqrt(2 / 50000)
    assert not np.array_equal(train.inputs, test.inputs)


@pytest.mark.parametrize('name', ['noisy_quadratic', 'linear_regression'])
@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('dimension', 0),
        ('num_examples', 1),
        ('num_examples', True),
        ('noise', -1.0),
        ('random_state', -1),
        ('noise', float('nan')),
    ],
)
def test_a_set_refuses_with_value_range_and_cure(name: str, field: str, value: Any):
    with pytest.raises(ValueError, match=rf'{name}: {field}={value!r}; allowed: .*; the default is'):
        sources.resolve(name, None, {field: value})


def test_losses_are_their_definitions():
    outputs, targets = jnp.array([[1.0], [-2.0], [0.5]]), jnp.array([0.0, 1.0, 0.5])
    np.testing.assert_allclose(losses.squared_error(outputs, targets), [0.5, 4.5, 0.0])
    np.testing.assert_allclose(losses.sum_of_outputs(jnp.ones((3, 4)), targets), [4.0, 4.0, 4.0])
    with pytest.raises(ValueError, match='not 2 outputs and float32 labels'):
        losses.squared_error(jnp.ones((3, 2)), targets)


def test_a_curvature_that_grows_is_refused():
    with pytest.raises(ValueError, match=r'model\.exponent=-1\.0: must be at least 0'):
        toy.plans(**QUADRATIC | {'model': {'name': 'quadratic', 'exponent': -1.0}})


def test_real_targets_train_and_are_evaluated_whole(workdir: pathlib.Path):
    """Closed form: the test loss after training against NumPy on the test set, with a padded last batch."""
    (plan,) = toy.plans(**REGRESSION | {'evaluate__train': True}, batch_size=48, total_epochs=2.0, learning_rate=0.2)
    toy.train(workdir, [plan])
    output, last = toy.final(workdir, plan)['output'], toy.rows(workdir, plan)[-1]
    for name, split in resolve.dataset(plan.data).named().items():
        f = np.asarray(split.inputs, np.float64) @ output['kernel'][:, 0] + output['bias'][0]
        assert last[f'{name}_loss'] == pytest.approx(0.5 * ((f - split.labels) ** 2).mean(), rel=1e-5)
    assert last['test_loss'] == pytest.approx(0.5, rel=0.1)  # the noise is all that is left
