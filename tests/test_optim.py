"""Optimizers: against torch's stored trajectories; clipping against its definition."""

import functools
import importlib
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from bsresearch import lookup
from bsresearch.optim import Hyper
from bsresearch.train import program
from bsresearch.train import step as stepping

GOLDENS = json.loads((pathlib.Path(__file__).parent / 'torch_goldens.json').read_text())
BUILDS = {
    'sgd': ('sgd', {}),
    'momentum': ('momentum', {}),
    'nesterov': ('momentum', {'nesterov': True}),
    'adam': ('adam', {}),
    'adamw': ('adamw', {}),
}


@pytest.mark.parametrize('decay', [0.0, GOLDENS['decay']])
@pytest.mark.parametrize('name', sorted(BUILDS))
def test_updates_are_torchs(name: str, decay: float):
    """Four updates with changing learning rates, float64, against weights stored from torch."""
    module, keywords = BUILDS[name]
    with jax.enable_x64(True):
        transform = importlib.import_module(f'bsresearch.optim.{module}').build(**keywords)
        w = jnp.asarray(GOLDENS['weights'], jnp.float64)
        number = functools.partial(jnp.asarray, dtype=jnp.float64)
        state = None
        for t, expected in enumerate(GOLDENS['cases'][name][str(decay)]):
            hyper = Hyper(number(GOLDENS['rates'][t]), number(GOLDENS['momenta'][t]), number(decay) if decay else None)
            tx = transform(hyper)
            state = tx.init(w) if state is None else state
            gradient = number(GOLDENS['slope']) * w + (t + 1) * number(GOLDENS['drift'])
            updates, state = tx.update(gradient, state, w)
            w = w + updates
            np.testing.assert_allclose(w, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize('name', lookup.members('bsresearch.optim', 'build'))
def test_every_optimizer_keeps_its_contract(name: str):
    """Jits once for all hyperparameters, maps over replicas, keeps dtypes, is deterministic."""
    transform = importlib.import_module(f'bsresearch.optim.{name}').build()
    params = {'a': jnp.arange(3.0), 'b': jnp.ones((2, 2))}
    traces = []

    @jax.jit
    def update(hyper: Hyper, params: Any) -> Any:
        traces.append(1)
        tx = transform(hyper)
        return tx.update(params, tx.init(params), params)

    hypers = [Hyper(jnp.float32(r), jnp.float32(m), jnp.float32(0.1)) for r, m in ((0.1, 0.9), (0.2, 0.5))]
    first, second = (update(h, params) for h in hypers)
    assert len(traces) == 1
    assert jax.tree.map(lambda x: x.dtype, first[0]) == jax.tree.map(lambda x: x.dtype, params)
    toy.assert_equal(first, update(hypers[0], params))
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *hypers)
    mapped = jax.vmap(update, in_axes=(0, None))(stacked, params)
    for r, alone in enumerate((first, second)):
        jax.tree.map(lambda m, a, r=r: np.testing.assert_allclose(m[r], a, rtol=1e-6), mapped, alone)


def test_clipping_acts_once_on_the_whole_gradient():
    """By norm: g·min(1, c/‖g‖); by value: each entry; both leave a small gradient as it is."""
    (plan,) = toy.plans()
    base = program.task(plan, 16.0, 'cpu')
    gradient = {'a': jnp.array([3.0, -4.0]), 'b': jnp.array([[12.0]])}
    clip = lambda **kw: stepping._clip(stepping.Task(**(vars(base) | kw)), gradient)
    by_norm = clip(clip_norm=6.5)
    np.testing.assert_allclose(by_norm['a'], [1.5, -2.0], rtol=1e-6)
    np.testing.assert_allclose(stepping.norm(by_norm), 6.5, rtol=1e-6)
    toy.assert_equal(clip(clip_norm=13.1), gradient)
    toy.assert_equal(clip(clip_value=3.5), {'a': jnp.array([3.0, -3.5]), 'b': jnp.array([[3.5]])})


def test_the_norm_is_recorded_before_clipping(tmp_path: pathlib.Path):
    """With a tight bound the update is lr·bound long, the recorded gradient norm is not."""
    (plan,) = toy.plans(clip__norm=1e-3, norms__every_steps=1, total_steps=3)
    toy.train(tmp_path, [plan])
    rows = [r for r in toy.rows(tmp_path, plan) if 'gradient_norm' in r]
    assert len(rows) == 3
    for row in rows:
        assert row['gradient_norm'] > 0.1
        assert row['update_norm'] == pytest.approx(0.05e-3, rel=1e-3)
