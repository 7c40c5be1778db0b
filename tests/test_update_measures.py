"""Cosine with the full gradient, and the update beside the weights: brute force on a network in real runs."""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy

from bsresearch.core import rng
from bsresearch.measure import gradient_cosine, update_ratio
from bsresearch.planning import resolve
from bsresearch.train import program

STEP = 30


class Trained(NamedTuple):
    """Of a run on digits: the row measured at θ_30, its State there, and (measurement) → rows that were drawn."""

    row: Mapping[str, Any]
    state: Any
    drawn: Callable[[str], np.ndarray]
    gradient: Callable[[np.ndarray], Any]


def trained(folder: pathlib.Path, **settings: Any) -> Trained:
    """`gradient`: of the mean loss of rows of the training set, with running averages."""
    (plan,) = toy.plans(**toy.BARE, **settings, checkpoint__at_steps=(STEP,), keep__at_steps=(STEP,))
    toy.train(folder, [plan])
    row: dict[str, Any] = {}
    for r in toy.rows(folder, plan):
        row |= r if r['step'] == STEP else {}
    data, state = resolve.dataset(plan.data), toy.checkpoint(folder, plan, STEP)
    task = program.task(plan, data.scale, 'cpu')

    def drawn(name: str) -> np.ndarray:
        return rng.generator(plan.data_seed, f'measure/{name}', STEP).integers(0, plan.epoch_size, 32)

    mean = lambda p, batch: program.losses_of(task, 'running', state.stats, p, batch).mean()
    of = jax.jit(jax.grad(mean))
    return Trained(row, state, drawn, lambda rows: of(state.params, toy.batch(data, rows)))


COSINE = {f'measure__gradient_cosine__{k}': v for k, v in {'at_steps': (STEP,), 'batch_size': 32}.items()} | {
    'measure__gradient_cosine__full_batch_size': 100
}


def check_cosine(found: Trained) -> None:
    """Brute force: the full gradient from one call on all 1,437 examples, measured from calls of 100 and one of 37."""
    part, full = flat(found.gradient(found.drawn('gradient_cosine'))), flat(found.gradient(np.arange(1437)))
    assert found.row['full_gradient_norm'] == pytest.approx(np.linalg.norm(full), rel=1e-5)
    cosine = part @ full / np.linalg.norm(part) / np.linalg.norm(full)
    assert found.row['gradient_cosine'] == pytest.approx(cosine, rel=1e-5)
    assert 0 < cosine < 0.99


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(tree)])


def test_gradient_cosine_with_batch_norm_has_running_averages(tmp_path: pathlib.Path):
    model = {'name': 'mlp', 'widths': (16,), 'batch_norm': True}
    check_cosine(trained(tmp_path, model=model, **COSINE, measure__gradient_cosine__statistics='running'))


def test_gradient_cosine_and_update_ratio_are_those_of_the_optimizers_next_update(tmp_path: pathlib.Path):
    """Independent library: optax.adamw from the run's own moments, clipped before, per layer and in total."""
    given = {'optimizer__name': 'adamw', 'weight_decay': 0.1, 'learning_rate': 0.01, 'clip__value': 0.01}
    given |= {'measure__update_ratio__at_steps': (STEP,), 'measure__update_ratio__batch_size': 32}
    found = trained(tmp_path, **given, **COSINE)
    check_cosine(found)
    row, state = found.row, found.state
    clipped = jax.tree.map(lambda g: jnp.clip(g, -0.01, 0.01), found.gradient(found.drawn('update_ratio')))
    adamw = optax.adamw(0.01, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.1)
    own = optax.tree.get(state.opt_state, 'ScaleByAdamState')
    slots = optax.tree.set(adamw.init(state.params), mu=own.mu, nu=own.nu, count=own.count)
    move, _ = jax.jit(adamw.update)(clipped, slots, state.params)
    ratio = lambda a, b: np.linalg.norm(flat(a)) / np.linalg.norm(flat(b))
    assert row['update_ratio'] == pytest.approx(ratio(move, state.params), rel=1e-5)
    layers = {k.removeprefix('update_ratio/') for k in row if k.startswith('update_ratio/')}
    assert layers == set(state.params)
    for name in layers:
        assert row[f'update_ratio/{name}'] == pytest.approx(ratio(move[name], state.params[name]), rel=1e-5)


def test_batch_norm_groups_must_fit_the_training_set():
    """1,437 = 3·479 examples: groups of 3 fit in training mode, groups of 32 need the running averages."""
    model = {'name': 'mlp', 'widths': (8,), 'batch_norm': True}
    ask = lambda size, **settings: toy.plans(
        model=model, batch_size=size, measure__gradient_cosine__every_epochs=1.0,
        **{f'measure__gradient_cosine__{k}': v for k, v in settings.items()},
    )  # fmt: skip
    with pytest.raises(ValueError, match=r'the 1437 training examples are not a whole number .* of 32; .*=running'):
        ask(32)
    with pytest.raises(ValueError, match='gradients of 4 examples are not a whole number of batch-norm groups of 32'):
        ask(32, full_batch_size=100)
    ask(32, statistics='running')
    ask(3, batch_size=30, full_batch_size=300)


@pytest.mark.parametrize(
    ('build', 'settings', 'message'),
    [
        (gradient_cosine.build, {'batch_size': 0}, r'gradient_cosine\.batch_size=0: at least 1'),
        (gradient_cosine.build, {'full_batch_size': 0}, 'full_batch_size=0'),
        (gradient_cosine.build, {'statistics': 'x'}, r'gradient_cosine\.statistics'),
        (update_ratio.build, {'batch_size': 0}, r'update_ratio\.batch_size=0'),
        (update_ratio.build, {'statistics': 'x'}, r'update_ratio\.statistics'),
    ],
)
def test_settings_that_cannot_be_are_refused(build: Any, settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        build(**settings)
