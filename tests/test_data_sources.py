"""Data sets by name: embedded ones, prepared arrays on disk, and the TensorFlow-free builders that prepare them.

No network: archives are synthetic, in the real binary formats.
"""

import gzip
import hashlib
import importlib.util
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import time
import types
from typing import Any

import numpy as np
import pytest
from preparing import DEAD_PROXY, Called, called

from bsresearch.data import blobs, digits, prepared, sources
from bsresearch.data.splits import Split, Splits, checksum

DEBIAN = pathlib.Path('/usr/share/datasets/fashion-mnist')


@pytest.fixture
def toy() -> Splits:
    """Seven and three images of 4x5x2 with five classes."""
    generator = np.random.default_rng(0)
    train, test = (
        Split(generator.integers(0, 256, (n, 4, 5, 2), np.uint8), generator.integers(0, 5, n, np.int32)) for n in (7, 3)
    )
    return Splits(train, test, num_outputs=5, scale=255.0, checksum=checksum(train, test))


@pytest.fixture
def toy_dir(toy: Splits, tmp_path: pathlib.Path) -> pathlib.Path:
    prepared.write('toy', toy, data_dir=tmp_path, source={'version': '1.0.0', 'config': None})
    return tmp_path


def same(a: Splits, b: Splits) -> bool:
    arrays = zip((*a.train, *a.test), (*b.train, *b.test), strict=True)
    return a[2:] == b[2:] and all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in arrays)


__all__ = ['called']


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs scripts.prepare_data as a user does; a dead proxy stands in for a machine without network."""
    return subprocess.run(
        [sys.executable, '-m', 'scripts.prepare_data', *arguments],
        capture_output=True, text=True, cwd=pathlib.Path(__file__).parents[1], timeout=120,
        env=os.environ | DEAD_PROXY | environment,
    )  # fmt: skip


# --- embedded sets


def test_digits_are_scikit_learns_each_image_once():
    """Independent library: the two splits together are load_digits, as a multiset of (image, label)."""
    from sklearn.datasets import load_digits

    d = digits.load()
    assert (d.train.inputs.shape, d.test.inputs.shape) == ((1437, 8, 8, 1), (360, 8, 8, 1))
    assert (d.train.inputs.dtype, d.train.labels.dtype, d.num_outputs, d.scale) == (np.uint8, np.int32, 10, 16.0)
    rows = np.concatenate([np.c_[s.inputs.reshape(-1, 64), s.labels] for s in (d.train, d.test)])
    raw: Any = load_digits()
    theirs = np.c_[raw.data, raw.target].astype(int)
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, theirs.tolist()))
    assert rows[:, :64].max() == 16
    assert set(d.test.labels.tolist()) == set(range(10))


def test_digits_golden():
    """Golden number. When to change me: only if the split is changed on purpose; old runs are not comparable then."""
    assert digits.load().checksum == '59d2333f81806a14512d328169a447f6b03591dde93349f535c9489643a41a49'


def test_checksum_sees_every_array_and_its_type(toy: Splits):
    """Brute force: changing any one value, the shape or the dtype of any array changes the checksum."""
    seen = {toy.checksum}
    for i in range(4):
        for change in (lambda a: a ^ (np.arange(a.size).reshape(a.shape) == a.size - 1), lambda a: a[..., None],
                       lambda a: a.astype(np.int64)):  # fmt: skip
            arrays = [*toy.train, *toy.test]
            arrays[i] = change(arrays[i])
            seen.add(checksum(Split(*arrays[:2]), Split(*arrays[2:])))
    assert len(seen) == 13


@pytest.mark.parametrize(
    'given', [{}, {'num_examples': 11, 'centers': 4, 'features': 3, 'cluster_std': 0.5, 'random_state': 7}]
)
def test_blobs_are_scikit_learns_first_half_for_training(given: dict[str, Any]):
    """Independent library, called directly with Brownlee's numbers or others."""
    from sklearn.datasets import make_blobs

    v: dict[str, Any] = {'num_examples': 1000, 'centers': 3, 'features': 2, 'cluster_std': 2.0, 'random_state': 2}
    v |= given
    made: Any = make_blobs(v['num_examples'], v['features'], centers=v['centers'], cluster_std=v['cluster_std'],
                           random_state=v['random_state'])  # fmt: skip
    x, y = made
    b = blobs.load(**given)
    half = v['num_examples'] // 2
    assert len(b.train.labels) == half
    np.testing.assert_array_equal(np.concatenate([b.train.inputs, b.test.inputs]), x.astype(np.float32))
    np.testing.assert_array_equal(np.concatenate([b.train.labels, b.test.labels]), y)
    assert (b.train.inputs.dtype, b.train.labels.dtype, b.num_outputs, b.scale) == (
        np.float32, np.int32, v['centers'], 1.0)  # fmt: skip


