"""How distance grows: planted laws are recovered and told apart; the table by arm and the figure."""

import pathlib

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run

from bsresearch.analysis.quantities import growth
from scripts import fig_distance

T = np.unique(np.geomspace(1, 20000, 60).round())


def test_planted_laws_are_recovered_and_told_apart():
    """Closed form without noise; with 1 % noise the parameters to a few per cent, and the nearer law by AIC."""
    rng = np.random.default_rng(0)
    log, power = 0.4 + 0.6 * np.log(T), 0.3 * T**0.32
    found = growth.logarithm(T, log)
    assert (found.first, found.second) == pytest.approx((0.4, 0.6), rel=1e-9)
    found = growth.power(T, power)
    assert (found.first, found.second) == pytest.approx((0.3, 0.32), rel=1e-4)
    for truth, nearer in ((log, growth.logarithm), (power, growth.power)):
        noisy = truth * (1 + 0.01 * rng.normal(size=len(T)))
        fits = {f: f(T, noisy) for f in (growth.logarithm, growth.power)}
        assert min(fits, key=lambda f: fits[f].aic) is nearer
        assert fits[nearer].r2 > 0.999
    assert growth.power(T, 0.3 * (T * 64) ** 0.32).second == pytest.approx(0.32, rel=1e-4)  # whatever t counts


def test_aic_is_its_definition():
    values = 0.3 * T**0.32 + np.random.default_rng(1).normal(size=len(T)) * 0.1
    found = growth.logarithm(T, values)
    slope, intercept = np.polyfit(np.log(T), values, 1)
    rss = ((values - intercept - slope * np.log(T)) ** 2).sum()
    assert found.second == pytest.approx(slope)
    assert found.aic == pytest.approx(len(T) * np.log(rss / len(T)) + 6)


def write(workdir: pathlib.Path) -> None:
    for size in (16, 32):
        for seed in (0, 1):
            t = np.arange(9) * 4
            distance = (0.2 + 0.01 * seed) * t**0.5
            values = {'distance': distance.tolist(), 'parameter_norm': [5.0 + 0.1 * e for e in range(9)]}
            write_run(workdir, batch_size=size, seed=seed, values=values, total_examples=8 * 64)


def test_fits_of_runs_and_their_arms(tmp_path: pathlib.Path):
    """Planted: exponent ½ in every run, whatever its batch size; the start, where t = 0, is left out."""
    write(tmp_path)
    table = growth.fits(tmp_path)
    assert table['points'].tolist() == [8] * 4
    np.testing.assert_allclose(table['exponent'], 0.5, atol=1e-3)
    arms = growth.by_arm(table, ['batch_size', 'learning_rate'])
    assert arms['n'].tolist() == [2, 2]
    table.loc[0, 'outcome'], table.loc[1, 'distance'] = 'unfinished', np.nan
    counts = growth.by_arm(table, ['batch_size', 'learning_rate'])[['runs', 'n', 'unfinished', 'short']]
    assert counts.sum().tolist() == [4, 2, 1, 1]
    assert arms['power_better'].tolist() == [2, 2]
    assert (arms['distance_low'] < arms['distance']).all()


def test_the_figure_is_drawn_with_its_numbers(tmp_path: pathlib.Path):
    write(tmp_path)
    for x in ('epoch', 'updates'):
        files, text = fig_distance.draw(tmp_path, x, tmp_path / 'figures')
        assert all(f.stat().st_size for f in files)
        assert 'exponent' in text
    numbers = pd.read_csv(tmp_path / 'figures' / 'fig_distance.csv')
    assert set(numbers['metric']) == {'distance', 'parameter_norm'}


def test_too_few_points_are_refused(tmp_path: pathlib.Path):
    write_run(tmp_path, values={'distance': [0.0, 1.0, 2.0]})
    with pytest.raises(ValueError, match='distance at 6 points or more; ask for it'):
        growth.fits(tmp_path)
