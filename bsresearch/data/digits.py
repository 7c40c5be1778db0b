"""scikit-learn's digits: 1797 grey images of 8x8, shipped inside the wheel. No download."""

from typing import Any

import numpy as np

from bsresearch.data.splits import Split, Splits, checksum

NUM_TRAIN = 1437  # of 1797: four fifths


def load() -> Splits:
    """Digits, split 1437 / 360 by a fixed permutation (the file's own order groups writers).

    Returns:
      inputs (N, 8, 8, 1), uint8, 0 to 16; labels (N,), int32; 10 classes; read-only arrays.

    Reference: UCI "Optical Recognition of Handwritten Digits", test part, through `sklearn.datasets.load_digits`.
    """
    from sklearn.datasets import load_digits  # Here: seconds to import, and only this set needs it.

    data: Any = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    inputs = data.images[order, :, :, None].astype(np.uint8)
    labels = data.target[order].astype(np.int32)
    for array in (inputs, labels):
        array.setflags(write=False)  # Every caller in the process shares them.
    train = Split(inputs[:NUM_TRAIN], labels[:NUM_TRAIN])
    test = Split(inputs[NUM_TRAIN:], labels[NUM_TRAIN:])
    return Splits(train, test, num_outputs=10, scale=16.0, checksum=checksum(train, test))
