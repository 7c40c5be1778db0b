"""Published sets made from files that are here: small ones in the very formats, and the real ones where they lie.

No network and no package of Debian: the hashes that the code expects are replaced by those of the small files.
"""

import hashlib
import io
import itertools
import pathlib
import pickle
import sys
import tarfile
from typing import Any

import numpy as np
import pytest
from PIL import Image
from preparing import Called, called
from test_data_sources import registered, synthetic

from bsresearch.data import prepared, upstream
from bsresearch.data.upstream import cifar, natural_patches, pima, rda, spam, tfds_folder

__all__ = ['called']

# --- photographs

# (columns, rows) of whole patches, and pixels beyond them
SMALL = {'Aqua.jpg': (40, 2, 5), 'Dune.jpg': (52, 1, 0), 'Wood.jpg': (20, 3, 31)}


@pytest.fixture
def photographs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder with three photographs, in a folder of it; PNG within, for pixels that are known."""
    folder = tmp_path / 'package' / 'nature'
    folder.mkdir(parents=True)
    hashes, generator = {}, np.random.default_rng(0)
    for name, (columns, rows, beyond) in SMALL.items():
        pixels = generator.integers(0, 256, (32 * rows + beyond, 32 * columns + beyond, 3), np.uint8)
        pixels[:32, :32] = 7  # a patch without contrast
        Image.fromarray(pixels).save(folder / name, format='PNG')
        hashes[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(natural_patches, 'PHOTOGRAPHS', hashes)
    monkeypatch.setattr(natural_patches, 'FILES', tuple(hashes))
    return tmp_path / 'package'


def test_patches_are_cut_out_where_they_lie_and_parted_by_column(photographs: pathlib.Path):
    """Brute force: one patch after another, its column's number modulo 20 says to which part it goes."""
    patches_set = upstream.make('natural_patches', photographs, None)
    parts: dict[str, list[tuple[bytes, int]]] = {'train': [], 'test': []}
    for label, (name, (columns, rows, _)) in enumerate(SMALL.items()):
        pixels = np.asarray(Image.open(photographs / 'nature' / name))
        for row, column in itertools.product(range(rows), range(columns)):
            part = 'train' if column % 20 < 14 else 'test' if 15 <= column % 20 < 19 else ''
            if part:
                patch = pixels[32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
                parts[part].append((patch.tobytes(), label))
    for split, expected in ((patches_set.splits.train, parts['train']), (patches_set.splits.test, parts['test'])):
        assert [(x.tobytes(), int(y)) for x, y in zip(*split, strict=True)] == expected
    assert (patches_set.splits.num_outputs, patches_set.splits.scale, patches_set.splits.own) == (3, 255.0, False)
    assert patches_set.about['left_out'] == sum(c * r for c, r, _ in SMALL.values()) - sum(map(len, parts.values()))


def test_parts_are_a_patch_apart_in_every_width():
    """Brute force over pairs: columns of different parts have one between them, 32 pixels."""
    sides = natural_patches.part_of(67)
    assert min(abs(i - j) for i, j in itertools.product(range(67), repeat=2) if (sides[i], sides[j]) == (0, 1)) == 2
    assert np.array_equal(natural_patches.part_of(40), sides[:40])


def test_normalized_patches_tell_neither_colour_nor_contrast(photographs: pathlib.Path):
    """Invariance: the same bytes after any gain and offset of a channel; mean 0 and deviation 1 to the rounding."""
    patches = np.random.default_rng(1).integers(0, 64, (5, 32, 32, 3), np.uint8)
    changed = (patches * np.array([1, 2, 3], np.uint8) + np.array([9, 0, 40], np.uint8)).astype(np.uint8)
    normal = natural_patches.normalized(patches)
    assert np.array_equal(natural_patches.normalized(changed), normal)
    z = (normal.astype(float) - 128) / 32
    assert np.abs(z.mean((1, 2))).max() < 0.01
    assert np.abs(z.std((1, 2)) - 1).max() < 0.01
    assert (natural_patches.normalized(np.full((1, 32, 32, 1), 200, np.uint8)) == 128).all()
    for kind, channels in (('normalized', 3), ('grey', 1)):
        x = upstream.make(f'natural_patches/{kind}', photographs, None).splits.train.inputs
        assert (x.dtype, x.shape[1:]) == (np.uint8, (32, 32, channels))
        assert (x[0] == (128 if kind == 'normalized' else 7)).all()


# --- tables of R


def a_table(rows: int, columns: list[str], words: tuple[str, str], missing: float) -> Any:
    """Random numbers, some of them missing, rows twice, and two classes; a data frame."""
    import pandas as pd

    generator = np.random.default_rng(3)
    inputs = generator.normal(5.0, 3.0, (rows, len(columns)))
    inputs[generator.random(inputs.shape) < missing] = np.nan
    inputs[1::4] = inputs[::4][: len(inputs[1::4])]
    frame = pd.DataFrame(inputs, columns=columns)
    return frame, pd.Categorical(generator.choice(words, rows), categories=words)


@pytest.fixture
def tables(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Small tables in files of R, in a folder of it; their inputs and labels by the set's name."""
    rdata = pytest.importorskip('rdata')
    true = {}
    for module, target, words, missing in ((spam, 'type', ('nonspam', 'spam'), 0.0),
                                           (pima, 'diabetes', ('neg', 'pos'), 0.1)):  # fmt: skip
        name = module.__name__.rpartition('.')[2]
        frame, labels = a_table(200, ['a', 'b', 'c'], words, missing)
        file = tmp_path / 'package' / 'data' / module.FILES[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        rdata.write_rda(file, {file.stem: frame.assign(**{target: labels})}, compression='gzip')
        table = rda.Table(frame.to_numpy(), np.asarray(labels), ['a', 'b', 'c'])
        monkeypatch.setattr(module, 'SHA256', rda.digest(table))
        true[name] = table.inputs, np.asarray(labels) == words[1]
    return true


@pytest.mark.parametrize('name', ['spam', 'pima'])
def test_tables_of_r_are_parted_filled_in_and_standardized(name: str, tables: dict[str, Any], tmp_path: pathlib.Path):
    """Brute force: the split by each row's sha256, then means and deviations of the training part, in float64."""
    inputs, positive = tables[name]
    first = np.array([hashlib.sha256(row.tobytes()).digest()[:8] for row in inputs])
    tests = np.array([int.from_bytes(bytes(digest).ljust(8, b'\0'), 'big') / 2**64 < 0.2 for digest in first])
    mean = np.nanmean(inputs[~tests], 0)
    filled = np.where(np.isnan(inputs), mean, inputs)
    expected = (filled - filled[~tests].mean(0)) / filled[~tests].std(0)
    table = upstream.make(name, tmp_path / 'package', None)
    for split, rows in ((table.splits.train, ~tests), (table.splits.test, tests)):
        np.testing.assert_allclose(split.inputs, expected[rows], atol=1e-6)
        assert split.labels.tolist() == positive[rows].astype(int).tolist()
    assert 10 < tests.sum() < 80
    sides: dict[bytes, set[bool]] = {}
    for row, test in zip(inputs, tests, strict=True):
        sides.setdefault(row.tobytes(), set()).add(bool(test))
    assert len(sides) < len(inputs)
    assert all(len(side) == 1 for side in sides.values())
    assert (table.splits.num_outputs, table.splits.own, table.about['columns']) == (2, False, ['a', 'b', 'c'])


# --- CIFAR, as it is published


def python_files(layout: cifar.Layout, binary: dict[str, bytes]) -> dict[str, bytes]:
    """Python's files of the binary ones, pickled as their page describes them: rows of 3,072 and lists of labels."""
    files = {}
    for file in layout.batches:
        rows = np.frombuffer(binary[f'{file}.bin'], np.uint8).reshape(-1, len(layout.labels) + 3072)
        batch: dict[bytes, Any] = {key: rows[:, i].tolist() for i, key in enumerate(layout.labels)}
        files[file] = pickle.dumps(batch | {b'data': rows[:, len(layout.labels) :].copy()}, protocol=2)
    files[layout.meta] = pickle.dumps({key: binary[file].split(b'\n')[:-2] for file, key in layout.names.items()}, 2)
    return files


@pytest.fixture(params=['cifar10', 'cifar100'])
def published(request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(name, binary archive, its files by last name, Python's files) of 10 and 4 images, their hashes expected."""
    name = request.param
    archives, _ = synthetic(name)
    registered(name, archives, monkeypatch)
    ((archive, raw),) = archives.items()
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        members = ((member.name.rpartition('/')[2], tar.extractfile(member)) for member in tar)
        binary = {file: content.read() for file, content in members if content}
    layout = cifar.LAYOUTS[name]
    python = python_files(layout, binary)
    counts = {file: len(binary[f'{file}.bin']) // (len(layout.labels) + 3072) for file in layout.batches}
    small = layout._replace(md5={file: hashlib.md5(raw).hexdigest() for file, raw in python.items()}, batches=counts)
    monkeypatch.setitem(cifar.LAYOUTS, name, small)
    return name, {archive: raw}, binary, python


def lay(folder: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
    folder.mkdir(parents=True)
    for file, raw in files.items():
        (folder / file).write_bytes(raw)
    return folder


def packed(folder: str, files: dict[str, bytes]) -> bytes:
    """A tar archive, zipped, of files in a folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w:gz') as tar:
        for file, raw in files.items():
            entry = tarfile.TarInfo(f'{folder}/{file}')
            entry.size = len(raw)
            tar.addfile(entry, io.BytesIO(raw))
    return buffer.getvalue()


def test_every_layout_of_cifar_is_the_same_set(published: Any, called: Called, tmp_path: pathlib.Path):
    """Invariance: binary archive (through TFDS's own checksums), Python's, either unpacked, and TFDS's folder."""
    name, archive, binary, python = published
    layout = cifar.LAYOUTS[name]
    places = {
        'binary': lay(tmp_path / 'binary', archive),
        'python': lay(tmp_path / 'python', {layout.archive: packed(layout.folder, python)}),
        'unpacked': lay(tmp_path / 'unpacked' / layout.folder, python).parent,
        'within': lay(tmp_path / 'within', python),
        'binary_unpacked': lay(tmp_path / 'binary_unpacked' / layout.binary, binary).parent,
        'tfds': tmp_path / 'of_binary' / f'.tfds-{name}',
    }
    sets = {}
    for kind, place in places.items():
        data_dir = tmp_path / f'of_{kind}'
        code, said, error = called(f'--name={name}', f'--manual_dir={place}', f'--data_dir={data_dir}',
                                   *(['--keep_tfds'] if kind == 'binary' else []))  # fmt: skip
        assert code is None, (kind, error)
        assert ('which TFDS prepared' in said) == (kind == 'tfds')
        sets[kind] = prepared.read(name, data_dir)
    assert len({each.checksum for each in sets.values()}) == 1
    assert len(sets['python'].train.labels) == 10


def as_tfrecord(folder: pathlib.Path) -> None:
    """TFDS's folder as TensorFlow's users have it: the same records framed anew, the CRCs left at 0."""
    import tensorflow_datasets as tfds

    builder: Any = tfds.builder_from_directory(folder)
    raw = tfds.decode.DeserializeMethod.RAW_BYTES
    for split, info in builder.info.splits.items():
        (file,) = map(pathlib.Path, info.filepaths)
        framed = b''
        for record in builder.as_data_source(split=split, deserialize_method=raw):
            framed += len(record).to_bytes(8, 'little') + bytes(4) + record + bytes(4)
        file.unlink()
        file.with_name(file.name.replace('array_record', 'tfrecord')).write_bytes(framed)
    about = folder / 'dataset_info.json'
    about.write_text(about.read_text().replace('array_record', 'tfrecord'))


def test_tfrecords_of_tfds_are_read_without_tensorflow(published: Any, called: Called, tmp_path: pathlib.Path):
    """Invariance: the same set as of the files that TFDS wrote it from; a file cut off at any place is one line."""
    name, archive, _, _ = published
    place = lay(tmp_path / 'files', archive)
    assert called(f'--name={name}', f'--manual_dir={place}', f'--data_dir={tmp_path / "a"}', '--keep_tfds')[0] is None
    folder = tfds_folder.find(name, tmp_path / 'a')
    assert folder is not None
    as_tfrecord(folder)
    assert called(f'--name={name}', f'--manual_dir={folder}', f'--data_dir={tmp_path / "b"}')[0] is None
    assert prepared.read(name, tmp_path / 'b').checksum == prepared.read(name, tmp_path / 'a').checksum
    (file,) = folder.glob('*-test.tfrecord*')
    raw = file.read_bytes()
    whole = 8 + 4 + int.from_bytes(raw[:8], 'little') + 4
    for length in (5, len(raw) - 1, len(raw) // 2, whole, 0):
        file.write_bytes(raw[:length])
        code, _, error = called(f'--name={name}', f'--manual_dir={folder}', f'--data_dir={tmp_path / "c"}')
        assert (code, error.count('\n'), file.name in error) == (2, 1, True)
    file.write_bytes(raw.replace(b'IDAT', b'IDAX'))
    code, _, error = called(f'--name={name}', f'--manual_dir={folder}', f'--data_dir={tmp_path / "c"}')
    assert (code, error.count('\n'), str(folder) in error) == (2, 1, True)
    assert prepared.available(tmp_path / 'c') == []


# --- files that are not what was published


def refused(called: Called, name: str, folder: pathlib.Path, data_dir: pathlib.Path) -> str:
    """The one line of a set that cannot be prepared; nothing is prepared."""
    code, _, error = called(f'--name={name}', f'--manual_dir={folder}', f'--data_dir={data_dir}')
    assert (code, error.count('\n')) == (2, 1), error
    assert prepared.available(data_dir) == []
    return error


def test_damaged_layouts_of_cifar_are_one_line(published: Any, called: Called, tmp_path: pathlib.Path):
    name, archive, binary, python = published
    layout = cifar.LAYOUTS[name]
    first = next(iter(layout.batches))
    whole = packed(layout.folder, python)
    for i, cut in enumerate((whole[: len(whole) // 2], whole[:30], whole[:3], b'')):
        folder = lay(tmp_path / f'archive_{i}', {layout.archive: cut})
        assert layout.archive in refused(called, name, folder, tmp_path / 'data')
    for i, change in enumerate((python[first][:-1], python[first].replace(b'labels', b'lebals'), b'')):
        folder = lay(tmp_path / f'pickle_{i}', python | {first: change})
        assert hashlib.md5(change).hexdigest() in refused(called, name, folder, tmp_path / 'data')
    less = {file: raw for file, raw in python.items() if file != first}
    folder = lay(tmp_path / 'archive_less', {layout.archive: packed(layout.folder, less)})
    assert first in refused(called, name, folder, tmp_path / 'data')
    ((archive_name, raw),) = archive.items()
    folder = lay(tmp_path / 'binary_archive', {archive_name: raw[:-1]})
    assert archive_name in refused(called, name, folder, tmp_path / 'data')
    folder = lay(tmp_path / 'label', binary | {f'{first}.bin': b'\xff\xff' + binary[f'{first}.bin'][2:]})
    assert '255' in refused(called, name, folder, tmp_path / 'data')
    for i, change in enumerate((binary[f'{first}.bin'][:-1], binary[f'{first}.bin'] * 2, b'')):
        folder = lay(tmp_path / f'binary_{i}', binary | {f'{first}.bin': change})
        assert f'{first}.bin' in refused(called, name, folder, tmp_path / 'data')


def test_other_files_of_packages_are_one_line(
    called: Called, photographs: pathlib.Path, tables: dict[str, Any], tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    data_dir, package = tmp_path / 'prepared', photographs
    assert 'natural_patches/grey' in refused(called, 'natural_patches/gray', package, data_dir)
    assert 'spam' in refused(called, 'spam/grey', package, data_dir)
    photograph, table = package / 'nature' / 'Dune.jpg', package / 'data' / 'spam.rda'
    photograph.write_bytes(photograph.read_bytes()[:-1])
    assert str(photograph) in refused(called, 'natural_patches', package, data_dir)
    photograph.unlink()
    assert 'apt-get install mate-backgrounds' in refused(called, 'natural_patches', package, data_dir)
    raw = table.read_bytes()
    for damaged in (raw[:-20], raw[: len(raw) // 2], raw[:5], b'', bytes(50)):
        table.write_bytes(damaged)
        assert str(table) in refused(called, 'spam', package, data_dir)
    table.write_bytes(raw)
    monkeypatch.setattr(spam, 'SHA256', '0' * 64)
    assert '0' * 64 in refused(called, 'spam', package, data_dir)
    monkeypatch.setitem(sys.modules, 'rdata', None)
    assert 'requirements-rdata.txt' in refused(called, 'spam', package, data_dir)
    assert 'apt-get install r-cran-mlbench' in refused(called, 'pima', package / 'nature', data_dir)
    code, _, error = called('--name=spam', '--npz=mine.npz', f'--data_dir={data_dir}')
    assert (code, error.count('\n'), '--name=spam' in error) == (2, 1, True)


# --- the real ones


PHOTOGRAPHS, R = '/usr/share/backgrounds/mate', '/usr/lib/R/site-library'
REAL = {  # of what Debian 12 ships: where, examples to train and to test, and the checksum of whole numbers
    'natural_patches': (PHOTOGRAPHS, (25730, 7136), '300d0b43da2103367f8cd5682f4ef9e2d44cba9cea1c6f41583b87463ff6df25'),
    'natural_patches/grey': (
        PHOTOGRAPHS, (25730, 7136), 'e8fa5f6c9b51506dbbc931d57b693beaa8d5140e8156aa6ae2ec054995c7b419'
    ),
    'natural_patches/normalized': (
        PHOTOGRAPHS, (25730, 7136), 'aa13d8fe65467bed03e9babbc1f4a0e4a161c4bbe75d183917468eb1d32df0c1'
    ),
    'spam': (f'{R}/kernlab', (3736, 865), None),
    'pima': (f'{R}/mlbench', (615, 153), None),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize('name', REAL)
def test_the_real_files_give_the_same_set_everywhere(name: str):
    """Golden numbers. When to change me: only with another split on purpose; old runs are not comparable then."""
    folder, sizes, digest = REAL[name]
    if not pathlib.Path(folder).is_dir():
        pytest.skip(f'{folder} is absent: its package of Debian is not installed')
    splits = upstream.make(name, None, None).splits
    assert (len(splits.train.labels), len(splits.test.labels)) == sizes
    assert digest in (splits.checksum, None)
