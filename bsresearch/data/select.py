"""From a source to the examples a run sees: validation and fraction, by seeded index (never by batch)."""

from typing import NamedTuple

import numpy as np

from bsresearch.core import rng
from bsresearch.data.splits import Split, Splits


class Dataset(NamedTuple):
    """train, validation (None without) and test, with the source's facts (splits.Splits)."""

    train: Split
    validation: Split | None
    test: Split
    num_outputs: int
    scale: float
    checksum: str
    own: bool

    def named(self) -> dict[str, Split]:
        """The splits there are, by name."""
        splits = {'train': self.train, 'validation': self.validation, 'test': self.test}
        return {k: v for k, v in splits.items() if v is not None}


def _rows(split: Split, rows: np.ndarray) -> Split:
    return Split(split.inputs[rows], split.labels[rows])


def select(splits: Splits, *, fraction: float, validation: float, split_seed: int) -> Dataset:
    """Holds out `validation` of the training examples, then keeps `fraction` of the rest.

    Raises:
      ValueError: a share outside its range, or a split that would be empty.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f'data.fraction={fraction}: must lie in (0, 1]')
    if not 0 <= validation < 1:
        raise ValueError(f'data.validation={validation}: must lie in [0, 1)')
    total = len(splits.train.labels)
    held = round(validation * total)
    kept = round(fraction * (total - held))
    empty = 'validation' if validation and not held else 'train' if not kept else ''
    empty = empty or ('test' if not len(splits.test.labels) else '')
    if empty:
        raise ValueError(
            f'the {empty} split is empty: {total} training examples, data.validation={validation}, '
            f'data.fraction={fraction}; choose shares that leave at least one example'
        )
    rest = splits.test, splits.num_outputs, splits.scale, splits.checksum, splits.own
    if fraction == 1 and not held:
        return Dataset(splits.train, None, *rest)
    order = rng.generator(split_seed, 'split').permutation(total)
    # Sorted, so that rows are read in file order; the stream shuffles them anyway.
    train = _rows(splits.train, np.sort(order[held : held + kept]))
    return Dataset(train, _rows(splits.train, np.sort(order[:held])) if held else None, *rest)
