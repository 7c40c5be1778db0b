"""Closed forms: the noisy quadratic's recurrence, finite populations, least squares; by brute force and each other."""

import itertools

import numpy as np
import pytest

from bsresearch.theory import least_squares, noise_scale, noisy_quadratic

H = noisy_quadratic.spectrum(5, 1.0)
C = 0.7 * noisy_quadratic.spectrum(5, 0.5)
START = np.array([1.0, -2.0, 0.5, 0.0, 3.0])


def constant(value: float, steps: int) -> np.ndarray:
    return np.full(steps, value)


def sizes(value: int, steps: int) -> np.ndarray:
    return np.full(steps, value, np.int64)


def test_plain_sgd_is_its_closed_form():
    """E[θ_t²] = ρ^{2t}θ_0² + (εc/B)(1 − ρ^{2t})/(h(2 − εh)), ρ = 1 − εh."""
    e, size, t = 0.3, 4, np.arange(41)[:, None]
    found = noisy_quadratic.moments(H, C, START, constant(e, 40), constant(0.0, 40), sizes(size, 40))
    rho = (1 - e * H) ** (2 * t)
    second = rho * START**2 + e * C / size * (1 - rho) / (H * (2 - e * H))
    np.testing.assert_allclose(found.mean**2 + found.variance, second, rtol=1e-12)
    np.testing.assert_allclose(noisy_quadratic.expected_loss(H, found), 0.5 * second @ H, rtol=1e-12)


