"""Kept records: every byte comes back, damage is told, and nothing is trained in them."""

import pathlib

import numpy as np
import pandas as pd
import pytest
import shen_records
from fake_records import gradient_norms, write_probe, write_run

from bsresearch.store import kept, paths, probe_records, records, verify


def contents(workdir: pathlib.Path) -> dict[str, bytes]:
    return {p.relative_to(workdir).as_posix(): p.read_bytes() for p in sorted(workdir.rglob('*')) if p.is_file()}


@pytest.fixture
def workdir(tmp_path: pathlib.Path) -> pathlib.Path:
    """Sealed runs, one with a value that was not finite, one with a whole number where others have a fraction."""
    shen_records.write(tmp_path / 'runs', seeds=(0, 1))
    odd = {'study': 'shen', 'name': 'odd', 'values': {'test_accuracy': [0.5, None, 1], 'new': [1, 2.5, 3]}}
    run = write_run(tmp_path / 'runs', **odd)
    rng = np.random.default_rng(0)
    sizes = np.array([1, 4, 16])
    write_probe(
        tmp_path / 'runs',
        [run],
        {'name': 'gradient_norm'},
        gradient_norms(rng.uniform(size=(5, 3)), sizes, 0.1, 16, rng),
    )
    for directory in records.run_dirs(tmp_path / 'runs'):
        meta = paths.read_json(directory / 'meta.json')
        facts = verify.of_file(directory / verify.ROWS)
        sealed = facts | {'rows': 1, 'arrays': {}}
        paths.write_json(directory / 'meta.json', meta | {verify.KEY: sealed})
    paths.write_json(tmp_path / 'runs' / 'schema.json', {'schema': paths.SCHEMA_VERSION})
    return tmp_path / 'runs'


def test_every_byte_comes_back(workdir: pathlib.Path, tmp_path: pathlib.Path):
    kept.keep(workdir, 'shen', tmp_path / 'kept')
    assert sorted(p.name for p in (tmp_path / 'kept').iterdir()) == ['files.parquet', 'records.parquet']
    readable = kept.readable(tmp_path / 'kept')
    assert contents(readable) == contents(workdir)
    pd.testing.assert_frame_equal(records.load(readable), records.load(workdir))
    assert len(probe_records.load(readable, 'gradient_norm')) == 1
    assert kept.readable(workdir) == workdir


def gapped(workdir: pathlib.Path) -> None:
    """A run with digits of float32, a gap that is a difference, and one that is a negative zero in another's place."""
    singles = [float(str(np.float32(v))) for v in (0.1, 2 / 3, 1e-30)]
    train, test = [0.75, 0.5, 0.7024166666666667], [0.5, 0.25, 0.6924]
    gaps = {'generalization_gap': [a - b for a, b in zip(train, test, strict=True)]}
    losses = {'train_loss': [0.1, 0.2, 0.3], 'test_loss': [0.1, 0.5, 0.7], 'generalization_gap_loss': [-0.0, 0.3, 0.4]}
    values = {'train_accuracy': train, 'test_accuracy': test, 'batch_loss': singles, **gaps, **losses}
    write_run(workdir, study='shen', name='gapped', values=values)


def test_lean_columns_come_back_to_the_bit(tmp_path: pathlib.Path):
    """A gap is left out where it is the difference; float32 stands for its own digits alone."""
    gapped(tmp_path / 'runs')
    kept.keep(tmp_path / 'runs', 'shen', tmp_path / 'kept')
    table = pd.read_parquet(tmp_path / 'kept' / kept.ROWS)
    assert 'generalization_gap' not in table
    assert 'generalization_gap_loss' in table
    assert [str(table[c].dtype) for c in ('batch_loss', 'train_accuracy')] == ['float32', 'float64']
    assert contents(kept.readable(tmp_path / 'kept')) == contents(tmp_path / 'runs')


