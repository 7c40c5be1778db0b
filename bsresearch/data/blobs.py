"""Gaussian blobs in the plane: the tiny task of Brownlee's tutorial on batch size and stability."""

from typing import Any

import numpy as np

from bsresearch.core import lookup
from bsresearch.data import numbers
from bsresearch.data.splits import Split, Splits, checksum


def load(
    *, num_examples: int = 1000, centers: int = 3, features: int = 2, cluster_std: float = 2.0, random_state: int = 2
) -> Splits:
    """`sklearn.datasets.make_blobs`; the first half is the training set, the rest the test set.

    Centres are uniform in [-10, 10]^features; class c is N(centre_c, cluster_std² I); classes are balanced over both
    halves together, not within each.

    Args:
      num_examples: of train and test together; ⌊num_examples / 2⌋ train.
      centers: number of classes.
      features: dimension of the inputs.
      cluster_std: standard deviation within a class, not variance.
      random_state: scikit-learn's seed of the whole data set.

    Returns:
      inputs (N, features), float32, unscaled; labels (N,), int32; read-only arrays.

    Raises:
      ValueError: a value out of range.

    Reference: Brownlee, "How to Control the Stability of Training Neural Networks With the Batch Size" (2019).
    """
    usual = lookup.keywords(load)
    for field, value, low in (('num_examples', num_examples, 2), ('centers', centers, 2), ('features', features, 1)):
        numbers.check_integer(f'blobs: {field}', value, usual[field], low)
    numbers.check_integer('blobs: random_state', random_state, usual['random_state'], 0, 2**32 - 1)
    numbers.check_number('blobs: cluster_std', cluster_std, usual['cluster_std'], 0, exclusive=True)
    numbers.check_total('blobs', num_examples + centers, features)
    if num_examples < centers:
        raise ValueError(
            f'blobs: num_examples={num_examples} with centers={centers} leaves classes empty; '
            f'allowed: at least one example per class; raise num_examples or lower centers'
        )
    from sklearn.datasets import make_blobs  # Here: seconds to import, and only this set needs it.

    blobs: Any = make_blobs(
        n_samples=num_examples, centers=centers, n_features=features, cluster_std=cluster_std, random_state=random_state
    )
    inputs, labels = blobs[0].astype(np.float32), blobs[1].astype(np.int32)
    for array in (inputs, labels):
        array.setflags(write=False)  # Every caller in the process shares them.
    half = num_examples // 2
    train, test = Split(inputs[:half], labels[:half]), Split(inputs[half:], labels[half:])
    return Splits(train, test, num_outputs=centers, scale=1.0, checksum=checksum(train, test))
