"""Figure scripts on fixture records: the drawn numbers, the files, the words on the figure, errors; and the export."""

import functools
import pathlib
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run
from matplotlib import image
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from bsresearch.analysis import arms, study, summary
from bsresearch.analysis import command as command_line
from bsresearch.analysis.quantities import sharpness
from bsresearch.core import when
from bsresearch.report import plotting
from bsresearch.store import export, records
from scripts import fig_batch_size

ROOT = pathlib.Path(__file__).parents[1]
AXES = {'epoch': 'epochs', 'updates': 'updates', 'examples': 'examples', 'seconds': 'training seconds (ungrouped)'}


def curves(seed: int, epochs: int = 5) -> dict[str, list[float]]:
    """Made-up metrics at epochs 0, 1, …"""
    t = np.arange(epochs) + 0.1 * seed
    loss, accuracy = np.exp(-t), 1 - np.exp(-t - 0.1)
    return {
        'train_loss': list(loss),
        'test_loss': list(loss * 1.2),
        'train_accuracy': list(accuracy),
        'test_accuracy': list(accuracy * 0.9),
    }


@pytest.fixture(scope='module')
def grid(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Two learning rates. At 0.1 three seeds of B = 16; at 0.2 one of them diverges after epoch 1. B = 32: one seed."""
    workdir = tmp_path_factory.mktemp('grid')
    for lr in (0.1, 0.2):
        for seed in range(3):
            gone = lr == 0.2 and seed == 2
            end: dict[str, Any] = {'status': 'diverged', 'diverged_step': 6} if gone else {}
            write_run(workdir, learning_rate=lr, seed=seed, values=curves(seed, 2 if gone else 5), **end)
        write_run(workdir, batch_size=32, learning_rate=lr, values=curves(0))
    return workdir


class Drawn(NamedTuple):
    """A figure and what belongs to it."""

    fig: Figure
    table: pd.DataFrame
    csv: pathlib.Path
    final: pd.DataFrame


def draw(workdir: pathlib.Path, x: str, out: pathlib.Path) -> Drawn:
    """Draws against x. The CSV is written, the pages are left empty: painting them takes most of the time."""
    kept: dict[str, Any] = {}
    save = plotting.save

    def keep(fig: Figure, table: pd.DataFrame, directory: pathlib.Path, slug: str) -> list[pathlib.Path]:
        kept.update(fig=fig, table=table)
        return save(fig, table, directory, slug)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plotting, 'save', keep)
        patch.setattr(Figure, 'savefig', lambda self, path, **_: pathlib.Path(path).touch())
        files, final = fig_batch_size.draw(workdir, x, out)
    return Drawn(kept['fig'], kept['table'], files[2], final)


@pytest.fixture(scope='module')
def drawn(grid: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Drawn]:
    """The grid's figure against an axis, drawn once."""
    return functools.cache(lambda x: draw(grid, x, tmp_path_factory.mktemp(x)))


def words(fig: Figure) -> list[str]:
    """Every text of legends, titles, notes and axes."""
    legends: list[Any] = [text for legend in fig.findobj(Legend) for text in legend.get_texts()]
    own = [ax.title for ax in fig.axes] + [label for ax in fig.axes for label in (ax.xaxis.label, ax.yaxis.label)]
    return [t.get_text() for t in (*legends, *own, *fig.texts)] + [fig.get_suptitle().replace('\n', ' ')]


# --- the numbers


@pytest.mark.parametrize('x', AXES)
def test_lines_and_csv_are_the_summary(x: str, grid: pathlib.Path, drawn: Callable[[str], Drawn]) -> None:
    """Every drawn mean line and band is in the CSV, in full precision, and the CSV is summary.over_seeds."""
    column = arms.POSITIONS[x][0]
    stored = pd.read_csv(drawn(x).csv)
    loaded = arms.load(grid)
    for metric, part in stored.groupby('metric'):
        expected = summary.over_seeds(loaded.rows, column, str(metric), loaded.by)
        found = part.sort_values([*loaded.by, column]).reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=0, atol=0)
    # Log axes have no 0.
    shown = stored[stored[column] > 0] if x == 'updates' else stored
    lines = sorted(
        [tuple(map(tuple, np.asarray(line.get_data(), float).T)) for ax in drawn(x).fig.axes for line in ax.get_lines()
         if line.get_linestyle() != 'None']
    )  # fmt: skip
    arms_of = shown.groupby([*loaded.by, 'metric'])
    assert lines == sorted(tuple(zip(a[column].astype(float), a['mean'], strict=True)) for _, a in arms_of)
    assert len(lines) == 2 * 2 * 4


