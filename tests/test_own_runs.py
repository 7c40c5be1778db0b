"""Runs of a user's networks: against explicit loops over real examples alone, and however the network is written."""

import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from toy import BARE, ROOT, network, plans, rows, train

from bsresearch import models
from bsresearch.data import order
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.train import program

PARTS, NETWORKS = f'{ROOT}/tests/users_parts.py', f'{ROOT}/tests/users_networks.py'
MISTAKES = f'{ROOT}/tests/users_mistakes.py'
TWO_NORMS = ('two_norms', 'nnx_two_norms')


def normalized(x: jax.Array, layer: Any, running: Any, groups: list[slice]) -> tuple[jax.Array, Any]:
    """Batch norm by its formula, each group by itself, and the statistics after an update from all.

    A group with one value of each feature moves none of them, as in models/norms.py.
    """
    row = lambda v: v.reshape((1,) * (x.ndim - 1) + (-1,))
    outputs, means, variances = [], [], []
    for group in groups:
        values = x[group]
        axes, lone = tuple(range(x.ndim - 1)), values.size == values.shape[-1]
        mean, var = values.mean(axes), values.var(axes)
        outputs.append((values - row(mean)) / jnp.sqrt(row(var) + 1e-5) * row(layer['scale']) + row(layer['bias']))
        means.append(len(values) * (running['mean'] if lone else mean))
        variances.append(len(values) * (running['var'] if lone else var))
    after = {'mean': sum(means) / len(x), 'var': sum(variances) / len(x)}
    return jnp.concatenate(outputs), {name: 0.9 * running[name] + 0.1 * after[name] for name in after}


def two_norms(params: Any, stats: Any, x: jax.Array, group: int) -> tuple[jax.Array, Any]:
    """users_networks.TwoNorms without dropout, in training, on real examples alone."""
    groups = [slice(i, i + group) for i in range(0, len(x), group)]
    dense = lambda x, layer: x @ layer['kernel'] + layer['bias'].reshape((1,) * (x.ndim - 1) + (-1,))
    after = {}
    x = dense(x.reshape(len(x), -1, x.shape[-1]), params['dense_0'])
    x, after['norm_0'] = normalized(x, params['norm_0'], stats['norm_0'], groups)
    x = dense(jnp.maximum(x, 0).reshape(len(x), -1), params['dense_1'])
    x, after['norm_1'] = normalized(x, params['norm_1'], stats['norm_1'], groups)
    return dense(x, params['output']), after


def assert_close(one: Any, other: Any, tolerance: float) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), one, other)


def plain(stats: Any) -> Any:
    """Linen's statistics without the name of their collection."""
    return stats.get('batch_stats', stats)


GROUPS = [(6, 6), (5, 2), (1, 6), (4, 3), (4, 2)]


@pytest.mark.parametrize(
    ('name', 'real', 'group'),
    # That nnx's network is linen's: test_one_network_makes_one_run_however_it_is_written.
    [*(('two_norms', *case) for case in GROUPS), ('nnx_two_norms', 5, 2)]
    + [pytest.param('nnx_two_norms', *case, marks=pytest.mark.slow) for case in GROUPS if case != (5, 2)],
)
def test_batch_norm_is_its_formula_on_real_examples(name: str, real: int, group: int):
    """Brute force in float64: outputs and statistics; the last group may hold a single real example, or none."""
    with jax.enable_x64(True):
        own = models.builder(f'{NETWORKS}:{name}')(10, dtype='float64')
        x = np.random.default_rng(1).normal(size=(6, 4, 3))
        params, stats = jax.jit(lambda key: models.init(own, key, (4, 3)))(jax.random.key(0))
        stats = jax.tree.map(lambda s: np.asarray(s) + np.arange(s.size) / s.size, stats)
        assert {str(leaf.dtype) for leaf in jax.tree.leaves((params, stats))} == {'float64'}
        weights: Any = (np.arange(6) < real).astype(np.float64)
        grouped = models.in_groups(own, group, (4, 3))
        outputs, after = jax.jit(functools.partial(models.apply, grouped, train=True, weights=weights))(
            params, stats, x
        )
        by_formula = jax.jit(functools.partial(two_norms, group=group))
        expected, expected_after = by_formula(params, plain(stats), x[:real])
        assert_close((outputs[:real], plain(after)), (expected, expected_after), 1e-12)


