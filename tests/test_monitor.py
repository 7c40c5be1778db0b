"""Monitor: measurements inside loops of one's own, and over every kind of pytree that holds weights."""

import functools
import importlib
import json
import pathlib
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy
from flax import linen as nn
from flax import nnx

import bsresearch as bs
from bsresearch.core import lookup
from bsresearch.measure import Context, Measure

X = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(16, 3)).astype(np.float32)


@jax.tree_util.register_pytree_with_keys_class
class Linear:
    """A module as equinox has them: a registered class with arrays as fields, and something static."""

    def __init__(self, weight: Any, bias: Any, name: str = 'linear'):
        self.weight, self.bias, self.name = weight, bias, name

    def __call__(self, x: Any) -> Any:
        return x @ self.weight + self.bias[None]

    def tree_flatten_with_keys(self) -> Any:
        key = jax.tree_util.GetAttrKey
        return ((key('weight'), self.weight), (key('bias'), self.bias)), self.name

    @classmethod
    def tree_unflatten(cls, name: str, children: Any) -> 'Linear':
        weight, bias = children
        return cls(weight, bias, name)


class Pair(NamedTuple):
    weight: Any
    bias: Any


class Module(nnx.Module):
    def __init__(self):
        self.dense = nnx.Linear(4, 3, rngs=nnx.Rngs(0))


class Net(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        return nn.Dense(3, name='dense')(x)


KERNEL, BIAS = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32), np.full(3, 0.5, np.float32)
GRAPH, STATE = nnx.split(Module())
NNX = jax.tree.unflatten(jax.tree.structure(STATE), [BIAS, KERNEL])

# Weights of one and the same affine map, and how they are applied; top: the names of the layers.
KINDS: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
    'dict': ({'dense': {'kernel': KERNEL, 'bias': BIAS}},
             lambda p, x: x @ p['dense']['kernel'] + p['dense']['bias'][None], ('dense',)),
    'list': ([KERNEL, BIAS], lambda p, x: x @ p[0] + p[1][None], ('0', '1')),
    'tuple': (((KERNEL, BIAS),), lambda p, x: x @ p[0][0] + p[0][1][None], ('0',)),
    'named tuple': (Pair(KERNEL, BIAS), lambda p, x: x @ p.weight + p.bias[None], ('weight', 'bias')),
    'module': (Linear(KERNEL, BIAS), lambda p, x: p(x), ('weight', 'bias')),
    'list of modules': ([Linear(KERNEL, BIAS), None], lambda p, x: p[0](x), ('0',)),
    'nnx': (NNX, lambda p, x: nnx.merge(GRAPH, p).dense(x), ('dense',)),
    'linen': ({'dense': {'kernel': KERNEL, 'bias': BIAS}}, lambda p, x: Net().apply({'params': p}, x), ('dense',)),
    'array': (np.concatenate([KERNEL, BIAS[None]]), lambda p, x: x @ p[:4] + p[4:], ('array',)),
}  # fmt: skip
SETTINGS = {
    'angular_distance': {'every_kernel': True},
    'noise_scale': {'small_batch_size': 4},
    'hessian_trace': {'micro_batch_size': 16},
    'sharpness': {'batch_size': 16},
    'path_length': {'per_layer': True},
    'parameter_norm': {'per_layer': True},
    'branch_distance': {'per_layer': True},
    'individual_gradients': {'per_layer': True},
}
SIZED = (
    'alpha', 'gradient_cosine', 'gradient_norm', 'hessian_eigenvalues', 'hessian_trace', 'individual_gradients',
    'noise_scale', 'update_ratio',
)  # fmt: skip
MEASUREMENTS = lookup.members('bsresearch.measure', 'build')


def context(kind: str) -> Context:
    """At weights that moved to 1.1 θ_0; a batch as a dict, the whole set as a tuple with weights beside."""
    first, apply, _ = KINDS[kind]
    losses = lambda p, batch: ((apply(p, batch['x']) - batch['y']) ** 2).mean(1)
    gradient = jax.value_and_grad(lambda p, batch: losses(p, batch).mean())
    moved = lambda scale: jax.tree.map(lambda x: jnp.asarray(x) * scale, first)
    return Context(
        step=jnp.int32(3), params=moved(1.1), initial_params=moved(1.0), batch={'x': X, 'y': Y}, gradient=gradient,
        hyper=None, losses=losses, whole={'x': X[:12], 'y': Y[:12]}, key=jax.random.key(0), branch_params=moved(1.0),
        propose=lambda g: jax.tree.map(lambda x: -x / 10, g), precondition=None,
    )  # fmt: skip


