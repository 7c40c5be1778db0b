"""Invariant 6, bit for bit: a branch that changes nothing is its parent, which stays as it is."""

import hashlib
import pathlib
from typing import Any

import numpy as np
import pytest
import toy

from bsresearch.launching import groups
from bsresearch.planning.plan import Plan

DENSE: dict[str, Any] = {'record__dense': True, 'keep__at_steps': (20,)}


def trained(workdir: pathlib.Path, **changes: Any) -> Plan:
    """A run with a checkpoint at update 20 of 40."""
    (plan,) = toy.plans(**(DENSE | changes))
    toy.train(workdir, [plan])
    return plan


def branched(workdir: pathlib.Path, plan: Plan, step: int = 20, **changes: Any) -> Plan:
    """A trained branch."""
    child = toy.branch(plan, step, **changes)
    toy.train(workdir, [child])
    return child


def distances(workdir: pathlib.Path, plan: Plan) -> dict[int, float]:
    """From the initial weights, by update."""
    return {row['step']: row['distance'] for row in toy.rows(workdir, plan) if 'distance' in row}


@pytest.mark.parametrize(('optimizer', 'schedule'), [('sgd', 'cosine'), ('adam', 'constant')])
def test_the_null_branch_is_its_parent(optimizer: str, schedule: str, tmp_path: pathlib.Path):
    """Weights at the end, every loss and every rate from the branch point on, distances from the parent's θ_0."""
    run = trained(tmp_path, optimizer__name=optimizer, schedule__name=schedule)
    null = branched(tmp_path, run)
    assert null.id != run.id
    toy.assert_equal(toy.final(tmp_path, null), toy.final(tmp_path, run))
    for name, values in toy.dense(tmp_path, null).items():
        np.testing.assert_array_equal(values, toy.dense(tmp_path, run)[name][20:])
    of_null = distances(tmp_path, null)
    assert of_null[40] == distances(tmp_path, run)[40]
    assert of_null[20] > 0
    assert min(of_null) == 20


def test_a_branch_of_a_branch_goes_on_under_the_schedule_that_was_kept_twice(tmp_path: pathlib.Path):
    """Its distances are from the first parent's initial weights."""
    run = trained(tmp_path, schedule__name='cosine')
    first = branched(tmp_path, run, keep__at_steps=(20, 30))
    second = branched(tmp_path, first, 30)
    toy.assert_equal(toy.final(tmp_path, second), toy.final(tmp_path, run))
    assert distances(tmp_path, second)[40] == distances(tmp_path, run)[40]


def test_branches_of_several_seeds_share_a_group(tmp_path: pathlib.Path):
    """Replicas of different parents: each begins with its own, under either strategy."""
    runs = toy.plans(**DENSE, sweep__seed=(0, 1))
    toy.train(tmp_path, runs)
    for strategy, rate in (('sequential', 0.05), ('vmap', 0.07)):
        children = [toy.branch(run, 20, learning_rate=rate, strategy=strategy) for run in runs]
        toy.train(tmp_path, children)
        metas = [groups.status(tmp_path, child) for child in children]
        assert metas[0]['group'] == metas[1]['group']
        assert metas[0]['strategy'] == strategy
        for run, child in zip(runs, children, strict=True):
            if strategy == 'sequential':
                toy.assert_equal(toy.final(tmp_path, child), toy.final(tmp_path, run))
            assert toy.rows(tmp_path, child)[0]['distance'] > 0


def test_a_branch_at_the_very_beginning_has_its_own_batch_size(tmp_path: pathlib.Path):
    """Nothing of the parent's comes before: it is the run with that batch size. The parent's files stay as they are."""
    run = trained(tmp_path, keep__at_steps=(0,))
    files = [file for file in tmp_path.rglob('*') if file.is_file()]
    digests = [hashlib.sha256(file.read_bytes()).digest() for file in files]
    child = branched(tmp_path, run, 0, batch_size=16, total_steps=10)
    assert [hashlib.sha256(file.read_bytes()).digest() for file in files] == digests
    alone = trained(tmp_path, batch_size=16, total_steps=10, keep__at_steps=())
    assert [segment.batch_size for segment in child.length.segments] == [16]
    assert child.total_examples == alone.total_examples == 160
    toy.assert_equal(toy.final(tmp_path, child), toy.final(tmp_path, alone))
