"""`bsresearch fig --y=… --x=…`: which figure that is, its numbers against brute force, mistyped names in one line."""

import pathlib

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run

from bsresearch import __main__ as command
from bsresearch.analysis import study
from bsresearch.report import one_figure
from bsresearch.report.one_figure import Request

# By epoch 0 to 4; the validation set is best at epoch 2.
TEST = np.array([0.1, 0.5, 0.7, 0.8, 0.6])
VALIDATION = (0.1, 0.5, 0.9, 0.8, 0.7)


@pytest.fixture(scope='module')
def sweep(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Batch sizes 16 and 32 at rates 0.1 and 0.2, three seeds."""
    workdir = tmp_path_factory.mktemp('sweep')
    for size in (16, 32):
        for rate in (0.1, 0.2):
            for seed in range(3):
                test = list(TEST - 0.001 * size + rate / 10 + 0.002 * seed)
                distance = list(np.sqrt(size) * np.arange(5))
                values = {'test_accuracy': test, 'validation_accuracy': VALIDATION, 'distance': distance}
                write_run(workdir, batch_size=size, learning_rate=rate, seed=seed, values=values)
    return workdir


def numbers(workdir: pathlib.Path, out: pathlib.Path, request: Request) -> pd.DataFrame:
    """What the figure's table has."""
    files = one_figure.draw(workdir, request, out)
    assert [file.suffix for file in files] == ['.pdf', '.png', '.csv']
    return pd.read_csv(files[2])


@pytest.mark.parametrize(
    ('at', 'centre'),
    [('end', 0.6), ('best_validation', 0.7), ('median_last:3', 0.7), ('epoch:1', 0.5)],
)
def test_which_evaluation_counts(
    sweep: pathlib.Path, tmp_path: pathlib.Path, small_pictures: None, at: str, centre: float
):
    request = Request(('test_accuracy',), 'batch_size', 'learning_rate', at=at)
    table = numbers(sweep, tmp_path, request).set_index(['batch_size', 'learning_rate'])
    assert table.loc[(32, 0.2), 'centre'] == pytest.approx(100 * (centre - 0.032 + 0.02 + 0.002))
    assert len(table) == 4


def test_x_decides_what_is_drawn(sweep: pathlib.Path):
    loaded = study.load(sweep, 'train')
    kinds = {
        x: one_figure.figure(loaded, Request(('test_accuracy',), x)).kind
        for x in ('epoch', 'seconds', 'batch_size', 'distance')
    }
    assert kinds == {'epoch': 'curves', 'seconds': 'curves', 'batch_size': 'versus', 'distance': 'pareto'}


def test_no_two_figures_have_one_name(sweep: pathlib.Path):
    """Panel, reading and condition stand in it where they are asked for."""
    loaded = study.load(sweep, 'train')
    plain, field = Request(('test_accuracy',), 'batch_size'), 'learning_rate'
    different = plain._replace(color=field), plain._replace(panel=field), plain._replace(where=(f'{field}=0.1',))
    requests = [plain, *different, plain._replace(at='epoch:1')]
    names = [one_figure.figure(loaded, request).name for request in requests]
    assert names[0] == 'test_accuracy_against_batch_size'
    assert names[2] == 'test_accuracy_against_batch_size_panel_learning_rate'
    assert len({*names}) == 5


def test_where_keeps_some_runs(sweep: pathlib.Path, tmp_path: pathlib.Path, small_pictures: None):
    request = Request(('test_accuracy',), 'updates', where=('learning_rate=0.1', 'batch_size=16,64'))
    table = numbers(sweep, tmp_path, request)
    assert table[['batch_size', 'learning_rate']].drop_duplicates().to_numpy().tolist() == [[16, 0.1]]
    assert table['updates'].tolist() == [4, 8, 12, 16]


@pytest.mark.parametrize(
    ('request_', 'told'),
    [
        (Request(('test_acuracy',), 'batch_size'), "--y=test_acuracy: .*'test_accuracy'"),
        (Request(('test_accuracy',), 'batchsize'), "--x=batchsize: .*'batch_size'"),
        (Request(('test_accuracy',), 'epoch', 'learning_rat'), "--color=learning_rat: .*'learning_rate'"),
        (Request(('test_accuracy',), 'epoch', panel='optimizer.nam'), "--panel=optimizer.nam: .*'optimizer.name'"),
        (Request(('test_accuracy',), 'batch_size', at='median_lst:5'), "--at=median_lst:5 .*'median_last:5'"),
        (Request(('test_accuracy',), 'epoch', where=('batch_size=17',)), '--where=batch_size=17: .* 16, 32'),
        (Request(('test_accuracy',), 'epoch', where=('batch_size',)), '--where=batch_size: '),
        (Request(('test_accuracy',), 'epoch', study='trian'), "--study=trian: .*'train'"),
        (Request(('test_accuracy',), 'epoch', at='best_validation'), '--at=best_validation needs'),
    ],
)
def test_a_mistyped_name_is_one_line_with_the_nearest(
    sweep: pathlib.Path, tmp_path: pathlib.Path, request_: Request, told: str
):
    with pytest.raises(ValueError, match=told) as error:
        one_figure.draw(sweep, request_, tmp_path)
    assert '\n' not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_without_a_validation_set_nothing_is_chosen_by_it(tmp_path: pathlib.Path):
    write_run(tmp_path, values={'test_accuracy': list(TEST)})
    with pytest.raises(ValueError, match=r'data\.validation'):
        one_figure.draw(tmp_path, Request(('test_accuracy',), 'batch_size', at='best_validation'), tmp_path / 'out')


def test_flags_without_a_name_are_the_generic_figure(
    sweep: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """A script is run by its name; what is none is a figure of that name."""
    opened: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(command, '_draw', lambda script, _, rest: opened.append((script, rest)))
    command._dispatch('fig', f'--workdir={sweep}', '--y=test_accuracy')
    command._dispatch('fig', 'schedule', '--csv=a')
    command._dispatch('fig', 'ends', f'--workdir={sweep}')
    assert opened == [
        ('fig', [f'--workdir={sweep}', '--y=test_accuracy']),
        ('fig_schedule', ['--csv=a']),
        ('fig', ['--figure=ends', f'--workdir={sweep}']),
    ]
