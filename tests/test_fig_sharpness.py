"""Sharpness from records: what is tabulated at the end and on the way; the figure."""

import pathlib

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run

from bsresearch.analysis.quantities import sharpness
from scripts import fig_sharpness


def write(workdir: pathlib.Path, eigenvalues: bool = True) -> None:
    """φ = B·(seed + 1)·(epoch + 1), loss e^−epoch evaluated, a little more where φ was measured."""
    for size in (16, 32):
        for seed in range(3):
            values = {
                'sharpness': [size * (seed + 1) * (t + 1.0) for t in range(4)],
                'sharpness_loss': [1.5, 1.0, 0.5, 0.25],
                'train_loss': [1.4, None, 0.4, 0.2],
            }
            more = {'hessian_eigenvalue/0': [8.0, 10.0, 12.0, 20.0], 'hessian_residual': [1e-4, 1e-3, 1e-2, 1e-5]}
            values |= (more | {'stability_limit': [20.0] * 4}) if eigenvalues else {}
            write_run(workdir, batch_size=size, seed=seed, values=values)


def test_values_at_the_end_and_the_loss_they_belong_to(tmp_path: pathlib.Path):
    """Closed form: 4B(1, 2, 3) at the last epoch; evaluated losses before those of the measurement."""
    write(tmp_path)
    found = sharpness.measured(tmp_path)
    final = found.final.set_index(['batch_size', 'metric'])
    for size in (16, 32):
        assert final.loc[(size, 'sharpness'), 'mean'] == pytest.approx(8 * size)
        assert final.loc[(size, 'sharpness'), 'std'] == pytest.approx(4 * size)
        assert final.loc[(size, 'stability_limit'), 'mean'] == 20
    run = found.points[found.points['run'] == found.points['run'].iloc[0]]
    assert run['loss'].tolist() == [1.4, 1.0, 0.4, 0.2]
    assert sharpness.unconverged(found.points) == pytest.approx(0.25)


@pytest.mark.parametrize('eigenvalues', [True, False])
def test_the_figure_is_drawn_with_its_numbers(eigenvalues: bool, tmp_path: pathlib.Path):
    write(tmp_path, eigenvalues)
    files, final = fig_sharpness.draw(tmp_path, tmp_path / 'figures')
    assert {f.suffix for f in files} == {'.pdf', '.png', '.csv'}
    assert all(f.stat().st_size for f in files)
    table = pd.read_csv(tmp_path / 'figures' / 'fig_sharpness.csv')
    assert set(table['panel']) == {'end', 'loss', 'epoch'}
    at = table[(table['panel'] == 'epoch') & (table['metric'] == 'sharpness') & (table['batch_size'] == 32)]
    np.testing.assert_allclose(at['mean'], [64, 128, 192, 256])
    assert ('stability_limit' in set(table['metric'])) == eigenvalues
    assert set(final['metric']) >= {'sharpness', 'loss'}


def test_a_single_run_has_no_interval(tmp_path: pathlib.Path, small_pictures: None):
    write_run(tmp_path, values={'sharpness': [1.0, 2.0], 'sharpness_loss': [1.0, 0.5]})
    files, final = fig_sharpness.draw(tmp_path, tmp_path / 'figures')
    assert len(files) == 3
    assert final['low'].isna().all()


def test_records_that_cannot_be_drawn_are_refused(tmp_path: pathlib.Path):
    write_run(tmp_path / 'a', values={'train_loss': [1.0]})
    with pytest.raises(ValueError, match=r'without sharpness: none has .*; ask for it: --config.measure.sharpness'):
        sharpness.measured(tmp_path / 'a')
    for rate in (0.1, 0.2):
        write_run(tmp_path / 'b', learning_rate=rate, values={'sharpness': [1.0], 'sharpness_loss': [1.0]})
    with pytest.raises(ValueError, match='differ in learning_rate beside the batch size'):
        sharpness.measured(tmp_path / 'b')
