"""What becomes of each part of a branch's state: kept, or as at update 0."""

import pathlib
from typing import Any

import numpy as np
import pytest
import toy

from bsresearch.core.units import Length
from bsresearch.data import order
from bsresearch.planning.branch import branch
from bsresearch.planning.plan import Plan
from bsresearch.store import paths

DENSE: dict[str, Any] = {'record__dense': True, 'keep__at_steps': (20,)}
# Everything that training reads besides the weights: dropout, flips, batch norm's averages, the order of examples.
NOISY = DENSE | {
    'model': {'name': 'mlp', 'widths': (16,), 'batch_norm': True, 'dropout': 0.3},
    'data__augment': ('flip',),
}
RESETS = ('stats', 'data', 'random')


@pytest.fixture(scope='module')
def home(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where all runs of this file lie: each is trained once."""
    return tmp_path_factory.mktemp('home')


def trained(workdir: pathlib.Path, run: Plan) -> Plan:
    """The run, trained if it is not yet."""
    if not paths.run_dir(workdir, run.study, run.id).exists():
        toy.train(workdir, [run])
    return run


def losses(
    workdir: pathlib.Path, state: dict[str, str]
) -> tuple[np.ndarray, dict[str, Any], np.ndarray, dict[str, Any]]:
    """A run that stood still for 20 updates, branched there with a rate; beside it a run with that rate from update 0.

    Of both the 20 losses and the row of the end.
    """
    still = trained(workdir, toy.plans(**NOISY, learning_rate=1e-30)[0])
    fresh = trained(workdir, toy.plans(**NOISY, learning_rate=0.05, total_steps=20)[0])
    other = branch(still, f'{still.study}/{still.id}', 20, {'learning_rate': 0.05}, state)
    toy.train(workdir, [other])
    found = []
    for plan in (other, fresh):
        found += [toy.dense(workdir, plan)['batch_loss'], [r for r in toy.rows(workdir, plan) if 'test_loss' in r][-1]]
    return tuple(found)


def test_a_branch_that_resets_all_but_the_weights_is_a_fresh_run(home: pathlib.Path):
    """From weights that did not move: same examples, same flips and dropout, same averages of batch norm."""
    own, end, theirs, their_end = losses(home, dict.fromkeys(RESETS, 'reset'))
    np.testing.assert_allclose(own, theirs, rtol=1e-6)
    assert end['test_loss'] == pytest.approx(their_end['test_loss'], rel=1e-6)


@pytest.mark.parametrize('kept', RESETS)
def test_what_is_kept_makes_a_difference(kept: str, home: pathlib.Path):
    """Each part alone: batch norm's averages show in the evaluation, the others in the first loss."""
    own, end, theirs, their_end = losses(home, {part: 'reset' for part in RESETS if part != kept})
    if kept == 'stats':
        np.testing.assert_allclose(own, theirs, rtol=1e-6)
        assert end['test_loss'] != pytest.approx(their_end['test_loss'], rel=1e-4)
    else:
        assert own[0] != pytest.approx(theirs[0], rel=1e-4)


@pytest.mark.parametrize('boundary', ['through', 'partial', 'drop'])
def test_a_stream_counts_from_its_origin(boundary: str):
    """Examples and the positions that key randomness move apart from each other."""
    length = Length(100, 8, 1000, boundary, ())
    start, t = 0, 26  # where `through` stands within an epoch
    epochs, offsets, _ = length.batches(t, t + 1)
    origin = int(epochs[0]) * 100 + int(offsets[0])
    plain, moved = order.batches(0, length, t, t + 8), order.batches(0, length, t, t + 8, origin, 0)
    np.testing.assert_array_equal((moved.epochs, moved.offsets), (plain.epochs, plain.offsets))
    np.testing.assert_array_equal(moved.ids[0], order.permutation(0, 100, 0)[:8])
    keyed = order.batches(0, length, t, t + 8, 0, origin)
    np.testing.assert_array_equal(keyed.ids, plain.ids)
    assert (keyed.epochs[0], keyed.offsets[0]) == (start, 0)
    steps = np.diff(keyed.epochs.astype(int) * 100 + keyed.offsets)
    np.testing.assert_array_equal(steps, np.diff(plain.epochs.astype(int) * 100 + plain.offsets))


def test_a_policy_that_is_not_the_default_makes_another_run():
    """And the default is left out of the identity."""
    (run,) = toy.plans(keep__at_steps=(20,))
    plain, named = branch(run, 'x', 20, {}), branch(run, 'x', 20, {}, {'data': 'keep'})
    assert plain.id == named.id
    assert len({plain.id, *(branch(run, 'x', 20, {}, {part: 'reset'}).id for part in RESETS)}) == 4
    assert plain.identity()['parent'] == {'run': run.id, 'step': 20}


def test_a_batch_schedule_goes_on_in_the_branch(tmp_path: pathlib.Path):
    """Without a change bit for bit, past a growth and before one; with another batch size it grows from that."""
    grows: dict[str, Any] = {'batch_schedule': {'name': 'growth', 'at_examples': (80, 240)}, 'keep__at_steps': (15,)}
    (run,) = toy.plans(**grows, record__dense=True, total_steps=None, total_examples=624)
    toy.train(tmp_path, [run])
    assert [s.batch_size for s in run.length.segments] == [8, 16, 32]
    null = branch(run, f'{run.study}/{run.id}', 15, {})
    assert null.length == run.length
    toy.train(tmp_path, [null])
    toy.assert_equal(toy.final(tmp_path, null), toy.final(tmp_path, run))
    other = branch(run, 'x', 15, {'batch_size': 4})
    assert [s.batch_size for s in other.length.segments] == [8, 16, 8, 16]
    assert other.length.examples_at(15) == run.length.examples_at(15)


@pytest.mark.parametrize(
    'changes',
    [{'data.fraction': 0.5}, {'weight_decay': 0.1}]
    + [pytest.param(change, marks=pytest.mark.slow) for change in ({'data_seed': 7}, {'clip.norm': 0.1})],
)
def test_anything_may_change(changes: dict[str, Any], home: pathlib.Path):
    """From the branch point on, where the weights are still the parent's."""
    run = trained(home, toy.plans(**DENSE)[0])
    null, other = (branch(run, f'{run.study}/{run.id}', 20, c) for c in ({}, changes))
    trained(home, null)
    toy.train(home, [other])
    first = toy.rows(home, other)[0]
    assert first['step'] == 20
    assert first['test_loss'] == pytest.approx(
        next(r for r in toy.rows(home, null) if 'test_loss' in r)['test_loss'], rel=1e-6
    )
    assert toy.rows(home, other)[-1]['step'] == 40


@pytest.mark.parametrize('memory', ['keep', 'reset'])
def test_the_length_of_the_path_goes_on(memory: str, tmp_path: pathlib.Path):
    """As the parent's, to the bit; or from the branch point; also where the parent did not measure it: the chord."""
    every: dict[str, Any] = {'measure__path_length__every_steps': 5}
    run = toy.plans(keep__at_steps=(20,), **every)[0]
    toy.train(tmp_path, [run])
    null = branch(run, f'{run.study}/{run.id}', 20, {}, {'measures': memory})
    toy.train(tmp_path, [null])
    own, theirs = (
        {r['step']: r['path_length'] for r in toy.rows(tmp_path, p) if 'path_length' in r} for p in (null, run)
    )
    if memory == 'keep':
        assert own == {step: length for step, length in theirs.items() if step >= 20}
    else:
        assert own[20] == 0
        assert own[40] == pytest.approx(theirs[40] - theirs[20], rel=1e-5)


def test_a_path_that_the_parent_did_not_measure_begins_with_the_chord(tmp_path: pathlib.Path):
    """From its θ_0 to the branch point, so that no distance exceeds it."""
    run = toy.plans(keep__at_steps=(20,))[0]
    toy.train(tmp_path, [run])
    other = branch(run, f'{run.study}/{run.id}', 20, {'measure.path_length.every_steps': 5})
    toy.train(tmp_path, [other])
    first = toy.rows(tmp_path, other)[0]
    assert first['path_length'] == pytest.approx(first['distance'], rel=1e-6)
