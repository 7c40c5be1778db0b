"""B_simple from records: ratio of means, intervals that cover, windows; the figure."""

import pathlib

import drawn
import numpy as np
import pytest
from fake_records import EPOCH_SIZE, write_run
from scipy import stats

from bsresearch.analysis import figures, ratio, study
from bsresearch.analysis.quantities import noise_scale
from bsresearch.report.figures import drawing
from bsresearch.report.figures import noise_scale as special


def test_the_long_run_covariance_is_that_of_the_cosines():
    """A cosine of frequency j has its whole power in Λ_j, a constant has none; below 20 there is no interval."""
    t = (np.arange(40) + 0.5) / 40
    series = np.stack([2 * np.cos(np.pi * t), 7 + np.cos(5 * np.pi * t)])
    np.testing.assert_allclose(ratio.long_run(series), [[4 * 20 / 3, 0], [0, 0]], atol=1e-12)
    apart = np.stack([3 + np.cos(np.pi * t), 1 + 0.01 * np.cos(2 * np.pi * t)])
    found = ratio.along_run(*apart)
    half = stats.t.ppf(0.975, 3) * np.sqrt(1 / 2 / 3)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half), rel=1e-3)
    assert np.isnan(ratio.along_run(*apart[:, :19]).low)


def test_a_ratio_without_an_upper_end_has_a_lower_one():
    """Denominators that average to about 0, or below: larger than a number, and never negative."""
    rng = np.random.default_rng(1)
    found = ratio.along_run(np.ones(40), rng.normal(0.05, 1, 40))
    assert np.isinf(found.high)
    assert 0 < found.low < found.value
    assert noise_scale.text(*found) == f'> {found.low:.4g}'
    assert ratio.along_run(np.ones(30), -1 + 0.1 * rng.normal(size=30)) == (np.inf, np.inf, np.inf)
    assert ratio.along_run(rng.normal(0, 1, 30), np.ones(30))[1:] == (0, np.inf)


def test_a_negative_gradient_square_is_infinite_everywhere():
    """One rule for the training set's and the population's form: ∞ where the mean of |G|² is not positive."""
    of = lambda *args: [noise_scale.along_run(*args)[name] for name in ('noise_scale', 'population', 'negative')]
    assert of(np.array([1.0, -2, 0.5]), np.ones(3), 10) == [np.inf, np.inf, pytest.approx(1 / 3)]
    assert of(np.full(3, 0.2), np.ones(3), 4) == [pytest.approx(5), np.inf, 0]  # 0.2 − 1/4 is below 0


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
    table = noise_scale.windows(study.load(tmp_path, 'train'), 2)
    assert table.groupby('batch_size')['n'].apply(list).to_dict() == {16: [3, 2], 32: [3, 2]}
    first, second = table[table['batch_size'] == 32].to_dict('records')
    assert first['noise_scale'] == pytest.approx(8 / (7 / 3))
    assert first['population'] == pytest.approx(8 / (7 / 3 - 8 / EPOCH_SIZE))
    assert second['negative'] == 0.5
    assert np.isinf(second['noise_scale'])  # the mean of |G|² is 0 there


@pytest.mark.parametrize('windows', [2, 5])
def test_the_figure_is_drawn_with_its_numbers(windows: int, tmp_path: pathlib.Path):
    """A row for each window; an option of a command line is text."""
    write(tmp_path)
    of_train = study.load(tmp_path, 'train')
    declared = figures.special('noise_scale', name='b_simple', windows=str(windows), x='updates')
    table = drawn.table(of_train, declared, tmp_path / 'out')
    assert table.groupby('batch_size')['n'].apply(list).to_dict() == dict.fromkeys(
        (16, 32), [3, 2] if windows == 2 else [1] * 5
    )
    expected = noise_scale.windows(of_train, windows)
    np.testing.assert_allclose(table['noise_scale'], expected['noise_scale'])
    told = special.text(of_train).splitlines()
    assert len(told) == 1 + 10
    assert told[-1].split()[0] == table['run'].iloc[-1]


def test_bad_options_are_refused(tmp_path: pathlib.Path):
    write(tmp_path)
    of_train = study.load(tmp_path, 'train')
    for given, message in (
        ({'window': 3}, "no option 'window'; did you mean 'windows'"),
        ({'windows': 'many'}, "windows='many' is no int as 5 is"),
        ({'windows': 0}, 'windows=0: at least 1'),
        ({'x': 'epoch'}, "x='epoch' is no position in training; did you mean 'epochs'"),
    ):
        with pytest.raises(ValueError, match=message):
            drawing.one(of_train, figures.special('noise_scale')._replace(name='a', options=given), tmp_path / 'out')


def test_records_without_it_are_refused(tmp_path: pathlib.Path):
    write_run(tmp_path, values={'train_loss': [1.0]})
    with pytest.raises(ValueError, match=r'without noise scale: none has .*; ask for it: --config.measure.noise_scale'):
        noise_scale.windows(study.load(tmp_path, 'train'))
