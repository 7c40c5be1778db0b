"""Data sets as plain arrays: the types every source returns."""

from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """One split, random access by index.

    inputs: (N, *example_shape), uint8 or float32; may be a read-only memory map.
    labels: (N,), int32 classes; or float32 targets, with num_outputs 1.
    """

    inputs: np.ndarray
    labels: np.ndarray


class Splits(NamedTuple):
    """A data set.

    num_outputs: number of classes; 1 for targets.
    scale: what the stored numbers are divided by to lie in [0, 1] (255 for 8-bit images; 1 where not bounded).
    checksum: sha256 over the arrays, recorded with every run.
    """

    train: Split
    test: Split
    num_outputs: int
    scale: float
    checksum: str
