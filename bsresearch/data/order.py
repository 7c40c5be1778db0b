"""The example stream: epoch permutation after epoch permutation, from one seed, whatever the batch size.

The host makes the ids: a permutation of 60,000 costs 1 ms in NumPy and 71 ms in XLA on a CPU.
"""

import functools
from typing import NamedTuple

import numpy as np

from bsresearch.core import rng
from bsresearch.core.units import Length


class Batches(NamedTuple):
    """What K consecutive updates read.

    ids: (K, B), int32, rows of the training set; padding repeats row 0.
    counts: (K,), int32, real examples per update.
    epochs, offsets: (K,), int32, the stream position of each batch's first example.
    """

    ids: np.ndarray
    counts: np.ndarray
    epochs: np.ndarray
    offsets: np.ndarray


# A chunk at batch size B spans few epochs unless B exceeds the set; seeds of a group alternate.
@functools.lru_cache(maxsize=256)
def permutation(data_seed: int, num_examples: int, epoch: int) -> np.ndarray:
    """The order of one epoch, shape (num_examples,), int32, read-only."""
    order = rng.generator(data_seed, 'order', epoch).permutation(num_examples).astype(np.int32)
    order.setflags(write=False)
    return order


def batches(data_seed: int, length: Length, start: int, stop: int, origin: int = 0, key_origin: int = 0) -> Batches:
    """The batches of updates start ≤ t < stop.

    `origin`: the stream position that reads the stream's first example, `key_origin`: the one whose randomness per
    example is the first's; 0 but in branches that begin anew.
    """
    epochs, offsets, counts = length.batches(start, stop)
    lane = np.arange(length.batch_size_at(start))
    place = epochs * length.epoch_size + offsets
    first = int(place[0] - origin) // length.epoch_size
    position = (place - origin - first * length.epoch_size)[:, None] + lane
    real = lane < counts[:, None]
    last = first + int(position[real].max()) // length.epoch_size
    stream = np.concatenate([permutation(data_seed, length.epoch_size, e) for e in range(first, last + 1)])
    ids = np.where(real, stream[np.where(real, position, 0)], 0)
    epochs, offsets = np.divmod(place - key_origin, length.epoch_size)
    return Batches(ids.astype(np.int32), counts, epochs.astype(np.int32), offsets.astype(np.int32))
