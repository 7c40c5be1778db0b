"""From a source to the examples a run sees: classes, validation and fraction, by seeded index (never by batch)."""

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
    taken = Split(split.inputs[rows], split.labels[rows])
    for array in taken:
        array.setflags(write=False)  # Every caller in the process shares them.
    return taken


def _of_classes(splits: Splits, classes: tuple[int, ...]) -> Splits:
    """The examples of some classes, numbered anew in the order given.

    Raises:
      ValueError: classes that there are not, one twice, fewer than two, or labels that are none.
    """
    known, given = splits.num_outputs, f'data.classes={classes}'
    if splits.train.labels.dtype != np.int32 or splits.train.labels.ndim != 1:
        raise ValueError(f'{given}: the labels of this set are no classes; leave it out')
    if len(classes) < 2 or len({*classes}) < len(classes) or not all(0 <= c < known for c in classes):
        raise ValueError(f'{given}: allowed are two different ones at least of 0 to {known - 1}; () takes all')
    place = np.full(known, -1, np.int32)
    place[list(classes)] = np.arange(len(classes), dtype=np.int32)

    def of(split: Split) -> Split:
        rows = np.flatnonzero(place[split.labels] >= 0)
        return Split(split.inputs[rows], place[split.labels[rows]])

    return splits._replace(train=of(splits.train), test=of(splits.test), num_outputs=len(classes))


def select(
    splits: Splits, *, fraction: float, validation: float, split_seed: int, classes: tuple[int, ...] = ()
) -> Dataset:
    """Takes the examples of `classes`, holds out `validation` of the training examples, keeps `fraction` of the rest.

    classes: numbered anew in that order; () for all as they are.

    Raises:
      ValueError: a share outside its range, classes that there are not, or a split that would be empty.
    """
    if classes:
        splits = _of_classes(splits, classes)
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
