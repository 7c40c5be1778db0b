"""Optimizers: against torch's stored trajectories, NumPy's formulas and optax's own; clipping by its definition."""

import collections
import functools
import importlib
import itertools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy

from bsresearch import optim
from bsresearch.core import lookup
from bsresearch.optim import Hyper
from bsresearch.train import program
from bsresearch.train import step as stepping

GOLDENS = json.loads((pathlib.Path(__file__).parent / 'torch_goldens.json').read_text())
MEMBERS = lookup.members('bsresearch.optim', 'build')
# Names of torch's cases that are not a file's: the file and its settings.
SETTINGS = {
    'nesterov': ('momentum', {'nesterov': True}),
    'rmsprop_centered': ('rmsprop', {'centered': True}),
    'rmsprop_momentum': ('rmsprop', {}),
    'adagrad_initial': ('adagrad', {'initial_accumulator': 0.1}),
}


def module(name: str) -> Any:
    return importlib.import_module(f'bsresearch.optim.{name}')


def run(
    name: str, settings: dict[str, Any], w: Any, gradient: Callable[[int, Any], Any], values: list[Any]
) -> list[Any]:
    """Weights after each update by an optimizer, float64; `values` are (lr, momentum, weight decay or None)."""
    table, transform = toy.hypers(name, values, **settings), module(name).build(**settings)
    return followed(lambda t: transform(jax.tree.map(lambda x: jnp.asarray(x[t]), table)), w, gradient, len(values))


def followed(
    optimizer: Callable[[int], optax.GradientTransformation], w: Any, gradient: Callable[[int, Any], Any], count: int
) -> list[Any]:
    """Weights after each of `count` updates, the optimizer's own for each, float64."""
    found, state = [], None
    with jax.enable_x64(True):
        number = lambda x: jnp.asarray(x, jnp.float64)
        w = jax.tree.map(number, w)
        for t in range(count):
            tx = optimizer(t)
            state = tx.init(w) if state is None else state
            updates, state = tx.update(jax.tree.map(number, gradient(t, w)), state, w)
            w = optax.apply_updates(w, updates)
            found.append(jax.tree.map(np.asarray, w))
    return found


@pytest.mark.parametrize('decay', [0.0, GOLDENS['decay']])
@pytest.mark.parametrize(('name', 'course'), [(n, c) for n, courses in GOLDENS['cases'].items() for c in courses])
def test_updates_are_torchs(name: str, course: str, decay: float):
    """Four updates with changing learning rates and momenta, float64, against weights stored from torch."""
    file, settings = SETTINGS.get(name, (name, {}))
    slope, drift = np.array(GOLDENS['slope']), np.array(GOLDENS['drift'])
    hypers = [(lr, m, decay or None) for lr, m in zip(GOLDENS['rates'], GOLDENS['momenta'][course], strict=True)]
    gradient = lambda t, w: slope * np.asarray(w) + (t + 1) * drift
    found = run(file, settings, np.array(GOLDENS['weights']), gradient, hypers)
    np.testing.assert_allclose(found, GOLDENS['cases'][name][course][str(decay)], rtol=1e-12, atol=1e-15)


# The formulas of one parameter tensor: what is subtracted from w. s: its state, 0 at first; t counts from 1; r: whether
# the tensor has a rate of its own; λ is read only where the formula contains the decay.


def _momentum(s: Any, g: Any, lr: float, m: float, **_: Any) -> Any:
    s['v'] = m * s['v'] + g
    return lr * s['v']


def _nesterov(s: Any, g: Any, lr: float, m: float, **_: Any) -> Any:
    s['v'] = m * s['v'] + g
    return lr * (g + m * s['v'])


def _inside(s: Any, g: Any, lr: float, m: float, **_: Any) -> Any:
    s['v'] = m * s['v'] + lr * g
    return s['v']


def _nesterov_inside(s: Any, g: Any, lr: float, m: float, **_: Any) -> Any:
    s['v'] = m * s['v'] + lr * g
    return m * s['v'] + lr * g


def _adam(s: Any, g: Any, lr: float, m: float, t: int, eps: float = 1e-8, **_: Any) -> Any:
    s['m'] = m * s['m'] + (1 - m) * g
    s['n'] = 0.999 * s['n'] + 0.001 * g**2
    return lr * s['m'] / (1 - m**t) / (np.sqrt(s['n'] / (1 - 0.999**t)) + eps)


