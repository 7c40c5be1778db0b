"""The gradient-norm probe: against a loop in NumPy float64, its identities, its prediction, its records, bad input."""

import functools
import pathlib
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from fake_records import gradient_norms

from bsresearch.analysis.quantities import gradient_norm
from bsresearch.core import rng
from bsresearch.launching import probing, runner
from bsresearch.measure.probes import walk
from bsresearch.measure.probes.gradient_norm import build
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.store import probe_records, records
from bsresearch.studies import gradient_norm as study
from bsresearch.train.saving import restore

SIZES = (1, 3, 16)


def plan(**changes: Any) -> Plan:
    """A small run with its probe."""
    own = {'trials': 12, 'samples': 16, 'batch_sizes': SIZES, 'at_steps': (20,)} | changes.pop('probe', {})
    fields = {f'probe__{k}': v for k, v in own.items()}
    base = toy.BARE | {'study': 'gradient_norm', 'model': {'name': 'linear'}, 'total_steps': 40}
    return toy.plans(**(base | changes), probe__name='gradient_norm', **fields)[0]


def probes_of(workdir: pathlib.Path) -> list[gradient_norm.GradientNorms]:
    return gradient_norm.of_probes(probe_records.load(workdir, 'gradient_norm'))


def made(workdir: pathlib.Path, run: Plan) -> list[gradient_norm.GradientNorms]:
    """Trained, probed and loaded."""
    for stage in study.stages([run]):
        runner.launch(workdir, stage, toy.Quiet())
    return probes_of(workdir)


def probed(workdir: pathlib.Path, run: Plan) -> list[gradient_norm.GradientNorms]:
    """The probes of a run that is there, loaded."""
    runner.launch(workdir, study.probes(run), toy.Quiet())
    return probes_of(workdir)


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The run of `plan`, with weights at 20 and 40; to be copied."""
    workdir = tmp_path_factory.mktemp('trained')
    toy.train(workdir, [plan(probe={'at_steps': (20, 40)})])
    return workdir


@pytest.fixture
def workdir(trained: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of it."""
    return shutil.copytree(trained, tmp_path / 'runs')


@pytest.fixture(scope='module')
def whole(trained: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Another copy, with a probe of 25 trials."""
    workdir = shutil.copytree(trained, tmp_path_factory.mktemp('whole') / 'runs')
    probed(workdir, plan(probe={'trials': 25}))
    return workdir


def softmax_gradient(w: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Of a linear softmax model's mean loss, by hand."""
    logits = x @ w['kernel'] + w['bias']
    p = np.exp(logits - logits.max(1, keepdims=True))
    delta = (p / p.sum(1, keepdims=True) - np.eye(10)[y]) / len(y)
    return {'kernel': x.T @ delta, 'bias': delta.sum(0)}


def by_hand(start: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray, size: int, rate: float) -> dict[str, Any]:
    """One trial in loops; P is the kernel."""
    w, n = dict(start), len(y)
    total, frozen = np.zeros_like(start['kernel']), np.zeros_like(start['kernel'])
    for k in range(n // size):
        part = slice(k * size, (k + 1) * size)
        gradient = softmax_gradient(w, x[part], y[part])
        total += gradient['kernel']
        frozen += softmax_gradient(start, x[part], y[part])['kernel']
        w = {name: w[name] - rate * gradient[name] for name in w}
    norm = np.linalg.norm
    moved = {name: w[name] - start[name] for name in w}
    entries = size / n * total
    return {
        'walking': norm(entries),
        'frozen': norm(size / n * frozen),
        'single': norm(softmax_gradient(start, x[:size], y[:size])['kernel']),
        'displacement': np.sqrt(norm(moved['kernel']) ** 2 + norm(moved['bias']) ** 2),
        'displacement_selected': norm(moved['kernel']),
        'fourth': (entries**4).sum(),
        'largest': np.abs(entries).max(),
    }


@pytest.mark.parametrize('one_by_one', [True, False])
@pytest.mark.parametrize('size', SIZES)
def test_a_trial_is_the_loop_by_hand(size: int, one_by_one: bool):
    """Every statistic to 1e-9 in float64, trials one after another and all at once; a block's unused trials stay 0."""
    random = np.random.default_rng(size)
    with jax.enable_x64(True):
        start = {'kernel': random.normal(size=(6, 10)) / 3, 'bias': random.normal(size=10)}
        x, y = random.normal(size=(3, 16, 6)), random.integers(0, 10, (3, 16))

        def loss(params: Any, stats: Any, batch: Any) -> jax.Array:
            logits = batch[0] @ params['kernel'] + params['bias'][None]
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), batch[1][:, None], 1)[:, 0]

        params, data = jax.tree.map(jnp.asarray, (start, (x, y)))
        args = (params, {}, data, jnp.float64(0.1), jnp.int32(2))
        made = jax.jit(functools.partial(walk.trials, loss, ('kernel',), size, one_by_one))
        found = jax.device_get(made(*args))
    for i in range(2):
        for name, value in by_hand(start, x[i], y[i], size, 0.1).items():
            assert getattr(found, name)[i] == pytest.approx(value, rel=1e-9)
    assert found.counts.sum() == 2 * start['kernel'].size
    assert not one_by_one or found.walking[2] == 0