def test_hand_computed_values(drawn: Callable[[str], Drawn]) -> None:
    points, final = pd.read_csv(drawn('epoch').csv), drawn('epoch').final
    row = points.query('batch_size == 16 and learning_rate == 0.2 and metric == "test_loss" and epoch == 2').iloc[0]
    a, b = 1.2 * np.exp([-2.0, -2.1])
    assert (row['n'], row['runs'], row['diverged']) == (2, 3, 1)
    # t_{0.975, 1} = tan(0.475 π); the deviation of two values is |a − b|/√2.
    half = np.tan(0.475 * np.pi) * abs(a - b) / 2
    np.testing.assert_allclose(
        [row['mean'], row['low'], row['high']], [(a + b) / 2, (a + b) / 2 - half, (a + b) / 2 + half]
    )
    alone = points.query('batch_size == 32')
    assert alone['low'].isna().all()
    assert alone['high'].isna().all()
    ends = final.query('batch_size == 16 and learning_rate == 0.2 and metric == "test_loss"').iloc[0]
    assert (ends['n'], ends['runs'], ends['diverged'], ends['unfinished']) == (2, 3, 1, 0)
    np.testing.assert_allclose(ends['mean'], 0.6 * (np.exp(-4.0) + np.exp(-4.1)))
    assert f'{ends["mean"]:.4g} ± ' in fig_batch_size.report(final)


def test_crosses_stand_on_the_last_point_before_divergence(drawn: Callable[[str], Drawn]) -> None:
    places = [
        (ax.get_title(), float(at))
        for ax in drawn('epoch').fig.axes
        for line in ax.get_lines()
        if line.get_marker() == 'x'
        for at in np.atleast_1d(line.get_xdata())
    ]
    # Test and train, in accuracy (whose panel has the title) and loss; diverged at update 6, epoch 1.5.
    assert sorted(places) == [('', 1.0)] * 2 + [('learning rate 0.2', 1.0)] * 2


def test_an_arm_that_diverged_altogether_ends_in_a_cross(tmp_path: pathlib.Path) -> None:
    write_run(tmp_path, seed=0, values=curves(0, 2), status='diverged', diverged_step=6)
    write_run(tmp_path, seed=1, values=curves(1, 3), status='diverged', diverged_step=11)
    fig = draw(tmp_path, 'updates', tmp_path / 'out').fig
    crosses = [line for line in fig.axes[0].get_lines() if line.get_marker() == 'x']
    assert [np.asarray(line.get_xdata()).tolist() for line in crosses] == [[4, 8], [4, 8]]
    assert 'B = 16: 2 of 2 diverged' in words(fig)


def test_bands_are_the_intervals(drawn: Callable[[str], Drawn]) -> None:
    """Each band reaches as far as its arm's intervals; an arm of one run has none."""
    figure = drawn('epoch')
    part = figure.table.query('learning_rate == 0.1')
    part = part[part['metric'].str.endswith('accuracy') & part['low'].notna()]
    bands = [band.get_paths()[0].get_extents() for band in figure.fig.axes[0].collections if band.get_paths()]
    found = sorted((extent.y0, extent.y1) for extent in bands)
    expected = part.groupby(['metric', 'batch_size']).agg({'low': 'min', 'high': 'max'})
    np.testing.assert_allclose(found, sorted(expected.itertuples(index=False, name=None)), rtol=1e-12)
    assert len(found) == 2


# --- the words


@pytest.mark.parametrize('x', AXES)
def test_the_figure_says_what_it_shows(x: str, drawn: Callable[[str], Drawn]) -> None:
    found = words(drawn(x).fig)
    assert {'B = 16', 'B = 32', 'test', 'train', 'accuracy', 'loss', AXES[x]} <= set(found)
    assert {'learning rate 0.1', 'learning rate 0.2', 'B = 16: 1 of 3 diverged'} <= set(found)
    assert sum('diverged' in text for text in found) == 1
    notes = found[-1]
    for phrase in ('equal epochs (4)', 'learning rate fixed across B (no scaling)', 'mlp (8,) on digits (64 examples)'):
        assert phrase in notes
    assert 'mean and 95 % interval over n = 1 to 3 seeds' in notes