def _corrected(s: Any, g: Any, lr: float, m: float, t: int, **_: Any) -> Any:
    s['product'] = m * (s['product'] if t > 1 else 1)
    return _adam(s, g, lr, m, t) * (1 - m**t) / (1 - s['product'])


def _rmsprop(s: Any, g: Any, lr: float, m: float, **_: Any) -> Any:
    s['n'] = 0.99 * s['n'] + 0.01 * g**2
    s['v'] = m * s['v'] + g / (np.sqrt(s['n']) + 1e-8)
    return lr * s['v']


def _adagrad(s: Any, g: Any, lr: float, **_: Any) -> Any:
    s['n'] = s['n'] + g**2
    return lr * g / (np.sqrt(s['n']) + 1e-10)


def _adadelta(s: Any, g: Any, lr: float, **_: Any) -> Any:
    s['n'] = 0.9 * s['n'] + 0.1 * g**2
    d = np.sqrt(s['x'] + 1e-6) / np.sqrt(s['n'] + 1e-6) * g
    s['x'] = 0.9 * s['x'] + 0.1 * d**2
    return lr * d


def _lars(s: Any, g: Any, lr: float, m: float, w: Any, r: bool, **_: Any) -> Any:
    rate = 0.001 * np.sqrt((w**2).sum()) / np.sqrt((g**2).sum()) if r and w.any() else 1
    s['v'] = m * s['v'] + lr * rate * g
    return s['v']


def _lamb(s: Any, g: Any, lr: float, m: float, t: int, w: Any, λ: float, r: bool) -> Any:
    u = _adam(s, g, 1.0, m, t, eps=1e-6) + λ * w
    return lr * u * (np.sqrt((w**2).sum()) / np.sqrt((u**2).sum()) if r and w.any() else 1)


def _lion(s: Any, g: Any, lr: float, m: float, **_: Any) -> Any:
    sign = np.sign(m * s['m'] + (1 - m) * g)
    s['m'] = 0.99 * s['m'] + 0.01 * g
    return lr * sign


FORMULAS: dict[str, tuple[str, dict[str, Any], Any]] = {
    'sgd': ('sgd', {}, lambda s, g, lr, **_: lr * g),
    'momentum': ('momentum', {}, _momentum),
    'nesterov': ('momentum', {'nesterov': True}, _nesterov),
    'inside': ('momentum', {'learning_rate_inside': True}, _inside),
    'nesterov_inside': ('momentum', {'learning_rate_inside': True, 'nesterov': True}, _nesterov_inside),
    'adam': ('adam', {}, _adam),
    'adam_corrected': ('adam', {'bias_correction': 'corrected'}, _corrected),
    'adamw': ('adamw', {}, _adam),
    'adamw_corrected': ('adamw', {'bias_correction': 'corrected'}, _corrected),
    'rmsprop': ('rmsprop', {}, _rmsprop),
    'adagrad': ('adagrad', {}, _adagrad),
    'adadelta': ('adadelta', {}, _adadelta),
    'lars': ('lars', {}, _lars),
    'lars_all': ('lars', {'not_adapted': ()}, _lars),
    'lamb': ('lamb', {}, _lamb),
    'lamb_some': ('lamb', {'not_adapted': ('bias', 'output/*')}, _lamb),
    'lion': ('lion', {}, _lion),
}
# How the weight decay enters, where the settings give no choice between both.
BOTH = ('coupled', 'decoupled')
DECAYS = {
    'sgd': ('coupled',),
    'adamw': ('decoupled',),
    'lion': ('decoupled',),
    'lamb': ('formula',),
    'lars': ('coupled',),
}
HYPERS = [(0.1, 0.95, 0.1), (0.05, 0.85, 0.2), (0.2, 0.9, 0.1), (0.01, 0.8, 0.3), (0.1, 0.6, 0.1)]
# A bias that starts at 0, as biases do; few shapes, for each is compiled.
GROUPED = {
    'dense_0': {'kernel': np.array([[0.5, -1.25], [2.0, 0.1]]), 'bias': np.zeros(2)},
    'norm_0': {'scale': np.array([1.0, 0.9]), 'bias': np.array([0.2, -0.1])},
    'output': {'kernel': np.array([1.5, -0.5]), 'bias': np.array([0.3, 2.0])},
}
PATHS = [
    'dense_0/bias', 'dense_0/kernel', 'norm_0/bias', 'norm_0/scale', 'output/bias', 'output/kernel'
]  # fmt: skip
SPARED = {
    (): [],
    ('bias',): ['dense_0/bias', 'norm_0/bias', 'output/bias'],
    ('norm',): ['norm_0/bias', 'norm_0/scale'],
    ('bias', 'norm'): ['dense_0/bias', 'norm_0/bias', 'norm_0/scale', 'output/bias'],
    ('bias', 'output/*'): ['dense_0/bias', 'norm_0/bias', 'output/bias', 'output/kernel'],
    ('*/kernel',): ['dense_0/kernel', 'output/kernel'],
}


