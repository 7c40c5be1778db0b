"""Norms of updates: of every one, as arrays; after clipping; of small batches from what dense layers see."""

import pathlib
from typing import Any

import numpy as np
import pytest
import toy

from bsresearch.train import step as stepping
from bsresearch.train.devices import compiling

EVERY = toy.BARE | {'norms__every_steps': 1, 'total_steps': 12}


def norms(workdir: pathlib.Path, **changes: Any) -> tuple[Any, dict[int, dict[str, float]]]:
    """The final weights and the rows with norms, by update."""
    (plan,) = toy.plans(**(EVERY | changes))
    toy.train(workdir, [plan])
    rows = {r['step']: dict(r) for r in toy.rows(workdir, plan) if 'gradient_norm' in r}
    return toy.final(workdir, plan), rows


@pytest.mark.parametrize(
    ('model', 'batch_size', 'last'),
    [
        ({'name': 'mlp', 'widths': (16, 8), 'dropout': 0.2}, 1, 1),
        ({'name': 'mlp', 'widths': (16, 8), 'dropout': 0.2}, 64, 5),
        pytest.param({'name': 'linear'}, 8, 5, marks=pytest.mark.slow),
    ],
)
def test_dense_nets_give_the_norm_of_the_gradient_itself(
    model: dict[str, Any], batch_size: int, last: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """The identity against the norm of the gradient, at every update, of `last` examples at the end, whose padding has
    no part in it; the weights are the same bit for bit, and those without any norm."""
    own = {'model': model, 'batch_size': batch_size, 'total_steps': None, 'total_examples': 11 * batch_size + last}
    weights, rows = norms(tmp_path / 'identity', **own)
    without, none = norms(tmp_path / 'without', **own, norms__every_steps=0)
    monkeypatch.setattr(stepping, 'DENSE_NORM_BATCH', 0)
    compiling.KEPT.clear()  # those compiled so far have the identity
    plainly, expected = norms(tmp_path / 'plain', **own)
    assert (len(rows), len(none)) == (12, 0)
    toy.assert_equal(weights, plainly)
    toy.assert_equal(weights, without)
    for step, row in rows.items():
        assert row['gradient_norm'] == pytest.approx(expected[step]['gradient_norm'], rel=1e-5)
        assert row['update_norm'] == pytest.approx(0.05 * row['gradient_norm'], rel=1e-3)  # plain SGD
        assert 'clipped_gradient_norm' not in row


def test_a_net_with_other_layers_takes_the_gradient(tmp_path: pathlib.Path):
    """A CNN, batch norm, weight normalization: no error, a norm at every update."""
    for model in (
        {'name': 'cnn', 'widths': (4,), 'dense_width': 8},
        {'name': 'mlp', 'widths': (8,), 'batch_norm': True},
        {'name': 'mlp', 'widths': (8,), 'weight_norm': True},
    ):
        _, rows = norms(tmp_path / '-'.join(map(str, model)), model=model)
        assert all(row['gradient_norm'] > 0 for row in rows.values())


def test_norms_before_and_after_clipping(tmp_path: pathlib.Path):
    """After: the bound where it binds, the same below."""
    _, rows = norms(tmp_path / 'clipped', clip__norm=1.0)
    assert any(row['gradient_norm'] > 1 for row in rows.values())
    for row in rows.values():
        assert row['clipped_gradient_norm'] == pytest.approx(min(1.0, row['gradient_norm']), rel=1e-5)


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
