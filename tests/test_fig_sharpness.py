"""Sharpness from records: what is tabulated at the end and on the way; the figure."""

import pathlib

import drawn
import numpy as np
import pytest
from fake_records import write_run
from scipy import stats

from bsresearch.analysis import figures, study
from bsresearch.analysis.quantities import sharpness
from bsresearch.report.figures import sharpness as special

FIGURE = figures.special('sharpness', name='sharp')


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


def test_the_loss_that_a_sharpness_belongs_to(tmp_path: pathlib.Path):
    """Evaluated losses before those of the measurement; a row for each of the four."""
    write(tmp_path)
    points = sharpness.measured(study.load(tmp_path, 'train'))
    assert points.groupby('run').size().tolist() == [4] * 6
    for _, run in points.groupby('run'):
        assert run['loss'].tolist() == [1.4, 1.0, 0.4, 0.2]
        assert run['step'].is_monotonic_increasing
    assert sharpness.unconverged(points) == pytest.approx(0.25)


@pytest.mark.parametrize('eigenvalues', [True, False])
def test_the_figure_is_drawn_with_its_numbers(eigenvalues: bool, tmp_path: pathlib.Path):
    """Closed form: 4B(1, 2, 3) at the last epoch, with Student's interval; means on the way."""
    write(tmp_path, eigenvalues)
    of_train = study.load(tmp_path, 'train')
    table = drawn.table(of_train, FIGURE, tmp_path / 'figures')
    assert set(table['panel']) == {'end', 'loss', 'epoch'}
    at = table[(table['panel'] == 'epoch') & (table['metric'] == 'sharpness') & (table['batch_size'] == 32)]
    np.testing.assert_allclose(at['mean'], [64, 128, 192, 256])
    ends = table[(table['panel'] == 'end') & (table['metric'] == 'sharpness')].set_index('batch_size')
    half = stats.t.ppf(0.975, 2) / np.sqrt(3)
    for size in (16, 32):
        assert ends.loc[size, 'mean'] == pytest.approx(8 * size)
        assert ends.loc[size, 'high'] == pytest.approx(8 * size + 4 * size * half)
        assert ends.loc[size, 'low'] == pytest.approx(max(0, 8 * size - 4 * size * half))
    assert len(table[table['panel'] == 'loss']) == 24 * (1 + eigenvalues)
    assert ('stability_limit' in set(table['metric'])) == eigenvalues
    told = special.text(of_train)
    assert ('stability_limit' in told) == eigenvalues
    assert 'B = 32' in told


def test_a_single_run_has_no_interval(tmp_path: pathlib.Path, small_pictures: None):
    write_run(tmp_path, values={'sharpness': [1.0, 2.0], 'sharpness_loss': [1.0, 0.5], 'train_loss': [1.0, 0.5]})
    table = drawn.table(study.load(tmp_path, 'train'), FIGURE, tmp_path / 'figures')
    assert table['low'].isna().all()
    assert table.loc[table['panel'] == 'end', 'mean'].tolist() == [2.0]


def test_arms_that_differ_in_more_than_the_batch_are_told_apart(tmp_path: pathlib.Path, small_pictures: None):
    for rate in (0.1, 0.2):
        write_run(tmp_path, learning_rate=rate, values={'sharpness': [rate], 'sharpness_loss': [1.0]})
    ends = drawn.table(study.load(tmp_path, 'train'), FIGURE, tmp_path / 'figures').query('panel == "end"')
    assert ends[['learning_rate', 'mean']].to_numpy().tolist() == [[0.1, 0.1], [0.2, 0.2]]


def test_records_without_it_are_refused(tmp_path: pathlib.Path):
    write_run(tmp_path, values={'train_loss': [1.0]})
    with pytest.raises(ValueError, match=r'without sharpness: none has .*; ask for it: --config.measure.sharpness'):
        sharpness.measured(study.load(tmp_path, 'train'))
