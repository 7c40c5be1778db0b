"""Networks of a user's own: what the engine puts into them, against the networks that have it, and brute force."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import users_networks
from toy import ROOT

from bsresearch import models
from bsresearch.models.own import trial

USERS, NETWORKS = f'{ROOT}/tests/users_parts.py', f'{ROOT}/tests/users_networks.py'
SHAPE = (6, 6, 2)
NORMALIZED = ('normalized', 'nnx_normalized')


def network(name: str, **settings: Any) -> tuple[Any, Any, Any]:
    """A network for 10 classes, its weights and statistics."""
    module = models.builder(f'{USERS}:{name}')(10, **settings)
    return module, *init(module)


def init(module: Any) -> tuple[Any, Any]:
    """Weights and statistics."""
    return jax.jit(lambda key: models.init(module, key, SHAPE))(jax.random.key(0))


def examples(count: int = 6) -> jax.Array:
    return jax.random.normal(jax.random.key(1), (count, *SHAPE))


def keys(count: int = 6) -> jax.Array:
    return jax.random.split(jax.random.key(2), count)


def of_kind(kind: str, kernels: Any) -> Any:
    """The weights of the built-in network of one layer as one of another kind nests them."""
    first, last = kernels['dense_0'], kernels['output']
    if kind == 'nnx_mlp':
        return {'layers': {'0': first, '1': last}}
    return [(layer['kernel'], layer['bias']) for layer in (first, last)] if kind == 'pair' else kernels


@pytest.mark.parametrize('kind', ['mlp', 'nnx_mlp', 'pair'])
def test_one_network_is_one_function_however_it_is_written(kind: str):
    """Against the built-in one, from the same weights: outputs and the gradient of their squares."""
    plain = models.builder('mlp')(10, widths=(16,), init='glorot_normal')
    params, stats = init(plain)
    own, like, _ = network(kind)
    assert jax.tree.map(jnp.shape, like) == jax.tree.map(jnp.shape, of_kind(kind, params))

    def squares(module: Any, weights: Any) -> jax.Array:
        return (models.apply(module, weights, stats, examples(), train=True)[0] ** 2).sum()

    of = lambda module: jax.jit(jax.value_and_grad(functools.partial(squares, module)))
    value, gradient = of(plain)(params)
    own_value, own_gradient = of(own)(of_kind(kind, params))
    np.testing.assert_allclose(own_value, value, rtol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), own_gradient, of_kind(kind, gradient)
    )


@pytest.mark.parametrize('name', NORMALIZED)
def test_batch_norm_does_not_count_padding(name: str):
    """Brute force: the batch without its padding. One update of the statistics; none in evaluation."""
    module, params, stats = network(name)
    x, weights = examples(), jnp.array([1.0, 1, 1, 1, 0, 0])
    apply = jax.jit(lambda x, **kw: models.apply(module, params, stats, x, train=True, **kw))
    padded, after = apply(x.at[4:].mul(100.0), weights=weights)
    whole, expected = apply(x[:4])
    np.testing.assert_allclose(padded[:4], whole, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), after, expected)
    assert all(bool((a != b).any()) for a, b in zip(*map(jax.tree.leaves, (after, stats)), strict=True))
    nothing, _ = apply(x, weights=jnp.zeros(6))
    assert bool(jnp.isfinite(nothing).all())
    _, kept = jax.jit(lambda stats: models.apply(module, params, stats, x, train=False))(after)
    jax.tree.map(np.testing.assert_array_equal, kept, after)


@pytest.mark.parametrize('name', NORMALIZED)
def test_ghost_groups_are_normalized_apart(name: str):
    """Brute force: each group by itself; the statistics are one update from all, a group by its real examples."""
    module, params, stats = network(name)
    x, weights = examples(), jnp.array([1.0, 1, 1, 1, 1, 0])
    of = lambda module: jax.jit(lambda x, weights: models.apply(module, params, stats, x, train=True, weights=weights))
    outputs, after = of(models.in_groups(module, 2, SHAPE))(x, weights)
    alone = of(module)
    apart = [alone(x[i : i + 2], weights[i : i + 2]) for i in (0, 2, 4)]
    np.testing.assert_allclose(outputs, jnp.concatenate([y for y, _ in apart]), rtol=1e-5, atol=1e-6)
    expected = jax.tree.map(lambda a, b, c: (2 * a + 2 * b + c) / 5, *(s for _, s in apart))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), after, expected)
    with pytest.raises(ValueError, match='ghost groups of 4'):
        of(models.in_groups(module, 4, SHAPE))(x, weights)


@pytest.mark.parametrize('name', NORMALIZED)
def test_a_dropout_mask_follows_its_example(name: str):
    """Invariance: the same example has the same mask in another place; `quiet` networks have none."""
    module, params, stats = network(name, dropout=0.5)
    assert models.draws(module, {}, SHAPE)
    assert not models.draws(network(name)[0], {}, SHAPE)
    # All examples are one, so that batch norm does the same to each and only the masks differ.
    x = jnp.broadcast_to(examples(1), (6, *SHAPE))
    of = lambda module: jax.jit(lambda x, keys: models.apply(module, params, stats, x, train=True, keys=keys)[0])
    apply, order = of(module), jnp.array([3, 0, 5, 1, 4, 2])
    outputs = apply(x, keys())
    np.testing.assert_allclose(apply(x, keys()[order]), outputs[order], rtol=1e-6)
    assert len(np.unique(np.asarray(outputs[:, 0]).round(6))) > 3
    quiet = of(module.clone(dropout=0.0))(x, None)
    np.testing.assert_allclose(quiet, jnp.broadcast_to(quiet[:1], quiet.shape), rtol=1e-6)
    many = jnp.broadcast_to(examples(1), (4000, *SHAPE))
    mean = apply(many, keys(4000)).mean(0)
    np.testing.assert_allclose(mean, quiet[0], atol=0.1 * float(jnp.abs(quiet[0]).max()))


@pytest.mark.parametrize(
    ('name', 'part'),
    [
        ('wrong_outputs', 'not (5, 10)'),
        ('wrong_shape', 'users_parts.py, line'),
        ('no_network', 'returned int'),
        ('mean_of_the_batch', 'follow the others of its batch'),
        ('noisy', "noise of the stream 'default'"),
        ('scanned', 'lies in a scan'),
        ('no_default', 'width needs a default'),
        ('settings_first', 'settings_first(num_outputs, *, setting=default, …)'),
        ('untold', 'nothing to tell training from evaluation'),
        ('Mlp', 'is a class'),
        ('nlp', "did you mean 'mlp'"),
    ],
)
def test_a_network_that_does_not_fit_is_one_line(name: str, part: str):
    assert part in refused(f'{USERS}:{name}')


INPUTS = 'its inputs are (B, 6, 6, 2), float32'
MISTAKES = [
    ('plain', {'form': 'tuple'}, 'it makes a tuple, not (5, 10)'),
    ('plain', {'form': 'one_each'}, 'it makes (5,), not (5, 10): a row for each example, with num_outputs=10'),
    ('plain', {'form': 'transposed'}, 'it makes (10, 5), not (5, 10)'),
    ('plain', {'form': 'not_flat'}, 'of 5 examples of shape (6, 6, 2) it makes (5, 6, 6, 10), not (5, 10)'),
    ('plain', {'form': 'integers'}, 'its outputs are int32; allowed: floats'),
    ('plain', {'form': 'nothing'}, 'it makes a NoneType, not (5, 10)'),
    ('one_too_many', {}, 'it makes (5, 11), not (5, 10)'),
    ('network', {}, 'is a Plain, a network already; give a function network(num_outputs, *, setting=default, …)'),
    ('the_class', {}, 'returned the class Plain itself; allowed'),
    ('other_switch', {}, 'the call of OtherSwitch needs mode too; it is given the inputs, and which of train, '),
    ('noisy', {}, 'noise is for nn.Dropout alone'),
    ('noisy', {'stream': 'dropout'}, 'noise is for nn.Dropout alone'),
    ('always_normal', {}, 'evaluation changes nothing: BatchNorm(use_running_average=not train)'),
    ('merged', {}, 'batch norm of inputs (180, 2): they are 5 examples'),
    ('merged', {'rate': 0.5}, 'Dropout_0 of inputs (180, 2): they are 5 examples'),
    ('shared_mask', {}, 'one mask for all examples'),
    ('embedded', {}, INPUTS),
    ('nnx_flat_expected', {}, INPUTS),
    ('channels_first', {}, INPUTS),
    ('nnx_without_rngs', {}, 'returned NnxPlain; allowed: a flax linen module, an (init, apply) pair, or an nnx'),
    ('nnx_table', {}, 'table is a plain array, neither weights nor statistics; make it nnx.Param(…) to train it'),
    ('nnx_switch', {}, 'the call of Switched needs train too; an nnx module is given the inputs alone'),
    ('narrow', {'weights': 'bfloat16'}, 'weights that are bfloat16; with config.dtype=float32 they must be float32'),
    ('init_alone', {}, 'init(key, inputs) is needed, not init('),
]


@pytest.mark.parametrize(('name', 'settings', 'part'), MISTAKES)
def test_a_users_mistake_is_one_line_with_a_cure(name: str, settings: dict[str, Any], part: str):
    """It names the network, once, and what it must be or be given."""
    told = refused(f'{ROOT}/tests/users_mistakes.py:{name}', **settings)
    assert part in told
    assert told.count(f'users_mistakes.py:{name}') == 1


def test_an_image_network_is_told_that_it_gets_features():
    told = refused(f'{ROOT}/tests/users_mistakes.py:embedded', shape=(10,))
    assert told.endswith('its inputs are (B, 10), float32: examples of 10 features each, not images')


def refused(path: str, shape: tuple[int, ...] = SHAPE, **settings: Any) -> str:
    """The line that a network of 10 classes is refused with."""
    with pytest.raises(ValueError, match=r'^model ') as told:
        models.init(models.builder(path)(10, **settings), jax.random.key(0), shape)
    assert '\n' not in str(told.value)
    return str(told.value)


COUPLED = [
    ('coupled', {'how': 'mean'}, 'in evaluation the outputs of an example follow the others of its batch'),
    ('coupled', {'how': 'softmax'}, 'in evaluation the'),
    ('coupled', {'how': 'sort'}, 'in evaluation the'),
    ('coupled', {'how': 'reverse'}, 'in evaluation the'),
    ('coupled', {'how': 'scan', 'in_evaluation': False}, 'in training the outputs of an example follow the others'),
    ('coupled', {'how': 'mean', 'in_evaluation': False, 'norm': True}, 'follow the padding of a short batch'),
    ('nnx_coupled', {}, 'in evaluation the outputs of an example'),
]


@pytest.mark.parametrize(('name', 'settings', 'part'), COUPLED)
def test_examples_that_see_each_other_are_seen(name: str, settings: dict[str, Any], part: str):
    """What no state shows, also through a last layer that begins at 0."""
    assert part in refused(f'{NETWORKS}:{name}', **settings)


def test_a_trial_needs_no_cpu(monkeypatch: pytest.MonkeyPatch):
    """JAX_PLATFORMS=cuda leaves JAX without one."""
    monkeypatch.setattr(trial, '_cpu', lambda: None)
    monkeypatch.setattr(models.own, '_TRIED', {})
    assert 'in evaluation the' in refused(f'{NETWORKS}:coupled', how='reverse')
    assert models.couples(network('normalized')[0], {}, SHAPE) == 'batch norm'


KINDS = ('attention', 'one_axis', 'transposed', 'grouped', 'dilated', 'embedded', 'half')


@pytest.mark.parametrize('kind', KINDS)
def test_layers_of_all_kinds_are_flaxs(kind: str):
    """Independent library: flax's own apply, outputs and the gradient of their squares."""
    built = models.builder(f'{NETWORKS}:of_kind')(10, kind=kind)
    params, stats = init(built)
    module, x = users_networks.OfKind(10, kind), 4 * examples()
    assert stats == {}
    ours = lambda params: (models.apply(built, params, {}, x, train=True, weights=jnp.ones(6))[0] ** 2).sum()
    flaxs = lambda params: (jnp.asarray(module.apply({'params': params}, x)) ** 2).sum()
    for a, b in zip(*(jax.tree.leaves(jax.jit(jax.value_and_grad(f))(params)) for f in (ours, flaxs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_arrays_that_a_network_is_made_with_outlive_the_trace_that_asked_for_it():
    """The network is asked for while shapes are traced, and used in other traces."""
    built = models.builder(f'{NETWORKS}:with_table')(10)
    params, _ = jax.eval_shape(lambda key: models.init(built, key, SHAPE), jax.random.key(0))
    ones = jax.tree.map(lambda x: jnp.ones(x.shape), params)
    outputs = jax.jit(lambda p: models.apply(built, p, {}, examples(), train=False)[0])(ones)
    expected = (np.asarray(examples()).reshape(6, -1) * np.sin(np.arange(72))).sum(1)
    np.testing.assert_allclose(outputs, np.repeat(expected[:, None], 10, 1), rtol=1e-4, atol=1e-4)
