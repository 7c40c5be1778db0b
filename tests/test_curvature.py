"""Hessian-vector products, eigenvalues and trace against the dense Hessian of a real network; the edge of stability."""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from jax.flatten_util import ravel_pytree

from bsresearch import models
from bsresearch.measure import Context, dot, hessian_eigenvalues, hessian_trace, hessian_vector
from bsresearch.optim import Hyper, momentum, sgd
from bsresearch.train import program

COUNT = 37


@functools.cache
def network() -> tuple[Context, np.ndarray]:
    """A small MLP on digits, some way into training, and its dense Hessian; float64. Call it inside enable_x64."""
    data, task, state = toy.network(dtype='float64', model={'name': 'mlp', 'widths': (6,)})
    batch = toy.batch(data, slice(COUNT))

    def loss(flat: jax.Array) -> jax.Array:
        outputs, _ = models.apply(task.module, unravel(flat), {}, task.normalize(batch.inputs), train=False)
        return task.loss(outputs, batch.labels).mean()

    flat, unravel = ravel_pytree(state.params)
    flat = jax.jit(lambda w: jax.lax.fori_loop(0, 100, lambda _, w: w - 0.3 * jax.grad(loss)(w), w))(flat)
    state = state._replace(params=unravel(flat))
    hyper = Hyper(jnp.float64(0.1), jnp.float64(0.9), None)
    given = program.MeasureInputs(hyper, batch, jax.random.key(5))
    context = program.context(
        task, hessian_trace.build(), state, program.Origins(state.params, state.params), given, batch
    )
    return context, np.asarray(jax.jit(jax.hessian(loss))(flat))


@pytest.mark.parametrize('size', [1, 10, 100])
def test_products_are_the_dense_hessian_times_the_vector(size: int):
    """Brute force: jax.hessian of the whole batch, whatever the parts, the last of which is smaller."""
    with jax.enable_x64(True):
        context, dense = network()
        vector, unravel = ravel_pytree(context.params)
        vector = jax.random.normal(jax.random.key(1), vector.shape)
        found = jax.jit(lambda v: hessian_vector.product(context, context.batch, size)(v))(unravel(vector))
        expected = dense @ np.asarray(vector)
        assert np.linalg.norm(ravel_pytree(found)[0] - expected) < 1e-5 * np.linalg.norm(expected)
        assert float(dot(unravel(vector), found)) == pytest.approx(float(vector @ expected), rel=1e-9)


@pytest.mark.parametrize('batch_size', [COUNT, 0])
def test_eigenvalues_are_those_of_the_dense_hessian(batch_size: int):
    """Brute force: eigvalsh, of a batch and of the whole set; the residual is below what is asked."""
    with jax.enable_x64(True):
        context, dense = network()
        seen = context._replace(batch=None) if not batch_size else context._replace(whole=None)
        quantity = hessian_eigenvalues.build(number=3, batch_size=batch_size, micro_batch_size=10, max_products=80)
        assert (quantity.whole, quantity.batch_size) == (not batch_size, batch_size)
        _, found = jax.device_get(jax.jit(lambda: quantity.update((), seen))())
    largest = np.linalg.eigvalsh(dense)[::-1][:3]
    values = [float(found[f'hessian_eigenvalue/{i}']) for i in range(3)]
    np.testing.assert_allclose(values, largest, rtol=1e-5)
    assert 0 < found['hessian_residual'] <= 1e-3
    assert 3 < found['hessian_products'] < 40


def test_what_has_not_converged_says_so():
    """The residual of too few steps is above the tolerance, and equals ‖Hu − μu‖ of the Ritz vector; μ_1 ≤ λ_1."""
    with jax.enable_x64(True):
        _, dense = network()
        start = np.random.default_rng(2).normal(size=len(dense))
        lanczos = lambda h, v: hessian_eigenvalues.lanczos(lambda w: h @ w, v, jax.random.key(0), 2, 5, 1e-3)
        found = jax.device_get(jax.jit(lanczos)(dense, start))
    assert int(found.count) == 5
    basis = np.asarray(found.basis)
    np.testing.assert_allclose(basis @ basis.T, np.eye(5), atol=1e-12)
    values, vectors = np.linalg.eigh(basis @ dense @ basis.T)
    np.testing.assert_allclose(found.values, values[::-1][:2], rtol=1e-10)
    ritz = basis.T @ vectors[:, ::-1][:, :2]
    true = np.linalg.norm(dense @ ritz - ritz * values[::-1][:2], axis=0)
    np.testing.assert_allclose(found.residuals, true, rtol=1e-8)
    assert found.residuals[1] > 1e-3 * found.values[0]
    assert found.values[0] < np.linalg.eigvalsh(dense)[-1]