def quantity(name: str) -> Measure:
    settings = dict(SETTINGS.get(name, {})) | ({'batch_size': 16} if name in SIZED else {})
    if name == 'curvature_noise_scale':
        settings |= {'batch_size': 4, 'hessian_batch_size': 8}
    return importlib.import_module(f'bsresearch.measure.{name}').build(**settings)


@functools.cache
def measured(kind: str) -> dict[str, dict[str, float]]:
    """What every measurement gives, by name; all that run on the device in one program."""
    here, every = context(kind), {name: quantity(name) for name in MEASUREMENTS}
    of_one = lambda one, params: one.update(one.init(here.initial_params), here._replace(params=params))[1]
    of_device = lambda params: {name: of_one(one, params) for name, one in every.items() if not one.host}
    of_host = {name: of_one(one, here.params) for name, one in every.items() if one.host}
    return jax.tree.map(float, of_host | jax.jit(of_device)(here.params))


# What is drawn at random follows the order of the leaves, and converges, or does not.
DRAWN = {'hessian_trace': ('hessian_trace',), 'hessian_eigenvalues': ('hessian_residual', 'hessian_products')}


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind != 'dict'])
@pytest.mark.parametrize('name', MEASUREMENTS)
def test_every_measurement_takes_every_kind_of_pytree(name: str, kind: str):
    """Equal to that of the same weights in a dict; metrics of layers are called after the pytree's own parts."""
    found, expected = measured(kind)[name], measured('dict')[name]
    whole = {m: x for m, x in expected.items() if '/' not in m or name == 'hessian_eigenvalues'}
    for metric, value in whole.items():
        if not metric.startswith(DRAWN.get(name, 'none')):
            assert found[metric] == pytest.approx(value, rel=1e-4, abs=1e-5), metric
    if name == 'angular_distance':
        assert len(found) == 1
    elif name != 'hessian_eigenvalues':
        layers = {m.partition('/')[2] for m in found if '/' in m}
        assert layers in (set(), set(KINDS[kind][2]))
        assert bool(layers) == any('/' in m for m in expected)


def loss_fn(params: Any, batch: Any) -> jax.Array:
    return ((batch[0] @ params['w'] - batch[1]) ** 2).mean()


WEIGHTS = {'w': KERNEL}
HALVES = (slice(8), slice(8, None))
WATCHED: dict[str, Any] = {
    'noise_scale': {'every': 4, 'small_batch_size': 4}, 'distance': {'every': 2, 'per_layer': False},
    'path_length': {'every': 1},
}  # fmt: skip


def descended(loss: Any, params: Any, watched: dict[str, Any], batch: Any, count: int = 9) -> list[dict[str, Any]]:
    """What a loop of plain SGD under jit measures; the training state is donated."""
    monitor = bs.Monitor(loss, params, **watched)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def train_step(params: Any, state: Any, step: Any) -> Any:
        state, row = monitor(state, params, step, batch, jax.random.key(0))
        gradient = jax.grad(loss)(params, batch)
        return jax.tree.map(lambda w, g: w - 0.1 * g, params, gradient), state, row

    params, rows = jax.tree.map(jnp.array, params), []
    state = monitor.init(params)
    for step in range(count):
        params, state, row = train_step(params, state, jnp.int32(step))
        rows.append(monitor.measured(row))
    return rows


def test_a_loop_under_jit_measures_what_is_due_at_theta_t():
    """Closed forms in NumPy: the path of gradient descent on least squares; noise scale as bs.noise_scale has it."""
    rows = descended(loss_fn, WEIGHTS, WATCHED, (X, Y))
    w, path = [KERNEL.astype(np.float64)], [0.0]
    for _ in range(8):
        w.append(w[-1] - 0.1 * 2 * X.T @ (X @ w[-1] - Y) / Y.size)
        path.append(path[-1] + float(np.linalg.norm(w[-1] - w[-2])))
    assert [row['step'] for row in rows] == list(range(9))
    for t, row in enumerate(rows):
        assert ('distance' in row, 'noise_trace' in row) == (t % 2 == 0, t % 4 == 0)
        assert row['path_length'] == pytest.approx(path[t], rel=1e-5)
        if t % 2 == 0:
            assert row['distance'] == pytest.approx(np.linalg.norm(w[t] - w[0]), rel=1e-5)
        if t % 4 == 0:
            alone = bs.noise_scale(loss_fn, {'w': w[t].astype(np.float32)}, (X, Y), small=4)
            assert row['noise_trace'] == pytest.approx(alone.trace, rel=1e-5)
            assert row['noise_gradient_square'] == pytest.approx(alone.gradient_square, rel=1e-4)
    assert json.loads(json.dumps(rows[4])) == rows[4]