def test_train_is_dashed_and_colours_tell_batch_sizes(drawn: Callable[[str], Drawn]) -> None:
    loss = drawn('epoch').fig.axes[2]
    lines = [line for line in loss.get_lines() if line.get_linestyle() != 'None']
    first = {(line.get_color(), line.get_linestyle()): float(np.asarray(line.get_ydata())[0]) for line in lines}
    colors = plotting.palette([16, 32])
    assert first[colors[32], '-'] == 1.2
    assert first[colors[32], '--'] == 1.0
    assert len(first) == 4


def test_runs_that_go_on_are_said_to(tmp_path: pathlib.Path) -> None:
    """An arm all of whose runs are unfinished, one of them without records, still stands in the legend."""
    write_run(tmp_path, seed=0, values=curves(0))
    write_run(tmp_path, batch_size=32, seed=0, values=curves(0, 2), status='running')
    write_run(tmp_path, batch_size=32, seed=1, status='running')
    write_run(tmp_path, batch_size=64, seed=0, status='failed')
    figure = draw(tmp_path, 'epoch', tmp_path / 'out')
    assert {'B = 32: 2 of 2 unfinished', 'B = 64: 1 of 1 unfinished', 'B = 64'} <= set(words(figure.fig))
    assert figure.final.query('metric == "test_loss"')['n'].tolist() == [1, 0, 0]


def test_palette_is_even_in_log_batch_size() -> None:
    colors = plotting.palette([1, 256, 16, 16])
    assert list(colors) == [1, 16, 256]
    spread = plotting.palette([1, 2, 256])
    assert (colors[1], colors[256]) == (spread[1], spread[256])
    assert spread[2] == plotting.palette([2**k for k in range(9)])[2]
    assert len(set(plotting.palette([2**k for k in range(12)]).values())) == 12
    assert list(plotting.palette([8])) == [8]


def test_notes_are_filled_by_whole_phrases() -> None:
    assert plotting.filled(['ab cd', 'ef', 'gh ij kl'], 9) == ['ab cd; ef', 'gh ij kl']
    assert plotting.filled(['abc def ghi'], 7) == ['abc def', 'ghi']


# --- the files


def test_files_are_whole_repeatable_and_large_enough(tmp_path: pathlib.Path) -> None:
    for seed in range(2):
        write_run(tmp_path, seed=seed, values=curves(seed))
    first, _ = fig_batch_size.draw(tmp_path, 'epoch', tmp_path / 'a')
    second, _ = fig_batch_size.draw(tmp_path, 'epoch', tmp_path / 'b')
    assert [f.name for f in first] == ['batch_size.pdf', 'batch_size.png', 'batch_size.csv']
    assert sorted(p.name for p in (tmp_path / 'a').iterdir()) == sorted(f.name for f in first)
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]
    assert first[0].read_bytes().startswith(b'%PDF')
    pixels = image.imread(first[1])
    assert pixels.shape[1] >= 200 * plotting.PANEL_WIDTH
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 10