@functools.partial(jax.jit, static_argnames='number')
def of_matrix(matrix: jax.Array, start: jax.Array, number: int) -> Any:
    return hessian_eigenvalues.lanczos(lambda v: matrix @ v, start, jax.random.key(1), number, 12, 1e-3)


@pytest.mark.parametrize(
    ('diagonal', 'number', 'expected'),
    [
        ([5, 3] + 16 * [0], 2, [5, 3]),
        ([5, 3] + 16 * [0], 6, [5, 3, 0, 0, 0, 0]),
        (18 * [2], 6, 6 * [2]),
        (18 * [0], 6, 6 * [0]),
        (17 * [-1] + [-9], 1, [-1]),
        ([-9, 1, 0.5], 2, [1, 0.5]),
        ([3], 1, [3]),
    ],
)
def test_few_distinct_eigenvalues_are_found(diagonal: list[float], number: int, expected: list[float]):
    """Closed form, float32: few distinct eigenvalues leave nothing to divide by; the largest by value."""
    rotation, _ = np.linalg.qr(np.random.default_rng(3).normal(size=2 * (len(diagonal),)))
    matrix = (rotation.T @ np.diag(diagonal) @ rotation).astype(np.float32)
    start = np.random.default_rng(4).normal(size=len(diagonal)).astype(np.float32)
    found = jax.device_get(of_matrix(matrix, start, number))
    np.testing.assert_allclose(found.values, expected, atol=3e-5)
    assert (np.asarray(found.residuals) <= 1e-3 * abs(expected[0])).all()
    made = np.asarray(found.basis)[: int(found.count)]
    np.testing.assert_allclose(made @ made.T, np.eye(len(made)), atol=1e-5)


def test_more_eigenvalues_than_weights_are_refused():
    with pytest.raises(ValueError, match='4 eigenvalues of a Hessian of 3 weights'):
        hessian_eigenvalues.lanczos(lambda v: v, jnp.ones(3), jax.random.key(0), 4, 10, 1e-3)


def test_the_trace_is_unbiased_and_its_error_is_right():
    """Monte Carlo: 400 measurements of 16 probes against the dense trace; s/√m against their spread and its formula.

    Brute force: one measurement is mean and s/√m of vᵀHv over the very signs.
    """
    with jax.enable_x64(True):
        context, dense = network()
        quantity = hessian_trace.build(probes=16, batch_size=COUNT, micro_batch_size=20)
        one = lambda key: quantity.update((), context._replace(key=key))[1]
        keys = jax.random.split(jax.random.key(6), 400)
        found = jax.device_get(jax.jit(lambda keys: jax.lax.map(one, keys))(keys))
        drawn = lambda key: ravel_pytree(hessian_trace.signs(key, context.params))[0]
        signs = np.asarray(jax.jit(jax.vmap(drawn))(jax.random.split(keys[0], 16)))
    trace, error = found['hessian_trace'], found['hessian_trace_standard_error']
    assert abs(trace.mean() - np.trace(dense)) < 3 * trace.std(ddof=1) / 20
    variance = 2 * ((dense**2).sum() - (np.diag(dense) ** 2).sum()) / 16
    # Squared errors are unbiased; their standard error is computed from their spread.
    squares = error**2
    assert abs(squares.mean() - variance) < 3 * squares.std(ddof=1) / 20
    assert trace.var(ddof=1) == pytest.approx(variance, rel=0.3)
    assert set(np.unique(signs)) == {-1.0, 1.0}
    values = np.einsum('ki,ij,kj->k', signs, dense, signs)
    assert trace[0] == pytest.approx(values.mean(), rel=1e-9)
    assert error[0] == pytest.approx(values.std(ddof=1) / 4, rel=1e-9)


