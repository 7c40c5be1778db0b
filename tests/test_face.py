"""The names that `import bsresearch` promises: in loops of one's own they measure what the engine does."""

import ast
import inspect
import json
import operator
import pathlib
import re
import subprocess
import sys
import typing
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy

import bsresearch as bs
from bsresearch.core import units
from bsresearch.measure import Context, noise_scale
from bsresearch.optim.schedules import one_cycles

X = np.random.default_rng(0).normal(size=(128, 5)).astype(np.float32)
Y = (X @ np.arange(1.0, 6.0, dtype=np.float32) + np.random.default_rng(1).normal(size=128)).astype(np.float32)


def loss_fn(params: Any, batch: Any) -> jax.Array:
    x, y = batch
    return ((x @ params['w'] + params['b'] - y) ** 2).mean()


def weights(dtype: Any = np.float32) -> dict[str, Any]:
    return {'w': jnp.ones(5, dtype), 'b': jnp.zeros((), dtype)}


@pytest.mark.parametrize(('dtype', 'tolerance'), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_noise_scale_is_the_engines(dtype: Any, tolerance: float):
    """On the same batch, and B_simple is the ratio of the two."""
    with jax.enable_x64(dtype == np.float64):
        params, batch = weights(dtype), (jnp.asarray(X, dtype), jnp.asarray(Y, dtype))
        scale = bs.noise_scale(loss_fn, params, batch, small=4)
        quantity = noise_scale.build(batch_size=128, small_batch_size=4)
        context = Context(jnp.int32(0), params, params, batch, jax.value_and_grad(loss_fn), None)
        _, engines = jax.jit(lambda: quantity.update(quantity.init(params), context))()
        engines = {name: float(x) for name, x in engines.items()}
    assert scale.gradient_square == pytest.approx(engines['noise_gradient_square'], rel=tolerance)
    assert scale.trace == pytest.approx(engines['noise_trace'], rel=tolerance)
    assert scale.noise_scale == pytest.approx(scale.trace / scale.gradient_square, rel=1e-15)
    assert scale.noise_scale == pytest.approx(engines['noise_scale'], rel=1e-6)


def test_noise_scale_of_known_gradients_and_its_interval():
    """Every example is its own gradient. Brute force: the jackknife by leaving each small batch out."""
    x = np.random.default_rng(3).normal(0.3, 1, (128, 20)).astype(np.float32)
    scale = bs.noise_scale(lambda w, batch: (batch @ w).mean(), np.ones(20, np.float32), x, small=4)
    small = x.astype(np.float64).reshape(32, 4, 20).mean(1)

    def brute(parts: np.ndarray) -> np.ndarray:
        squares, square = (parts**2).sum(1).mean(), (parts.mean(0) ** 2).sum()
        big = 4 * len(parts)
        return np.array([(big * square - 4 * squares) / (big - 4), (squares - square) / (1 / 4 - 1 / big)])

    whole = brute(small)
    np.testing.assert_allclose([scale.gradient_square, scale.trace], whole, rtol=1e-5)
    pseudo = np.array([32 * whole - 31 * brute(np.delete(small, i, axis=0)) for i in range(32)])
    covariance, t = np.cov(pseudo.T) / 32, 2.0395134463964077  # Student's t of 31 degrees of freedom, 0.975
    for end in (scale.low, scale.high):  # an end of Fieller's interval solves it
        left = (whole[1] - end * whole[0]) ** 2
        right = t**2 * (covariance[1, 1] - 2 * end * covariance[0, 1] + end**2 * covariance[0, 0])
        assert left == pytest.approx(right, rel=1e-3)
    assert 0 < scale.low < 20 / (20 * 0.3**2) < scale.high < np.inf  # the population's
    assert scale.low < scale.noise_scale < scale.high


@pytest.mark.parametrize('count', [76, 128])
def test_with_few_small_batches_or_few_that_count_there_is_no_interval(count: int):
    """19 of them; 32, of residuals times inputs, which have heavy tails."""
    scale = bs.noise_scale(loss_fn, weights(), (X[:count], Y[:count]), small=4)
    assert np.isnan([scale.low, scale.high]).all()
    assert scale.noise_scale > 0


def of_gradients(mean: float, seed: int) -> bs.NoiseScale:
    """Of 128 examples that are their own gradients, normal in 5 directions: B_simple = 1/mean²."""
    x = np.random.default_rng(seed).normal(mean, 1, (128, 5)).astype(np.float32)
    return bs.noise_scale(lambda w, batch: (batch @ w).mean(), np.ones(5, np.float32), x, small=4)


def test_where_the_gradient_is_not_told_from_zero_the_scale_has_no_upper_end():
    """Its lower end stands; the estimate is ∞ where that of |G|² is not positive, in Monitor's row too."""
    bounded, unbounded = of_gradients(1.0, 0), [of_gradients(0.1, seed) for seed in range(10)]
    assert bounded.low < 1 < bounded.high < np.inf
    assert str(bounded) == f'B_simple = {bounded.noise_scale:.4g} ({bounded.low:.4g} to {bounded.high:.4g}, 95 %)'
    kept = [scale for scale in unbounded if np.isinf(scale.high) and np.isfinite(scale.low)]
    assert len(kept) >= 5
    assert {np.isinf(scale.noise_scale) for scale in kept} == {False, True}
    for scale in kept:
        assert np.isinf(scale.noise_scale) == (scale.gradient_square <= 0)
        assert str(scale).startswith(f'B_simple is at least {scale.low:.4g} (95 %)')
    x = np.random.default_rng(3).normal(0, 1, (128, 5)).astype(np.float32)
    x -= x.mean(0)  # as of weights that are fitted to these very examples
    loss, w = lambda w, batch: (batch @ w).mean(), np.ones(5, np.float32)
    fitted = bs.noise_scale(loss, w, x, small=4)
    assert (fitted.noise_scale, fitted.low, fitted.high) == (np.inf, np.inf, np.inf)
    assert 'draw its examples at random' in str(fitted)
    monitor = bs.Monitor(loss, w, noise_scale={'every': 1, 'small_batch_size': 4})
    row = monitor.measured(monitor(monitor.init(w), w, 0, x, jax.random.key(0))[1])
    assert row['noise_scale'] == np.inf
    assert row['noise_gradient_square'] == pytest.approx(fitted.gradient_square, rel=1e-5)


def test_gradients_that_are_not_finite_have_no_noise_scale():
    """NaN, and not ∞: nothing is told of it."""
    scale = bs.noise_scale(loss_fn, jax.tree.map(lambda x: x * np.nan, weights()), (X, Y), small=4)
    assert np.isnan(scale).all()
    assert str(scale).startswith('B_simple: none')


def test_a_draw_without_replacement_shows_less_of_the_scale():
    """Closed form: of a set of N the mean over draws of n is |G|² − S/N, so that B is 1/(1/B_simple − 1/N)."""
    x = np.random.default_rng(0).normal(0.3, 1, (128, 5))
    scale = bs.noise_scale(lambda w, batch: (batch @ w).mean(), np.ones(5, np.float32), x.astype(np.float32), small=1)
    square, trace = (x.mean(0) ** 2).sum(), x.var(0, ddof=1).sum()
    assert scale.noise_scale == pytest.approx(1 / (square / trace - 1 / 128), rel=1e-4)


def test_numbers_of_numpy_are_whole_numbers():
    four, hundred = (typing.cast(int, np.int64(number)) for number in (4, 100))
    assert bs.noise_scale(loss_fn, weights(), (X, Y), small=four) == bs.noise_scale(loss_fn, weights(), (X, Y), small=4)
    assert float(bs.schedules.one_cycle(peak=0.1, steps=hundred)[0](29)) == pytest.approx(0.1, rel=1e-6)


REFUSED = {
    'no scalar': (lambda p, b: (b[0] @ p['w']) ** 2, {}, r'returns float32\[128\]; .*end it with \.mean\(\)'),
    'a pair': (lambda p, b: (loss_fn(p, b), 1.0), {}, 'returns tuple of 2 arrays; .*return that alone, a float'),
    'a sum': (lambda p, b: loss_fn(p, b) * len(b[0]), {}, 'loss_fn sums over the batch'),
    'small': (loss_fn, {'small': 48}, r'small=48: must divide the batch of 128 .*: 1, 2, 4, 8, 16, 32, 64$'),
    'small of all': (loss_fn, {'small': 128}, 'small=128: must divide'),
    'no arrays': (loss_fn, {'params': {}}, r"params='\{\}' holds no arrays; give the weights alone"),
    'a function': (loss_fn, {'params': {'w': jnp.ones(5), 'act': abs}}, "leaf 'act' is builtin_function_or_method"),
    'integers': (loss_fn, {'params': {'w': jnp.ones(5, int)}}, "leaf 'w' is int32, no float array"),
    'uneven': (loss_fn, {'batch': (X, Y[:5])}, r'same first axis, the examples; shapes 0: \(128, 5\), 1: \(5,\)'),
    'a list': (loss_fn, {'batch': (X, Y.tolist())}, 'leaves need to be arrays, 1/0 is of type float; np.asarray'),
    'no whole number': (loss_fn, {'small': 4.0}, r'small=4\.0: must divide'),
    'no batch': (loss_fn, {'batch': ()}, 'same first axis, the examples; shapes it has none'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_cannot_be_is_one_line(name: str):
    loss, given, message = REFUSED[name]
    given = {'params': weights(), 'batch': (X, Y), 'small': 4} | given
    with pytest.raises(ValueError, match=message) as error:
        bs.noise_scale(loss, given['params'], given['batch'], small=given['small'])
    assert '\n' not in str(error.value)


INSIDE: dict[str, Any] = {
    'noise_scale': lambda w: bs.noise_scale(loss_fn, w, (X, Y), small=4).noise_scale,
    'gradient_norm_vs_batch_size': lambda w: bs.gradient_norm_vs_batch_size(loss_fn, w, (X, Y), (4,)),
}


@pytest.mark.parametrize('name', INSIDE)
def test_what_gives_numbers_is_called_outside_of_jit(name: str):
    with pytest.raises(ValueError, match=rf'^{name} gives numbers, .*outside of jit'):
        jax.jit(INSIDE[name])(weights())


def test_an_error_of_the_loss_itself_says_how_it_was_called():
    of_three: Any = lambda params, x, y: loss_fn(params, (x, y))
    with pytest.raises(TypeError) as error:
        bs.noise_scale(of_three, weights(), (X, Y), small=4)
    assert any('loss_fn(params, batch)' in note for note in error.value.__notes__)


# When to change me: with the version that CONTRIBUTING.md asks for.
SIGNATURES = {
    'Monitor': ('loss_fn', 'params', '*', 'optimizer', 'axis_name', '**measurements'),
    'Monitor.init': ('params',),
    'Monitor.__call__': (
        'state', 'params', 'step', 'batch', 'key', '*', 'opt_state', 'learning_rate', 'momentum', 'whole',
    ),
    'Monitor.measured': ('row',),
    'gradient_norm_vs_batch_size': (
        'loss_fn', 'params', 'data', 'batch_sizes', '*', 'learning_rate', 'trials', 'samples', 'with_replacement',
        'parameters', 'population', 'seed',
    ),
    'load': ('workdir',),
    'noise_scale': ('loss_fn', 'params', 'batch', '*', 'small'),
    'plan': ('config', 'overrides', '*', 'arms', 'say'),
    'run': ('plans', 'workdir', '*', 'quiet'),
    'schedules.cosine': ('*', 'peak', 'steps', 'batch_size', 'epoch_size', '**fields'),
    'schedules.one_cycle': (
        '*', 'peak', 'steps', 'pct_start', 'anneal_strategy', 'three_phase', 'div_factor', 'final_div_factor',
        'cycle_momentum', 'base_momentum', 'max_momentum',
    ),
}  # fmt: skip
RESULTS = {
    'MonitorState': ('initial', 'measurements'),
    'NoiseScale': ('noise_scale', 'low', 'high', 'gradient_square', 'trace'),
    'schedules.Schedule': ('learning_rate', 'momentum'),
}


def parameters(function: Any) -> tuple[str, ...]:
    """As they are written, `*` in front of those by name alone."""
    names, seen = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not seen:
            names, seen = [*names, '*'], True
        names.append(f'**{parameter.name}' if parameter.kind is inspect.Parameter.VAR_KEYWORD else parameter.name)
    return tuple(name for name in names if name != 'self')


@pytest.mark.parametrize('name', SIGNATURES)
def test_a_promised_signature_stays(name: str):
    assert parameters(operator.attrgetter(name)(bs)) == SIGNATURES[name]


@pytest.mark.parametrize('name', RESULTS)
def test_promised_fields_stay(name: str):
    assert operator.attrgetter(name)(bs)._fields == RESULTS[name]


def test_only_promised_names_are_there():
    """The lazy names, those that type checkers see, and `__all__` are the same."""
    tree = ast.parse(pathlib.Path(bs.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    promised = {name.split('.')[0] for name in (*SIGNATURES, *RESULTS)} | {'schema'}
    assert set(bs.__all__) == typed == promised
    assert set(bs.__all__) <= set(dir(bs))
    assert all(getattr(bs, name) is not None for name in bs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'noise_scal'"):
        bs.noise_scal  # type: ignore[attr-defined]  # noqa: B018


def test_importing_it_is_cheap():
    """Nothing but the standard library."""
    said = 'import sys, bsresearch; print({m for m in sys.modules if m.split(".")[0] in ("jax", "numpy", "pandas")})'
    done = subprocess.run([sys.executable, '-c', said], env=toy.environment(), capture_output=True, text=True)
    assert done.stdout == 'set()\n', done.stderr


def test_code_of_the_page_runs(tmp_path: pathlib.Path, patching: pytest.MonkeyPatch, capsys: Any):
    """docs/your_own_loop.md, as printed: rows of JSON, a noise scale, a table."""
    patching.chdir(tmp_path)
    (block,) = re.findall(r'```python\n(.*?)\n```', (toy.ROOT / 'docs/your_own_loop.md').read_text('utf-8'), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, 'your_own_loop.md', 'exec'), names)
    rows = [json.loads(line) for line in (tmp_path / 'rows.jsonl').read_text().splitlines()]
    assert [row['step'] for row in rows] == list(range(200))
    assert [row['step'] for row in rows if 'noise_scale' in row] == [0, 50, 100, 150]
    assert [row['step'] for row in rows if 'distance' in row] == list(range(0, 200, 20))
    assert {'distance/layers_0', 'distance/layers_2'} <= rows[0].keys()
    assert rows[-1]['path_length'] > rows[-20]['distance'] > 0.5
    batch = (names['images'], names['labels'])
    assert names['loss_fn'](names['params'], batch) < 0.5 < names['loss_fn'](weights_of(names), batch)
    said = capsys.readouterr().out
    (told,) = re.findall(r'B_simple = ([\d.]+) \(([\d.]+) to ([\d.]+), 95 %\)', said)
    scale, low, high = map(float, told)
    assert 300 < low < scale < high < 10_000
    assert 'walking_mean' in said


def weights_of(names: dict[str, Any]) -> Any:
    """The page's first ones."""
    return names['model'].init(jax.random.key(0), names['images'][:1])['params']


def test_gradient_norms_against_brute_force():
    """One batch of all that a trial draws: norms by NumPy; without replacement that is the whole set, each time."""
    table = bs.gradient_norm_vs_batch_size(
        loss_fn, weights(), (X, Y), (32, 128), trials=3, with_replacement=False, learning_rate=0.1, population=True
    )
    gradients = np.concatenate([X, np.ones((128, 1))], axis=1) * 2 * (X @ np.ones(5) - Y)[:, None]
    whole = np.linalg.norm(gradients.mean(0))
    small, large = table.to_dict('records')
    assert (small['batch_size'], large['batch_size'], large['trials']) == (32, 128, 3)
    for name in ('walking_mean', 'frozen_mean', 'single_mean', 'single_rms_predicted'):
        assert large[name] == pytest.approx(whole, rel=1e-5), name
    assert large['displacement_mean'] == pytest.approx(0.1 * whole, rel=1e-5)
    assert small['frozen_mean'] == pytest.approx(whole, rel=1e-5)
    assert small['walking_mean'] < whole  # of four steps downhill
    spread = (gradients**2).sum(1).mean() - whole**2
    assert small['single_rms_predicted'] == pytest.approx(np.sqrt(whole**2 + spread * 128 / 127 / 32 * 3 / 4), rel=1e-5)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({'batch_sizes': 64}, r'^batch_sizes=64; allowed: several'),
        ({'batch_sizes': (0,)}, r'^batch_sizes=\(0,\): distinct numbers of at least 1'),
        ({'batch_sizes': (64,), 'samples': 32}, '^batch_sizes has 64, more than the samples=32'),
        ({'batch_sizes': (256,), 'with_replacement': False}, '^samples=256: the training set has 128 examples'),
        ({'batch_sizes': (4,), 'parameters': ('kernel',)}, "'kernel' matches no parameter; use .* pattern of b, w"),
    ],
)
def test_gradient_norms_that_cannot_be_are_one_line(given: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        bs.gradient_norm_vs_batch_size(loss_fn, weights(), (X, Y), **given)


def test_schedules_are_the_engines_and_drive_optax():
    """Exact at first update, peak and end; a scan over the updates uses each value."""
    lr, momentum = bs.schedules.one_cycle(peak=0.1, steps=100)
    assert momentum is not None
    span = units.Span(units.length(100, 1, total_steps=100), 0, 100)
    expected = one_cycles.one_cycle(np.arange(100), span)
    counts = jnp.arange(100)
    np.testing.assert_allclose(jax.vmap(lr)(counts), 0.1 * expected.factor, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(momentum)(counts), np.asarray(expected.momentum), rtol=1e-6)
    assert [float(lr(0)), float(lr(29)), float(lr(500))] == pytest.approx([0.004, 0.1, 4e-7], rel=1e-6)
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=lr, momentum=momentum)
    state = optimizer.init(weights())
    for t in range(3):
        _, state = optimizer.update(weights(), state)
        assert float(state.hyperparams['learning_rate']) == pytest.approx(float(lr(t)))
        assert float(state.hyperparams['momentum']) == pytest.approx(float(momentum(t)))
    halved = bs.schedules.step(peak=1.0, steps=8, at_epochs=(1.0,), factor=0.5, batch_size=10, epoch_size=40)
    assert [float(halved.learning_rate(t)) for t in range(8)] == [1.0] * 4 + [0.5] * 4
    assert halved.momentum is None


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda s: s.one_cycle(peak=0.0, steps=10), 'one_cycle: peak=0.0; allowed: a positive'),
        (lambda s: s.one_cycle(peak=0.1, steps=1.5), r'steps=1.5; allowed: a whole number of updates'),
        (lambda s: s.cosine(peak=0.1, steps=9, finale=0), "cosine has no field 'finale'; did you mean 'final'"),
        (lambda s: s.exponential_rate(peak=0.1, steps=9), r'every_epochs needs batch_size=… and epoch_size=…'),
    ],
)
def test_schedules_that_cannot_be_are_one_line(make: Any, message: str):
    with pytest.raises(ValueError, match=message):
        make(bs.schedules)


