"""Diagonal preconditioners against the updates of their optimizers, and the noise scale they give."""

import importlib
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from bsresearch.core import lookup
from bsresearch.measure import noise_scale
from bsresearch.planning import resolve
from bsresearch.train import program

HAVING = ('adagrad', 'adam', 'adamw', 'rmsprop')
SETTINGS = {
    'adagrad': [{'epsilon': 1e-3}],
    'adam': [{'epsilon': 1e-3}, {'bias_correction': 'corrected'}, {'decoupled': True}],
    'adamw': [{'beta2': 0.9}],
    'rmsprop': [{'epsilon': 1e-3}, {'centered': True}],
}
RNG = np.random.default_rng(0)
PAST = RNG.normal(size=(5, 6))
PAST[:, 0] = 0  # a coordinate without gradient so far


def seconds(name: str, settings: dict[str, Any]) -> tuple[np.ndarray, float]:
    """(v̂, epsilon) after the gradients of PAST, in NumPy by the definition."""
    defaults = lookup.keywords(importlib.import_module(f'bsresearch.optim.{name}').build) | settings
    if name == 'adagrad':
        return (PAST**2).sum(0), defaults['epsilon']
    decay = defaults['alpha' if name == 'rmsprop' else 'beta2']
    weights = (1 - decay) * decay ** np.arange(4, -1, -1)
    v = weights @ PAST**2
    if settings.get('centered'):
        v = v - (weights @ PAST) ** 2
    return (v if name == 'rmsprop' else v / weights.sum()), defaults['epsilon']


def test_adaptive_optimizers_and_no_others_have_one():
    assert lookup.members('bsresearch.optim', 'precondition') == HAVING


@pytest.mark.parametrize(('name', 'settings'), [(n, s) for n in HAVING for s in SETTINGS[n]], ids=str)
def test_it_is_the_diagonal_of_the_optimizer(name: str, settings: dict[str, Any]):
    """Closed form, float64: g/(√v̂ + epsilon) after five updates; 0 before the first and where no gradient ever was."""
    module = importlib.import_module(f'bsresearch.optim.{name}')
    own = lookup.check_keywords(module.build, settings, name)
    own.pop('no_decay')
    with jax.enable_x64(True):
        table = toy.hypers(name, [(0.1, 0.9, 0.01 if name == 'adamw' else None)] * 6, **settings)
        hypers = [jax.tree.map(lambda x, t=t: jnp.asarray(x[t]), table) for t in range(6)]
        build = module.build(**settings)
        params, gradient = {'w': jnp.ones(6)}, {'w': jnp.arange(1.0, 7.0)}
        state = jax.jit(lambda hyper: build(hyper).init(params))(hypers[0])
        update = jax.jit(lambda hyper, g, state: build(hyper).update({'w': g}, state, params)[1])
        precondition = jax.jit(lambda *args: module.precondition(*args, **own))
        assert not np.asarray(precondition(state, gradient, hypers[0])['w']).any()
        for g, hyper in zip(PAST, hypers, strict=False):
            state = update(hyper, g, state)
        found = precondition(state, gradient, hypers[5])
    v, epsilon = seconds(name, settings)
    expected = np.where(v > 0, np.arange(1, 7) / (np.sqrt(v) + epsilon), 0)
    np.testing.assert_allclose(np.asarray(found['w']), expected, rtol=1e-6)
    assert expected[0] == 0


def test_noise_scale_is_that_of_scaled_gradients():
    """Brute force: small batches one by one, their gradients divided by √v̂ + ε of a run's Adam, float64."""
    (plan,) = toy.plans(dtype='float64', optimizer__name='adam')
    data = resolve.dataset(plan.data)
    with jax.enable_x64(True):
        task = program.task(plan, data.scale, 'cpu')
        state = jax.jit(lambda: program.initial(task, plan))()
        table = toy.hypers('adam', [(0.01, 0.9, None)] * 4)
        hypers = [jax.tree.map(lambda x, t=t: jnp.asarray(x[t]), table) for t in range(4)]
        rows = lambda a, b: program.Data(jnp.asarray(data.train.inputs[a:b]), jnp.asarray(data.train.labels[a:b]))
        losses = lambda params, part: program.losses_of(task, 'batch', {}, params, part).mean()
        of_rows = jax.jit(jax.grad(losses))
        gradient = lambda a, b: of_rows(state.params, rows(a, b))
        past = [gradient(100 * i, 100 * i + 50) for i in range(3)]
        slots = state.opt_state
        update = jax.jit(lambda hyper, g, slots: task.transform(hyper).update(g, slots, state.params)[1])
        for g, hyper in zip(past, hypers, strict=False):
            slots = update(hyper, g, slots)
        flat = lambda tree: np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])
        v = sum(0.001 * 0.999 ** (2 - i) * flat(g) ** 2 for i, g in enumerate(past)) / (1 - 0.999**3)
        scale = np.where(v > 0, 1 / (np.sqrt(v) + 1e-8), 0)
        norm = lambda a, b: ((scale * flat(gradient(a, b))) ** 2).sum()
        small, big = np.mean([norm(i, i + 8) for i in range(0, 48, 8)]), norm(0, 48)
        quantity = noise_scale.build(batch_size=48, small_batch_size=8, preconditioned=True)
        given = program.MeasureInputs(hypers[3], rows(0, 48), jnp.zeros(()))
        origins = program.Origins(state.params, state.params)
        measure = lambda at, given: program.measure(task, quantity, quantity.init(None), at, origins, given, None)[1]
        found = jax.jit(measure)(state._replace(opt_state=slots), given)
    assert float(found['noise_trace']) == pytest.approx((small - big) / (1 / 8 - 1 / 48), rel=1e-6)
    assert float(found['noise_gradient_square']) == pytest.approx((48 * big - 8 * small) / 40, rel=1e-6)


def test_before_the_first_update_a_run_has_nothing_to_average(tmp_path: pathlib.Path):
    """Closed form: nothing to average at update 0; the first average is the first estimate after it."""
    settings = {'measure__noise_scale__preconditioned': True, 'measure__noise_scale__at_steps': (0, 2)}
    (plan,) = toy.plans(optimizer__name='adam', total_steps=2, **settings)
    toy.train(tmp_path, [plan])
    first, last = (r for r in toy.rows(tmp_path, plan) if 'noise_trace' in r)
    assert first['noise_trace'] == first['noise_gradient_square'] == 0
    assert first['noise_scale'] is None  # NaN
    assert last['noise_trace_average'] == pytest.approx(last['noise_trace'], rel=1e-5)
    assert last['noise_negative_fraction'] == (last['noise_gradient_square'] < 0)


@pytest.mark.parametrize('name', ['sgd', 'lion'])
def test_an_optimizer_without_one_is_refused(name: str):
    settings = {'optimizer__name': name, 'measure__noise_scale__preconditioned': True}
    with pytest.raises(ValueError, match=f'{name!r} has not; those that have: adagrad, adam, adamw, rmsprop'):
        toy.plans(**settings, measure__noise_scale__every_epochs=1.0)
    toy.plans(**settings)  # it is off