def test_a_failed_save_leaves_the_old_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / 'f.csv').write_text('old')

    class Broken(pd.DataFrame):
        def to_csv(self, path: Any, **kwargs: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            path.write_text('half')
            raise OSError('disk full')

    with plotting.figure(1, 1) as (fig, _), pytest.raises(OSError, match='disk full'):
        plotting.save(fig, Broken(), tmp_path, 'f')
    assert (tmp_path / 'f.csv').read_text() == 'old'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['f.csv', 'f.pdf', 'f.png']


# --- the commands


def command(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a script as a user does."""
    return subprocess.run(
        [sys.executable, '-W', 'error', '-m', module, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120
    )


def test_command_prints_paths_and_final_values(grid: pathlib.Path) -> None:
    done = command('scripts.fig_batch_size', f'--workdir={grid}', '--x=updates')
    assert (done.returncode, done.stderr) == (0, '')
    expected = [str(grid / 'figures' / f'batch_size_updates.{s}') for s in ('pdf', 'png', 'csv')]
    assert done.stdout.splitlines()[-3:] == expected
    assert all(pathlib.Path(p).stat().st_size > 0 for p in expected)
    assert done.stdout.count('±') == 16


@pytest.mark.parametrize(
    ('argument', 'message'),
    [
        ('--workdir={}/nowhere', '--workdir={}/nowhere: no such directory'),
        ('--x=hours', 'flag --x=hours: value should be one of <epoch|updates|examples|seconds>'),
        ('t.csv', "unexpected argument 't.csv'; flags are written --name=value"),
    ],
)
def test_errors_are_one_line_and_exit_2(argument: str, message: str, tmp_path: pathlib.Path) -> None:
    done = command('scripts.fig_batch_size', argument.format(tmp_path))
    assert (done.returncode, done.stdout) == (2, '')
    assert len(done.stderr.splitlines()) == 1
    assert message.format(tmp_path) in done.stderr


def test_workdirs_that_cannot_be_drawn_are_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line.flags, 'FLAGS', types.SimpleNamespace(workdir=None))
    with pytest.raises(ValueError, match='--workdir=<directory> is needed'):
        command_line.workdir()
    with pytest.raises(FileNotFoundError, match='no runs in'):
        fig_batch_size.draw(tmp_path, 'epoch', tmp_path / 'out')
    write_run(tmp_path, values={'distance': [1.0]})
    with pytest.raises(ValueError, match='recorded without evaluation: none has test_accuracy, train_accuracy'):
        fig_batch_size.draw(tmp_path, 'epoch', tmp_path / 'out')


def test_runs_killed_before_their_first_evaluation_are_told_where_they_stand(tmp_path: pathlib.Path) -> None:
    """In every state a run can be in; without evaluation is only one whose config has none."""
    evaluate = when.OFF | {'every_epochs': 1.0}
    asked: dict[str, Any] = {'recording': {'evaluate': evaluate, 'measure': {'sharpness': evaluate}}}
    write_run(tmp_path, seed=0, status='running', **asked)
    write_run(tmp_path, seed=1, status='running', values={'distance': [0.0, 1.0]}, **asked)
    write_run(tmp_path, seed=2, status='stopped', **asked)
    figures = {
        'evaluation': lambda: fig_batch_size.draw(tmp_path, 'epoch', tmp_path / 'out'),
        'sharpness': lambda: sharpness.measured(study.load(tmp_path, 'train')),
    }
    for kind, draw in figures.items():
        with pytest.raises(ValueError, match='none of') as e:
            draw()
        assert str(e.value) == (
            f'none of the 3 runs in {tmp_path} has come to its first {kind} yet: '
            '2 running, recorded up to update 4 of 16; 1 stopped; '
            'give the command that makes them again: it goes on from there'
        )
    other = tmp_path / 'other'
    write_run(other, status='running', recording={'evaluate': when.OFF})
    with pytest.raises(ValueError, match=r'without evaluation: .*; ask for it: --config.evaluate.every_epochs=1'):
        fig_batch_size.draw(other, 'epoch', tmp_path / 'out')


def test_figures_import_neither_jax_nor_tensorflow() -> None:
    modules = [f'scripts.{p.stem}' for p in (ROOT / 'scripts').glob('fig_*.py')]
    modules += [
        '.'.join(p.relative_to(ROOT).with_suffix('').parts) for p in (ROOT / 'bsresearch' / 'analysis').rglob('*.py')
    ]
    imports = ', '.join([*modules, 'scripts.export_records', 'bsresearch.report.plotting', 'bsresearch.store.records'])
    code = (
        f'import sys, {imports}; print(sorted({{"jax", "jaxlib", "flax", "optax", "tensorflow"}} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (done.stdout, done.returncode) == ('[]\n', 0), done.stderr


# --- export_records


@pytest.mark.parametrize('suffix', ['csv', 'parquet'])
def test_export_round_trip(suffix: str, grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Numbers come back to the last bit, missing ones as missing."""
    out = tmp_path / 'new' / f'table.{suffix}'
    export.export(grid, out, overwrite=False)
    found = pd.read_csv(out) if suffix == 'csv' else pd.read_parquet(out)
    expected = records.load(grid)
    # Of True and missing; what stands for missing differs between formats.
    assert found.pop('diverged').eq(True).tolist() == expected.pop('diverged').eq(True).tolist()
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=0, atol=0)


def test_export_keeps_what_is_there(grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    out = tmp_path / 'table.csv'
    out.write_text('mine')
    with pytest.raises(FileExistsError, match='is there already; add --overwrite'):
        export.export(grid, out, overwrite=False)
    assert out.read_text() == 'mine'
    export.export(grid, out, overwrite=True)
    assert len(pd.read_csv(out)) == len(records.load(grid))


def test_export_knows_two_formats(grid: pathlib.Path) -> None:
    with pytest.raises(ValueError, match=r't\.xlsx: the suffix must be \.csv or \.parquet'):
        export.export(grid, grid / 't.xlsx', overwrite=False)
