"""What bias corrections count: updates since an optimizer's slots were empty, in runs, branches and resumed ones."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
import pytest
import toy

from bsresearch.planning import slots
from bsresearch.planning.branch import branch
from bsresearch.planning.plan import Plan
from bsresearch.train import feed

COURSE: dict[str, Any] = {
    'optimizer__name': 'adam', 'optimizer__bias_correction': 'corrected', 'momentum': 0.95, 'total_steps': 24,
    'momentum_schedule__name': 'linear', 'momentum_schedule__final': 0.8, 'keep__at_steps': (12,),
}  # fmt: skip


def corrections(plan: Plan, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """1 − β₁ᵗ or 1 − ∏β₁, and 1 − β₂ᵗ, of updates start ≤ t < stop."""
    given = feed.hyper(plan, start, stop, np.float64).complements
    assert given is not None
    return np.asarray(given.first), np.asarray(given.second)


def child(parent: Plan, step: int, optimizer: str, **changes: Any) -> Plan:
    fields = {k.replace('__', '.'): v for k, v in changes.items()}
    return branch(parent, f'{parent.study}/{parent.id}', step, fields, {'optimizer': optimizer})


def test_a_branch_counts_from_where_its_slots_were_empty():
    """Closed form, also of a branch of a branch, and after JSON: t − 12 where the slots were reset at update 12."""
    (run,) = toy.plans(optimizer__name='adam', total_steps=24)
    reset = child(run, 12, 'reset')
    kept = child(reset, 15, 'keep')
    for plan, start, since in ((run, 0, 0), (child(run, 12, 'keep'), 12, 0), (reset, 12, 12), (kept, 15, 12)):
        t = np.arange(start + 1, 25) - since
        for stored in (plan, Plan.from_json(json.loads(json.dumps(plan.to_json())))):
            first, second = corrections(stored, start, 24)
            np.testing.assert_allclose(first, 1 - 0.9**t, rtol=1e-13)
            np.testing.assert_allclose(second, 1 - 0.999**t, rtol=1e-12)


def test_a_product_goes_on_through_branches(monkeypatch: pytest.MonkeyPatch):
    """Brute force: ∏β₁ over the parents' own courses; whatever the blocks in which it is added, to the bit."""
    (run,) = toy.plans(**COURSE)
    kept = child(run, 12, 'keep', momentum=0.7)
    again = child(kept, 20, 'keep')
    course = np.concatenate([run.table(0, 12).momentum, kept.table(12, 24).momentum])
    found = [corrections(run, 0, 24)[0], corrections(kept, 12, 24)[0], corrections(again, 20, 24)[0]]
    np.testing.assert_allclose(found[0], 1 - np.cumprod(run.table(0, 24).momentum), rtol=1e-13)
    np.testing.assert_allclose(found[1], (1 - np.cumprod(course))[12:], rtol=1e-13)
    np.testing.assert_array_equal(found[2], found[1][8:])
    np.testing.assert_allclose(corrections(child(run, 12, 'reset'), 12, 13)[0], 1 - run.table(12, 13).momentum)
    np.testing.assert_array_equal(corrections(child(run, 12, 'keep'), 12, 24)[0], found[0][12:])
    monkeypatch.setattr(slots, '_SUMS', {})
    monkeypatch.setattr(slots, 'BLOCK', 5)
    parts = [corrections(run, start, start + 4)[0] for start in (20, 0, 8, 12, 4, 16)]
    np.testing.assert_array_equal(np.concatenate([parts[i] for i in (1, 4, 2, 3, 5, 0)]), found[0])


def test_a_branch_by_an_older_version_counts_as_its_parent_would_have():
    """Its plan says nothing of the slots: a reset begins, what was kept had the course that it reads."""
    (run,) = toy.plans(**COURSE)
    for how in ('keep', 'reset'):
        plan = child(run, 12, how)
        assert plan.parent is not None
        old = dataclasses.replace(plan, parent={k: v for k, v in plan.parent.items() if k != 'slots'})
        np.testing.assert_array_equal(corrections(old, 12, 24), corrections(plan, 12, 24))
        assert old.id == plan.id


