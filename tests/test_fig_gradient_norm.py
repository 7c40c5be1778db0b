"""The figures of the gradient-norm probe: drawn from records alone, the plotted numbers beside them."""

import pathlib

import drawn
import numpy as np
import pandas as pd
import pytest
from fake_records import gradient_norms, write_probe, write_run

from bsresearch.analysis import figures, study
from bsresearch.analysis.quantities import gradient_norm
from bsresearch.report.figures import drawing
from bsresearch.report.figures import gradient_norm as special

FIGURES = ('norms', 'norms_normalized', 'norms_ridges')


def draw(workdir: pathlib.Path, linear: bool = False) -> tuple[dict[str, pd.DataFrame], str]:
    """The plotted numbers, and the text."""
    of_probes = study.load(workdir, 'gradient_norm')
    figure = figures.special('gradient_norm', name='norms', linear=linear)
    return drawn.tables(of_probes, figure, workdir / 'figures'), special.text(of_probes)


def probed(
    workdir: pathlib.Path, run_seed: int = 0, trials: int = 6, sizes: tuple[int, ...] = (1, 4, 16), seed: int = 0,
    rate: float = 0.05,
) -> None:  # fmt: skip
    """Two checkpoints of a run, a few trials each."""
    run = write_run(workdir, study='gradient_norm', seed=run_seed)
    settings = {'name': 'gradient_norm', 'parameters': ['output/kernel'], 'with_replacement': True, 'seed': seed}
    random = np.random.default_rng([run_seed, seed])
    for epoch in (0, 1):
        walking = 0.2 * np.array(sizes) ** 0.15 * random.uniform(0.9, 1.1, (trials, len(sizes)))
        arrays = gradient_norms(walking, np.array(sizes), rate, 16, random)
        own = settings | {'trials': trials, 'batch_sizes': list(sizes)}
        write_probe(workdir, [run], own, arrays, epoch=epoch, learning_rate=rate)


@pytest.mark.parametrize('linear', [False, True])
def test_the_figures_and_their_numbers(linear: bool, tmp_path: pathlib.Path, request: pytest.FixtureRequest):
    """Three figures in three formats; the table has every batch size and checkpoint."""
    if linear:
        request.getfixturevalue('small_pictures')
    probed(tmp_path)
    tables, text = draw(tmp_path, linear)
    table, scaled, ridges = (tables.pop(name) for name in FIGURES)
    assert not tables
    probes = gradient_norm.of_study(study.load(tmp_path, 'gradient_norm'))
    assert len(table) == 6
    assert table['walking_mean'].tolist() == pytest.approx(np.concatenate([f.norms['walking'].mean(0) for f in probes]))
    assert scaled.groupby('epoch')['mean'].nunique(dropna=False).max() <= 3
    assert np.ptp(scaled[scaled['epoch'] == 0]['mean']) < 1e-9  # equal means, as it says
    assert text.count('frozen constant within') == 2
    for _, mine in ridges.groupby(['epoch', 'histogram', 'batch_size']):
        assert (mine['density'] * (mine['high'] - mine['low'])).sum() == pytest.approx(1, rel=1e-3)


def test_seeds_share_a_figure_and_rates_have_figures_of_their_own(tmp_path: pathlib.Path, small_pictures: None):
    """Its line is the mean over them; the table has each seed, and what is drawn of all; η is in the file names."""
    for seed in range(3):
        probed(tmp_path, run_seed=seed)
    probed(tmp_path, rate=0.01)
    tables, _ = draw(tmp_path)
    assert set(tables) == {f'{n}_{rate}' for n in FIGURES for rate in ('0.01', '0.05')}
    table = tables['norms_0.05']
    assert table['run'].nunique() == 4
    each, pooled = table[table['run'] != 'all'], table[table['run'] == 'all'].set_index(['epoch', 'batch_size'])
    each = each.assign(**{f'{c}_2': each[c] ** 2 for c in ('walking_std', 'single_rms')})
    mine = each.groupby(['epoch', 'batch_size'])
    np.testing.assert_allclose(pooled['walking_mean'], mine['walking_mean'].mean())
    for column in ('walking_std', 'single_rms'):
        np.testing.assert_allclose(pooled[column] ** 2, mine[f'{column}_2'].mean())
    assert tables['norms_0.01']['run'].nunique() == 1


def test_each_picture_has_a_name_and_says_what_it_shows(tmp_path: pathlib.Path):
    probed(tmp_path)
    figure = figures.special('gradient_norm', name='norms', title='Norms')
    parts = drawing.parts(study.load(tmp_path, 'gradient_norm'), figure)
    assert [part.name for part in parts] == list(FIGURES)
    assert len({part.title for part in parts}) == 3
    assert all(part.title.startswith('Norms: ') for part in parts)


def test_probes_that_differ_in_their_settings_are_drawn_apart(tmp_path: pathlib.Path, small_pictures: None):
    """Other draws, other batch sizes: of one point there is one line in a figure."""
    probed(tmp_path)
    probed(tmp_path, seed=1)
    probed(tmp_path, sizes=(2, 8))
    tables, text = draw(tmp_path)
    assert len(tables) == 9
    means = [tables[f'norms_{i}'] for i in range(3)]
    for table in means:
        assert not table.duplicated(['epoch', 'batch_size']).any()
    assert sorted(len(table) for table in means) == [4, 6, 6]
    assert text.count('seed 1') == 2


def test_one_trial_is_drawn_without_bars(tmp_path: pathlib.Path, small_pictures: None):
    """No spread from one trial, and nothing warns."""
    probed(tmp_path, trials=1)
    tables, text = draw(tmp_path)
    table = tables['norms']
    assert table['walking_std'].isna().all()
    assert table['walking_mean'].notna().all()
    assert 'one trial: no spread' in text


def test_without_probes_it_says_what_makes_them(tmp_path: pathlib.Path):
    """Not an empty figure."""
    write_run(tmp_path, study='gradient_norm')
    with pytest.raises(ValueError, match=r'no finished gradient_norm probes.*probe\.name=gradient_norm'):
        draw(tmp_path)