def test_what_is_not_due_is_nan_and_leaves_the_state_alone():
    monitor = bs.Monitor(loss_fn, WEIGHTS, noise_scale={'every': 4, 'small_batch_size': 4})
    before = monitor.init(WEIGHTS)
    state, row = monitor(before, WEIGHTS, 3, (X, Y), jax.random.key(0))
    assert np.isnan(row['noise_trace'])
    assert monitor.measured(row) == {}
    jax.tree.map(np.testing.assert_array_equal, state, before)
    state, row = monitor(before, WEIGHTS, 4, (X, Y), jax.random.key(0))
    assert monitor.measured(row).keys() == {'step'} | {m for m in row if m.startswith('noise')}
    assert float(state.measurements['noise_scale'].count) == 1


def test_in_a_scan_it_is_the_same_program():
    """A loop on the device carries the state; the rows come stacked."""
    monitor = bs.Monitor(loss_fn, WEIGHTS, **WATCHED)

    def body(state: Any, step: Any) -> Any:
        return monitor(state, WEIGHTS, step, (X, Y), jax.random.key(0))

    _, rows = jax.jit(lambda state: jax.lax.scan(body, state, jnp.arange(9)))(monitor.init(WEIGHTS))
    np.testing.assert_array_equal(np.isfinite(rows['noise_trace']), np.arange(9) % 4 == 0)
    np.testing.assert_array_equal(rows['distance'][::2], np.zeros(5))


@pytest.mark.parametrize('kind', ['linen', 'nnx', 'module', 'list', 'array'])
def test_loops_of_all_libraries_measure_the_same(kind: str):
    """Flax linen and nnx, a module like equinox's, bare arrays: descent on the same affine map."""
    first, apply, _ = KINDS[kind]
    loss = lambda params, batch: ((apply(params, batch[0]) - batch[1]) ** 2).mean()
    rows = descended(loss, first, WATCHED, (X, Y), count=5)
    expected = by_hand()
    assert [row.keys() for row in rows] == [row.keys() for row in expected]
    for row, other in zip(rows, expected, strict=True):
        assert row == pytest.approx(other, rel=1e-4, abs=1e-5, nan_ok=True)


@functools.cache
def by_hand() -> list[dict[str, Any]]:
    first, apply, _ = KINDS['dict']
    loss = lambda params, batch: ((apply(params, batch[0]) - batch[1]) ** 2).mean()
    return descended(loss, first, WATCHED, (X, Y), count=5)


