"""What all figures share: colours, notes, files, the command, errors; and the export."""

import os
import pathlib
import subprocess
import sys
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run
from matplotlib import image

from bsresearch.analysis import command as command_line
from bsresearch.analysis import figures, of_runs, study
from bsresearch.core import when
from bsresearch.report import plotting, rendering
from bsresearch.report.figures import drawing, panels
from bsresearch.report.figures.panels import Sheet
from bsresearch.store import export, records

ROOT = pathlib.Path(__file__).parents[1]


METRICS = {'test_accuracy': [0.1, 1 / 3, 0.9], 'test_loss': [2.0, np.exp(-1), 0.1]}


def test_palette_is_even_in_log_batch_size() -> None:
    colors = plotting.palette([1, 256, 16, 16])
    assert list(colors) == [1, 16, 256]
    spread = plotting.palette([1, 2, 256])
    assert (colors[1], colors[256]) == (spread[1], spread[256])
    assert spread[2] == plotting.palette([2**k for k in range(9)])[2]
    assert len(set(plotting.palette([2**k for k in range(12)]).values())) == 12
    assert list(plotting.palette([8])) == [8]


def test_notes_are_filled_by_whole_phrases() -> None:
    assert panels.filled(['ab cd', 'ef', 'gh ij kl'], 9) == ['ab cd; ef', 'gh ij kl']
    assert panels.filled(['abc def ghi'], 7) == ['abc def', 'ghi']


# --- the files


def test_files_are_whole_repeatable_and_large_enough(tmp_path: pathlib.Path) -> None:
    for seed in range(2):
        write_run(tmp_path, seed=seed, values=METRICS)
    figure = figures.curves('test_accuracy', name='accuracy')
    first, second = (drawing.one(study.load(tmp_path, 'train'), figure, tmp_path / out) for out in ('a', 'b'))
    assert [f.name for f in first] == ['accuracy.pdf', 'accuracy.png', 'accuracy.csv']
    assert sorted(p.name for p in (tmp_path / 'a').iterdir()) == sorted(f.name for f in first)
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]
    assert first[0].read_bytes().startswith(b'%PDF')
    pixels = image.imread(first[1])
    assert pixels.shape[1] >= 200 * panels.PANEL_WIDTH
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 10