def looped(plan: Plan, params: Any, stats: Any, group: int) -> tuple[Any, Any]:
    """Weights and statistics after all of a run's updates of plain SGD, from real examples alone."""
    data, rates = resolve.dataset(plan.data), plan.table(0, plan.length.total_steps).learning_rate

    def loss(params: Any, stats: Any, x: jax.Array, labels: jax.Array) -> tuple[jax.Array, Any]:
        outputs, after = two_norms(params, stats, x, group)
        return -jax.nn.log_softmax(outputs)[jnp.arange(len(x)), labels].mean(), after

    @jax.jit
    def update(params: Any, stats: Any, x: jax.Array, labels: jax.Array, rate: float) -> tuple[Any, Any]:
        gradient, after = jax.grad(loss, has_aux=True)(params, stats, x, labels)
        return jax.tree.map(lambda p, g: p - rate * g, params, gradient), after

    for t, rate in enumerate(rates):
        batch = order.batches(plan.data_seed, plan.length, t, t + 1)
        ids = batch.ids[0, : batch.counts[0]]
        x, labels = (part[ids] for part in (data.train.inputs, data.train.labels))
        params, stats = update(params, stats, x.astype(np.float64), labels, rate)
    return params, stats


# 7 examples: batches of 3, 3, 1; of 4 and 3 in groups of 2, 2 and 2, 1.
ODD = {'data__name': f'{PARTS}:points', 'data__examples': 17, 'total_steps': None, 'total_epochs': 2.0,
       'epoch_boundary': 'partial', **BARE}  # fmt: skip