def slope_and_drift(t: int, w: Any) -> Any:
    """A gradient that differs between updates, entries and leaves."""
    return jax.tree.map(lambda x: 0.7 * np.asarray(x) + (t + 1) * (0.1 + 0.05 * np.arange(x.size).reshape(x.shape)), w)


def by_hand(formula: Any, enters: str, spared: list[str], not_adapted: list[str]) -> list[Any]:
    """Weights after each update, leaf by leaf in NumPy."""
    leaves = jax.tree.map(np.copy, GROUPED)
    states = {path: collections.defaultdict(float) for path in PATHS}
    found = []
    for t, (lr, m, decay) in enumerate(HYPERS):
        for path in PATHS:
            layer, leaf = path.split('/')
            w = leaves[layer][leaf]
            λ = 0.0 if path in spared else decay
            g = slope_and_drift(t, w) + (λ * w if enters == 'coupled' else 0)
            step = formula(states[path], g, lr=lr, m=m, t=t + 1, w=w, λ=λ, r=path not in not_adapted)
            leaves[layer][leaf] = w - step - (lr * λ * w if enters == 'decoupled' else 0)
        found.append(jax.tree.map(np.copy, leaves))
    return found


def assert_close(found: Any, expected: Any, rtol: float = 1e-11) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-14), found, expected)


@pytest.mark.parametrize('no_decay', [(), ('bias', 'output/*')])
@pytest.mark.parametrize(
    ('name', 'enters'), [(n, how) for n, (file, *_) in FORMULAS.items() for how in DECAYS.get(file, BOTH)]
)
def test_updates_are_the_formulas(name: str, enters: str, no_decay: tuple[str, ...]):
    """Every optimizer, with both kinds of weight decay and with groups that have none, against NumPy."""
    file, settings, formula = FORMULAS[name]
    not_adapted = (lookup.keywords(module(file).build) | settings).get('not_adapted', ())
    expected = by_hand(formula, enters, SPARED[no_decay], SPARED[not_adapted])
    choice = {} if file in DECAYS else {'decoupled': enters == 'decoupled'}
    settings = {**settings, **choice, 'no_decay': no_decay}
    assert_close(run(file, settings, GROUPED, slope_and_drift, HYPERS), expected)


def test_every_optimizer_has_a_formula():
    assert {file for file, _, _ in FORMULAS.values()} == set(MEMBERS)


@pytest.mark.parametrize('spare', [False, True])
@pytest.mark.parametrize('name', ['lars', 'lars_nesterov', 'lamb', 'lion'])
def test_updates_are_optaxs(name: str, spare: bool):
    """Four updates with constant hyperparameters against optax's own optimizer."""
    groups = ('bias', 'norm') if spare else ()
    mask = lambda tree: jax.tree.map(lambda found: not found, optim.matches(tree, groups))
    lars = {'weight_decay_mask': mask, 'trust_ratio_mask': mask, 'trust_coefficient': 0.02, 'eps': 1e-3}
    own = {'not_adapted': groups, 'trust_coefficient': 0.02, 'epsilon': 1e-3}
    file, settings, theirs = {
        'lars': ('lars', own, optax.lars(0.1, 0.2, momentum=0.8, **lars)),
        'lars_nesterov': ('lars', own | {'nesterov': True}, optax.lars(0.1, 0.2, momentum=0.8, nesterov=True, **lars)),
        'lamb': ('lamb', {}, optax.lamb(0.1, b1=0.8, weight_decay=0.2, mask=mask)),
        'lion': ('lion', {}, optax.lion(0.1, b1=0.8, weight_decay=0.2, mask=mask)),
    }[name]
    hypers = [(0.1, 0.8, 0.2)] * 4
    found = run(file, {**settings, 'no_decay': groups}, GROUPED, slope_and_drift, hypers)
    assert_close(found, followed(lambda t: theirs, GROUPED, slope_and_drift, len(hypers)))


