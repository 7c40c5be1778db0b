"""What becomes of each part of a branch's state: kept, or as at update 0."""

import pathlib
from typing import Any

import numpy as np
import pytest
import toy

from bsresearch.core.units import Length
from bsresearch.data import order
from bsresearch.planning.branch import branch

# Everything that training reads besides the weights: dropout, flips, batch norm's averages, the order of examples.
NOISY: dict[str, Any] = {
    'model': {'name': 'cnn', 'widths': (4,), 'dense_width': 16, 'batch_norm': True, 'dropout': 0.3},
    'data__augment': ('flip',),
    'record__dense': True,
    'keep__at_steps': (20,),
}
RESETS = ('stats', 'data', 'random')


def losses(
    workdir: pathlib.Path, state: dict[str, str]
) -> tuple[np.ndarray, dict[str, Any], np.ndarray, dict[str, Any]]:
    """A run that stood still for 20 updates, branched there with a rate; beside it a run with that rate from update 0.

    Of both the 20 losses and the row of the end.
    """
    still, fresh = toy.plans(**NOISY, learning_rate=1e-30)[0], toy.plans(**NOISY, learning_rate=0.05, total_steps=20)[0]
    toy.train(workdir, [still])
    other = branch(still, f'{still.study}/{still.id}', 20, {'learning_rate': 0.05}, state)
    toy.train(workdir, [fresh])
    toy.train(workdir, [other])
    found = []
    for plan in (other, fresh):
        found += [toy.dense(workdir, plan)['batch_loss'], [r for r in toy.rows(workdir, plan) if 'test_loss' in r][-1]]
    return tuple(found)


def test_a_branch_that_resets_all_but_the_weights_is_a_fresh_run(tmp_path: pathlib.Path):
    """From weights that did not move: same examples, same flips and dropout, same averages of batch norm."""
    own, end, theirs, their_end = losses(tmp_path, dict.fromkeys(RESETS, 'reset'))
    np.testing.assert_allclose(own, theirs, rtol=1e-6)
    assert end['test_loss'] == pytest.approx(their_end['test_loss'], rel=1e-6)


@pytest.mark.parametrize('kept', RESETS)
def test_what_is_kept_makes_a_difference(kept: str, tmp_path: pathlib.Path):
    """Each part alone: batch norm's averages show in the evaluation, the others in the first loss."""
    own, end, theirs, their_end = losses(tmp_path, {part: 'reset' for part in RESETS if part != kept})
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
    'changes', [{'data_seed': 7}, {'data.fraction': 0.5}, {'weight_decay': 0.1}, {'clip.norm': 0.1}]
)
def test_anything_may_change(changes: dict[str, Any], tmp_path: pathlib.Path):
    """From the branch point on, where the weights are still the parent's."""
    run = toy.plans(keep__at_steps=(20,), record__dense=True)[0]
    toy.train(tmp_path, [run])
    other = branch(run, f'{run.study}/{run.id}', 20, changes)
    toy.train(tmp_path, [other])
    first = toy.rows(tmp_path, other)[0]
    assert first['step'] == 20
    assert first['test_loss'] == pytest.approx(
        next(r for r in toy.rows(tmp_path, toy_null(tmp_path, run)) if 'test_loss' in r)['test_loss'], rel=1e-6
    )
    assert toy.rows(tmp_path, other)[-1]['step'] == 40


def toy_null(workdir: pathlib.Path, run: Any) -> Any:
    """The trained branch at update 20 that changes nothing."""
    null = branch(run, f'{run.study}/{run.id}', 20, {})
    toy.train(workdir, [null])
    return null


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