def test_a_folder_of_an_older_version_reads_alike(tmp_path: pathlib.Path):
    """Whose numbers are float64, every one of them a column."""
    gapped(tmp_path / 'runs')
    kept.keep(tmp_path / 'runs', 'shen', tmp_path / 'kept')
    table = pd.read_parquet(tmp_path / 'kept' / kept.ROWS)
    narrow = table.select_dtypes('float32')
    assert {'batch_loss', 'test_accuracy'} <= {*narrow}
    older = table.assign(**{column: narrow[column].to_numpy().astype(str).astype(float) for column in narrow})
    older = older.assign(generalization_gap=older['train_accuracy'] - older['test_accuracy'])
    older.to_parquet(tmp_path / 'kept' / kept.ROWS, index=False)
    (tmp_path / 'kept' / kept.STUDY).write_text('{}')
    assert contents(kept.readable(tmp_path / 'kept')) == contents(tmp_path / 'runs')


def test_its_table_reads_without_this_package(workdir: pathlib.Path, tmp_path: pathlib.Path):
    kept.keep(workdir, 'shen', tmp_path / 'kept')
    table = pd.read_parquet(tmp_path / 'kept' / kept.ROWS)
    expected = records.load(workdir).query('run == "small-0"')['test_accuracy'].dropna().tolist()
    assert table.query('run == "small-0"')['test_accuracy'].dropna().tolist() == expected


def test_what_is_damaged_is_neither_kept_nor_read(workdir: pathlib.Path, tmp_path: pathlib.Path):
    kept.keep(workdir, 'shen', tmp_path / 'kept')
    table = pd.read_parquet(tmp_path / 'kept' / kept.ROWS)
    table.loc[table['test_accuracy'].notna().idxmax(), 'test_accuracy'] = 0.123
    table.to_parquet(tmp_path / 'kept' / kept.ROWS, index=False)
    with pytest.raises(paths.Damaged, match='another sha256'):
        kept.readable(tmp_path / 'kept')
    (tmp_path / 'kept' / kept.ROWS).write_bytes(b'PAR1')
    with pytest.raises(paths.Damaged, match=r'records\.parquet'):
        kept.readable(tmp_path / 'kept')
    rows = workdir / 'shen' / 'small-0' / verify.ROWS
    rows.write_bytes(rows.read_bytes().replace(b'0.9', b'0.8', 1))
    with pytest.raises(paths.Damaged):
        kept.keep(workdir, 'shen', tmp_path / 'again')
    assert not (tmp_path / 'again').exists()


def test_a_run_of_another_workdir_is_named_as_seen_from_this_one(workdir: pathlib.Path, tmp_path: pathlib.Path):
    """Whole and sealed anew; a file that was damaged before is not sealed as if it were whole."""
    config = workdir / 'shen' / 'small-0' / 'config.json'
    written = paths.read_json(config) or {}
    begun = {'directory': str(tmp_path / 'other' / 'train' / 'a'), 'step': 3}
    paths.write_json(config, written | {'init_from': begun})
    kept.keep(workdir, 'shen', tmp_path / 'kept')
    there = kept.readable(tmp_path / 'kept') / 'shen'
    assert paths.read_json(there / 'small-0' / 'config.json') == written | {
        'init_from': {'directory': '../other/train/a', 'step': 3}
    }
    assert (there / 'small-1' / 'config.json').read_bytes() == config.parent.with_name('small-1').joinpath(
        'config.json'
    ).read_bytes()
    config.write_bytes(config.read_bytes().replace(b'"step": 3', b'"step": 4'))
    with pytest.raises(paths.Damaged, match='another sha256'):
        kept.keep(workdir, 'shen', tmp_path / 'again')
    assert not (tmp_path / 'again').exists()


def test_refusals(workdir: pathlib.Path, tmp_path: pathlib.Path):
    with pytest.raises(FileNotFoundError, match='brownlee'):
        kept.keep(workdir, 'brownlee', tmp_path / 'kept')
    kept.keep(workdir, 'shen', tmp_path / 'kept')
    with pytest.raises(FileExistsError):
        kept.keep(workdir, 'shen', tmp_path / 'kept')
    with pytest.raises(ValueError, match='kept records'):
        paths.claim_workdir(tmp_path / 'kept')