@pytest.mark.parametrize(
    ('optimizer', 'limit', 'mu'),
    [
        (sgd.build(), 'momentum', 0.0),
        (momentum.build(), 'momentum', 0.5),
        (momentum.build(), 'momentum', 0.9),
        (momentum.build(learning_rate_inside=True), 'momentum', 0.9),
        (momentum.build(nesterov=True), 'nesterov', 0.9),
    ],
)
def test_training_diverges_just_above_the_limit_and_not_below(optimizer: Any, limit: str, mu: float):
    """Closed form on the quadratic λw²/2 with the project's own optimizers: 0.5 % above and below 2(1 + μ)/η."""
    rate = 0.1
    line = float(hessian_eigenvalues.LIMITS[limit](jnp.float32(mu))) / rate

    @jax.jit
    def end(curvature: jax.Array) -> jax.Array:
        transform = optimizer(Hyper(jnp.float32(rate), jnp.float32(mu), None))

        def step(_: Any, carry: Any) -> Any:
            w, state = carry
            change, state = transform.update({'w': curvature * w['w']}, state, w)
            return {'w': w['w'] + change['w']}, state

        w = {'w': jnp.ones_like(curvature)}
        return jnp.abs(jax.lax.fori_loop(0, 4000, step, (w, transform.init(w)))[0]['w'])

    below, above = end(jnp.float32([0.995 * line, 1.005 * line]))
    assert below < 1e-2
    assert not above < 1e2  # it may overflow


NOTHING = hessian_eigenvalues.Lanczos(*[jnp.ones(1)] * len(hessian_eigenvalues.Lanczos._fields))


def test_the_limit_is_recorded_only_where_it_means_something(monkeypatch: pytest.MonkeyPatch):
    context = Context(
        jnp.int32(0), {'w': jnp.ones(3)}, None, program.Data(jnp.zeros((4, 1)), jnp.zeros(4)),
        lambda p, b: (jnp.float32(0), p), Hyper(jnp.float32(0.5), jnp.float32(0.25), None), key=jax.random.key(0),
    )  # fmt: skip
    settings = {'batch_size': 4, 'micro_batch_size': 2}
    measured = lambda c, **more: hessian_eigenvalues.build(**settings, **more).update((), c)[1]
    monkeypatch.setattr(hessian_eigenvalues, 'lanczos', lambda *_: NOTHING)
    assert float(measured(context)['stability_limit']) == 5.0
    assert float(measured(context, stability_limit='nesterov')['stability_limit']) == pytest.approx(10 / 3)
    assert 'stability_limit' not in measured(context, stability_limit='none')
    assert 'stability_limit' not in measured(context._replace(precondition=lambda g: g))


def test_full_batch_training_leaves_where_it_cannot_stay(tmp_path: pathlib.Path):
    """Cohen et al. 2021 in small, in a real run: from above 2/η at first, gradient descent ends below it."""
    (plan,) = toy.plans(
        batch_size=287, data__fraction=0.2, learning_rate=1.0, total_steps=400, checkpoint__every_epochs=0.0,
        measure__hessian_eigenvalues__at_steps=(0,), measure__hessian_eigenvalues__batch_size=0,
        measure__hessian_trace__at_steps=(0,), **toy.BARE,
    )  # fmt: skip
    toy.train(tmp_path, [plan])
    rows = [r for r in toy.rows(tmp_path, plan) if 'hessian_eigenvalue/0' in r]
    assert [(r['step'], r['stability_limit']) for r in rows] == [(0, 2.0), (400, 2.0)]
    assert max(r['hessian_residual'] for r in rows) <= 1e-3
    assert rows[0]['hessian_eigenvalue/0'] > 2.0 > rows[1]['hessian_eigenvalue/0'] > 0.5
    assert [r['step'] for r in toy.rows(tmp_path, plan) if 'hessian_trace' in r] == [0, 400]


@pytest.mark.parametrize(
    ('build', 'settings', 'message'),
    [
        (hessian_eigenvalues.build, {'batch_size': -1}, 'batch_size=-1 must be at least 0'),
        (hessian_trace.build, {'micro_batch_size': 0}, 'micro_batch_size=0 1'),
        (hessian_eigenvalues.build, {'number': 41}, 'number=41: at least 1, at most max_products=40'),
        (hessian_eigenvalues.build, {'tolerance': 0.0}, r'tolerance=0\.0'),
        (hessian_eigenvalues.build, {'stability_limit': 'momentun'}, "did you mean 'momentum'"),
        (hessian_trace.build, {'probes': 1}, 'probes=1: at least 2'),
    ],
)
def test_settings_that_cannot_be_are_refused(build: Any, settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        build(**settings)
