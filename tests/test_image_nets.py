"""Image nets: the papers' sizes; torch's outputs and first updates; what images and settings are refused."""

import functools
import json
import pathlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from bsresearch import models, optim
from bsresearch.measure import angular_distance
from bsresearch.optim import Hyper
from bsresearch.train import program, step
from bsresearch.train.state import Batch, Data, State
from scripts import golden_inputs

GOLDENS = json.loads((pathlib.Path(__file__).parent / 'torch_goldens.json').read_text())['networks']
CIFAR = (32, 32, 3)


def shapes(name: str, example_shape: tuple[int, ...] = CIFAR, **settings: Any) -> Any:
    """Of the weights for ten classes; nothing is computed."""
    module = models.builder(name)(10, **settings)
    return jax.eval_shape(lambda key: models.init(module, key, example_shape), jax.random.key(0))[0]


def paths(tree: Any) -> dict[str, Any]:
    """The leaves by their names joined by '/'."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(keys, simple=True, separator='/'): leaf for keys, leaf in leaves}


@pytest.mark.parametrize(
    ('name', 'settings', 'count', 'millions'),
    [
        ('resnet', {'depth': 8}, 75_290, None),
        ('resnet', {}, 269_722, '0.27'),
        ('resnet', {'shortcut': 'B'}, 272_474, None),
        ('resnet', {'depth': 32}, 464_154, '0.46'),
        ('resnet', {'depth': 44}, 658_586, '0.66'),
        ('resnet', {'depth': 56}, 853_018, '0.85'),
        ('c1', {}, 1_757_834, None),
        ('c1', {'pooling': 'valid'}, 1_389_194, None),
        ('wide_resnet', {}, 2_748_890, '2.7'),
        ('wide_resnet', {'depth': 40}, 8_949_210, '8.9'),
        ('wide_resnet', {'depth': 28, 'widening': 10}, 36_479_194, '36.5'),
    ],
)
def test_a_net_has_the_parameters_of_its_paper(name: str, settings: dict[str, Any], count: int, millions: str | None):
    """The count of the docstring, and the paper's number as it rounds it."""
    total = sum(leaf.size for leaf in jax.tree.leaves(shapes(name, **settings)))
    assert total == count
    if millions is not None:
        assert f'{total / 1e6:.{len(millions.partition(".")[2])}f}' == millions


def test_hoffers_f1_is_an_mlp_by_its_settings():
    """784-512-512-512-512-512-10 with batch norm; closed form, and the docstring's count."""
    f1 = shapes('mlp', (28, 28, 1), widths=(512,) * 5, batch_norm=True)
    total = sum(leaf.size for leaf in jax.tree.leaves(f1))
    assert total == 785 * 512 + 4 * 513 * 512 + 5 * 2 * 512 + 513 * 10 == 1_462_794


def multiply_adds(name: str, **settings: Any) -> int:
    """Of convolutions and dense layers in a forward pass of one CIFAR image, read off the traced program."""
    module = models.builder(name)(10, **settings)
    weights = jax.eval_shape(lambda key: models.init(module, key, CIFAR), jax.random.key(0))
    forward = lambda params, stats, x: models.apply(module, params, stats, x, train=False)[0]

    def of(jaxpr: Any) -> int:
        total = 0
        for eqn in jaxpr.eqns:
            bodies = [getattr(v, 'jaxpr', None) for v in eqn.params.values() if hasattr(v, 'jaxpr')]
            # Of a choice by platform the last is for all others: XLA's own convolution.
            bodies += [branch.jaxpr for branch in eqn.params.get('branches', ())[-1:]]
            total += sum(map(of, bodies))
            if eqn.primitive.name in ('conv_general_dilated', 'dot_general'):
                kernel, out = eqn.invars[1].aval.shape, eqn.outvars[0].aval.shape
                total += int(np.prod(kernel)) * int(np.prod(out)) // out[-1]
        return total

    return of(jax.make_jaxpr(forward)(*weights, jnp.zeros((1, *CIFAR))).jaxpr)


