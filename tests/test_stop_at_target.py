"""Runs that end where they have come to a target: the same bits up to there, whatever trains beside them."""

import pathlib
from typing import Any

import pytest
import toy

from bsresearch.core.interrupts import Stopped
from bsresearch.planning.plan import Plan
from bsresearch.store import paths
from bsresearch.train.saving import restore

TARGET = 1.9
STOPPING = {'stop_at_target': f'test_loss:{TARGET}'}
GRID: dict[str, Any] = {
    'sweep__learning_rate': (0.005, 0.13, 0.2), 'evaluate__every_steps': 4, 'evaluate__every_epochs': 0.0,
    'checkpoint__every_steps': 4,
}  # fmt: skip


def evaluated(workdir: pathlib.Path, plan: Plan) -> dict[int, float]:
    """Update → test loss."""
    return {row['step']: row['test_loss'] for row in toy.rows(workdir, plan) if 'test_loss' in row}


def meta(workdir: pathlib.Path, plan: Plan) -> dict[str, Any]:
    return paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json')


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[float, dict[int, float]]:
    """Learning rate → the losses of runs that go on to their length."""
    workdir = tmp_path_factory.mktemp('whole')
    runs = toy.plans(**GRID)
    toy.train(workdir, runs)
    return {run.policy.learning_rate: evaluated(workdir, run) for run in runs}


def expected(losses: dict[int, float]) -> dict[int, float]:
    """Up to the first at the target."""
    last = next((step for step, loss in losses.items() if loss <= TARGET), 40)
    return {step: loss for step, loss in losses.items() if step <= last}


def check(workdir: pathlib.Path, runs: list[Plan], whole: dict[float, dict[int, float]]) -> None:
    ends = []
    for run in runs:
        losses = expected(whole[run.policy.learning_rate])
        assert evaluated(workdir, run) == losses
        there = meta(workdir, run)
        assert there['status'] == 'done'
        ends.append(max(losses))
        assert (there['step'], there['stopped_step']) == (ends[-1], ends[-1] if ends[-1] < 40 else None)
    assert len({*ends}) == len(runs), 'they are to stop at different updates, one of them never'


def test_a_run_ends_at_its_first_evaluation_that_is_as_good(tmp_path: pathlib.Path, whole: dict):
    runs = toy.plans(**GRID, **STOPPING)
    toy.train(tmp_path, runs)
    check(tmp_path, runs, whole)
    early = max(runs, key=lambda run: run.policy.learning_rate)
    step = meta(tmp_path, early)['stopped_step']
    with pytest.raises(restore.Diverged, match=f'stopped at its target, update {step}'):
        restore.check(tmp_path, early, step + 4)


def test_a_group_ends_with_the_last_of_its_runs(tmp_path: pathlib.Path, whole: dict):
    (run,) = toy.plans(**GRID | {'sweep__learning_rate': (0.2,)}, **STOPPING)
    toy.train(tmp_path, [run])
    last = max(expected(whole[0.2]))
    group = paths.group_dir(tmp_path, run.study, meta(tmp_path, run)['group'])
    assert max(int(d.name) for d in (group / 'checkpoints').iterdir() if d.name.isdigit()) == last
    assert max(row['step'] for row in toy.rows(tmp_path, run)) == last
    weights = toy.checkpoint(tmp_path, run, last)
    assert weights.step == last


@pytest.mark.parametrize('at', [4, 12])
def test_one_that_was_stopped_by_a_signal_ends_alike(tmp_path: pathlib.Path, whole: dict, at: int):
    runs = toy.plans(**GRID, **STOPPING)
    with pytest.raises(Stopped):
        toy.train(tmp_path, runs, toy.StopsAt(at))
    toy.train(tmp_path, runs)
    check(tmp_path, runs, whole)


def test_under_vmap_a_run_that_has_stopped_is_recorded_no_further(tmp_path: pathlib.Path, whole: dict):
    runs = toy.plans(**GRID, **STOPPING, strategy='vmap')
    toy.train(tmp_path, runs)
    for run in runs:
        assert evaluated(tmp_path, run) == pytest.approx(expected(whole[run.policy.learning_rate]), rel=1e-4)


def test_a_target_is_part_of_what_a_run_is():
    (plain,), (stopping,) = toy.plans(), toy.plans(**STOPPING)
    assert 'stop_at_target' not in plain.identity()
    assert plain.id != stopping.id
    assert Plan.from_json({k: v for k, v in plain.to_json().items() if k != 'stop_at_target'}) == plain


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'stop_at_target': 'test_loss'}, 'a target is <metric>:<value>'),
        ({'stop_at_target': 'test_loss:low'}, "'low' is no number"),
        ({'stop_at_target': 'tset_loss:0.5'}, "no metric 'tset_loss' of an evaluation; did you mean 'test_loss'"),
        ({'stop_at_target': 'validation_loss:0.5'}, r'config\.data\.validation=0\.1'),
        ({'stop_at_target': 'train_loss:0.5', 'evaluate__train': False}, 'config.evaluate.train=True'),
        ({'stop_at_target': 'ema_test_loss:0.5'}, 'config.ema.half_life_epochs'),
        ({'stop_at_target': 'distance:0.5'}, "no metric 'distance'"),
    ],
)
def test_a_target_that_no_evaluation_tells_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        toy.plans(**changes)
