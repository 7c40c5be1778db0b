"""Norms of updates: of every one, as arrays; after clipping; of small batches from what dense layers see."""

import pathlib
from typing import Any

import numpy as np
import pytest
import toy

from bsresearch.train import step as stepping

EVERY: dict[str, Any] = {'norms__log_spaced': 0, 'norms__every_steps': 1, 'total_steps': 12}


def norms(workdir: pathlib.Path, **changes: Any) -> tuple[Any, dict[int, dict[str, float]]]:
    """The final weights and the rows with norms, by update."""
    (plan,) = toy.plans(**(EVERY | changes))
    toy.train(workdir, [plan])
    rows = {r['step']: dict(r) for r in toy.rows(workdir, plan) if 'gradient_norm' in r}
    return toy.final(workdir, plan), rows


@pytest.mark.parametrize('batch_size', [1, 8, 64])
@pytest.mark.parametrize('model', [{'name': 'mlp', 'widths': (16, 8), 'dropout': 0.2}, {'name': 'linear'}])
def test_dense_nets_give_the_norm_of_the_gradient_itself(
    batch_size: int, model: dict[str, Any], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """The identity against the norm of the gradient, at every update; the weights are the same bit for bit."""
    weights, rows = norms(tmp_path / 'identity', batch_size=batch_size, model=model)
    monkeypatch.setattr(stepping, 'DENSE_NORM_BATCH', 0)
    plainly, expected = norms(tmp_path / 'plain', batch_size=batch_size, model=model)
    assert len(rows) == 12
    toy.assert_equal(weights, plainly)
    for step, row in rows.items():
        assert row['gradient_norm'] == pytest.approx(expected[step]['gradient_norm'], rel=1e-5)
        assert row['update_norm'] == pytest.approx(0.05 * row['gradient_norm'], rel=1e-3)  # plain SGD


@pytest.mark.parametrize('batch_size', [1, 8])
def test_recording_norms_of_every_update_changes_no_bit(batch_size: int, tmp_path: pathlib.Path):
    """With the identity as without any norm."""
    weights, _ = norms(tmp_path / 'with', batch_size=batch_size)
    without, rows = norms(tmp_path / 'without', batch_size=batch_size, norms__every_steps=0)
    assert not rows
    toy.assert_equal(weights, without)


def test_a_net_with_other_layers_takes_the_gradient(tmp_path: pathlib.Path):
    """A CNN and batch norm: no error, a norm at every update."""
    for model in (
        {'name': 'cnn', 'widths': (4,), 'dense_width': 8},
        {'name': 'mlp', 'widths': (8,), 'batch_norm': True},
    ):
        _, rows = norms(tmp_path / model['name'], model=model)
        assert all(row['gradient_norm'] > 0 for row in rows.values())


def test_a_ragged_last_batch_counts_its_own_examples(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Padding has no part in the identity."""
    own = {'total_steps': None, 'total_examples': 29, 'batch_size': 8}
    _, rows = norms(tmp_path / 'identity', **own)
    monkeypatch.setattr(stepping, 'DENSE_NORM_BATCH', 0)
    _, expected = norms(tmp_path / 'plain', **own)
    assert rows[3]['gradient_norm'] == pytest.approx(expected[3]['gradient_norm'], rel=1e-5)


def test_norms_before_and_after_clipping(tmp_path: pathlib.Path):
    """After: the bound where it binds, the same below; without clipping there is no such column."""
    _, rows = norms(tmp_path / 'clipped', clip__norm=1.0)
    assert any(row['gradient_norm'] > 1 for row in rows.values())
    for row in rows.values():
        assert row['clipped_gradient_norm'] == pytest.approx(min(1.0, row['gradient_norm']), rel=1e-5)
    _, rows = norms(tmp_path / 'free')
    assert not any('clipped_gradient_norm' in row for row in rows.values())


def test_dense_norms_are_arrays_of_every_update(tmp_path: pathlib.Path):
    """All updates in the arrays, the asked-for ones in the rows, the same numbers; without the update's if so asked."""
    changes: dict[str, Any] = {'norms__dense': True, 'norms__every_steps': 5, 'norms__update': False}
    (plan,) = toy.plans(**(EVERY | changes))
    toy.train(tmp_path, [plan])
    arrays = toy.dense(tmp_path, plan)
    rows = {r['step']: r for r in toy.rows(tmp_path, plan) if 'gradient_norm' in r}
    assert arrays.keys() == {'gradient_norm'}
    assert arrays['gradient_norm'].shape == (12,)
    assert sorted(rows) == [0, 5, 10]
    for step, row in rows.items():
        assert row['gradient_norm'] == pytest.approx(float(arrays['gradient_norm'][step]), rel=1e-6)
        assert 'update_norm' not in row
    assert np.isfinite(arrays['gradient_norm']).all()