def test_resnet_20_takes_41_million_multiply_adds():
    """Closed form, layer by layer; He et al.'s net of 0.27 M parameters."""
    stem, blocks = 32 * 32 * 27 * 16, 6 * 32 * 32 * 9 * 16 * 16
    for pixels, width in ((16 * 16, 32), (8 * 8, 64)):
        blocks += pixels * 9 * (width // 2) * width + 5 * pixels * 9 * width * width
    assert multiply_adds('resnet') == stem + blocks + 640 == 40_551_040
    assert multiply_adds('resnet', shortcut='B') == 40_551_040 + 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64


def updated(name: str, settings: dict[str, Any]) -> tuple[Any, Any, State]:
    """Logits in training mode, the loss and the state after an update, from the goldens' weights and images."""
    (plan,) = toy.plans(
        model={'name': name, **settings}, dtype='float64', batch_size=golden_inputs.COUNT, optimizer__name='momentum',
        momentum=golden_inputs.MOMENTUM, weight_decay=golden_inputs.DECAY, micro_batch_size=golden_inputs.COUNT,
    )  # fmt: skip
    task = program.task(plan, 255.0, 'cpu')
    pixels, labels = golden_inputs.images(golden_inputs.COUNT, CIFAR)
    state = jax.eval_shape(lambda key: step.init(task, key, CIFAR), jax.random.key(0))
    of = lambda keys, leaf: golden_inputs.weights(jax.tree_util.keystr(keys, simple=True, separator='/'), leaf.shape)
    params = jax.tree_util.tree_map_with_path(of, state.params)
    stats = jax.tree_util.tree_map_with_path(
        lambda keys, leaf: np.full(leaf.shape, float(keys[-1].key == 'var')), state.stats
    )
    zeros = functools.partial(jax.tree.map, lambda leaf: np.zeros(leaf.shape, leaf.dtype))
    state = zeros(state)._replace(params=params, stats=stats)
    number = lambda value: jnp.asarray(value, jnp.int32)
    batch = Batch(jnp.arange(golden_inputs.COUNT, dtype=jnp.int32), number(golden_inputs.COUNT), number(0), number(0))
    wide = functools.partial(jnp.asarray, dtype=jnp.float64)
    hyper = Hyper(wide(golden_inputs.RATE), wide(golden_inputs.MOMENTUM), wide(golden_inputs.DECAY))

    @jax.jit
    def both(state: State, data: Data) -> Any:
        x = task.normalize(data.inputs)
        logits, _ = models.apply(task.module, state.params, state.stats, x, train=True)
        return logits, step.step(task, state, data, batch, hyper, program.keys(plan), norms=False)

    logits, (after, info) = both(state, Data(jnp.asarray(pixels), jnp.asarray(labels)))
    return logits, info.loss, after._replace(params=jax.tree.map(np.subtract, after.params, params))


@pytest.mark.parametrize(
    'case',
    [pytest.param(case, marks=pytest.mark.slow) if case in ('resnet', 'resnet, B') else case
     for case in golden_inputs.NETWORKS],
)  # fmt: skip
def test_outputs_and_the_first_update_are_torchs(case: str):
    """In float64, 32×32×3: logits, loss, and every tensor's move along a direction of its own, to 1e-8 relative.

    Goldens by scripts/make_torch_goldens.py, to be made anew if its weights by formula change.
    """
    golden = GOLDENS[case]
    with jax.enable_x64(True):
        logits, loss, after = updated(case.partition(',')[0], golden_inputs.NETWORKS[case])
        np.testing.assert_allclose(logits[:2], golden['logits'], rtol=1e-8)
        assert float(loss) == pytest.approx(golden['loss'], rel=1e-8)
        moved = paths(after.params)
        assert moved.keys() == golden['moved'].keys()
        for path, expected in golden['moved'].items():
            move = np.asarray(moved[path])
            along = float((move * golden_inputs.waves(f'{path} moves', move.shape)).sum())
            assert along == pytest.approx(expected, rel=1e-8, abs=1e-8 * float(np.linalg.norm(move))), path


def test_zero_gamma_makes_blocks_begin_as_their_shortcuts():
    """The first net without its blocks' convolutions, brute force; without the option blocks do something."""
    x: Any = np.random.default_rng(1).normal(size=(3, 8, 8, 2)).astype(np.float32)

    @jax.jit
    def shortcuts(params: Any) -> jax.Array:
        layout = ('NHWC', 'HWIO', 'NHWC')
        y = jax.lax.conv_general_dilated(x, params['conv_0']['kernel'], (1, 1), 'SAME', dimension_numbers=layout)
        y = jax.nn.relu(y / np.sqrt(np.float32(1 + 1e-5)))
        return y[:, ::4, ::4].mean((1, 2)) @ params['output']['kernel'][:4]

    for zero_gamma in (True, False):
        module = models.builder('resnet')(5, depth=8, width=4, zero_gamma=zero_gamma)
        params, stats = jax.jit(lambda key, module=module: models.init(module, key, x.shape[1:]))(jax.random.key(0))
        scales = {path: np.unique(leaf).tolist() for path, leaf in paths(params).items() if path.endswith('scale')}
        last = {path for path in scales if re.fullmatch(r'block_\d/norm_1/scale', path)}
        assert {path for path in scales if scales[path] == [0.0]} == (last if zero_gamma else set())
        outputs, _ = jax.jit(lambda p, s, x, module=module: models.apply(module, p, s, x, train=False))(
            params, stats, x
        )
        same = np.allclose(outputs, shortcuts(params), rtol=1e-4, atol=1e-5)
        assert same == zero_gamma


@pytest.mark.parametrize('name', ['resnet', 'wide_resnet', 'c1'])
def test_norms_and_biases_are_spared_from_decay_at_any_depth(name: str):
    """The groups reach exactly what has one axis; kernels that a norm follows are those of a convolution before it."""
    tree = shapes(name)
    spared = paths(optim.matches(tree, ('bias', 'norm')))
    assert spared == {path: leaf.ndim == 1 for path, leaf in paths(tree).items()}
    followed = angular_distance.normalized(tree)
    expected = {'resnet': 19, 'wide_resnet': [f'block_{i}/conv_0' for i in range(6)],
                'c1': ['conv_0', 'conv_1', 'dense_2', 'dense_3']}[name]  # fmt: skip
    assert expected in (len(followed), sorted(followed))


@pytest.mark.parametrize('name', ['resnet', 'wide_resnet', 'c1'])
def test_without_batch_norm_convolutions_have_biases(name: str):
    """No norm and no statistics; a bias for each kernel."""
    kinds = [path.rpartition('/')[2] for path in paths(shapes(name, batch_norm=False))]
    assert sorted(set(kinds)) == ['bias', 'kernel']
    assert kinds.count('bias') == kinds.count('kernel')


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    'depth': ({'name': 'resnet', 'depth': 21}, r'model.depth=21: 6n \+ 2 is needed, from 8 to 1202; 20 is the nearest'),
    'wide depth': ({'name': 'wide_resnet', 'depth': 17}, r'model.depth=17: 6n \+ 4 is needed, from 10 to 1204; 16 is'),
    'width': ({'name': 'resnet', 'width': 0}, 'model.width=0: at least 1'),
    'widening': ({'name': 'wide_resnet', 'widening': 0}, 'model.widening=0: at least 1'),
    'shortcut': ({'name': 'resnet', 'shortcut': 'C'}, "model.shortcut='C': A or B is needed"),
    'gamma': ({'name': 'resnet', 'zero_gamma': True, 'batch_norm': False}, 'zero_gamma=True is about batch norm'),
    'c1 width': ({'name': 'c1', 'dense_widths': (8, 0)}, r'model.width=64, dense_widths=\(8, 0\): each at least 1'),
    'pooling': ({'name': 'c1', 'pooling': 'full'}, "model.pooling='full': same or valid is needed"),
    'small images': ({'name': 'c1'}, 'model c1 with pooling=same needs images of at least 4×4, not examples of shape'),
    'valid images': ({'name': 'c1', 'pooling': 'valid'}, 'pooling=valid needs images of at least 7×7'),
    'images': ({'name': 'resnet'}, r'model resnet .* needs images of at least 4×4, not examples of shape \(3, 8, 1\)'),
    'wide images': ({'name': 'wide_resnet'}, r'at least 4×4, not examples of shape \(3, 8, 1\); use --config.model.na'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_a_net_cannot_be_is_refused(case: str):
    """One line: the value, what is allowed, the cure."""
    settings, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as e:
        shapes(**settings, example_shape=(3, 8, 1))
    assert '\n' not in str(e.value)


def test_single_examples_are_not_taken_apart_under_batch_norm():
    """Measurements of their gradients: refused with the cure, which works."""
    on: dict[str, Any] = {'model': {'name': 'resnet', 'depth': 8}, 'measure__individual_gradients__at_steps': (1,)}
    with pytest.raises(ValueError, match='which batch norm in training mode couples; '):
        toy.plans(**on)
    assert toy.plans(**on, measure__individual_gradients__statistics='running')
    assert toy.plans(**on | {'model': {'name': 'resnet', 'depth': 8, 'batch_norm': False}})