def test_entries_are_counted_in_their_bins():
    """Signed, even in log₂; what is out of range in the outermost bins."""
    edges = walk.edges()
    x = np.array([0.75 * edges[5] + 0.25 * edges[6], -3.0, 3.0, 1e-30, 1e30, 0.0])
    counts = np.asarray(walk.count(jnp.asarray(x, jnp.float32)))
    half = len(counts) // 2
    three = int(np.searchsorted(edges, 3.0) - 1)
    assert counts[half + 5] == 1
    assert counts[half + three] == 1
    assert counts[half - 1 - three] == 1
    assert counts[half] == 2
    assert counts[-1] == 1
    assert counts.sum() == 6


def test_a_probe_of_a_run_is_the_loop_by_hand(tmp_path: pathlib.Path):
    """End to end on digits: the checkpoint's weights, the drawn examples, the run's own learning rate."""
    run = plan(schedule__name='cosine')
    (found,) = made(tmp_path, run)
    assert found.learning_rate == pytest.approx(0.05 * (1 + np.cos(np.pi * 20 / 39)) / 2, rel=1e-12)
    weights = restore.state(tmp_path, run, 20).params['output']
    start = {name: np.asarray(w, np.float64) for name, w in weights.items()}
    train = resolve.dataset(run.data).train
    x = np.asarray(train.inputs, np.float64).reshape(len(train.labels), -1) / 16
    for i in range(12):
        rows = rng.generator(0, 'probe/gradient_norm', i).integers(0, len(x), 16)
        for place, size in enumerate(SIZES):
            expected = by_hand(start, x[rows], train.labels[rows], size, found.learning_rate)
            for name in ('walking', 'frozen', 'single', 'displacement', 'displacement_selected'):
                assert found.norms[name][i, place] == pytest.approx(expected[name], rel=2e-4)
            assert found.norms['summed'][i, place] == pytest.approx(size * expected['single'], rel=2e-4)
    g = [softmax_gradient(start, x[i : i + 1], train.labels[i : i + 1])['kernel'] for i in range(len(x))]
    mean = np.mean(g, axis=0)
    assert found.gradient_square == pytest.approx((mean**2).sum(), rel=1e-4)
    assert found.trace == pytest.approx(np.mean([((a - mean) ** 2).sum() for a in g]), rel=1e-4)
    held = gradient_norm.identities(found)
    assert held['displacement'] < 1e-3
    assert held['frozen'] < 1e-5
    assert held['single'] < 4
    # A probe is no run; what is planted elsewhere has what is stored here.
    assert records.runs(tmp_path)['run'].tolist() == [run.id]
    with pytest.raises(FileNotFoundError, match='no finished interpolation probes'):
        probe_records.load(tmp_path, 'interpolation')
    (stored,) = probe_records.load(tmp_path, 'gradient_norm')
    planted = gradient_norms(found.norms['walking'], np.array(SIZES), 0.1, 16, np.random.default_rng(0))
    assert planted.keys() == stored['arrays'].keys()
    assert all(planted[name].ndim == stored['arrays'][name].ndim for name in planted)