@pytest.mark.parametrize(
    ('field', 'value'),
    [('num_examples', 1), ('centers', 1), ('centers', True), ('features', 0), ('cluster_std', 0.0),
     ('cluster_std', float('nan')), ('random_state', -1), ('random_state', 2**32)],
)  # fmt: skip
def test_blobs_refuses_with_value_range_and_cure(field: str, value: Any):
    with pytest.raises(ValueError, match=rf'{field}={value!r}; allowed: .*; the default is'):
        blobs.load(**{field: value})


def test_blobs_refuses_more_classes_than_examples():
    with pytest.raises(ValueError, match='num_examples=3 with centers=4'):
        blobs.load(num_examples=3, centers=4)


# --- prepared arrays


def test_prepared_round_trip_is_exact_and_read_only(toy: Splits, toy_dir: pathlib.Path):
    """Invariance: what is read is what was written, memory-mapped, and its hashes are sha256sum's."""
    back = prepared.read('toy', toy_dir)
    assert same(back, toy)
    assert isinstance(back.train.inputs, np.memmap)
    with pytest.raises(ValueError, match='read-only'):
        back.train.inputs[0] = 0
    manifest = json.loads((toy_dir / 'toy' / 'manifest.json').read_text())
    for file, entry in manifest['files'].items():
        assert entry['sha256'] == hashlib.sha256((toy_dir / 'toy' / file).read_bytes()).hexdigest()
    assert sorted(p.name for p in toy_dir.iterdir()) == ['toy']  # No temporary folder is left.


def test_prepared_data_are_never_overwritten(toy: Splits, toy_dir: pathlib.Path):
    blank = Split(toy.train.inputs * 0, toy.train.labels)
    other = toy._replace(train=blank, checksum=checksum(blank, toy.test))
    with pytest.raises(FileExistsError, match='never overwritten; remove it first'):
        prepared.write('toy', other, data_dir=toy_dir, source={})
    assert same(prepared.read('toy', toy_dir), toy)


