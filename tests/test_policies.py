"""Policies against each other: names, the peak chosen by validation, how far two arms agree; the figure."""

import pathlib

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run
from scipy import stats

from bsresearch.analysis import policies
from scripts import fig_policies

pytestmark = pytest.mark.usefixtures('small_pictures')
ARMS = {
    'constant': {'name': 'constant'},
    'step': {'name': 'step', 'factor': 0.1},
    'plain': {'name': 'one_cycle', 'cycle_momentum': False},
    'cycled': {'name': 'one_cycle', 'cycle_momentum': True},
}
# Final accuracies by arm and peak: validation and test disagree about the best peak of `step`.
VALIDATION = {'constant': (0.7, 0.8), 'step': (0.9, 0.85), 'plain': (0.6, 0.7), 'cycled': (0.5, 0.6)}
TEST = {'constant': (0.71, 0.81), 'step': (0.8, 0.95), 'plain': (0.6, 0.7), 'cycled': (0.5, 0.6)}


def write(workdir: pathlib.Path, **kw) -> None:
    for arm, schedule in ARMS.items():
        for p, peak in enumerate((0.1, 1.0)):
            for seed in (0, 1, 2):
                course = lambda last, s=seed: [0.1, 0.2, 0.3, 0.4, last + 0.01 * s]
                values = {
                    'test_accuracy': course(TEST[arm][p]),
                    'validation_accuracy': course(VALIDATION[arm][p]),
                    'train_loss': [2.0, 1.5, 1.0, 0.8, 0.5 + 0.01 * seed],
                    'test_loss': [2.0, 1.5, 1.1, 0.9, 0.7 + 0.01 * seed],
                    'learning_rate_used': [peak] * 5,
                }
                # A directory of its own for each arm: fake ids are made of the other fields.
                run = write_run(workdir, learning_rate=peak, seed=seed, values=values, schedule=schedule, **kw)
                run.rename(run.with_name(f'{arm}-{run.name}'))


def test_names_tell_schedules_apart(tmp_path: pathlib.Path):
    write(tmp_path)
    rows = policies.load(tmp_path)
    names = {'constant', 'step', 'one cycle (cycle momentum off)', 'one cycle (cycle momentum on)'}
    assert set(rows['policy']) == names
    assert rows.groupby('policy')['run'].nunique().tolist() == [6] * 4


def test_the_peak_is_chosen_by_validation_alone(tmp_path: pathlib.Path):
    """Planted: the test set would choose the other peak for `step`; both are ends of the grid, and flagged."""
    write(tmp_path)
    best = policies.best_peaks(policies.load(tmp_path), 'validation_accuracy').set_index('policy')
    assert best['learning_rate'].to_dict() == {
        'constant': 1.0,
        'step': 0.1,
        'one cycle (cycle momentum off)': 1.0,
        'one cycle (cycle momentum on)': 1.0,
    }
    assert best['mean']['step'] == pytest.approx(0.91)
    assert best['edge'].all()


def test_a_peak_at_which_a_run_diverged_is_not_taken(tmp_path: pathlib.Path):
    write(tmp_path)
    values = {'test_accuracy': [0.1, None], 'validation_accuracy': [0.1, None], 'train_loss': [2.0, None]}
    schedule = ARMS['constant']
    write_run(tmp_path, learning_rate=1.0, seed=9, values=values, status='diverged', diverged_step=4, schedule=schedule)
    best = policies.best_peaks(policies.load(tmp_path), 'validation_accuracy').set_index('policy')
    assert best['learning_rate']['constant'] == 0.1


def test_differences_are_welchs(tmp_path: pathlib.Path):
    """Independent library: scipy's interval, for arms of unequal spread and size."""
    rng = np.random.default_rng(0)
    values = {'a': rng.normal(1.0, 0.1, 5), 'b': rng.normal(1.1, 0.4, 3)}
    rows = pd.DataFrame(
        [
            {'policy': p, 'run': f'{p}{i}', 'epoch': 2.0 + 0.01 * (p == 'b'), 'train_loss': x}
            for p, xs in values.items()
            for i, x in enumerate(xs)
        ]
    )
    (found,) = policies.differences(rows, 'train_loss', ['a', 'b']).to_dict('records')
    test = stats.ttest_ind(values['b'], values['a'], equal_var=False).confidence_interval(0.95)
    assert (found['low'], found['high']) == pytest.approx((test.low, test.high), rel=1e-10)
    assert found['difference'] == pytest.approx(values['b'].mean() - values['a'].mean())
    assert found['covers'] == (test.low <= 0 <= test.high)