def test_an_unknown_schedule_names_the_nearest():
    with pytest.raises(AttributeError, match="no schedule 'cosin'; did you mean 'cosine'"):
        bs.schedules.cosin  # noqa: B018


def test_runs_of_a_config_from_python(tmp_path: pathlib.Path):
    """Planned, trained and read; the same again trains nothing."""
    said: list[str] = []
    changes = {'batch_size': 64, 'learning_rate': 0.1, 'total_epochs': 1.0, 'sweep.seed': (0, 1)}
    plans = bs.plan('quickstart', changes, say=said.append)
    assert [plan.batch_size for plan in plans.plans] == [64, 64]
    table = bs.run(plans, tmp_path / 'a', quiet=True)
    assert set(table['run']) == {plan.id for plan in plans.plans}
    assert set(table['status']) == {'done'}
    assert bs.run(plans, tmp_path / 'a', quiet=True).equals(bs.load(tmp_path / 'a'))
    whole = bs.schema.defaults()
    whole.batch_size = 16
    assert bs.plan(whole, {'total_steps': 5}).plans[0].batch_size == 16
    for swapped in ('quickstart', tmp_path):
        with pytest.raises(ValueError, match=r'allowed: bs\.run\(bs\.plan\(config\), workdir\)'):
            bs.run(swapped, tmp_path / 'a')  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"no config 'quickstar'.*quickstart"):
        bs.plan('quickstar')
    with pytest.raises(ValueError, match='unknown config field batch_sise'):
        bs.plan('quickstart', {'batch_sise': 64})
