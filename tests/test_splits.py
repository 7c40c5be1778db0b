"""What every data set is checked for, before it is written and before an embedded one is used."""

import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bsresearch.data import digits, prepared, sources
from bsresearch.data.splits import Split, Splits, checksum


@pytest.fixture(autouse=True)
def own_digits() -> Any:
    """Sets are kept by the process: what a test puts in their place ends with it."""
    sources._embedded.cache_clear()
    yield
    sources._embedded.cache_clear()


def images(count: int, seed: int) -> Split:
    """Float images of 3x3 in [0, 1] with three classes, all of which are there."""
    generator = np.random.default_rng(seed)
    inputs = generator.random((count, 3, 3, 1), np.float32)
    return Split(inputs, np.arange(count, dtype=np.int32) % 3)


def with_value(split: Split, value: float) -> Split:
    inputs = split.inputs.copy()
    inputs[5, 1, 1] = value
    return Split(inputs, split.labels)


def relabelled(splits: Splits, change: Callable[[np.ndarray], np.ndarray]) -> Splits:
    train, test = (Split(s.inputs, change(s.labels)) for s in (splits.train, splits.test))
    return splits._replace(train=train, test=test)


def rescaled(splits: Splits, change: Callable[[np.ndarray], np.ndarray]) -> Splits:
    return splits._replace(test=Split(change(splits.test.inputs), splits.test.labels))


FAULTS: dict[str, tuple[Callable[[Splits], Any], str]] = {
    'NaN': (lambda s: s._replace(train=with_value(s.train, float('nan'))),
            'train inputs of 1 of 60 examples are NaN or infinite, first of example 5; mend these examples or leave'),
    'infinite': (lambda s: s._replace(test=with_value(s.test, -float('inf'))), 'test inputs of 1 of 40'),
    'scale 0': (lambda s: s._replace(scale=0.0), 'scale=0.0; allowed: a positive float'),
    'scale NaN': (lambda s: s._replace(scale=float('nan')), 'scale=nan; allowed: a positive float'),
    'dtypes of inputs': (lambda s: rescaled(s, lambda x: (255 * x).astype(np.uint8)),
                         'train inputs are float32, test inputs are uint8; make both alike'),
    'range': (lambda s: rescaled(s, lambda x: 255 * x), 'times as large on one side; scale both alike'),
    'shape': (lambda s: rescaled(s, lambda x: x[:, :2]),
              'train examples have the shape (3, 3, 1), test examples have the shape (2, 3, 1)'),
    'beyond the scale': (lambda s: s._replace(scale=0.5), 'allowed with scale=0.5: 0 to 0.5, or scale=1'),
    'doubles': (lambda s: rescaled(s, lambda x: x.astype(float)), 'test inputs are float64; allowed: uint8, or'),
    'long labels': (lambda s: relabelled(s, lambda y: y.astype(np.int64)), 'labels.astype(np.int32)'),
    'float labels': (lambda s: relabelled(s, lambda y: y.astype(np.float32)),
                     'train labels are float32; allowed: int32, or float32 targets with num_outputs=1'),
    'labels from 1': (lambda s: relabelled(s, lambda y: y + 1),
                      '[1, 3]; allowed: 0 to 2; map them (1 → 0, 2 → 1, 3 → 2) by labels - 1, as int32'),
    'labels from 1 that fit': (lambda s: relabelled(s._replace(num_outputs=4), lambda y: y + 1),
                               'the first of num_outputs=4; map them (1 → 0, 2 → 1, 3 → 2) by labels - 1, as int32, '
                               'with num_outputs=3'),
    'labels with gaps': (lambda s: relabelled(s, lambda y: 3 * y + 2),
                         'map them (2 → 0, 5 → 1, 8 → 2) by np.searchsorted(known, labels), as int32'),
    'labels beyond': (lambda s: s._replace(num_outputs=2), 'there are 3 of them: num_outputs=3?'),
    'negative labels': (lambda s: relabelled(s, lambda y: y - 1), 'lie in [-1, 1]; allowed: 0 to 2; map them (-1 → 0'),
    'targets': (lambda s: relabelled(s._replace(num_outputs=1), lambda y: np.full(len(y), np.nan, np.float32)),
                'train targets: example 0 is NaN'),
    'outputs of NumPy': (lambda s: s._replace(num_outputs=np.int64(3)), 'num_outputs=np.int64(3); allowed: an int'),
    'no outputs': (lambda s: s._replace(num_outputs=0), 'num_outputs=0; allowed'),
    'too few inputs': (lambda s: s._replace(train=Split(s.train.inputs[1:], s.train.labels)), 'inputs (59, 3, 3, 1)'),
    'none': (lambda s: s._replace(train=Split(s.train.inputs[:0], s.train.labels[:0])), 'N above 0'),
    'lists': (lambda s: s._replace(test=s.test._replace(labels=[0] * 40)), 'a Splits of four NumPy arrays is needed'),
    'a tuple': (tuple, 'a Splits of four NumPy arrays is needed'),
}  # fmt: skip