def test_momentum_inside_and_outside_differ_as_the_learning_rate_changes():
    """Constant gradient, 100 updates, lr 0.04 → 1 → 0.01: 481.7 outside, 496.0 inside; the same under a constant lr."""
    rates = np.interp(np.arange(100), [0, 30, 100], [0.04, 1.0, 0.01])
    for course, expected in ((rates, (481.7, 496.0)), (np.ones(100), (910.0 + 90 * 0.9**100,) * 2)):
        for inside, displacement in zip((False, True), expected, strict=True):
            settings, values = {'learning_rate_inside': inside}, [(lr, 0.9, None) for lr in course]
            found = run('momentum', settings, np.zeros(1), lambda t, w: np.ones(1), values)
            np.testing.assert_allclose(found[-1], [-displacement], atol=0.05)


@pytest.mark.parametrize('name', ['adam', 'adamw'])
def test_bias_correction_under_a_constant_gradient(name: str):
    """β₁ 0.95, 0.85, 0.85: updates of 1, 0.694, 0.813 learning rates in parity, of 1 when corrected."""
    slope = np.array([3.0, -0.2])
    moves = {}
    for kind, momenta in itertools.product(('parity', 'corrected'), ((0.95, 0.85, 0.85), (0.9, 0.9, 0.9))):
        settings, values = {'bias_correction': kind, 'epsilon': 1e-14}, [(0.5, m, None) for m in momenta]
        found = run(name, settings, np.zeros(2), lambda t, w: slope, values)
        moves[kind, momenta[0]] = -np.diff([np.zeros(2), *found], axis=0) / 0.5
    one = np.sign(slope) * np.ones((3, 1))
    np.testing.assert_allclose(moves['corrected', 0.95], one, rtol=1e-12)
    np.testing.assert_allclose(moves['corrected', 0.9], one, rtol=1e-12)
    np.testing.assert_allclose(moves['parity', 0.9], one, rtol=1e-12)
    np.testing.assert_allclose(moves['parity', 0.95], one * [[1.0], [0.694], [0.813]], atol=5e-4)


# Decays that small-batch recipes come to; 1 − 1e-9 rounds to 1 in float32.
SMALL_BATCH = 0.999 ** (1 / 32768)
NEAR_ONE = (0.0, 0.9, 0.999, SMALL_BATCH, 1 - 1e-9)
LONG = 4000


def float32_updates(name: str, courses: list[np.ndarray], **settings: Any) -> np.ndarray:
    """(courses of β₁, T, 3): the updates at lr 1 under a constant gradient of three sizes, in float32."""
    transform, slope = module(name).build(**settings), {'kernel': jnp.array([1.0, -0.3, 123.4], jnp.float32)}
    tables = [toy.hypers(name, [(1.0, m, None) for m in beta1], **settings) for beta1 in courses]
    tables = jax.tree.map(lambda *x: jnp.asarray(np.stack(x), jnp.float32), *tables)

    def update(state: Any, hyper: Hyper) -> Any:
        updates, state = transform(hyper).update(slope, state, slope)
        return state, updates['kernel']

    def run(table: Hyper) -> Any:
        first = jax.tree.map(lambda x: x[0], table)
        return jax.lax.scan(update, transform(first).init(slope), table)[1]

    return np.asarray(jax.jit(jax.vmap(run))(tables), np.float64)


def assert_ones(ratios: np.ndarray) -> None:
    """Within 1e-5 for a thousand updates, then within what rounding the second moment 4,000 times leaves."""
    assert np.abs(ratios[..., :1000, :] - 1).max() < 1e-5
    assert np.abs(ratios - 1).max() < 3e-4