def test_slots_older_than_the_plan_has_it_are_refused(workdir: pathlib.Path):
    """The grandchild of an older version whose parent had reset: no update is made with a wrong count."""
    (run,) = toy.plans(optimizer__name='adam', total_steps=24, keep__at_steps=(12,))
    toy.train(workdir, [run])
    reset = child(run, 12, 'reset', keep__at_steps=(15,))
    toy.train(workdir, [reset])
    kept = child(reset, 15, 'keep')
    assert kept.parent is not None
    old = dataclasses.replace(kept, parent={k: v for k, v in kept.parent.items() if k != 'slots'})
    with pytest.raises(ValueError, match=rf'{old.id} at update 15: its optimizer has seen 3 updates, .* be 15'):
        toy.train(workdir, [old])


def test_the_null_branch_of_a_corrected_course_is_its_parent(workdir: pathlib.Path):
    """Invariant 6 with ∏β₁: bit for bit; the state says the product."""
    (run,) = toy.plans(**COURSE)
    toy.train(workdir, [run])
    null = child(run, 12, 'keep')
    toy.train(workdir, [null])
    toy.assert_equal(*(toy.checkpoint(workdir, plan, 24) for plan in (run, null)))
    product = toy.checkpoint(workdir, run, 24).opt_state[1].product
    np.testing.assert_allclose(product, np.prod(run.table(0, 24).momentum), rtol=1e-6)


def test_a_branch_of_a_course_at_zero_is_written_and_read(workdir: pathlib.Path):
    """∏β₁ = 0, whose logarithm JSON cannot hold: the null branch is its parent, bit for bit, and 1 − ∏β₁ is 1."""
    (run,) = toy.plans(
        optimizer__name='adam', optimizer__bias_correction='corrected', momentum=0.0, total_steps=24,
        keep__at_steps=(12,),
    )  # fmt: skip
    null = child(run, 12, 'keep')
    np.testing.assert_array_equal(corrections(null, 12, 24)[0], 1.0)
    toy.train(workdir, [run])
    toy.train(workdir, [null])
    toy.assert_equal(*(toy.final(workdir, plan) for plan in (run, null)))


def test_slots_that_begin_anew_move_by_the_learning_rate(workdir: pathlib.Path):
    """Closed form: the first update of a branch that resets Adam is ε·sign(g), of one that keeps it is not."""
    (run,) = toy.plans(
        optimizer__name='adam', optimizer__beta2=0.999 ** (1 / 32768), total_steps=13, keep__at_steps=(12,)
    )
    toy.train(workdir, [run])
    before = toy.checkpoint(workdir, run, 12).params['dense_0']['kernel'].astype(np.float64)
    steps = []
    for how in ('keep', 'reset'):
        plan = child(run, 12, how, learning_rate=1e-3)
        toy.train(workdir, [plan])
        move = np.abs(toy.final(workdir, plan)['dense_0']['kernel'] - before)
        steps.append(move[move > 0])
    np.testing.assert_allclose(steps[1], 1e-3, rtol=1e-3)  # weights are stored to 1e-4 of a step
    assert np.std(steps[0]) > 1e-4


def test_a_recipe_for_single_examples_trains(workdir: pathlib.Path):
    """Closed form: β₂ = 0.999^(1/65536) rounds to 1; the first update is ε long in every weight that has a gradient."""
    recipe: dict[str, Any] = {
        'batch_size': 1, 'optimizer__name': 'adam', 'scaling__name': 'half_life', 'learning_rate': 1e-3,
        'scaling__reference_batch_size': 65536, 'total_steps': 40, 'keep__at_steps': (1,),
        'measure__distance__at_steps': (1,),
    }  # fmt: skip
    (plan,) = toy.plans(**recipe)
    assert np.float32(plan.optimizer['beta2']) == 1
    console = toy.train(workdir, [plan])
    assert isinstance(console, toy.Quiet)
    last = toy.rows(workdir, plan)[-1]
    assert last['step'] == 40
    assert np.isfinite(last['train_loss'])
    first = next(r for r in toy.rows(workdir, plan) if r['step'] == 1 and 'distance' in r)
    count = (first['distance'] / 1e-3) ** 2
    assert count == pytest.approx(round(count), rel=1e-4)
    assert {'learning_rate_used', 'momentum_used', 'weight_decay_used'} <= {
        k for r in toy.rows(workdir, plan) for k in r
    }
    assert not any('complement' in k for r in toy.rows(workdir, plan) for k in r)