def test_a_failed_save_leaves_the_old_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'f.pdf').write_text('old')

    def half(_: Any, file: Any, **__: Any) -> None:
        file.write(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(plotting.FigureCanvasPdf, 'print_pdf', half)
    figure, _ = panels.grid(1, 1, [])
    with pytest.raises(OSError, match='disk full'):
        drawing.save(Sheet(figure, pd.DataFrame()), tmp_path, 'f').result()
    assert (tmp_path / 'f.pdf').read_text() == 'old'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['f.csv', 'f.pdf', 'f.png']


def test_another_process_renders_the_same_bytes(tmp_path: pathlib.Path) -> None:
    """One after another, so that it is free for each; and what cannot be drawn arrives in its place."""
    write_run(tmp_path, values=METRICS)
    declared = [figures.curves(metric, name=metric) for metric in ('test_accuracy', 'sharpness', 'test_loss')]
    of_train = study.load(tmp_path, 'train')
    here = drawing.each(of_train, declared, tmp_path / 'here')
    with rendering.beside() as submit:
        beside = [one for figure in declared for one in drawing.each(of_train, [figure], tmp_path / 'beside', submit)]
    assert [one.refused for one in here] == [one.refused for one in beside]
    assert [bool(one.files) for one in beside] == [True, False, True]
    contents = lambda every: [file.read_bytes() for one in every for file in one.files]
    assert contents(here) == contents(beside)


def test_while_the_other_process_is_busy_this_one_calls() -> None:
    with rendering.beside() as submit:
        other, own = submit(os.getpid), submit(os.getpid)
        assert own.result() == os.getpid() != other.result()
        assert submit(os.getpid).result() == other.result()
        with pytest.raises(ZeroDivisionError):
            submit(divmod, 1, 0).result()


# --- the commands


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`bsresearch fig` as a user calls it."""
    words = [sys.executable, '-W', 'error', '-m', 'bsresearch', 'fig', *arguments]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_command_prints_paths_and_what_a_figure_reports(tmp_path: pathlib.Path) -> None:
    values = {'noise_gradient_square': [4.0, 2.0, 1.0], 'noise_trace': [8.0, 8.0, 8.0]}
    write_run(tmp_path, values=values)
    done = command('noise_scale', f'--workdir={tmp_path}', '--option=windows=1')
    assert (done.returncode, done.stderr) == (0, '')
    expected = [tmp_path / 'figures' / f'noise_scale.{s}' for s in ('pdf', 'png', 'csv')]
    assert done.stdout.splitlines()[-3:] == [str(path) for path in expected]
    assert all(path.stat().st_size > 0 for path in expected)
    table = pd.read_csv(expected[2])
    assert table['noise_scale'].tolist() == pytest.approx([8 / (7 / 3)])
    assert 'b16-lr0.1-s0' in done.stdout.splitlines()[1]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('noise_scal', '--workdir={}'), "has no figure 'noise_scal'; did you mean 'noise_scale'?"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (('noise_scale', '--workdir={}/nowhere'), '--workdir={}/nowhere: no such directory'),
                (
                    ('noise_scale', '--workdir={}', '--x=updates'),
                    '--x is of a figure without a name; noise_scale takes ',
                ),
                (('noise_scale', '--workdir={}', '--option=x'), '--option=x: --option=<name>=<value> of '),
                (('sharpness', 't.csv'), "unexpected argument 't.csv'; flags are written --name=value"),
            )
        ),
    ],
)
def test_errors_are_one_line_and_exit_2(arguments: tuple[str, ...], message: str, tmp_path: pathlib.Path) -> None:
    write_run(tmp_path, values=METRICS)
    done = command(*(argument.format(tmp_path) for argument in arguments))
    assert (done.returncode, done.stdout) == (2, '')
    assert len(done.stderr.splitlines()) == 1
    assert message.format(tmp_path) in done.stderr


def test_workdirs_that_cannot_be_drawn_are_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line.flags, 'FLAGS', types.SimpleNamespace(workdir=None))
    with pytest.raises(ValueError, match='--workdir=<directory> is needed'):
        command_line.workdir()
    with pytest.raises(FileNotFoundError, match='no runs in'):
        study.load(tmp_path, 'train')
    write_run(tmp_path, values={'distance': [1.0]})
    with pytest.raises(ValueError, match='recorded without evaluation: none has test_accuracy'):
        of_runs.check(study.load(tmp_path, 'train'), 'test_accuracy')


def test_runs_killed_before_their_first_evaluation_are_told_where_they_stand(tmp_path: pathlib.Path) -> None:
    """In every state a run can be in; without evaluation is only one whose config has none."""
    evaluate = when.OFF | {'every_epochs': 1.0}
    asked: dict[str, Any] = {'recording': {'evaluate': evaluate, 'measure': {'sharpness': evaluate}}}
    write_run(tmp_path, seed=0, status='running', **asked)
    write_run(tmp_path, seed=1, status='running', values={'distance': [0.0, 1.0]}, **asked)
    write_run(tmp_path, seed=2, status='stopped', **asked)
    for metric, kind in (('test_loss', 'evaluation'), ('sharpness', 'sharpness')):
        with pytest.raises(ValueError, match='none of') as e:
            of_runs.check(study.load(tmp_path, 'train'), metric)
        assert str(e.value) == (
            f'none of the 3 runs in {tmp_path} has come to its first {kind} yet: '
            '2 running, recorded up to update 4 of 16; 1 stopped; '
            'give the command that makes them again: it goes on from there'
        )
    other = tmp_path / 'other'
    write_run(other, status='running', recording={'evaluate': when.OFF})
    with pytest.raises(ValueError, match=r'without evaluation: .*; ask for it: --config.evaluate.every_epochs=1'):
        of_runs.check(study.load(other, 'train'), 'test_loss')


def test_figures_import_neither_jax_nor_tensorflow() -> None:
    modules = [f'scripts.{p.stem}' for p in (ROOT / 'scripts').glob('fig_*.py')]
    modules += [
        '.'.join(p.relative_to(ROOT).with_suffix('').parts) for p in (ROOT / 'bsresearch' / 'analysis').rglob('*.py')
    ]
    imports = ', '.join([*modules, 'scripts.export_records', 'scripts.report', 'bsresearch.report.report'])
    code = (
        f'import sys, {imports}; print(sorted({{"jax", "jaxlib", "flax", "optax", "tensorflow"}} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert (done.stdout, done.returncode) == ('[]\n', 0), done.stderr


# --- export_records


@pytest.fixture
def grid(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two learning rates; at one a run that diverged."""
    workdir = tmp_path / 'grid'
    write_run(workdir, values=METRICS)
    write_run(workdir, learning_rate=0.2, values={'test_loss': [np.pi]}, status='diverged', diverged_step=6)
    return workdir


@pytest.mark.parametrize('suffix', ['csv', 'parquet'])
def test_export_round_trip(suffix: str, grid: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Numbers come back to the last bit, missing ones as missing."""
    out = tmp_path / 'new' / f'table.{suffix}'
    export.export(grid, out, overwrite=False)
    table = pd.read_csv(out) if suffix == 'csv' else pd.read_parquet(out)
    expected = records.load(grid)
    # Of True and missing; what stands for missing differs between formats.
    assert table.pop('diverged').eq(True).tolist() == expected.pop('diverged').eq(True).tolist()
    pd.testing.assert_frame_equal(table, expected, check_dtype=False, rtol=0, atol=0)


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
