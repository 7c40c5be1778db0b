"""Branches: the null branch is its parent, any other uses the new values at once; parents stay as they are."""

import hashlib
import pathlib
from typing import Any

import numpy as np
import pytest
import toy

from bsresearch.plan import Plan
from bsresearch.resolve_branch import branch
from bsresearch.store import paths

OPTIMIZERS = {'sgd': None, 'momentum': 0.9, 'adam': 0.9}
DENSE: dict[str, Any] = {'record__dense': True, 'keep__at_steps': (20,)}


def parent(workdir: pathlib.Path, **changes: Any) -> Plan:
    """A trained run with a checkpoint at update 20 of 40."""
    (plan,) = toy.plans(**(DENSE | changes))
    toy.train(workdir, [plan])
    return plan


def directory(workdir: pathlib.Path, plan: Plan) -> pathlib.Path:
    return paths.run_dir(workdir, plan.study, plan.id)


def branched(workdir: pathlib.Path, plan: Plan, step: int = 20, **changes: Any) -> Plan:
    """A trained branch; `changes` by dotted path, dots written as two underscores."""
    state = changes.pop('state', None)
    found = branch(plan, f'{plan.study}/{plan.id}', step, {k.replace('__', '.'): v for k, v in changes.items()}, state)
    toy.train(workdir, [found])
    return found


def digests(folder: pathlib.Path) -> dict[str, str]:
    """sha256 of every file below."""
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.mark.parametrize('schedule', ['constant', 'cosine'])
@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_the_null_branch_is_its_parent_bit_for_bit(optimizer: str, schedule: str, tmp_path: pathlib.Path):
    """Weights at the end, every loss and every rate from the branch point on, distances from the parent's θ_0."""
    run = parent(tmp_path, optimizer__name=optimizer, schedule__name=schedule)
    null = branched(tmp_path, run)
    assert null.id != run.id
    toy.assert_equal(toy.final(tmp_path, null), toy.final(tmp_path, run))
    for name, values in toy.dense(tmp_path, null).items():
        np.testing.assert_array_equal(values, toy.dense(tmp_path, run)[name][20:])
    own = {r['step']: r for r in toy.rows(tmp_path, null) if 'distance' in r}
    theirs = {r['step']: r for r in toy.rows(tmp_path, run) if 'distance' in r}
    assert own[40]['distance'] == theirs[40]['distance']
    assert own[20]['distance'] > 0
    assert min(own) == 20


@pytest.mark.parametrize('optimizer', OPTIMIZERS)
def test_a_branch_uses_the_new_values_in_its_first_update(optimizer: str, tmp_path: pathlib.Path):
    """Learning rate, momentum and batch size; the update itself is the one they give (plain SGD), not the parent's."""
    run = parent(tmp_path, optimizer__name=optimizer)
    momentum: dict[str, Any] = {} if optimizer == 'sgd' else {'momentum': 0.5}
    other = branched(tmp_path, run, batch_size=16, learning_rate=0.2, norms__every_steps=1, **momentum)
    row = next(r for r in toy.rows(tmp_path, other) if 'batch_loss' in r)
    assert row['step'] == 20
    assert (row['batch_size_used'], row['learning_rate_used']) == (16, 0.2)
    assert row['momentum_used'] == (0.5 if momentum else 0)
    if optimizer == 'sgd':
        assert row['update_norm'] == pytest.approx(0.2 * row['gradient_norm'], rel=1e-4)
    assert other.length.examples_at(20) == 160
    assert other.length.examples_at(21) == 176


def test_the_parent_stays_as_it_is(tmp_path: pathlib.Path):
    """Every byte of its directory and its group's."""
    run = parent(tmp_path)
    before = digests(tmp_path)
    branched(tmp_path, run, batch_size=4)
    after = digests(tmp_path)
    assert {k: after[k] for k in before} == before


def test_a_branch_of_a_branch_has_the_first_parents_initial_weights(tmp_path: pathlib.Path):
    """And goes on where its parent stood, under the schedule that was kept twice."""
    run = parent(tmp_path, schedule__name='cosine')
    first = branched(tmp_path, run, keep__at_steps=(20, 30))
    second = branched(tmp_path, first, 30)
    toy.assert_equal(toy.final(tmp_path, second), toy.final(tmp_path, run))
    own = {r['step']: r['distance'] for r in toy.rows(tmp_path, second) if 'distance' in r}
    theirs = {r['step']: r['distance'] for r in toy.rows(tmp_path, run) if 'distance' in r}
    assert own[40] == theirs[40]
