"""Tables over seeds against hand computation and scipy; the axes of a sweep."""

import math
import pathlib

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run
from scipy import stats

from bsresearch.analysis import courses, of_runs, points, resolution, study, summary
from bsresearch.store import records

# Student's quantile has a closed form for two degrees of freedom: (2p − 1)/√(2p(1 − p)).
T2 = 0.95 / math.sqrt(2 * 0.975 * 0.025)


def estimates(workdir: pathlib.Path, metric: str) -> pd.DataFrame:
    """Of the last evaluations of each cell."""
    return points.of(study.load(workdir, 'train'), of_runs.final(metric))


# --- intervals


def test_interval_against_scipy() -> None:
    values = np.random.default_rng(0).normal(size=(7, 3))
    ends = summary.interval(np.full(3, 7), values.mean(axis=0), values.std(axis=0, ddof=1))
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    np.testing.assert_allclose(ends, [expected.low, expected.high], rtol=1e-12)


def test_one_run_or_equal_values_have_no_interval() -> None:
    """A width of 0 would decide without evidence."""
    ends = summary.interval(np.array([1, 2]), np.full(2, 1.5), np.array([np.nan, 0.0]))
    assert np.isnan(ends).all()


def test_counts_carry_their_rounding(tmp_path: pathlib.Path) -> None:
    """Closed form: accuracies on 100 examples; two equal ones have t·√(1/(12·100²)/2) on either side."""
    for seed, first in enumerate((0.97, 0.99)):
        write_run(tmp_path, seed=seed, values={'test_accuracy': [first, 0.91]})
    half = math.tan(0.475 * math.pi) / 100 / math.sqrt(24)
    np.testing.assert_allclose(estimates(tmp_path, 'test_accuracy')['high'] - 0.91, half)


