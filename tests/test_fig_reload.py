"""The figures of branches: each arm once, from its branch point on; nothing without branches."""

import pathlib

import pandas as pd
import pytest
from fake_records import EPOCH_SIZE, write_run

from scripts import fig_reload


def losses(first: float, epochs: int) -> dict[str, list[float | None]]:
    return {f'{split}_loss': [first / (t + 1) for t in range(epochs)] for split in ('train', 'test')}


def test_curves_begin_where_the_branches_do(tmp_path: pathlib.Path):
    """At 0 epochs each arm has its first value; the ends are the last rows of the branches."""
    parent = write_run(tmp_path, study='reload', batch_size=32, values=losses(4.0, 5))
    with pytest.raises(ValueError, match='holds no branches yet'):
        fig_reload.draw(tmp_path, tmp_path / 'out')
    starts = {(32, 1): 2.0, (32, 2): 1.5, (8, 1): 2.0, (8, 2): 1.25}
    for (size, epoch), start in starts.items():
        point = {'epoch': float(epoch), 'run': parent.name, 'step': 2 * epoch, 'examples': epoch * EPOCH_SIZE}
        write_run(
            tmp_path, study='reload', batch_size=size, name=f'{size}-{epoch}', values=losses(start, 3),
            first_epoch=epoch, parent=point, total_examples=(epoch + 2) * EPOCH_SIZE,
        )  # fmt: skip
    files = fig_reload.draw(tmp_path, tmp_path / 'out')
    assert all(f.stat().st_size for f in files)
    curves = pd.read_csv(tmp_path / 'out' / 'fig_reload_curves.csv')
    assert set(curves['arm']) == {'B = 32, lr = 0.1 (no change)', 'B = 8, lr = 0.1'}
    assert curves[fig_reload.SINCE].max() == 2
    first = curves[(curves[fig_reload.SINCE] == 0) & (curves['metric'] == 'test_loss')]
    assert sorted(first['mean']) == sorted(starts.values())
    ends = pd.read_csv(tmp_path / 'out' / 'fig_reload_ends.csv')
    found = sorted(ends.loc[ends['metric'] == 'train_loss', 'mean'])
    assert found == pytest.approx(sorted(start / 3 for start in starts.values()))
