"""Gaussian blobs in the plane: the tiny task of Brownlee's tutorial on batch size and stability."""

import math
from typing import Any

import numpy as np

from bsresearch import lookup
from bsresearch.data import prepared
from bsresearch.data.splits import Split, Splits


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
    _check_integer('num_examples', num_examples, 2)
    _check_integer('centers', centers, 2)
    _check_integer('features', features, 1)
    _check_integer('random_state', random_state, 0, 2**32 - 1)
    if isinstance(cluster_std, bool) or not isinstance(cluster_std, int | float) or not 0 < cluster_std < math.inf:
        raise ValueError(f'blobs: cluster_std={cluster_std!r}; allowed: a finite number above 0; the default is 2.0')
    if num_examples < centers:
        raise ValueError(
            f'blobs: num_examples={num_examples} with centers={centers} leaves classes empty; '
            f'allowed: at least one example per class; raise num_examples or lower centers'
        )
    from sklearn.datasets import make_blobs  # Here: seconds to import, and only this set needs it.

    made: Any = make_blobs(
        n_samples=num_examples, centers=centers, n_features=features, cluster_std=cluster_std, random_state=random_state
    )
    inputs, labels = made[0].astype(np.float32), made[1].astype(np.int32)
    for array in (inputs, labels):
        array.setflags(write=False)  # Every caller in the process shares them.
    half = num_examples // 2
    train, test = Split(inputs[:half], labels[:half]), Split(inputs[half:], labels[half:])
    return Splits(train, test, num_outputs=centers, scale=1.0, checksum=prepared.checksum(train, test))


def _check_integer(field: str, value: object, low: int, high: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        allowed = f'an integer from {low}' + (f' to {high}' if high is not None else ' up')
        raise ValueError(f'blobs: {field}={value!r}; allowed: {allowed}; the default is {lookup.keywords(load)[field]}')