def test_the_single_batch_norm_is_predicted(tmp_path: pathlib.Path):
    """E S² = ‖∇L‖² + tr Σ/B within 3 standard errors over 100 trials; without replacement its own form, B up to N."""
    probe = {'trials': 100, 'samples': 64, 'batch_sizes': (1, 4, 64)}
    changes = {'data__fraction': 64 / 1437}
    runs = [plan(probe=probe | {'with_replacement': kept}, **changes) for kept in (True, False)]
    toy.train(tmp_path, runs[:1])
    for found in [f for run in runs for f in probed(tmp_path, run)]:
        assert found.population == 64
        squares = found.norms['single'] ** 2
        z = (squares.mean(0) - gradient_norm.predicted(found)) / (squares.std(0, ddof=1) / 10)
        assert np.abs(z[:2]).max() < 3
        if found.with_replacement:
            assert abs(z[2]) < 3
        else:
            assert found.norms['single'][:, 2] == pytest.approx(np.sqrt(found.gradient_square), rel=1e-4)
    assert {f.with_replacement for f in probes_of(tmp_path)} == {True, False}


@pytest.mark.parametrize('damaged', [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_stopped_probe_goes_on_and_gives_the_same(damaged: bool, whole: pathlib.Path, tmp_path: pathlib.Path):
    """A kill between blocks: what was stored is not made again, but where it is damaged; the same bit for bit."""
    run = plan(probe={'trials': 25})
    (unbroken,) = probes_of(whole)
    shutil.copytree(whole, tmp_path / 'b')
    folder = next((tmp_path / 'b').glob('*/*/probe.json')).parent
    (probe,) = study.probes(run)
    blocks = [probe.kind.blocks]
    assert blocks == [3]
    (folder / 'meta.json').unlink()
    next((folder / 'arrays').glob('gradient_norm-*.npz')).unlink()
    caught: list[int] = []

    class Stopping(toy.Quiet):
        def say(self, text: str) -> None:
            if 'block 1/' in text:
                caught.append(15)

    probing.launch(tmp_path / 'b', [probe], Stopping(), caught)
    stored = list((folder / 'arrays').glob('block-*.npz'))
    assert len(stored) == 1
    first = dict(np.load(stored[0]))
    (folder / 'arrays' / '.block-000001.npz.7.tmp').write_bytes(b'half')
    if damaged:
        toy.flip(stored[0])
    resuming = toy.Quiet()
    probing.launch(tmp_path / 'b', [probe], resuming, [])
    assert any(stored[0].name in line for line in resuming.lines) == damaged
    assert [p.name for p in (folder / 'arrays').iterdir()] == ['gradient_norm-20.npz']
    (again,) = probes_of(tmp_path / 'b')
    toy.assert_equal(again.norms, unbroken.norms)
    toy.assert_equal(first['walking'], unbroken.norms['walking'][:10].astype(np.float32))
    assert (again.counts == unbroken.counts).all()
    # And a finished one is left alone.
    console = toy.Quiet()
    probing.launch(tmp_path / 'b', [probe], console, [])
    assert console.lines == ['1 of 1 probes are finished already and are left alone']


def test_draws_are_common_to_batch_sizes_rates_and_checkpoints(workdir: pathlib.Path, whole: pathlib.Path):
    """The frozen norm does not see η; more trials keep the first ones."""
    found = probed(workdir, plan(probe={'learning_rates': (0.01, 0.05), 'at_steps': (20, 40)}))
    assert [(f.step, f.learning_rate) for f in found] == [(20, 0.01), (40, 0.01), (20, 0.05), (40, 0.05)]
    toy.assert_equal(found[0].norms['frozen'], found[2].norms['frozen'])
    assert (found[0].norms['walking'][:, 0] != found[2].norms['walking'][:, 0]).all()
    assert found[0].norms['walking'][:, -1] == pytest.approx(found[2].norms['walking'][:, -1])  # one step: at w*
    (more,) = probes_of(whole)
    toy.assert_equal(more.norms['walking'][:12], found[2].norms['walking'])


def test_laws_are_found_again():
    """Planted a + b·√B in the squares: its fit is nearly exact, others are not."""
    sizes = np.array([1, 4, 16, 64, 256])
    squares = 2 + 0.5 * np.sqrt(sizes) + np.random.default_rng(0).normal(0, 0.05, (100, 5))
    nothing: dict[str, Any] = dict.fromkeys(gradient_norm.GradientNorms._fields, 0)
    probe = gradient_norm.GradientNorms(**nothing | {'batch_sizes': sizes, 'norms': {'walking': squares**0.5}})
    r2 = gradient_norm.fits(probe, 'walking').set_index('law')['r2']
    assert r2['a + b·√B'] > 0.999 > 0.97 > r2['a + b·B'] > r2['a + b/B']


def test_norms_that_are_not_finite_are_reported(tmp_path: pathlib.Path):
    """A walk that diverges: counted, its mean not given, the other batch sizes as ever."""
    probe = {'learning_rates': (1e15,), 'batch_sizes': (1, 16)}
    (found,) = made(tmp_path, plan(model={'name': 'mlp', 'widths': (16,)}, probe=probe))
    table = gradient_norm.table([found]).set_index('batch_size')
    assert table.loc[1, 'non_finite'] == 12
    assert np.isnan(table.loc[1, 'displacement_mean'])
    assert table.loc[16, 'non_finite'] == 0
    assert table.loc[16, 'walking_mean'] > 0
    assert 'norms are not finite' in gradient_norm.text([found])


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'batch_sizes': (1, 32)}, 'batch_sizes has 32, more than the samples=16'),
        ({'batch_sizes': (2, 2)}, 'distinct numbers'),
        ({'batch_sizes': ()}, 'distinct numbers'),
        ({'trials': 0}, 'trials=0: at least 1'),
        ({'parameters': ('fc3/weight',)}, r"'fc3/weight' matches no parameter.*output/bias, output/kernel"),
        ({'parameters': ('norm',)}, 'no such parameters'),
        ({'parameters': ()}, 'name what to select'),
        ({'learning_rates': (0.0,)}, 'must be positive'),
        ({'with_replacement': False, 'samples': 5000}, '1437 examples to draw without replacement'),
        ({'at_steps': (99,)}, 'past the end of the run'),
        ({'trialss': 3}, "unknown config field probe.trialss.*did you mean 'trials'"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(settings: dict[str, Any], message: str):
    """The message names the value and what is allowed."""
    with pytest.raises(ValueError, match=message):
        plan(probe=settings)


def test_batch_sizes_that_split_batch_norm_groups_are_refused():
    """A batch of the walk is a whole number of batch-norm groups."""
    model = {'name': 'mlp', 'widths': (8,), 'batch_norm': True}
    with pytest.raises(ValueError, match='1 is not a whole number of batch-norm groups of 8'):
        plan(model=model)
    plan(model=model, probe={'batch_sizes': (8, 16)})


def test_a_checkpoint_that_is_not_there_is_named(trained: pathlib.Path):
    """Those that are there are listed; nothing is trained or written."""
    asked = plan(probe={'at_steps': (13,)})
    before = sorted(trained.rglob('*'))
    with pytest.raises(ValueError, match=r'no checkpoint at update 13 .*there are: 0 .*40 '):
        runner.launch(trained, study.probes(asked), toy.Quiet())
    assert sorted(trained.rglob('*')) == before


def test_a_diverged_run_is_told_of_and_the_others_are_probed(workdir: pathlib.Path):
    """Only where no run has weights is it an error."""
    stable, lost = plan(), plan(learning_rate=1e25, model={'name': 'mlp', 'widths': (16,)})
    toy.train(workdir, [lost])
    console = toy.Quiet()
    runner.launch(workdir, study.probes(stable) + study.probes(lost), console)
    assert any(f'run {lost.id} diverged at update' in line for line in console.lines)
    assert [f.run for f in probes_of(workdir)] == [stable.id]
    with pytest.raises(ValueError, match=rf'run {lost.id} diverged at update \d+: there are no weights at update 20'):
        runner.launch(workdir, study.probes(lost), toy.Quiet())


def test_a_probe_in_float64_keeps_the_identities_to_its_precision(tmp_path: pathlib.Path):
    """The gradients of the training set too: at B = N without replacement the norm is ‖∇L‖."""
    probe = {'samples': 64, 'batch_sizes': (1, 4, 64), 'with_replacement': False}
    with jax.enable_x64(True):
        (found,) = made(tmp_path, plan(dtype='float64', probe=probe, data__fraction=64 / 1437))
    held = gradient_norm.identities(found)
    assert held['displacement'] < 1e-11
    assert held['frozen'] < 1e-12
    assert found.norms['single'][:, 2] == pytest.approx(np.sqrt(found.gradient_square), rel=1e-12)


def test_the_probe_changes_no_run():
    """Neither a run's id nor the probe of another study."""
    assert plan().id == plan(probe={'trials': 99}).id
    assert study.probes(plan())[0].id != study.probes(plan(probe={'trials': 99}))[0].id
    with pytest.raises(ValueError, match=r'needs config\.probe\.name=gradient_norm'):
        study.check(toy.plans())
    assert build().blocks == 100
    assert build(trials=101).blocks == 11