@pytest.mark.parametrize(
    ('name', 'correction', 'beta2'),
    [
        *(('adam', 'parity', beta2) for beta2 in NEAR_ONE),
        *(('adam', 'corrected', beta2) for beta2 in (0.9, SMALL_BATCH)),
        ('adamw', 'parity', SMALL_BATCH),
        *(('lamb', None, beta2) for beta2 in (0.9, SMALL_BATCH)),
    ],
)
def test_a_constant_gradient_moves_by_the_learning_rate(name: str, correction: str | None, beta2: float):
    """Closed form, float32: m̂ = g and v̂ = g², so that each update is lr, at every t, for every β₂ and β₁."""
    settings = {'beta2': beta2, 'epsilon': 1e-30} | ({'bias_correction': correction} if correction else {})
    settings |= {'not_adapted': ('*',)} if name == 'lamb' else {}
    courses = [np.full(LONG, beta1) for beta1 in (0.0, 0.9, 1 - 1e-6)]
    if correction == 'corrected':  # whatever the course
        courses.append(np.interp(np.arange(LONG), [0, 1200, LONG], [1 - 1e-7, 0.85, 0.999]))
    assert_ones(-float32_updates(name, courses, **settings) * np.sign([1, -0.3, 123.4]))


@pytest.mark.parametrize('decay', NEAR_ONE)
def test_moments_without_correction_are_their_closed_forms(decay: float):
    """Float32, constant gradient: RMSprop moves by lr/√(1 − αᵗ), AdaDelta as the recurrence in float64."""
    t = np.arange(1, LONG + 1)
    weight = 1 - decay**t if decay < 0.9 else -np.expm1(t * np.log(decay))
    plain = -float32_updates('rmsprop', [np.zeros(LONG)], alpha=decay, epsilon=1e-30)[0] * np.sign([1, -0.3, 123.4])
    assert_ones(plain * np.sqrt(weight)[:, None])
    g, s, x = np.array([1.0, -0.3, 123.4], np.float32).astype(np.float64), np.zeros(3), np.zeros(3)
    expected = []
    for _ in t:
        s = s + (1 - decay) * (g**2 - s)
        d = g * np.sqrt(x + 1e-6) / np.sqrt(s + 1e-6)
        x = x + (1 - decay) * (d**2 - x)
        expected.append(-d)
    found = float32_updates('adadelta', [np.zeros(LONG)], rho=decay)[0] / np.array(expected)
    assert np.abs(found - 1).max() < 3e-4  # its rounding feeds itself


def test_lions_moment_follows_a_slow_decay():
    """Float32: m = (1 − β₂ᵗ)g under a constant gradient; a sign with β₁ near 1 is that of m until m is small enough."""
    beta2 = 1 - 1e-9
    hyper = jax.tree.map(lambda x: jnp.float32(x[0]), toy.hypers('lion', [(1.0, 1 - 1e-9, None)], beta2=beta2))
    tx, w = module('lion').build(beta2=beta2)(hyper), {'w': jnp.zeros(1)}
    state = tx.init(w)
    for _ in range(100):
        _, state = tx.update({'w': jnp.ones(1)}, state, w)
    moment = optax.tree.get(state, 'mu')['w']
    np.testing.assert_allclose(moment, -np.expm1(100 * np.log(beta2)), rtol=1e-5)
    # β₁m + (1 − β₁)g = 1e-7 − 1e-9·g changes sign at g = −100.
    for g, sign in ((-90.0, -1.0), (-110.0, 1.0)):
        np.testing.assert_array_equal(tx.update({'w': jnp.array([g])}, state, w)[0]['w'], [sign])


def test_one_layout_of_the_state():
    """What older checkpoints hold: for the settings there were, the states are those of these chains.

    So are the updates, bit for bit where no decay is near 1, and within rounding for moments.
    """
    zero = jnp.float32(0)
    chains = {
        'sgd': (),
        'momentum': (optax.trace(0.8),),
        'adam': (optax.scale_by_adam(0.8, 0.999, 1e-8),),
        'adamw': (optax.scale_by_adam(0.8, 0.999, 1e-8),),
        'lamb': (optax.scale_by_adam(0.8, 0.999, 1e-6),),
        'lion': (optax.scale_by_lion(0.8, 0.99),),
        'adadelta': (optax.scale_by_adadelta(0.9, 1e-6),),
        'rmsprop': (optax.chain(optax.scale_by_rms(0.99, 1e-8, eps_in_sqrt=False), optax.trace(0.8)),),
        'rmsprop_centered': (optax.chain(optax.scale_by_stddev(0.99, 1e-8, eps_in_sqrt=False), optax.trace(0.8)),),
    }
    params = jax.tree.map(jnp.float32, GROUPED)
    table = jax.tree.map(jnp.float32, {n: toy.hypers(SETTINGS.get(n, (n,))[0], [(0.1, 0.8, 0.2)] * 3) for n in chains})
    for name, parts in chains.items():
        file, settings = SETTINGS.get(name, (name, {}))
        decay, scale = optax.add_decayed_weights(zero + 0.2), optax.scale(zero - 0.1)
        adapted = (optim.adapt(1.0, 0.0, ()),) if name == 'lamb' else ()
        after = name in ('adamw', 'lamb', 'lion')
        old = optax.chain(*((*parts, decay) if after else (decay, *parts)), *adapted, scale)
        build = module(file).build(**settings)
        then = now = old.init(params)
        toy.assert_equal(build(jax.tree.map(lambda x: x[0], table[name])).init(params), then)
        update_old = jax.jit(old.update)
        update_new = jax.jit(lambda hyper, *args, build=build: build(hyper).update(*args))
        for t in range(3):
            hyper = jax.tree.map(lambda x, t=t: x[t], table[name])
            (expected, then), (updates, now) = update_old(params, then, params), update_new(hyper, params, now, params)
            assert jax.tree.structure(now) == jax.tree.structure(then)
            check = toy.assert_equal if name in ('sgd', 'momentum') else functools.partial(assert_close, rtol=1e-5)
            check((updates, now), (expected, then))


