"""A user's own data: arrays, image folders and tables as prepared sets, through the command."""

import json
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from preparing import Called, called
from toy import plans

from bsresearch.data import prepared
from bsresearch.models import losses

__all__ = ['called']
Prepare = Callable[..., tuple[int | None, str, str]]
PIXELS = np.random.default_rng(0).integers(0, 256, (60, 6, 6, 3), np.uint8)
WORDS = np.array(['cat', 'dog', 'ant'] * 20)
TABLE = pd.DataFrame({
    'rooms': np.arange(60) % 7, 'area': np.linspace(50, 90, 60), 'town': ['a', 'b'] * 30,
    'price': np.linspace(1.5, 9.1, 60) ** 2,
})  # fmt: skip


@pytest.fixture
def prepare(called: Called, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """`prepare(npz='a.npz')` in tmp_path, into its folder `data`, under the name `mine`."""
    monkeypatch.chdir(tmp_path)

    def run(name: str = 'mine', **given: Any) -> tuple[int | None, str, str]:
        flags = [f'--{flag}={value}' for flag, value in given.items()]
        return called(f'--name={name}', f'--data_dir={tmp_path / "data"}', *flags)

    return run


def images(folder: pathlib.Path, rows: range, mode: str = 'RGB') -> None:
    """PNGs of PIXELS, each in the folder of its word."""
    for i in rows:
        (folder / WORDS[i]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[i]).convert(mode).save(folder / WORDS[i] / f'{i:02}.png')


def manifest(tmp_path: pathlib.Path) -> dict[str, Any]:
    return json.loads((tmp_path / 'data' / 'mine' / 'manifest.json').read_text())


def test_arrays_are_split_once_and_nothing_else_is_changed(prepare: Prepare, tmp_path: pathlib.Path):
    """Invariance: both parts together are the file's pairs, each once; the draw follows from its seed alone."""
    np.savez('a.npz', images=PIXELS, label=WORDS)
    assert prepare(npz='a.npz', test_fraction=0.25)[0] is None
    splits = prepared.read('mine', tmp_path / 'data')
    assert [len(split.labels) for split in (splits.train, splits.test)] == [45, 15]
    classes = np.array(manifest(tmp_path)['source']['classes'])
    assert classes.tolist() == ['ant', 'cat', 'dog']
    pairs = {(x.tobytes(), classes[y]) for split in (splits.train, splits.test) for x, y in zip(*split, strict=True)}
    assert pairs == {(x.tobytes(), y) for x, y in zip(PIXELS, WORDS, strict=True)}
    assert (splits.num_outputs, splits.scale) == (3, 255.0)
    for name, seed in (('again', 0), ('other', 1)):
        prepare(name, npz='a.npz', test_fraction=0.25, split_seed=seed)
    again, other = (prepared.read(name, tmp_path / 'data') for name in ('again', 'other'))
    assert again.checksum == splits.checksum != other.checksum


def test_a_test_part_of_the_file_is_kept(prepare: Prepare, tmp_path: pathlib.Path):
    np.savez('a.npz', x_train=PIXELS[:50], y_train=WORDS[:50], x_test=PIXELS[50:], y_test=WORDS[50:, None])
    assert prepare(npz='a.npz')[0] is None
    splits = prepared.read('mine', tmp_path / 'data')
    assert np.array_equal(splits.train.inputs, PIXELS[:50])
    assert np.array_equal(splits.test.inputs, PIXELS[50:])
    code, _, error = prepare('two', npz='a.npz', test_fraction=0.2)
    assert code == 2
    assert 'test part of its own' in error


@pytest.mark.parametrize(
    ('labels', 'task', 'outputs'),
    [(np.arange(60) % 3 + 5, None, 3), (np.arange(60) % 2 == 0, None, 2), ((np.arange(60) % 3).astype(float), None, 3),
     (np.linspace(0, 1, 60), None, 1), (np.arange(60), 'regression', 1), (np.arange(60), 'classification', 60)],
    ids=['whole', 'bool', 'whole floats', 'floats', 'many as targets', 'many as classes'],
)  # fmt: skip
def test_labels_say_what_they_are(
    labels: np.ndarray, task: str | None, outputs: int, prepare: Prepare, tmp_path: pathlib.Path
):
    np.savez('a.npz', inputs=PIXELS, labels=labels)
    assert prepare(npz='a.npz', **({'task': task} if task else {}))[0] is None
    splits = prepared.read('mine', tmp_path / 'data')
    assert splits.num_outputs == outputs
    assert splits.train.labels.dtype == (np.float32 if outputs == 1 else np.int32)


@pytest.mark.parametrize(
    ('inputs', 'kind', 'shape', 'scale'),
    [(PIXELS[..., 0], np.uint8, (6, 6, 1), 255.0), (PIXELS.astype(np.int64), np.uint8, (6, 6, 3), 255.0),
     (PIXELS.astype(np.int64) * 2, np.float32, (6, 6, 3), 1.0), (PIXELS / 255, np.float32, (6, 6, 3), 1.0)],
    ids=['grey', 'int64', 'beyond eight bits', 'float64'],
)  # fmt: skip
def test_inputs_are_stored_as_images_or_numbers(
    inputs: np.ndarray, kind: type, shape: tuple[int, ...], scale: float, prepare: Prepare, tmp_path: pathlib.Path
):
    np.savez('a.npz', inputs=inputs, labels=WORDS)
    code, told, _ = prepare(npz='a.npz')
    assert code is None
    splits = prepared.read('mine', tmp_path / 'data')
    # Of 8-bit images the flags that would normalize them.
    x = splits.train.inputs / splits.scale
    moments = [','.join(f'{v:.4f}' for v in of_channels) for of_channels in (x.mean((0, 1, 2)), x.std((0, 1, 2)))]
    assert ('--config.data.mean={} --config.data.std={}'.format(*moments) in told) == (kind is np.uint8)
    assert (splits.train.inputs.dtype, splits.train.inputs.shape[1:], splits.scale) == (kind, shape, scale)


@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_images_are_those_of_the_files(mode: str, prepare: Prepare, tmp_path: pathlib.Path):
    """Independent library: Pillow reads the same pixels; train and test trees stay apart."""
    images(tmp_path / 'photos' / 'train', range(45), mode)
    images(tmp_path / 'photos' / 'test', range(45, 60), mode)
    assert prepare(images='photos')[0] is None
    splits = prepared.read('mine', tmp_path / 'data')
    files = sorted((tmp_path / 'photos' / 'train').rglob('*.png'))
    expected = np.stack([np.asarray(Image.open(file)).reshape(6, 6, -1) for file in files])
    assert np.array_equal(splits.train.inputs, expected)
    assert [manifest(tmp_path)['source']['classes'][y] for y in splits.train.labels] == [f.parent.name for f in files]
    assert splits.train.inputs.shape[-1] == {'RGB': 3, 'L': 1}[mode]
    assert len(splits.test.labels) == 15


def test_the_middle_of_a_resized_image_is_kept(prepare: Prepare, tmp_path: pathlib.Path):
    """Closed form: a wide image of three stripes, white in the middle third, becomes white."""
    stripes = np.repeat(np.array([0, 255, 0], np.uint8), 40)[None].repeat(40, 0)
    for word in ('a', 'b'):
        for i in range(3):
            (tmp_path / 'photos' / word).mkdir(parents=True, exist_ok=True)
            Image.fromarray(stripes if word == 'a' else stripes.T).save(tmp_path / 'photos' / word / f'{i}.png')
    assert prepare(images='photos', size=8)[0] is None
    splits = prepared.read('mine', tmp_path / 'data')
    assert splits.train.inputs.shape[1:] == (8, 8, 1)
    assert (splits.train.inputs[:, 2:6, 2:6] == 255).all()


def test_a_photograph_is_turned_as_it_was_held(prepare: Prepare, tmp_path: pathlib.Path):
    """Closed form: EXIF orientation 6 says that the stored rows are columns, to be turned clockwise."""
    turned = Image.Exif()
    turned[0x0112] = 6
    for word in ('a', 'b'):
        (tmp_path / 'photos' / word).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(PIXELS[i, :4]).save(tmp_path / 'photos' / word / f'{i}.png', exif=turned)
    assert prepare(images='photos')[0] is None
    splits = prepared.read('mine', tmp_path / 'data')
    both = {x.tobytes() for split in (splits.train, splits.test) for x in split.inputs}
    assert splits.train.inputs.shape[1:] == (6, 4, 3)
    assert both == {np.rot90(PIXELS[i, :4], -1).tobytes() for i in range(3)}


@pytest.mark.parametrize('kind', ['csv', 'parquet'])
def test_a_table_is_standardized_over_its_training_part(kind: str, prepare: Prepare, tmp_path: pathlib.Path):
    """Closed form: undone by the manifest's moments, both parts are the table's rows."""
    TABLE.to_csv('t.csv', index=False) if kind == 'csv' else TABLE.to_parquet('t.parquet')
    code, told, _ = prepare(**{kind: f't.{kind}'}, target='price', one_hot='town')
    assert code is None
    assert 'of about 0.5 is that of their mean' in told
    splits, source = prepared.read('mine', tmp_path / 'data'), manifest(tmp_path)['source']
    assert source['columns'] == ['rooms', 'area', 'town_a', 'town_b']
    assert np.allclose(splits.train.inputs.mean(0), 0, atol=1e-6)
    assert np.allclose(splits.train.inputs.std(0), 1)
    assert np.isclose(splits.train.labels.std(), 1)
    assert np.isclose(losses.squared_error(jnp.zeros((48, 1)), jnp.asarray(splits.train.labels)).mean(), 0.5)
    assert splits.num_outputs == 1
    undone = lambda values, moments: values * np.array(moments['std']) + np.array(moments['mean'])
    rows = np.concatenate([undone(split.inputs, source['input_moments']) for split in (splits.train, splits.test)])
    prices = np.concatenate([undone(split.labels, source['target_moments']) for split in (splits.train, splits.test)])
    order = np.argsort(rows[:, 1])
    assert np.allclose(rows[order, :2], TABLE[['rooms', 'area']], atol=1e-4)
    assert np.allclose(prices[order], TABLE['price'], atol=1e-4)


def test_a_run_is_known_by_what_its_data_hold(
    prepare: Prepare, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """Ids: another name for the same arrays is the same run, other arrays under the same name are another."""
    monkeypatch.setenv('BSRESEARCH_DATA', str(tmp_path / 'data'))
    np.savez('a.npz', inputs=PIXELS, labels=WORDS)
    np.savez('b.npz', inputs=255 - PIXELS, labels=WORDS)
    ids = {}
    for name, file in (('mine', 'a.npz'), ('same', 'a.npz'), ('other', 'b.npz')):
        prepare(name, npz=file)
        (plan,) = plans(data__name=name)
        ids[name] = plan.id
    assert ids['mine'] == ids['same'] != ids['other']


def write(file: str, image: Image.Image, **options: Any) -> None:
    path = pathlib.Path('photos') / file
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def seen(mode: str, image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert(mode))


CLEAR = Image.fromarray(np.dstack([PIXELS[0], np.full((6, 6), 255, np.uint8)]))
CLEAR.putpixel((0, 0), (9, 9, 9, 0))
WHITE = Image.fromarray(PIXELS[0])
WHITE.putpixel((0, 0), (255, 255, 255))
DEEP = Image.fromarray(PIXELS[0, ..., 0].astype(np.uint16) * 257)
CMYK = Image.fromarray(PIXELS[0]).convert('CMYK')
PALETTE = Image.fromarray(PIXELS[0]).convert('P', palette=Image.Palette.ADAPTIVE)


@pytest.mark.parametrize(
    ('image', 'kind', 'expected'),
    [
        (CLEAR, 'png', np.asarray(WHITE)), (DEEP, 'png', PIXELS[0, ..., :1]), (CMYK, 'tiff', seen('RGB', CMYK)),
        (PALETTE, 'png', seen('RGB', PALETTE)), (Image.fromarray(PIXELS[0, ..., 0] > 99), 'png',
                                                255 * (PIXELS[0, ..., :1] > 99)),
    ],
    ids=['transparent', '16 bit', 'CMYK', 'palette', '1 bit'],
)  # fmt: skip
def test_images_of_any_mode_are_seen_as_they_look(
    image: Image.Image, kind: str, expected: np.ndarray, prepare: Prepare, tmp_path: pathlib.Path
):
    """Names with spaces and of any script; what is hidden is left out."""
    for word in ('schwarze Kätzchen', '猫 и кот'):
        for i in range(2):
            write(f'{word}/ein Bild {i}.{kind}', image)
        (pathlib.Path('photos') / word / '.DS_Store').write_bytes(b'Bud1')
    pathlib.Path('photos/.DS_Store').write_bytes(b'Bud1')
    pathlib.Path('photos/.cache').mkdir()
    code, said, error = prepare(images='photos')
    assert (code, error) == (None, '')
    assert ('laid on white' in said) == (image is CLEAR)
    splits = prepared.read('mine', tmp_path / 'data')
    assert np.array_equal(splits.train.inputs, np.repeat(expected[None], 3, 0))
    assert manifest(tmp_path)['source']['classes'] == ['schwarze Kätzchen', '猫 и кот']


def animated() -> None:
    images(pathlib.Path('photos'), range(60))
    frames = [Image.fromarray(PIXELS[i]) for i in range(3)]
    write('dog/moving.gif', frames[0], save_all=True, append_images=frames[1:])


def looped() -> None:
    images(pathlib.Path('photos'), range(60))
    pathlib.Path('photos/again').symlink_to('.', target_is_directory=True)


def looped_file() -> None:
    images(pathlib.Path('photos'), range(60))
    pathlib.Path('photos/dog/31.png').unlink()
    pathlib.Path('photos/dog/31.png').symlink_to('31.png')


def unequal() -> None:
    images(pathlib.Path('photos'), range(60))
    write('dog/99.png', Image.new('RGB', (7, 6)))


def torn() -> None:
    np.savez_compressed('a.npz', inputs=PIXELS, labels=WORDS)
    content = bytearray(pathlib.Path('a.npz').read_bytes())
    content[200:260] = bytes(60)
    pathlib.Path('a.npz').write_bytes(content)


def member() -> None:
    savez()
    with zipfile.ZipFile('a.npz', 'a') as archive:
        archive.writestr('y', b'cat dog')


def csv(**columns: Any) -> None:
    TABLE.drop(columns='town').assign(**columns).to_csv('t.csv', index=False)


def nested() -> None:
    TABLE.drop(columns='town').assign(tags=[[1, 2]] * 60).to_parquet('t.parquet')


def lines(header: str, row: str) -> None:
    pathlib.Path('t.csv').write_text('\n'.join([header, *[row] * 30]))


def savez(**arrays: Any) -> None:
    np.savez('a.npz', **{'inputs': PIXELS, 'labels': WORDS, **arrays})


def spoilt(word: str, at: int = 5) -> np.ndarray:
    values = PIXELS / 255
    values[at, 0, 0, 0] = float(word)
    return values


def broken_image() -> None:
    images(pathlib.Path('photos'), range(60))
    file = pathlib.Path('photos/dog/31.png')
    file.write_bytes(file.read_bytes()[:80])


@pytest.mark.parametrize(
    ('make', 'given', 'part'),
    [
        (lambda: savez(labels=np.array([{}] * 60)), {'npz': 'a.npz'}, "'labels' holds Python objects"),
        (lambda: savez(inputs=spoilt('nan')), {'npz': 'a.npz'},
         'a.npz: inputs: NaN or infinite numbers as float32 in 1 of 60 rows, the first in row 5, column 0, 0, 0 (row'),
        (lambda: np.savez('a.npz', x_train=PIXELS / 255, y_train=WORDS, x_test=spoilt('inf', 7), y_test=WORDS),
         {'npz': 'a.npz'}, 'a.npz: x_test: NaN or infinite numbers as float32 in 1 of 60 rows, the first in row 7,'),
        (lambda: savez(inputs=np.where(np.arange(180).reshape(60, 3) == 7, 1e39, 1)), {'npz': 'a.npz'},
         'in row 2, column 1 (rows and columns are counted from 0); fill in'),
        (lambda: savez(labels=np.where(np.arange(60) == 3, np.nan, 1.5)), {'npz': 'a.npz'},
         'a.npz: labels: NaN or infinite numbers in 1 of 60 rows, the first in row 3 (rows'),
        (lambda: savez(labels=np.arange(60)), {'npz': 'a.npz'}, '--task='),
        (lambda: savez(labels=np.zeros(60, int)), {'npz': 'a.npz'}, 'all labels are 0'),
        (lambda: savez(labels=np.eye(3)[np.arange(60) % 3]), {'npz': 'a.npz'}, 'labels.argmax(1)'),
        (lambda: savez(labels=WORDS[:9]), {'npz': 'a.npz'}, 'as many labels as inputs'),
        (lambda: savez(inputs=np.moveaxis(PIXELS, -1, 1)), {'npz': 'a.npz'}, 'np.moveaxis'),
        (savez, {'npz': 'a.npz', 'labels': 'lables'}, "did you mean 'labels'"),
        (savez, {'npz': 'a.npz', 'target': 'x'}, '--target goes with --csv or --parquet'),
        (savez, {'npz': 'a.npz', 'images': '.'}, 'a data set has one source'),
        (savez, {'npz': 'a.npz', 'test_fraction': 0.001}, '--test_fraction=0.001 of 60 examples leaves 0 to test'),
        (savez, {'npz': 'a.npz', 'test_fraction': 1.0}, 'must lie between 0 and 1'),
        (savez, {'npz': 'a.npz', 'name': 'digits'}, 'embedded'),
        (lambda: pathlib.Path('a.npz').write_bytes(b'PK\x03\x04 torn'), {'npz': 'a.npz'}, 'cannot be read'),
        (lambda: None, {'npz': 'a.npz'}, 'no such file'),
        (lambda: None, {'images': 'photos'}, 'no such folder'),
        (lambda: pathlib.Path('photos/a').mkdir(parents=True), {'images': 'photos'}, 'has 1 folder in it'),
        (broken_image, {'images': 'photos'}, 'photos/dog/31.png cannot be read as an image'),
        (lambda: TABLE.to_csv('t.csv'), {'csv': 't.csv', 'target': 'price'}, '--one_hot=town'),
        (lambda: TABLE.to_csv('t.csv'), {'csv': 't.csv', 'target': 'prize'}, "did you mean 'price'"),
        (lambda: TABLE.to_csv('t.csv'), {'csv': 't.csv'}, 'which column is to be predicted'),
        # All that has to be said of a table, in one line.
        (lambda: TABLE.assign(price=range(60)).to_csv('t.csv', index=False), {'csv': 't.csv', 'target': 'price'},
         '--task=classification or --task=regression; columns that are no numbers: town; --one_hot=town'),
        (lambda: TABLE.to_csv('t.csv'), {'csv': 't.csv'}, 'price; columns that are no numbers: town'),
        (lambda: TABLE.to_csv('t.csv'), {'csv': 't.csv', 'name': ''}, 'the column to be predicted, --target='),
        (lambda: TABLE.where(TABLE['rooms'] > 0).to_csv('t.csv'), {'csv': 't.csv', 'target': 'price'},
         'column rooms in 9 of 60 rows, the first row 1, column area in 9'),
        (lambda: pathlib.Path('t.csv').write_text(''), {'csv': 't.csv', 'target': 'price'}, 'cannot be read'),
        (torn, {'npz': 'a.npz'}, "the array 'inputs' cannot be read"),
        (member, {'npz': 'a.npz', 'labels': 'y'}, "'y' is no array"),
        (lambda: savez(inputs=PIXELS[:0], labels=WORDS[:0]), {'npz': 'a.npz'}, 'as many labels as inputs, above 0'),
        (lambda: savez(inputs=np.full((60, 3), 2**60)), {'npz': 'a.npz'}, 'scale them first'),
        (lambda: savez(inputs=PIXELS * 1j), {'npz': 'a.npz'}, 'inputs are complex128; allowed: numbers'),
        (lambda: savez(labels=np.full(60, 2.5)), {'npz': 'a.npz'}, 'all targets to train on are 2.5'),
        (lambda: savez(labels=np.arange(60).astype('M8[D]')), {'npz': 'a.npz'}, 'labels are datetime64[D]'),
        (lambda: savez(labels=[f'{i}' for i in range(60)]), {'npz': 'a.npz'}, '60 different words in 60 examples'),
        (savez, {'npz': 'a.npz', 'name': 'my data'}, 'bad data set name'),
        (savez, {'npz': 'a.npz', 'drop': 'x'}, '--drop goes with --csv or --parquet'),
        (savez, {'npz': '~nobody/a.npz'}, 'no such file'),
        (animated, {'images': 'photos'}, 'photos/dog/moving.gif has 3 frames'),
        (looped, {'images': 'photos'}, 'is a folder in that of a class'),
        (looped_file, {'images': 'photos'}, 'photos/dog/31.png cannot be read as an image'),
        (unequal, {'images': 'photos'}, '--size=32 makes them alike'),
        (lambda: write('0.png', CMYK.convert('RGB')), {'images': 'photos'}, 'has no folders in it'),
        (lambda: TABLE[['price']].to_csv('t.csv', index=False), {'csv': 't.csv', 'target': 'price'}, '0 columns'),
        (lambda: TABLE[:0].to_csv('t.csv', index=False), {'csv': 't.csv', 'target': 'price'}, 'has 0 rows'),
        (lambda: csv(price=3.5), {'csv': 't.csv', 'target': 'price'}, 'all targets to train on are 3.5'),
        (lambda: csv(price=3), {'csv': 't.csv', 'target': 'price'}, 'all labels are 3'),
        (lambda: csv(huge=[10**30 + i for i in range(60)]), {'csv': 't.csv', 'target': 'price'}, '--one_hot=huge'),
        (lambda: csv(area=np.where(np.arange(60) == 4, np.inf, 1)), {'csv': 't.csv', 'target': 'price'},
         't.csv: NaN or infinite numbers in 1 of 60 rows, the first in row 5, column area (row 1 is the first of data'),
        (lambda: csv(price=np.where(np.arange(60) == 4, np.inf, 1.5)), {'csv': 't.csv', 'target': 'price'},
         't.csv: column price: NaN or infinite numbers in 1 of 60 rows, the first in row 5 (row 1'),
        (lambda: csv(when=pd.date_range('2020', periods=60)), {'csv': 't.csv', 'target': 'price'}, '--one_hot=when'),
        (lambda: csv(price=pd.date_range('2020', periods=60)), {'csv': 't.csv', 'target': 'price'}, '--task='),
        (lambda: lines('a,b,a', '1,2,3'), {'csv': 't.csv', 'target': 'b'}, "two columns are called 'a'"),
        (lambda: lines('a,b', '1,2,3'), {'csv': 't.csv', 'target': 'b'}, 'more fields than its first line has names'),
        (lambda: csv(town='a'), {'csv': 't.csv', 'target': 'price', 'one_hot': 'town', 'drop': 'town'},
         'also named by --one_hot'),
        (lambda: TABLE.drop(columns='town').to_csv('t.csv'), {'csv': 't.csv', 'target': 'price'}, 'without a name'),
        (nested, {'parquet': 't.parquet', 'target': 'price', 'one_hot': 'tags'}, 'hold lists or records: tags'),
        (lambda: pathlib.Path('t.parquet').write_bytes(b'PAR1'), {'parquet': 't.parquet'}, 'cannot be read'),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line_and_nothing_is_written(
    make: Callable[[], None], given: dict[str, Any], part: str, prepare: Prepare, tmp_path: pathlib.Path
):
    make()
    code, _, error = prepare(**given)
    assert code == 2
    assert part in error
    assert error.count('\n') == 1
    assert not [path for path in (tmp_path / 'data').glob('*') if path.name != '.lock']


def test_a_name_is_taken_once(prepare: Prepare, tmp_path: pathlib.Path):
    savez()
    assert prepare(npz='a.npz')[0] is None
    before = prepared.read('mine', tmp_path / 'data').checksum
    savez(inputs=255 - PIXELS)
    code, _, error = prepare(npz='a.npz')
    assert code == 2
    assert 'is taken' in error
    assert error.rstrip().endswith(f'rm -r {tmp_path / "data" / "mine"}')
    assert prepared.read('mine', tmp_path / 'data').checksum == before


def test_floats_far_from_1_are_told_their_cure_where_they_are_taken_as_they_are(prepare: Prepare):
    """Nothing is said to be divided where nothing is; near 1, scaled or standardized there is nothing to cure."""
    near = np.random.default_rng(0).uniform(size=(60, 3))
    np.savez('a.npz', inputs=300 * near, labels=WORDS)
    np.savez('near.npz', inputs=near, labels=WORDS)
    said = prepare('far', npz='a.npz')[1]
    assert '; --standardize brings' in said
    assert 'divided' not in said
    code, scaled, _ = prepare('scaled', npz='a.npz', scale=300)
    assert code is None
    assert 'are divided by 300 in training' in scaled
    quiet = scaled, prepare('near', npz='near.npz')[1], prepare('standard', npz='a.npz', standardize=True)[1]
    assert not any('--standardize' in words for words in quiet)