def test_the_optimizer_the_rate_and_the_whole_set_are_given_with_the_call():
    """α of plain SGD is that of the engine's measurement with its `propose`; the others read what they were given."""
    optimizer = optax.sgd(0.1)
    settings = {'every': 1, 'batch_size': 16}
    watched = ('alpha', 'update_ratio', 'gradient_cosine', 'individual_gradients', 'hessian_eigenvalues')
    monitor = bs.Monitor(loss_fn, WEIGHTS, optimizer=optimizer, **dict.fromkeys(watched, settings))
    given = {'opt_state': optimizer.init(WEIGHTS), 'learning_rate': 0.1, 'whole': (X, Y)}
    _, row = monitor(monitor.init(WEIGHTS), WEIGHTS, 0, (X, Y), jax.random.key(0), **given)
    gradient = jax.grad(loss_fn)(WEIGHTS, (X, Y))['w']
    hessian = 2 * X.T @ X / Y.size
    assert float(row['update_ratio']) == pytest.approx(
        0.1 * np.linalg.norm(gradient) / np.linalg.norm(KERNEL), rel=1e-5
    )
    assert float(row['gradient_cosine']) == pytest.approx(1, rel=1e-5)
    largest = np.linalg.eigvalsh(hessian.astype(np.float64)).max()
    assert float(row['hessian_eigenvalue/0']) == pytest.approx(largest, rel=1e-3)
    assert float(row['stability_limit']) == pytest.approx(2 / 0.1)
    assert np.isfinite([float(row['individual_cabs_batch_size']), float(row['alpha'])]).all()


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    'unknown': ({'noise_scal': {'every': 5}}, "unknown measurement 'noise_scal'; did you mean 'noise_scale'"),
    'setting': ({'noise_scale': {'every': 5, 'smal': 3}}, "noise_scale has no field 'smal'; "),
    'word': ({'noise_scale': {'every': 5, 'small': 3}}, "no field 'small'; did you mean 'small_batch_size'"),
    'steps': ({'noise_scale': {'every_steps': 5}}, r"no field 'every_steps'; .*\bevery\b"),
    'every': ({'noise_scale': {'small_batch_size': 4}}, 'noise_scale has every=None; allowed: updates from one'),
    'number': ({'noise_scale': 50}, r'noise_scale=50; allowed: a dict, as noise_scale=dict\(every=50\)'),
    'none': ({}, r'name what to measure, as noise_scale=dict\(every=50\)'),
    'host': ({'sharpness': {'every': 5}}, 'sharpness calls SciPy, which jit cannot compile'),
    'preconditioned': ({'noise_scale': {'every': 5, 'preconditioned': True}}, 'only the optimizers of the engine'),
    'kernels': ({'angular_distance': {'every': 5}}, 'no kernel of this model is followed by a normalization'),
    'divide': ({'noise_scale': {'every': 5, 'small_batch_size': 5}}, 'small_batch_size=5: must divide batch_size=16'),
    'too few': ({'gradient_norm': {'every': 5, 'batch_size': 64}}, 'takes 64 examples, the batch has 16; set its'),
    'whole': ({'gradient_cosine': {'every': 5}}, r'gradient_cosine reads the whole training set; .*whole=data'),
    'optimizer': ({'alpha': {'every': 5}}, r'alpha and update_ratio need the optimizer: Monitor\(…, optimizer=…\)'),
}


@pytest.mark.parametrize('case', IMPOSSIBLE)
def test_what_cannot_be_is_one_line(case: str):
    watched, message = IMPOSSIBLE[case]

    def once() -> None:
        monitor = bs.Monitor(loss_fn, WEIGHTS, **watched)
        monitor(monitor.init(WEIGHTS), WEIGHTS, 0, (X, Y), jax.random.key(0))

    with pytest.raises(ValueError, match=message) as error:
        once()
    assert '\n' not in str(error.value)


def test_arguments_in_another_place_are_one_line():
    monitor = bs.Monitor(loss_fn, WEIGHTS, distance={'every': np.int64(1)})
    state, key = monitor.init(WEIGHTS), jax.random.key(0)
    with pytest.raises(ValueError, match=r'state is of type dict; allowed: what monitor\.init\(params\)'):
        monitor(WEIGHTS, state, 0, (X, Y), key)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r'key=0; allowed: jax\.random\.key'):
        monitor(state, WEIGHTS, 0, (X, Y), 0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r'row is of type tuple; allowed: what monitor\(…\) gives second'):
        monitor.measured(monitor(state, WEIGHTS, 0, (X, Y), key))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r'monitor\.measured gives numbers'):
        jax.jit(lambda state: monitor.measured(monitor(state, WEIGHTS, 0, (X, Y), key)[1]))(state)


def test_a_loss_that_is_no_scalar_is_refused_before_anything_is_compiled():
    monitor = bs.Monitor(lambda p, b: (b[0] @ p['w']).sum(1), WEIGHTS, **WATCHED)
    with pytest.raises(ValueError, match=r'loss_fn returns float32\[16\]; allowed: a scalar'):
        monitor(monitor.init(WEIGHTS), WEIGHTS, 0, (X, Y), jax.random.key(0))