def variants(name: str) -> list[dict[str, Any]]:
    """An optimizer's settings: its defaults, and every switch thrown with a group of parameters."""
    schema = lookup.keywords(module(name).build)
    thrown = {k: not v for k, v in schema.items() if isinstance(v, bool)}
    texts = {'bias_correction': 'corrected'} if 'bias_correction' in schema else {}
    return [{}, {**thrown, **texts, 'no_decay': ('bias', 'no/such')}]


@pytest.mark.parametrize(('name', 'settings'), [(n, s) for n in MEMBERS for s in variants(n)], ids=str)
def test_every_optimizer_keeps_its_contract(name: str, settings: dict[str, Any]):
    """Jits once for all hyperparameters, maps over replicas, keeps dtypes, is deterministic.

    Its state holds no hyperparameter, and has one layout at the start, later, and with or without weight decay.
    """
    transform = module(name).build(**settings)
    params = {'bias': jnp.arange(3.0), 'kernel': jnp.ones((2, 2))}
    traces = []

    @jax.jit
    def update(hyper: Hyper, params: Any) -> Any:
        traces.append(1)
        tx = transform(hyper)
        return tx.update(params, tx.init(params), params)

    first_of = lambda r, m: jax.tree.map(lambda x: jnp.float32(x[0]), toy.hypers(name, [(r, m, 0.1)], **settings))
    hypers = [first_of(0.1, 0.9), first_of(0.2, 0.5)]
    first, second = (update(h, params) for h in hypers)
    assert len(traces) == 1
    assert jax.tree.map(lambda x: x.dtype, first[0]) == jax.tree.map(lambda x: x.dtype, params)
    toy.assert_equal(first, update(hypers[0], params))
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *hypers)
    mapped = jax.vmap(update, in_axes=(0, None))(stacked, params)
    for r, alone in enumerate((first, second)):
        jax.tree.map(lambda m, a, r=r: np.testing.assert_allclose(m[r], a, rtol=1e-6), mapped, alone)
    start = transform(hypers[0]).init(params)
    toy.assert_equal(start, transform(hypers[1]._replace(weight_decay=None)).init(params))
    kinds = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    assert kinds(start) == kinds(first[1]) == kinds(update(hypers[0]._replace(weight_decay=None), params)[1])


@pytest.mark.parametrize('name', [n for n in MEMBERS if n not in ('lars', 'lamb')])
def test_no_weight_decay_reads_no_weights(name: str):
    """LARS and LAMB need their norms."""
    hyper = jax.tree.map(lambda x: jnp.float32(x[0]), toy.hypers(name, [(0.1, 0.9, None)]))
    tx = module(name).build(no_decay=('bias',))(hyper)
    gradient = {'kernel': jnp.ones(2)}
    tx.update(gradient, tx.init(gradient), None)


