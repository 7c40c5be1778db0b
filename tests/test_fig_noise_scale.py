"""B_simple from records: ratio of means, intervals that cover, windows; the figure."""

import pathlib

import numpy as np
import pandas as pd
import pytest
from fake_records import EPOCH_SIZE, write_run

from bsresearch.analysis import noise_scale
from scripts import fig_noise_scale


def test_the_ratio_is_of_means_and_its_interval_covers():
    """Monte Carlo: 300 series with known ratio 5, independent and with memory; 95 % intervals cover in 85 to 99 %."""
    rng = np.random.default_rng(0)
    for memory in (0.0, 0.6):
        covered = []
        for trial in range(300):
            noise = rng.normal(size=(2, 80))
            for t in range(1, 80):
                noise[:, t] = memory * noise[:, t - 1] + np.sqrt(1 - memory**2) * noise[:, t]
            top, bottom = 10 + noise[0], 2 + 0.5 * noise[1]
            found = noise_scale.ratio(top, bottom, trial)
            assert found.value == pytest.approx(top.mean() / bottom.mean())
            covered.append(found.low <= 5 <= found.high)
        # Blocks of 5 catch most, not all, of the memory.
        assert (0.9 if memory == 0 else 0.8) < np.mean(covered) < 0.99, memory


def test_a_ratio_without_a_sign_has_no_upper_bound():
    """Numerators 1 over denominators that average to about 0: infinite resamples are bounds, not negative ratios."""
    rng = np.random.default_rng(1)
    found = noise_scale.ratio(np.ones(40), rng.normal(0.05, 1, 40))
    assert np.isnan(found.high)
    assert found.low > 0
    assert np.isnan(noise_scale.ratio(np.ones(7), np.ones(7)).low)


def test_a_ratio_of_negative_denominators_has_no_bounds():
    """Neither is infinite: every resample is."""
    found = noise_scale.ratio(np.ones(30), np.full(30, -1.0))
    assert found.value == -1
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def write(workdir: pathlib.Path) -> None:
    for size in (16, 32):
        values = {
            'noise_gradient_square': [4.0, 2.0, 1.0, -0.5, 0.5],
            'noise_trace': [8.0, 8.0, 8.0, 8.0, 8.0 + size],
            'train_loss': [2.0, 1.0, 0.8, 0.6, 0.5],
        }
        write_run(workdir, batch_size=size, values=values)


def test_windows_are_ratios_of_means(tmp_path: pathlib.Path):
    """Closed form: of two windows of 3 and 2 measurements; the population's form takes S/N off |G|²."""
    write(tmp_path)
    table = noise_scale.windows(tmp_path, 2)
    assert table.groupby('batch_size')['n'].apply(list).to_dict() == {16: [3, 2], 32: [3, 2]}
    first, second = table[table['batch_size'] == 32].to_dict('records')
    assert first['noise_scale'] == pytest.approx(8 / (7 / 3))
    assert first['population'] == pytest.approx(8 / (7 / 3 - 8 / EPOCH_SIZE))
    assert second['negative'] == 0.5
    assert np.isinf(second['noise_scale'])  # the mean of |G|² is 0 there


def test_the_figure_is_drawn_with_its_numbers(tmp_path: pathlib.Path):
    write(tmp_path)
    files, table = fig_noise_scale.draw(tmp_path, 'epoch', 5, tmp_path / 'figures')
    assert {f.suffix for f in files} == {'.pdf', '.png', '.csv'}
    assert all(f.stat().st_size for f in files)
    assert pd.read_csv(tmp_path / 'figures' / 'fig_noise_scale.csv').shape == table.shape == (10, table.shape[1])


def test_records_without_it_are_refused(tmp_path: pathlib.Path):
    write_run(tmp_path, values={'train_loss': [1.0]})
    with pytest.raises(ValueError, match=r'no run in .* measured the noise scale; ask for it'):
        noise_scale.windows(tmp_path)
