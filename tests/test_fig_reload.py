"""The figures of branches: each arm once, from its branch point on; nothing without branches."""

import pathlib
from typing import Any

import pandas as pd
import pytest
import toy

from bsresearch.studies import reload
from scripts import fig_reload

CHANGES: dict[str, Any] = {
    'study': 'reload', 'total_steps': None, 'total_epochs': 1.0, 'batch_size': 128, 'branch__at_epochs': (0.5, 1.0),
    'branch__batch_sizes': (32,), 'branch__more_epochs': 0.5, 'evaluate__every_epochs': 0.25,
}  # fmt: skip


def test_curves_begin_where_the_parent_stood(tmp_path: pathlib.Path):
    """At 0 epochs all arms have the parent's value; the ends are the last rows of the branches."""
    (run,) = toy.plans(**CHANGES)
    toy.train(tmp_path, [run])
    with pytest.raises(ValueError, match='holds no branches yet'):
        fig_reload.draw(tmp_path, tmp_path / 'out')
    branches = reload.branches([run])
    toy.train(tmp_path, branches)
    fig_reload.draw(tmp_path, tmp_path / 'out')
    curves = pd.read_csv(tmp_path / 'out' / 'fig_reload_curves.csv')
    assert set(curves['arm']) == {'B = 128, lr = 0.05 (no change)', 'B = 32, lr = 0.05'}
    first = curves[(curves[fig_reload.SINCE] == 0) & (curves['metric'] == 'test_loss')]
    assert len(first) == 4
    theirs = {r['step']: r['test_loss'] for r in toy.rows(tmp_path, run) if 'test_loss' in r}
    for point, own in first.groupby('parent.epoch'):
        plan = next(b for b in branches if b.parent and b.parent['epoch'] == pytest.approx(point))
        assert own['mean'].tolist() == pytest.approx([theirs[plan.start]] * 2)
    ends = pd.read_csv(tmp_path / 'out' / 'fig_reload_ends.csv')
    found = sorted(ends.loc[ends['metric'] == 'train_loss', 'mean'])
    assert found == pytest.approx(sorted(toy.rows(tmp_path, b)[-1]['train_loss'] for b in branches))
