"""`bsresearch advise --workdir`: what of a launch's records becomes which row of the table."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run

from bsresearch.advice import alike, command, of_workdir
from bsresearch.advice.table import Refusal, Runs
from bsresearch.core.target import no_better
from bsresearch.report import advised

TARGET = 'test_accuracy:0.8'
RISING = [0.1, 0.5, 0.7, 0.85, 0.9]  # at epochs 0 to 4: there at the third
SLOW = [0.1, 0.3, 0.5, 0.6, 0.7]  # never there


def written(workdir: pathlib.Path, sizes: Sequence[int] = (8, 16), **fields: Any) -> None:
    for size in sizes:
        write_run(workdir, batch_size=size, values={'test_accuracy': RISING if size == 8 else SLOW}, **fields)


def read(workdir: pathlib.Path, **asked: Any) -> Runs:
    given: dict[str, Any] = {'target': TARGET} | asked
    return of_workdir.runs(workdir, **given)


def test_a_run_counts_from_the_evaluation_at_which_it_came_there(tmp_path: pathlib.Path):
    written(tmp_path)
    found = read(tmp_path)
    assert found.batch_size.tolist() == [16, 8]
    assert found.reached.tolist() == [False, True]
    assert found.length.tolist() == [4.0, 3.0]
    # It came there between two evaluations, an epoch apart.
    assert np.exp(found.low).tolist() == pytest.approx([4.0, 2.0])
    assert found.loss.tolist() == [-0.7, -0.9]
    # Half a second an update: eight of them in an epoch of 64 examples.
    assert found.seconds.tolist() == pytest.approx([0.5 * 64 / 16, 0.5 * 64 / 8])
    assert 'data.name=digits' in found.held


def test_what_diverged_never_came_there_and_is_the_worst(tmp_path: pathlib.Path):
    written(tmp_path)
    write_run(tmp_path, batch_size=16, learning_rate=1.0, values={'test_accuracy': [0.1, 0.9]}, status='diverged',
              diverged_step=5)  # fmt: skip
    found = read(tmp_path)
    lost = found.learning_rate == 1.0
    assert np.isposinf(found.loss[lost]).all()
    assert not found.reached[lost].any()
    assert np.isnan(found.length[lost]).all()


def test_a_rate_of_which_a_run_diverged_is_none_to_use(tmp_path: pathlib.Path):
    """Survivors alone would make it the best."""
    for seed in range(3):
        written(tmp_path, seed=seed)
        ends = {'status': 'diverged', 'diverged_step': 3} if seed == 2 else {}
        for size in (8, 16):
            values = {'test_accuracy': [0.1, 0.99, 0.99]}
            write_run(tmp_path, batch_size=size, learning_rate=0.4, seed=seed, values=values, **ends)
    advice = command.advise(of_workdir.runs(tmp_path), 'accuracy')
    assert advice.row.rate.choice == 0.1


def test_what_is_unfinished_shorter_or_a_branch_is_left_out_and_said(tmp_path: pathlib.Path):
    written(tmp_path)
    write_run(tmp_path, batch_size=8, seed=1, values={'test_accuracy': [0.1, 0.5]}, status='running')
    write_run(tmp_path, batch_size=8, seed=2, values={'test_accuracy': RISING[:3]}, total_examples=128)
    found = read(tmp_path)
    assert len(found.batch_size) == 2
    assert len(found.notes) == 2


def test_other_differences_are_asked_for(tmp_path: pathlib.Path):
    written(tmp_path)
    written(tmp_path, learning_rate=0.2, optimizer={'name': 'adam'})
    with pytest.raises(Refusal, match=r'optimizer\.name.*sgd'):
        read(tmp_path)
    assert (read(tmp_path, where=['optimizer.name=adam']).learning_rate == 0.2).all()


def test_a_time_needs_a_target_and_one_is_named(tmp_path: pathlib.Path):
    written(tmp_path)
    with pytest.raises(Refusal, match=r'test_accuracy:0\.7'):
        read(tmp_path, target='', goal='time')
    assert of_workdir.reachable(tmp_path, '') == 'test_accuracy:0.7'  # of 0.7 and 0.9 the lower


@pytest.mark.parametrize(('value', 'rising', 'text'), [
    (0.9496, True, '0.949'), (0.99951, True, '0.999'), (0.9504, True, '0.95'), (0.7, True, '0.7'), (0.0, True, '0'),
    (0.12345, False, '0.124'), (0.1236, False, '0.124'), (1234.0, False, '1.24e+03'), (0.5, False, '0.5'),
])  # fmt: skip
def test_a_target_that_is_named_is_none_that_rounding_put_out_of_reach(value: float, rising: bool, text: str):
    assert f'{no_better(value, rising):.3g}' == text


@pytest.mark.parametrize(('asked', 'said'), [
    ({'target': 'test_accuracy'}, '<metric>:<value>'),
    ({'target': 'test_accuracy:high'}, "'high'"),
    ({'target': 'tst_accuracy:0.8'}, "'test_accuracy'"),
    ({'target': 'batch_loss:0.8', 'metric': 'nothing'}, 'nothing was not recorded'),
    ({'study': 'trian'}, "'train'"),
    ({'target': 'test_accuracy:0.05'}, 'before the first update'),
])  # fmt: skip
def test_what_cannot_be_is_named(tmp_path: pathlib.Path, asked: dict[str, Any], said: str):
    written(tmp_path)
    with pytest.raises(ValueError, match=said):
        read(tmp_path, **asked)


def test_the_command_takes_one_source(tmp_path: pathlib.Path):
    written(tmp_path)
    request = command.Request(workdir=str(tmp_path), target=TARGET, json=f'{tmp_path}/a.json')
    with pytest.raises(Refusal, match='only runs at B = 8'):
        command.run(request)
    with pytest.raises(Refusal, match=r'none of 2 runs reached it, the best came to 0\.9'):
        command.run(request._replace(target='test_accuracy:95'))
    with pytest.raises(ValueError, match='one of them'):
        command.run(request._replace(table='a.csv'))
    with pytest.raises(ValueError, match='--epochs'):
        command.run(request._replace(epochs='epochs'))
    with pytest.raises(ValueError, match='--target'):
        command.run(command.Request(table='a.csv', batch_size='bs', target=TARGET))


def test_an_accuracy_is_none_above_1(tmp_path: pathlib.Path):
    """Draws around values near 1 are cut, with rates that are tuned and without."""
    for size in (8, 16, 32):
        for rate in (0.05, 0.1, 0.2, 0.4):
            for seed in range(2):
                ends = 0.999 - 0.02 * abs(np.log2(rate / 0.1)) - 0.01 * seed
                values = {'test_accuracy': [0.1, ends]}
                write_run(tmp_path, batch_size=size, learning_rate=rate, seed=seed, values=values)
    advice = command.advise(of_workdir.runs(tmp_path))
    assert advice.runs.several_rates
    highs = [-row.expected['loss'].low for row in advice.rows]
    assert max(highs) <= 1.0


def test_of_runs_made_for_an_advice_the_short_ones_count_at_no_batch_size(tmp_path: pathlib.Path):
    """The first stage, of so many updates, is longer in epochs for a large batch than the second."""
    for size, examples in ((8, 256), (16, 256), (32, 128)):
        values = {'test_accuracy': RISING[: examples // 64 + 1]}
        write_run(tmp_path, batch_size=size, values=values, study='advise', total_examples=examples)
    assert read(tmp_path, target='').batch_size.tolist() == [16, 8]


def test_the_figure_has_the_numbers_of_the_page(tmp_path: pathlib.Path):
    for size in (8, 16, 32):
        for seed in range(3):
            values = {'test_accuracy': [0.1, 0.5, 0.7, 0.85 + 0.01 * seed, 0.9]}
            write_run(tmp_path / 'runs', batch_size=size, seed=seed, values=values)
    advice = command.advise(read(tmp_path / 'runs'))
    files = advised.draw(advice, tmp_path / 'advice')
    assert [file.suffix for file in files] == ['.pdf', '.png', '.csv']
    assert all(file.stat().st_size for file in files)
    numbers = pd.read_csv(files[-1]).set_index('batch_size')
    assert numbers.loc[16, 'epochs'] == pytest.approx(
        next(r for r in advice.rows if r.batch_size == 16).expected['length'].choice
    )


def test_of_a_search_the_winners_count_and_what_was_searched_beside_the_rate_is_no_other_run(tmp_path: pathlib.Path):
    """Each trial has a rate of its own, so that its momentum follows from it; runs are not alike for that."""
    trials = ((0.1, 0.9, 0.8, 3), (0.2, 0.5, 0.85, 3), (0.3, 0.7, 0.99, 1))
    for size in (8, 16):
        for rate, momentum, end, seeds in trials:
            for seed in range(seeds):
                values = {'validation_accuracy': [0.1, 0.5, end], 'test_accuracy': [0.1, 0.5, end]}
                for study in ('tune', 'train'):
                    write_run(tmp_path / study, batch_size=size, learning_rate=rate, momentum=momentum, seed=seed,
                              values=values, study=study)  # fmt: skip
    found = read(tmp_path / 'tune', target='test_accuracy:0.82')
    assert found.learning_rate is not None
    assert found.learning_rate.tolist() == [0.2] * 6
    page = command.run(command.Request(workdir=f'{tmp_path}/tune', target='test_accuracy:0.82'))
    assert 'lr 0.2 (the one that won its search)\n' in page
    assert 'held fixed: learning rate: at each batch size the one that won its search;' in page
    assert 'a rate tuned for each batch size' not in page
    write_run(tmp_path / 'tune', batch_size=8, optimizer={'name': 'adam'}, study='tune',
              values={'validation_accuracy': [0.1, 0.5, 0.9], 'test_accuracy': [0.1, 0.5, 0.9]})  # fmt: skip
    with pytest.raises(Refusal, match=r'^the runs differ in optimizer\.name: --where=optimizer\.name=sgd keeps some'):
        read(tmp_path / 'tune', target='test_accuracy:0.82')
    with pytest.raises(Refusal, match='momentum'):
        read(tmp_path / 'train', target='test_accuracy:0.82')


def test_winners_of_arms_without_a_field_are_found_too():
    """Plain SGD has no momentum: its trials are told apart by what they have."""
    table = pd.DataFrame({'batch_size': [8, 8, 8], 'learning_rate': [0.1, 0.1, 0.2], 'momentum': [np.nan, 0.9, np.nan]})
    won = alike.winners(table, ['learning_rate', 'momentum'], pd.Series([0.7, 0.9, 0.8]))
    assert won.index.tolist() == [1]
    assert alike.winners(table, ['learning_rate', 'momentum'], pd.Series([0.7, 0.6, 0.8])).index.tolist() == [2]
