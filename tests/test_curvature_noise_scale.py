"""B_noise against a population with known Hessian, gradient and covariance, brute force, and B_simple where H ∝ I."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bsresearch.measure import Context, curvature_noise_scale
from bsresearch.train import program

DIMENSION = 8
RNG = np.random.default_rng(0)
MEAN = 0.7 * RNG.normal(size=DIMENSION)
FACTOR = RNG.normal(size=(DIMENSION, DIMENSION))
COVARIANCE = FACTOR @ FACTOR.T
ROTATION, _ = np.linalg.qr(RNG.normal(size=(DIMENSION, DIMENSION)))
HESSIAN = ROTATION @ np.diag([5, 3, 2, 1, 0.5, 0.2, -0.1, -0.5]) @ ROTATION.T
WEIGHTS = RNG.normal(size=DIMENSION)
N, OWN = 6, 5


def gradient(params: Any, data: Any) -> Any:
    """Example x with curvature c: loss xᵀ(w − w₀) + c (w − w₀)ᵀH(w − w₀)/2; its gradient at w₀ is x, its Hessian cH."""
    w = params['w'] - jnp.asarray(WEIGHTS)
    loss = lambda w: w @ data.inputs.mean(0) + data.labels.mean() * (w @ jnp.asarray(hessian) @ w) / 2
    value, slope = jax.value_and_grad(loss)(w)
    return value, {'w': slope}


hessian = HESSIAN


def measured(inputs: np.ndarray, labels: np.ndarray, **settings: Any) -> dict[str, np.ndarray]:
    """Each trial's metrics, measured alone, float64; (trials,) each."""
    quantity = curvature_noise_scale.build(
        **{'batch_size': N, 'hessian_batch_size': OWN, 'micro_batch_size': 4} | settings
    )
    assert quantity.batch_size == inputs.shape[1]
    with jax.enable_x64(True):
        params = {'w': jnp.asarray(WEIGHTS)}

        def one(inputs: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
            c = Context(jnp.int32(0), params, params, program.Data(inputs, labels), gradient, None)
            return quantity.update(quantity.init(None), c)[1]

        return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(jnp.asarray(inputs), jnp.asarray(labels)))


def draw(trials: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Gradients and curvatures (of mean 1) of examples, correlated: a batch's own H would bias what it is used on."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(trials, 2 * N + OWN, DIMENSION))
    return MEAN + noise @ FACTOR.T, noise[..., 0] ** 2 + 2 * noise[..., 0]


def test_numerator_and_denominator_are_unbiased():
    """Monte Carlo: tr(HΣ) and GᵀHG within 3 computed standard errors over 60,000 trials; some are negative."""
    found = measured(*draw(60000))
    for name, truth in (('trace', np.trace(HESSIAN @ COVARIANCE)), ('gradient_curvature', MEAN @ HESSIAN @ MEAN)):
        x = found[f'curvature_noise_{name}']
        assert abs(x.mean() - truth) < 3 * x.std(ddof=1) / np.sqrt(len(x)), name
        assert x.std(ddof=1) / np.sqrt(len(x)) < 0.1 * abs(truth)
    assert 0.05 < (found['curvature_noise_gradient_curvature'] < 0).mean() < 0.95


def test_a_measurement_is_its_brute_force():
    """Brute force in float64 of one trial's numbers, whatever the parts."""
    inputs, labels = draw(1, seed=2)
    a, b = inputs[0, :N].mean(0), inputs[0, N : 2 * N].mean(0)
    h = labels[0, 2 * N :].mean() * HESSIAN
    for size in (4, 100):
        found = measured(inputs, labels, micro_batch_size=size)
        assert found['curvature_noise_trace'][0] == pytest.approx(N / 2 * (a - b) @ h @ (a - b), rel=1e-9)
        assert found['curvature_noise_gradient_curvature'][0] == pytest.approx(a @ h @ b, rel=1e-9)


def test_averages_are_debiased_and_divided_last():
    """Closed form: exponential weights over their sum, of numerator and denominator apart; negatives are counted."""
    quantity = curvature_noise_scale.build(batch_size=N, hessian_batch_size=OWN, half_life=3.0)
    rows = []
    with jax.enable_x64(True):
        params = {'w': jnp.asarray(WEIGHTS)}
        c = Context(jnp.int32(0), params, params, None, gradient, None)
        update = jax.jit(lambda s, x, y: quantity.update(s, c._replace(batch=program.Data(x, y))))
        state = quantity.init(None)
        for x, y in zip(*draw(12, seed=3), strict=True):
            state, row = update(state, jnp.asarray(x), jnp.asarray(y))
            rows.append({k: float(v) for k, v in row.items()})
    curvatures, traces = (np.array([r[f'curvature_noise_{q}'] for r in rows]) for q in ('gradient_curvature', 'trace'))
    for n in range(1, 13):
        weights = 0.5 ** (np.arange(n)[::-1] / 3)
        curvature = (weights * curvatures[:n]).sum()
        expected = (weights * traces[:n]).sum() / curvature if curvature > 0 else np.inf
        last = rows[n - 1]
        assert last['curvature_noise_scale'] == pytest.approx(expected, rel=1e-3)
        for name, values in (('gradient_curvature', curvatures), ('trace', traces)):
            average = (weights * values[:n]).sum() / weights.sum()
            assert last[f'curvature_noise_{name}_average'] == pytest.approx(average, rel=1e-4)
        assert last['curvature_noise_negative_fraction'] == pytest.approx((curvatures[:n] < 0).mean())
    assert 0 < rows[-1]['curvature_noise_negative_fraction'] < 1


def test_with_an_isotropic_hessian_it_is_the_simple_noise_scale(monkeypatch: pytest.MonkeyPatch):
    """Identity: H = hI cancels from the ratio of means, tr Σ/|G|² within 3 standard errors by the delta method."""
    monkeypatch.setitem(globals(), 'hessian', 3.0 * np.eye(DIMENSION))
    found = measured(*draw(20000))
    top, bottom = found['curvature_noise_trace'], found['curvature_noise_gradient_curvature']
    ratio, truth = top.mean() / bottom.mean(), np.trace(COVARIANCE) / (MEAN @ MEAN)
    error = (top - ratio * bottom).std(ddof=1) / bottom.mean() / np.sqrt(len(top))
    assert abs(ratio - truth) < 3 * error < 0.3 * truth


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'batch_size': 0}, 'batch_size=0,'),
        ({'hessian_batch_size': 0}, 'hessian_batch_size=0'),
        ({'micro_batch_size': 0}, 'micro_batch_size=0'),
        ({'half_life': 0.0}, r'half_life=0\.0: must be positive'),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        curvature_noise_scale.build(**settings)
