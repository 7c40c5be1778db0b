"""A run's bits do not depend on its neighbours' precision: 64-bit mode is held for each group alone (invariant 13)."""

import pathlib
from typing import Any

import jax
import numpy as np
import pytest
import toy

from bsresearch.core import lookup, precision
from bsresearch.launching import runner
from bsresearch.optim import schedules
from bsresearch.planning import schema
from bsresearch.planning.branch import branch
from bsresearch.planning.plan import Plan
from bsresearch.studies import gradient_norm

OPTIMIZERS = lookup.members('bsresearch.optim', 'build')
# Every measurement, at the beginning, on the way and at the end.
MEASURED = {f'measure__{name}__at_steps': (0, 7, 12) for name in schema.known()['measure']}
PROBE = {'trials': 4, 'samples': 16, 'batch_sizes': (4, 16)}
SHORT: dict[str, Any] = {'total_steps': 12, 'record__dense': True}
SCHEDULES: dict[str, dict[str, Any]] = {name: {} for name in schedules.members()} | {
    'inverse_sqrt': {'timescale_steps': 4},
    'step': {'at_fractions': (0.3,)},
    'cyclical': {'up_steps': 4},
    'warm_restarts': {'first_cycle_steps': 4},
    'optax': {'function': 'cosine_decay_schedule', 'arguments': {'init_value': 1.0, 'decay_steps': 30}},
    'join': {'parts': ({'name': 'linear', 'start': 0.0, 'final': 1.0}, {'name': 'cosine'}), 'at_fractions': (0.3,)},
}
# Everything drawn at random, averaged and clipped.
NOISY: dict[str, Any] = {
    'model__dropout': 0.3, 'data__augment': ('flip', 'crop'), 'data__crop_padding': 1, 'ema__half_life_examples': 30,
    'clip__norm': 0.5, 'warmup__steps': 4, 'norms__every_steps': 3,
}  # fmt: skip


def assert_same(workdir: pathlib.Path, plans: list[Plan]) -> None:
    """Trained with 64-bit mode off and on around them: rows, dense records and all of the last state, bit for bit."""
    for mode in (False, True):
        with jax.enable_x64(mode):
            toy.train(workdir / str(mode), plans)
            assert jax.numpy.zeros(()).dtype == (np.float64 if mode else np.float32)  # as it was
    for plan in plans:
        alone, beside = (workdir / str(mode) for mode in (False, True))
        assert toy.rows(alone, plan) == toy.rows(beside, plan)
        toy.assert_equal(toy.dense(alone, plan), toy.dense(beside, plan))
        toy.assert_equal(*(toy.checkpoint(w, plan, plan.length.total_steps) for w in (alone, beside)))
        assert jax.tree.leaves(toy.final(beside, plan))[0].dtype == plan.dtype


def test_the_mode_is_that_of_the_run():
    """Also within another's, in the order of their nesting; and of shapes alone."""
    (single,), (double,) = toy.plans(), toy.plans(dtype='float64')
    widest = precision.held(lambda runs: jax.numpy.zeros(()).dtype)
    assert (widest(single), widest([double]), widest(single)) == (np.float32, np.float64, np.float32)
    with precision.of(double):
        assert (widest(single), widest(double)) == (np.float32, np.float64)


@pytest.mark.parametrize(
    'dtype', ['float32', pytest.param('float64', marks=[pytest.mark.slow, pytest.mark.as_shipped])]
)
def test_a_noisy_run_of_adam_beside_others(workdir: pathlib.Path, dtype: str):
    """The case of the fault, 64-bit mode off and on around it: one update's dropout, crops, averages and moments."""
    assert_same(workdir, toy.plans(**(toy.BARE | SHORT | NOISY), optimizer__name='adam', dtype=dtype))


@pytest.mark.slow
@pytest.mark.as_shipped
def test_one_launch_of_both(workdir: pathlib.Path):
    """A run alone, and in one launch with its like in float64: probes, branches and later measurements too."""
    probe = {f'probe__{k}': v for k, v in {'name': 'gradient_norm', 'at_steps': (6,), **PROBE}.items()}
    given = {'total_steps': 12, 'optimizer__name': 'adam', 'keep__at_steps': (6,), **probe}
    (single,), (double,) = toy.plans(**given), toy.plans(**given, dtype='float64')
    for folder, runs in (('alone', [single]), ('both', [double, single])):
        for stage in gradient_norm.stages(runs):
            runner.launch(workdir / folder, stage, toy.Quiet())
        children = [branch(p, f'{p.study}/{p.id}', 6, {'learning_rate': 0.02}) for p in runs]
        toy.train(workdir / folder, children)
        toy.train(workdir / folder, toy.plans(**given, measure__gradient_norm__at_steps=(6,)))
    alone, both = workdir / 'alone', workdir / 'both'
    for plan in (single, children[-1]):
        assert toy.rows(alone, plan) == toy.rows(both, plan)
        toy.assert_equal(*(toy.checkpoint(w, plan, 12) for w in (alone, both)))
    assert any('single_batch_gradient_norm' in row for row in toy.rows(both, single))
    (file,) = alone.glob('*/*/arrays/gradient_norm-*.npz')
    toy.assert_equal(dict(np.load(file)), dict(np.load(both / file.relative_to(alone))))


@pytest.mark.slow
@pytest.mark.as_shipped
@pytest.mark.parametrize('name', OPTIMIZERS)
def test_every_optimizer_beside_others(workdir: pathlib.Path, name: str):
    decay = {'weight_decay': 0.01, 'learning_rate': 0.01}
    assert_same(workdir, toy.plans(**SHORT, **NOISY, **decay, optimizer__name=name))


@pytest.mark.slow
@pytest.mark.as_shipped
def test_every_measurement_beside_others(workdir: pathlib.Path):
    own = {'measure__noise_scale__preconditioned': True, 'measure__angular_distance__every_kernel': True}
    assert_same(workdir, toy.plans(**SHORT, **MEASURED, **own, optimizer__name='adam'))


@pytest.mark.slow
@pytest.mark.as_shipped
def test_every_schedule_beside_others(workdir: pathlib.Path):
    """All of them in one group, some with a momentum of their own."""
    plans = []
    for name, settings in SCHEDULES.items():
        given = {f'schedule__{k}': v for k, v in settings.items()}
        plans += toy.plans(**SHORT, schedule__name=name, optimizer__name='adam', **given)
    assert set(SCHEDULES) == set(schedules.members())
    assert_same(workdir, plans)