def test_a_run_counts_once_at_each_whole_epoch():
    """Evaluations between whole epochs, and an end that is none, are passed over."""
    rows = pd.DataFrame(
        [
            {'policy': p, 'run': f'{p}{s}', 'epoch': e, 'train_loss': 1.0 + s + e}
            for p in 'ab' for s in (0, 1, 2) for e in (0.0, 0.5, 1.0, 1.52, 2.01, 2.3)
        ]
    )  # fmt: skip
    found = policies.differences(rows, 'train_loss', ['a', 'b'])
    assert found['epoch'].tolist() == [1, 2]
    single = rows[(rows['epoch'] == 1.0)]
    np.testing.assert_allclose(found.loc[0, 'high'], policies.differences(single, 'train_loss', ['a', 'b'])['high'][0])


def test_batch_sizes_are_not_pooled(tmp_path: pathlib.Path):
    for size in (16, 32):
        write_run(tmp_path, batch_size=size, values={'test_accuracy': [0.1]})
    with pytest.raises(ValueError, match='differ in batch_size too'):
        policies.load(tmp_path)


def test_nothing_is_chosen_among_unfinished_runs(tmp_path: pathlib.Path):
    write(tmp_path)
    write_run(tmp_path, learning_rate=0.1, seed=9, status='running', name='late', values={'validation_accuracy': [0.1]})
    with pytest.raises(ValueError, match=r"policy 'constant' has 1 runs that are not finished"):
        policies.best_peaks(policies.load(tmp_path), 'validation_accuracy')


def test_momentum_is_not_pooled(tmp_path: pathlib.Path):
    for momentum, run in ((0.5, 'x'), (0.9, 'y')):
        made = write_run(tmp_path, momentum=momentum, values={'test_accuracy': [0.1]})
        made.rename(made.with_name(run))
    with pytest.raises(ValueError, match='differ in momentum too'):
        policies.load(tmp_path)


def test_the_figure_is_drawn_from_records(tmp_path: pathlib.Path):
    """At each policy's chosen peak; the plotted numbers stand beside it."""
    write(tmp_path)
    files, text = fig_policies.draw(tmp_path, tmp_path / 'figures')
    assert {f.name for f in files} == {f'fig_policies{s}.{e}' for s in ('', '_peaks') for e in ('pdf', 'png', 'csv')}
    assert all(f.stat().st_size for f in files)
    points = pd.read_csv(tmp_path / 'figures' / 'fig_policies.csv')
    last = points[(points['metric'] == 'test_accuracy') & (points['x'] == 4)].set_index('policy')
    assert last['mean']['step'] == pytest.approx(0.81)
    assert last['mean']['constant'] == pytest.approx(0.82)
    assert 'covers 0 at' in text
    assert 'peak learning rates, by validation accuracy' in text


def test_what_cannot_be_compared_is_refused(tmp_path: pathlib.Path):
    write(tmp_path / 'a', weight_decay=0.0)
    run = write_run(tmp_path / 'a', weight_decay=1e-3, values={'test_accuracy': [0.1]})
    run.rename(run.with_name('other'))
    with pytest.raises(ValueError, match='differ in weight_decay too'):
        policies.load(tmp_path / 'a')
    values = {'test_accuracy': [0.1, 0.2], 'train_loss': [1.0, 0.5]}
    for peak in (0.1, 0.2):
        write_run(tmp_path / 'b', learning_rate=peak, values=values)
    with pytest.raises(ValueError, match='no validation set was held out'):
        fig_policies.draw(tmp_path / 'b', tmp_path)
    # A regression has no accuracy, and is drawn without.
    for seed in (0, 1):
        write_run(tmp_path / 'd', seed=seed, values={'train_loss': [1.0, 0.5, 0.3 + 0.1 * seed]})
    files, _ = fig_policies.draw(tmp_path / 'd', tmp_path)
    assert files
    write_run(tmp_path / 'c', values={'test_accuracy': [0.1]})
    with pytest.raises(ValueError, match='recorded without evaluation: none has train_loss'):
        fig_policies.draw(tmp_path / 'c', tmp_path)
