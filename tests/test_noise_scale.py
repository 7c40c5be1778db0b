"""The gradient noise scale against populations with known gradient and covariance, brute force, and the finite form."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from bsresearch import models
from bsresearch.measure import Context, noise_scale, squared_norm
from bsresearch.optim import Hyper
from bsresearch.train import program

# Two layers of 6 and 4 coordinates; an example is its own gradient.
SPLIT, DIMENSION = 6, 10
RNG = np.random.default_rng(0)
MEAN = RNG.normal(size=DIMENSION)
FACTOR = RNG.normal(size=(DIMENSION, DIMENSION))
COVARIANCE = FACTOR @ FACTOR.T


def tree(x: Any) -> Any:
    return {'a': {'w': x[:SPLIT]}, 'b': {'w': x[SPLIT:]}}


def context(batch: np.ndarray) -> Context:
    """Every example's gradient is the example itself."""
    zero = tree(jnp.zeros(DIMENSION, batch.dtype))
    gradient = lambda params, part: (jnp.float32(0), tree(part[0].mean(0)))
    return Context(jnp.int32(0), zero, zero, (jnp.asarray(batch), jnp.zeros(len(batch))), gradient, None)


def draw(n: int, trials: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return MEAN + rng.normal(size=(trials, n, DIMENSION)) @ FACTOR.T


def measured(batches: np.ndarray, **settings: Any) -> dict[str, np.ndarray]:
    """Each batch's metrics, measured alone, float64; (trials,) each."""
    quantity = noise_scale.build(batch_size=batches.shape[1], **settings)
    with jax.enable_x64(True):
        one = lambda b: quantity.update(quantity.init(None), context(b)._replace(batch=(b, jnp.zeros(len(b)))))[1]
        found = jax.jit(jax.vmap(one))(jnp.asarray(batches))
        return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize(('big', 'small'), [(64, 1), (64, 8), (60, 20)])
def test_both_estimators_are_unbiased(big: int, small: int):
    """Monte Carlo: |G|² and tr Σ, whole and per layer, within 3 computed standard errors over 4,000 trials."""
    found = measured(draw(big, 4000), small_batch_size=small, per_layer=True)
    parts = {'': slice(None), '/a': slice(0, SPLIT), '/b': slice(SPLIT, None)}
    for name, part in parts.items():
        truth = {'gradient_square': (MEAN[part] ** 2).sum(), 'trace': np.diag(COVARIANCE)[part].sum()}
        for quantity, value in truth.items():
            x = found[f'noise_{quantity}{name}']
            assert abs(x.mean() - value) < 3 * x.std(ddof=1) / np.sqrt(len(x)), (name, quantity)
    total = found['noise_trace/a'] + found['noise_trace/b']
    np.testing.assert_allclose(total, found['noise_trace'], rtol=1e-9)


def test_a_batch_is_its_brute_force():
    """Brute force in float64: loop over small batches, all of one trial's numbers."""
    (batch,) = draw(24, 1)
    found = measured(batch[None], small_batch_size=6)
    small = np.mean([(batch[i : i + 6].mean(0) ** 2).sum() for i in range(0, 24, 6)])
    big = (batch.mean(0) ** 2).sum()
    square, trace = (24 * big - 6 * small) / 18, (small - big) / (1 / 6 - 1 / 24)
    assert found['noise_gradient_square'][0] == pytest.approx(square, rel=1e-12)
    assert found['noise_trace'][0] == pytest.approx(trace, rel=1e-12)
    assert found['noise_scale'][0] == pytest.approx(trace / square, rel=1e-5)


def test_within_a_batch_it_is_the_sample_variance():
    """Identity: with B_small = 1, S is the per-example variance with divisor B − 1."""
    (batch,) = draw(16, 1)
    found = measured(batch[None], small_batch_size=1)
    assert found['noise_trace'][0] == pytest.approx(batch.var(0, ddof=1).sum(), rel=1e-12)
    norm_test = np.sqrt(batch.var(0, ddof=1).sum() / (16 * (batch.mean(0) ** 2).sum()))
    identity = 16 * norm_test**2 / (1 - norm_test**2)  # B_simple = Bθ²/(1 − θ²)
    assert found['noise_trace'][0] / found['noise_gradient_square'][0] == pytest.approx(identity, rel=1e-9)


def test_averages_are_debiased_and_divided_last():
    """Closed form: exponential weights over their sum, of numerator and denominator apart; negatives are counted."""
    batches = draw(8, 12) - 0.9 * MEAN  # a small gradient: some estimates of |G|² are negative
    quantity = noise_scale.build(batch_size=8, small_batch_size=2, half_life=3.0)
    state, rows = quantity.init(None), []
    update = jax.jit(lambda state, batch: quantity.update(state, context(batch)))
    for batch in batches.astype(np.float32):
        state, row = update(state, batch)
        rows.append({k: float(v) for k, v in row.items()})
    squares, traces = (np.array([r[f'noise_{q}'] for r in rows]) for q in ('gradient_square', 'trace'))
    for n in range(1, 13):
        weights = 0.5 ** (np.arange(n)[::-1] / 3)
        below = (weights * squares[:n]).sum()
        expected = (weights * traces[:n]).sum() / below if below > 0 else np.inf
        assert rows[n - 1]['noise_scale'] == pytest.approx(expected, rel=1e-4)
        average = (weights * traces[:n]).sum() / weights.sum()
        assert rows[n - 1]['noise_trace_average'] == pytest.approx(average, rel=1e-4)
        assert rows[n - 1]['noise_negative_fraction'] == pytest.approx((squares[:n] < 0).mean())
    assert 0 < rows[-1]['noise_negative_fraction'] < 1
    assert {np.isinf(row['noise_scale']) for row in rows} == {False, True}


def test_on_a_network_it_is_the_loop_over_small_batches():
    """Brute force on a real model: gradients of the small batches one by one, and of the big batch at once."""
    with jax.enable_x64(True):
        data, task, state = toy.network(dtype='float64')
        batch = toy.batch(data, slice(48))
        quantity = noise_scale.build(batch_size=48, small_batch_size=8)
        mstate = quantity.init(state.params)
        given = program.MeasureInputs(Hyper(None, None, None), batch, None)
        origins = program.Origins(state.params, state.params)
        found = jax.jit(lambda: program.measure(task, quantity, mstate, state, origins, given, None)[1])()

        @jax.jit
        def norm(part: Any) -> jax.Array:
            outputs = lambda p: models.apply(task.module, p, {}, task.normalize(part.inputs), train=False)[0]
            gradient = jax.grad(lambda p: task.loss(outputs(p), part.labels).mean())(state.params)
            return squared_norm(gradient)

        taken = [float(norm(jax.tree.map(lambda x, i=i: x[i : i + 8], batch))) for i in range(0, 48, 8)]
        small, big = float(np.mean(taken)), float(norm(batch))
    assert float(found['noise_trace']) == pytest.approx((small - big) / (1 / 8 - 1 / 48), rel=1e-9)
    assert float(found['noise_gradient_square']) == pytest.approx((48 * big - 8 * small) / 40, rel=1e-9)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'batch_size': 100, 'small_batch_size': 32}, 'small_batch_size=32: must divide batch_size=100'),
        ({'batch_size': 32, 'small_batch_size': 32}, 'into at least two'),
        ({'small_batch_size': 0}, 'small_batch_size=0'),
        ({'half_life': 0.0}, r'half_life=0\.0: must be positive'),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        noise_scale.build(**settings)


def test_batch_norm_groups_must_fit_the_small_batches():
    model = {'name': 'mlp', 'widths': (8,), 'batch_norm': True}
    with pytest.raises(ValueError, match='gradients of 32 examples are not a whole number of batch-norm groups of 10'):
        toy.plans(model=model, batch_size=10, measure__noise_scale__every_epochs=1.0)


def test_small_batches_are_drawn_at_random(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    """The examples of a measurement come in the order they were drawn: sorted, small batches would share a class."""
    from bsresearch.train import feed

    taken: list[np.ndarray] = []
    gather = feed.Feed.gather
    monkeypatch.setattr(feed.Feed, 'gather', lambda self, rows: (taken.append(rows), gather(self, rows))[1])
    (plan,) = toy.plans(**toy.BARE, measure__noise_scale__at_steps=(0,), total_steps=2)
    toy.train(tmp_path, [plan])
    assert all((np.diff(rows) < 0).any() for rows in taken)
    # At the start and the end; the forecast of the cost draws as the start does.
    assert len({rows.tobytes() for rows in taken}) == 2
