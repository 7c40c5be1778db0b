"""Invariant 3, bit for bit: replicas, chunks, recording and streaming are details of execution."""

import pathlib
from typing import Any

import pytest
import toy

from bsresearch.store import paths

pytestmark = pytest.mark.as_shipped
CNN = {'model__name': 'cnn', 'model__widths': (4,), 'model__dense_width': 8}


@pytest.mark.parametrize('model', [{}, pytest.param(CNN, marks=pytest.mark.slow)])
def test_invariant_3_replicas_one_after_another_are_single_runs(workdir: pathlib.Path, model: Any):
    """Bit for bit on a CPU: weights and rows of a group's members against the same runs alone."""
    members = [toy.BARE | {'seed': 0, 'learning_rate': 0.01}, toy.BARE | {'seed': 1, 'learning_rate': 0.1}]
    together = [toy.plans(**member, **model)[0] for member in members]
    alone = [toy.plans(**member, **model, max_replicas=1)[0] for member in members]
    toy.train(workdir / 'together', together)
    toy.train(workdir / 'alone', alone)
    assert len({paths.read_json(workdir / 'together' / 'train' / p.id / 'meta.json')['group'] for p in together}) == 1
    for p, q in zip(together, alone, strict=True):
        assert p.id == q.id
        toy.assert_equal(toy.final(workdir / 'together', p), toy.final(workdir / 'alone', q))
        assert list(toy.rows(workdir / 'together', p)) == list(toy.rows(workdir / 'alone', q))


@pytest.mark.parametrize('batch_size', [1, pytest.param(8, marks=pytest.mark.slow)])
def test_invariant_3_chunks_of_any_length_and_recording_change_no_bit(workdir: pathlib.Path, batch_size: int):
    """Leaving the device at every third update, or recording every norm, or nothing: the same weights."""
    common = toy.BARE | {'optimizer__name': 'momentum', 'momentum': 0.9, 'total_steps': 30}
    variants = {
        'default': {'norms__log_spaced': 50},
        'chunks': {'norms__log_spaced': 50, 'evaluate__every_steps': 3},
        'norms': {'norms__every_steps': 1, 'record__every_steps': 1, 'record__dense': True},
        'silent': {'record__log_spaced': 0},
    }
    weights = {}
    for name in variants:
        (plan,) = toy.plans(batch_size=batch_size, **(common | variants[name]))
        toy.train(workdir / name, [plan])
        weights[name] = toy.final(workdir / name, plan)
    for other in weights.values():
        toy.assert_equal(weights['default'], other)


def test_streamed_examples_give_the_resident_run(workdir: pathlib.Path):
    """A set that does not fit the device: the same weights and rows, bit for bit."""
    common = toy.BARE | {
        'data__augment': ('crop',), 'measure__gradient_norm__every_steps': 7, 'sweep__seed': (0, 1),
        'evaluate__every_epochs': 1.0,
    }  # fmt: skip
    resident, streamed = toy.plans(**common, data_residence='device'), toy.plans(**common, data_residence='host')
    toy.train(workdir / 'device', resident)
    toy.train(workdir / 'host', streamed)
    for p in resident:
        toy.assert_equal(toy.final(workdir / 'device', p), toy.final(workdir / 'host', p))
        assert list(toy.rows(workdir / 'device', p)) == list(toy.rows(workdir / 'host', p))