@pytest.mark.parametrize('fault', FAULTS)
def test_what_cannot_be_trained_on_is_refused_by_name(
    fault: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """Where it is written, and where an embedded set is used: by the same words, and nothing is left on disk."""
    train, test = images(60, 0), images(40, 1)
    sound = Splits(train, test, num_outputs=3, scale=1.0, checksum=checksum(train, test))
    change, message = FAULTS[fault]
    bad: Any = change(sound)
    if isinstance(bad, Splits) and fault != 'lists':
        bad = bad._replace(checksum=checksum(bad.train, bad.test))
    monkeypatch.setattr(digits, 'load', lambda: bad)
    words = set()
    for use in (
        lambda: prepared.write('digits', bad, data_dir=tmp_path, source={}),
        lambda: sources.resolve('digits', None, {}),
    ):
        with pytest.raises(ValueError, match=f"^data set 'digits': .*{re.escape(message)}") as e:
            use()
        words.add(str(e.value))
    assert len(words) == 1
    assert not list(tmp_path.iterdir())


def test_a_checksum_that_is_none_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Runs are told apart by it: one that was made up would make two data sets one."""
    train, test = images(60, 0), images(40, 1)
    toy = Splits(train, test, num_outputs=3, scale=1.0, checksum=checksum(train, test))
    for made_up in ('none', '', toy.checksum[:-1] + 'x'):
        with pytest.raises(ValueError, match=f"'toy': checksum='{made_up}' is not that of its arrays, {toy.checksum}"):
            prepared.write('toy', toy._replace(checksum=made_up), data_dir=tmp_path, source={})
    monkeypatch.setattr(digits, 'load', lambda: toy._replace(checksum='none'))
    with pytest.raises(ValueError, match="'digits': checksum='none' is not that"):
        sources.resolve('digits', None, {})


def test_splits_that_only_look_unlike_are_taken(tmp_path: pathlib.Path):
    """A test set of zeros, few examples, an outlier, one feature far from the others."""
    train, test = images(60, 0), images(40, 1)
    outlier = with_value(train, 1e6)
    wide = Split(np.concatenate([train.inputs, 1e5 * train.inputs, train.inputs], 3), train.labels)
    wide_test = Split(np.concatenate([test.inputs, 3e3 * test.inputs, test.inputs], 3), test.labels)
    cases = [(train, Split(0 * test.inputs, test.labels)), (outlier, test), (wide, wide_test),
             (Split(train.inputs[:3], train.labels[:3]), Split(100 * test.inputs, test.labels))]  # fmt: skip
    for i, (one, other) in enumerate(cases):
        good = Splits(one, other, num_outputs=3, scale=1.0, checksum=checksum(one, other))
        prepared.write(f'good{i}', good, data_dir=tmp_path, source={})
    assert len(prepared.available(tmp_path)) == len(cases)


def test_classes_without_an_example_are_taken(tmp_path: pathlib.Path):
    """EMNIST's letters are classes 1 to 26 of 37: not every class that there is need be seen."""
    train, test = images(60, 0), images(40, 1)
    few = Splits(train, test, num_outputs=3, scale=1.0, checksum='')
    for first, outputs in ((1, 6), (0, 5), (2, 5)):
        shifted = relabelled(few, lambda y, first=first: (y + first).astype(np.int32))._replace(num_outputs=outputs)
        whole = shifted._replace(checksum=checksum(shifted.train, shifted.test))
        prepared.write(f'toy{first}', whole, data_dir=tmp_path, source={})
        assert prepared.read(f'toy{first}', tmp_path).num_outputs == outputs
