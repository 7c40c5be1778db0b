"""scikit-learn's digits: 1797 grey images of 8x8, shipped inside the wheel. No download."""

import importlib.util
import pathlib

import numpy as np

from bsresearch.data.splits import Split, Splits, checksum

NUM_TRAIN = 1437  # of 1797: four fifths


def load() -> Splits:
    """Digits, split 1437 / 360 by a fixed permutation (the file's own order groups writers).

    Returns:
      inputs (N, 8, 8, 1), uint8, 0 to 16; labels (N,), int32; 10 classes; read-only arrays.

    Reference: UCI "Optical Recognition of Handwritten Digits", test part, as `sklearn.datasets.load_digits` has it.
    """
    rows = np.loadtxt(_file(), delimiter=',')  # 64 pixels and the class
    order = np.random.default_rng(0).permutation(len(rows))
    inputs = rows[order, :-1].reshape(-1, 8, 8, 1).astype(np.uint8)
    labels = rows[order, -1].astype(np.int32)
    for array in (inputs, labels):
        array.setflags(write=False)  # Every caller in the process shares them.
    train = Split(inputs[:NUM_TRAIN], labels[:NUM_TRAIN])
    test = Split(inputs[NUM_TRAIN:], labels[NUM_TRAIN:])
    return Splits(train, test, num_outputs=10, scale=16.0, checksum=checksum(train, test))


def _file() -> pathlib.Path:
    """Within scikit-learn, which is not imported: that takes a second, most of it for SciPy's statistics."""
    spec = importlib.util.find_spec('sklearn')
    if spec is None or spec.origin is None:
        raise FileNotFoundError('the data set digits is a file of scikit-learn, which is not installed')
    return pathlib.Path(spec.origin).parent / 'datasets' / 'data' / 'digits.csv.gz'