@pytest.mark.parametrize('name', MEMBERS)
def test_momentum_is_used_as_declared(name: str):
    """HAS_MOMENTUM: the second update depends on it; MOMENTUM lies in [0, 1), and is 0 where there is none."""
    member = module(name)
    # The second gradient is small and of the other sign, so that the momentum decides also for Lion.
    gradient = lambda t, w: jax.tree.map(lambda x: np.full(x.shape, (1.0, -0.005)[t]), w)
    ends = [run(name, {}, GROUPED, gradient, [(0.1, m, None)] * 2)[-1] for m in (0.2, 0.9)]
    same = all(jax.tree.leaves(jax.tree.map(np.array_equal, *ends)))
    assert same is not member.HAS_MOMENTUM
    assert 0 <= member.MOMENTUM < 1
    assert member.HAS_MOMENTUM or member.MOMENTUM == 0


# Refused values of every setting that is a number.
REFUSED = {
    'beta2': (1.0, -0.1),
    'alpha': (1.0, -0.1),
    'rho': (1.0, -0.1),
    'epsilon': (-1e-8, float('inf'), float('nan')),
    'trust_coefficient': (0.0, -0.1),
    'initial_accumulator': (-0.1,),
}


@pytest.mark.parametrize('name', MEMBERS)
def test_bad_settings_are_refused(name: str):
    build = module(name).build
    numbers = [k for k, v in lookup.keywords(build).items() if isinstance(v, float)]
    for field, value in [(f, v) for f in numbers for v in REFUSED[f]]:
        with pytest.raises(ValueError, match=rf'optimizer\.{field}={value}: must lie in'):
            build(**{field: value})
    if 'epsilon' in numbers and name != 'lars':
        with pytest.raises(ValueError, match=r'optimizer\.epsilon=0\.0'):
            build(epsilon=0.0)
    if 'bias_correction' in lookup.keywords(build):
        with pytest.raises(ValueError, match=r"optimizer\.bias_correction='torch': allowed are parity, corrected"):
            build(bias_correction='torch')


def test_groups_of_parameters():
    """By name or by pattern, also on shapes; a pattern of nothing is refused with what there is."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, np.float32), GROUPED)
    for patterns, paths in SPARED.items():
        found = jax.tree.leaves(optim.matches(shapes, patterns))
        assert [path for path, hit in zip(PATHS, found, strict=True) if hit] == paths
        optim.check_groups(shapes, patterns, 'config.optimizer.no_decay')
    # A name that only begins so, and a whole path where the group wants a module.
    other = {'debias': {'bias_x': 0}, 'x': {'norm': 0}}
    assert not any(jax.tree.leaves(optim.matches(other, ('bias', 'norm'))))
    optim.check_groups(other, ('bias', 'norm'), 'config.optimizer.no_decay')
    with pytest.raises(
        ValueError, match=r"config\.optimizer\.no_decay=.*'head/\*' matches no parameter; .*output/bias"
    ):
        optim.check_groups(shapes, ('bias', 'head/*'), 'config.optimizer.no_decay')


def test_clipping_acts_once_on_the_whole_gradient():
    """By norm: g·min(1, c/‖g‖); by value: each entry; both leave a small gradient as it is."""
    (plan,) = toy.plans()
    base = program.task(plan, 16.0, 'cpu')
    gradient = {'a': jnp.array([3.0, -4.0]), 'b': jnp.array([[12.0]])}
    clip = lambda **kw: stepping.clip(stepping.Task(**(vars(base) | kw)), gradient)
    by_norm, norm = clip(clip_norm=6.5)
    assert float(norm) == 13.0
    np.testing.assert_allclose(by_norm['a'], [1.5, -2.0], rtol=1e-6)
    np.testing.assert_allclose(stepping.norm(by_norm), 6.5, rtol=1e-6)
    toy.assert_equal(clip(clip_norm=13.1)[0], gradient)
    by_value, largest = clip(clip_value=3.5)
    toy.assert_equal(by_value, {'a': jnp.array([3.0, -3.5]), 'b': jnp.array([[3.5]])})
    assert float(largest) == 12.0


def test_the_norm_is_recorded_before_clipping(tmp_path: pathlib.Path):
    """With a tight bound the update is lr·bound long, the recorded gradient norm is not."""
    (plan,) = toy.plans(clip__norm=1e-3, norms__every_steps=1, total_steps=3)
    toy.train(tmp_path, [plan])
    rows = [r for r in toy.rows(tmp_path, plan) if 'gradient_norm' in r]
    assert len(rows) == 3
    for row in rows:
        assert row['gradient_norm'] > 0.1
        assert row['update_norm'] == pytest.approx(0.05e-3, rel=1e-3)