@pytest.mark.parametrize('examples', [{8: 718, 16: 1437}, {8: 59999, 16: 30000}])
def test_cells_on_sets_of_their_own_are_counted_apart(examples: dict[int, int], tmp_path: pathlib.Path) -> None:
    """Closed form: of multiples of 1/718 and 1/1437 together the common N would be a million."""
    for size, n in examples.items():
        values = [k / n for k in (n - 1, 2 * n // 3 - 2, n // 2 + 1)]
        for seed in (0, 1):
            write_run(tmp_path, batch_size=size, seed=seed, values={'train_accuracy': values})
    found = estimates(tmp_path, 'train_accuracy')
    half = [math.tan(0.475 * math.pi) / n / math.sqrt(24) for n in examples.values()]
    np.testing.assert_allclose(found['high'] - found['centre'], half, rtol=1e-2)  # N to within 0.5 %


@pytest.mark.parametrize('examples', [7, 360, 10000, 60000])
def test_examples_are_read_off_accuracies_in_float32(examples: int) -> None:
    rng = np.random.default_rng(examples)
    counts = rng.binomial(examples, 0.9, 30)
    values = [float(str(np.float32(c) / np.float32(examples))) for c in counts]
    assert resolution.count(values) == examples
    assert (resolution.count(values[:1]) or 0) <= examples
    assert resolution.count([0.5, np.nan, 0.75]) == 4
    assert resolution.count([]) is None
    assert resolution.count([0.5, 1.5]) is None
    assert resolution.variance('test_loss', [0.5]) == 0


# --- the last evaluation


def test_every_run_is_counted(tmp_path: pathlib.Path) -> None:
    for seed, last in enumerate((1.0, 2.0, 3.0)):
        write_run(tmp_path, seed=seed, values={'test_loss': [9.0, last]})
    write_run(tmp_path, seed=3, values={'test_loss': [9.0]}, status='diverged', diverged_step=2)
    write_run(tmp_path, seed=4, values={'test_loss': [9.0]}, status='running')
    write_run(tmp_path, batch_size=32, values={'test_loss': [9.0]}, status='diverged', diverged_step=2)
    row, gone = estimates(tmp_path, 'test_loss').to_dict('records')
    assert {k: row[k] for k in ('runs', 'n', 'diverged', 'unfinished')} == dict(runs=5, n=3, diverged=1, unfinished=1)
    np.testing.assert_allclose([row['centre'], row['low']], [2.0, max(0.0, 2 - T2 / 3**0.5)], rtol=1e-12)
    assert {k: gone[k] for k in ('runs', 'n', 'diverged', 'unfinished')} == dict(runs=1, n=0, diverged=1, unfinished=0)
    assert np.isnan(gone['centre'])


def test_an_older_value_is_not_taken_for_one_that_is_not_finite(tmp_path: pathlib.Path) -> None:
    for seed, last in enumerate((None, 5.0)):
        write_run(tmp_path, seed=seed, values={'test_loss': [1.0, last], 'test_accuracy': [0.5, 0.5]})
    losses = estimates(tmp_path, 'test_loss')
    assert losses[['n', 'centre']].to_numpy().tolist() == [[1, 5.0]]
    assert estimates(tmp_path, 'test_accuracy')['n'].tolist() == [2]


# --- axes of a sweep without arms


def axes(workdir: pathlib.Path) -> tuple[str, ...]:
    return study.load(workdir, 'train').axes


def test_what_varies_and_does_not_follow_is_an_axis(tmp_path: pathlib.Path) -> None:
    for b in (16, 32):
        for lr in (0.1, 0.2):
            for seed in (0, 1):
                write_run(tmp_path / 'grid', batch_size=b, learning_rate=lr, seed=seed)
        write_run(tmp_path / 'follows', batch_size=b, learning_rate=b / 160, momentum=b / 320)
    assert axes(tmp_path / 'grid') == ('batch_size', 'learning_rate')
    assert axes(tmp_path / 'follows') == ('batch_size',)


def test_a_batch_norm_group_that_is_the_batch_is_left_out() -> None:
    """Also beside runs without batch norm, which have none; a group of its own is told."""
    flat = lambda *pairs: [{'batch_size': b, 'learning_rate': 0.1, 'seed': 0} | g for b, g in pairs]
    group = lambda size: {'ghost_batch_size': size}
    fields = lambda rows: [*records.flatten_varying(rows)[0]]
    assert fields(flat((8, group(8)), (16, group(16)), (32, {}))) == ['batch_size', 'learning_rate', 'seed']
    assert fields(flat((8, group(8)), (16, group(8)), (32, group(16))))[3:] == ['ghost_batch_size']


def test_a_scaled_learning_rate_is_the_declared_one(tmp_path: pathlib.Path) -> None:
    rule = {'name': 'linear', 'reference_batch_size': 16}
    for b in (16, 32):
        for base in (0.1, 0.2):
            write_run(tmp_path, batch_size=b, learning_rate=base * b / 16, base_learning_rate=base, scaling=rule)
    of_train = study.load(tmp_path, 'train')
    assert of_train.axes == ('batch_size', 'learning_rate')
    assert sorted({key[-1] for key in of_train.members['cell']}) == [0.1, 0.2]


def test_rules_side_by_side(tmp_path: pathlib.Path) -> None:
    for name, reference in (('none', None), ('linear', 16)):
        for b in (16, 32):
            rule = {'name': name, 'reference_batch_size': reference}
            lr = 0.1 * b / 16 if reference else 0.1
            seed = 10 * (name == 'linear')  # the fixture's run names lack the rule
            write_run(tmp_path, batch_size=b, learning_rate=lr, base_learning_rate=0.1, scaling=rule, seed=seed)
    assert axes(tmp_path) == ('batch_size', 'scaling.name')


def test_what_follows_from_the_data_set_is_no_axis(tmp_path: pathlib.Path) -> None:
    for name, seed, mean in (('digits', 0, 0.0), ('blobs', 1, 0.5)):
        write_run(tmp_path, seed=seed, data={'name': name, 'mean': [mean]})
    assert axes(tmp_path) == ('batch_size', 'data.name')


def test_lists_of_the_config_are_tuples(tmp_path: pathlib.Path) -> None:
    for widths in ([8], [16], [8, 8]):
        for seed in (0, 1):
            model = {'name': 'mlp', 'widths': widths}
            write_run(tmp_path, seed=seed, values={'test_loss': [2.0, 1.0]}, model=model, name=f'{widths}-{seed}')
    of_train = study.load(tmp_path, 'train')
    assert of_train.axes == ('batch_size', 'model.widths')
    assert {key[-1] for key in of_train.members['cell']} == {(8,), (8, 8), (16,)}


def test_seeds_in_other_groups_share_a_grid_of_seconds(tmp_path: pathlib.Path) -> None:
    """Updates calibrated at 0.5 s and 1.5 s count as 1 s for the cell, also where one run has stopped."""
    values = {'test_loss': [3.0, 2.0, 1.0]}
    write_run(tmp_path, seed=0, values=values, seconds_per_update=0.5)
    write_run(tmp_path, seed=1, values={'test_loss': [3.0]}, seconds_per_update=0.7, status='diverged', diverged_step=0)
    write_run(tmp_path, seed=2, values=values, seconds_per_update=1.5)
    of_train = study.load(tmp_path, 'train')
    course = courses.of(of_train, of_train.members['cell'][0], 'test_loss', 'seconds')
    assert course['x'].tolist() == [0.0, 4.0, 8.0]
    assert course['n'].tolist() == [2, 2, 2]


def test_a_run_without_records_is_counted(tmp_path: pathlib.Path) -> None:
    write_run(tmp_path, seed=0, values={'test_loss': [3.0]})
    write_run(tmp_path, seed=1, status='running')
    of_train = study.load(tmp_path, 'train')
    (row,) = points.of(of_train, of_runs.final('test_loss')).to_dict('records')
    assert (row['runs'], row['n'], row['unfinished']) == (2, 1, 1)


def test_other_studies_are_left_out(tmp_path: pathlib.Path) -> None:
    write_run(tmp_path, seed=0, values={'test_loss': [3.0]})
    write_run(tmp_path, seed=0, values={'test_loss': [9.0]}, learning_rate=0.7, study='lr_range')
    (rows,) = study.load(tmp_path, 'train').rows.values()
    assert rows['test_loss'].dropna().tolist() == [3.0]
    with pytest.raises(FileNotFoundError, match=r"no runs of study 'probe' in .*; it holds: lr_range, train"):
        study.load(tmp_path, 'probe')


# --- the records beneath


def test_what_is_no_number_is_read_too(tmp_path: pathlib.Path) -> None:
    """A user's own measurement may have written text: the other run's numbers are the same beside it."""
    write_run(tmp_path, seed=1, values={'test_loss': [3.0, 2.0]})
    alone = records.load(tmp_path)['test_loss'].tolist()
    directory = write_run(tmp_path, seed=2)
    (directory / 'metrics.jsonl').write_text('{"step": 0, "test_loss": 1.0, "note": "2026-11-29"}\n')
    rows = records.load(tmp_path).set_index('seed')
    assert rows.loc[1, 'test_loss'].tolist() == alone
    assert rows.loc[2, ['test_loss', 'note']].tolist() == [1.0, '2026-11-29']
