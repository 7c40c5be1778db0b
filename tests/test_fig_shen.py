"""The figures of Shen's article from records alone: which are drawn, that their numbers are the summaries."""

import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shen_records

from bsresearch.analysis import shen
from bsresearch.report import plotting
from scripts import fig_shen

FIGURES = [
    'compare_batch_size',
    'compare_learning_rate',
    'recovery',
    'distance',
    'accuracy_against_distance',
    'hypothesis',
]


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A workdir with every arm and branch at three seeds, and its figures in out/."""
    workdir = tmp_path_factory.mktemp('whole')
    shen_records.write(workdir)
    files, text = fig_shen.draw(workdir, workdir / 'out')
    assert [f.name for f in files] == [f'fig_shen_{n}.{s}' for n in FIGURES for s in ('pdf', 'png', 'csv')]
    assert text == ''
    return workdir


def numbers(workdir: pathlib.Path, name: str) -> pd.DataFrame:
    return pd.read_csv(workdir / 'out' / f'fig_shen_{name}.csv')


def test_the_comparisons_have_their_arms(whole: pathlib.Path):
    """From epoch 1 on; the end is the mean of the planted ends."""
    sizes = numbers(whole, 'compare_batch_size')
    assert sizes['arm'].unique().tolist() == ['B = 4, lr 0.01', 'B = 16, lr 0.01', 'B = 64, lr 0.01']
    rates = numbers(whole, 'compare_learning_rate')
    assert rates['arm'].unique().tolist() == ['B = 4, lr 0.01', 'B = 64, lr 0.01', 'B = 64, lr 0.1']
    assert (sizes['epoch'].min(), sizes['epoch'].max()) == (1, 8)
    assert set(sizes['metric']) == {'test_accuracy', 'train_accuracy', 'test_loss', 'train_loss'}
    end = sizes.query('arm == "B = 16, lr 0.01" and metric == "test_accuracy" and epoch == 8').iloc[0]
    assert (end['mean'], end['n']) == (pytest.approx(0.88), 3)


def test_recovery_counts_epochs_from_the_branch_point(whole: pathlib.Path):
    """All branches and the small batch from scratch, each from 1 to 8; the large batch's ends are in the table."""
    table = numbers(whole, 'recovery')
    curves = table[table['since'].notna()]
    assert curves['arm'].nunique() == 7
    spans = curves.groupby('arm')['since'].agg(['min', 'max'])
    assert (spans['min'] == 1).all()
    assert (spans['max'] == 8).all()
    ends = table[table['since'].isna()].set_index('metric')['mean']
    assert ends['test_accuracy'] == pytest.approx(0.85)
    assert ends['train_loss'] == pytest.approx(1.1 - 0.86, abs=1e-3)


def test_distances_have_both_axes_and_norms_start_at_one(whole: pathlib.Path):
    """Distance as planted, c·√updates; the norm over its first value."""
    table = numbers(whole, 'distance')
    steps = table[(table['against'] == 'step') & (table['arm'] == 'B = 4, lr 0.01')]
    assert steps['mean'].to_numpy() == pytest.approx(0.5 * 1.001 * np.sqrt(steps['step'].to_numpy(float)))
    norm = table[(table['metric'] == 'relative_norm') & (table['arm'] == 'B = 4, lr 0.01')]
    assert norm['mean'].to_numpy() == pytest.approx(1 + 0.01 * steps['mean'].to_numpy() / 44)
    assert 'adam, B = 64, lr 0.01' in set(table['arm'])


def test_every_run_is_a_point(whole: pathlib.Path):
    table = numbers(whole, 'accuracy_against_distance')
    assert len(table) == 3 * (5 + 6)
    assert not table.duplicated(['arm', 'seed']).any()


def test_the_article_names_the_colours(whole: pathlib.Path):
    """Orange, teal, purple from the smallest to the largest; of the branches the early ones are dashed."""
    study = shen.load(whole)
    found = {c.arm.role: c.color for c in fig_shen.main_colors(study)}
    assert (found['small'], found['middle'], found['large']) == (fig_shen.ORANGE, fig_shen.TEAL[0], fig_shen.PURPLE)
    branches = {c.arm.name: c for c in fig_shen.branch_colors(study)}
    assert [c.style for c in branches.values()] == ['--'] * 3 + ['-'] * 3
    assert branches['B = 4 from epoch 2'].color == fig_shen.GREEN
    assert branches['no change from epoch 8'].color == fig_shen.CONTROL


def test_what_is_there_is_drawn(tmp_path: pathlib.Path, monkeypatch: Any, small_pictures: None):
    """One seed without branches and Adam; unfinished runs are named on the figure."""
    shen_records.write(tmp_path, seeds=(0,), skip=('control', 'smaller', 'higher', 'adam'), rate={'status': 'running'})
    notes: list[str] = []
    figure = plotting.figure
    monkeypatch.setattr(plotting, 'figure', lambda *a, **k: notes.extend(a[2]) or figure(*a, **k))
    files, text = fig_shen.draw(tmp_path, tmp_path)
    assert [f.stem.removeprefix('fig_shen_') for f in files[::3]] == [n for n in FIGURES if n != 'recovery']
    assert 'missing: no arm with another optimizer' in text
    assert 'missing: B = 64, lr 0.1: 1 of 1 unfinished' in text
    assert 'B = 64, lr 0.1: 1 of 1 unfinished' in notes
    assert 'schematic, no data' in notes


def test_without_evaluations_only_the_schematic_is_drawn(
    tmp_path: pathlib.Path, monkeypatch: Any, small_pictures: None
):
    monkeypatch.setattr(shen_records, 'curves', lambda *_: {'other': [1.0, 2.0]})
    shen_records.write(tmp_path, seeds=(0,))
    files, _ = fig_shen.draw(tmp_path, tmp_path)
    assert [f.stem for f in files[::3]] == ['fig_shen_hypothesis']


def test_other_workdirs_are_refused(tmp_path: pathlib.Path):
    with pytest.raises(FileNotFoundError, match='no runs in'):
        fig_shen.draw(tmp_path, tmp_path)
