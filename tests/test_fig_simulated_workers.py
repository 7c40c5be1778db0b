"""Simulated workers from records: who belongs to which arm, differences from one worker, the figure, refusals."""

import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run
from scipy import stats

from bsresearch.analysis import resolution
from bsresearch.analysis.quantities import simulated_workers
from scripts import fig_simulated_workers

pytestmark = pytest.mark.usefixtures('small_pictures')
LINEAR, NONE = 'learning rate linear in B, 2-epoch warm-up', 'learning rate as for one worker'
NORMED: dict[str, Any] = {'ghost_batch_size': 8}


def accuracy(workers: int, rule: str, seed: int) -> float:
    """At the end: the fixed rate loses 0.01 a worker, the scaled one nothing; seeds apart by more with many workers."""
    return 0.9 - 0.01 * (workers - 1) * (rule == 'none') + 0.001 * seed * workers


def write(workdir: pathlib.Path, *, full_grid: bool = False, train: bool = True) -> None:
    """1, 2 and 4 workers of 8 examples, rate 0.1 at 8; one worker once, or once for each rule."""
    for rule in ('linear', 'none'):
        for workers in (1, 2, 4):
            if workers == 1 and rule == 'none' and not full_grid:
                continue
            for seed in range(3):
                end = accuracy(workers, rule, seed)
                values = {'test_accuracy': [0.1, 0.5, end]} | ({'train_loss': [2.0, 1.0, 1 - end]} if train else {})
                k = workers if rule == 'linear' else 1
                write_run(
                    workdir, batch_size=8 * workers, learning_rate=0.1 * k, base_learning_rate=0.1, seed=seed,
                    values=values, name=f'{rule}-{workers}-{seed}', **NORMED,
                    scaling={'name': rule, 'reference_batch_size': 8}, warmup={'examples': 128, 'start': 1 / k},
                )  # fmt: skip


@pytest.mark.parametrize('full_grid', [False, True])
def test_every_arm_starts_from_one_worker(full_grid: bool, tmp_path: pathlib.Path):
    """Closed form: means of the made-up accuracies; three runs at every place, those of one worker in both arms."""
    write(tmp_path, full_grid=full_grid)
    found = simulated_workers.find(tmp_path)
    final = found.final[found.final['metric'] == 'test_accuracy'].set_index(['arm', 'workers'])
    assert set(final.index) == {(arm, w) for arm in (LINEAR, NONE) for w in (1, 2, 4)}
    assert set(final['n']) == {3}
    for (arm, workers), row in final.iterrows():
        assert row['mean'] == pytest.approx(accuracy(workers, 'none' if arm == NONE else 'linear', 1))


def test_differences_are_welchs_from_one_worker(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Independent library: scipy's interval; accuracies here are those of so many examples that rounding is nothing."""
    monkeypatch.setattr(resolution, 'count', lambda values: None)
    write(tmp_path)
    found = simulated_workers.find(tmp_path).differences.set_index(['arm', 'workers'])
    assert set(found.index) == {(arm, w) for arm in (LINEAR, NONE) for w in (2, 4)}
    for (arm, workers), row in found.iterrows():
        rule = 'none' if arm == NONE else 'linear'
        many, one = ([accuracy(w, rule, s) for s in range(3)] for w in (workers, 1))
        interval = stats.ttest_ind(many, one, equal_var=False).confidence_interval(0.95)
        assert (row['low'], row['high']) == pytest.approx((interval.low, interval.high))
        assert row['difference'] == pytest.approx(np.mean(many) - np.mean(one))
        assert row['minus'] == 1


def test_the_figure_is_drawn_with_its_numbers(tmp_path: pathlib.Path):
    """Files, the CSV; a run that diverged is counted and named, and no part of a mean or a difference."""
    write(tmp_path)
    write_run(
        tmp_path, batch_size=32, learning_rate=0.4, base_learning_rate=0.1, seed=9, values={'test_accuracy': [0.1]},
        status='diverged', diverged_step=1, name='gone', scaling={'name': 'linear', 'reference_batch_size': 8},
        warmup={'examples': 128, 'start': 0.25}, **NORMED,
    )  # fmt: skip
    files, text = fig_simulated_workers.draw(tmp_path, tmp_path / 'figures')
    assert [f.suffix for f in files] == ['.pdf', '.png', '.csv']
    table = pd.read_csv(files[2])
    row = table[(table['arm'] == LINEAR) & (table['workers'] == 4) & (table['metric'] == 'test_accuracy')].iloc[0]
    assert (row['runs'], row['n'], row['diverged']) == (4, 3, 1)
    assert row['mean'] == pytest.approx(accuracy(4, 'linear', 1))
    assert set(table['metric']) == {'test_accuracy', 'train_loss'}
    assert 'difference from the fewest workers' in text


def test_without_training_loss_and_with_one_seed(tmp_path: pathlib.Path):
    for workers in (1, 2):
        write_run(tmp_path, batch_size=8 * workers, values={'test_accuracy': [0.1, 0.8]}, **NORMED)
    files, text = fig_simulated_workers.draw(tmp_path, tmp_path / 'figures')
    assert set(pd.read_csv(files[2])['arm']) == {NONE}
    assert 'at least two finished runs are needed' in text


def test_a_fixed_batch_cut_among_more_workers(tmp_path: pathlib.Path):
    for group in (4, 8, 16):
        write_run(tmp_path, values={'test_accuracy': [0.1, 0.8]}, name=f'g{group}', ghost_batch_size=group)
    assert simulated_workers.find(tmp_path).final['workers'].tolist() == [1, 2, 4]


def test_refusals(tmp_path: pathlib.Path):
    """No batch norm, one number of workers, another axis, no accuracy: each is named with the cure."""
    end = {'test_accuracy': [0.1, 0.8]}
    write_run(tmp_path / 'plain', values=end)
    with pytest.raises(ValueError, match=r'1 of the 1 runs in .* have no batch norm'):
        simulated_workers.find(tmp_path / 'plain')
    write_run(tmp_path / 'one', values=end, **NORMED)
    with pytest.raises(ValueError, match='have 2 workers: give several'):
        simulated_workers.find(tmp_path / 'one')
    for size in (8, 16):
        for decay in (0.0, 0.1):
            write_run(
                tmp_path / 'axis', batch_size=size, values=end, name=f'{size}{decay}', weight_decay=decay, **NORMED
            )
        write_run(tmp_path / 'blind', batch_size=size, values={'train_loss': [1.0, 0.5]}, **NORMED)
    with pytest.raises(ValueError, match='differ in weight_decay at the same number of workers'):
        simulated_workers.find(tmp_path / 'axis')
    with pytest.raises(ValueError, match='recorded without evaluation: none has test_accuracy'):
        simulated_workers.find(tmp_path / 'blind')