def test_a_faster_process_wins(toy: Splits, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """A folder that appears while the arrays are being written stays as it is, and nothing else is left behind."""
    monkeypatch.setattr(
        prepared, '_sync', lambda path: (tmp_path / 'toy' / 'theirs').mkdir(parents=True, exist_ok=True)
    )
    with pytest.raises(OSError, match='not empty'):
        prepared.write('toy', toy, data_dir=tmp_path, source={})
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*')] == ['toy', 'toy/theirs']


@pytest.mark.parametrize('file', [*(f'{a}.npy' for a in prepared.ARRAYS), 'manifest.json'])
@pytest.mark.parametrize('damage', ['byte', 'truncated', 'missing'])
def test_damage_is_an_error_that_names_file_hashes_and_cure(file: str, damage: str, toy_dir: pathlib.Path):
    """Brute force over every file: one flipped bit, one byte short, gone."""
    path = toy_dir / 'toy' / file
    raw = path.read_bytes()
    if damage == 'byte':
        where = raw.index(b'255.0') if file == 'manifest.json' else len(raw) - 1  # '255.0' becomes '355.0'
        path.write_bytes(raw[:where] + bytes([raw[where] ^ 1]) + raw[where + 1 :])
    elif damage == 'truncated':
        path.write_bytes(raw[:-3])
    else:
        path.unlink()
    with pytest.raises(ValueError, match='is damaged: expected sha256') as caught:
        prepared.read('toy', toy_dir)
    message = str(caught.value)
    assert str(path) in message
    assert f'remove the folder {path.parent} and prepare again' in message
    if file != 'manifest.json':
        assert hashlib.sha256(raw).hexdigest() in message
        assert ('no such file' if damage == 'missing' else hashlib.sha256(path.read_bytes()).hexdigest()) in message


def test_a_renamed_folder_is_not_another_data_set(toy_dir: pathlib.Path):
    (toy_dir / 'toy').rename(toy_dir / 'mnist')
    with pytest.raises(ValueError, match="holds the data set 'toy', not 'mnist'"):
        prepared.read('mnist', toy_dir)


def test_no_name_points_outside_the_folder(tmp_path: pathlib.Path):
    for name in ('../x', '/etc', '.x', 'a/../b', 'a/b/c', '', 'a-b'):
        with pytest.raises(ValueError, match='bad data set name'):
            prepared.folder(name, tmp_path)
    assert prepared.folder('emnist/letters', tmp_path) == tmp_path / 'emnist-letters'


def test_configurations_are_listed_by_their_name(toy: Splits, toy_dir: pathlib.Path):
    prepared.write('emnist/v2-a', toy, data_dir=toy_dir, source={})
    assert prepared.available(toy_dir) == ['emnist/v2-a', 'toy']
    assert same(prepared.read('emnist/v2-a', toy_dir), toy)


def test_default_dir_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    monkeypatch.setenv('BSRESEARCH_DATA', str(tmp_path))
    assert prepared.default_dir() == tmp_path
    monkeypatch.delenv('BSRESEARCH_DATA')
    assert prepared.default_dir() == pathlib.Path.home() / '.cache/bsresearch/data'


# --- the one entry


def test_resolve_finds_both_kinds_and_keeps_them(toy: Splits, toy_dir: pathlib.Path):
    assert sources.embedded() == ('blobs', 'digits', 'linear_regression', 'noisy_quadratic')
    assert sources.resolve('digits', None, {}).checksum == digits.load().checksum
    assert len(sources.resolve('blobs', toy_dir, {'num_examples': 60}).train.labels) == 30
    assert same(sources.resolve('toy', toy_dir, {}), toy)
    for name, given in (('digits', {}), ('blobs', {'cluster_std': 1.5}), ('toy', {})):
        assert sources.resolve(name, toy_dir, given) is sources.resolve(name, str(toy_dir), given)


def test_resolve_refuses_keywords_by_name():
    with pytest.raises(ValueError, match="has no field 'centres'; did you mean 'centers'"):
        sources.resolve('blobs', None, {'centres': 4})
    with pytest.raises(ValueError, match="'digits' has no field 'fraction'; it has no fields"):
        sources.resolve('digits', None, {'fraction': 0.5})
    with pytest.raises(ValueError, match="'fashion_mnist' has no field 'std'"):
        sources.resolve('fashion_mnist', None, {'std': 1.0})


def test_resolve_does_not_confuse_equal_values_of_other_types():
    """3.0 == 3 as a cache key, but is refused as a number of classes whatever was asked before."""
    sources.resolve('blobs', None, {'centers': 3})
    with pytest.raises(ValueError, match=r'3\.0'):
        sources.resolve('blobs', None, {'centers': 3.0})


def test_unknown_name_lists_both_kinds(toy_dir: pathlib.Path):
    with pytest.raises(ValueError, match="unknown data set 'fashon_mnist'") as caught:
        sources.resolve('fashon_mnist', toy_dir, {})
    for part in (
        'Embedded: blobs, digits, linear_regression, noisy_quadratic',
        f'Prepared in {toy_dir}: toy',
        ': fashion_mnist',
        '--name=NAME',
    ):
        assert part in str(caught.value)
    with pytest.raises(ValueError, match="did you mean 'digits'"):
        sources.resolve('digit', toy_dir, {})


def test_known_but_not_prepared_names_the_command(toy_dir: pathlib.Path):
    with pytest.raises(FileNotFoundError) as caught:
        sources.resolve('cifar10', toy_dir, {})
    for part in ("'cifar10'", str(toy_dir), f'bsresearch prepare --name=cifar10 --data_dir={toy_dir}`',
                 'there: toy', 'blobs, digits'):  # fmt: skip
        assert part in str(caught.value)


def test_without_tfds_sets_load_and_errors_stay_plain(toy_dir: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)  # Importing it raises ImportError.
    assert len(sources.resolve('toy', toy_dir, {}).train.labels) == 7
    with pytest.raises(FileNotFoundError, match=r'--name=nonsense.*tensorflow_datasets is not installed here'):
        sources.resolve('nonsense', toy_dir, {})


def test_reading_prepared_arrays_imports_neither_tfds_nor_scikit_learn(toy_dir: pathlib.Path):
    code = (f"import sys; from bsresearch.data import sources; sources.resolve('toy', {str(toy_dir)!r}, {{}}); "
            "sys.exit(bool({'tensorflow_datasets', 'sklearn', 'jax'} & set(sys.modules)))")  # fmt: skip
    assert subprocess.run([sys.executable, '-c', code], cwd=pathlib.Path(__file__).parents[1]).returncode == 0


# --- builders without TensorFlow


def idx(array: np.ndarray) -> bytes:
    """An idx file written from the format's description: 0, 0, type 8, rank, sizes as big-endian 32-bit integers."""
    return bytes([0, 0, 8, array.ndim]) + b''.join(n.to_bytes(4, 'big') for n in array.shape) + array.tobytes()


def cifar_raw(labels: np.ndarray, images: np.ndarray) -> bytes:
    """CIFAR records written one byte list at a time: labels, then all reds, all greens, all blues, row by row."""
    raw = bytearray()
    for label, image in zip(labels, images, strict=True):
        raw += bytes(label.tolist())
        for channel in range(3):
            raw += bytes(int(image[row, column, channel]) for row in range(32) for column in range(32))
    return bytes(raw)


def test_parse_idx_refuses_damage():
    from bsresearch.data.upstream import tfds_builders

    raw = idx(np.arange(6, dtype=np.uint8).reshape(2, 3))
    assert tfds_builders.parse_idx(raw).tolist() == [[0, 1, 2], [3, 4, 5]]
    for bad in (raw[:-1], raw + b'\0', raw[:9], raw[:2], b'', b'\0\0\x0d' + raw[3:]):
        with pytest.raises(ValueError, match='idx file'):
            tfds_builders.parse_idx(bad)


def test_parse_cifar_refuses_a_fraction_of_a_record():
    from bsresearch.data.upstream import tfds_builders

    for bad in (b'', bytes(3072), bytes(2 * 3073 - 1)):
        with pytest.raises(ValueError, match='allowed: a multiple of 3073'):
            tfds_builders.parse_cifar(bad, 1)


def synthetic(name: str) -> tuple[dict[str, bytes], dict[str, set[tuple[bytes, int]]]]:
    """Upstream's files of a data set with few examples, and the (image, label) pairs in them per split."""
    generator = np.random.default_rng(2)
    sizes = {'train': 10, 'test': 4}
    files, truth, members = {}, {}, {}
    if 'cifar' not in name:
        for split, stem in (('train', 'train'), ('test', 't10k')):
            x = generator.integers(0, 256, (sizes[split], 28, 28), np.uint8)
            y = generator.integers(0, 10, sizes[split], np.uint8)
            for kind, array in (('images-idx3', x), ('labels-idx1', y)):
                buffer, file = io.BytesIO(), f'{stem}-{kind}-ubyte'
                mtime = 1504176606 if split == 'train' else 1504176627  # As in upstream's Fashion-MNIST.
                with gzip.GzipFile(file, 'wb', fileobj=buffer, mtime=mtime) as zipped:
                    zipped.write(idx(array))
                files[f'{file}.gz'] = buffer.getvalue()
            truth[split] = {(a.tobytes(), int(b)) for a, b in zip(x, y, strict=True)}
        return files, truth
    fine = name == 'cifar100'
    prefix = 'cifar-100-binary/' if fine else 'cifar-10-batches-bin/'
    names = {'train': ['train.bin'] if fine else [f'data_batch_{i}.bin' for i in range(1, 6)],
             'test': ['test.bin'] if fine else ['test_batch.bin']}  # fmt: skip
    for split, batches in names.items():
        x = generator.integers(0, 256, (sizes[split], 32, 32, 3), np.uint8)
        y = generator.integers(0, 10, (sizes[split], 1 + fine), np.uint8)
        for part, batch in zip(np.array_split(np.arange(sizes[split]), len(batches)), batches, strict=True):
            members[prefix + batch] = cifar_raw(y[part], x[part])
        truth[split] = {(a.tobytes(), int(b[-1])) for a, b in zip(x, y, strict=True)}  # The fine label comes last.
    words = {'batches.meta.txt': 10, 'coarse_label_names.txt': 20, 'fine_label_names.txt': 100}
    for file, count in words.items():
        members[prefix + file] = '\n'.join(f'{file[0]}{i}' for i in range(count)).encode() + b'\n\n'
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w:gz') as archive:
        for member, raw in members.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
    return {f'cifar-{100 if fine else 10}-binary.tar.gz': buffer.getvalue()}, truth


def registered(name: str, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers the synthetic files' size and sha256 with TFDS in place of upstream's."""
    import tensorflow_datasets as tfds

    stock: Any = tfds.builder_cls(name)
    made = {}
    for url, info in stock.url_infos.items():
        raw = files[info.filename]
        made[url] = type(info)(type(info.size)(len(raw)), hashlib.sha256(raw).hexdigest(), info.filename)
    monkeypatch.setattr(stock, 'url_infos', made)


@pytest.mark.parametrize('name', ['mnist', 'fashion_mnist', 'kmnist', 'cifar10', 'cifar100'])
def test_upstream_files_to_arrays_through_tfds(name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Closed form: exactly the pairs in the files; runs where TensorFlow, which is no dependency, is absent."""
    import tensorflow_datasets as tfds

    from bsresearch.data import preparing

    files, truth = synthetic(name)
    registered(name, files, monkeypatch)
    (tmp_path / 'files').mkdir()
    for file, raw in files.items():
        if name == 'fashion_mnist':  # As Debian ships it: no name in the gzip header, another time.
            assert raw[10:].startswith(file.removesuffix('.gz').encode() + b'\0')
            raw = raw[:3] + b'\0' + b'\x99\x99\x99\x5e' + raw[8:10] + raw[10 + len(file) - 2 :]
        (tmp_path / 'files' / file).write_bytes(raw)
    manual, debian = (None, tmp_path / 'files') if name == 'fashion_mnist' else (tmp_path / 'files', None)
    preparing.prepare(name, tmp_path / 'data', manual, debian, True)
    back = prepared.read(name, tmp_path / 'data')
    for split in ('train', 'test'):
        x, y = getattr(back, split)
        assert len(y) == len(truth[split])
        assert {(a.tobytes(), int(b)) for a, b in zip(x, y, strict=True)} == truth[split]
    assert (back.num_outputs, back.scale) == (100 if name == 'cifar100' else 10, 255.0)
    stock: Any = tfds.builder(name, data_dir=tmp_path / 'data' / f'.tfds-{name}')  # It reads what was written.
    assert {s: i.num_examples for s, i in stock.info.splits.items()} == {'train': 10, 'test': 4}
    if name == 'cifar100':
        assert stock.info.features['coarse_label'].names == [f'c{i}' for i in range(20)]


@pytest.mark.parametrize('name', ['mnist', 'cifar10', 'cifar100'])
def test_thin_builders_yield_what_the_stock_ones_yield(name: str, tmp_path: pathlib.Path, monkeypatch):
    """Independent library: TFDS's own parsers, with `open` for the one piece of TensorFlow they use.

    Keys and ids too: TFDS shuffles by key, so with equal keys the order, and the checksum, are the stock builder's.
    """
    import tensorflow_datasets as tfds

    from bsresearch.data.upstream import tfds_builders

    ours: Any = tfds_builders.builder(name, tmp_path)
    stock: Any = tfds.builder(name, data_dir=tmp_path)
    opener = types.SimpleNamespace(io=types.SimpleNamespace(gfile=types.SimpleNamespace(GFile=open)))
    monkeypatch.setattr(sys.modules[type(stock).__module__], 'tf', opener)
    zipped = []
    for file, raw in synthetic(name)[0].items():
        zipped.append(tmp_path / file)
        zipped[-1].write_bytes(raw)
    if name == 'mnist':
        plain = [path.with_suffix('') for path in zipped[:2]]
        for source, target in zip(zipped, plain, strict=False):
            target.write_bytes(gzip.decompress(source.read_bytes()))
        mine, theirs = ours._generate_examples(*zipped[:2]), stock._generate_examples(10, *plain)
    else:
        with tarfile.open(zipped[0]) as archive:
            archive.extractall(tmp_path, filter='data')
        paths = [tmp_path / stock._cifar_info.prefix / f for f in stock._cifar_info.train_files]
        mine = ours._generate_examples('train_', [path.read_bytes() for path in paths])
        theirs = stock._generate_examples('train_', paths)
    count = 0
    for (key, example), (stock_key, record) in zip(mine, theirs, strict=True):
        assert (key, example.keys()) == (stock_key, record.keys())
        np.testing.assert_array_equal(np.asarray(example.pop('image')), record.pop('image').squeeze())
        assert example == record
        count += 1
    assert count == 10


def test_tfds_refuses_files_with_another_checksum(tmp_path: pathlib.Path):
    """The registered sha256 are in force: well-formed files that are not upstream's are refused."""
    from bsresearch.data import preparing

    for file, raw in synthetic('mnist')[0].items():
        (tmp_path / file).write_bytes(raw)
    with pytest.raises(preparing.PrepareError, match='wrong checksum'):
        preparing.prepare('mnist', tmp_path / 'data', tmp_path, None, False)
    assert prepared.available(tmp_path / 'data') == []


@pytest.mark.skipif(importlib.util.find_spec('tensorflow') is not None, reason='TensorFlow is installed here')
def test_a_stock_builder_that_needs_tensorflow_says_so(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """The real failure of TFDS's own MNIST builder, which unzips with TensorFlow."""
    from bsresearch.data import preparing
    from bsresearch.data.upstream import tfds_builders

    files, _ = synthetic('mnist')
    registered('mnist', files, monkeypatch)
    monkeypatch.delitem(tfds_builders.THIN, 'mnist')
    for file, raw in files.items():
        (tmp_path / file).write_bytes(raw)
    with pytest.raises(preparing.PrepareError, match=r'pip install tensorflow-cpu==2\.21\.0 \(only to prepare'):
        preparing.prepare('mnist', tmp_path / 'data', tmp_path, None, False)


@pytest.mark.parametrize(
    ('name', 'message'),
    [('imdb_reviews', 'an image and a class label'), ('imagenet2012', 'one fixed size'), ('emnist/letter', 'letters')],
)
def test_sets_that_do_not_fit_are_refused_before_any_download(name: str, message: str, tmp_path: pathlib.Path):
    from bsresearch.data.upstream import tfds_builders

    with pytest.raises(ValueError, match=message):
        tfds_builders.builder(name, tmp_path)


def test_a_set_without_a_test_split_names_its_splits():
    from bsresearch.data.upstream import tfds_builders

    fake = types.SimpleNamespace(name='fake', info=types.SimpleNamespace(splits={'train': 0, 'validation': 0}))
    with pytest.raises(ValueError, match="'fake' has no split test; its splits: train, validation"):
        tfds_builders.decode(fake)


# --- the command


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [(['--nam=x'], 'did you mean'), ([], 'which set?'), (['mnist', '--name=x'], '--name=mnist'),
     (['--name=fashon_mnist'], 'unknown data set'), (['--name=mnist', '--manual_dir=/nowhere'], 'no such folder')],
)  # fmt: skip
def test_command_misuse_is_one_line_and_exit_code_2(
    called: Called, arguments: list[str], message: str, tmp_path: pathlib.Path
):
    code, _, error = called(*arguments, BSRESEARCH_DATA=str(tmp_path))
    assert (code, error.count('\n')) == (2, 1)
    assert message in error


def test_command_without_network_or_package_says_what_to_do_at_once(tmp_path: pathlib.Path):
    """In a process of its own, as a user calls it."""
    start = time.monotonic()
    done = command('--name=fashion_mnist', '--debian_dir=/nowhere', BSRESEARCH_DATA=str(tmp_path))
    assert done.returncode == 2
    assert time.monotonic() - start < 30  # TFDS alone tries for 200 s.
    for part in ('apt-get install dataset-fashion-mnist', '--manual_dir=', 't10k-images-idx3-ubyte.gz',
                 f'copy the prepared folder {tmp_path / "fashion_mnist"} from another machine'):  # fmt: skip
        assert part in done.stderr
    assert 'Traceback' not in done.stderr


def test_command_on_what_needs_nothing(called: Called, toy_dir: pathlib.Path):
    """Embedded sets, sets already prepared (left alone), and damaged ones (the cure, exit code 2)."""
    before = {p: p.stat().st_mtime_ns for p in toy_dir.rglob('*')}
    assert 'needs no preparation' in called('--name=digits')[1]
    code, said, _ = called('--name=toy', f'--data_dir={toy_dir}')
    assert (code, 'already prepared' in said, 'valid: ' in said) == (None, True, True)
    assert {p: p.stat().st_mtime_ns for p in toy_dir.rglob('*')} == before
    (toy_dir / 'toy' / 'test_labels.npy').unlink()
    code, _, error = called('--name=toy', f'--data_dir={toy_dir}')
    assert (code, 'remove the folder' in error) == (2, True)


@pytest.mark.slow
def test_fashion_mnist_from_debian_is_the_idx_files_byte_for_byte(tmp_path: pathlib.Path):
    """Brute force: gzip and NumPy on the package's files, against the arrays that came through TFDS.

    TFDS shuffles, so rows (784 pixels and the label) are compared in sorted order. The golden checksum pins TFDS's
    order too. When to change it: only if another version of the set is prepared on purpose; old runs differ then.
    """
    if not DEBIAN.is_dir():
        pytest.skip(f'the package dataset-fashion-mnist is not installed ({DEBIAN} is absent)')
    done = command('--name=fashion_mnist', f'--data_dir={tmp_path}')
    assert done.returncode == 0, done.stderr
    back = prepared.read('fashion_mnist', tmp_path)
    for (x, y), stem, count in ((back.train, 'train', 60000), (back.test, 't10k', 10000)):
        raw = [gzip.decompress((DEBIAN / f'{stem}-{f}-ubyte.gz').read_bytes()) for f in ('images-idx3', 'labels-idx1')]
        true = np.c_[np.frombuffer(raw[0][16:], np.uint8).reshape(count, 784), np.frombuffer(raw[1][8:], np.uint8)]
        ours = np.c_[x.reshape(count, 784), y.astype(np.uint8)]
        assert sorted(r.tobytes() for r in ours) == sorted(r.tobytes() for r in true)
    assert back.checksum == '9b9ad6db6b5dc835c100c7694c548dc8306e2587a8fe4b37a530ebafb1d996c1'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['.lock', 'fashion_mnist']  # TFDS's own files are gone.
