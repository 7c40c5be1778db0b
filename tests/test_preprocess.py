"""What is done to an example before the model sees it, and which examples a run sees at all."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bsresearch.core import rng
from bsresearch.data import preprocess, select
from bsresearch.data.splits import Split, Splits
from bsresearch.planning import resolve, schema, sweep


@pytest.fixture(autouse=True)
def _strict():
    with jax.numpy_rank_promotion('raise'):
        yield


def images(n: int, side: int = 5, channels: int = 2, seed: int = 0) -> np.ndarray:
    """No zero inside, so that padding can be told from the image."""
    return np.random.default_rng(seed).integers(1, 256, (n, side, side + 1, channels), np.uint8)


# --- normalization


@pytest.mark.parametrize(
    ('mean', 'std'), [((0.0,), (1.0,)), ((0.1307,), (0.3081,)), ((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))]
)
@pytest.mark.parametrize('scale', [255.0, 16.0])
def test_normalize_against_numpy(mean: tuple, std: tuple, scale: float):
    """Independent computation, in float64: (x/scale − mean)/std per channel, for stored bytes."""
    x = images(4, channels=3)
    found = preprocess.normalizer(scale, mean, std, jnp.dtype('float32'))(jnp.asarray(x))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, (x.astype(np.float64) / scale - mean) / std, rtol=3e-6, atol=3e-6)


def test_normalize_of_all_bytes_with_mnists_numbers():
    """Closed form at the ends: byte 0 is −0.1307/0.3081, byte 255 is (1 − 0.1307)/0.3081."""
    x = jnp.arange(256, dtype=jnp.uint8).reshape(1, 16, 16, 1)
    found = np.asarray(preprocess.normalizer(255.0, (0.1307,), (0.3081,), jnp.dtype('float32'))(x)).ravel()
    np.testing.assert_allclose(found[[0, 255]], [-0.1307 / 0.3081, (1 - 0.1307) / 0.3081], rtol=1e-6)
    assert (np.diff(found) > 0).all()


def test_normalize_flat_floats():
    """Rows of features, per feature."""
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    mean, std = (0.5, -1.0, 2.0), (1.0, 2.0, 0.5)
    found = preprocess.normalizer(1.0, mean, std, jnp.dtype('float32'))(jnp.asarray(x))
    np.testing.assert_allclose(found, (x - np.array(mean)) / std, rtol=1e-5, atol=1e-6)


# --- augmentation

BASE = rng.key(0, 'augment')
DRAWS = 1000
augment = jax.jit(preprocess.augment, static_argnums=(2, 3))


def keys(n: int, seed: int = 0) -> jax.Array:
    return preprocess.example_keys(rng.key(seed, 'augment'), jnp.int32(0), jnp.int32(0), n, n)


def test_keys_are_those_of_the_stream_positions():
    """Brute force: example i of a batch from (epoch, offset) has the key at ((N·epoch + offset + i) div, mod N)."""
    n = 7
    for start in (0, 3, 6, 7, 20):
        epoch, offset = divmod(start, n)
        found = preprocess.example_keys(BASE, jnp.int32(epoch), jnp.int32(offset), 19, n)
        expected = [rng.at(BASE, *divmod(start + i, n)) for i in range(19)]
        np.testing.assert_array_equal(jax.random.key_data(found), np.stack([jax.random.key_data(k) for k in expected]))


@pytest.mark.parametrize('split', [[1] * 12, [5, 5, 2], [2, 7, 3], [12]])
def test_augmentation_follows_the_example_not_the_batch(split: list[int]):
    """Invariance, bitwise: however 12 examples of the stream fall into batches, each gets its own crop and flip."""
    n, lanes = 9, 12  # an epoch of 9: the 12 examples cross into the next
    x, names = images(lanes), ('flip', 'crop')
    whole = augment(jnp.stack([rng.at(BASE, *divmod(i, n)) for i in range(lanes)]), x, names, 2)
    parts, start = [], 0
    for size in split:
        epoch, offset = divmod(start, n)
        k = preprocess.example_keys(BASE, jnp.int32(epoch), jnp.int32(offset), lanes, n)
        padded = np.zeros_like(x)
        padded[:size] = x[start : start + size]
        parts.append(augment(k, padded, names, 2)[:size])
        start += size
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_next_epoch_augments_differently():
    x = np.repeat(images(1), DRAWS, axis=0)
    first, second = (
        augment(preprocess.example_keys(BASE, jnp.int32(e), jnp.int32(0), DRAWS, DRAWS), x, ('crop',), 2)
        for e in (0, 1)
    )
    assert (np.asarray(first) != np.asarray(second)).any()


def crops(image: np.ndarray, padding: int) -> list[np.ndarray]:
    """Every crop of the zero-padded image."""
    h, w, _ = image.shape
    padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return [padded[i : i + h, j : j + w] for i in range(2 * padding + 1) for j in range(2 * padding + 1)]


def which(found: np.ndarray, allowed: list[np.ndarray]) -> int:
    (place,) = [k for k, a in enumerate(allowed) if np.array_equal(found, a)]
    return place


@pytest.mark.parametrize('padding', [1, 2])
def test_a_crop_is_one_of_all_crops_and_each_comes_equally_often(padding: int):
    """Brute force over all (2p + 1)² crops; Monte Carlo: each share within 4 standard errors."""
    n, image = DRAWS, images(1)[0]
    allowed = crops(image, padding)
    found = np.asarray(augment(keys(n), np.repeat(image[None], n, axis=0), ('crop',), padding))
    assert found.dtype == np.uint8
    places = [which(f, allowed) for f in found]
    p = 1 / len(allowed)
    assert np.abs(np.bincount(places, minlength=len(allowed)) / n - p).max() < 4 * np.sqrt(p * (1 - p) / n)


def test_a_flip_is_left_right_half_of_the_time():
    """Brute force: the image or its mirror along the width; Monte Carlo: half of them, within 4 standard errors."""
    n, image = DRAWS, images(1)[0]
    found = np.asarray(augment(keys(n), np.repeat(image[None], n, axis=0), ('flip',), 1))
    places = [which(f, [image, image[:, ::-1, :]]) for f in found]
    assert abs(np.mean(places) - 0.5) < 4 * np.sqrt(0.25 / n)


def test_flip_then_crop_is_a_crop_of_the_flipped_each_with_its_own_draw():
    """Brute force over all pairs; asking for the flip as well does not move the crops."""
    n, image = DRAWS, images(1)[0]
    x = np.repeat(image[None], n, axis=0)
    only_crop = [which(f, crops(image, 1)) for f in np.asarray(augment(keys(n), x, ('crop',), 1))]
    only_flip = [which(f, [image, image[:, ::-1]]) for f in np.asarray(augment(keys(n), x, ('flip',), 1))]
    both = crops(image, 1) + crops(image[:, ::-1], 1)
    found = [which(f, both) for f in np.asarray(augment(keys(n), x, ('flip', 'crop'), 1))]
    assert found == [9 * f + c for f, c in zip(only_flip, only_crop, strict=True)]


def test_golden_draws():
    """Golden numbers: flips and crops of the first twelve positions.

    When to change me: never for the same schema version; runs with augmentation could not be continued. If it must
    be, raise paths.SCHEMA_VERSION with it.
    """
    image = images(1)[0]
    x = np.repeat(image[None], DRAWS, axis=0)
    flips = [which(f, [image, image[:, ::-1]]) for f in np.asarray(augment(keys(DRAWS), x, ('flip',), 1))[:12]]
    places = [which(f, crops(image, 1)) for f in np.asarray(augment(keys(DRAWS), x, ('crop',), 1))[:12]]
    assert ''.join(map(str, flips)) == '110000001101'
    assert ''.join(map(str, places)) == '881573244806'


def test_no_padding_and_no_augmentation_change_nothing():
    x = images(3)
    np.testing.assert_array_equal(augment(keys(3), x, ('crop',), 0), x)
    np.testing.assert_array_equal(augment(keys(3), x, (), 2), x)


@pytest.mark.parametrize(
    ('names', 'shape', 'mean', 'std', 'message'),
    [
        (('flop',), (8, 8, 1), (0.0,), (1.0,), "unknown augmentation 'flop' in data.augment; allowed: flip, crop"),
        (('flip',), (2,), (0.0,), (1.0,), r'needs images \(H, W, C\), not examples of shape \(2,\)'),
        ((), (8, 8, 3), (0.0, 0.0), (1.0,), 'data.mean=.*one for each of 3 channels'),
        ((), (8, 8, 3), (0.0,), (1.0, 2.0), 'data.std=.*one for each of 3 channels'),
        ((), (8, 8, 3), (0.0,), (0.0,), 'data.std=.*must be positive'),
    ],
)
def test_settings_that_do_not_fit_are_refused(names, shape, mean, std, message):
    with pytest.raises(ValueError, match=message):
        preprocess.check(names, shape, mean, std)


# --- which examples


def numbered(n: int = 100, test: int = 10) -> Splits:
    """Example i holds the number i."""
    rows = lambda k: Split(np.arange(k, dtype=np.float32)[:, None], np.arange(k, dtype=np.int32))
    return Splits(rows(n), rows(test), num_outputs=3, scale=1.0, checksum='abc')


def ids(split: Split | None) -> list[int]:
    assert split is not None
    np.testing.assert_array_equal(split.inputs[:, 0], split.labels)
    return split.labels.tolist()


@pytest.mark.parametrize('validation', [0.01, 0.1, 0.25, 0.9])
@pytest.mark.parametrize('seed', [0, 1])
def test_validation_and_training_part_the_set(validation: float, seed: int):
    """Brute force: disjoint, together all, the sizes asked for; inputs stay with their labels."""
    d = select.select(numbered(), fraction=1.0, validation=validation, split_seed=seed)
    train, held = ids(d.train), ids(d.validation)
    assert not set(train) & set(held)
    assert sorted(train + held) == list(range(100))
    assert len(held) == round(100 * validation)
    assert ids(d.test) == list(range(10))
    assert list(d.named()) == ['train', 'validation', 'test']


def test_fractions_are_nested_and_leave_the_validation_set_alone():
    """Invariance: what is learnt from grows with the fraction; what is measured on does not change."""
    whole = [select.select(numbered(), fraction=f, validation=0.2, split_seed=4) for f in (0.1, 0.35, 0.5, 1.0)]
    trains = [set(ids(d.train)) for d in whole]
    assert [len(t) for t in trains] == [8, 28, 40, 80]
    assert all(a < b for a, b in itertools.pairwise(trains))
    assert len({tuple(ids(d.validation)) for d in whole}) == 1


def test_the_split_seed_alone_decides():
    pick = lambda seed: select.select(numbered(), fraction=0.5, validation=0.2, split_seed=seed)
    assert ids(pick(0).train) == ids(pick(0).train)
    assert len({tuple(ids(pick(s).validation)) for s in range(5)}) == 5
    assert ids(pick(0).train) == sorted(ids(pick(0).train))


def test_the_split_is_the_same_for_every_batch_size_and_run_seed():
    """Invariance, through the config: B, seed and data seed do not enter."""
    declared = schema.defaults().to_dict()
    declared |= {'total_epochs': 5.0, 'sweep': {'batch_size': (1, 32, 3000), 'seed': (0, 1), 'data_seed': (None, 7)}}
    plans = sweep.expand(declared, {'model.name': 'linear', 'data.validation': 0.1, 'data.fraction': 0.5})
    sets = [resolve.dataset(p.data) for p in plans]
    assert len(plans) == 12
    for d in sets[1:]:
        for name, split in d.named().items():
            np.testing.assert_array_equal(split.inputs, sets[0].named()[name].inputs)
    assert {p.epoch_size for p in plans} == {len(sets[0].train.labels)} == {round(0.5 * (1437 - 144))}


def test_nothing_asked_for_is_the_set_itself():
    d = select.select(numbered(), fraction=1.0, validation=0.0, split_seed=0)
    assert ids(d.train) == list(range(100))
    assert d.validation is None
    assert list(d.named()) == ['train', 'test']


@pytest.mark.parametrize(
    ('source', 'fraction', 'validation', 'message'),
    [
        (numbered(), 0.0, 0.0, r'data.fraction=0.0: must lie in \(0, 1\]'),
        (numbered(), 1.1, 0.0, 'data.fraction=1.1'),
        (numbered(), 1.0, 1.0, r'data.validation=1.0: must lie in \[0, 1\)'),
        (numbered(), 1.0, -0.1, 'data.validation=-0.1'),
        (numbered(), 1.0, 0.001, 'the validation split is empty'),
        (numbered(), 0.001, 0.0, 'the train split is empty'),
        (numbered(), 1.0, 0.999, 'the train split is empty'),
        (numbered(test=0), 1.0, 0.0, 'the test split is empty'),
    ],
)
def test_empty_splits_are_refused(source: Splits, fraction: float, validation: float, message: str):
    with pytest.raises(ValueError, match=message):
        select.select(source, fraction=fraction, validation=validation, split_seed=0)