def follow(noise: np.ndarray, rates: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """Every θ_t of torch's SGD with momentum, written down: noise (trials, T, d) → (trials, T + 1, d)."""
    theta, v = np.broadcast_to(START, noise[:, 0].shape), np.zeros_like(noise[:, 0])
    path = [theta]
    for t in range(noise.shape[1]):
        v = mu[t] * v + H * theta - noise[:, t]
        theta = theta - rates[t] * v
        path.append(theta)
    return np.stack(path, 1)


RATES = 0.4 * np.cos(np.linspace(0, 1.4, 12))
MOMENTUM = np.linspace(0.95, 0.6, 12)
GROWING = np.array([1, 1, 2, 2, 3, 4, 4, 8, 8, 8, 16, 16])


def test_the_recurrence_is_exact_for_any_schedule():
    """Brute force: the update is linear, so one impulse of noise at a time gives the variance to rounding."""
    impulses = np.eye(12)[:, :, None] * np.ones(5)
    silent = follow(np.zeros((1, 12, 5)), RATES, MOMENTUM)
    response = follow(impulses, RATES, MOMENTUM) - silent
    found = noisy_quadratic.moments(H, C, START, RATES, MOMENTUM, GROWING)
    np.testing.assert_allclose(found.mean, silent[0], rtol=1e-12, atol=1e-13)
    expected = np.einsum('stk,s,k->tk', response**2, 1 / GROWING, C)
    np.testing.assert_allclose(found.variance, expected, rtol=1e-11, atol=1e-14)


def test_an_epoch_without_replacement_is_the_average_over_all_permutations():
    """Brute force over all 720 orders of 6 examples in batches of 1, 2 and 3: mean and variance to rounding."""
    xi = np.random.default_rng(0).normal(size=(6, 5))
    batches = [slice(0, 1), slice(1, 3), slice(3, 6)]
    noise = np.array([[xi[list(order)][b].mean(0) for b in batches] for order in itertools.permutations(range(6))])
    path = follow(noise, RATES, MOMENTUM)
    found = noisy_quadratic.moments(
        H, xi.var(0, ddof=1), START, RATES[:3], MOMENTUM[:3], np.array([1, 2, 3]), num_examples=6,
        mean_noise=xi.mean(0),
    )  # fmt: skip
    np.testing.assert_allclose(found.mean, path.mean(0), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found.variance, path.var(0), rtol=1e-11, atol=1e-13)
    with pytest.raises(ValueError, match='a run of 7 examples is more than one epoch of 6'):
        noisy_quadratic.moments(H, C, START, RATES[:2], MOMENTUM[:2], np.array([3, 4]), num_examples=6)


@pytest.mark.parametrize(('rate', 'mu'), [(0.3, 0.0), (0.1, 0.9), (1.9, 0.0), (3.0, 0.9)])
def test_the_recurrence_ends_in_the_steady_state(rate: float, mu: float):
    """Limit: far beyond every time constant, also near the edge of stability."""
    found = noisy_quadratic.moments(H, C, START, constant(rate, 3000), constant(mu, 3000), sizes(4, 3000))
    loss = noisy_quadratic.expected_loss(H, found)[-1]
    assert loss == pytest.approx(noisy_quadratic.steady_loss(H, C, rate, mu, 4), rel=1e-9)


def test_an_unstable_learning_rate_has_no_steady_state():
    with pytest.raises(ValueError, match=r'momentum 0\.9 diverges at curvature 1; it must stay below 3\.8'):
        noisy_quadratic.steady_loss(H, C, 4.0, 0.9, 4)


# --- the noise scale

XI = np.random.default_rng(1).normal(size=(6, 3)) + np.array([1.0, 0.0, -0.5])
HESSIAN = np.diag([1.0, 0.5, 0.1])


@pytest.mark.parametrize('size', [1, 2, 5, 6])
def test_squares_of_batch_gradients_are_averages_over_all_batches(size: int):
    """Brute force over every batch of 6 examples, drawn with replacement (6^B) and without."""
    p = noise_scale.finite(XI, HESSIAN)
    square = lambda batches: np.mean([(XI[list(b)].mean(0) ** 2).sum() for b in batches])
    drawn = square(itertools.product(range(6), repeat=size))
    assert noise_scale.batch_square(p, size, replacement=True) == pytest.approx(drawn, rel=1e-12)
    chosen = square(itertools.combinations(range(6), size))
    assert noise_scale.batch_square(p, size, replacement=False) == pytest.approx(chosen, rel=1e-12)


@pytest.mark.parametrize('replacement', [True, False])
def test_two_batch_sizes_estimate_the_finite_forms(replacement: bool):
    """Identity: the estimators are linear in the two squares, whose exact means are known."""
    p = noise_scale.finite(XI, HESSIAN)
    small, big = (noise_scale.batch_square(p, size, replacement=replacement) for size in (2, 5))
    square, trace = (5 * big - 2 * small) / 3, (small - big) / (1 / 2 - 1 / 5)
    assert noise_scale.estimated_square(p, replacement=replacement) == pytest.approx(square, rel=1e-12)
    assert noise_scale.estimated_trace(p, replacement=replacement) == pytest.approx(trace, rel=1e-12)


def test_a_distribution_is_the_limit_of_large_sets():
    p = noise_scale.finite(XI, HESSIAN)
    whole, large = p._replace(num_examples=None), p._replace(num_examples=10**9)
    for replacement in (True, False):
        for of in (noise_scale.estimated_square, noise_scale.estimated_trace):
            assert of(whole, replacement=replacement) == pytest.approx(of(large, replacement=replacement), rel=1e-6)
        args = {'batch_size': 7, 'replacement': replacement}
        assert noise_scale.batch_square(whole, **args) == pytest.approx(
            noise_scale.batch_square(large, **args), rel=1e-6
        )


def test_noise_scales_by_hand():
    """G = (2, 1), Σ = diag(4, 6), H = diag(1, 3): B_simple = 10/5, B_noise = 22/7; equal for H ∝ I."""
    p = noise_scale.Population(np.array([2.0, 1.0]), np.diag([4.0, 6.0]), np.diag([1.0, 3.0]))
    assert noise_scale.simple(p) == pytest.approx(2)
    assert noise_scale.with_curvature(p) == pytest.approx(22 / 7)
    assert noise_scale.with_curvature(p._replace(hessian=3 * np.eye(2))) == pytest.approx(2)


# --- least squares

VARIANCES, TRUTH = noisy_quadratic.spectrum(3, 1.0), np.ones(3)
THETA = np.array([0.5, 2.0, -1.0, 0.7])


def test_least_squares_is_differences_of_its_loss():
    """Brute force: gradients of single examples and the Hessian by central differences, exact for a quadratic."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(9, 3)), rng.normal(size=9)
    losses = lambda theta: 0.5 * (x @ theta[:-1] + theta[-1] - y) ** 2
    steps = 1e-3 * np.eye(4)
    gradients = lambda theta: np.array([(losses(theta + s) - losses(theta - s)) / 2e-3 for s in steps]).T
    p = least_squares.training_set(x, y, THETA)
    np.testing.assert_allclose(p.gradient, gradients(THETA).mean(0), rtol=1e-8)
    np.testing.assert_allclose(p.covariance, np.cov(gradients(THETA).T), rtol=1e-8)
    hessian = [(gradients(THETA + s) - gradients(THETA - s)).mean(0) / 2e-3 for s in steps]
    np.testing.assert_allclose(p.hessian, hessian, rtol=1e-6, atol=1e-8)
    assert p.num_examples == 9


def test_gaussian_least_squares_is_the_mean_over_large_sets():
    """Monte Carlo: 400 sets of 200 examples, every entry of G, Σ and H within 4 computed standard errors (of 40)."""
    rng, found = np.random.default_rng(3), []
    for _ in range(400):
        x = rng.normal(size=(200, 3)) * np.sqrt(VARIANCES)
        found.append(least_squares.training_set(x, x @ TRUTH + 0.5 * rng.normal(size=200), THETA))
    p = least_squares.gaussian(VARIANCES, TRUTH, 0.5, THETA)
    for name in ('gradient', 'covariance', 'hessian'):
        values = np.array([getattr(f, name) for f in found])
        error = values.std(0, ddof=1) / np.sqrt(len(values))
        assert (np.abs(values.mean(0) - getattr(p, name)) <= 4 * error + 1e-12).all(), name