def test_on_four_devices_the_numbers_are_those_of_one():
    """Over a mesh lies the batch, or the weights, by XLA's rules or explicitly; pmap; shard_map. Host devices."""
    script = pathlib.Path(__file__).parent / 'monitor_on_devices.py'
    done = subprocess.run(
        [sys.executable, str(script)], env=toy.environment(JAX_NUM_CPU_DEVICES='4'), capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    alone, *others = (json.loads(line) for line in done.stdout.splitlines())
    assert [len(rows) for rows in others] == [4, 4, 4, 4, 3, 3]
    assert {'noise_scale', 'individual_trace', 'hessian_trace', 'distance/w'} <= alone[2].keys()
    for rows in others:
        for row, expected in zip(rows, alone, strict=False):
            assert row == pytest.approx(expected, rel=2e-5, abs=1e-6, nan_ok=True)


def test_a_measurement_of_ones_own_is_named_by_its_path():
    """The package's example: how many coordinates have the same sign in two gradients, of half of the batch each."""
    function = f'{toy.ROOT}/examples/own_measure.py:gradient_signs'
    monitor = bs.Monitor(loss_fn, WEIGHTS, mine={'every': 3, 'function': function})
    _, row = monitor(monitor.init(WEIGHTS), WEIGHTS, 3, (X, Y), jax.random.key(0))
    first, second = (np.asarray(jax.grad(loss_fn)(WEIGHTS, (X[half], Y[half]))['w']) for half in HALVES)
    alike = float((first * second > 0).mean())
    assert 0 < alike < 1
    assert monitor.measured(row) == {'step': 3, 'gradient_sign_agreement': pytest.approx(alike)}


def test_a_measurement_of_several_batches_takes_parts_of_the_one_there_is():
    """tr(HΣ) = ‖a − b‖²_H·n/2 of two batches of 5, H of 5 others: closed form of least squares."""
    monitor = bs.Monitor(loss_fn, WEIGHTS, curvature_noise_scale={'every': 1})
    _, row = monitor(monitor.init(WEIGHTS), WEIGHTS, 0, (X, Y), jax.random.key(0))
    a, b = (np.asarray(jax.grad(loss_fn)(WEIGHTS, (X[i : i + 5], Y[i : i + 5]))['w'], np.float64) for i in (0, 5))
    hessian = 2 * X[10:15].T @ X[10:15] / 15
    trace = 5 / 2 * np.sum((a - b) * (hessian @ (a - b)))
    assert float(row['curvature_noise_trace']) == pytest.approx(trace, rel=1e-4)


def test_in_float64_states_and_rows_keep_their_precision():
    """A path of 2⁻⁴⁰ is one in float64, and none in float32; a state carried in a scan keeps its types."""
    with jax.enable_x64(True):
        params = {'w': jnp.asarray(KERNEL, jnp.float64)}
        monitor = bs.Monitor(loss_fn, jax.eval_shape(lambda: params), **WATCHED)

        def body(state: Any, step: Any) -> Any:
            return monitor(state, {'w': params['w'].at[0, 0].add(step * 2.0**-40)}, step, (X, Y), jax.random.key(0))

        _, rows = jax.jit(lambda state: jax.lax.scan(body, state, jnp.arange(5)))(monitor.init(params))
        assert rows['path_length'].dtype == jnp.float64
        np.testing.assert_allclose(rows['path_length'], np.arange(5) * 2.0**-40, rtol=1e-4)


@pytest.mark.slow
def test_a_loop_of_equinox_measures_the_same():
    """Its real modules, partitioned as its own loops do."""
    eqx = pytest.importorskip('equinox')
    module = eqx.nn.MLP(4, 3, 8, 1, key=jax.random.key(0))
    params, static = eqx.partition(module, eqx.is_inexact_array)
    loss = lambda p, batch: ((jax.vmap(eqx.combine(p, static))(batch[0]) - batch[1]) ** 2).mean()
    first, second = ({'w': layer.weight, 'b': layer.bias} for layer in module.layers)

    def by_hand(p: Any, batch: Any) -> jax.Array:
        hidden = jax.nn.relu(batch[0] @ p['layers'][0]['w'].T + p['layers'][0]['b'][None])
        return ((hidden @ p['layers'][1]['w'].T + p['layers'][1]['b'][None] - batch[1]) ** 2).mean()

    rows = descended(loss, params, WATCHED | {'angular_distance': {'every': 1, 'every_kernel': True}}, (X, Y), count=5)
    expected = descended(by_hand, {'layers': [first, second]}, WATCHED, (X, Y), count=5)
    for row, other in zip(rows, expected, strict=True):
        assert other == pytest.approx({name: row[name] for name in other}, rel=1e-4, abs=1e-5, nan_ok=True)
    assert {'angular_distance/layers/0', 'angular_distance/layers/1'} <= rows[1].keys()
    with pytest.raises(ValueError, match=r'leaf .activation. is .*equinox\.partition'):
        bs.Monitor(loss, module, **WATCHED)