@pytest.mark.parametrize(
    ('name', 'batch_size', 'group'),
    [('two_norms', 4, 2), pytest.param('nnx_two_norms', 3, None, marks=pytest.mark.slow)],
)
def test_a_run_whose_batches_do_not_divide_its_data_is_a_plain_loop(
    name: str, batch_size: int, group: int | None, workdir: pathlib.Path
):
    """Brute force in float64: padding, groups and an example alone leave what a loop without them leaves."""
    own = {'model': {'name': f'{NETWORKS}:{name}'}, 'dtype': 'float64'}
    (plan,) = plans(**ODD, **own, batch_size=batch_size, ghost_batch_size=group, learning_rate=0.1)
    train(workdir, [plan])
    assert plan.length.total_steps == 2 * -(-7 // batch_size)
    with jax.enable_x64(True):
        first = network(**ODD, **own, batch_size=batch_size, ghost_batch_size=group).state
        expected = looped(plan, first.params, plain(first.stats), group or batch_size)
        last = toy.checkpoint(workdir, plan, plan.length.total_steps)
    assert_close((last.params, plain(last.stats)), expected, 1e-10)


def test_a_run_with_dropout_does_not_depend_on_padding_or_micro_batches(workdir: pathlib.Path):
    """Invariance: masks follow the example where a batch is short and where its parts are worked on one by one."""
    own = {'model': {'name': f'{NETWORKS}:dropped'}, 'batch_size': 3}
    (whole,), (parts,) = (plans(**ODD, **own, micro_batch_size=size) for size in (3, 2))
    for part, plan in (('whole', whole), ('parts', parts)):
        train(workdir / part, [plan])
    assert_close(toy.final(workdir / 'parts', parts), toy.final(workdir / 'whole', whole), 1e-5)
    assert any(row.get('batch_loss') for row in rows(workdir / 'whole', whole))


REFUSED = [
    ({'model': {'name': f'{PARTS}:counting'}}, 'choose a length that is a whole number of batches of 3'),
    ({'model': {'name': f'{NETWORKS}:two_norms'}, 'batch_size': 1}, 'batch norm over groups of 1 example'),
    ({'model': {'name': f'{NETWORKS}:two_norms'}, 'ghost_batch_size': 2}, 'not a whole number of batch-norm groups of'),
    ({'model': {'name': f'{NETWORKS}:two_norms'}, 'micro_batch_size': 2}, 'micro_batch_size=2 is not a whole number'),
    ({'model': {'name': f'{NETWORKS}:coupled'}}, 'follow the others of its batch'),
    ({'model': {'name': f'{NETWORKS}:two_norms'}, 'measure__individual_gradients__every_epochs': 1.0,
      'measure__individual_gradients__batch_size': 6}, 'takes the gradients of single examples apart'),
    ({'model': {'name': f'{MISTAKES}:shared_mask'}}, 'one mask for all examples of a batch'),
    ({'model': {'name': f'{MISTAKES}:narrow', 'weights': 'float32'}, 'dtype': 'float64'},
     'weights that are float32; with config.dtype=float64 they must be float64: give its layers param_dtype='),
    ({'model': {'name': f'{MISTAKES}:narrow', 'outputs': 'float32'}, 'dtype': 'float64'},
     'its outputs are float32; with config.dtype=float64 give each layer dtype=dtype'),
]  # fmt: skip


@pytest.mark.parametrize(('changes', 'part'), REFUSED)
def test_what_cannot_be_promised_is_refused_before_it_runs(changes: dict[str, Any], part: str):
    """On 7 examples, in batches of 3."""
    with pytest.raises(ValueError, match=r'\w') as told:
        plans(**{**ODD, 'batch_size': 3, **changes})
    assert part in str(told.value)
    assert '\n' not in str(told.value)


def test_a_batch_norm_group_over_devices_is_refused():
    """In parts of the batch it lies on each of them."""
    own = {'model': {'name': f'{NETWORKS}:two_norms'}, 'batch_size': 8}
    (whole,), (parts,) = plans(**own), plans(**own, ghost_batch_size=4)
    with pytest.raises(ValueError, match=r'cannot lie over 2 devices; set config\.ghost_batch_size to a part of the'):
        program.task(whole, 1.0, 'cpu', devices=2)
    assert program.task(parts, 1.0, 'cpu', devices=2).shards is not None


def recorded(workdir: pathlib.Path, model: dict[str, Any]) -> tuple[list[dict[str, Any]], Any]:
    """A run's rows without seconds, and its last weights."""
    (plan,) = plans(**{**BARE, 'evaluate__every_epochs': 0.05}, total_steps=12, model=model)
    train(workdir, [plan])
    return [dict(row) for row in rows(workdir, plan)], toy.final(workdir, plan)


def of_rows(records: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """The numbers of rows, by column."""
    columns = sorted({key for row in records for key, value in row.items() if isinstance(value, float)})
    return {key: np.array([row.get(key) for row in records], np.float64) for key in columns}


@pytest.fixture(scope='module')
def built_in(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, Any]:
    """A file of first weights, and the built-in network's run from them."""
    folder = tmp_path_factory.mktemp('built in')
    initial = network().state.params
    layers = [initial['dense_0'], initial['output']]
    np.savez(folder / 'weights.npz', **{f'{part}_{i}': layer[part] for i, layer in enumerate(layers) for part in layer})
    return folder / 'weights.npz', recorded(folder / 'runs', {'name': 'mlp', 'widths': (16,)})


# How the network of one layer is written → whether its program is the built-in one's.
WRITTEN: dict[str, tuple[dict[str, Any], bool]] = {
    'built-in, by path': ({'name': 'bsresearch.models.mlp:build', 'widths': (16,)}, True),
    'linen, a file': ({'name': f'{PARTS}:mlp'}, True),
    'linen, a module': ({'name': 'users_parts:mlp'}, True),
    'nnx': ({'name': f'{PARTS}:nnx_mlp'}, False),
    'pair': ({'name': f'{PARTS}:pair'}, False),
}


@pytest.mark.parametrize('how', WRITTEN)
def test_one_network_makes_one_run_however_it_is_written(
    how: str, built_in: tuple[pathlib.Path, Any], workdir: pathlib.Path
):
    """From the same first weights: the same records within 1e-6, and bit for bit where the program is the same."""
    (model, same_program), (file, (expected, expected_weights)) = WRITTEN[how], built_in
    given = {} if same_program else {'weights': str(file)}
    records, weights = recorded(workdir, model | given)
    columns, expected_columns = of_rows(records), of_rows(expected)
    assert columns.keys() == expected_columns.keys() >= {'batch_loss', 'test_loss'}
    compare = (
        np.testing.assert_array_equal if same_program else functools.partial(np.testing.assert_allclose, rtol=1e-6)
    )
    for name, values in columns.items():
        compare(values, expected_columns[name], err_msg=name)
    if same_program:
        toy.assert_equal(weights, expected_weights)
